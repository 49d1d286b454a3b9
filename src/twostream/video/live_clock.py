"""The time of a live source: a clock that can be stopped, and frames set against it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator

from twostream.types import Frame

DRIFT = 1e-3  # of a second, that the clocks of a camera and of this machine part at the most


class Clock:
    """The time of a live source, and waiting that can be ended."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def now(self) -> float:
        """Return seconds from some fixed moment on."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait; ``stop`` ends it at once."""
        self._stopped.wait(max(0.0, seconds))

    def stop(self) -> None:
        """End all waiting, for good."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped.is_set()


class StreamStart:
    """When second 0 of a stream was by the clock: the frame with the least delay tells it.

    Attributes:
        seconds: by the clock; infinite before the first frame.
    """

    def __init__(self) -> None:
        self.seconds = math.inf
        self._last = math.inf

    def came(self, arrived: float, pts_seconds: float) -> float:
        """Take a frame's time by the clock and by the stream; returns how late it came.

        Where the camera's clock is the slower one, the start follows: a delay that only adds up
        because of that, seconds in a day, is none.
        """
        self.seconds += DRIFT * max(0.0, arrived - self._last)
        self._last = arrived
        self.seconds = min(self.seconds, arrived - pts_seconds)
        return arrived - pts_seconds - self.seconds


def paced(frames: Iterator[Frame], clock: Clock) -> Iterator[Frame]:
    """Yield each frame when its time has come, counted from the first one."""
    started: float | None = None
    for frame in frames:
        if started is None:
            started = clock.now() - frame.pts_seconds
        clock.wait(started + frame.pts_seconds - clock.now())
        if clock.stopped:
            return
        yield frame
