"""The verb predict: labels for videos, what happens when in long ones, and what a camera shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from twostream.cli import options
from twostream.cli.console import Shown
from twostream.cli.convert import FORMAT
from twostream.cli.options import CUDA, own
from twostream.cli.predict_timelines import (
    each_video,
    find_files,
    find_format,
    many,
    refuse_beside_out,
    timelines,
)

if TYPE_CHECKING:
    from twostream.alerts import Rule
    from twostream.alerts.targets import Target
    from twostream.prediction import TwoStreamPredictor

SUFFIXES = {"csv": ".csv", "scores": ".csv", "srt": ".srt", "video": ".mp4"}
TIMES, WINDOWS = "Long videos and sources", "Windows"
ALERTS, WRITTEN = "Alerts", "What is written"


def predict(
    run: options.Predicting,
    videos: list[Path] = typer.Argument(
        None, metavar="[VIDEO...]", help="Videos (files, folders of frames), or folders of them."
    ),
    top: int = own(5, "Labels to print.", min=1),
    timeline: bool = own(
        False, "What happens when: scores over time, and segments.", TIMES, "--timeline"
    ),
    live: list[str] = own(
        None,
        "Watch a camera (0, 1, ...), an address (rtsp://, http://), or a file at its speed; once "
        "for each source.",
        TIMES,
        "--live",
        metavar="SOURCE",
    ),
    seconds: float = own(None, "End --live after so many; default: never.", TIMES),
    window: float = own(None, "Seconds that are scored at once; default 2.", WINDOWS),
    every: float = own(
        None, "Seconds from one window to the next; default 0.5, with --live 0.2.", WINDOWS
    ),
    positions: int = own(
        None,
        "About how many frames and stacks of a window are scored; default 5, with --live 3.",
        WINDOWS,
    ),
    smooth: float = own(None, "Seconds that scores are averaged over; default 1.5.", WINDOWS),
    threshold: float = own(
        None,
        'A best score below it is "none of these"; default 0.4, in time lines the run\'s own.',
        WINDOWS,
    ),
    alert: list[str] = own(
        None,
        'When to raise an alarm: "fall > 0.8 for 1 s every 10 min". With --timeline: how often it '
        "would be.",
        ALERTS,
        "--alert",
        metavar="RULE",
    ),
    webhook: list[str] = own(
        None, "Alerts go there as JSON, by HTTP POST.", ALERTS, "--webhook", metavar="URL"
    ),
    mqtt: list[str] = own(
        None,
        "Alerts go there: mqtt://user:password@host:port/topic; mqtts with TLS.",
        ALERTS,
        "--mqtt",
        metavar="URL",
    ),
    on_alert: list[str] = own(
        None,
        "Run for each alert, which is JSON on its standard input.",
        ALERTS,
        "--on-alert",
        metavar="COMMAND",
    ),
    alert_log: Path = own(
        None, "All alerts, and what became of them (JSON lines, appended).", ALERTS, "--alert-log"
    ),
    csv: Path = own(None, "The segments as a table.", WRITTEN, "--csv"),
    scores: Path = own(None, "All scores over time (csv).", WRITTEN, "--scores"),
    srt: Path = own(None, "The segments as subtitles.", WRITTEN, "--srt"),
    video: Path = own(None, "The video with labels, scores and flow (.mp4).", WRITTEN, "--video"),
    labels: Path = own(
        None,
        "The segments as a label file, of the format that its suffix says.",
        WRITTEN,
        "--labels",
    ),
    labels_format: str = own(
        None, f"Another format of it: {FORMAT}.", WRITTEN, "--labels-format", metavar="FORMAT"
    ),
    out: Path = own(
        None,
        "Of --timeline: a folder for many videos, with tables of all of them. Stopped, it goes on.",
        WRITTEN,
        "--out",
        metavar="OUT",
    ),
    accelerator: options.Device = "auto",
    shard: options.ShardText = None,
    cluster: options.ClusterText = None,
    as_json: bool = own(
        False, "Print one JSON value as the last line; with --live one a line.", None, "--json"
    ),
) -> int:
    """Label videos: flow is computed inside, with what the model files say.

    Of several videos, --csv, --scores, --srt, --video and --labels name folders. Of many and long
    ones, --out OUT keeps what is done and writes one table of all. Several --live are watched at
    once.
    """
    from twostream.prediction import TwoStreamPredictor
    from twostream.prediction.videos import find_videos
    from twostream.shards import Shard
    from twostream.types import UsageError

    shown = Shown(as_json=as_json)
    device = CUDA[accelerator]
    common = {"window": window, "every": every, "positions": positions, "threshold": threshold}
    files = {"csv": csv, "scores": scores, "srt": srt, "video": video, "labels": labels}
    to = {"webhook": webhook, "mqtt": mqtt, "on-alert": on_alert}
    if timeline and live:
        raise UsageError("--timeline is for videos and --live for a source: give one of them")
    _refuse({"seconds": seconds, **to, "alert-log": alert_log}, bool(live), "--live")
    _refuse({"smooth": smooth, "out": out, **files}, timeline, "--timeline")
    _refuse({**common, "alert": alert}, timeline or bool(live), "--timeline or --live")
    _refuse({**to, "alert-log": alert_log}, bool(alert), "--alert RULE")
    _refuse({"shard": shard, "cluster": cluster}, out is not None, "--timeline with --out")
    asked: dict[str, Any] = {
        "window_seconds": window,
        "every_seconds": every,
        "positions": positions,
        "threshold": threshold,
        "smooth_seconds": smooth,
        "seconds": seconds,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    rules = _rules(alert or ())
    if live:
        _refuse_beside_live(videos, live)
        from twostream.cli.live_watch import watch

        return watch(shown, run, device, live, asked, rules, _targets(to), alert_log, top=top)
    if not videos:
        raise UsageError("predict needs a VIDEO, or --live SOURCE")
    found = find_videos(videos)
    if out is not None:
        refuse_beside_out({**files, "alert": alert or None})
        find_format(None, labels_format)
        part = None if shard is None else Shard.parse(shard)
        where = {"device": device, "shard": part, "cluster": cluster}
        return many(shown, run, found, out, where | asked)
    if not timeline:
        predictor = TwoStreamPredictor.load(run, device=device)
        return each_video(shown, list(found), lambda each, _: _labels(shown, predictor, each, top))
    several = len(videos) > 1 or list(found) != videos  # one video may be a folder
    kind, suffix = find_format(labels, labels_format)
    # before the models: a wrong name is quick
    written = find_files(found, files, SUFFIXES | {"labels": suffix}, several=several)
    predictor = TwoStreamPredictor.load(run, device=device)
    return timelines(shown, predictor, written, kind, asked, rules)


def _rules(texts: Sequence[str]) -> list[Rule]:
    """Return the rules of --alert; raises UsageError, also for one whose alarms came twice."""
    from twostream.alerts import Rule
    from twostream.types import UsageError

    rules = [Rule.parse(each) for each in texts]
    if twice := [rule for rule in rules if rules.count(rule) > 1]:
        raise UsageError(f'--alert "{twice[0]}" is given twice: leave one of them out')
    return rules


def _targets(to: Mapping[str, Sequence[str] | None]) -> list[Target]:
    """Return where alerts go; raises UsageError for what is no such place."""
    from twostream.alerts.mqtt_topic import MqttTopic
    from twostream.alerts.targets import Command, Webhook

    kinds: dict[str, Callable[[str], Target]] = {
        "webhook": Webhook,
        "mqtt": MqttTopic,
        "on-alert": Command,
    }
    return [kinds[kind](each) for kind, places in to.items() for each in places or ()]


def _refuse_beside_live(videos: Sequence[Path] | None, live: Sequence[str]) -> None:
    """Raise a UsageError for videos beside --live."""
    from twostream.types import UsageError
    from twostream.video.addresses import without_password

    if videos:
        shown = [without_password(str(each)) for each in (live[0], videos[0])]
        raise UsageError(
            "--live takes its frames from {}: leave {} out, or write --live before it too".format(
                *shown
            )
        )


def _refuse(asked: dict[str, Any], wanted: bool, switch: str) -> None:
    """Raise a UsageError for an option that would have no effect."""
    from twostream.types import UsageError

    for name, value in asked.items():
        if value is not None and value != [] and not wanted:
            raise UsageError(f"--{name} is for {switch}: add it")


def _labels(shown: Shown, predictor: TwoStreamPredictor, video: Path, top: int) -> dict[str, Any]:
    prediction = predictor.predict(video)
    if prediction.warning:
        shown.say(prediction.warning)
    ranked = [prediction.top(top), *(prediction.top(top, s) for s in prediction.streams)]
    rows = [
        [place + 1, *(f"{label} {score:.3f}" for label, score in row)]
        for place, row in enumerate(zip(*ranked, strict=True))
    ]
    shown.table(str(video), ("place", "fused", *prediction.streams), rows)
    return prediction.to_json(top)


COMMANDS = (predict,)
