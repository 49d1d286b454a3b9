"""What a visitor may ask for: sizes, lengths, times and numbers, and the words of a refusal."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from twostream.types import TwoStreamError, UsageError

_LOOK_SECONDS = 0.2  # how soon one who waits sees that it is over
VISITOR_PIXELS = 8192 * 4320  # of a frame: a few of them decoded are a gigabyte


class RefusedError(TwoStreamError):
    """A visitor's wish goes beyond a limit.

    Attributes:
        http_status: of the answer.
    """

    def __init__(self, message: str, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of every visitor.

    Attributes:
        max_mb: size of a video file, in 10^6 bytes.
        max_seconds: length of a video.
        time_limit: seconds that the work on a video may take.
        max_memory_mb: that the process which decodes a video may take, in 10^6 bytes.
        at_once: videos that are worked on at the same time; three times as many may wait.

    Raises:
        UsageError: a limit that is not above 0.
    """

    max_mb: float = 100.0
    max_seconds: float = 60.0
    time_limit: float = 120.0
    max_memory_mb: float = 2000.0
    at_once: int = 2

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value > 0):
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} must be a number above 0, got {value}")

    @property
    def max_videos(self) -> int:
        """How many videos may arrive, wait and be worked on."""
        return 4 * self.at_once

    def check_bytes(self, count: int) -> None:
        """Refuse a file of more bytes than are allowed."""
        if count > self.max_mb * 1e6:
            raise RefusedError(f"the file is larger than {self.max_mb:g} MB: cut it", 413)

    def check_seconds(self, seconds: float) -> None:
        """Refuse a video that is longer than allowed; half a second is forgiven."""
        if seconds > self.max_seconds + 0.5:
            raise RefusedError(f"the video is longer than {self.max_seconds:g} s: cut it", 422)

    def check_pixels(self, width: int, height: int) -> None:
        """Refuse frames of a size that no camera has."""
        if width * height > VISITOR_PIXELS:
            raise RefusedError(f"frames of {width}x{height} px are too large: shrink them", 422)


@dataclass(slots=True)
class Deadline:
    """The time that one piece of work has, from now on.

    Attributes:
        seconds: how long.
        stopped: set when the server ends.

    >>> Deadline(60).check()
    """

    seconds: float
    stopped: threading.Event | None = None
    _end: float = 0.0

    def __post_init__(self) -> None:
        self._end = self._end or time.monotonic() + self.seconds

    def check(self) -> None:
        """Refuse to go on when the time is over, or the server ends."""
        if self.stopped is not None and self.stopped.is_set():
            raise RefusedError("the server is being stopped", 503)
        if time.monotonic() > self._end:
            raise RefusedError(
                f"waiting and work took more than {self.seconds:g} s: send a shorter video", 504
            )

    def elsewhere(self) -> Deadline:
        """Return it for another process of this machine, which has the same clock."""
        return replace(self, stopped=None)

    def later(self, seconds: float) -> Deadline:
        """Return one that is over so much later."""
        return replace(self, _end=self._end + seconds)

    @contextmanager
    def place(self, places: threading.Semaphore) -> Iterator[None]:
        """Take one of the places where work is done, waiting for it if need be.

        Raises:
            RefusedError: none gets free in time.

        >>> with Deadline(60).place(places := threading.Semaphore(1)):
        ...     places.acquire(blocking=False)
        False
        """
        while not places.acquire(timeout=_LOOK_SECONDS):
            self.check()
        try:
            yield
        finally:
            places.release()
