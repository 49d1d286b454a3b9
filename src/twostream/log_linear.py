"""Log-linear fusion: a product of the streams' scores, each to the power of a learnt weight.

A log-linear opinion pool (Genest and Zidek 1986, "Combining probability distributions"), which is a
product of experts (Hinton 2002). A weight says both how much a stream is believed beside the other,
and how sure its scores may be: it has the inverse temperature of Guo et al. 2017 in it. Weights are
learnt from clips that the nets had not seen, so that the fused scores are calibrated. No torch
here: exported runs answer with it too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twostream.files import write_json
from twostream.schema import from_json, parse_json, shown
from twostream.types import DataError, ModelError, RunError

METHOD = "log-linear"
FUSED = "fused"  # what its scores are called, in tables and score files
FUSION_NAME = "fusion.json"

# Scores are means of up to 250 crops: below this not one of them saw the class, and how far below
# says nothing. Without a floor a single stream could rule a class out.
FLOOR = 1e-4
# The prior of a weight: normal around 1 / streams, which is the geometric mean of the scores. Its
# deviation is wide beside the weights that occur (0 to 5), and it counts as much as a quarter of
# one clip whose log scores have a variance of 1: it decides where there are a handful of clips,
# bounds the weights where the scores separate the classes, and vanishes with their number.
PRIOR_DEVIATION = 2.0
# Streams that are no better than chance would all get weight 0, and no class would be the best:
# at this little the order stays, and the scores say that nothing is known.
LEAST = 0.05
_ALIKE, _HARDLY = 1.1, 0.05  # ratios of weights that words tell apart

Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class LogLinear:
    """How much each stream counts, learnt from scores of clips that its nets had not seen.

    Attributes:
        classes: k names.
        streams: s names.
        weights: (s,) 0 or more; 0: the stream is not listened to.
        alone: (s,) the weight of each stream where it answers alone: 1 over its temperature.
        clips: how many it was learnt from.
        loss_average, loss: mean negative log likelihood of these clips, in nats: of the plain
            average of the streams, and of this.

    >>> half = LogLinear(("walk", "run"), ("spatial", "temporal"), (0.5, 0.5), (1, 1), 9, 0.7, 0.6)
    >>> half.fused([np.array([0.8, 0.2]), np.array([0.5, 0.5])]).round(3)
    array([0.667, 0.333], dtype=float32)
    """

    classes: tuple[str, ...]
    streams: tuple[str, ...]
    weights: tuple[float, ...]
    alone: tuple[float, ...]
    clips: int
    loss_average: float
    loss: float

    def __post_init__(self) -> None:
        numbers = (*self.weights, *self.alone)
        if not len(self.streams) == len(self.weights) == len(self.alone) > 0:
            raise ValueError(f"a weight a stream, got {self.weights} for {self.streams}")
        if not all(math.isfinite(each) and each >= 0 for each in numbers) or not sum(self.weights):
            raise ValueError(f"weights of 0 or more, not all 0, got {numbers}")

    def fused(self, scores: Sequence[Scores]) -> NDArray[np.float32]:
        """Return (..., k) probabilities from the streams' (..., k), in the order of ``streams``."""
        return product(scores, self.weights)

    def calibrated(self, stream: str, scores: Scores) -> NDArray[np.float32]:
        """Return one stream's (..., k) scores at its own temperature; their order stays."""
        return product([scores], [self.alone[self.streams.index(stream)]])

    def of(self, streams: Sequence[str], classes: Sequence[str]) -> Self:
        """Return the fusion of these streams; of one alone its calibration.

        Raises:
            ModelError: it was learnt from other streams or classes.
        """
        if set(streams) == set(self.streams) and tuple(classes) == self.classes:
            return self
        if len(streams) == 1 and streams[0] in self.streams and tuple(classes) == self.classes:
            weight = self.alone[self.streams.index(streams[0])]
            return replace(self, streams=tuple(streams), weights=(weight,), alone=(weight,))
        raise ModelError(
            f"the fusion was learnt for {', '.join(self.streams)} with {len(self.classes)} classes,"
            f" the models are {', '.join(streams)} with {len(classes)}, or other classes: they are "
            f"not of one run; without {FUSION_NAME} the average answers"
        )

    def in_words(self) -> str:
        """Return what the weights say, as the end of a sentence.

        >>> of = {"classes": ("a", "b"), "alone": (1, 1), "clips": 9, "loss_average": 1, "loss": 1}
        >>> LogLinear(streams=("spatial", "temporal"), weights=(0.5, 1.05), **of).in_words()
        'the temporal stream counts 2.1 times as much as the spatial'
        """
        if sum(self.weights) <= LEAST * 1.001:
            return "no stream was better than chance, so that all scores stay low"
        if len(self.streams) == 1:
            return f"the {self.streams[0]} stream answers alone"
        order = np.argsort(self.weights, kind="stable")[::-1]
        (first, most), *others = [(self.streams[i], self.weights[i]) for i in order]
        if all(most < _ALIKE * weight for _, weight in others):
            return "the streams count alike"
        said = [
            f"{most / weight:.1f} times as much as the {name}"
            for name, weight in others
            if weight > _HARDLY * most
        ]
        hardly = [
            f"; the {name} stream is {'hardly' if weight else 'not'} listened to"
            for name, weight in others
            if weight <= _HARDLY * most
        ]
        return f"the {first} stream counts {' and '.join(said) or 'alone'}{''.join(hardly)}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with the rule in words; of distinct streams."""
        return {
            "method": METHOD,
            "rule": (
                "the product over the streams of max(score, floor) to the power of the stream's "
                "weight, divided by its sum over the classes; a stream alone is shown likewise, to "
                "the power of alone"
            ),
            "floor": FLOOR,
            "streams": {
                name: {"weight": weight, "alone": alone}
                for name, weight, alone in zip(self.streams, self.weights, self.alone, strict=True)
            },
            "classes": list(self.classes),
            "clips": self.clips,
            "loss_average": self.loss_average,
            "loss": self.loss,
        }

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` made.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: something is missing or out of range.
        """
        if text["method"] != METHOD or text["floor"] != FLOOR:
            raise ValueError(
                f"it is {shown(text['method'])} with a floor of {shown(text['floor'])}, this "
                f"version knows {METHOD!r} with {FLOOR}"
            )
        said = from_json(_Written, text, spare=True)
        return cls(
            classes=said.classes,
            streams=tuple(said.streams),
            weights=tuple(each.weight for each in said.streams.values()),
            alone=tuple(each.alone for each in said.streams.values()),
            clips=said.clips,
            loss_average=said.loss_average,
            loss=said.loss,
        )


@dataclass(frozen=True, slots=True)
class _Weight:
    """What fusion.json says of a stream."""

    weight: float
    alone: float


@dataclass(frozen=True, slots=True)
class _Written:
    """What is read of fusion.json, see ``to_json``."""

    streams: dict[str, _Weight]
    classes: tuple[str, ...]
    clips: int
    loss_average: float
    loss: float


def product(scores: Sequence[Scores], weights: Sequence[float]) -> NDArray[np.float32]:
    """Return (..., k) the normalised product of scores, each to the power of its weight.

    Args:
        scores: of each stream (..., k) probabilities.
        weights: one a stream, 0 or more.
    """
    logs = np.stack([np.log(np.maximum(each, FLOOR, dtype=np.float64)) for each in scores])
    total = np.tensordot(np.asarray(weights, np.float64), logs, axes=1)
    powers = np.exp(total - total.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def learn(
    classes: Sequence[str],
    streams: Sequence[str],
    scores: Sequence[Scores],
    labels: NDArray[np.int64],
    *,
    alike: bool = False,
) -> LogLinear:
    """Learn the weights by maximum likelihood, with a weak prior.

    Args:
        classes: k names.
        streams: s names.
        scores: of each stream (n, k) probabilities of clips that its net was not trained on.
        labels: (n,) their classes, 0 to k - 1.
        alike: each class counts alike, and not each clip, as in the training of the nets: where one
            class is most of the clips ("other", in recordings), the others would have no say in
            how much a stream that tells them apart is worth.

    Raises:
        DataError: fewer than two classes among the clips, or scores that are no numbers.
    """
    for name, each in zip(streams, scores, strict=True):
        if not np.isfinite(each).all():
            raise DataError(
                f"{name} scores of training clips hold what is no number: its training diverged"
            )
    if len(np.unique(labels)) < 2:
        raise DataError("fusion is learnt from training scores of at least two classes")
    counts = counts_alike(labels) if alike else np.ones(len(labels))
    weights = _likeliest(scores, labels, counts)
    if weights.sum() < LEAST:
        weights = np.full(len(scores), LEAST / len(scores))
    alone = [max(float(_likeliest([each], labels, counts)[0]), LEAST) for each in scores]
    return LogLinear(
        tuple(classes),
        tuple(streams),
        tuple(weights.tolist()),
        tuple(alone),
        len(labels),
        log_loss(np.mean(np.asarray(scores), axis=0), labels),
        log_loss(product(scores, weights.tolist()), labels),
    )


def counts_alike(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n,) how much each clip counts where classes count alike; they sum to n.

    >>> counts_alike(np.array([0, 0, 0, 2])).round(2)
    array([0.67, 0.67, 0.67, 2.  ])
    """
    present, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(len(labels) / (len(present) * sizes[numbers]), np.float64)


def _likeliest(
    scores: Sequence[Scores], labels: NDArray[np.int64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (s,) the weights of the highest posterior; (n,) counts of clips. It is convex."""
    from scipy.optimize import minimize

    logs = np.stack([np.log(np.maximum(each, FLOOR, dtype=np.float64)) for each in scores])
    truth = np.take_along_axis(logs, labels[None, :, None], axis=2)[..., 0]  # (s, n)
    centre = 1 / len(scores)

    def surprise(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the negative log posterior and its gradient."""
        total = np.tensordot(weights, logs, axes=1)
        highest = total.max(axis=1, keepdims=True)
        powers = np.exp(total - highest)
        sums = powers.sum(axis=1, keepdims=True)
        expected = (logs * (powers / sums)).sum(axis=2)
        away = (weights - centre) / PRIOR_DEVIATION
        losses = (highest + np.log(sums))[:, 0] - weights @ truth
        loss = float(counts @ losses + (away @ away) / 2)
        return loss, (expected - truth) @ counts + away / PRIOR_DEVIATION

    start = np.full(len(scores), centre)
    bounds = [(0.0, None)] * len(scores)
    found = minimize(surprise, start, jac=True, bounds=bounds, method="L-BFGS-B", tol=1e-10)
    return np.asarray(found.x, np.float64)


def log_loss(probabilities: Scores, labels: NDArray[np.int64]) -> float:
    """Return the mean negative log likelihood in nats, of (n, k) scores and (n,) classes."""
    rows = np.arange(len(labels))
    return float(-np.log(np.maximum(probabilities[rows, labels], FLOOR)).mean())


def answer(fusion: LogLinear | None, streams: Mapping[Any, Scores]) -> NDArray[np.float32]:
    """Return (..., k) what a run answers: its learnt fusion, or the average where it has none.

    Args:
        fusion: of these streams.
        streams: stream -> (..., k) probabilities.
    """
    if fusion is None:
        return np.asarray(np.mean(list(streams.values()), axis=0), np.float32)
    return fusion.fused([streams[name] for name in fusion.streams])


def write_fusion(run: Path, fusion: LogLinear) -> None:
    """Write RUN/fusion.json, whole or not at all."""
    write_json(run / FUSION_NAME, fusion.to_json())


def read_fusion(run: Path) -> LogLinear | None:
    """Read RUN/fusion.json; None where there is none, and the average answers.

    Raises:
        RunError: it is damaged, or of another version.
    """
    path = run / FUSION_NAME
    if not path.exists():
        return None
    try:
        return LogLinear.from_json(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path} cannot be read ({type(error).__name__}: {error}): `twostream train ... "
            "--resume` writes it again; without it the average of the streams answers"
        ) from error
