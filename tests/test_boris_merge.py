"""BORIS projects that get other labels: what stays, and when they are made anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from test_boris_labels import observation, project
from twostream.labels import Bout, Labels, boris_project, read_labels


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.boris"


def test_a_project_with_other_labels_keeps_the_rest(path: Path) -> None:
    pair = [[11, "", "groom", "", ""], [12, "", "groom", "", ""]]
    video = {"file": {"1": ["/data/day2.mp4"], "2": ["side.mp4"]}, "time offset": 10}
    variables = {"mouse": "m7", "observer": "Kim"}
    two = observation(*pair, independent_variables=variables, description="wet", **video)
    odd = observation([1, "", "yawn", "", ""], *pair)  # yawn is not in the ethogram
    project(path, first=odd, second=two)
    written = json.loads(path.read_text())
    written["behaviors_conf"]["0"] |= {"key": "g", "color": "red"}
    path.write_text(json.dumps(written))
    before = read_labels(path)
    assert changed(path, before) == written  # nothing new: all stays
    day2 = replace(
        before.recordings[1], bouts=(Bout(3, 4, "groom", "", "Kim"), Bout(6, 7, "dig", "", "Kim"))
    )
    labels = replace(
        before, recordings=(before.recordings[0], day2), classes=(*before.classes, "dig")
    )
    now = changed(path, labels)
    assert now["observations"]["first"] == written["observations"]["first"]
    second = now["observations"]["second"]
    assert [event[0] for event in second["events"]] == [3, 4, 6, 7] and second["time offset"] == 0
    assert second["independent_variables"] == variables and second["description"] == "wet"
    rows = {row["code"]: row for row in now["behaviors_conf"].values()}
    assert rows["groom"]["key"] == "g" and rows["dig"]["type"] == "State event"
    path.write_text(json.dumps(now))
    assert read_labels(path) == labels
    gone = replace(labels, recordings=labels.recordings[:1])
    assert list(changed(path, gone)["observations"]) == ["first"]


def test_of_a_video_the_observation_that_is_changed_is_new_and_no_other(path: Path) -> None:
    pair = [[1, "", "groom", "left", "", 25], [3, "", "groom", "left", "", 75]]
    ann = observation(*pair, independent_variables={"observer": "Ann"}, description="dry")
    written = json.loads(project(path, S1=ann, S2=observation(description="empty")).read_text())
    before = read_labels(path)
    late = Bout(59, 60.5, "groom")  # of nobody, and a little behind the length that is noted
    (recording,) = before.recordings
    more = replace(recording, bouts=(*recording.bouts, late), seconds=60.5)
    labels = replace(before, recordings=(more,))
    now = changed(path, labels)
    assert now["observations"]["S1"] == written["observations"]["S1"]
    assert now["observations"]["S2"]["description"] == "empty"
    path.write_text(json.dumps(now))
    assert read_labels(path).recordings[0].bouts == more.bouts


@pytest.mark.parametrize(
    ("odd", "like"),
    [
        ({"code": "groom "}, "groom"),  # events would be of a behaviour that is not there
        ({"type": "Point event"}, "groom"),  # of other videos two points would be a state
        ({"modifiers": None}, "rest"),
    ],
)
def test_a_project_that_would_say_something_else_is_made_anew(
    path: Path, odd: dict[str, Any], like: str
) -> None:
    groom = [[1, "", odd.get("code", "groom"), "", ""], [3, "", odd.get("code", "groom"), "", ""]]
    elsewhere = observation(*groom, videos=["/data/day2.mp4"])
    written = json.loads(project(path, one=observation(), two=elsewhere).read_text())
    written["behaviors_conf"]["0"] |= odd
    path.write_text(json.dumps(written))
    before = read_labels(path)
    first, second = before.recordings
    more = replace(first, bouts=(Bout(5, 8, like),))
    labels = replace(before, recordings=(more, second))
    path.write_bytes(boris_project.text_with(path, labels).encode())  # type: ignore[union-attr]
    bouts = {each.video: each.bouts for each in read_labels(path).recordings}
    assert bouts == {"/data/day1.mp4": more.bouts, "/data/day2.mp4": second.bouts}


def changed(path: Path, labels: Labels) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(boris_project.text_with(path, labels))
    return found
