"""One of many videos: where the files of its time line lie, and how they are made.

The time line is made in this process, or in one of a cluster, which loads the models once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from twostream import files
from twostream.cluster import GPU_SHARE, Ended, check_seen, joined, spread
from twostream.flow.device import cuda_is_there
from twostream.prediction.kept_timelines import KeptTimeline
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.timeline_files import scores_csv
from twostream.types import Progress, UsageError, VideoError, no_progress
from twostream.video import open_reader
from twostream.video.fingerprint import source_hash

TIMELINES, SCORES = "timelines", "scores"
LONGEST_NAME = 255  # bytes, on nearly all disks


@dataclass(frozen=True, slots=True)
class Place:
    """A video's name, and the files that are written for it."""

    name: str
    kept: Path
    scores: Path


def places_of(videos: Mapping[Path, Path], out: Path) -> dict[Path, Place]:
    """Return where each video's files go; a name keeps its suffix, whatever comes beside it."""
    found: dict[Path, Place] = {}
    names = set[Path]()
    for video, name in videos.items():
        if name.name in ("", ".."):  # "predict RUN ." in a folder of frames
            name = Path(video.resolve().name)
        if name in names:
            raise UsageError(
                f"several videos are called {name}, and {out} can hold only one: give their common "
                "folder instead"
            )
        names.add(name)
        if len(os.fsencode(name.name)) + len(".json") > LONGEST_NAME:
            raise UsageError(f"the name of {video} is too long for files beside it: shorten it")
        found[video] = Place(
            name.as_posix(),
            out / TIMELINES / name.with_name(f"{name.name}.json"),
            out / SCORES / name.with_name(f"{name.name}.csv"),
        )
    return found


def make_timeline(
    predictor: TwoStreamPredictor,
    video: Path,
    place: Place,
    options: Mapping[str, Any],
    *,
    during: Callable[[str, Path], AbstractContextManager[object]] = lambda *_: nullcontext(),
    progress: Progress = no_progress,
) -> KeptTimeline:
    """Make a time line and write its files; the one that says that it is done comes last.

    Args:
        predictor: the models.
        video: the file, or folder of frames.
        place: where its files go.
        options: of ``TwoStreamPredictor.timeline``.
        during: what is done around it, given the video's fingerprint and the video.
        progress: told of the video's seconds.

    Raises:
        VideoError: it cannot be read, or has changed meanwhile.
    """
    fingerprint = source_hash(video)
    with during(fingerprint, video):
        timeline = predictor.timeline(video, **options, progress=progress)
    if source_hash(video) != fingerprint:
        raise VideoError(
            video, "has changed while it was read: run the same command when it is complete"
        )
    with open_reader(video, fps=predictor.spec.fps) as reader:
        fps = reader.info.fps
    kept = KeptTimeline.of(timeline, place.name, fingerprint, fps)
    files.write_text(place.scores, scores_csv(timeline))
    with open(place.scores, "r+b") as scores:  # what says that they are there must not come first
        os.fsync(scores.fileno())
    kept.write(place.kept)
    return kept


@contextmanager
def spread_timelines(
    address: str,
    run: Path,
    device: str,
    out: Path,
    options: Mapping[str, Any],
    videos: Iterable[tuple[Path, Place]],
    died: Callable[[str], str | None],
) -> Iterator[Iterator[list[Ended[KeptTimeline]]]]:
    """Have time lines made on a cluster; what has begun ends with the block.

    Args:
        address: as of ``cluster.joined``.
        run: with the models.
        device: "cpu", "cuda" or "auto": a GPU of each node, if there is one here.
        out: the folder, which has been claimed.
        options: of ``TwoStreamPredictor.timeline``.
        videos: taken only so far as they are begun.
        died: as of ``cluster.spread``, given a video as text.

    Yields:
        What ``cluster.spread`` yields, by the videos as text.
    """
    on_gpu = device == "cuda" or (device == "auto" and cuda_is_there())
    work = partial(_make_there, run, device if on_gpu else "cpu", out / files.ASKED, options)
    items = ((str(video), (video, place, os.path.exists(video))) for video, place in videos)
    with joined(address), closing(spread(work, items, gpus=GPU_SHARE * on_gpu, died=died)) as ends:
        yield ends


def _make_there(
    run: Path,
    device: str,
    asked: Path,
    options: Mapping[str, Any],
    given: tuple[Path, Place, bool],
) -> KeptTimeline:
    """Make a time line in a process of a cluster.

    Args:
        run, device, options: as of ``spread_timelines``.
        asked: a file of the folder that is to be filled.
        given: the video, its place, and whether it lies there where the cluster was asked.
    """
    video, place, is_there = given
    check_seen(run, asked, *([video] if is_there else []))
    return make_timeline(_loaded(run, device), video, place, options)


@cache
def _loaded(run: Path, device: str) -> TwoStreamPredictor:
    return TwoStreamPredictor.load(run, device=device)
