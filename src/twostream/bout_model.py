"""From scores over time to bouts: how long those of each class last, and the likeliest order.

A hidden semi-Markov model (Rabiner 1989, "A tutorial on hidden Markov models", section IV.D): a
bout of a class lasts a shortest time and from there on ends at a constant rate, which another class
follows, as often as it has bouts. Shortest and mean durations and these shares are those of the
labels; what is seen at each moment are the networks' scores, whose classes were learnt alike often.
The likeliest bouts are found by Viterbi's algorithm, in time and memory that grow with the length
of the video alone. No torch here: exported runs answer with it too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.files import write_json
from twostream.schema import from_json, parse_json
from twostream.types import ModelError, RunError

BOUTS_NAME = "bouts.json"
METHOD = "hidden semi-Markov"

# Scores of neighbouring moments come of the same frames and do not count as often as they are
# taken: a stack of ten fields at 25 frames/s spans this time, which counts as one look. Where the
# scores are good twice or half of it gives the same bouts; where classes are many and hard to tell,
# and bouts are short, a model that believes so little sees none, so that held-out recordings choose
# (``run.bout_evidence``).
LOOK_SECONDS = 0.4
THRESHOLD = 0.4  # a score below it is "none of these", unless they choose otherwise
# Below it a score says "not this class" and no more: one moment must not rule a class out.
FLOOR = 1e-3
# The shortest bout is half of what nine in ten labelled ones exceed: labels of new videos are not
# bounded by those that happened to be seen.
SHORT_QUANTILE, SHORT_PART = 0.1, 0.5


@dataclass(frozen=True, slots=True)
class BoutModel:
    """How long bouts last, learnt from labels.

    Attributes:
        classes: k names.
        shortest_seconds: (k,) what a bout lasts at least, above 0.
        mean_seconds: (k,) what it lasts on average, at least the shortest.
        shares: (k,) of all bouts, each above 0; they sum to 1.
        bouts: how many it was learnt from.
        together: class -> the labels that hold at once in it; other classes are one label.
        points: labels that are point events: a bout tells where one is, by its middle.
        look_seconds: time whose scores count as one look.
        threshold: a bout whose mean score is below it is "none of these".
    """

    classes: tuple[str, ...]
    shortest_seconds: tuple[float, ...]
    mean_seconds: tuple[float, ...]
    shares: tuple[float, ...]
    bouts: int
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    points: tuple[str, ...] = ()
    look_seconds: float = LOOK_SECONDS
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        if not (math.isfinite(self.look_seconds) and self.look_seconds > 0):
            raise ValueError(f"a look takes more than 0 seconds, got {self.look_seconds}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"a threshold lies in 0..1, got {self.threshold}")
        columns = (self.shortest_seconds, self.mean_seconds, self.shares)
        if not all(len(column) == len(self.classes) > 0 for column in columns):
            raise ValueError(f"a duration and a share for each of {len(self.classes)} classes")
        if not all(math.isfinite(value) and value > 0 for column in columns for value in column):
            raise ValueError(f"durations and shares above 0, got {columns}")

    def of(self, classes: Sequence[str]) -> BoutModel:
        """Return it; raises ModelError where it was learnt for other classes."""
        if tuple(classes) != self.classes:
            raise ModelError(
                f"{BOUTS_NAME} was learnt for {len(self.classes)} classes, the models know "
                f"{len(classes)}, or others: they are not of one run; without it scores are "
                "smoothed"
            )
        return self

    def decode(
        self, scores: Iterable[NDArray[np.floating[Any]]], step_seconds: float
    ) -> list[tuple[int, int, int]]:
        """Return the likeliest bouts of a stretch of video, which may begin and end within one.

        Args:
            scores: (m, k) probabilities at equal steps of time, some after the other; at least one.
            step_seconds: from one to the next.

        Returns:
            (first, end, class): steps ``first`` up to ``end``, without it. Together they hold all
            steps, and neighbours differ in class.

        >>> model = BoutModel(("rest", "walk"), (1.0, 1.0), (3.0, 3.0), (0.5, 0.5), 9)
        >>> walking = np.array([0.1, 0.1, 0.9, 0.1, 0.1, 0.9, 0.9, 0.8, 0.9])
        >>> model.decode([np.stack([1 - walking, walking], axis=1)], 0.5)
        [(0, 5, 0), (5, 9, 1)]
        """
        path, counts = _LikeliestPath(self, step_seconds), min(step_seconds / self.look_seconds, 1)
        for some in scores:
            evidence = np.log(np.maximum(some, FLOOR)) * counts
            for row in np.asarray(evidence, np.float64):
                path.add(row)
        return path.bouts()

    def in_words(self) -> str:
        """Return what bouts are like, in one line."""
        of_each = (
            f"{name} {mean:.1f} s"
            for name, mean in zip(self.classes, self.mean_seconds, strict=True)
        )
        return f"mean of {self.bouts} labelled bouts: {', '.join(of_each)}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        rows = zip(self.shortest_seconds, self.mean_seconds, self.shares, strict=True)
        return {
            "method": METHOD,
            "bouts": self.bouts,
            "classes": {
                name: {"shortest_seconds": shortest, "mean_seconds": mean, "share": share}
                | ({"labels": list(self.together[name])} if name in self.together else {})
                for name, (shortest, mean, share) in zip(self.classes, rows, strict=True)
            },
            "points": list(self.points),
            "look_seconds": self.look_seconds,
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> BoutModel:
        """Read what ``to_json`` made.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: something is missing or out of range.
        """
        if text["method"] != METHOD:
            raise ValueError(f"it is {text['method']!r}, this version knows {METHOD!r}")
        said = from_json(_Written, text, spare=True)
        of_each = said.classes.values()
        return cls(
            classes=tuple(said.classes),
            shortest_seconds=tuple(each.shortest_seconds for each in of_each),
            mean_seconds=tuple(each.mean_seconds for each in of_each),
            shares=tuple(each.share for each in of_each),
            bouts=said.bouts,
            together={name: each.labels for name, each in said.classes.items() if each.labels},
            points=said.points,
            look_seconds=said.look_seconds,
            threshold=said.threshold,
        )


@dataclass(frozen=True, slots=True)
class _OfClass:
    """What bouts.json says of a class."""

    shortest_seconds: float
    mean_seconds: float
    share: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Written:
    """What is read of bouts.json, see ``to_json``."""

    bouts: int
    classes: dict[str, _OfClass]
    points: tuple[str, ...] = ()
    look_seconds: float = LOOK_SECONDS
    threshold: float = THRESHOLD


class _LikeliestPath:
    """Viterbi's algorithm for bouts of a shortest duration; everything in steps and logarithms.

    What is kept of each step are the two best classes that may end there, whose bouts began where:
    of any class the best that another one can follow is one of them.

    Args:
        model: of the bouts.
        step_seconds: length of a step.
    """

    def __init__(self, model: BoutModel, step_seconds: float) -> None:
        shortest = np.array(model.shortest_seconds) / step_seconds
        self.least = np.maximum(1, np.floor(shortest + 1e-9)).astype(np.int64)
        more = np.maximum(np.array(model.mean_seconds) / step_seconds - self.least, 1.0)
        shares = np.array(model.shares)
        # what follows is another class, whose shares sum to less than 1
        self.stay = np.log(more / (more + 1))
        self.leave = -np.log(more + 1) - np.log(np.maximum(1 - shares, FLOOR))
        self.enter = np.log(shares)
        count = len(model.classes)
        self.every = np.arange(count)
        self.steps = 0
        # of the last steps, as many as the longest shortest bout: sums of what was seen, and how
        # likely all is up to there for who follows the best class, and for who is the best class
        self.so_far = np.zeros((int(self.least.max()) + 1, count))
        self.value = np.zeros((len(self.so_far), 2))
        self.whose = np.full((len(self.so_far), 2), -1)
        # of every step: the two best classes, and where their bouts began
        self.ended = [((-1, 0), (-1, 0))]
        self.lasting = np.full(count, -np.inf)
        self.since = np.zeros(count, np.int64)

    def add(self, evidence: NDArray[np.float64]) -> None:
        """Go on by a step of which (k,) log probabilities are known."""
        last, self.steps = self.steps % len(self.so_far), self.steps + 1
        here = self.steps % len(self.so_far)
        now = self.so_far[last] + evidence
        first = np.maximum(self.steps - self.least, 0)  # a bout may have begun before the video
        begun = self._before(first) + now - self.so_far[first % len(self.so_far), self.every]
        self.lasting += evidence + self.stay
        shorter = begun > self.lasting
        self.since = np.where(shorter, first, self.since)
        self.lasting = np.where(shorter, begun, self.lasting)
        ending = self.lasting + self.leave
        best = int(ending.argmax())
        value, ending[best] = ending[best], -np.inf
        second = int(ending.argmax())
        self.so_far[here] = now
        self.value[here] = value, ending[second]
        self.whose[here] = best, second
        self.ended.append(((best, int(self.since[best])), (second, int(self.since[second]))))

    def _before(self, first: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (k,) how likely what lies before a bout of each class is, and its beginning."""
        rows = first % len(self.so_far)
        same = self.whose[rows, 0] == self.every
        return np.where(same, self.value[rows, 1], self.value[rows, 0]) + self.enter

    def bouts(self) -> list[tuple[int, int, int]]:
        """Follow the best path from its end, where a bout may be cut off by the video's."""
        label = int(self.lasting.argmax())
        best, first = self.lasting[label], int(self.since[label])
        now = self.so_far[self.steps % len(self.so_far)]
        for length in range(1, min(int(self.least.max()), self.steps + 1)):
            begin = self.steps - length
            cut = self._before(np.full(len(self.every), begin))
            cut += now - self.so_far[begin % len(self.so_far)]
            cut[self.least <= length] = -np.inf
            if cut.max() > best:
                label = int(cut.argmax())
                best, first = cut[label], begin
        found, end = [], self.steps
        while True:
            found.append((first, end, label))
            if first == 0:
                return found[::-1]
            one, other = self.ended[first]
            end, (label, first) = first, other if one[0] == label else one


class Belief:
    """What is likely now, given all that was seen so far: the forward algorithm, for live video.

    Only the past is known, so that a bout shows later than in a time line and may still turn out
    to be a flicker; of the shortest durations nothing is used.

    Args:
        model: of the bouts.

    >>> belief = Belief(BoutModel(("rest", "walk"), (1.0, 1.0), (3.0, 3.0), (0.5, 0.5), 9))
    >>> for moment, walking in enumerate((0.1, 0.9, 0.9, 0.9)):
    ...     now = belief.update(np.array([1 - walking, walking]), 0.2 * moment)
    ...     print(now.round(2))
    [0.75 0.25]
    [0.46 0.54]
    [0.22 0.78]
    [0.1 0.9]
    """

    def __init__(self, model: BoutModel) -> None:
        self._mean, self._look = np.array(model.mean_seconds), model.look_seconds
        shares = np.array(model.shares)
        others = np.maximum(1 - shares, FLOOR)
        # row: what ends; column: what follows it, another class
        self._next = np.where(np.eye(len(shares), dtype=bool), 0.0, shares / others[:, None])
        self._now = shares
        self._at: float | None = None

    def update(self, scores: NDArray[np.floating[Any]], seconds: float) -> NDArray[np.float32]:
        """Return (k,) probabilities of a moment; ``seconds`` ascend from call to call."""
        passed = self._look / 2 if self._at is None else max(seconds - self._at, 0.0)
        self._at = seconds
        ended = 1 - np.exp(-passed / self._mean)
        likely = self._now * (1 - ended) + (self._now * ended) @ self._next
        likely = likely * np.maximum(scores, FLOOR) ** min(passed / self._look, 1.0)
        self._now = likely / likely.sum()
        return np.asarray(self._now, np.float32)


def learn(
    classes: Sequence[str],
    bouts: Iterable[tuple[str, float]],
    together: Mapping[str, tuple[str, ...]] | None = None,
    points: Iterable[str] = (),
) -> BoutModel:
    """Learn durations and shares from labelled bouts.

    Args:
        classes: k names; one without a bout, of a fold that has none, is taken for what is usual.
        bouts: (class, seconds) of each, at least one, in seconds above 0.
        together: class -> the labels that hold at once in it.
        points: labels that are point events.

    >>> model = learn(("rest", "walk"), [("rest", 4.0), ("walk", 1.0), ("rest", 6.0)])
    >>> model.mean_seconds, model.shortest_seconds
    ((5.0, 1.0), (2.1, 0.5))
    """
    lasted = defaultdict[str, list[float]](list)
    for label, seconds in bouts:
        lasted[label].append(seconds)
    usual = [seconds for each in lasted.values() for seconds in each]
    of_each = [np.array(lasted[name] or usual) for name in classes]
    counts = [max(1, len(lasted[name])) for name in classes]
    return BoutModel(
        tuple(classes),
        tuple(SHORT_PART * float(np.quantile(each, SHORT_QUANTILE)) for each in of_each),
        tuple(float(each.mean()) for each in of_each),
        tuple(count / sum(counts) for count in counts),
        len(usual),
        dict(together or {}),
        tuple(points),
    )


def write_bouts(run: Path, model: BoutModel) -> None:
    """Write RUN/bouts.json, whole or not at all."""
    write_json(run / BOUTS_NAME, model.to_json())


def read_bouts(run: Path) -> BoutModel | None:
    """Read RUN/bouts.json; None where there is none, and scores are smoothed.

    Raises:
        RunError: it is damaged, or of another version.
    """
    path = run / BOUTS_NAME
    if not path.exists():
        return None
    try:
        return BoutModel.from_json(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path} cannot be read ({type(error).__name__}: {error}): `twostream train ... "
            "--resume` writes it again; without it scores are smoothed"
        ) from error
