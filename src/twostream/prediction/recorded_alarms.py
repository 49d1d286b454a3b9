"""Which alarms a recording would have raised, had ``Live`` watched it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twostream.alerts import Alarm, Rule, Watched
from twostream.bout_model import Belief, BoutModel
from twostream.prediction.timeline import Timeline


@dataclass(frozen=True, slots=True)
class RecordedAlarms:
    """Alarms of a video.

    Attributes:
        video: the file.
        alarms: in order; their seconds are the video's.
        watched_seconds: of which it has frames.
    """

    video: Path
    alarms: tuple[Alarm, ...]
    watched_seconds: float

    def to_json(self) -> list[dict[str, Any]]:
        """Return the alarms in plain values."""
        return [alarm.to_json() for alarm in self.alarms]


def recorded_alarms(
    timeline: Timeline, rules: Sequence[Rule], bouts: BoutModel | None = None
) -> RecordedAlarms:
    """Return what rules say to a video, window by window as they came, with what was known then.

    Nothing of smoothing and segments, which know what comes later. The windows are those of the
    time line: a watch gives the same alarms with the same windows.

    Args:
        timeline: of the video.
        rules: any number.
        bouts: how long they last, as the run that made the time line has learnt it.

    Raises:
        UsageError: a rule is about a class that the model does not know.
    """
    watched = Watched(rules, timeline.classes, timeline.together)
    alarms: list[Alarm] = []
    for rows, _, _ in timeline.runs():
        belief = None if bouts is None else Belief(bouts)
        watched.broke()
        for seconds, scores in zip(timeline.ends[rows], timeline.fused[rows], strict=True):
            known = scores if belief is None else belief.update(scores, float(seconds))
            alarms += watched.look(float(seconds), known)
    unseen = sum(end - start for start, end in timeline.pauses)
    return RecordedAlarms(timeline.video, tuple(alarms), timeline.seconds - unseen)
