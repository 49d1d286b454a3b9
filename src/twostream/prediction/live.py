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
from typing import Any, Generic, Protocol, TypeVar

from twostream.prediction.prediction import TOP, Prediction
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.timeline import check_options
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
        return {
            "start_seconds": round(self.prediction.start_seconds, 3),
            "end_seconds": round(self.prediction.end_seconds, 3),
            **{k: v for k, v in self.prediction.to_json(TOP).items() if k != "video"},
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
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return {
            "gap": {
                "at_seconds": round(self.at_seconds, 3),
                "cause": self.cause,
                "seconds": seconds,
            }
        }


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
            if self._closed and self._error is not None:
                error, self._error = self._error, None
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


@dataclass(frozen=True, slots=True)
class _Taken:
    frame: Frame
    arrived: float  # by the clock
    connection: int


@dataclass(frozen=True, slots=True)
class _Due:
    window: Window
    began: float  # when the connection's second 0 was, by the clock


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
        check_options(
            window_seconds=window_seconds,
            every_seconds=every_seconds,
            positions=positions,
            smooth_seconds=0,
            threshold=0,
        )
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
        self.every = max(1, round(every_seconds * predictor.spec.fps))
        self.positions = positions
        self.seconds = seconds
        self.clock = clock or Clock()
        self._frames: Waiting[_Taken] = Waiting(FRAMES_WAITING)
        self._events: Waiting[_Due | Gap] = Waiting(1)
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
                    yield self._predict(event)
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

    def _predict(self, due: _Due) -> LivePrediction:
        found = self.predictor.score(due.window, self.positions)
        delay = self.clock.now() - due.began - due.window.end_seconds
        offset = due.began - self._started
        self._predictions += 1
        self._longest_delay = max(self._longest_delay, delay)
        found = replace(
            found,
            start_seconds=found.start_seconds + offset,
            end_seconds=found.end_seconds + offset,
        )
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
                        self._frames.put(_Taken(frame, last, connection))
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
            for _, taken in groupby(self._frames, key=lambda item: item.connection):
                recent = self.predictor.recent_clip(self.window_seconds, self.source.name)
                began = [float("inf")]
                frames = self._timed(taken, began)
                for window in recent.windows(frames, None, self.every):
                    self._events.put(_Due(window, began[0]))
        except BaseException as error:  # noqa: BLE001
            self._events.close(error)  # raised in the thread that iterates
        finally:
            self._events.close()

    def _timed(self, taken: Iterator[_Taken], began: list[float]) -> Iterator[Frame]:
        """Yield frames; keeps when their second 0 was, by the one that came with least delay."""
        for item in taken:
            began[0] = min(began[0], item.arrived - item.frame.pts_seconds)
            yield item.frame
