"""The verb predict: labels for videos, what happens when in long ones, and what a camera shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from twostream.cli import options
from twostream.cli.console import Shown, TimeLeft, duration
from twostream.cli.convert import FORMAT
from twostream.cli.options import CUDA, own

if TYPE_CHECKING:
    from twostream.prediction import Timeline, TwoStreamPredictor
    from twostream.shards import Shard
    from twostream.types import Progress

SUFFIXES = {"csv": ".csv", "scores": ".csv", "srt": ".srt", "video": ".mp4"}
TIMES, WINDOWS, WRITTEN = "Long videos and sources", "Windows", "What is written"


def predict(
    run: options.Predicting,
    videos: list[Path] = typer.Argument(
        None, metavar="[VIDEO...]", help="Videos (files, folders of frames), or folders of them."
    ),
    top: int = own(5, "Labels to print.", min=1),
    timeline: bool = own(
        False, "What happens when: scores over time, and segments.", TIMES, "--timeline"
    ),
    live: str = own(
        None,
        "Watch a camera (0, 1, ...), an address (rtsp://, http://), or a file at its speed.",
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
        None, "Frames and stacks scored of a window; default 5, with --live 3.", WINDOWS
    ),
    smooth: float = own(None, "Seconds that scores are averaged over; default 1.5.", WINDOWS),
    threshold: float = own(None, 'A best score below it is "none of these"; default 0.4.', WINDOWS),
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
    as_json: bool = own(False, "Print one JSON list as the last line.", None, "--json"),
) -> int:
    """Label videos: flow is computed inside, with what the model files say.

    Of several videos, --csv, --scores, --srt, --video and --labels name folders. Of many and long
    ones, --out OUT keeps what is done and writes one table of all.
    """
    from twostream.prediction import TwoStreamPredictor
    from twostream.prediction.videos import find_videos
    from twostream.shards import Shard
    from twostream.types import UsageError
    from twostream.video.addresses import without_password

    shown = Shown(as_json=as_json)
    device = CUDA[accelerator]
    common = {"window": window, "every": every, "positions": positions, "threshold": threshold}
    files = {"csv": csv, "scores": scores, "srt": srt, "video": video, "labels": labels}
    if timeline and live is not None:
        raise UsageError("--timeline is for videos and --live for a source: give one of them")
    _refuse({"seconds": seconds}, live is not None, "--live")
    _refuse({"smooth": smooth, "out": out, **files}, timeline, "--timeline")
    _refuse(common, timeline or live is not None, "--timeline or --live")
    _refuse({"shard": shard}, out is not None, "--timeline with --out")
    asked: dict[str, Any] = {
        "window_seconds": window,
        "every_seconds": every,
        "positions": positions,
        "threshold": threshold,
        "smooth_seconds": smooth,
        "seconds": seconds,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    if live is not None:
        if videos:
            shown_as = [without_password(str(each)) for each in (live, videos[0])]
            raise UsageError("--live takes its frames from {}: leave {} out".format(*shown_as))
        return _watch(shown, TwoStreamPredictor.load(run, device=device), live, asked, top)
    if not videos:
        raise UsageError("predict needs a VIDEO, or --live SOURCE")
    found = find_videos(videos)
    if out is not None:
        _refuse_beside_out(files)
        _labels_format(None, labels_format)
        part = None if shard is None else Shard.parse(shard)
        return _many(shown, run, found, out, part, device, asked)
    if not timeline:
        predictor = TwoStreamPredictor.load(run, device=device)
        return _each(shown, list(found), lambda video, _: _labels(shown, predictor, video, top))
    several = len(videos) > 1 or list(found) != videos  # one video may be a folder
    kind, suffix = _labels_format(labels, labels_format)
    # before the models: a wrong name is quick
    targets = _targets(found, files, SUFFIXES | {"labels": suffix}, several=several)
    predictor = TwoStreamPredictor.load(run, device=device)

    def work(video: Path, progress: Progress) -> dict[str, Any]:
        return _timeline(shown, predictor, video, asked, targets[video], kind, progress)

    return _each(shown, list(found), work)


def _labels_format(labels: Path | None, name: str | None) -> tuple[str, str]:
    """Return the format of --labels, and the suffix of its files."""
    from twostream.types import UsageError

    if labels is None:
        if name is not None:
            raise UsageError("--labels-format is for --labels OUT: add it")
        return "", ""
    from twostream.labels.formats import format_for, format_named

    name = name or format_for(labels)
    return name, format_named(name).HOLDS.suffixes[0]


def _targets(
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


def _refuse(asked: dict[str, Any], wanted: bool, switch: str) -> None:
    """Raise a UsageError for an option that would have no effect."""
    from twostream.types import UsageError

    for name, value in asked.items():
        if value is not None and not wanted:
            raise UsageError(f"--{name} is for {switch}: add it")


def _refuse_beside_out(files: Mapping[str, Path | None]) -> None:
    """Raise a UsageError for an option whose files a job that goes on would not keep track of."""
    from twostream.types import UsageError

    instead = {
        "csv": "its table of all videos is OUT/segments.csv",
        "scores": "they are in OUT/scores",
        "srt": "make them of its labels (twostream convert OUT/labels.csv --to srt --out FOLDER)",
        "labels": "make them of its own (twostream convert OUT/labels.csv --to FORMAT --out TO)",
        "video": "draw films in a command of their own, without --out",
    }
    for name, value in files.items():
        if value is not None:
            raise UsageError(f"--{name} is not for --out: {instead[name]}")


def _many(
    shown: Shown,
    run: Path,
    found: dict[Path, Path],
    out: Path,
    shard: Shard | None,
    device: str,
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
        result = write_timelines(
            run, found, out, device=device, shard=shard, progress=told, **asked
        )
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
        if shard is None
        else "tables come of the same command without --shard, once all shards have ended"
    )
    shown.result(result.to_json())
    return 1 if result.failed else 0


def _watch(
    shown: Shown, predictor: TwoStreamPredictor, source: str, asked: dict[str, Any], top: int
) -> int:
    from twostream.cli.live_display import watch
    from twostream.prediction.timeline import THRESHOLD, check_threshold

    threshold = asked.pop("threshold", THRESHOLD)
    check_threshold(threshold)
    return watch(shown, predictor, source, asked, top=top, threshold=threshold)


def _each(
    shown: Shown,
    videos: list[Path],
    work: Callable[[Path, Progress], dict[str, Any]],
) -> int:
    """Do something with each video; one that fails is named at the end."""
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
    shown.result(results)
    return 1 if failed else 0


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


def _timeline(
    shown: Shown,
    predictor: TwoStreamPredictor,
    video: Path,
    asked: dict[str, Any],
    targets: dict[str, Path],
    labels_format: str,
    progress: Progress,
) -> dict[str, Any]:
    from twostream.prediction import timeline_files as files

    timeline = predictor.timeline(video, **asked, progress=progress)
    writers: dict[str, Callable[[Timeline], str]] = {
        "csv": files.segments_csv,
        "scores": files.scores_csv,
        "srt": lambda each: files.srt(each.segments),
    }
    for kind, path in targets.items():
        if kind in writers:
            files.write_text(path, writers[kind](timeline))
        elif kind == "labels":
            from twostream.labels import write_labels
            from twostream.prediction.timeline_labels import timeline_labels

            for lost in write_labels(timeline_labels(timeline, path.parent), path, labels_format):
                shown.say(f"{path.name}: {lost}")
        else:
            from twostream.prediction.annotate import write_annotated

            path.parent.mkdir(parents=True, exist_ok=True)
            specs = [stream.spec for stream in predictor.streams.values()]
            write_annotated(timeline, path, specs, progress=progress)
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
    return timeline.to_json()


COMMANDS = (predict,)
