"""CVAT: tracks with gaps, parts of videos, attributes, tags, projects, and damaged files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from twostream.labels import Bout, Labels, Recording, read_labels, write_labels
from twostream.labels.formats import recognise
from twostream.types import DataError
from untrained import write_clip

SHAPE = 'occluded="0" xtl="1.00" ytl="2.00" xbr="30.00" ybr="40.00" z_order="0"'


def box(frame: object, outside: int = 0, *, keyframe: int = 1, inside: str = "") -> str:
    state = f'frame="{frame}" keyframe="{keyframe}" outside="{outside}"'
    return f"<box {state} {SHAPE}>{inside}</box>"


def attribute(name: str, value: str) -> str:
    return f'<attribute name="{name}">{value}</attribute>'


def track(label: str, *shapes: str, more: str = "") -> str:
    return f'<track id="0" label="{label}" source="manual"{more}>{"".join(shapes)}</track>'


def task(body: str, *, size: int = 300, more: str = "", labels: str = "walk jump") -> str:
    names = "".join(f"<label><name>{name}</name></label>" for name in labels.split())
    return (
        f"<task><id>7</id><name>mice</name><size>{size}</size><mode>interpolation</mode>{more}"
        f"<labels>{names}</labels><source>mouse.mp4</source>{body}</task>"
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "annotations.xml"


def written(path: Path, meta: str, *elements: str, version: str = "1.1") -> Path:
    head = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>{version}</version>'
    path.write_text(f"{head}<meta>{meta}</meta>{''.join(elements)}</annotations>")
    return path


def whole(start: int, stop: int) -> str:
    return f"<start_frame>{start}</start_frame><stop_frame>{stop}</stop_frame>"


def test_tracks_begin_end_and_have_gaps(path: Path) -> None:
    fps = 29.97
    written(
        path,
        task("", more=whole(0, 2999), size=3000),
        track("walk", box(2997), box(2998, keyframe=0), box(2999, 1)),
        track("walk", box(0), box(1, keyframe=0), box(30, 1), box(60), box(90, 1, keyframe=0)),
        track("jump", box(40)),  # never ends: until the task does
        track("run", box(5), box(6, 1)),
    )
    assert recognise(path) == "cvat"
    labels = read_labels(path, fps=fps)
    (recording,) = labels.recordings
    assert recording == Recording(
        "mouse.mp4",
        (
            Bout(0, 30 / fps, "walk"),
            Bout(5 / fps, 6 / fps, "run"),
            Bout(40 / fps, 3000 / fps, "jump"),
            Bout(60 / fps, 90 / fps, "walk"),
            Bout(2997 / fps, 2999 / fps, "walk"),
        ),
        3000 / fps,
        fps,
    )
    assert recording.bouts[-1].start_seconds == pytest.approx(100)
    assert labels.classes == ("walk", "jump", "run")
    assert labels.notes == (f"{path}: run: a label that the ethogram lacks: it is added",)


def test_only_a_part_of_the_video_was_watched(path: Path) -> None:
    """Every fifth frame from 100 to 399; frames are numbered in the video."""
    more = f"{whole(100, 399)}<frame_filter>step=5</frame_filter>"
    written(
        path,
        task("", more=more, size=60),
        track("walk", box(100), box(150, 1)),
        track("jump", box(395)),
        track("jump", box(500)),
    )
    (recording,) = read_labels(path, fps=25).recordings
    assert recording.watched == ((4, 16),) and recording.seconds is None
    spans = [(b.start_seconds, b.end_seconds) for b in recording.bouts]
    assert spans == [(4, 6), (15.8, 16), (20, 20.2)]


def test_the_video_beside_says_the_rate_and_whether_it_goes_on(path: Path) -> None:
    write_clip(path.with_name("mouse.mp4"), frames=50)  # 25 frames a second
    written(path, task("", more=whole(0, 19), size=20), track("walk", box(5), box(10, 1)))
    (recording,) = read_labels(path).recordings
    assert recording == Recording("mouse.mp4", (Bout(0.2, 0.4, "walk"),), None, 25, ((0, 0.8),))
    written(path, task("", more=whole(0, 49), size=50), track("walk", box(5)))
    (recording,) = read_labels(path).recordings
    assert recording == Recording("mouse.mp4", (Bout(0.2, 2, "walk"),), 2, 25)


def test_an_action_is_what_its_label_does(path: Path) -> None:
    action = (
        "<attributes><attribute><name>action</name><mutable>True</mutable><input_type>select"
        "</input_type><values>__undefined__\nrun\nwalk\nrest</values></attribute></attributes>"
    )
    meta = task("", more=whole(0, 99), size=100, labels="cage").replace(
        "<labels>", f"<labels><label><name>Ann</name>{action}</label>"
    )
    states = ("__undefined__", "run", "run", "walk")
    shapes = [
        box(
            10 * i,
            inside=attribute("action", state)
            + attribute("coat", "wet" if i < 2 else "dry")
            + attribute("confidence", "0.5" if state == "run" else ""),
        )
        for i, state in enumerate(states)
    ]
    written(path, meta, track("Ann", *shapes), track("cage", box(0), box(4, 1)))
    labels = read_labels(path, fps=10)
    assert labels.recordings[0].bouts == (
        Bout(0, 0.4, "cage"),
        Bout(1, 3, "run", "Ann", "", 0.5, "coat: wet; coat: dry"),
        Bout(3, 10, "walk", "Ann", comment="coat: dry"),
    )
    assert labels.classes == ("run", "walk", "rest", "cage")
    assert labels.notes == (f"{path}: track 0, frame 0: no label: left out",)


def test_tags_and_shapes_of_frames_in_a_row_are_bouts(path: Path) -> None:
    frames = "".join(
        f'<image id="{i}" name="frame_{i:06d}" width="64" height="48">'
        + ('<tag label="walk" source="manual"></tag>' if i in (2, 3, 4, 8) else "")
        + (f'<box label="jump" {SHAPE}></box>' * 2 if i in (4, 5) else "")
        + "</image>"
        for i in range(10)
    )
    written(path, task("", more=whole(0, 9), size=10), frames)
    (recording,) = read_labels(path, fps=10).recordings
    assert recording.bouts == (
        Bout(0.2, 0.5, "walk"),
        Bout(0.4, 0.6, "jump"),
        Bout(0.8, 0.9, "walk"),
    )


def test_a_skeleton_is_seen_while_one_of_its_points_is(path: Path) -> None:
    shapes = []
    for frame, *states in ((0, 0, 1), (10, 1, 1), (20, 0, 0), (25, 1, 1)):
        points = "".join(f'<points label="{i}" outside="{o}"/>' for i, o in enumerate(states))
        shapes.append(f'<skeleton frame="{frame}" keyframe="1" z_order="0">{points}</skeleton>')
    written(path, task("", more=whole(0, 99), size=100), track("walk", *shapes))
    (recording,) = read_labels(path, fps=10).recordings
    assert recording.bouts == (Bout(0, 1, "walk"), Bout(2, 2.5, "walk"))


def test_a_project_numbers_the_frames_of_a_subset_on(path: Path) -> None:
    """Two tasks of one subset, and one of another, as the project's export counts them."""
    tasks = "".join(
        f"<task><id>{i}</id><size>{size}</size><subset>{subset}</subset>{more}"
        f"<assignee><username>{who}</username></assignee><source>{i}.mp4</source></task>"
        for i, size, subset, who, more in (
            (1, 20, "a", "ann", f"{whole(10, 49)}<frame_filter>step=2</frame_filter>"),
            (2, 30, "a", "", whole(0, 29)),
            (3, 40, "b", "", whole(0, 39)),
        )
    )
    written(
        path,
        f"<project><tasks>{tasks}</tasks><labels><label><name>walk</name></label></labels></project>",
        track("walk", box(10), box(20, 1), more=' task_id="1"'),
        track("walk", box(60), box(70, 1), more=' task_id="2"'),
        track("walk", box(35), more=' task_id="3"'),
        track("walk", box(0), more=' task_id="9"'),
    )
    labels = read_labels(path, fps=10)
    assert [(r.video, r.bouts, r.seconds) for r in labels.recordings] == [
        ("1.mp4", (Bout(1, 2, "walk", annotator="ann"),), None),
        ("2.mp4", (Bout(1, 2, "walk"),), 3),
        ("3.mp4", (Bout(3.5, 4, "walk"),), 4),
    ]
    assert labels.recordings[0].watched == ((1, 5),)
    assert labels.notes == (f"{path}: track 0: it belongs to no task of the file: left out",)


def test_odd_shapes_are_notes(path: Path) -> None:
    written(
        path,
        "<task><source>mouse.mp4</source></task>",
        track("walk", box("x"), box(10), box(10, 1), box(10), box(12)),
        track("", box(1), box(2, 1)),
        track("walk", box(-5), box(5, 1)),
        track("walk"),
    )
    labels = read_labels(path, fps=10)
    assert labels.recordings[0].bouts == (Bout(0, 0.5, "walk"), Bout(1, 1.3, "walk"))
    said = " ".join(labels.notes)
    for words in (
        "track 0: a shape without a frame number: left out",
        "track 0: it has no end, nor the task: it ends with its last shape",
        "track 0, frame 1: no label: left out",
        "track 0, frame -5: starts before 0: cut there",
    ):
        assert words in said
    assert len(labels.notes) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotations><version>2.0</version></annotations>", "version 2.0 of CVAT's format"),
        ("<annotation><folder>VOC</folder></annotation>", "no annotation file of CVAT"),
        ("<annotations><version>1.1</version><meta>", "is not readable as XML"),
        ("<annotations><version>1.1</version></annotations>", "say the rate with --fps"),
        (
            '<!DOCTYPE a [<!ENTITY b "bb">]><annotations><version>1.1</version>&b;</annotations>',
            "declares a document type",
        ),
        (
            "<annotations><meta><project><tasks><task><id>1</id><fps>5</fps></task><task><id>1</id>"
            "<fps>5</fps></task></tasks></project></meta></annotations>",
            "two tasks have the id '1'",
        ),
        (
            "<annotations><meta><task><fps>1e-300</fps></task></meta></annotations>",
            "fps must be a number from 0.01 to 10000",
        ),
    ],
)
def test_what_is_none_is_one_sentence(text: str, words: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_labels(path, "cvat")


def test_what_is_written_is_as_cvat_imports_it(path: Path) -> None:
    """No frame beyond the task's last, which CVAT refuses; attributes are declared."""
    bouts = (Bout(1, 2, "walk", "Ann"), Bout(8, 10, "walk"))
    labels = Labels((Recording("mouse.mp4", bouts, 10, 25),), ("jump", "walk"))
    assert write_labels(labels, path, "cvat") == ()
    root = ElementTree.parse(path).getroot()
    frames = [(b.get("frame"), b.get("outside")) for b in root.iter("box")]
    assert frames == [("25", "0"), ("50", "1"), ("200", "0")]
    assert root.findtext("meta/task/stop_frame") == "249"
    names = [label.findtext("name") for label in root.iter("label")]
    declared = [a.findtext("name") for a in root.iterfind(".//label[1]/attributes/attribute")]
    assert names == ["jump", "walk"] and declared == ["subject"]
    needed = {"frame", "keyframe", "outside", "occluded", "xtl", "ytl", "xbr", "ybr"}
    assert all(needed <= set(b.attrib) for b in root.iter("box"))
    assert read_labels(path) == labels
