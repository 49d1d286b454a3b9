"""Names that others take for something else: too long, HTML, formulas, several lines."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from invented_run import write_run
from moving_clips import SETTINGS, make_clip
from twostream.export.onnx_export import labels_text
from twostream.extraction import extract
from twostream.files import write_text
from twostream.prediction.timeline import Segment, Timeline
from twostream.prediction.timeline_files import scores_csv, segments_csv
from twostream.report.card import card
from twostream.report.run_contents import read_run
from twostream.report.wording import markdown
from twostream.store import clip_writer
from twostream.store.flow_store import FlowStore
from twostream.types import LabeledVideo, StoreError

LONG = ("x" * 240 + ".avi", "ü" * 120 + " 1.avi", "ü" * 120 + " 2.avi", "y" * 223 + ".avi")


def test_names_as_long_as_a_disk_takes_are_stored(tmp_path: Path) -> None:
    videos = [
        LabeledVideo(f"walk/{name}", make_clip(tmp_path / "walk" / name, 3, seed=seed), 0)
        for seed, name in enumerate(LONG)
    ]
    summary = extract(videos, store=tmp_path / "s", settings=SETTINGS)
    assert (summary.done, summary.failed) == (len(LONG), {})
    store = FlowStore.open(tmp_path / "s")
    assert len(set(store.paths())) == 2 * len(LONG)
    for video in videos:
        assert store.clip(video.video_id, "forward").header.video_id == video.video_id
    # what fitted before is called as before
    assert store.path(videos[-1].video_id, "rgb").name == f"{LONG[-1]}.clip"
    assert extract(videos, store=tmp_path / "s", settings=SETTINGS).skipped == len(LONG)


def test_a_disk_of_shorter_names_costs_that_clip_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As eCryptfs, whose names have 143 bytes."""
    names = ("x" * 150 + ".avi", "short.avi")
    videos = [
        LabeledVideo(name, make_clip(tmp_path / name, 3, seed=seed), 0)
        for seed, name in enumerate(names)
    ]

    def refusing(target: Path, **more: object) -> object:
        if len(target.name) > 120:
            raise OSError(36, "File name too long", str(target))
        return partial(target, **more)

    partial = clip_writer.Partial
    monkeypatch.setattr(clip_writer, "Partial", refusing)
    summary = extract(videos, store=tmp_path / "s", settings=SETTINGS)
    assert summary.done == 1
    assert "name is too long for the disk" in summary.failed[names[0]]


def test_a_file_of_the_longest_name_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".srt")
    write_text(path, "1")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "1"


def timeline(video: str, classes: tuple[str, ...]) -> Timeline:
    scores = np.full((2, len(classes)), 1 / len(classes), np.float32)
    segments = tuple(Segment(float(i), i + 1.0, name, 0.5) for i, name in enumerate(classes))
    return Timeline(Path(video), classes, np.float64([0, 1]), scores, {}, segments, None, 2.0)


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-walk", "@SUM(A1)", "\t=1"])
def test_no_cell_is_a_formula(name: str) -> None:
    text = segments_csv(timeline(f"{name}.avi", (name, "walk")))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["label"] for row in rows] == [f"'{name}", "walk"]
    assert {row["video"] for row in rows} == {f"'{name}.avi"}
    assert rows[0]["start_seconds"] == "0.000"
    for row in csv.reader(io.StringIO(scores_csv(timeline("a.avi", (name, "walk"))), newline="")):
        assert not any(cell.startswith(tuple("=+-@\t")) for cell in row)


def test_labels_are_a_line_each() -> None:
    classes = ("walk", "run\nfast", "a\r\nb", "c\u2028d", "e\x85f", "")
    lines = labels_text(classes).splitlines()
    assert lines == ["walk", "run fast", "a b", "c d", "e f", ""]


def test_the_card_shows_names_as_text(tmp_path: Path) -> None:
    """The Hub, and any viewer of Markdown, shows HTML, links and pictures that stand in a text."""
    contents = read_run(write_run(tmp_path / "run"))
    odd = "<img src=x onerror=alert(1)> ![p](http://t/p.png) [l](x)\n# head"
    test = {
        stream: replace(scores, classes=(odd, *scores.classes[1:]))
        for stream, scores in contents.test.items()
    }
    settings = {**contents.settings, "dataset": odd, "split": odd, "notes": [odd], "others": [odd]}
    text = card(replace(contents, test=test, settings=settings), f"run {odd}")
    body = text.split("---\n", 2)[2]
    assert "<img" not in body and "![p](" not in body and "](x)" not in body.replace("\\](", "")
    assert "\n# head" not in body
    assert body.count("&lt;img src=x onerror=alert(1)&gt;") >= 6
    assert markdown("walk_left 2 (fast)") == "walk_left 2 (fast)"


def test_a_video_that_cannot_be_stored_is_no_disk_that_refuses(tmp_path: Path) -> None:
    store = FlowStore.create(tmp_path / "s", SETTINGS)
    with pytest.raises(StoreError, match="has no rgb of"):
        store.clip("z" * 254, "rgb")
