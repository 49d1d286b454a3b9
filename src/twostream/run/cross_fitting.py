"""Out-of-fold scores of the training clips, for fusion: each from nets that did not see it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream import initialise
from twostream.datasets import Dataset
from twostream.fusion import evidence, fuse, log_linear_fusion, pooled, svm
from twostream.log_linear import LogLinear, answer
from twostream.recipe import Recipe
from twostream.run import other_data
from twostream.run.settings import RunSettings
from twostream.scoring import load_scores
from twostream.types import STREAMS, DataError, DatasetSplit, LabeledVideo, VideoScores

logger = logging.getLogger(__name__)

SEEN = 100  # training clips whose scores show over-fitting
# Nats by which the learnt fusion must be likelier than the lesser stream alone, or more clips are
# held out. Chance alone gives this much in 5 of 100 cases (chi-squared, one weight more). Held-out
# clips of JHMDB gave 97 to 110, of tennis 27, of Weizmann 7 to 16, of skateboard 1.
TOLD_APART = 2.0


def inner_folds(
    settings: RunSettings, dataset: Dataset, split: DatasetSplit, own: DatasetSplit
) -> list[DatasetSplit]:
    """Return the folds of the training clips; none where the SVM learns in-sample.

    "held-out": of those as few as hold enough clips, of every class. Asked for before anything is
    trained, so that too few groups are said at once. Arguments are those of ``drawn_folds``.
    """
    if settings.recipe.fit_scores == "in-sample" or len(settings.streams) < len(STREAMS):
        return []
    drawn = drawn_folds(settings, dataset, split, own)
    if not drawn:
        logger.info(
            "all training clips are of one group: the SVM learns from in-sample scores, and the "
            "average answers"
        )
    held_out = settings.recipe.fit_scores == "held-out"
    return enough(drawn, own, settings.recipe) if held_out else drawn


def drawn_folds(
    settings: RunSettings, dataset: Dataset, split: DatasetSplit, own: DatasetSplit
) -> list[DatasetSplit]:
    """Return all folds of the training clips, drawn by group; none where there is one group.

    They are drawn of all clips, and those that cannot be used are left out of their fold then: a
    clip that becomes unreadable while a run is stopped must not move others from fold to fold.

    Args:
        settings, dataset: of the run.
        split: its training side.
        own: what of that can be used.
    """
    inner = replace(dataset, videos=split.train, given=())
    folds = min(settings.recipe.fit_folds, len(inner.units()))
    if folds < 2:
        return []
    drawn = [inner.split(fold=f"{i}/{folds}", seed=settings.seed) for i in range(1, folds + 1)]
    usable = {video.video_id for video in own.train}
    parts = [
        replace(
            fold,
            train=tuple(video for video in fold.train if video.video_id in usable),
            test=tuple(video for video in fold.test if video.video_id in usable),
        )
        for fold in drawn
    ]
    parts = [part for part in parts if part.test]
    return parts if len(parts) > 1 else []


def enough(drawn: list[DatasetSplit], split: DatasetSplit, recipe: Recipe) -> list[DatasetSplit]:
    """Return the first fold that holds enough clips and groups; else as many as together do.

    Of every class. All where they are too few. Each fold costs two nets.
    """
    every = {video.label for video in split.train}

    def sufficient(folds: list[DatasetSplit]) -> bool:
        held_out = [video for fold in folds for video in fold.test]
        groups = {f"/{v.video_id}" if v.group is None else v.group for v in held_out}
        enough_of_them = len(held_out) >= recipe.fit_clips and len(groups) >= recipe.fit_groups
        return enough_of_them and {video.label for video in held_out} == every

    first = [drawn[:count] for count in range(1, len(drawn) + 1)]
    return next(filter(sufficient, [[fold] for fold in drawn] + first), drawn)


def another_fold(
    run: Path,
    fit: Sequence[VideoScores],
    drawn: Sequence[DatasetSplit],
    folds: Sequence[DatasetSplit],
) -> list[DatasetSplit]:
    """Return a further fold to hold out, where clips do not tell the streams apart; else none.

    A run whose cross-fitting has ended keeps its folds, also those that an older version chose: it
    answers by them, and what it would be trained on may be gone.

    Args:
        run: its folder.
        fit: scores of the clips that were held out so far, one a stream.
        drawn: all folds.
        folds: those that were held out.
    """
    left = [fold for fold in drawn if fold not in folds]
    if not left:
        return []
    if all(crossfit_file(run, stream).is_file() for stream in STREAMS):
        return held_out_of(run, drawn, folds)[len(folds) :]
    try:
        if evidence(_known(fit, folds)) >= TOLD_APART:
            return []
    except DataError:  # all of one class, say
        pass
    logger.info(
        f"{len(fit[0].video_ids)} held-out clips do not tell which stream is better: "
        f"{left[0].name} is held out too"
    )
    return left[:1]


def held_out_of(
    run: Path, drawn: Sequence[DatasetSplit], folds: Sequence[DatasetSplit]
) -> list[DatasetSplit]:
    """Return the folds that a run has held out: the first ones, and further ones with scores.

    Those of most of a fold's clips: some may have been unreadable, and a few are of other folds
    where the data has changed.
    """
    known = set(load_scores(crossfit_file(run, STREAMS[0])).video_ids)

    def has_scores(fold: DatasetSplit) -> bool:
        return 2 * sum(video.video_id in known for video in fold.test) > len(fold.test)

    return [*folds, *(fold for fold in drawn if fold not in folds and has_scores(fold))]


def crossfit_file(run: Path, stream: str) -> Path:
    """Return where a run has the scores of its held-out clips."""
    return run / "scores" / f"{stream}-crossfit.npz"


def fold_folder(fold: DatasetSplit) -> str:
    """Return where a fold's nets and scores lie: "fold-2" for "fold 2/4"."""
    return fold.name.partition("/")[0].replace(" ", "-")


def joined(parts: Sequence[VideoScores]) -> VideoScores:
    """Put the scores of several sets of videos together; each video stands in one of them."""
    return replace(
        parts[0],
        video_ids=tuple(video_id for part in parts for video_id in part.video_ids),
        labels=np.concatenate([part.labels for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        unreadable={k: v for part in parts for k, v in part.unreadable.items()},
    )


def learnt_fusion(
    fit: Sequence[VideoScores], folds: Sequence[DatasetSplit], *, alike: bool = False
) -> LogLinear | None:
    """Learn how much each stream counts from out-of-fold scores; None where that cannot be.

    Of classes ``alike``, or of clips.

    A class that a fold's nets were not trained on, since all its clips are of one group, says
    nothing of the nets that know it: its clips are left out.
    """
    try:
        fusion = log_linear_fusion(_known(fit, folds), alike=alike)
    except DataError as error:
        logger.warning(f"no fusion could be learnt, the average of the streams answers: {error}")
        return None
    logger.info(f"fusion, learnt from {fusion.clips} clips out of fold: {fusion.in_words()}")
    return fusion


def fused_out_of_fold(
    fit: Sequence[VideoScores], folds: Sequence[DatasetSplit], *, alike: bool = False
) -> NDArray[np.float32]:
    """Return (n, k) what streams answer of each clip, by a fusion that is learnt without its fold.

    The run's own is learnt from all of them, and would be judged by what it was chosen on.
    """
    found = np.zeros_like(fit[0].scores)
    places = {video_id: i for i, video_id in enumerate(fit[0].video_ids)}
    for fold in folds:
        others = [each for each in folds if each is not fold]
        fusion = None
        if others and len(fit) > 1:
            ids = [video.video_id for each in others for video in each.test]
            with suppress(DataError):  # then the average answers
                known = _known([each.select(ids) for each in fit], others)
                fusion = log_linear_fusion(known, alike=alike)
        rows = [places[video.video_id] for video in fold.test]
        found[rows] = answer(fusion, {each.stream: each.scores[rows] for each in fit})
    return found


def _known(fit: Sequence[VideoScores], folds: Sequence[DatasetSplit]) -> list[VideoScores]:
    """Return the scores of those clips whose class the fold's nets were trained on."""
    known = set()
    for fold in folds:
        learnt = {video.label for video in fold.train}
        known |= {video.video_id for video in fold.test if video.label in learnt}
    return [each.select([i for i in each.video_ids if i in known]) for each in fit]


def fused(
    test: Sequence[VideoScores],
    fit: Sequence[VideoScores],
    fusion: LogLinear | None,
    *,
    seed: int,
) -> list[VideoScores]:
    """Fuse both streams by average, by an SVM fitted on scores of training clips, and as learnt."""
    found = [fuse(test, method="average"), svm(test, fit, seed=seed)]
    return found + ([pooled(test, fusion)] if fusion else [])


@contextmanager
def said_before() -> Iterator[None]:
    """Drop the notes on what a net starts from: for a fold they would only repeat the run's own."""

    def is_news(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    for each in (initialise.logger, other_data.logger):
        each.addFilter(is_news)
    try:
        yield
    finally:
        for each in (initialise.logger, other_data.logger):
            each.removeFilter(is_news)


def shown_over_fitting(settings: RunSettings, split: DatasetSplit) -> Sequence[LabeledVideo]:
    """Return the training clips that are scored to see over-fitting, and for nothing else.

    All of them where each has a score to learn from anyway; with held-out scores a hundred, evenly
    from the list: 660 clips took an eighth of a run, and a share of a hundred is within ten points.
    """
    if settings.recipe.fit_scores != "held-out" or len(split.train) <= SEEN:
        return split.train
    return [split.train[i * len(split.train) // SEEN] for i in range(SEEN)]
