"""How well bouts are found: segmental F1, edit score, boundary errors, false bouts.

Segmental F1 and edit score are those of Lea et al. 2017 ("Temporal convolutional networks for
action segmentation and detection"), with the choices of the code of MS-TCN (Abu Farha and Gall
2019), on times instead of frames: a run of one label is one segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twostream.judging.intervals import weighted_median
from twostream.judging.stretches import Compared, Stretch
from twostream.judging.time_measures import share
from twostream.labels import Bout

Numbers = NDArray[np.float64]
OVERLAPS = (0.10, 0.25, 0.50)  # of F1@10, F1@25, F1@50
FALSE_BELOW = 0.5  # share of a bout under true ones, below which it is a false one
SLACK = 1e-9  # a share of 3 in 10 must reach 0.3


@dataclass(frozen=True, slots=True, eq=False)
class BoutCounts:
    """What became of the bouts of r recordings and k classes; sums over recordings give measures.

    Attributes:
        segments: (r, k, 3, 3): for each of ``OVERLAPS`` the segments that were found, those that
            were wrongly predicted and those that were missed.
        edit: (r,) edit score in 0..1; NaN where no file has a bout.
        errors: a row a boundary that both have: recording, class, 0 for starts and 1 for ends, and
            predicted minus true time in seconds; of segments that overlap by ``OVERLAPS[0]``.
        false: (r, k + 1) predicted bouts off the true ones of their class; last: off those of any.
        absent_hours: (r, k + 1) hours without the class; last: without any label (background).
    """

    segments: Numbers
    edit: Numbers
    errors: Numbers
    false: Numbers
    absent_hours: Numbers

    def segmental_f1(self, overlap: int, weights: Numbers) -> Numbers:
        """Return (d,) F1 at ``OVERLAPS[overlap]``, of the segments of all classes together.

        Args:
            overlap: index.
            weights: (d, r) how often each recording counts, likewise below.
        """
        return f1_of_counts(weights @ self.segments[:, :, overlap].sum(axis=1))

    def edit_score(self, weights: Numbers) -> Numbers:
        """Return (d,) the mean edit score of recordings that have a bout."""
        known = ~np.isnan(self.edit)
        return share(weights @ np.nan_to_num(self.edit), weights @ known.astype(float))

    def boundary_seconds(self, weights: Numbers) -> Numbers:
        """Return (d,) the median distance of boundaries that both files have, in seconds."""
        counts = weights[:, self.errors[:, 0].astype(int)]
        return weighted_median(np.abs(self.errors[:, 3]), counts)

    def false_an_hour(self, weights: Numbers) -> Numbers:
        """Return (d,) false bouts for each hour of background."""
        return share(weights @ self.false[:, -1], weights @ self.absent_hours[:, -1])


def f1_of_counts(counts: Numbers) -> Numbers:
    """Return F1 of (..., 3) counts: found, wrongly predicted, missed; NaN where all are 0.

    >>> float(f1_of_counts(np.array([3, 1, 1])))
    0.75
    """
    found, wrong, missed = np.moveaxis(counts, -1, 0)
    return share(2 * found, 2 * found + wrong + missed)


def count_bouts(compared: Compared) -> BoutCounts:
    """Match the bouts of both files in each stretch, and count."""
    classes, recordings = compared.classes, len(compared.videos)
    segments = np.zeros((recordings, len(classes), len(OVERLAPS), 3))
    false, hours = np.zeros((2, recordings, len(classes) + 1))
    errors: list[tuple[float, ...]] = []
    orders: list[tuple[list[str], list[str]]] = [([], []) for _ in compared.videos]
    for stretch in compared.stretches:
        r = stretch.recording
        for order, bouts in zip(orders[r], (stretch.true, stretch.predicted), strict=True):
            order.extend(bout.label for bout in as_segments(bouts))
        for c, label in enumerate(classes):
            true, predicted = (
                as_segments([bout for bout in side if bout.label == label])
                for side in (stretch.true, stretch.predicted)
            )
            for o, overlap in enumerate(OVERLAPS):
                pairs = match_segments(true, predicted, overlap)
                found = len(pairs)
                segments[r, c, o] += (found, len(predicted) - found, len(true) - found)
                if o == 0:
                    errors += [(r, c, *e) for e in _boundary_errors(pairs, stretch)]
            false[r, c] += _count_false(true, predicted)
            hours[r, c] += _hours_without(true, stretch)
        any_label = as_segments([replace(bout, label="any") for bout in stretch.true])
        false[r, -1] += _count_false(any_label, as_segments(stretch.predicted))
        hours[r, -1] += _hours_without(any_label, stretch)
    edit = np.array([edit_score(*order) for order in orders])
    return BoutCounts(segments, edit, np.array(errors).reshape(-1, 4), false, hours)


def as_segments(bouts: Sequence[Bout]) -> list[Bout]:
    """Join bouts of one label that touch or overlap, as frames in a row of one label are a segment.

    Args:
        bouts: sorted by their start.

    >>> walk, run = Bout(0, 2, "walk"), Bout(1, 3, "run")
    >>> [(b.start_seconds, b.end_seconds) for b in as_segments([walk, run, Bout(2, 4, "walk")])]
    [(0, 4), (1, 3)]
    """
    joined: list[Bout] = []
    last: dict[str, int] = {}
    for bout in bouts:
        place = last.get(bout.label)
        if place is None or bout.start_seconds > joined[place].end_seconds:
            last[bout.label] = len(joined)
            joined.append(bout)
        elif bout.end_seconds > joined[place].end_seconds:
            joined[place] = replace(joined[place], end_seconds=bout.end_seconds)
    return joined


def spans(bouts: Sequence[Bout]) -> Numbers:
    """Return (n, 2) starts and ends in seconds."""
    return np.array([(b.start_seconds, b.end_seconds) for b in bouts], float).reshape(-1, 2)


def overlaps(bout: Bout, others: Numbers) -> Numbers:
    """Return (n,) the intersection over union in time of a bout with each of (n, 2) ``spans``."""
    starts, ends = others.T
    shared = np.minimum(ends, bout.end_seconds) - np.maximum(starts, bout.start_seconds)
    shared = np.maximum(shared, 0)
    return shared / (ends - starts + bout.end_seconds - bout.start_seconds - shared)


def match_segments(
    true: Sequence[Bout], predicted: Sequence[Bout], overlap: float
) -> list[tuple[Bout, Bout]]:
    """Return pairs of a true segment and the predicted one that finds it, all of one label.

    As MS-TCN does: in the order of time, each predicted segment has the true one that it overlaps
    most; it is wrong where that is by less than ``overlap`` or where another has found it.
    """
    pairs, taken, edges = [], set(), spans(true)
    for segment in predicted if true else ():
        shares = overlaps(segment, edges)
        best = int(shares.argmax())
        if shares[best] >= overlap - SLACK and best not in taken:
            taken.add(best)
            pairs.append((true[best], segment))
    return pairs


def edit_score(true: Sequence[str], predicted: Sequence[str]) -> float:
    """Return 1 - Levenshtein distance / length of the longer of two orders of labels.

    NaN of two empty ones.

    >>> edit_score(["walk", "sit", "walk"], ["walk", "walk"])  # one of three is missing
    0.6666666666666667
    """
    if not true and not predicted:
        return float("nan")
    numbers = {label: number for number, label in enumerate({*true, *predicted})}
    across = np.array([numbers[label] for label in predicted], np.int64)
    steps = np.arange(len(predicted) + 1)
    row = steps.copy()
    for count, label in enumerate(true, start=1):
        kept = np.minimum(row[1:] + 1, row[:-1] + (across != numbers[label]))
        # an insertion comes from the left, any number of times
        row = np.minimum.accumulate(np.concatenate(([count], kept)) - steps) + steps
    return 1 - int(row[-1]) / max(len(true), len(predicted))


def _boundary_errors(
    pairs: Sequence[tuple[Bout, Bout]], stretch: Stretch
) -> list[tuple[float, float]]:
    """Return (0 for starts and 1 for ends, predicted minus true seconds) of matched segments.

    Where both reach the edge of what was watched, nobody has seen a boundary.
    """
    errors = []
    for true, predicted in pairs:
        for which, edge, times in (
            (0.0, stretch.start_seconds, (true.start_seconds, predicted.start_seconds)),
            (1.0, stretch.end_seconds, (true.end_seconds, predicted.end_seconds)),
        ):
            if times != (edge, edge):
                errors.append((which, times[1] - times[0]))
    return errors


def _count_false(true: Sequence[Bout], predicted: Sequence[Bout]) -> int:
    """Count predicted bouts that lie under true ones, which are apart, by less than half."""
    if not true:
        return len(predicted)
    edges, ours = spans(true), spans(predicted)
    before = np.concatenate([[0], np.cumsum(edges[:, 1] - edges[:, 0])])
    known = np.stack([before[:-1], before[1:]], axis=1).ravel()  # true seconds before each edge
    under = np.diff(np.interp(ours, edges.ravel(), known), axis=1)[:, 0]
    return int((under < FALSE_BELOW * np.diff(ours, axis=1)[:, 0] - SLACK).sum())


def _hours_without(true: Sequence[Bout], stretch: Stretch) -> float:
    labelled = sum(bout.end_seconds - bout.start_seconds for bout in true)
    absent = stretch.seconds - labelled
    return absent / 3600 if absent > SLACK else 0.0  # no rate per rounding error
