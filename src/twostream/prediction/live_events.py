"""What a watch tells: predictions, breaks of the source, and what it came to."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from twostream.extraction.pauses import PauseWatch
from twostream.prediction.prediction import TOP, Prediction
from twostream.prediction.timeline import rounded

SILENT_SECONDS = 5.0  # without a frame: that is told


@dataclass(frozen=True, slots=True)
class LivePrediction:
    """A prediction, when it came, and what was lost so far.

    Attributes:
        prediction: its seconds are counted from the start of the watch.
        delay_seconds: from the end of its window to now.
        frames: that the source gave.
        dropped: because the flow was too slow, or the source was behind.
        skipped: windows that were due and never scored, because the networks were too slow.
        clock_seconds: end of the window, from the start of the watch; from one prediction to the
            next, but for breaks, so much time has passed by the source's own clock.
        begins: whether it is the first one, or the first one after a break.
    """

    prediction: Prediction
    delay_seconds: float
    frames: int
    dropped: int
    skipped: int
    clock_seconds: float
    begins: bool

    def to_json(self) -> dict[str, Any]:
        """Return one JSON line's value."""
        found = self.prediction.to_json(TOP)
        return {
            "start_seconds": round(self.prediction.start_seconds, 3),
            "end_seconds": round(self.prediction.end_seconds, 3),
            "labels": found["labels"],
            "streams": found["streams"],
            "delay_seconds": round(self.delay_seconds, 3),
            "frames": self.frames,
            "dropped": self.dropped,
            "skipped": self.skipped,
        }


@dataclass(frozen=True, slots=True)
class Gap:
    """A break of what the source shows; no window and no flow reaches across.

    Attributes:
        at_seconds: when, from the start of the watch.
        cause: why, in words.
        seconds: how long, once frames come again; None while it lasts.
    """

    at_seconds: float
    cause: str
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return one JSON line's value."""
        return {"gap": rounded(self, 3)}


@dataclass(frozen=True, slots=True)
class Lost:
    """A source of several that is not watched any more; the others are.

    Attributes:
        cause: a sentence with its name.
    """

    cause: str

    def to_json(self) -> dict[str, Any]:
        """Return one JSON line's value."""
        return {"lost": self.cause}


@dataclass(frozen=True, slots=True)
class LiveSummary:
    """What a watch came to.

    Attributes:
        seconds: that it lasted.
        frames, dropped, skipped: see ``LivePrediction``.
        predictions: that were made.
        gaps: breaks, those that still lasted included.
        longest_delay_seconds: of all predictions.
        damaged: frames that came and could not be decoded.
    """

    seconds: float
    frames: int
    dropped: int
    predictions: int
    skipped: int
    gaps: int
    longest_delay_seconds: float
    damaged: int = 0


class Breaks:
    """Tells each break once when it shows and once when it is over; for several threads.

    Args:
        tell: is given each Gap.
        started: start of the watch by the clock.

    Attributes:
        count: breaks so far, one that lasts included.
    """

    def __init__(self, tell: Callable[[Gap], None], started: float) -> None:
        self.count = 0
        self._tell = tell
        self._started = self._last = started
        # nothing is too long here: a camera may give a frame a minute
        self._silence = PauseWatch(None, least=SILENT_SECONDS, most=math.inf)
        self._silence.ends_at(started)
        self._open: Gap | None = None
        self._ended = False
        self._lock = threading.Lock()

    def end(self) -> None:
        """Nothing more is to come: no frame is missed any more."""
        with self._lock:
            self._ended = True

    def begin(self, cause: str) -> None:
        """Tell a break that begins after the last frame, unless one lasts."""
        with self._lock:
            self._begin(cause)

    def look(self, now: float) -> None:
        """Tell it when no frame has come for long."""
        with self._lock:
            if not self._ended:
                self._look(now)

    def frame(self, now: float, change: str | None = None) -> None:
        """Take the time of a frame; tell the end of a break.

        Args:
            now: by the clock.
            change: why this frame does not go on with what was shown before it; None: it does.
        """
        with self._lock:
            self._look(now)  # nobody may have looked meanwhile
            if change is not None:
                self._begin(change)
            gap, self._open = self._open, None
            if gap is not None:
                self._tell(replace(gap, seconds=now - self._started - gap.at_seconds))
            self._silence.ends_at(now)
            self._last = now

    def _look(self, now: float) -> None:
        if self._silence.lasts_at(now):
            self._begin("no frames come")

    def _begin(self, cause: str) -> None:
        if self._open is None:
            self.count += 1
            self._open = Gap(self._last - self._started, cause)
            self._tell(self._open)
