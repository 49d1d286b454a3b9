"""--flow auto: held-out training clips choose the method, and the run is one of that method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twostream.__main__ import run
from twostream.files import read_json
from twostream.flow import preset_parameters
from twostream.log_linear import read_fusion
from twostream.run import flow_choice, training_run
from twostream.run.flow_choice import cheapest_of_the_best, chosen_flow, keep_the_chosen
from twostream.store.flow_store import FlowStore
from twostream.types import RunError, VideoScores

ASKED = ["--recipe", "quick", "--steps", "2", "--short-side", "32", "--crop-size", "32"]


def scores(right: int, clips: int = 100) -> VideoScores:
    """Scores of which so many are right."""
    labels = np.arange(clips) % 2
    said = np.where(np.arange(clips) < right, labels, 1 - labels)
    return VideoScores(
        video_ids=tuple(f"{i}" for i in range(clips)),
        labels=labels,
        classes=("a", "b"),
        scores=np.eye(2, dtype=np.float32)[said],
        stream="temporal",
    )


def test_what_is_not_clearly_better_is_not_worth_its_price() -> None:
    # of 100 clips at 0.8 a standard error is four
    assert cheapest_of_the_best({"a": 0.75, "b": 0.77, "c": 0.80}, 100) == "b"
    assert cheapest_of_the_best({"a": 0.75, "b": 0.75, "c": 0.80}, 100) == "c"
    assert cheapest_of_the_best({"a": 1.0, "b": 1.0}, 3) == "a"


def test_the_method_that_recognises_is_chosen_once_and_said(
    tmp_path: Path, said: list[str]
) -> None:
    asked: list[str] = []

    def held_out(name: str) -> VideoScores:
        asked.append(name)
        return scores({"x": 60, "y": 90, "z": 91}[name])

    file = tmp_path / "flow-choice.json"
    for _ in range(2):
        found = chosen_flow(("x", "y", "z"), held_out, file)
        assert (found.flow, found.clips) == ("y", 100)
        assert found.accuracy == {"x": 0.6, "y": 0.9, "z": 0.91}
    assert asked == ["x", "y", "z"]  # the second time it was on disk
    assert said[-1].startswith("flow y, the cheapest method within a standard error of the best")
    file.write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        chosen_flow(("x",), held_out, file)


def test_the_run_goes_on_with_what_was_chosen(
    few_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store and held-out nets are kept, the other method's are not; a kill costs nothing."""
    trained: list[tuple[str, str]] = []
    fit = training_run.train_stream

    def counted(net, data, **how):  # type: ignore[no-untyped-def]
        if len(trained) == 1 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KeyboardInterrupt
        trained.append((net.stream, Path(how["folder"]).parent.parent.name))
        return fit(net, data, **how)

    monkeypatch.setattr(training_run, "train_stream", counted)
    monkeypatch.setattr("twostream.run.FLOW_CANDIDATES", ("farneback", "dis:fast"))
    monkeypatch.setattr(flow_choice, "cheapest_of_the_best", lambda *_: "dis:fast")
    out = tmp_path / "run"
    command = ["train", str(few_data), "--out", str(out), "--flow", "auto", *ASKED]
    command += ["--fit-scores", "held-out"]
    assert run(command) != 0 and trained == [("temporal", "farneback")]
    assert run([*command, "--resume"]) == 0
    # two folds of both methods, then both streams, then of the folds the spatial nets alone
    streams = ["temporal"] * 4 + ["spatial", "temporal", "spatial", "spatial"]
    assert [stream for stream, _ in trained] == streams
    choice, settings = read_json(out / "flow-choice.json"), read_json(out / "settings.json")
    assert set(choice["accuracy"]) == {"farneback", "dis:fast"} and choice["clips"] >= 4
    assert settings["recipe"]["flow"] == "dis:fast"
    assert any(note.startswith("flow dis:fast, the cheapest") for note in settings["notes"])
    store = FlowStore.open(out / "flow").settings
    assert store.flow == "dis"
    assert preset_parameters("dis", "fast").items() <= store.parameters.items()
    assert not (out / "flow-trials").exists() and read_fusion(out)
    assert "flow dis:fast, the cheapest" in (out / "report.html").read_text()
    before = (out / "temporal.safetensors").read_bytes()
    assert run([*command, "--resume"]) == 0  # finished: nothing is done again
    assert len(trained) == 8 and (out / "temporal.safetensors").read_bytes() == before


def test_no_second_group_that_can_be_read_is_one_sentence(
    tmp_path: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["path,label,group,split"]
    clips = sorted(tiny_data.glob("StandUp/*.avi"))[:3], sorted(tiny_data.glob("SitDown/*.avi"))[:3]
    for label, of_class in enumerate(clips):
        rows += [f"{clip},{label},a,{'test' if i else 'train'}" for i, clip in enumerate(of_class)]
    (tmp_path / "broken.avi").write_bytes(b"no video")
    rows.append(f"{tmp_path / 'broken.avi'},0,b,train")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "run"
    command = ["train", str(tmp_path / "list.csv"), "--out", str(out), "--flow", "auto", *ASKED]
    assert run(command) == 1
    assert "are all of one: name a flow" in capsys.readouterr().err


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "a part"])
def test_what_was_chosen_is_kept_wherever_the_store_is(there: str, tmp_path: Path) -> None:
    trials, store = tmp_path / "run" / "flow-trials", tmp_path / "elsewhere" / "store"
    for name in ("forward/a.clip", "forward/b.clip", "store.json"):
        file = trials / "dis" / "flow" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    if there != "nothing":
        store.mkdir(parents=True)
    if there == "a part":  # of a copy that was killed
        (store / "forward").mkdir()
        (store / "forward" / "a.clip").write_text("half")
    for _ in range(2):
        keep_the_chosen(trials / "dis", tmp_path / "run", store)
        for name in ("forward/a.clip", "forward/b.clip", "store.json"):
            assert (store / name).read_text() == name
        assert not trials.exists()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--stream", "spatial"], "a temporal stream that sees flow"),
        (["--rgb-stack"], "a temporal stream that sees flow"),
        (["--store", "STORE"], "has its flow already"),
    ],
)
def test_nothing_to_choose_is_said_before_anything_is_written(
    more: list[str],
    why: str,
    tiny_data: Path,
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = [str(tiny_run / "flow") if each == "STORE" else each for each in more]
    out = tmp_path / "run"
    assert run(["train", str(tiny_data), "--out", str(out), "--flow", "auto", *ASKED, *more]) == 2
    assert why in capsys.readouterr().err and not out.exists()
