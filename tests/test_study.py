"""Studies: runs that are done once, stopped, continued, refused; official data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from invented_study import fake_run, study_of, with_data
from twostream.datasets.dataset import GivenSplit
from twostream.experiments import Study, listing, reproduce, running
from twostream.experiments.reproduction import collect, planned
from twostream.experiments.running import run_all
from twostream.files import write_json
from twostream.recipes import make_recipe
from twostream.training import TrainerOptions
from twostream.types import DataError, ModelError, RunError, UsageError


def test_a_study_goes_on_where_it_was(few_data: Path, tmp_path: Path) -> None:
    study = study_of(few_data, tmp_path / "out", folds=2)
    runs = planned(study, "figure4")
    assert [run.net for run in runs] == ["flow-10", "flow-10"]
    with study.claimed():
        assert running._done(runs[0].settings, runs[0].folder, TrainerOptions()) is None
    assert [run for run in runs if not run.done] == runs[1:]
    before = (runs[0].folder / "results.json").stat().st_mtime_ns
    results = reproduce(study, "figure4", jobs=1)
    assert (runs[0].folder / "results.json").stat().st_mtime_ns == before
    assert results["figure4"]["nets"] == 2 and not results["failed"]
    assert sum(results["figure4"]["filters"].values()) == 48
    assert sum(results["figure4"]["energy"].values()) == pytest.approx(1)
    assert (tmp_path / "out" / "figure4.png").stat().st_size > 500
    # flow lies in one place for all runs
    assert not list((tmp_path / "out" / "runs").rglob("*.clip"))
    rows = {row["name"]: row for row in listing(study)}
    row = rows["table1b/stacking, L = 10/mean subtraction on"]
    assert (row["state"], row["runs"], row["training_crops"]) == ("done", 2, 2 * 2 * 32)
    assert row["seconds_spent"] > 0 and row["seconds_left"] == 0
    other = rows["table1b/stacking, L = 5/mean subtraction on"]
    assert other["state"] == "0 of 2 runs" and other["seconds_left"] > 0
    assert rows["table2/multi-task/accuracy"]["state"] == "needs a second data set"


@pytest.mark.slow
def test_a_killed_study_leaves_no_process_behind_and_is_continued(
    tiny_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "twostream", "reproduce", "figure4", "--data", str(tiny_data)]
    command += ["--out", str(out), "--folds", "2", "--jobs", "1", "--steps"]
    with subprocess.Popen([*command, "100000"], stderr=subprocess.DEVNULL) as process:
        started = out / "runs" / "clips" / "fold1of2-seed0" / "flow-10"
        deadline = time.monotonic() + 120
        while not (started / "settings.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.2)
        process.kill()  # no time to tell anybody
    lock = FileLock(started / ".lock")
    lock.acquire(timeout=20)  # the worker that held the run is gone
    lock.release()
    asked = json.loads((out / "study.json").read_text())
    assert asked["recipe"]["steps"] == 100_000
    done = subprocess.run([*command, "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "study with other settings" in done.stderr


def claim(study: Study) -> None:
    with study.claimed():
        pass


def test_a_folder_of_another_study_is_refused(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(study_of(tiny_data, tmp_path / "out"))
    claim(study_of(tiny_data, tmp_path / "out", seeds=3))  # more seeds only add
    monkeypatch.chdir(tiny_data.parent)
    claim(study_of(Path(tiny_data.name), tmp_path / "out"))  # the same data by another path
    with pytest.raises(RunError, match=r"weights: None -> .*imagenet"):
        claim(study_of(tiny_data, tmp_path / "out", weights="imagenet"))
    with pytest.raises(RunError, match=r"folds: 3 -> 2"):
        claim(study_of(tiny_data, tmp_path / "out", folds=2))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(RunError, match="holds something else"):
        claim(study_of(tiny_data, tmp_path / "full"))
    with pytest.raises(RunError, match="is a file: --out needs a folder"):
        claim(study_of(tiny_data, tmp_path / "full" / "file"))
    with pytest.raises(DataError, match="cannot be read as notes"):
        reproduce(study_of(tiny_data, tmp_path / "out"), "claims", notes=tmp_path / "none.md")
    with pytest.raises(UsageError, match="nothing called 'table9'"):
        reproduce(study_of(tiny_data, tmp_path / "out"), "table9")


def test_a_study_of_changed_data_or_a_damaged_one_is_refused(
    tiny_data: Path, tmp_path: Path
) -> None:
    """Folds are drawn anew where a clip is added, so old and new runs would mix."""
    out = tmp_path / "out"
    claim(study_of(tiny_data, out))
    fewer = study_of(tiny_data, out)
    with_data(fewer, videos=fewer.datasets[0].videos[1:])
    with pytest.raises(RunError, match="videos: "):
        claim(fewer)
    write_json(out / "study.json", {"data": "nonsense"})
    with pytest.raises(RunError, match="is damaged"):
        claim(study_of(tiny_data, out))


def test_a_study_of_replaced_videos_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(tiny_data, data)
    claim(study_of(data, out))
    one, other = sorted(data.glob("*/*"))[:2]
    one.write_bytes(other.read_bytes())
    with pytest.raises(RunError, match=f"1 videos are of another content.*{one.name}"):
        claim(study_of(data, out))
    shutil.copy(tiny_data / one.relative_to(data), one)
    claim(study_of(data, out))


def test_a_study_of_replaced_weights_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    """Seeds may be added later: they must start from what the others started from."""
    out, file = tmp_path / "out", tmp_path / "weights.safetensors"
    file.write_bytes(b"begun with")
    claim(study_of(tiny_data, out, weights=str(file)))
    file.write_bytes(b"replaced")
    with pytest.raises(RunError, match=r"weights\.safetensors is of another content than when"):
        claim(study_of(tiny_data, out, weights=str(file)))


def test_a_study_is_of_one_process(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path / "out")
    with study.claimed(), pytest.raises(RunError, match="in use by another process"):
        claim(study)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"folds": 9}, UsageError, "9"),
        ({"weights": "nowhere.safetensors"}, ModelError, "nowhere.safetensors"),
        ({"recipe": replace(make_recipe("quick"), flow="magic")}, UsageError, "magic"),
        ({"data": ("nowhere",)}, DataError, "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    changes: dict, error: type, sentence: str, tiny_data: Path, tmp_path: Path
) -> None:
    study = study_of(tiny_data, tmp_path / "out", **changes)
    with pytest.raises(error, match=sentence):
        reproduce(study, "claims")
    assert not (tmp_path / "out").exists()


def test_notes_that_are_no_file_are_refused_and_not_waited_for(
    tiny_data: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    study = study_of(tiny_data, tmp_path / "out")
    with pytest.raises(DataError, match="as notes: it is no file"):
        reproduce(study, "claims", notes=tmp_path / "pipe")


def test_a_fold_that_leaves_one_class_to_train_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    """All runs of that fold would fail, each with a sentence of its own."""
    study = study_of(tiny_data, tmp_path / "out", folds=2)
    data = study.datasets[0]
    first = [video for video in data.videos if video.label == 0]
    other = next(video for video in data.videos if video.label == 1)
    with_data(study, videos=(*first, other), classes=data.classes[:2], given=())
    with pytest.raises(DataError, match="one class alone are left to train"):
        study.check()


def test_an_absent_accelerator_is_said_once(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path / "out")
    with pytest.raises(UsageError, match="does not take these options"):
        reproduce(study, "claims", options=TrainerOptions(accelerator="tpu"))
    assert not (tmp_path / "out").exists()


def test_the_same_clips_twice_would_train_on_what_is_tested(
    tiny_data: Path, tmp_path: Path
) -> None:
    study = study_of(tiny_data, tmp_path / "out", data=(str(tiny_data), str(tiny_data)))
    with pytest.raises(DataError, match="g01"):
        reproduce(study, "table2")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_worker_is_one_sentence(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(tiny_data, tmp_path / "out", folds=2)
    runs = planned(study, "figure4")
    monkeypatch.setattr(running, "_one", ended)
    failed = run_all(study, runs, jobs=2)
    assert set(failed) == {run.folder for run in runs}
    assert all("try it with --jobs 1" in why for why in failed.values())


def ended(*arguments: object) -> None:
    os._exit(9)  # as the kernel does where memory runs out


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_are_done(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path / "out", folds=2)
    runs = planned(study, "figure4")
    write_json(runs[0].folder / "asked.json", {"data": "something else"})
    failed = run_all(study, runs, jobs=2)
    assert list(failed) == [runs[0].folder]
    assert "started with other settings" in failed[runs[0].folder]
    assert runs[1].done
    results = collect(study, "table1b", failed)
    cell = next(c for c in results["cells"] if c["row"] == "stacking, L = 10" and c["paper"] == 81)
    assert cell["accuracy"] is None and cell["state"].startswith("1 of 2 runs failed")


def test_damaged_files_of_one_run_do_not_end_the_study(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path / "out")
    runs = {net: study.runs(net, 0) for net in ("flow-1", "flow-5", "flow-10")}
    for run in [run for each in runs.values() for run in each]:
        fake_run(study, run, 1.0)
    assert collect(study, "table1b", {})["failed"] == {}
    (runs["flow-1"][0].folder / "scores" / "temporal-test.npz").write_bytes(b"PK\x03\x04")
    (runs["flow-10"][1].folder / "temporal.safetensors").write_bytes(b"damaged")
    (runs["flow-5"][2].folder / "results.json").write_text("{")
    results = collect(study, "all", {})
    assert set(results["failed"]) == {
        str(runs["flow-1"][0].folder),
        str(runs["flow-10"][1].folder),
    }
    why = results["failed"][str(runs["flow-1"][0].folder)]
    assert "temporal-test.npz is missing, damaged" in why and "delete it and results.json" in why
    states = {cell["row"]: cell["state"] for cell in results["cells"] if cell["table"] == "table1b"}
    assert "1 of 3 runs failed" in states["single-frame flow (L = 1)"]
    assert "delete it" in results["figure4"]["state"]
    # a run whose last file is damaged is gone through again
    assert states["stacking, L = 5"] == "2 of 3 runs"
    assert [run.folder for run in runs["flow-5"] if not run.done] == [runs["flow-5"][2].folder]
    assert any(row["seconds_spent"] for row in listing(study))


@pytest.mark.parametrize("numbers", [(), (2, 3)])
def test_official_data_without_the_lists_of_split_1_is_refused(
    numbers: tuple[int, ...], tiny_data: Path, tmp_path: Path
) -> None:
    study = study_of(tiny_data, tmp_path / "out", official=True)
    videos = study.datasets[0].videos
    given = tuple(GivenSplit(number, videos[::2], videos[1::2]) for number in numbers)
    with_data(study, given=given)
    for ask in (lambda: reproduce(study, "table1b"), lambda: listing(study)):
        with pytest.raises(DataError, match="official lists of split 1"):
            ask()
    assert not study.out.exists()


def test_given_splits_are_used_where_that_is_asked_for(tiny_data: Path, tmp_path: Path) -> None:
    for given, choices in ((True, [(1, None)]), (False, [(None, f"{i}/3") for i in (1, 2, 3)])):
        study = study_of(tiny_data, tmp_path, given=given)
        found = [run.settings.choice for run in study.runs("flow-10", 0)]
        assert [(choice.split, choice.fold) for choice in found] == choices
    with_data(study := study_of(tiny_data, tmp_path, given=True), given=())
    assert len(study.runs("flow-10", 0)) == 3  # none came with it: folds


@pytest.mark.slow
def test_official_data_uses_its_own_splits(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path, official=True, recipe=make_recipe("paper"))
    runs = study.runs("flow-10", 0)
    assert [(run.settings.choice.split, run.settings.choice.fold) for run in runs] == [(1, None)]
    assert runs[0].settings.recipe.steps == 80_000
    small = study_of(tiny_data, tmp_path / "out", official=True)
    results = reproduce(small, "figure4", jobs=1)
    assert (results["figure4"]["nets"], results["folds"]) == (1, None)
    # of three splits the tiny data has the first; a mean over fewer must not pass for the paper's
    assert "official splits (clips 1)" in (tmp_path / "out" / "reproduction.md").read_text()
    assert small.outcome(["flow-10"], None, 0).accuracy().clips == 14
    # g01 of one class is not g01 of another there
    assert len(set(study.groups[0].values())) == 56
    assert len(set(study_of(tiny_data, tmp_path).groups[0].values())) == 4
    # but a film of HMDB-51 is one, whatever is done in it
    with_data(study, kind="HMDB-51")
    del study.__dict__["groups"]
    assert len(set(study.groups[0].values())) == 4
