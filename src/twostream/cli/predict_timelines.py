"""The verb predict with --timeline: what happens when, in a few videos or in many."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twostream.cli.console import Shown, TimeLeft, duration

if TYPE_CHECKING:
    from twostream.alerts import Rule
    from twostream.prediction import Timeline, TwoStreamPredictor
    from twostream.prediction.recorded_alarms import RecordedAlarms
    from twostream.types import Progress


def find_format(labels: Path | None, name: str | None) -> tuple[str, str]:
    """Return the format of --labels, and the suffix of its files."""
    from twostream.types import UsageError

    if labels is None:
        if name is not None:
            raise UsageError("--labels-format is for --labels OUT: add it")
        return "", ""
    from twostream.labels.formats import format_for, format_named

    name = name or format_for(labels)
    return name, format_named(name).HOLDS.suffixes[0]


def find_files(
    found: dict[Path, Path],
    files: Mapping[str, Path | None],
    suffixes: Mapping[str, str],
    *,
    several: bool,
) -> dict[Path, dict[str, Path]]:
    """Return video -> kind -> the file that is written; refuses names that do not do."""
    from twostream.prediction.videos import check_apart, output_paths

    paths = {
        kind: output_paths(found, out, suffixes[kind], several=several)
        for kind, out in files.items()
        if out is not None
    }
    check_apart(paths)
    if (film := files["video"]) is not None and not several:
        from twostream.display.film import check_film_name

        check_film_name(film)
    return {video: {kind: path[video] for kind, path in paths.items()} for video in found}


def refuse_beside_out(files: Mapping[str, Any]) -> None:
    """Raise a UsageError for an option whose files a job that goes on would not keep track of."""
    from twostream.types import UsageError

    instead = {
        "csv": "its table of all videos is OUT/segments.csv",
        "scores": "they are in OUT/scores",
        "srt": "make them of its labels (twostream convert OUT/labels.csv --to srt --out FOLDER)",
        "labels": "make them of its own (twostream convert OUT/labels.csv --to FORMAT --out TO)",
        "video": "draw films in a command of their own, without --out",
        "alert": "count alarms in a command of their own, without --out",
    }
    for name, value in files.items():
        if value is not None:
            raise UsageError(f"--{name} is not for --out: {instead[name]}")


def many(
    shown: Shown,
    run: Path,
    found: dict[Path, Path],
    out: Path,
    asked: dict[str, Any],
) -> int:
    """Make the time lines of many videos, and say how far it is by seconds of video."""
    from twostream.prediction.many_timelines import TASK, write_timelines
    from twostream.prediction.timeline_tables import TABLES

    left = TimeLeft()

    def told(task: str, done: float, total: float, detail: str = "") -> None:
        if task == TASK and not shown.has_bars:  # which say it themselves
            detail = f"{detail} {left.after(done, total)}".strip()
        shown.step(task, int(done), math.ceil(total), detail)

    with shown.progress():
        result = write_timelines(run, found, out, progress=told, **asked)
    if result.failed:
        shown.table("no time line", ("video", "why"), list(result.failed.items()), text_columns=2)
    speed = result.times_real_time
    rows = [
        (
            "done now",
            result.done,
            duration(result.done_seconds),
            duration(result.took_seconds),
            "-" if speed is None else f"{speed:.1f}",
        ),
        ("done before", result.before, duration(result.seconds - result.done_seconds), "-", "-"),
        ("no time line", len(result.failed), "-", "-", "-"),
    ]
    columns = ("", "videos", "length", "took", "times real time")
    shown.table(f"{out}: {result.videos} videos", columns, rows)
    tables = ", ".join(str(out / name) for name in TABLES)
    shown.say(
        f"tables of all videos: {tables}"
        if asked["shard"] is None
        else "tables come of the same command without --shard, once all shards have ended"
    )
    shown.result(result.to_json())
    return 1 if result.failed else 0


def timelines(
    shown: Shown,
    predictor: TwoStreamPredictor,
    files: dict[Path, dict[str, Path]],
    labels_format: str,
    asked: dict[str, Any],
    rules: Sequence[Rule],
) -> int:
    """Make the time lines of a few videos, and say which alarms rules would have raised.

    Args:
        shown: where to.
        predictor: of the run.
        files: video -> kind -> the file that is written.
        labels_format: of label files.
        asked: options of ``TwoStreamPredictor.timeline``.
        rules: with any, windows are those of a watch unless others are asked for.

    Returns:
        The exit status.
    """
    from twostream.prediction.recorded_alarms import recorded_alarms

    watched: list[RecordedAlarms] = []
    if rules:
        asked = _as_watched(predictor, rules) | asked

    def work(video: Path, progress: Progress) -> dict[str, Any]:
        found = _timeline(shown, predictor, video, asked, files[video], labels_format, progress)
        if not rules:
            return found.to_json()
        alarms = recorded_alarms(found, rules, predictor.bouts)
        watched.append(alarms)
        rows = [
            (alarm.rule, f"{alarm.since_seconds:.1f}", f"{alarm.seconds:.1f}", f"{alarm.score:.3f}")
            for alarm in alarms.alarms
        ]
        shown.table(f"alarms in {video}", ("rule", "since, s", "at, s", "score"), rows)
        return {**found.to_json(), "alarms": alarms.to_json()}

    def results_of(results: list[dict[str, Any]]) -> Any:
        return {"videos": results, "alarm_rates": _rates(shown, watched, rules)}

    return each_video(shown, list(files), work, results_of if rules else list)


def _as_watched(predictor: TwoStreamPredictor, rules: Sequence[Rule]) -> dict[str, Any]:
    """Return the windows that ``--live`` takes; raises UsageError for a class that there is not."""
    from twostream.alerts import Watched
    from twostream.prediction.live import live_windows

    Watched(rules, predictor.spec.classes, predictor.together)
    windows = live_windows(predictor)
    return {
        "window_seconds": windows.seconds,
        "every_seconds": windows.every_seconds,
        "positions": windows.positions,
    }


def _rates(
    shown: Shown, watched: Sequence[RecordedAlarms], rules: Sequence[Rule]
) -> list[dict[str, Any]]:
    """Show how often each rule raised an alarm, over all videos; returns it for --json."""
    from twostream.alerts import alarm_rates

    seconds = sum(each.watched_seconds for each in watched)
    rates = alarm_rates(rules, [alarm for each in watched for alarm in each.alarms], seconds)
    rows = [
        (
            rate.rule,
            rate.alarms,
            f"{rate.an_hour:.2f}",
            f"{rate.a_day:.1f}",
            "{:.1f} to {:.1f}".format(*rate.a_day_between),
        )
        for rate in rates
        if rate.hours
    ]
    columns = ("rule", "alarms", "an hour", "a day", "a day, 95%")
    shown.table(f"alarms in {duration(seconds)} of video", columns, rows)
    return [rate.to_json() for rate in rates]


def _timeline(
    shown: Shown,
    predictor: TwoStreamPredictor,
    video: Path,
    asked: dict[str, Any],
    targets: dict[str, Path],
    labels_format: str,
    progress: Progress,
) -> Timeline:
    """Make the time line of a video, write what is asked for and show its segments."""
    from twostream.labels.originals import drop_same
    from twostream.prediction import timeline_files as files

    timeline = predictor.timeline(video, **asked, progress=progress)
    writers: dict[str, Callable[[Timeline], str]] = {
        "csv": files.segments_csv,
        "scores": files.scores_csv,
        "srt": lambda each: files.srt(each.segments),
    }
    for kind, path in targets.items():
        copy = None if kind == "video" else _kept_work(path)
        if kind in writers:
            files.write_text(path, writers[kind](timeline))
        elif kind == "labels":
            from twostream.labels import write_labels
            from twostream.labels.formats import format_named
            from twostream.labels.video_facts import with_rates
            from twostream.prediction.timeline_labels import timeline_labels

            labels = timeline_labels(timeline, path.parent)
            if format_named(labels_format).HOLDS.times == "frames":
                labels = with_rates(labels, path.parent)  # tells of frames that are uneven
            for lost in write_labels(labels, path, labels_format):
                shown.say(f"{path.name}: {lost}")
        else:
            from twostream.prediction.annotate import write_annotated

            path.parent.mkdir(parents=True, exist_ok=True)
            specs = [stream.spec for stream in predictor.streams.values()]
            write_annotated(timeline, path, specs, progress=progress)
        if copy and not drop_same(copy, path):
            shown.say(f"{path} was there: what it held is in {copy.name}")
        shown.say(f"{kind}: {path}")
    if timeline.warning:
        shown.say(timeline.warning)
    rows = [
        (
            s.title,
            f"{s.start_seconds:.2f}",
            f"{s.end_seconds:.2f}",
            "" if s.score is None else f"{s.score:.3f}",
        )
        for s in timeline.segments
    ]
    shown.table(str(video), ("label", "from, s", "to, s", "score"), rows)
    return timeline


def _kept_work(path: Path) -> Path | None:
    """Copy what people have written, if it is that; see ``keep_work``."""
    from twostream.labels.originals import keep_work
    from twostream.types import DataError

    try:
        return keep_work(path)
    except OSError as error:
        raise DataError(f"{path} cannot be replaced: {error.strerror or error}") from error


def each_video(
    shown: Shown,
    videos: list[Path],
    work: Callable[[Path, Progress], dict[str, Any]],
    results_of: Callable[[list[dict[str, Any]]], Any] = list,
) -> int:
    """Do something with each video; one that fails is named at the end.

    Args:
        shown: where to.
        videos: in order.
        work: returns what --json says of a video.
        results_of: makes what --json prints of all.

    Returns:
        The exit status.
    """
    from twostream.threads import costs_one_video, sentence

    results: list[dict[str, Any]] = []
    failed: list[str] = []
    with shown.progress():
        for number, video in enumerate(videos):

            def part(
                task: str,
                done: float,
                total: float,
                detail: str = "",
                *,
                number: int = number,
                video: Path = video,
            ) -> None:
                if len(videos) > 1:
                    percent = f"{100 * done / total:.0f}%" if total else ""
                    shown.step("predict", number, len(videos), f"{video.name} {percent}")
                    return
                whole = max(1, math.ceil(total))
                shown.step(task, whole if done >= total else int(done), whole, video.name)

            try:
                results.append(work(video, part))
            except Exception as error:  # of the video, or of its flow
                if not costs_one_video(error):
                    raise
                failed.append(sentence(error, video))
            if len(videos) > 1:
                shown.step("predict", number + 1, len(videos), video.name)
    for problem in failed:
        shown.say(f"not labelled: {problem}")
    shown.result(results_of(results))
    return 1 if failed else 0
