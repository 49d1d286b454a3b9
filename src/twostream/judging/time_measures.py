"""How much of the time two label files agree: precision, recall, F1 and Cohen's kappa.

Between two neighbouring boundaries of either file nothing changes, so each such piece counts with
its length: what frames would give in the limit of a high rate, without the need of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from twostream.judging.stretches import Compared, Stretch

Numbers = NDArray[np.float64]
ROUNDING = 0.05  # seconds that neighbouring bouts of exclusive labels may overlap by rounding
NO_LABEL = "(none)"


@dataclass(frozen=True, slots=True, eq=False)
class TimeCounts:
    """Seconds by what the two files say, for r recordings; sums over them are all that follows.

    Attributes:
        present: (r, k + 1, 2, 2): a class is absent (0) or present (1) in the true file, then in
            the predicted one; the last "class" is background, time without any label.
        states: what holds at a time: a label, ``NO_LABEL``, or labels together ("a + b").
        confusion: (r, s, s): the true state, then the predicted one; None where labels overlap, by
            more than rounding: then there is no one state at a time.
    """

    present: Numbers
    states: tuple[str, ...]
    confusion: Numbers | None

    @property
    def exclusive(self) -> bool:
        """Whether at most one label holds at a time, in both files."""
        return self.confusion is not None

    def macro(self, weights: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Return (d,) precision, recall and F1, means over the classes that each is defined for.

        Args:
            weights: (d, r) how often each recording counts, likewise below.
        """
        each = precision_recall_f1(np.tensordot(weights, self.present[:, :-1], 1))
        return tuple(mean_of_known(values) for values in each)  # type: ignore[return-value]

    def mean_kappa(self, weights: Numbers) -> Numbers:
        """Return (d,) the mean over classes of kappa of present and absent."""
        return mean_of_known(cohens_kappa(np.tensordot(weights, self.present[:, :-1], 1)))

    def kappa(self, weights: Numbers) -> Numbers:
        """Return (d,) kappa of exclusive states."""
        assert self.confusion is not None
        return cohens_kappa(np.tensordot(weights, self.confusion, 1))

    def agreed(self, weights: Numbers) -> Numbers:
        """Return (d,) the share of time in which both files say the same state."""
        assert self.confusion is not None
        seconds = np.tensordot(weights, self.confusion, 1)
        same = np.eye(seconds.shape[-1])
        apart = (seconds * (1 - same)).sum(axis=(1, 2))
        return 1 - share(apart, seconds.sum(axis=(1, 2)))


def count_time(compared: Compared) -> TimeCounts:
    """Count the seconds of agreement and disagreement in each recording."""
    classes = compared.classes
    present = np.zeros((len(compared.videos), len(classes) + 1, 2, 2))
    cells: dict[tuple[int, str, str], float] = {}
    exclusive = True
    for stretch in compared.stretches:
        seconds, labels = pieces(stretch, classes)
        exclusive = exclusive and max(map(_longest_overlap, labels, [seconds] * 2)) <= ROUNDING
        sides = [np.column_stack([each, ~each.any(axis=1)]).astype(float) for each in labels]
        for i, true in enumerate((1 - sides[0], sides[0])):
            for j, predicted in enumerate((1 - sides[1], sides[1])):
                present[stretch.recording, :, i, j] += seconds @ (true * predicted)
        if exclusive:
            names = [[state_of(row, classes) for row in each] for each in labels]
            for length, true_state, predicted_state in zip(seconds.tolist(), *names, strict=True):
                key = (stretch.recording, true_state, predicted_state)
                cells[key] = cells.get(key, 0.0) + length
    found = {name for _, *names in cells for name in names}
    states = [name for name in (*classes, NO_LABEL) if name in found]
    states += sorted(found - set(states))
    if not exclusive:
        return TimeCounts(present, (), None)
    confusion = np.zeros((len(compared.videos), len(states), len(states)))
    for (recording, true_state, predicted_state), length in cells.items():
        confusion[recording, states.index(true_state), states.index(predicted_state)] = length
    return TimeCounts(present, tuple(states), confusion)


def pieces(stretch: Stretch, classes: tuple[str, ...]) -> tuple[Numbers, list[NDArray[np.bool_]]]:
    """Return the lengths of n pieces in seconds, and (n, k) which labels hold, in each file."""
    sides = (stretch.true, stretch.predicted)
    times = [t for side in sides for bout in side for t in (bout.start_seconds, bout.end_seconds)]
    edges = np.unique([stretch.start_seconds, stretch.end_seconds, *times])
    column = {label: number for number, label in enumerate(classes)}
    labels = []
    for side in sides:
        holds = np.zeros((len(edges) - 1, len(classes)), np.bool_)
        for bout in side:
            first, last = np.searchsorted(edges, (bout.start_seconds, bout.end_seconds))
            holds[first:last, column[bout.label]] = True
        labels.append(holds)
    return np.diff(edges), labels


def _longest_overlap(labels: NDArray[np.bool_], seconds: Numbers) -> float:
    """Return how long several labels hold at once, at the longest, without a break."""
    together = labels.sum(axis=1) > 1
    runs = groupby(zip(together.tolist(), seconds.tolist(), strict=True), key=lambda each: each[0])
    return max((sum(length for _, length in run) for several, run in runs if several), default=0.0)


def state_of(row: NDArray[np.bool_], classes: tuple[str, ...]) -> str:
    """Return what holds at a time, of (k,) which labels do: one, several with " + ", or none."""
    return " + ".join(classes[i] for i in np.flatnonzero(row)) or NO_LABEL


def share(part: Numbers, whole: Numbers) -> Numbers:
    """Return part / whole, NaN where the whole is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def mean_of_known(values: Numbers) -> Numbers:
    """Return the mean over the last axis without NaNs; NaN where there is nothing else."""
    known = ~np.isnan(values)
    return share(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))


def precision_recall_f1(counts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return precision, recall and F1 of (..., 2, 2) seconds as in ``TimeCounts.present``.

    Precision is NaN where nothing is predicted, recall where nothing is true, F1 where both; a
    class that is only true or only predicted has an F1 of 0.

    >>> counts = np.array([[5.0, 1.0], [2.0, 4.0]])  # 4 s found, 1 s wrongly, 2 s missed
    >>> [round(float(value), 3) for value in precision_recall_f1(counts)]
    [0.8, 0.667, 0.727]
    """
    hit, wrong, missed = counts[..., 1, 1], counts[..., 0, 1], counts[..., 1, 0]
    return (
        share(hit, hit + wrong),
        share(hit, hit + missed),
        share(2 * hit, 2 * hit + wrong + missed),
    )


def cohens_kappa(confusion: Numbers) -> Numbers:
    """Return Cohen's kappa (Cohen 1960) of (..., s, s) seconds; NaN where both say one state only.

    As one minus the share of disagreement over that expected by chance, so that agreement without
    exception is exactly 1.

    >>> float(cohens_kappa(np.array([[20.0, 5.0], [10.0, 15.0]])))  # 0.7 observed, 0.5 expected
    0.4
    """
    apart = 1 - np.eye(confusion.shape[-1])
    total = confusion.sum(axis=(-2, -1))
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    expected = (true[..., :, None] * predicted[..., None, :] * apart).sum(axis=(-2, -1))
    return 1 - share((confusion * apart).sum(axis=(-2, -1)) * total, expected)
