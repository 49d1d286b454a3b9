"""What more clips would bring: a run's recipe trained on parts of its clips, and a fitted curve.

The parts are scored on the clips that the run's own cross-fitting held out, whose scores by nets
trained on the whole rest lie in RUN already. Test clips are never looked at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.datasets.kept_videos import data_of, kept_videos
from twostream.files import ASKED, read_json, write_json
from twostream.fusion import fuse, pooled
from twostream.locks import locked
from twostream.log_linear import LogLinear, read_fusion
from twostream.report import write_report
from twostream.report.measures import confidence_interval, recalls
from twostream.run.cross_fitting import (
    crossfit_file,
    drawn_folds,
    held_out_of,
    inner_folds,
    joined,
    said_before,
)
from twostream.run.description import read_results
from twostream.run.power_law import learning_curve
from twostream.run.settings import RunSettings
from twostream.run.steps import StoredSplit, extract_split, store_for
from twostream.run.training_run import TrainingRun, job_of
from twostream.scoring import load_scores
from twostream.training import TrainerOptions
from twostream.types import (
    STREAMS,
    DatasetSplit,
    LabeledVideo,
    Progress,
    RunError,
    Stream,
    UsageError,
    VideoScores,
    no_progress,
)

CURVE_NAME = "curve.json"
SHARES = (0.25, 0.5)  # of the clips; the whole is there already
TIMES = (2, 4)  # how many times as many clips the curve is continued to
FEWEST_POINTS = 3  # a power law has three unknowns

Size = int | float  # clips of each class, or a share of them


def curve_run(
    run: Path,
    sizes: Sequence[Size] = SHARES,
    *,
    options: TrainerOptions | None = None,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure how accuracy rises with the clips, and what more of them would bring.

    What is trained lies in RUN/curve/ and is not trained again.

    Args:
        run: a finished RUN folder whose fusion was learnt from scores out of fold.
        sizes: of the parts: whole numbers are clips of each class, others shares of them in 0..1.
        options, workers, progress: as in ``train_run``.

    Returns:
        What RUN/curve.json holds, see ``measured``; the report shows it.

    Raises:
        TwoStreamError: with one clear sentence; nothing finished is lost.
    """
    options = options or TrainerOptions()
    options.check()
    results = read_results(run)
    settings = RunSettings.from_asked(read_json(run / ASKED))
    settings = replace(settings, data=str(data_of(kept_videos(run), settings.data)))
    if results.get("fit_scores") == "in-sample" or len(settings.streams) < len(STREAMS):
        raise RunError(
            f"{run} held none of its training clips back, so that there are none to measure a "
            "curve on: train both streams with --fit-scores held-out or out-of-fold"
        )
    with locked(run, "wait until it has finished", "it must be writable"):
        job = job_of(settings, run, options, workers, progress)
        job.settle_flow()  # as the run did
        own, others = stored(job)
        folds = inner_folds(job.settings, job.dataset, job.split, own.split)
        job.settle_flips(own, folds, others)  # as the run did
        drawn = drawn_folds(job.settings, job.dataset, job.split, own.split)
        folds = held_out_of(run, drawn, folds)
        whole = whole_scores(run, folds)
        folds = scored(folds, whole)
        held_out_groups(folds)  # before anything is trained
        points = planned(folds, sizes, settings.seed)
        scores = [trained(job, own, others, folds, point, len(points)) for point in points]
        found = measured(
            [*points, Point("whole", len(points), tuple(fold.train for fold in folds))],
            [*scores, whole],
            folds,
            own.split.train,
            read_fusion(run),
        )
        write_json(run / CURVE_NAME, found)
        write_report(run, videos={video.video_id: video for video in job.split.videos()})
    return found


@dataclass(frozen=True)
class Point:
    """A point of the curve.

    Attributes:
        name: of its folder, and for people: "clips-5", "share-0.25", "whole".
        place: among the points, from 0.
        train: of each fold, the clips that are trained on.
    """

    name: str
    place: int
    train: tuple[tuple[LabeledVideo, ...], ...]

    @property
    def clips(self) -> float:
        """Clips a class, mean over classes and folds."""
        return float(np.mean([clips_a_class(videos) for videos in self.train]))


def clips_a_class(videos: Sequence[LabeledVideo]) -> float:
    """Return how many clips the classes that are there have, on average."""
    return len(videos) / max(1, len({video.label for video in videos}))


def nested_part(
    videos: Sequence[LabeledVideo], size: Size, *, seed: int = 0
) -> tuple[LabeledVideo, ...]:
    """Draw the same part of each class; a larger part of the same seed holds the smaller ones.

    Groups come one after the other, whole but for the last one of a class: more clips are clips of
    more people or places, as they are where somebody films more. A video without a group is drawn
    by itself.

    Args:
        videos: to draw from.
        size: clips of each class, where it has so many, or a share of them in 0..1.
        seed: of the order.
    """
    random = np.random.default_rng(seed)
    units = [video.group or f"/{video.video_id}" for video in videos]
    place = {unit: i for i, unit in enumerate(random.permutation(sorted(set(units))).tolist())}
    order = sorted(random.permutation(len(videos)).tolist(), key=lambda row: place[units[row]])
    left = {
        label: min(size, count) if isinstance(size, int) else max(1, round(size * count))
        for label, count in Counter(video.label for video in videos).items()
    }
    chosen = set()
    for row in order:
        if left[videos[row].label] > 0:
            left[videos[row].label] -= 1
            chosen.add(row)
    return tuple(video for row, video in enumerate(videos) if row in chosen)


def planned(folds: Sequence[DatasetSplit], sizes: Sequence[Size], seed: int) -> list[Point]:
    """Return the points below the whole, by ascending size; those that are the same once.

    Raises:
        UsageError: fewer than two are left, or a size makes no sense.
    """
    for size in sizes:
        if size < 1 if isinstance(size, int) else not 0 < size < 1:
            raise UsageError(f"a part is 1 clip of each class at least, or a share of 0..1: {size}")
    found: dict[tuple[int, ...], Point] = {}
    for size in sizes:
        train = tuple(nested_part(fold.train, size, seed=seed) for fold in folds)
        name = f"clips-{size}" if isinstance(size, int) else f"share-{size:g}"
        found.setdefault(tuple(map(len, train)), Point(name, 0, train))
    found.pop(tuple(len(fold.train) for fold in folds), None)
    if len(found) + 1 < FEWEST_POINTS:
        counts = Counter((i, v.label) for i, fold in enumerate(folds) for v in fold.train)
        least, most = min(counts.values()), max(counts.values())
        have = f"{least}" if least == most else f"{least} to {most}"
        raise UsageError(
            f"a curve needs two different parts at least, these sizes give {len(found)} of the "
            f"{have} clips of each class that are left beside the held-out ones: give --clips with "
            "smaller numbers, such as 1,2, or add clips"
        )
    ordered = sorted(found.values(), key=lambda point: point.clips)
    return [replace(point, place=place) for place, point in enumerate(ordered)]


def stored(job: TrainingRun) -> tuple[StoredSplit, list[StoredSplit]]:
    """Find the training clips in the run's store, and those of data sets that help to train."""
    settings, root = job.settings, job.settings.store_folder(job.out)
    own = extract_split(
        replace(job.split, test=()),
        root,
        store_for(settings.stored, root, job.split),
        kinds=settings.kinds(),
        smallest_side=settings.recipe.smallest_side,
        workers=job.workers,
        device=job.options.flow_device(),
        progress=job.progress,
    )
    kinds = settings.net("temporal").kinds
    return own, [job.extracted(other.split, other.store, kinds) for other in job.others]


def whole_scores(run: Path, folds: Sequence[DatasetSplit]) -> dict[Stream, VideoScores]:
    """Read what the run's own cross-fitting left.

    Raises:
        RunError: there are scores of others than the clips of these folds.
    """
    files = {stream: crossfit_file(run, stream) for stream in STREAMS}
    found = {stream: load_scores(file) for stream, file in files.items()}
    held_out = {video.video_id for fold in folds for video in fold.test}
    for stream, scores in found.items():
        if not set(scores.video_ids) <= held_out:
            raise RunError(
                f"{files[stream]} holds scores of {len(scores.video_ids)} clips, and not all of "
                "them are held out of the data as it is now: the data has changed, so train the "
                "run again"
            )
    return found


def scored(
    folds: Sequence[DatasetSplit], whole: Mapping[Stream, VideoScores]
) -> list[DatasetSplit]:
    """Leave out held-out clips that the run has no scores of, as --skip-unreadable asked for."""
    known = set.intersection(*(set(scores.video_ids) for scores in whole.values()))
    return [
        replace(fold, test=tuple(video for video in fold.test if video.video_id in known))
        for fold in folds
    ]


def held_out_groups(folds: Sequence[DatasetSplit]) -> dict[str, str]:
    """Return held-out video id -> its group, or itself.

    Clips of a class that a fold's nets were not trained on are left out, as in fusion.

    Raises:
        RunError: none is left.
    """
    group: dict[str, str] = {}
    for fold in folds:
        learnt = {video.label for video in fold.train}
        group |= {v.video_id: v.group or v.video_id for v in fold.test if v.label in learnt}
    if not group:
        raise RunError(
            "a curve needs held-out clips of a class that is trained on too, and the clips of each "
            "class are of one group: add clips of other groups"
        )
    return group


def trained(
    job: TrainingRun,
    own: StoredSplit,
    others: Sequence[StoredSplit],
    folds: Sequence[DatasetSplit],
    point: Point,
    points: int,
) -> dict[Stream, VideoScores]:
    """Train both streams on a point's clips of each fold, and score what the fold holds out."""
    parts: dict[Stream, list[VideoScores]] = {stream: [] for stream in job.settings.streams}
    work, done = points * len(folds), point.place * len(folds)
    for i, (fold, train) in enumerate(zip(folds, point.train, strict=True), start=1):
        said = f"{point.clips:.1f} clips a class, fold {i} of {len(folds)}"
        job.progress("learning curve", done + i - 1, work, said)
        folder = job.out / "curve" / point.name / f"fold-{i}"
        part = replace(own, split=replace(fold, train=train))
        with said_before():
            for stream, found in parts.items():
                model = job.model(stream, part, folder, others)
                found.append(job.scores(folder / f"{stream}.npz", model, fold.test, own))
        job.progress("learning curve", done + i, work, said)
    return {stream: joined(found) for stream, found in parts.items()}


def measured(
    points: Sequence[Point],
    scores: Sequence[Mapping[Stream, VideoScores]],
    folds: Sequence[DatasetSplit],
    train: Sequence[LabeledVideo],
    fusion: LogLinear | None,
) -> dict[str, Any]:
    """Return what the points say: the curves, their continuation, and the classes.

    Args:
        points: by ascending size, the whole last.
        scores: of each, stream -> scores of the held-out clips.
        folds: of the run.
        train: all clips that the run's nets were trained on; gains are counted from so many.
        fusion: that the run answers with; None: the average.

    Returns:
        JSON values: "clips_a_class", "held_out", "groups", "answer", "points" (clips_a_class,
        train_videos), "models" (name -> law, now, accuracy of each point, ahead), "classes"
        and "needs", see ``class_needs``.
    """
    group = held_out_groups(folds)
    models: dict[str, list[VideoScores]] = defaultdict(list)
    for streams in scores:
        chosen = [streams[stream].select(list(group)) for stream in STREAMS]
        for each in (*chosen, pooled(chosen, fusion) if fusion else fuse(chosen)):
            models[each.stream].append(each)
    sizes, now = [point.clips for point in points], clips_a_class(train)
    answer = next(reversed(models))
    return {
        "clips_a_class": now,
        "held_out": len(group),
        "groups": len(set(group.values())),
        "answer": answer,
        "points": [
            {"clips_a_class": point.clips, "train_videos": [len(videos) for videos in point.train]}
            for point in points
        ],
        "models": {name: _model(sizes, each, group, now) for name, each in models.items()},
        **class_needs(models[answer], sizes),
    }


def _model(
    sizes: Sequence[float], scores: Sequence[VideoScores], group: Mapping[str, str], now: float
) -> dict[str, Any]:
    """Return one model's curve as JSON values."""
    right: NDArray[np.bool_] = np.stack([each.correct() for each in scores])
    curve = learning_curve(sizes, right, list(group.values()), now=now, times=TIMES)
    return {
        "law": asdict(curve.law),
        "now": curve.law.at(now),
        "accuracy": [asdict(each) for each in curve.points],
        "ahead": [
            {
                "times": times,
                "clips_a_class": times * now,
                "accuracy": asdict(curve.ahead[times]),
                "gain": asdict(curve.gains[times]),
            }
            for times in TIMES
        ],
    }


def class_needs(scores: Sequence[VideoScores], sizes: Sequence[float]) -> dict[str, Any]:
    """Return the recall of each class at each point, and which class needs clips most.

    That is the one of the lowest recall among those that still rise over the points; the others
    whose 95% interval meets its own cannot be told apart from it.

    Args:
        scores: of the run's answer at each point, of the same clips, the whole last.
        sizes: clips a class at each point.

    Returns:
        classes: name, held_out clips, right at the last point, recalls, low, high, rising; of
            those that have held-out clips.
        needs: names, neediest first, all that cannot be told apart from the first.
    """
    shares = np.stack([recalls(each) for each in scores])  # (p, k)
    labels = scores[-1].labels
    away = np.log(sizes) - np.mean(np.log(sizes))
    rows = []
    for label, name in enumerate(scores[-1].classes):
        count = int((labels == label).sum())
        if not count:
            continue
        right = round(float(shares[-1, label]) * count)
        low, high = confidence_interval(right, count)
        rows.append(
            {
                "name": name,
                "held_out": count,
                "right": right,
                "recalls": shares[:, label].tolist(),
                "low": low,
                "high": high,
                "rising": bool(away @ shares[:, label] > 1e-9),
            }
        )
    rising = sorted(
        (row for row in rows if row["rising"]), key=lambda row: (row["recalls"][-1], row["high"])
    )
    needs = [row["name"] for row in rising if row["low"] <= rising[0]["high"]]
    return {"classes": rows, "needs": needs}
