"""Time lines of many videos into one folder, where a job that was stopped goes on.

    OUT/asked.json                what it was begun with: the models' fingerprint, and all options
    OUT/timelines/<video>.json    segments, and the fingerprint of the video: this video is done
    OUT/scores/<video>.csv        its scores over time
    OUT/segments.csv              all segments of all videos
    OUT/labels.csv                their bouts, as a label file
    OUT/time-budget.csv           count, durations, latency and share of time of each class
    OUT/results.json              how many there are, which failed and why; written last
    OUT/fatal.json                videos over which a process died, while there are any
    OUT/shards/                   what processes have that do a part of the videos each
    OUT/.lock                     held while a process uses the folder

The tables are about the videos that the command names, and about all of them but those that failed:
they are removed before the first video, and written after the last one. So a run that was stopped
in the middle and goes on leaves the same bytes as one that was not.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from twostream import files
from twostream.cluster import Ended
from twostream.prediction.answering_files import answering_hash
from twostream.prediction.fatal_videos import FatalVideos
from twostream.prediction.kept_timelines import KeptTimeline, kept_timeline, timeline_of
from twostream.prediction.one_timeline import (
    TIMELINES,
    Place,
    make_timeline,
    places_of,
    spread_timelines,
)
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.shared_timelines import held
from twostream.prediction.timeline import check_threshold
from twostream.prediction.timeline_tables import TABLES, write_tables
from twostream.schema import parse_json
from twostream.shards import Shard
from twostream.threads import costs_one_video, sentence
from twostream.types import (
    Progress,
    RunError,
    UsageError,
    VideoError,
    no_progress,
)
from twostream.video import open_reader
from twostream.video.fingerprint import source_hash

logger = logging.getLogger(__name__)

RESULTS_NAME = "results.json"
TASK = "seconds"  # of video
FORMAT = 3  # to be raised where a video's time line comes out otherwise, or is kept otherwise
SECONDS_IF_UNKNOWN = 1.0  # above 0: there is something left


@dataclass
class ManyTimelines:
    """What became of many videos.

    Attributes:
        out: the folder with the tables.
        videos: how many were asked for.
        before: of these, how many were done before.
        done: how many were done now.
        seconds: length of all that are done.
        done_seconds: of those that were done now,
        took_seconds: and how long that took.
        failed: video -> why it has no time line.
        warnings: video -> what is odd about it (cut off, pauses).
    """

    out: Path
    videos: int
    before: int = 0
    done: int = 0
    seconds: float = 0.0
    done_seconds: float = 0.0
    took_seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)

    def made(self, kept: KeptTimeline) -> None:
        """Count a video that is done now."""
        self.done += 1
        self.done_seconds += kept.seconds
        if kept.warning:
            logger.warning(kept.warning)

    def failing(self, video: Path, why: str) -> None:
        """Count, and tell, a video without a time line."""
        self.failed[str(video)] = why
        logger.warning(f"no time line: {why}")

    @property
    def times_real_time(self) -> float | None:
        """Seconds of video for each second of work; None where nothing was done now."""
        return self.done_seconds / self.took_seconds if self.done and self.took_seconds else None

    def to_json(self) -> dict[str, Any]:
        """Return everything in plain values."""
        return asdict(self) | {"out": str(self.out), "times_real_time": self.times_real_time}


@dataclass(frozen=True, slots=True)
class _ToDo:
    """A video without a time line: its fingerprint ("" where it cannot be read), its length.

    The length is as the video claims it; one that does not has ``SECONDS_IF_UNKNOWN``.
    """

    fingerprint: str
    seconds: float


def write_timelines(
    run: Path,
    videos: Mapping[Path, Path],
    out: Path,
    *,
    device: str = "cpu",
    shard: Shard | None = None,
    cluster: str | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> ManyTimelines:
    """Tell what happens when in many videos; what OUT has already is kept.

    Memory does not grow with the number of videos, nor with their length. Several processes may
    each do a shard of them at once; who then does all finds them done, and writes the tables.

    Args:
        run: a RUN folder, or an exported one.
        videos: from ``find_videos``: each video, and what it is called.
        out: the folder; made where it does not exist.
        device: where the networks run.
        shard: the part of the videos, in the order of their names, that is done; None: all.
        cluster: a Ray cluster that does it (``cluster.joined``), a video a core; None: this
            process.
        progress: told how many seconds of video are done, of those that are to be done now.
        **options: of ``TwoStreamPredictor.timeline``.

    Returns:
        What became of them; a video that cannot be read is in ``failed``, and tried again the next
        time.

    Raises:
        UsageError: two videos have one name, or an option is out of range.
        RunError: OUT is in use, was begun with other models or options, or holds something else.
        OSError: the disk refuses; what is done is kept.
    """
    if cluster is not None and shard is not None:
        raise UsageError(
            "--shard is for machines that do it without a cluster: leave it or --cluster out"
        )
    places = places_of(videos, out)
    predictor = TwoStreamPredictor.load(run, device=device)
    asked = _asked(predictor, options)
    models = answering_hash(run)
    _refuse_others(run, out, models)
    settings = {"timelines": FORMAT, "models": models, **asked}
    with held(out, settings, shard) as fatal:
        _say_others(places, out)
        if shard is not None:
            by_name = sorted(places.items(), key=lambda item: item[1].name)
            places = dict(shard.of(by_name))
        result = ManyTimelines(out, len(places))
        to_do = _looked_at(places, fatal, predictor.spec.fps, progress)
        for name in (RESULTS_NAME, *TABLES):
            (out / name).unlink(missing_ok=True)
        result.before = len(places) - len(to_do)
        began = time.monotonic()
        if cluster is None or not to_do:
            _work(predictor, places, to_do, fatal, asked, result, progress)
        else:
            spread = partial(spread_timelines, cluster, run, device, out, asked)
            _work_there(spread, places, to_do, fatal, result, progress)
        result.took_seconds = time.monotonic() - began
        if shard is not None:
            deque(_all_kept(places, result), maxlen=0)  # adds them up
            return result
        write_tables(out, _all_kept(places, result))
        about = ("videos", "seconds", "failed", "warnings")
        files.write_json(out / RESULTS_NAME, {name: getattr(result, name) for name in about})
    return result


def _asked(predictor: TwoStreamPredictor, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a time line, those that are not given as they will be; checked."""
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(TwoStreamPredictor.timeline).parameters.items()
        if name not in ("self", "video", "progress")
    }
    if unknown := sorted(set(options) - set(known)):
        raise UsageError(f"a time line has no option {unknown[0]}, but {', '.join(known)}")
    asked = known | dict(options)
    if asked["threshold"] is None:
        asked["threshold"] = predictor.threshold
    check_threshold(asked["threshold"])
    windows = asdict(
        predictor.windows.changed(
            seconds=asked["window_seconds"],
            every_seconds=asked["every_seconds"],
            positions=asked["positions"],
            smooth_seconds=asked["smooth_seconds"],
        )
    )
    return asked | {"window_seconds": windows.pop("seconds"), **windows}


def _refuse_others(run: Path, out: Path, models: str) -> None:
    """Raise a RunError where a folder was begun by another command, or with other models."""
    path = out / files.ASKED
    if not path.is_file():
        return
    try:
        before = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): choose another --out") from error
    if not isinstance(before, dict) or "timelines" not in before:
        raise RunError(f"{out} holds something else, not a set of time lines: choose another --out")
    if before.get("models") != models:
        raise RunError(
            f"{out} was begun with other models than those of {run}: go on with the RUN that it "
            "was begun with, or choose another --out"
        )


def _looked_at(
    places: Mapping[Path, Place], fatal: FatalVideos, fps: float, progress: Progress
) -> dict[Path, _ToDo]:
    """Return the videos without a time line of what they hold now; fatal ones come last."""
    to_do: dict[Path, _ToDo] = {}
    for number, (video, place) in enumerate(places.items()):
        progress("look at videos", number, len(places), place.name)
        try:
            fingerprint = source_hash(video)
        except VideoError:  # said when its turn comes
            fingerprint = ""
        if fingerprint and timeline_of(place.kept, video, place.name, fingerprint):
            continue
        seconds = 0.0
        if fatal.times(fingerprint):
            logger.warning(f"{video} comes last: a process ended while it was at work on it")
        elif fingerprint:
            with fatal.written_down(fingerprint, video):
                seconds = _claimed_seconds(video, fps)
        to_do[video] = _ToDo(fingerprint, seconds or SECONDS_IF_UNKNOWN)
    progress("look at videos", len(places), len(places))
    return dict(sorted(to_do.items(), key=lambda item: fatal.times(item[1].fingerprint)))


def _claimed_seconds(video: Path, fps: float) -> float:
    """Return how long a video says that it is; 0 where it does not."""
    try:
        with open_reader(video, fps=fps) as reader:
            return reader.claimed_seconds
    except Exception as error:  # said when its turn comes
        if not costs_one_video(error):
            raise
        return 0.0


def _say_others(places: Mapping[Path, Place], out: Path) -> None:
    """Say how many time lines of a folder are not asked for, before hours of work begin."""
    asked = {place.kept for place in places.values()}
    others = sum(path not in asked for path in (out / TIMELINES).rglob("*.json"))
    if others:
        logger.info(
            f"{out} has time lines of {others} other videos: they stay there, and are not in the "
            "tables, which are about the videos of this command"
        )


def _work(
    predictor: TwoStreamPredictor,
    places: Mapping[Path, Place],
    to_do: Mapping[Path, _ToDo],
    fatal: FatalVideos,
    options: Mapping[str, Any],
    result: ManyTimelines,
    progress: Progress,
) -> None:
    """Make the time lines that are missing, one after the other."""
    rest = sum(each.seconds for each in to_do.values())
    for number, (video, each) in enumerate(to_do.items(), start=1):
        rest -= each.seconds
        detail = f"{places[video].name} ({number} of {len(to_do)})"
        part = _part_of(progress, result.done_seconds, rest, detail)
        part(TASK, 0.0, each.seconds)
        try:
            kept = make_timeline(
                predictor,
                video,
                places[video],
                options,
                during=fatal.written_down,
                progress=part,
            )
        except Exception as error:  # of the video, or of its flow
            if not costs_one_video(error):
                raise
            result.failing(video, sentence(error, video))
            continue
        result.made(kept)
    if result.done:
        progress(TASK, result.done_seconds, result.done_seconds)


def _work_there(
    spread: Callable[..., AbstractContextManager[Iterator[list[Ended[KeptTimeline]]]]],
    places: Mapping[Path, Place],
    to_do: Mapping[Path, _ToDo],
    fatal: FatalVideos,
    result: ManyTimelines,
    progress: Progress,
) -> None:
    """Have the time lines that are missing made on a cluster."""
    by_name = {str(video): video for video in to_do}
    rest = sum(each.seconds for each in to_do.values())

    def all_left_in() -> Iterator[tuple[Path, Place]]:
        for video in to_do:
            if (why := why_left_out(str(video), died=False)) is None:
                yield video, places[video]
            else:
                result.failing(video, why)

    def why_left_out(name: str, *, died: bool = True) -> str | None:
        video = by_name[name]
        fingerprint = to_do[video].fingerprint
        if died:
            fatal.died(fingerprint)
        try:
            fatal.check(fingerprint, video)
        except VideoError as error:
            return str(error)
        return None

    with spread(all_left_in(), why_left_out) as ends:
        for ended in ends:
            for each in ended:
                video = by_name[each.name]
                rest -= to_do[video].seconds
                if each.result is None:
                    result.failing(video, each.failed or "")
                else:
                    result.made(each.result)
            number = result.done + len(result.failed)
            done = result.done_seconds
            progress(TASK, done, done + max(rest, 0.0), f"{number} of {len(to_do)}")


def _part_of(progress: Progress, finished: float, rest: float, name: str) -> Progress:
    """Return what is told of one video's seconds, as a part of those of all."""

    def part(task: str, done: float, total: float, detail: str = "") -> None:
        if done < total:  # the end of one is not the end of all
            progress(TASK, finished + done, finished + total + max(rest, 0.0), name)

    return part


def _all_kept(
    places: Mapping[Path, Place], result: ManyTimelines
) -> Iterator[tuple[Path, KeptTimeline]]:
    """Yield what is kept of each video that has not failed, one at a time, and add them up."""
    for video, place in places.items():
        if str(video) in result.failed:
            continue
        kept = kept_timeline(place.kept)
        if kept is None or kept.name != place.name:
            raise RunError(f"{place.kept} has been changed meanwhile: run the same command again")
        result.seconds += kept.seconds
        if kept.warning:
            result.warnings[str(video)] = kept.warning
        yield video, kept
