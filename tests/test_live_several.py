"""Several live sources in one process, and alerts of what they show."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camera_on_paper import Camera, PaperClock, with_room
from timed_clips import paused, write_timed
from twostream.__main__ import run
from twostream.alerts import Alarm, Rule, Watched
from twostream.alerts.alert_log import AlertLog
from twostream.alerts.alerting import Alerting
from twostream.bout_model import BoutModel
from twostream.cli.console import Shown
from twostream.cli.live_watch import _Teller
from twostream.prediction import Timeline, TwoStreamPredictor
from twostream.prediction.live import Gap, Live, LivePrediction
from twostream.prediction.live_events import Lost
from twostream.prediction.live_several import LiveSeveral
from twostream.prediction.prediction import Prediction
from twostream.prediction.recorded_alarms import recorded_alarms
from twostream.video.live_sources import FileSource
from untrained import CLASSES, own_threads, write_clip

WINDOWS = {"window_seconds": 0.4, "every_seconds": 0.08, "positions": 2}


def named(name: str, *connections: int | None, reconnects: bool = True) -> Camera:
    camera = Camera(*connections, reconnects=reconnects)
    camera.name = name
    return camera


def events_of(
    predictor: TwoStreamPredictor, cameras: Sequence[Camera]
) -> dict[str, list[LivePrediction | Gap | Lost]]:
    """What each camera tells."""
    several = LiveSeveral(predictor, cameras, make_clock=PaperClock, **WINDOWS)
    for live in several.lives:
        with_room(live)
    found: dict[str, list[Any]] = {camera.name: [] for camera in cameras}
    for live, event in several:
        found[live.source.name].append(event)
    assert own_threads() == 0
    return found


def knowing_bouts(predictor: TwoStreamPredictor) -> TwoStreamPredictor:
    columns = [(value,) * len(CLASSES) for value in (0.2, 0.3, 1 / len(CLASSES))]
    model = BoutModel(CLASSES, *columns, bouts=9)
    return TwoStreamPredictor(list(predictor.streams.values()), predictor.fusion, model)


# --- sources


def test_each_source_is_watched_as_if_it_were_alone(predictor: TwoStreamPredictor) -> None:
    alone = Live(predictor, Camera(40, reconnects=False), clock=PaperClock(), **WINDOWS)
    wanted = [event.prediction for event in with_room(alone) if isinstance(event, LivePrediction)]
    both = [named("hall", 40, reconnects=False), named("yard", 40, reconnects=False)]
    for found in events_of(predictor, both).values():
        assert len(found) == len(wanted) > 5
        for event, prediction in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(event.prediction.scores, prediction.scores)
            assert event.prediction.end_seconds == prediction.end_seconds


def test_one_that_breaks_is_told_by_its_name_and_the_others_go_on(
    predictor: TwoStreamPredictor,
) -> None:
    cameras = [
        named("hall", 60, reconnects=False),
        named("yard", 30, None, 40),  # the plug is pulled, and put back
        named("gate", None, None, 30),  # was off when the watch began
        named("file", 20, 20, reconnects=False),  # is not worth another try
    ]
    found = events_of(predictor, cameras)
    assert all(isinstance(event, LivePrediction) for event in found["hall"])
    ends = [event.prediction.end_seconds for event in found["hall"]]
    assert max(ends) == pytest.approx(60 / 25 + 0.04)
    gaps = {name: [e for e in events if isinstance(e, Gap)] for name, events in found.items()}
    assert [gap.cause for gap in gaps["yard"]] == ["the plug was pulled"] * 2
    assert [(gap.at_seconds, gap.cause) for gap in gaps["gate"]] == [(0, "no connection")] * 2
    assert gaps["gate"][1].seconds == pytest.approx(0.5 + 1 + 0.04)
    for name in ("yard", "gate"):
        assert isinstance(found[name][-1], LivePrediction)
    (*_, last) = found["file"]
    assert last == Lost("file: the plug was pulled")


def test_clocks_and_breaks_are_told_with_predictions(predictor: TwoStreamPredictor) -> None:
    (found, _) = events_of(predictor, [named("hall", 30, 30), named("yard", 1)]).values()
    seen = [event for event in found if isinstance(event, LivePrediction)]
    begins = [number for number, event in enumerate(seen) if event.begins]
    assert len(begins) == 2 and begins[0] == 0
    for first, after in zip(begins, [*begins[1:], len(seen)], strict=True):
        steps = np.diff([event.clock_seconds for event in seen[first:after]])
        np.testing.assert_allclose(steps[:-1], 0.08, atol=1e-9)  # the last window comes sooner
    assert seen[begins[1]].clock_seconds > seen[begins[1] - 1].clock_seconds + 0.5


def test_no_source_starves_where_the_networks_are_too_slow(
    predictor: TwoStreamPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cameras without end on clocks that do not wait: windows are always due."""
    cameras = [named(name, 10**9, reconnects=False) for name in ("hall", "yard", "gate")]
    scores = np.full(len(CLASSES), 1 / len(CLASSES), np.float32)

    def slow(start: float, end: float, _: Any) -> Prediction:
        # all of them have a window meanwhile
        while not all(live._events._items for live in several.lives if live is not taken[0]):
            time.sleep(1e-3)
        return Prediction(None, CLASSES, scores, {}, None, start, end)

    monkeypatch.setattr(predictor, "answer", slow)
    several = LiveSeveral(predictor, cameras, make_clock=PaperClock, **WINDOWS)
    taken = [several.lives[0]]
    for live in several.lives:

        def take(timeout: float, live: Live = live) -> Any:
            found = Live.take(live, timeout)
            taken[0] = live if found is not None else taken[0]
            return found

        monkeypatch.setattr(live, "take", take)
    turns = []
    for live, event in several:
        if isinstance(event, LivePrediction):
            turns.append(live.source.name)
        if len(turns) == 12:
            break
    assert set(Counter(turns).values()) == {4}
    assert all(live.summary().skipped + live.summary().dropped > 0 for live in several.lives)


# --- alarms


@pytest.mark.parametrize("knows_bouts", [False, True])
def test_a_recording_has_the_alarms_that_a_watch_of_it_gives(
    predictor: TwoStreamPredictor, tmp_path: Path, knows_bouts: bool
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=65)
    predictor = knowing_bouts(predictor) if knows_bouts else predictor
    timeline = predictor.timeline(video, **WINDOWS)
    levels = np.median(timeline.fused, axis=0)
    rules = [Rule(name, float(levels[i]), 0.16) for i, name in enumerate(CLASSES)]
    found = recorded_alarms(timeline, rules, predictor.bouts)
    assert len(found.alarms) > 3 and found.watched_seconds == timeline.seconds == 2.6

    live = Live(predictor, FileSource(video, short_side=40), clock=PaperClock(), **WINDOWS)
    with_room(live)
    watched, alarms = Watched(rules, CLASSES, predictor.together), list[Alarm]()
    for event in live:
        assert isinstance(event, LivePrediction)
        alarms += watched.look(event.clock_seconds, event.prediction.scores)
    assert [alarm.rule for alarm in alarms] == [alarm.rule for alarm in found.alarms]
    for mine, theirs in zip(alarms, found.alarms, strict=True):
        assert mine.seconds == pytest.approx(theirs.seconds, abs=1e-6)
        assert mine.since_seconds == pytest.approx(theirs.since_seconds, abs=1e-6)
        assert mine.score == pytest.approx(theirs.score, abs=1e-4)


@pytest.mark.parametrize("knows_bouts", [False, True])
def test_a_break_ends_nothing_before_the_windows_that_end_before_it(
    predictor: TwoStreamPredictor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    knows_bouts: bool,
) -> None:
    """The networks are behind: the break is told when two windows before it are scored."""
    video = write_timed(tmp_path / "clip.mkv", paused(1, 1.52, 1.2))
    predictor = knowing_bouts(predictor) if knows_bouts else predictor
    timeline = predictor.timeline(video, **WINDOWS)
    (before, _, _), (after, _, _) = timeline.runs()
    held = float(np.ptp(timeline.ends[before]))  # up to the last window before the break
    levels = np.median(timeline.fused[after], axis=0)
    rules = [Rule(name, 0, held) for name in CLASSES]
    rules += [Rule(name, float(levels[i]), 0.08) for i, name in enumerate(CLASSES)]
    wanted = recorded_alarms(timeline, rules, predictor.bouts).alarms
    assert sum(alarm.rule.hold_seconds == held and alarm.seconds == 1 for alarm in wanted) == 7

    live = Live(predictor, FileSource(video, short_side=40), clock=PaperClock(), **WINDOWS)
    with_room(live).start()
    live.join(60)
    alerting = Alerting(rules, CLASSES, predictor.together, [], AlertLog(None))
    teller = _Teller(Shown(as_json=True), None, alerting, 0, several=False)
    taken = []
    while not live.over:
        taken.append(live.take(0))
    begins, ends, *windows = taken
    assert isinstance(begins, Gap) and isinstance(ends, Gap)
    for each in (*windows[:2], begins, ends, *windows[2:]):
        assert each is not None
        teller.tell("camera", live.event(each))
    alerting.deliveries.close()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [line["alert"] for line in lines if "alert" in line]
    assert [each["rule"] for each in found] == [str(alarm.rule) for alarm in wanted]
    for alert, alarm in zip(found, wanted, strict=True):
        assert alert["seconds"] == pytest.approx(alarm.seconds, abs=1e-3)
        assert alert["since_seconds"] == pytest.approx(alarm.since_seconds, abs=1e-3)
        assert alert["score"] == pytest.approx(alarm.score, abs=1e-3)


def test_a_pause_of_a_recording_is_not_held_across_nor_watched() -> None:
    """Windows of two seconds end at 2, 3, 4 and, after a pause, at 12, 13, 14."""
    scores = np.array([0.9, 0.1], np.float32)
    windows = [
        Prediction(None, ("fall", "walk"), scores, {}, None, end - 2, end)
        for end in (2.0, 3.0, 4.0, 12.0, 13.0, 14.0)
    ]
    timeline = Timeline.of_windows(
        Path("a.avi"), windows, seconds=14.0, warning=None, pauses=[(4.0, 10.0)]
    )
    rules = [Rule("fall", 0.8, held) for held in (1.5, 2.5)]
    found = recorded_alarms(timeline, rules)
    assert [(a.rule.hold_seconds, a.since_seconds, a.seconds) for a in found.alarms] == [
        (1.5, 2, 4)
    ]
    assert found.watched_seconds == 8


def test_a_break_of_a_source_is_none_of_the_others(tmp_path: Path) -> None:
    falls = np.array([0.9, 0.1])
    rules = [Rule("fall", 0.8, 1)]
    alerting = Alerting(rules, ("fall", "walk"), {}, [], AlertLog(tmp_path / "log"))

    def look(source: str, seconds: float, begins: bool = False) -> int:
        return len(alerting.look(source, seconds, falls, begins=begins))

    assert look("hall", 0, begins=True) + look("yard", 0, begins=True) == 0
    assert (look("hall", 1, begins=True), look("yard", 1)) == (0, 1)
    assert look("hall", 2) == 1  # it has held since 1
    assert alerting.counts == {"hall": 1, "yard": 1}
    alerting.deliveries.close()
    kept = [json.loads(line)["alert"] for line in (tmp_path / "log").read_text().splitlines()]
    assert [(alert["source"], alert["since_seconds"]) for alert in kept] == [
        ("yard", 0),
        ("hall", 1),
    ]


# --- the command


def test_the_command_watches_several_and_sends_alerts(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(write_clip(tmp_path / f"{name}.avi", frames=20)) for name in ("hall", "yard")]
    gone = str(tmp_path / "gone.avi")
    program = tmp_path / "alarm.py"
    program.write_text("import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')")
    log, got = tmp_path / "alerts.jsonl", tmp_path / "got"
    live = [each for name in (*names, gone) for each in ("--live", name)]
    command = ["predict", str(run_folder), *live, "--window", "0.4", "--json"]
    options = ["--alert", "a > 0", "--alert-log", str(log)]
    options += ["--on-alert", f"{sys.executable} {program} {got}"]
    assert run([*command, *options]) == 1
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert f"not watched any more: {gone}" in captured.err and "Traceback" not in captured.err
    assert [line["source"] for line in lines if "lost" in line] == [gone]
    summaries = {line["source"]: line["summary"] for line in lines[-3:]}
    assert [summaries[name]["frames"] for name in (*names, gone)] == [20, 20, 0]
    assert [summaries[name]["alerts"] for name in (*names, gone)] == [1, 1, 0]
    assert {line["source"] for line in lines if "labels" in line} == set(names)
    alerts = {line["source"]: line["alert"] for line in lines if "alert" in line}
    assert alerts[names[0]]["label"] == "a" and alerts[names[0]]["rule"] == "a > 0"
    sent = [json.loads(line) for line in got.read_text().splitlines()]
    assert sorted(each["id"] for each in sent) == sorted(each["id"] for each in alerts.values())
    kept = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["delivered"] for line in kept if "to" in line] == [True, True]
    assert sorted(line["alert"]["source"] for line in kept if "alert" in line) == sorted(names)


def test_what_is_not_delivered_fails_the_command(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=20)
    command = ["predict", str(run_folder), "--live", str(video), "--window", "0.4"]
    command += ["--alert", "a > 0", "--on-alert", "./no-such-program secret"]
    assert run(command) == 1
    captured = capsys.readouterr()
    assert "not delivered to command ./no-such-program: " in captured.err
    assert "1 alerts, 0 deliveries done, 1 given up" in captured.err
    assert "secret" not in captured.err


def test_the_command_says_how_often_it_would_be_on_recordings(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = [str(write_clip(tmp_path / f"{i}.avi", frames=60 + i)) for i in range(2)]
    command = ["predict", str(run_folder), *videos, "--timeline", "--alert", "a > 0"]
    assert run([*command, "--alert", "b > 0.999", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [len(video["alarms"]) for video in found["videos"]] == [1, 1]
    # the windows of a watch: of 2 s, every 0.2 s
    assert found["videos"][0]["alarms"][0]["seconds"] == 2
    np.testing.assert_allclose(np.diff(found["videos"][0]["times"]), 0.2, atol=1e-3)
    first, second = found["alarm_rates"]
    hours = (60 + 61) / 25 / 3600
    assert (first["alarms"], second["alarms"]) == (2, 0)
    assert first["a_day"] == pytest.approx(2 * 24 / hours, rel=1e-3)
    assert second["a_day"] == 0 and second["a_day_95"][1] > 24 / hours
    assert run(command) == 0
    captured = capsys.readouterr().out
    assert "alarms in 5 s of video" in captured and "a > 0" in captured
