"""Late fusion: averaging, weights, a linear SVM (section 6), and a learnt product of the scores.

Pure functions of ``VideoScores``. Everything is matched by video id, never by position. The product
is what a run answers with; ``log_linear`` has its arithmetic.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.log_linear import FUSED, METHOD, LogLinear, answer, learn, log_loss
from twostream.types import DataError, UsageError, VideoScores

logger = logging.getLogger(__name__)

METHODS = ("average", "weighted", "svm", METHOD)
LEARNT = ("svm", METHOD)


def fuse(
    streams: Sequence[VideoScores],
    *,
    method: str = "average",
    weights: Sequence[float] | None = None,
    fit: Sequence[VideoScores] | None = None,
    seed: int = 0,
) -> VideoScores:
    """Fuse the scores of several streams.

    Args:
        streams: one ``VideoScores`` a stream, on the same videos, in any order.
        method: "average" (section 6 a), "weighted", "svm" (section 6 b), or "log-linear": a
            product of the scores with learnt weights, whose scores are called "fused".
        weights: for "weighted", one a stream.
        fit: for "svm" and "log-linear", each stream's scores on *training* clips, in the same
            order of streams. Nets are over-confident on clips they were trained on, so scores
            from cross-fitting (each clip scored by a net that did not see it) usually serve
            better, and "log-linear" needs them to be calibrated. Videos that are among
            ``streams`` too are warned of.
        seed: for the SVM's solver.

    Returns:
        Fused scores in the order of the first stream's videos; SVM scores are decision values.

    Raises:
        DataError: classes or videos differ, and which.
        UsageError: an unknown method, or weights or fit that do not fit it.
    """
    if method not in METHODS:
        raise UsageError(f"unknown fusion method {method!r}: use one of {', '.join(METHODS)}")
    if method == "weighted" and weights is None:
        raise UsageError("method weighted needs weights, one a stream: give --weights 1,2")
    if method != "weighted" and weights is not None:
        raise UsageError(f"weights go with method weighted, and only with it, got {method}")
    if method in LEARNT and fit is None:
        raise UsageError(
            f"method {method} learns from scores of training clips: give --fit FILE once a stream, "
            "in the same order, such as RUN/scores/spatial-crossfit.npz"
            f"{' or -train.npz' if method == 'svm' else ''}"
        )
    if method not in LEARNT and fit is not None:
        raise UsageError(
            f"training scores (fit) go with method {' or '.join(LEARNT)}, and only with them, got "
            f"{method}"
        )
    matched = match(streams)
    if method in LEARNT:
        train = match(fit or ())
        _check_same_streams(train, matched)
        _say_learnt_from(train, matched)
        if method == "svm":
            return svm(matched, train, seed=seed)
        scores = log_linear_fusion(train).fused([each.scores for each in matched])
        return _result(matched, scores, "probabilities", FUSED)
    _check_probabilities(matched)
    shares = np.asarray(weights if weights is not None else [1.0] * len(matched), np.float64)
    if len(shares) != len(matched) or not np.isfinite(shares).all() or (shares < 0).any():
        raise UsageError(f"needs {len(matched)} weights of 0 or more, one a stream, got {weights}")
    if shares.sum() == 0:
        raise UsageError("all fusion weights are 0: at least one stream must count")
    total = sum(s * m.scores for s, m in zip(shares / shares.sum(), matched, strict=True))
    return _result(matched, np.asarray(total, np.float32), "probabilities", method)


def log_linear_fusion(fit: Sequence[VideoScores], *, alike: bool = False) -> LogLinear:
    """Learn how much each stream counts.

    Args:
        fit: one ``VideoScores`` a stream, of training clips that its net was not trained on; clips
            that a stream could not read, and clips without a label, are left out.
        alike: each class counts alike, and not each clip, see ``log_linear.learn``.

    Raises:
        DataError: classes or videos differ, or fewer than two classes are among the clips.
    """
    scores, labels = _to_learn_from(fit)
    return learn(fit[0].classes, [each.stream for each in fit], scores, labels, alike=alike)


def evidence(fit: Sequence[VideoScores]) -> float:
    """Return by how many nats the learnt fusion is likelier than the lesser stream alone.

    Where that is little, either stream might as well answer: the clips do not tell how much each
    of them is worth. Arguments and errors are those of ``log_linear_fusion``.
    """
    fusion = log_linear_fusion(fit)
    scores, labels = _to_learn_from(fit)
    alone = [
        log_loss(fusion.calibrated(each.stream, own), labels)
        for each, own in zip(fit, scores, strict=True)
    ]
    return (max(alone) - fusion.loss) * fusion.clips


def _to_learn_from(
    fit: Sequence[VideoScores],
) -> tuple[list[NDArray[np.float32]], NDArray[np.int64]]:
    """Return the streams' (n, k) scores of the clips that can be learnt from, and (n,) labels."""
    matched = match(fit)
    _check_probabilities(matched)
    usable = _usable(matched)
    return [each.scores[usable] for each in matched], matched[0].labels[usable]


def pooled(streams: Sequence[VideoScores], fusion: LogLinear) -> VideoScores:
    """Fuse the scores of distinct streams, whatever their order, by a fusion learnt before.

    Raises:
        ModelError: it was learnt from other streams or classes.
    """
    matched = match(streams)
    _check_probabilities(matched)
    found = {each.stream: each.scores for each in matched}
    scores = answer(fusion.of(list(found), matched[0].classes), found)
    return _result(matched, scores, "probabilities", FUSED)


def match(streams: Sequence[VideoScores]) -> list[VideoScores]:
    """Bring streams into the first one's order of videos.

    Raises:
        DataError: other classes, or a video that a stream lacks; nothing is dropped in silence.
    """
    if not streams:
        raise DataError("nothing to fuse: give the score files of at least one stream")
    first = streams[0]
    known = set(first.video_ids)
    for other in streams[1:]:
        if other.classes != first.classes:
            differing = sorted(set(other.classes) ^ set(first.classes))
            raise DataError(
                f"{first.stream} has {len(first.classes)} classes and {other.stream} "
                f"{len(other.classes)}, differing in {', '.join(differing[:5]) or 'order'}: "
                "fuse streams that were trained on the same classes"
            )
        extra = [i for i in other.video_ids if i not in known]
        if extra:
            raise DataError(
                f"{first.stream} has no scores for {len(extra)} videos that {other.stream} has, "
                f"the first is {extra[0]}: evaluate both streams on the same videos"
            )
    matched = [scores.select(first.video_ids) for scores in streams]
    for other in matched[1:]:
        differing_rows = np.flatnonzero(other.labels != first.labels)
        if len(differing_rows):
            raise DataError(
                f"the label of {first.video_ids[differing_rows[0]]} differs between "
                f"{first.stream} and {other.stream}: these scores are of different data"
            )
    return matched


def svm_features(streams: Sequence[VideoScores]) -> NDArray[np.float64]:
    """Return (n, streams * k): each stream's softmax scores, L2-normalised, side by side."""
    parts = []
    for scores in streams:
        norm = np.linalg.norm(scores.scores, axis=1, keepdims=True)
        parts.append(scores.scores / np.maximum(norm, 1e-12))
    return np.concatenate(parts, axis=1).astype(np.float64)


def svm(streams: Sequence[VideoScores], fit: Sequence[VideoScores], *, seed: int) -> VideoScores:
    """Fit a Crammer-Singer linear SVM on training scores and apply it (section 6 b).

    Says nothing of videos that are on both sides. Arguments and errors are those of ``fuse``.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    test, train = match(streams), match(fit)
    _check_same_streams(train, test)
    labels, usable = train[0].labels, _usable(train)
    present = np.unique(labels[usable])
    if len(present) < 2:
        raise DataError("the SVM needs training scores of at least two classes")
    machine = LinearSVC(multi_class="crammer_singer", C=1.0, random_state=seed, max_iter=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        machine.fit(svm_features(train)[usable], labels[usable])
    values = machine.decision_function(svm_features(test))
    if values.ndim == 1:  # scikit-learn gives one column for two classes
        values = np.stack([-values, values], axis=1)
    # a class without any training clip can never win
    scores = np.full((len(values), len(test[0].classes)), values.min() - 1, np.float32)
    scores[:, present] = values
    return _result(test, scores, "logits", "svm")


def _check_same_streams(train: Sequence[VideoScores], test: Sequence[VideoScores]) -> None:
    """Raise a UsageError where training scores are of other streams than those to fuse."""
    if len(train) != len(test):
        raise UsageError(
            f"learning needs training scores of each stream, got {len(train)} for {len(test)}"
        )
    for fitted, applied in zip(train, test, strict=True):
        if fitted.stream != applied.stream or fitted.classes != applied.classes:
            raise UsageError(
                f"the training scores must be of the same streams in the same order, got "
                f"{fitted.stream} for {applied.stream}"
            )


def _say_learnt_from(train: Sequence[VideoScores], test: Sequence[VideoScores]) -> None:
    """Warn where fused videos are among those that the fusion learns from."""
    learnt = {train[0].video_ids[i] for i in np.flatnonzero(_usable(train))}
    judged = test[0].video_ids
    if seen := [video_id for video_id in judged if video_id in learnt]:
        logger.warning(
            f"{len(seen)} of {len(judged)} clips to fuse are among those that the fusion learnt "
            f"from, the first is {seen[0]}: the accuracy will be too high; give --fit scores of "
            "other clips"
        )


def _check_probabilities(streams: Sequence[VideoScores]) -> None:
    """Raise a UsageError for decision values, which have no common scale."""
    if any(scores.kind != "probabilities" for scores in streams):
        raise UsageError(
            "averaging needs probabilities, got logits or SVM scores: fuse the streams"
        )


def _usable(streams: Sequence[VideoScores]) -> NDArray[np.bool_]:
    """Return (n,) which clips have a label and could be read by all streams."""
    unreadable = set().union(*(scores.unreadable for scores in streams))
    known = [video_id not in unreadable for video_id in streams[0].video_ids]
    return (streams[0].labels >= 0) & np.array(known, bool)


def _result(
    streams: list[VideoScores], scores: NDArray[np.float32], kind: Any, stream: str
) -> VideoScores:
    """Carry ids and labels over; a video that any stream could not read stays unreadable."""
    unreadable = {video_id: why for part in streams for video_id, why in part.unreadable.items()}
    scores = scores.copy()
    scores[[video_id in unreadable for video_id in streams[0].video_ids]] = 0
    return replace(streams[0], scores=scores, kind=kind, stream=stream, unreadable=unreadable)
