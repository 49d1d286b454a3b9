"""VIA 3 projects, ActivityNet's JSON and Create ML's annotations, with what is odd in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twostream.labels import Bout, Labels, Recording, read_labels, write_labels
from twostream.labels.formats import recognise
from twostream.labels.video_facts import find_video, with_rates
from twostream.types import DataError
from untrained import write_clip


def saved(path: Path, body: Any) -> Path:
    path.write_text(json.dumps(body))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.json"


# --- VIA 3


def attribute(name: str, kind: int = 1, anchor: str = "FILE1_Z2_XY0", **options: str) -> Any:
    facts = {"aname": name, "anchor_id": anchor, "type": kind, "desc": ""}
    return facts | {"options": options, "default_option_id": ""}


def segment(view: str, times: list[Any], region: list[int] | None = None, **values: Any) -> Any:
    said = {key.removeprefix("a"): value for key, value in values.items()}
    return {"vid": view, "flg": 0, "z": times, "xy": region or [], "av": said}


def via(*pieces: Any, version: str = "3.1.1", **attributes: Any) -> dict[str, Any]:
    files = {
        "1": {"fid": 1, "fname": "mouse.mp4", "type": 4, "loc": 1, "src": ""},
        "2": {"fid": 2, "fname": "b.mp4", "type": 4, "loc": 3, "src": "day 1/b.mp4"},
        "3": {"fid": 3, "fname": "a.jpg", "type": 2, "loc": 1, "src": ""},
    }
    return {
        "project": {"pid": "__VIA_PROJECT_ID__", "data_format_version": version, "vid_list": ["1"]},
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "/data/", "4": ""}}, "ui": {}},
        "attribute": {key.removeprefix("a"): value for key, value in attributes.items()},
        "file": files,
        "metadata": {f"1_{number}": piece for number, piece in enumerate(pieces)},
        "view": {"1": {"fid_list": [1]}, "2": {"fid_list": ["2", "1"]}, "3": {"fid_list": [3]}},
    }


def test_temporal_segments_of_via_are_bouts(path: Path) -> None:
    saved(
        path,
        via(
            segment("1", [1.25, 2.5], a1="start", a2="1", a4="Ann"),
            segment("1", [3.0], a2="0"),
            segment("2", [0, 4], a2="0", a3="0,1"),
            segment("1", [0.5], [2, 10, 10, 50, 50], a5="cup"),
            segment("1", [], a6="sunny"),
            segment("3", [], [2, 1, 1, 2, 2]),
            segment("1", [5, 6], a2="a name of its own"),
            a1=attribute("phase"),
            a2=attribute("Activity", 4, **{"0": "rest", "1": "walk", "2": "jump"}),
            a3=attribute("where", 2, **{"0": "wall", "1": "door"}),
            a4=attribute("subject"),
            a5=attribute("object", 1, "FILE1_Z1_XY1"),
            a6=attribute("weather", 1, "FILE1_Z0_XY0"),
        ),
    )
    assert recognise(path) == "via"
    labels = read_labels(path)
    assert labels.recordings == (
        Recording(
            "mouse.mp4",
            (
                Bout(1.25, 2.5, "walk", "Ann", comment="phase: start"),
                Bout(3, 3, "rest"),
                Bout(5, 6, "a name of its own"),
            ),
        ),
        Recording("/data/day 1/b.mp4", (Bout(0, 4, "rest", comment="where: wall, door"),)),
    )
    assert labels.classes == ("rest", "walk", "jump", "a name of its own")
    assert labels.notes == (
        f"{path}: Activity is taken for the label, phase, where for comments",
        f"{path}: view 2: it shows several videos: the labels are for /data/day 1/b.mp4",
        f"{path}: segment 1_3: a region of a picture, which has no duration: left out",
        f"{path}: a name of its own: a label that the ethogram lacks: it is added",
    )


def test_a_box_to_tick_is_several_labels_and_older_projects_are_read(path: Path) -> None:
    body = via(
        segment("1", [1, 2], a1="0,2"),
        segment("9", [1, 2], a1="0"),
        segment("1", [1, "x"], a1="0"),
        segment("1", [2, 1], a1="0"),
        segment("1", [1, 2, 3], a1="0"),
        segment("1", [1, 2]),
        version="3.1.0",
        a1=attribute("label", 2, **{"0": "rest", "1": "walk", "2": "jump"}),
    )
    body["config"]["file"] = {"path": "/home/"}
    body["vid_list"] = body["project"].pop("vid_list")
    labels = read_labels(saved(path, body))
    assert labels.recordings[0].bouts == (Bout(1, 2, "jump"), Bout(1, 2, "rest"))
    said = [note.removeprefix(f"{path}: segment ") for note in labels.notes[1:]]
    assert said == [
        "1_1: it belongs to no video: left out",
        "1_2: no time in seconds: left out",
        "1_3: ends before it starts: left out, so its time has no label",
        "1_4: it has 3 times, not a start and an end: left out",
        "1_5: no label: left out",
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"_via_settings": {}, "_via_img_metadata": {}}, "a project of VIA 2, which labels pict"),
        ({"project": {}, "file": {}}, "no project of VIA 3: it has no attribute"),
        (via(version="4.0"), "of the format 4.0 of VIA, expected 3.1"),
        (via(3), "segment 1_0 must be an object, got 3"),
        (via(a1=5), "an attribute must be an object, got 5"),
    ],
)
def test_what_is_no_project_of_via_is_one_sentence(body: Any, words: str, path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_labels(saved(path, body), "via")


def test_a_project_for_via_has_what_it_needs(path: Path) -> None:
    """The options of a list are ids; a video of the web has its address."""
    bouts = (Bout(1, 2, "walk", "Ann", confidence=0.5),)
    recordings = (Recording("a.mp4", bouts), Recording("https://lab.org/b.mp4", ()))
    labels = Labels(recordings, ("jump", "walk"), frozenset({"jump"}))
    write_labels(labels, path, "via")
    body = json.loads(path.read_text())
    kinds = [(each["aname"], each["type"]) for each in body["attribute"].values()]
    assert kinds == [("label", 4), ("subject", 1), ("confidence", 1)]
    assert body["attribute"]["1"]["options"] == {"1": "jump", "2": "walk"}
    (piece,) = body["metadata"].values()
    assert piece == segment("1", [1, 2], a1="2", a2="Ann", a3="0.5")
    assert [(each["loc"], each["src"]) for each in body["file"].values()] == [
        (1, ""),
        (2, "https://lab.org/b.mp4"),
    ]
    assert body["project"]["vid_list"] == ["1", "2"] == list(body["view"])
    assert read_labels(path) == labels


# --- ActivityNet


def test_a_database_has_classes_sides_and_lengths(path: Path) -> None:
    nodes = [("Root", 0, None), ("Sports", 1, 0), ("jump", 2, 1), ("walk", 3, 1), ("rest", 4, 0)]
    taxonomy = [{"nodeName": n, "nodeId": i, "parentId": p} for n, i, p in nodes]
    walk = {"segment": [1.5, 2], "label": "walk"}
    database = {
        "v1": {"subset": "training", "duration": 10, "annotations": [walk, walk]},
        "v2": {"subset": "Validation", "duration": 3.0, "fps": 29.97, "annotations": []},
        "v3": {
            "subset": "secret",
            "duration": 3,
            "annotations": [
                {"segment": [2, 3.05], "label": "rest"},
                {"segment": [1], "label": "rest"},
                {"segment": [2, 9], "label": "rest"},
                {"segment": [4, 9], "label": "run"},
            ],
        },
    }
    saved(path, {"taxonomy": taxonomy, "version": "VERSION 1.3", "database": database})
    assert recognise(path) == "activitynet"
    labels = read_labels(path)
    assert labels.recordings == (
        Recording("v1", (Bout(1.5, 2, "walk"),), 10, split="train"),
        Recording("v2", (), 3, 29.97, split="val"),
        Recording("v3", (Bout(2, 3, "rest"),), 3),
    )
    assert labels.classes == ("jump", "walk", "rest")
    assert labels.notes == (
        f"{path}: video v3: its subset is neither training, validation nor testing: left out",
        f"{path}: video v3, segment 2: no time in seconds: left out",
        f"{path}: video v3, segment 3: ends after the end of the video: cut there",
        f"{path}: video v3, segment 4: begins after the end of the video: left out",
    )


def test_results_have_scores_and_numbers_order_classes(path: Path) -> None:
    bouts = [{"score": 0.5, "label": "walk", "segment": [1, 2]}, {"score": 7, "segment": [1, 2]}]
    saved(path, {"version": "VERSION 1.3", "results": {"v1": bouts}, "external_data": {}})
    assert recognise(path) == "activitynet"
    labels = read_labels(path)
    assert labels.recordings == (Recording("v1", (Bout(1, 2, "walk", confidence=0.5),)),)
    assert labels.notes == (f"{path}: results of v1, segment 2: no label: left out",)
    numbered = [
        {"segment": [0, 1], "label": label, "label_id": number}
        for label, number in (("walk", 1), ("zoom", 0), ("walk", 1))
    ]
    body = {"database": {"v1": {"subset": "Test", "annotations": numbered}}}
    assert read_labels(saved(path, body)).classes == ("zoom", "walk")


def test_a_video_is_found_by_its_id(path: Path) -> None:
    """ActivityNet names videos without a suffix."""
    body = {"database": {"v1": {"annotations": [{"segment": [0, 1], "label": "walk"}]}}}
    video = write_clip(path.with_name("v1.avi"))  # 25 frames a second
    assert find_video("v1", path.parent) == video and find_video("v2", path.parent) is None
    assert find_video("D:\\cage\\v1.mp4", path.parent) == video  # as training finds it
    rated = with_rates(read_labels(saved(path, body)), path.parent)
    assert rated.recordings[0].fps == 25


def test_what_is_written_is_truth_and_predictions_of_its_own(path: Path) -> None:
    """ActivityNet's evaluation wants these keys of a file, and `subset` of each video."""
    told, guessed = Bout(1, 2, "walk"), Bout(1, 3, "walk", confidence=0.5)
    labels = Labels((Recording("v1", (told, guessed), 9, split="val"),), ("walk",))
    write_labels(labels, path, "activitynet")
    body = json.loads(path.read_text())
    assert set(body) == {"version", "taxonomy", "database", "results", "external_data"}
    assert body["database"]["v1"] == {
        "subset": "validation",
        "duration": 9,
        "annotations": [{"segment": [1, 2], "label": "walk"}],
    }
    assert body["results"] == {"v1": [{"segment": [1, 3], "label": "walk", "score": 0.5}]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"version": "1"}, "neither database nor results"),
        ({"database": []}, "database must be an object"),
        ({"database": {"v": {"annotations": {}}}}, "video v must be a list"),
        ({"database": {"v": {"duration": -1}}}, "a recording cannot last -1"),
        ({"database": {"v": {"duration": 1e300}}}, "a recording cannot last 1e\\+300"),
        ({"results": {"v": [1]}}, "results of v must be an object, got 1"),
    ],
)
def test_what_activitynet_does_not_write_is_one_sentence(body: Any, words: str, path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_labels(saved(path, body), "activitynet")


# --- Create ML

TABLE = """video,label,start,end
a.mov,walk,1.5,4
a.mov,jump,01:03.25,00:01:04
clip.avi,rest,,
b.mov,rest,2,
,,1,2
a.mov,walk,x,4
"""
BOUTS = (Bout(1.5, 4, "walk"), Bout(63.25, 64, "jump"))


def test_create_ml_is_read_as_a_table_and_as_json(path: Path) -> None:
    table = path.with_suffix(".csv")
    table.write_text(TABLE)
    write_clip(table.with_name("clip.avi"), frames=50)
    assert recognise(table) == "create-ml"
    labels = read_labels(table)
    expected = (
        Recording("a.mov", BOUTS),
        Recording("clip.avi", (Bout(0, 2, "rest"),)),
        Recording("b.mov", ()),
    )
    assert labels.recordings == expected
    assert [note.removeprefix(f"{table}: ") for note in labels.notes] == [
        "line 5: it lasts until the end of a video that is not there: left out",
        "line 6: neither a video nor a label: left out",
        "line 7: no time in seconds: left out",
    ]
    entries = [
        {"videoPath": "a.mov", "label": "walk", "startTime": 1.5, "endTime": 4},
        {"videoPath": "a.mov", "label": "jump", "startTime": "01:03.25", "endTime": "00:01:04"},
    ]
    assert recognise(saved(path, entries)) == "create-ml"
    assert read_labels(path).recordings == expected[:1]


def test_a_table_for_create_ml_has_its_columns(path: Path) -> None:
    labels = Labels((Recording("a.mov", (*BOUTS, Bout(2, 3, "=1"))),), ("=1", "jump", "walk"))
    table = path.with_suffix(".csv")
    assert write_labels(labels, table, "create-ml") == ()
    assert table.read_text().splitlines()[:3] == [
        "video,label,start,end",
        "a.mov,walk,1.5,4",
        "a.mov,'=1,2,3",
    ]
    assert read_labels(table, "create-ml") == labels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("video,label\na,b\n", "no column start"),
        ("video,label,start,end\na,b,1,2,3\n", "5 columns, but the header has 4"),
        ('[{"video": "a.mov"}]', "entry 1: expected video, label, start and end"),
        ('{"video": "a.mov"}', "annotations must be a list"),
        ("[1]", "entry 1 must be an object"),
    ],
)
def test_what_create_ml_does_not_write_is_one_sentence(text: str, words: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_labels(path, "create-ml")


def test_a_list_of_clips_stays_a_list(tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("video,label\na.mov,walk\n")
    with pytest.raises(DataError, match="is no label file that is known"):
        recognise(table)
    table.write_text("video,label,start,end,split\na.mov,walk,1,2,train\n")
    with pytest.raises(DataError, match="is no label file that is known"):
        recognise(table)
