"""Live prediction: what a camera or a stream shows now, at bounded delay.

Three threads: one takes frames as the source gives them, one computes flow, and the one that
iterates ``Live`` runs the networks. Between them wait a few frames, and one window. Where a thread
is too slow, the oldest give way and are counted, so that the delay does not grow.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Generic, Protocol, TypeVar

from twostream.prediction.prediction import TOP, Prediction
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.timeline import check_windows, rounded
from twostream.prediction.window import Window
from twostream.types import Frame, UsageError, VideoError
from twostream.video.live_sources import Clock

WINDOW_SECONDS = 2.0
EVERY_SECONDS = 0.2
POSITIONS = 3
FRAMES_WAITING = 8  # a third of a second at 25 frames/s
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 15.0
_LOOK_SECONDS = 0.1

Item = TypeVar("Item")


class Source(Protocol):
    """Where frames come from; see ``video.live_sources``.

    Attributes:
        name: for people.
        reconnects: whether a break is worth another try.
    """

    name: str
    reconnects: bool

    def frames(self, clock: Clock) -> Iterator[Frame]:
        """Connect and yield frames as they come, their times counted from the first.

        Returning is the end; raises VideoError where it breaks.
        """


@dataclass(frozen=True, slots=True)
class LivePrediction:
    """A prediction, when it came, and what was lost so far.

    Attributes:
        prediction: its seconds are counted from the start of the watch.
        delay_seconds: from the end of its window to now.
        frames: that the source gave.
        dropped: of them, because the flow was too slow.
        skipped: windows that were due and never scored, because the networks were too slow.
    """

    prediction: Prediction
    delay_seconds: float
    frames: int
    dropped: int
    skipped: int

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
    """A break of the source.

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
class LiveSummary:
    """What a watch came to.

    Attributes:
        seconds: that it lasted.
        frames, dropped, skipped: see ``LivePrediction``.
        predictions: that were made.
        gaps: breaks, those that still lasted included.
        longest_delay_seconds: of all predictions.
    """

    seconds: float
    frames: int
    dropped: int
    predictions: int
    skipped: int
    gaps: int
    longest_delay_seconds: float


class Waiting(Generic[Item]):
    """Items on their way from one thread to another; the oldest give way to new ones.

    Args:
        capacity: how many can wait.

    Attributes:
        dropped: how many gave way.
    """

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._kept: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: Item, *, keep: bool = False) -> None:
        """Add an item; one that is to be kept never gives way, and comes before the others."""
        with self._changed:
            if keep:
                self._kept.append(item)
            else:
                if len(self._items) == self._capacity:
                    self._items.popleft()
                    self.dropped += 1
                self._items.append(item)
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """Let the other side end once it has taken what waits, by raising the error if any."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    def get(self, timeout: float) -> Item | None:
        """Return the next item, or None where none comes in time or it has ended."""
        with self._changed:
            if not (self._items or self._kept or self._closed):
                self._changed.wait(timeout)
            for items in (self._kept, self._items):
                if items:
                    return items.popleft()
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    @property
    def ended(self) -> bool:
        """Whether nothing waits and nothing comes any more."""
        with self._changed:
            return self._closed and not (self._items or self._kept or self._error)

    def __iter__(self) -> Iterator[Item]:
        while not self.ended:
            item = self.get(_LOOK_SECONDS)
            if item is not None:
                yield item


class Live:
    """Watches a source; iterate it for predictions and gaps.

    Args:
        predictor: what runs on the windows.
        source: of frames.
        window_seconds: that are scored at once.
        every_seconds: from one prediction to the next.
        positions: how many frames and stacks of a window are scored.
        seconds: after so many it ends; None: with the source, or when iteration is left.
        clock: the time.

    Raises:
        UsageError: an option that is no number, or out of range.
        VideoError: while iterating: the source cannot be opened, or its frames are too small.
    """

    def __init__(
        self,
        predictor: TwoStreamPredictor,
        source: Source,
        *,
        window_seconds: float = WINDOW_SECONDS,
        every_seconds: float = EVERY_SECONDS,
        positions: int = POSITIONS,
        seconds: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_windows(window_seconds, every_seconds, positions)
        if seconds is not None and not 0 < seconds < float("inf"):
            raise UsageError(f"seconds must be a number above 0, got {seconds}")
        if predictor.recent_clip(window_seconds).needs_motion_vectors:
            raise UsageError(
                "this model's flow comes out of the video file (mv), which live frames are not: "
                "train on flow that is computed, such as dis"
            )
        self.predictor = predictor
        self.source = source
        self.window_seconds = window_seconds
        self.every = predictor.num_frames(every_seconds)
        self.positions = positions
        self.seconds = seconds
        self.clock = clock or Clock()
        # the number of the connection, when the frame came by the clock, the frame
        self._frames: Waiting[tuple[int, float, Frame]] = Waiting(FRAMES_WAITING)
        # what is due, and when its connection's second 0 was by the clock
        self._events: Waiting[tuple[Window, float] | Gap] = Waiting(1)
        self._began = 0.0
        self._started = self._ended = self.clock.now()
        self._taken = self._predictions = self._gaps = 0
        self._longest_delay = 0.0

    def __iter__(self) -> Iterator[LivePrediction | Gap]:
        self._started = self.clock.now()
        threads = [
            threading.Thread(target=work, name="twostream live", daemon=True)
            for work in (self._capture, self._flow)
        ]
        for thread in threads:
            thread.start()
        try:
            while not (self._events.ended or self._over()):
                event = self._events.get(_LOOK_SECONDS)
                if isinstance(event, Gap):
                    yield event
                elif event is not None:
                    yield self._predict(*event)
        finally:
            self._ended = self.clock.now()
            self.clock.stop()
            self._frames.close()
            self._events.close()
            for thread in threads:
                thread.join(2.0)  # one that hangs in the network must not hold up the end

    def summary(self) -> LiveSummary:
        """Return what it came to."""
        return LiveSummary(
            seconds=round(self._ended - self._started, 3),
            frames=self._taken,
            dropped=self._frames.dropped,
            predictions=self._predictions,
            skipped=self._events.dropped,
            gaps=self._gaps,
            longest_delay_seconds=round(self._longest_delay, 3),
        )

    def _over(self) -> bool:
        return self.seconds is not None and self.clock.now() - self._started >= self.seconds

    def _predict(self, window: Window, began: float) -> LivePrediction:
        offset = began - self._started
        start, end = window.start_seconds + offset, window.end_seconds + offset
        found = self.predictor.score(Window(window.clip, start, end), self.positions)
        delay = self.clock.now() - began - window.end_seconds
        self._predictions += 1
        self._longest_delay = max(self._longest_delay, delay)
        return LivePrediction(found, delay, self._taken, self._frames.dropped, self._events.dropped)

    def _capture(self) -> None:
        """Take frames as they come; connect again where the source breaks."""
        connection, wait = 0, FIRST_RETRY_SECONDS
        last = self.clock.now()
        gap: Gap | None = None
        try:
            while not self.clock.stopped:
                try:
                    for frame in self.source.frames(self.clock):
                        last = self.clock.now()
                        if gap is not None:
                            seconds = last - self._started - gap.at_seconds
                            self._events.put(replace(gap, seconds=seconds), keep=True)
                            gap, wait = None, FIRST_RETRY_SECONDS
                        self._taken += 1
                        self._frames.put((connection, last, frame))
                        if self.clock.stopped:
                            return
                    return
                except VideoError as error:
                    # what has never worked is a mistake of the user's, not a break
                    if not (self.source.reconnects and self._taken):
                        raise
                    if gap is None:
                        gap = Gap(last - self._started, error.cause)
                        self._gaps += 1
                        self._events.put(gap, keep=True)
                    self.clock.wait(wait)
                    wait = min(2 * wait, LONGEST_RETRY_SECONDS)
                    connection += 1
        except BaseException as error:  # noqa: BLE001
            self._frames.close(error)  # raised in the thread that iterates
        finally:
            self._frames.close()

    def _flow(self) -> None:
        """Turn frames into windows; after a break from the start, no flow reaches across it."""
        try:
            for _, taken in groupby(self._frames, key=itemgetter(0)):
                recent = self.predictor.recent_clip(self.window_seconds, self.source.name)
                self._began = float("inf")
                for window in recent.windows(self._timed(taken), None, self.every):
                    self._events.put((window, self._began))
        except BaseException as error:  # noqa: BLE001
            self._events.close(error)  # raised in the thread that iterates
        finally:
            self._events.close()

    def _timed(self, taken: Iterator[tuple[int, float, Frame]]) -> Iterator[Frame]:
        """Yield frames; keeps when their second 0 was, by the one that came with least delay."""
        for _, arrived, frame in taken:
            self._began = min(self._began, arrived - frame.pts_seconds)
            yield frame
