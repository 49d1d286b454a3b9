"""Out-of-fold scores of the training clips, for the SVM: each from nets that did not see it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from twostream.datasets import Dataset
from twostream.run.settings import STREAMS, RunSettings
from twostream.types import DatasetSplit, Stream, VideoScores

logger = logging.getLogger(__name__)


def inner_folds(settings: RunSettings, dataset: Dataset, split: DatasetSplit) -> list[DatasetSplit]:
    """Return the folds of the training clips; none where the SVM learns from in-sample scores.

    Asked for before anything is trained, so that too few groups are said at once.
    """
    if settings.recipe.fit_scores == "in-sample" or len(settings.streams) < len(STREAMS):
        return []
    inner = replace(dataset, videos=split.train, given=())
    folds = min(settings.recipe.fit_folds, len(inner.groups) or len(split.train))
    if folds < 2:
        logger.info("all training clips are of one group: the SVM learns from in-sample scores")
        return []
    return [inner.split(fold=f"{i}/{folds}", seed=settings.seed) for i in range(1, folds + 1)]


def cross_fit(
    streams: Sequence[Stream],
    folds: Sequence[DatasetSplit],
    folder: Path,
    held_out: Callable[[Stream, DatasetSplit, Path], VideoScores],
) -> list[VideoScores]:
    """Score each training clip with nets that were trained without its fold.

    Args:
        streams: which ones.
        folds: of the training clips; each clip is tested in one of them.
        folder: FOLDER/fold-I/ keeps the nets and scores of fold I.
        held_out: trains a stream on a fold in a folder, and scores the fold's test videos.

    Returns:
        The scores of all training clips, one a stream.
    """
    with _said_before():
        parts = [
            [held_out(stream, fold, folder / f"fold-{i}") for stream in streams]
            for i, fold in enumerate(folds, start=1)
        ]
    return [joined(stream_parts) for stream_parts in zip(*parts, strict=True)]


def joined(parts: Sequence[VideoScores]) -> VideoScores:
    """Put the scores of several sets of videos together; each video stands in one of them."""
    return replace(
        parts[0],
        video_ids=tuple(video_id for part in parts for video_id in part.video_ids),
        labels=np.concatenate([part.labels for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        unreadable={k: v for part in parts for k, v in part.unreadable.items()},
    )


@contextmanager
def _said_before() -> Iterator[None]:
    """Keep quiet what the run's own nets start from: those of the folds would only repeat it."""
    repeated = [logging.getLogger(f"twostream.{n}") for n in ("initialise", "run.other_data")]
    for each in repeated:
        each.disabled = True
    try:
        yield
    finally:
        for each in repeated:
            each.disabled = False
