"""How much scores count beside the durations of bouts, and when they say nothing.

Both are chosen by what finds the bouts of recordings that the networks had not seen best.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from twostream.bout_model import BoutModel
from twostream.judging import compare_labels
from twostream.labels import Labels
from twostream.prediction.timeline import Timeline
from twostream.prediction.timeline_labels import ethogram, segments_recording
from twostream.types import DataError

logger = logging.getLogger(__name__)

LOOKS = (0.4, 0.2, 0.1, 0.04)  # seconds that count as one; the last one is a frame
THRESHOLDS = (0.4, 0.2, 0.0)
ENOUGH_SECONDS = 1800.0  # of a fold's recordings; more would only take longer


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Recordings of a fold.

    Attributes:
        true: what people say; only time that they watched, of recordings with a line, counts.
        lines: what networks that were trained without the fold say: video id -> time line, of
            ``ENOUGH_SECONDS``.
    """

    true: Labels
    lines: Mapping[str, Timeline]

    @property
    def judged(self) -> Labels:
        """What people say of the recordings that have a line."""
        own = tuple(each for each in self.true.recordings if each.video in self.lines)
        return replace(self.true, recordings=own)


def telling_first(true: Labels) -> list[str]:
    """Return the recordings in the order in which they are looked at: those with bouts first."""
    return [each.video for each in sorted(true.recordings, key=lambda each: not each.bouts)]


def chosen_evidence(model: BoutModel, folds: Sequence[HeldOut]) -> BoutModel:
    """Return the model with the look, and then the threshold, that find held-out bouts best.

    By F1 of time, mean over labels and folds; of equals the first: the more that is smoothed, and
    left unsaid.

    Args:
        model: how long bouts last.
        folds: held-out recordings; where nothing can be judged, or none of them has a bout, the
            model stays.
    """
    if not any(each.bouts for fold in folds for each in fold.judged.recordings):
        return model
    found, best = model, -1.0
    looks = [replace(model, look_seconds=look, threshold=0.0) for look in LOOKS]
    for trial in looks:
        if (value := _f1(trial, folds)) is None:
            return model
        if value > best:
            found, best = trial, value
    values = dict[float, float]()
    for threshold in THRESHOLDS:  # a higher one may leave no bout to judge
        if (value := _f1(replace(found, threshold=threshold), folds)) is not None:
            values[threshold] = value
    found = replace(found, threshold=max(values, key=lambda each: values[each]))
    logger.info(
        f"bouts: {found.look_seconds:g} s of scores count as one look, a mean score below "
        f"{found.threshold:g} is none of the classes: best on held-out recordings (F1 of time "
        f"{values[found.threshold]:.2f})"
    )
    return found


def _f1(model: BoutModel, folds: Sequence[HeldOut]) -> float | None:
    """Return the F1 of time, mean over the folds where there is one."""
    found = []
    for fold in folds:
        try:
            said = _said({name: line.decoded(model) for name, line in fold.lines.items()})
            found.append(compare_labels(fold.judged, said, draws=0).overall["f1"].value)
        except DataError:  # no time that both watched
            continue
    values = [value for value in found if value is not None]
    return float(np.mean(values)) if values else None


def _said(lines: Mapping[str, Timeline]) -> Labels:
    if not lines:
        raise DataError("no recording could be looked at")
    recordings = tuple(segments_recording(line, name) for name, line in lines.items())
    return Labels(recordings, *ethogram(next(iter(lines.values()))))
