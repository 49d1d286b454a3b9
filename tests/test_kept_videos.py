"""A run goes on with the videos that it began with, and says what has changed since."""

from __future__ import annotations

from pathlib import Path
from shutil import copy, copytree, move

import pytest

from test_recordings import labels, write
from twostream.__main__ import run
from twostream.datasets import SplitChoice, load_dataset
from twostream.datasets.kept_videos import as_begun, keep_videos, kept_videos
from twostream.files import read_json
from twostream.initialise import NetSettings, Start
from twostream.recipes import make_recipe
from twostream.run import RunSettings, one_stream, training_run
from twostream.run.other_data import OtherData, keep_others, load_others
from twostream.scoring import load_scores
from twostream.types import RunError, Stream

CLASSES = ("StandUp", "WaveHigh")


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """Twelve clips of two classes in class folders, without groups."""
    folder = tmp_path / "data"
    names = [each.name for each in sorted(tiny_data.iterdir()) if any(each.glob("*.avi"))]
    for name, made in zip(CLASSES, names, strict=False):
        (folder / name).mkdir(parents=True)
        for i, clip in enumerate(sorted((tiny_data / made).glob("*.avi"))[:4]):
            for take in "ab":
                copy(clip, folder / name / f"{take}{i}.avi")
                with open(folder / name / f"{take}{i}.avi", "ab") as file:
                    file.write(take.encode())  # another file, as another clip would be
    return folder


def command(data: Path, out: Path) -> list[str]:
    sizes = ["--short-side", "32", "--crop-size", "32", "--steps", "2", "--batch-size", "4"]
    return ["train", str(data), "--out", str(out), "--recipe", "quick", *sizes]


def sides(out: Path) -> tuple[set[str], set[str]]:
    kept = read_json(out / "videos.json")
    train, test = ({row["id"] for row in kept[side]} for side in ("train", "test"))
    return train, test


def scored(out: Path) -> set[str]:
    return set(load_scores(out / "scores" / "spatial-test.npz").video_ids)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def add(data: Path, tiny_data: Path) -> None:
    """More clips of a class, and a class that sorts before the others."""
    more = sorted(tiny_data.glob("*/*.avi"))[-6:]
    (data / "Another").mkdir()
    for i, clip in enumerate(more):
        copy(clip, data / (CLASSES[0] if i % 2 else "Another") / f"new{i}.avi")


def test_a_clip_under_two_names_on_both_sides_is_told(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = load_dataset(data)
    split = dataset.split()
    (tmp_path / "run").mkdir()
    keep_videos(tmp_path / "run", dataset, split)
    assert "among those" not in caplog.text
    copy(split.train[0].path, split.test[1].path)
    (tmp_path / "again").mkdir()
    keep_videos(tmp_path / "again", dataset, split)
    said = f"1 of {len(split.test)} videos to test are among those that the run was trained on"
    assert f"{said}, the first is {split.test[1].video_id}" in caplog.text


def test_all_nets_of_a_run_start_from_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "weights.safetensors", tmp_path / "run"
    file.write_bytes(b"begun with")
    monkeypatch.setattr(one_stream, "_train", lambda *_: None)
    start = Start(weights=str(file), temporal_weights=str(out / "made.safetensors"))

    def train(stream: Stream, folder: Path) -> None:
        net = NetSettings(stream=stream, recipe=make_recipe("quick"), start=start)
        one_stream.train_stream(net, None, folder=folder, like=out)  # type: ignore[arg-type]

    train("spatial", out)
    train("spatial", out / "fold-1")
    file.write_bytes(b"replaced")
    with pytest.raises(RunError, match=r"weights\.safetensors is of another content than when"):
        train("spatial", out / "fold-2")
    for content in (b"what a run makes itself", b"it may make anew"):
        (out / "made.safetensors").write_bytes(content)
        train("temporal", out)


@pytest.mark.parametrize("whole", [True, False])
def test_clips_of_another_data_set_that_come_in_change_none_of_its_sides(
    data: Path, tiny_data: Path, other_data: Path, tmp_path: Path, said: list[str], whole: bool
) -> None:
    other, out = tmp_path / "more", tmp_path / "run"
    other.mkdir()
    for name in sorted(each.name for each in other_data.iterdir() if any(each.glob("*.avi")))[:2]:
        copytree(other_data / name, other / name)
    asked = {"data": str(data), "recipe": make_recipe("quick"), "others": (str(other),)}
    settings = RunSettings(**asked, others_whole=whole)  # type: ignore[arg-type]

    def others() -> list[OtherData]:
        return load_others(settings, load_dataset(data), out)

    (begun,) = before = others()
    keep_others(out, before)
    for i in range(9):  # a class and clips that sort before the others
        (other / "Another").mkdir(exist_ok=True)
        made = other / ("Another" if i % 2 else begun.split.classes[0]) / f"a{i}.avi"
        made.write_bytes(begun.split.train[0].path.read_bytes() + bytes([i]))
    (now,) = others()
    assert (now.split.train, now.split.test) == (begun.split.train, begun.split.test)
    assert now.split.classes == begun.split.classes and bool(now.split.test) != whole
    assert sum("9 videos are new since the run began, and left out" in each for each in said) == 1


@pytest.mark.slow
def test_clips_that_come_in_change_no_sides(
    data: Path,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, fit = tmp_path / "run", training_run.train_stream

    def killed(net, *args, **how):  # type: ignore[no-untyped-def]
        if net.stream == "temporal":
            raise KeyboardInterrupt
        return fit(net, *args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(training_run, "train_stream", killed)
        assert run(command(data, out)) != 0
    train, test = sides(out)
    assert len(train) + len(test) == 16 and not train & test
    add(data, tiny_data)
    assert run([*command(data, out), "--resume"]) == 0
    assert scored(out) == test and sides(out) == (train, test)
    assert read_json(out / "results.json")["classes"] == list(CLASSES)
    assert "6 videos are new since the run began" in (said := told(capsys))
    assert "Another/new0.avi" in said
    for again in ([*command(data, out), "--resume"], ["evaluate", str(out)]):
        assert run(again) == 0 and scored(out) == test
        assert "6 videos are new since the run began" in told(capsys)
    assert run(["curve", str(out), "--clips", "1,2"]) == 0
    assert scored(out) == test
    before = read_json(out / "results.json")
    for video in train:  # nothing is made again: not the folds either, which no clip is left for
        (data / video).write_text("this is no video any more")
    assert run([*command(data, out), "--resume"]) == 0
    after = read_json(out / "results.json")
    for each in (before, after):
        each.pop("seconds")
    assert before == after and not after["unreadable"]
    assert f"{len(train)} videos cannot be used any more" in told(capsys)


def test_what_is_gone_or_other_than_then_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run([*command(data, out), "--stream", "spatial"]) == 0
    train, test = sides(out)
    gone, other = sorted(test)[:2]
    (data / gone).unlink()
    learnt = sorted(test)[-1]  # now a copy of a clip that was trained on
    (data / learnt).write_bytes((data / min(train)).read_bytes())
    with open(data / other, "ab") as file:
        file.write(b"more")
    moved = next(v for v in sorted(test) if v.startswith(CLASSES[1]))
    move(data / moved, data / moved.replace(CLASSES[1], CLASSES[0]).replace("/", "/moved-"))
    told(capsys)
    assert run(["evaluate", str(out)]) == 0
    said = told(capsys)
    assert scored(out) == test
    assert "gone since the run began" in said and gone in said
    assert "2 videos are of another content than when" in said and f"({other}, {learnt})" in said
    assert (
        f"1 of 2 videos to test are among those that the run was trained on, the first is {learnt}"
        in said
    )
    assert "1 video is new since" in said
    results = read_json(out / "scores" / "results.json")
    assert {gone, moved} <= set(results["unreadable"])


def listed(folder: Path, header: str, rows: dict[str, str]) -> Path:
    """A list of videos that nobody decodes."""
    for name in rows:
        (folder / f"{name}.avi").write_text(name)
    lines = [f"{name}.avi,{'sit' if name < 'd' else 'run'},{rest}" for name, rest in rows.items()]
    (folder / "list.csv").write_text("\n".join([f"path,label,{header}", *lines]) + "\n")
    return folder / "list.csv"


@pytest.mark.parametrize(
    ("header", "then", "now", "told"),
    [
        (  # who found one animal on both sides: b and c are of one, and so are e and f
            "group,split",
            {"a": "1,train", "b": "2,train", "c": "3,test"}
            | {"d": "4,train", "e": "5,train", "f": "6,test"},
            {"a": "1,train", "b": "3,test", "c": "3,test"}
            | {"d": "4,train", "e": "6,test", "f": "6,test"},
            ["2 videos are of another group", "2 videos are on another side of split 1"],
        ),
        (
            "group",
            {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6"},
            {"a": "1", "b": "2", "c": "3", "d": "4", "e": "6", "f": "6"},
            ["1 video is of another group than when the run began"],
        ),
        (
            "split",
            {"a": "train", "b": "", "c": "test", "d": "train", "e": "", "f": "test"},
            {"a": "train", "b": "", "c": "test", "d": "train", "e": "test", "f": ""},
            ["2 videos are on another side of split 1"],
        ),
        (
            "split",
            {"a": "train", "b": "train", "c": "test", "d": "train", "e": "train", "f": "test"},
            {"a": "", "b": "", "c": "", "d": "", "e": "", "f": ""},
            ["split 1 came with the data and does not any more"],
        ),
    ],
)
def test_mended_groups_and_splits_are_told(
    header: str,
    then: dict[str, str],
    now: dict[str, str],
    told: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The run keeps its sides, which the list it began with may have had wrong."""
    data = load_dataset(listed(tmp_path, header, then))
    _, split = as_begun(None, data, SplitChoice(), seed=0)
    (tmp_path / "run").mkdir()
    keep_videos(tmp_path / "run", data, split)
    kept = kept_videos(tmp_path / "run")
    as_begun(kept, data, SplitChoice(), seed=0)
    assert not caplog.messages
    _, again = as_begun(kept, load_dataset(listed(tmp_path, header, now)), SplitChoice(), seed=0)
    assert (again.train, again.test) == (split.train, split.test)
    assert len(caplog.messages) == len(told)
    for message, start in zip(caplog.messages, told, strict=True):
        assert message.startswith(start) and "train again with another --out" in message


def test_a_recording_beside_the_only_one_is_no_other_group(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One alone is split by blocks of time, each of them a group."""
    write(tmp_path / "a.mp4", 60)
    rows = [f"a.mp4,sit,{start},{start + 5}" for start in range(0, 60, 10)]
    data = load_dataset(labels(tmp_path, *rows))
    (tmp_path / "run").mkdir()
    keep_videos(tmp_path / "run", data, data.split())
    write(tmp_path / "b.mp4", 12)
    now = load_dataset(labels(tmp_path, *rows, "b.mp4,sit,0,10"))
    as_begun(kept_videos(tmp_path / "run"), now, SplitChoice(), seed=0)
    assert any("new since the run began" in message for message in caplog.messages)
    assert not any("another group" in message for message in caplog.messages)


def test_a_run_that_was_moved_finds_its_data_and_names_its_own_report(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*command(Path("data"), Path("run")), "--stream", "spatial"]) == 0
    (tmp_path / "elsewhere").mkdir()
    move(tmp_path / "run", tmp_path / "elsewhere" / "run")
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert run(["evaluate", "run", "--json"]) == 0
    assert '"run": "run"' in capsys.readouterr().out
    assert scored(Path("run")) == sides(Path("run"))[1]

    # clips that were trained on are known by what they are, whatever they are called
    copytree(data, tmp_path / "copies")
    for clip in (tmp_path / "copies").glob("*/*.avi"):
        clip.rename(clip.with_name(f"copy-{clip.name}"))
    assert run(["evaluate", "run", str(tmp_path / "copies")]) == 0
    train = sides(Path("run"))[0]
    assert f"{len(train)} of 16 videos to test are among those" in told(capsys)

    move(data, tmp_path / "away")
    assert run(["evaluate", "run"]) == 1
    said = told(capsys)
    assert f"data lay at {data} and is not there" in said and "evaluate RUN DATA" in said


def test_labels_that_were_edited_are_told_apart_from_videos_that_are_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on with what it learnt from, and knows what held at once in its classes."""
    rows = []
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.mp4", 12)
        rows += [f"{name}.mp4,sit,0,10", f"{name}.mp4,groom,4,10"]
    data = load_dataset(labels(tmp_path, *rows))
    split = data.split(test_groups=["c.mp4"])
    (tmp_path / "run").mkdir()
    keep_videos(tmp_path / "run", data, split)
    # the same bouts of sit; groom is shorter and nothing holds together any more; c is gone
    edited = [f"{name}.mp4,sit,0,10" for name in "ab"] + ["a.mp4,groom,11,12"]
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in "ab":
        (tmp_path / f"{name}.mp4").rename(moved / f"{name}.mp4")
    now = load_dataset(labels(moved, *edited), missing="leave out")
    kept = kept_videos(tmp_path / "run")
    begun, again = as_begun(kept, now, SplitChoice(), seed=0)
    assert [v.video_id for v in again.train] == [v.video_id for v in split.train]
    assert {v.path.parent for v in again.train} == {moved}
    assert begun.together == {"groom + sit": ("groom", "sit")} and not now.together
    told = {message.partition(" (")[0] for message in caplog.messages}
    of_c = len(split.test)
    assert any(each.startswith(f"{of_c} videos are gone since") for each in told)
    assert any("labelled otherwise than when the run began" in each for each in told)
    assert not any("new since" in each for each in told)


def test_another_class_is_told_and_damage_is_one_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = dict.fromkeys("abcdef", "")
    data = load_dataset(listed(tmp_path, "more", rows))
    split = data.split()
    (run := tmp_path / "run").mkdir()
    keep_videos(run, data, split)
    text = (tmp_path / "list.csv").read_text().replace("a.avi,sit", "a.avi,run")
    (tmp_path / "list.csv").write_text(text)
    kept = kept_videos(run)
    _, again = as_begun(kept, load_dataset(tmp_path / "list.csv"), SplitChoice(), seed=0)
    assert (again.train, again.test) == (split.train, split.test)
    assert any("1 video is of another class" in message for message in caplog.messages)
    (run / "videos.json").write_text('{"classes": 3}')
    with pytest.raises(RunError, match=r"videos\.json is damaged"):
        kept_videos(run)
