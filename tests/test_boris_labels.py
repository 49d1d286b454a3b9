"""BORIS: projects and exported tables of its versions, with what is odd in people's files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from twostream.labels import Bout, Labels, Recording, label_text, read_labels, write_labels
from twostream.labels.formats import recognise
from twostream.types import DataError

ETHOGRAM = {
    "0": {"type": "State event", "key": "g", "code": "groom", "modifiers": {}},
    "1": {"type": "Point event", "key": "b", "code": "bite", "modifiers": {}},
    "2": {"type": "State event with coding map", "key": "r", "code": "rest", "modifiers": {}},
}


def observation(*events: list[Any], videos: list[str] | None = None, **more: Any) -> dict[str, Any]:
    videos = ["/data/day1.mp4"] if videos is None else videos
    return {
        "type": "MEDIA",
        "date": "2024-05-02T10:00:00",
        "file": {"1": videos, "2": []},
        "time offset": 0.0,
        "events": list(events),
        "media_info": {
            "length": dict.fromkeys(videos, 60.0),
            "fps": dict.fromkeys(videos, 25.0),
        },
    } | more


def project(path: Path, **observations: dict[str, Any]) -> Path:
    subjects = {"0": {"key": "1", "name": "Ann"}, "1": {"key": "2", "name": "nobody ever"}}
    body = {
        "time_format": "hh:mm:ss",
        "project_format_version": "7.0",
        "subjects_conf": subjects,
        "behaviors_conf": ETHOGRAM,
        "observations": observations,
    }
    path.write_text(json.dumps(body))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.boris"


def test_states_are_pairs_and_points_are_points(path: Path) -> None:
    events = [
        [1.5, "", "groom", "", "begins", 37],
        [2.0, "Ann", "groom", "face|None", ""],
        [2.5, "Ann", "bite", "hard", "ouch"],
        [3.0, "", "groom", "", "", 75],
        [4.0, "Ann", "groom", "face|None", "ends"],
    ]
    labels = read_labels(project(path, first=observation(*events)))
    bouts = (
        Bout(1.5, 3.0, "groom", comment="begins"),
        Bout(2.0, 4.0, "groom", "Ann", comment="modifier face; ends"),
        Bout(2.5, 2.5, "bite", "Ann", comment="modifier hard; ouch"),
    )
    assert labels.recordings == (Recording("/data/day1.mp4", bouts, 60, 25),)
    assert labels.classes == ("groom", "bite", "rest") and labels.points == {"bite"}
    assert labels.notes == ()


def test_a_state_without_an_end_lasts_until_the_end(path: Path) -> None:
    events = ([1, "", "groom", "", ""], [2, "", "groom", "", ""], [50.0, "", "groom", "", ""])
    labels = read_labels(project(path, first=observation(*events)))
    assert labels.recordings[0].bouts == (Bout(1, 2, "groom"), Bout(50, 60, "groom"))
    why = "observation first, event 3: groom begins and never ends: until the end"
    assert labels.notes == (f"{path}: {why}",)
    unknown = observation(*events, media_info={"length": {}, "fps": {}})
    labels = read_labels(project(path, first=unknown))
    assert labels.recordings[0].bouts == (Bout(1, 2, "groom"),)
    assert "groom begins and never ends: left out" in labels.notes[0]


def test_videos_in_sequence_have_their_own_clocks(path: Path) -> None:
    events = [
        [105.0, "", "bite", "", ""],
        [150.0, "", "groom", "", ""],
        [170.0, "", "groom", "", ""],
        [160.0, "", "bite", "", ""],
    ]
    both = observation(*events, videos=["a.mp4", "b.mp4"], **{"time offset": 100.0})
    labels = read_labels(project(path, long=both))
    a, b = labels.recordings
    assert (a.video, a.bouts) == ("a.mp4", (Bout(5, 5, "bite"), Bout(50, 60, "groom")))
    assert (b.video, b.bouts) == ("b.mp4", (Bout(0, 0, "bite"), Bout(0, 10, "groom")))
    both["media_info"] = {"length": {"b.mp4": 60.0}, "fps": {}}
    with pytest.raises(DataError, match=r"observation long plays several videos, and the length"):
        read_labels(project(path, long=both))


def test_players_live_observations_and_two_observers(path: Path) -> None:
    pair = [[1, "", "groom", "", ""], [2, "", "groom", "", ""]]
    two = observation(*pair, file={"1": ["/data/day1.mp4"], "2": ["side.mp4"]})
    live = observation(*pair, videos=[], type="LIVE", file=[], media_info={"offset": {}})
    labels = read_labels(project(path, eva=two, kim=observation(*pair), outside=live))
    first, outside = labels.recordings
    assert first.bouts == (Bout(1, 2, "groom", "", "eva"), Bout(1, 2, "groom", "", "kim"))
    assert (outside.video, outside.bouts) == ("outside", (Bout(1, 2, "groom"),))
    assert [note.partition(": ")[2] for note in labels.notes] == [
        "observation eva: other players show the same time: the labels are for player 1's video",
        "observation outside: it has no video, and is called as it is",
    ]


def test_an_observers_stretch_does_not_cut_off_what_another_saw(path: Path) -> None:
    pair = [[40, "", "groom", "", ""], [42, "", "groom", "", ""]]
    limited = observation(*pair, **{"observation time interval": [0, 30]})
    labels = read_labels(project(path, eva=limited, kim=observation(*pair)))
    assert labels.recordings[0].watched is None
    assert [note.partition(": ")[2] for note in labels.notes] == [
        "observation eva: its time interval is not used: another observation is of the whole video"
    ]
    both = read_labels(project(path, eva=limited, kim=limited))
    assert both.recordings[0].watched == ((0, 30),)


def test_observers_who_left_their_name_empty_are_two(path: Path) -> None:
    pair = [[1, "", "groom", "", ""], [2, "", "groom", "", ""]]
    empty = observation(*pair, independent_variables={"observer": ""})
    named = observation(*pair, independent_variables={"observer": "Kim"})
    labels = read_labels(project(path, day1=empty, day2=empty))
    assert [bout.annotator for bout in labels.recordings[0].bouts] == ["day1", "day2"]
    labels = read_labels(project(path, day1=empty, day2=named))
    assert [bout.annotator for bout in labels.recordings[0].bouts] == ["", "Kim"]


def test_unknown_labels_late_times_and_intervals(path: Path) -> None:
    events = [
        [1, "", "sneeze", "", ""],
        [float("nan"), "", "bite", "", ""],
        [58, "", "groom", "", ""],
        [61, "", "groom", "", ""],
        [60.02, "", "bite", "", ""],
        [70, "", "bite", "", ""],
    ]
    limited = observation(*events, **{"observation time interval": [10, 0]})
    labels = read_labels(project(path, one=limited))
    (recording,) = labels.recordings
    assert recording.bouts == (Bout(58, 60, "groom"), Bout(60, 60, "bite"))
    assert recording.watched == ((10, 60),)
    assert [note.partition("one, ")[2] for note in labels.notes] == [
        "event 1: sneeze is not in the ethogram, so whether it lasts is not known: left out",
        "event 2: no time in seconds: left out",
        "event 3: ends after the end of the video: cut there",
        "event 6: begins after the end of the video: left out",
    ]


START = '{"behaviors_conf": {}, "observations": '


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not readable as JSON"),
        ("[1]", "a project must be an object"),
        ('{"observations": {}}', "is no BORIS project"),
        (
            '{"behaviors_conf": {}, "observations": {"a": {"events": [[1]]}}}',
            "a, event 1: expected",
        ),
        ('{"behaviors_conf": {}, "observations": {"a": {"events": {}}}}', "events must be a list"),
    ],
)
def test_what_is_no_project_is_one_sentence(path: Path, text: str, words: str) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_labels(path, "boris")


def test_what_is_written_is_as_boris_writes(path: Path) -> None:
    bouts = (
        Bout(1, 2, "groom", "Ann", confidence=0.5),
        Bout(2, 3, "groom", "Ann"),
        Bout(2, 2, "bite"),
    )
    labels = Labels((Recording("a.mp4", bouts, 60, 29.97),), ("bite", "groom"))
    assert write_labels(labels, path) == ()
    written = json.loads(path.read_text())
    assert written["behaviors_conf"]["0"]["type"] == "Point event"
    assert written["subjects_conf"]["0"]["name"] == "Ann"
    (only,) = written["observations"].values()
    assert only["file"] == {"1": ["a.mp4"]} and only["media_info"]["fps"] == {"a.mp4": 29.97}
    assert only["events"] == [
        [1, "Ann", "groom", "", "confidence 0.5"],
        [2, "Ann", "groom", "", ""],
        [2, "", "bite", "", ""],
        [2, "Ann", "groom", "", ""],
        [3, "Ann", "groom", "", ""],
    ]


# --- exported tables

V7_TABULAR = """Observation id\tfirst
\t
Media file(s)\t
Player #1\tday1.mp4
\t
Observation date\t2019-05-02 10:00:00
Time offset (s)\t10.0
\t
Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus
11.500\tday1.mp4\t60.0\t25.0\tAnn\tgroom\t\tin the corner\tSTART
12.000\tday1.mp4\t60.0\t25.0\tNo focal subject\tbite\t\t\tPOINT
13.250\tday1.mp4\t60.0\t25.0\tAnn\tgroom\t\t\tSTOP
"""
V7_AGGREGATED = (
    "Observation id,Observation date,Media file,Total length,FPS,Subject,Behavior,Modifiers,"
    "Behavior type,Start (s),Stop (s),Duration (s),Comment start,Comment stop\n"
    "first,2019-05-02,day1.mp4,60.0,25.0,Ann,groom,,STATE,1.5,3.25,1.75,in the corner,\n"
    "first,2019-05-02,day1.mp4,60.0,25.0,No focal subject,bite,,POINT,2.0,2.0,0,,\n"
)
V8_HEAD = (
    "Observation id\tObservation date\tDescription\tObservation type\tSource\tTime offset (s)\t"
    "Coding duration\tMedia duration (s)\tFPS (frame/s)\tweather\tSubject\t"
)
V8_ROW = "first\t2024-05-02 10:00:00\t\tMedia file(s)\t{}\t0.0\t60.0\t{}\t{}\train\t"
V8_ONE = V8_ROW.format("player #1:day1.mp4", "60.000", "25.000")
V8_TABULAR = (
    V8_HEAD + "Behavior\tBehavioral category\tBehavior type\tTime\tMedia file name\tImage index\t"
    "Image file path\tComment\n"
    + V8_ONE
    + "Ann\tgroom\tNot defined\tSTART\t1.500\tday1.mp4\t37\tNA\tin the corner\n"
    + V8_ONE
    + "\tbite\tNot defined\tPOINT\t2.000\tday1.mp4\t50\tNA\t\n"
    + V8_ONE
    + "Ann\tgroom\tNot defined\tSTOP\t3.250\tday1.mp4\t81\tNA\t\n"
)
V9_AGGREGATED = (
    V8_HEAD + "Observation duration by subject by observation\tBehavior\tBehavioral category\t"
    "Behavior type\tStart (s)\tStop (s)\tDuration (s)\tMedia file name\tImage index start\t"
    "Image index stop\tImage file path start\tImage file path stop\tComment start\tComment stop\n"
    + V8_ONE
    + "Ann\t1.75\tgroom\tNot defined\tSTATE\t1.500\t3.250\t1.750\tday1.mp4\t37\t81\t\t\t"
    + "in the corner\t\n"
    + V8_ONE
    + "No focal subject\t0\tbite\tNot defined\tPOINT\t2.000\t2.000\tNA\tday1.mp4\t50\t50\t\t\t\t\n"
)
SAME = Recording(
    "day1.mp4",
    (Bout(1.5, 3.25, "groom", "Ann", comment="in the corner"), Bout(2, 2, "bite")),
    60,
    25,
)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (V7_TABULAR, "boris-tabular"),
        (V7_AGGREGATED, "boris-aggregated"),
        (V8_TABULAR, "boris-tabular"),
        (V9_AGGREGATED, "boris-aggregated"),
        (V8_TABULAR.replace("\t", ","), "boris-tabular"),
    ],
    ids=["v7 tabular", "v7 aggregated", "v8 tabular", "v9 aggregated", "csv"],
)
def test_tables_of_all_versions_say_the_same(table: str, kind: str, tmp_path: Path) -> None:
    (path := tmp_path / "events.tsv").write_text(table)
    assert recognise(path) == kind
    labels = read_labels(path)
    assert labels.recordings == (SAME,) and labels.notes == () and labels.points == {"bite"}


def test_tables_of_videos_in_sequence_and_of_odd_rows(tmp_path: Path) -> None:
    several = V8_ROW.format(
        "player #1:a.mp4;b.mp4|player #2:c.mp4", "60.000;30.000|90.000", "25;30|25"
    )
    header, *_ = V8_TABULAR.splitlines()
    rows = [
        "Ann\tgroom\t\tSTART\t50.0\ta.mp4\t\t\t",
        "Ann\tgroom\t\tSTOP\t70.0\tb.mp4\t\t\t",
        "Ann\tgroom\t\tSTOP\t71.0\tb.mp4\t\t\t",
        "Ann\tgroom\t\tPAUSE\t72.0\tb.mp4\t\t\t",
        "Ann\trest\t\tSTART\t80.0\tb.mp4\t\t\t",
    ]
    (path := tmp_path / "events.tsv").write_text(
        "\n".join([header, *(several + row for row in rows)])
    )
    labels = read_labels(path)
    assert labels.recordings == (
        Recording("a.mp4", (Bout(50, 60, "groom", "Ann"),), 60, 25),
        Recording("b.mp4", (Bout(0, 10, "groom", "Ann"), Bout(20, 30, "rest", "Ann")), 30, 30),
    )
    assert [note.removeprefix(f"{path}: ") for note in labels.notes] == [
        "line 5: neither START, STOP nor POINT: left out",
        "line 4: groom ends that never began: left out",
        "line 6: rest begins and never ends: until the end",
    ]


@pytest.mark.parametrize(
    "table",
    [
        V7_TABULAR.replace("3.250\tday1.mp4", "3.250\tday2.mp4"),
        V7_TABULAR.replace("Player #1\tday1.mp4\n", "Player #1\tday0.mp4\nPlayer #1\tday1.mp4\n"),
    ],
)
def test_old_tables_of_several_videos_are_refused(table: str, tmp_path: Path) -> None:
    (path := tmp_path / "events.tsv").write_text(table)
    with pytest.raises(DataError, match="observation first plays several videos, whose lengths"):
        read_labels(path)


def test_two_observations_may_measure_one_video_differently(path: Path) -> None:
    other = observation(media_info={"length": {"/data/day1.mp4": 60.04}, "fps": {}})
    labels = read_labels(project(path, eva=observation(), kim=other))
    assert labels.recordings[0].seconds == 60.04
    other["media_info"]["length"] = {"/data/day1.mp4": 90.0}
    with pytest.raises(DataError, match=r"has the seconds 60\.0 and 90\.0: keep one"):
        read_labels(project(path, eva=observation(), kim=other))


# --- packed projects


def test_a_packed_project_is_the_same(tmp_path: Path) -> None:
    bouts = (Bout(1, 2, "walk"), Bout(3, 3, "jump"))
    labels = Labels((Recording("a.mp4", bouts, 10, 25),), ("walk", "jump"))
    plain, packed = tmp_path / "a.boris", tmp_path / "b.boris.gz"
    write_labels(labels, plain)
    write_labels(labels, packed)
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert recognise(packed) == "boris" and read_labels(packed) == labels


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(b"{}" * 4000, mtime=0)[:-9], "it ends before what is packed in it does"),
        (b"\x1f\x8b and no more", "is damaged: it cannot be unpacked"),
        (
            gzip.compress(b" " * (1 << 20)),
            "has more when it is unpacked, and a file of labels may have 0 MiB",
        ),
    ],
)
def test_what_is_packed_is_not_trusted(
    data: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_text, "MOST_BYTES", 1 << 19)
    path = tmp_path / "c.boris.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_labels(path, "boris")
