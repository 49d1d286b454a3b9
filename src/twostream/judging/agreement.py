"""Two label files compared: every measure, a class and overall. Definitions: docs/labels.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twostream.judging.average_precision import (
    TIOUS,
    Ranking,
    average_precision,
    mean_average_precision,
    rank,
)
from twostream.judging.bout_measures import (
    OVERLAPS,
    BoutCounts,
    count_bouts,
    f1_of_counts,
)
from twostream.judging.intervals import DRAWS, UNSEEN, Measure, measured
from twostream.judging.point_events import PointAgreement, compare_points
from twostream.judging.stretches import Compared, compared
from twostream.judging.time_measures import (
    TimeCounts,
    cohens_kappa,
    count_time,
    precision_recall_f1,
    share,
)
from twostream.labels import Labels
from twostream.schema import from_json
from twostream.types import UsageError

Numbers = NDArray[np.float64]
TOLERANCE_SECONDS = 0.5
IN_WORDS = {  # the measures of ``Agreement.overall``, as people read them
    "precision": "precision of time, mean over labels",
    "recall": "recall of time, mean over labels",
    "f1": "F1 of time, mean over labels",
    "agreed": "time that agrees",
    "kappa": "Cohen's kappa",
    "mean_kappa": "Cohen's kappa, mean over labels",
    "f1@10": "F1@10 of bouts",
    "f1@25": "F1@25 of bouts",
    "f1@50": "F1@50 of bouts",
    "edit": "edit score",
    "map": "mAP, mean over tIoU 0.3 to 0.7",
    "boundary_seconds": "boundary error, median, s",
    "false_bouts_an_hour": "false bouts an hour of background",
}
OVER_LABELS = ("precision", "recall", "f1", "mean_kappa", "map")  # means, of these


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """How well two files agree on one class; None: nothing to judge it by.

    Attributes:
        label: the class.
        true_bouts, predicted_bouts: in the watched time; those that touch count as one.
        true_seconds, predicted_seconds: in which it is present.
        precision, recall, f1: of the time, 0..1.
        kappa: of present and absent, -1..1.
        segmental_f1: at each of ``OVERLAPS``.
        average_precision: at each of ``TIOUS``.
        boundary_seconds: median distance of the boundaries of bouts that were found.
        starts_late_seconds, ends_late_seconds: median of predicted minus true.
        false_bouts_an_hour: predicted ones off the true ones, for each hour without the class.
    """

    label: str
    true_bouts: int
    predicted_bouts: int
    true_seconds: float
    predicted_seconds: float
    precision: float | None
    recall: float | None
    f1: float | None
    kappa: float | None
    segmental_f1: tuple[float | None, ...]
    average_precision: tuple[float | None, ...]
    boundary_seconds: float | None
    starts_late_seconds: float | None
    ends_late_seconds: float | None
    false_bouts_an_hour: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Seconds of each state in the true file (rows) and the predicted one, where one holds."""

    states: tuple[str, ...]
    seconds: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two label files agree.

    Attributes:
        recordings: names of the videos.
        watched_seconds: time that is compared.
        exclusive: whether at most one label holds at a time, in both.
        overall: name of a measure -> its value and interval over groups of recordings.
        classes: labels with a length, in the order of the ethogram.
        background: the time without any label, as a class of its own (not in any mean).
        points: labels of point events.
        confusion: None where labels overlap.
        notes: sentences a user should read.
    """

    recordings: tuple[str, ...]
    watched_seconds: float
    exclusive: bool
    overall: dict[str, Measure]
    classes: tuple[ClassAgreement, ...]
    background: dict[str, float | None]
    points: tuple[PointAgreement, ...]
    confusion: Confusion | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, with the thresholds that lists of values belong to."""
        return asdict(self) | {"overlaps": list(OVERLAPS), "tious": list(TIOUS)}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return what ``to_json`` was given of; raises ValueError where it is something else."""
        return from_json(cls, values, spare=True)


def compare_labels(
    true: Labels,
    predicted: Labels,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    draws: int = DRAWS,
) -> Agreement:
    """Compare predicted labels with true ones, or those of two people.

    Args:
        true, predicted: matched by the names of their videos; only time that both watched counts.
        tolerance_seconds: how far apart two point events may be that are the same one.
        draws: resamples of the groups of recordings, for intervals; 0: none, which is quicker.

    Raises:
        DataError: they have no recording or no watched time in common.
        UsageError: the tolerance is below 0 or not finite.
    """
    if not 0 <= tolerance_seconds < math.inf:
        raise UsageError(f"a tolerance is 0 or more seconds, got {tolerance_seconds}")
    sides = compared(true, predicted)
    time, bouts = count_time(sides), count_bouts(sides)
    rankings = [rank(sides, label) for label in sides.classes]
    confusion = None
    if time.confusion is not None:
        seconds = time.confusion.sum(axis=0).tolist()
        confusion = Confusion(time.states, tuple(map(tuple, seconds)))
    rows = tuple(_class_row(sides, time, bouts, ranking, c) for c, ranking in enumerate(rankings))
    return Agreement(
        recordings=sides.videos,
        watched_seconds=sum(stretch.seconds for stretch in sides.stretches),
        exclusive=time.exclusive,
        overall=_overall(sides, time, bouts, rankings, draws),
        classes=rows,
        background=_background(time),
        points=compare_points(sides, tolerance_seconds),
        confusion=confusion,
        notes=(*true.notes, *predicted.notes, *sides.notes, *_on_measures(sides, rows, time)),
    )


def _class_row(
    sides: Compared, time: TimeCounts, bouts: BoutCounts, ranking: Ranking, c: int
) -> ClassAgreement:
    present = time.present.sum(axis=0)[c]
    precision, recall, f1 = (_known(value) for value in precision_recall_f1(present))
    segments = bouts.segments.sum(axis=0)[c]
    found, wrong, missed = segments[0].astype(int).tolist()
    errors = bouts.errors[bouts.errors[:, 1] == c]
    all_alike = np.ones((1, len(sides.videos)))
    late = [errors[errors[:, 2] == which, 3] for which in (0, 1)]
    return ClassAgreement(
        label=sides.classes[c],
        true_bouts=found + missed,
        predicted_bouts=found + wrong,
        true_seconds=float(present[1].sum()),
        predicted_seconds=float(present[:, 1].sum()),
        precision=precision,
        recall=recall,
        f1=f1,
        kappa=_known(cohens_kappa(present)),
        segmental_f1=tuple(map(_known, f1_of_counts(segments))),
        average_precision=tuple(
            _known(average_precision(ranking, tiou, all_alike)[0]) for tiou in range(len(TIOUS))
        ),
        boundary_seconds=_median(np.abs(errors[:, 3])),
        starts_late_seconds=_median(late[0]),
        ends_late_seconds=_median(late[1]),
        false_bouts_an_hour=_known(share(bouts.false[:, c].sum(), bouts.absent_hours[:, c].sum())),
    )


def _overall(
    sides: Compared, time: TimeCounts, bouts: BoutCounts, rankings: list[Ranking], draws: int
) -> dict[str, Measure]:
    """Return the measures over all classes, each with its interval.

    A mean over classes leaves out those for which a measure is not defined.
    """
    hours = float(bouts.absent_hours[:, -1].sum())
    shares: dict[str, Callable[[Numbers], Numbers]] = {
        "precision": lambda weights: time.macro(weights)[0],
        "recall": lambda weights: time.macro(weights)[1],
        "f1": lambda weights: time.macro(weights)[2],
    }
    if time.exclusive:
        shares |= {"agreed": time.agreed, "edit": bouts.edit_score}
    for i, overlap in enumerate(OVERLAPS):
        shares[f"f1@{100 * overlap:.0f}"] = partial(bouts.segmental_f1, i)
    shares["map"] = partial(mean_average_precision, rankings, range(len(TIOUS)))
    kappas = {"kappa": time.kappa} if time.exclusive else {}
    kappas["mean_kappa"] = time.mean_kappa
    interval = partial(measured, groups=sides.groups, draws=draws)
    found = {name: interval(of, over_labels=name in OVER_LABELS) for name, of in shares.items()}
    for i, tiou in enumerate(TIOUS):  # each draw takes a while, and "map" has them all
        each = partial(mean_average_precision, rankings, [i])
        found[f"map@{tiou}"] = measured(each, sides.groups, draws=0)
    for name, of in kappas.items():
        found[name] = interval(of, bounds=(-1.0, 1.0), over_labels=name in OVER_LABELS)
    found["boundary_seconds"] = interval(bouts.boundary_seconds, bounds=(0.0, math.inf))
    found["false_bouts_an_hour"] = interval(
        bouts.false_an_hour, bounds=(0.0, math.inf), unseen=UNSEEN / hours if hours else None
    )
    return found


def _background(time: TimeCounts) -> dict[str, float | None]:
    values = precision_recall_f1(time.present.sum(axis=0)[-1])
    names = ("precision", "recall", "f1")
    return {name: _known(value) for name, value in zip(names, values, strict=True)}


def _on_measures(
    sides: Compared, rows: Sequence[ClassAgreement], time: TimeCounts
) -> Iterator[str]:
    """Say what the measures leave out, and what they rest on."""
    never = [row.label for row in rows if row.f1 is None]
    if never:
        yield f"in no file, left out of all means: {', '.join(never)}"
    for side, other, absent in (
        ("TRUE", "PREDICTED", [r for r in rows if r.f1 is not None and not r.true_seconds]),
        ("PREDICTED", "TRUE", [r for r in rows if r.f1 is not None and not r.predicted_seconds]),
    ):
        if absent:
            names = ", ".join(row.label for row in absent)
            yield f"in {other} but not in {side}, counted with an F1 of 0: {names}"
    if not time.exclusive:
        yield (
            "several labels hold at once: there is no edit score and no kappa over all labels, "
            "only one for each label (present or absent)"
        )
    confidences = [b.confidence for s in sides.stretches for b in s.predicted]
    if confidences and None in confidences:
        which = "no" if not any(c is not None for c in confidences) else "not every"
        yield f"{which} bout in PREDICTED has a confidence: without one it ranks first in mAP"
    if len(set(sides.groups)) == 1:
        yield "a single recording or group: nothing is known of others, there are no intervals"


def _known(value: float | Numbers) -> float | None:
    return None if math.isnan(value) else float(value)


def _median(values: Numbers) -> float | None:
    return float(np.median(values)) if len(values) else None
