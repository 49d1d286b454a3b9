"""Live prediction: what a camera or a stream shows now, at bounded delay.

Three threads: one takes frames as the source gives them, one computes flow, and the one that
iterates ``Live`` runs the networks. Between them wait a few frames, and the windows that one frame
completes: one, or several of a source that is slow. Where a thread is too slow, the oldest give way
and are counted, so that the delay does not grow.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

from twostream.bout_model import Belief
from twostream.extraction.pauses import PauseWatch
from twostream.prediction.live_events import Breaks, Gap, LivePrediction, LiveSummary
from twostream.prediction.looks import Looks
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.timeline import LONG, Windows, check_windows
from twostream.prediction.waiting import LOOK_SECONDS, Waiting
from twostream.prediction.window import Window
from twostream.types import Frame, UsageError, VideoError
from twostream.video.live_clock import Clock, StreamStart
from twostream.video.opening import check_size

WINDOW_SECONDS = 2.0
EVERY_SECONDS = 0.2
POSITIONS = 3
FRAMES_WAITING = 8  # a third of a second at 25 frames/s
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 15.0
_PATIENCE_SECONDS = 2.0  # with a thread that hangs in the network


class Source(Protocol):
    """Where frames come from; see ``video.live_sources``.

    Attributes:
        name: for people.
        reconnects: whether a break is worth another try.

    It may count its frames that were too old to be shown (``dropped``) or could not be decoded
    (``damaged``).
    """

    name: str
    reconnects: bool

    def frames(self, clock: Clock) -> Iterator[Frame]:
        """Connect and yield frames as they come, their times counted from the first.

        Returning is the end; raises VideoError where it breaks.
        """


@dataclass(frozen=True, slots=True)
class Due:
    """A window that is to be scored.

    Attributes:
        window: its seconds are counted from the first frame of its run.
        began: when that was shown, by the clock.
        run: number of the run, which a break ends.
    """

    window: Window
    began: float
    run: int


class Live:
    """Watches a source; iterate it for predictions and gaps.

    Args:
        predictor: what runs on the windows.
        source: of frames.
        window_seconds: that are scored at once; None: a look of a run that knows how long bouts
            last, which then says what is likely after all that was seen; else 2 s.
        every_seconds: from one prediction to the next.
        positions: about how many frames and stacks of a window are scored; None: likewise 1, else
            3.
        seconds: after so many it ends; None: with the source, or when iteration is left.
        clock: the time.
        patient: try again what has never worked too, where the source may be connected to anew.
        news: is set whenever there may be something to take.

    Raises:
        UsageError: an option that is no number, or out of range.
        VideoError: while iterating: the source cannot be opened, or its frames are too small.
    """

    def __init__(
        self,
        predictor: TwoStreamPredictor,
        source: Source,
        *,
        window_seconds: float | None = None,
        every_seconds: float = EVERY_SECONDS,
        positions: int | None = None,
        seconds: float | None = None,
        clock: Clock | None = None,
        patient: bool = False,
        news: threading.Event | None = None,
    ) -> None:
        as_a_rule = live_windows(predictor)
        window_seconds = as_a_rule.seconds if window_seconds is None else window_seconds
        positions = as_a_rule.positions if positions is None else positions
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
        # the number of its run, when it came by the clock, the frame; None where a run is over
        self._frames: Waiting[tuple[int, float, Frame | None]] = Waiting(FRAMES_WAITING)
        self._events: Waiting[Due | Gap] = Waiting(1, news)
        self._start = StreamStart()
        self._started = self._ended = self.clock.now()
        self._breaks = Breaks(self._tell, self._started)
        self._belief = self._no_belief()
        self._run, self._run_began = -1, 0.0  # of the last prediction; from the start of the watch
        self._looks = self._no_looks()  # of this run
        self._taken = self._predictions = 0
        self._is_fresh = True  # a frame has come since the last window
        self._longest_delay = 0.0
        self._patient = patient
        self._threads: list[threading.Thread] = []

    def __iter__(self) -> Iterator[LivePrediction | Gap]:
        self.start()
        try:
            while not self.over:
                taken = self.take(LOOK_SECONDS)
                if taken is not None:
                    yield self.event(taken)
        finally:
            self.stop()
            self.join(_PATIENCE_SECONDS)

    def start(self) -> None:
        """Begin to watch; who does not iterate takes, and stops in the end."""
        self._started = self.clock.now()
        self._breaks = Breaks(self._tell, self._started)
        for work in (self._capture, self._flow):
            thread = threading.Thread(target=work, name="twostream live", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take(self, timeout: float) -> Due | Gap | None:
        """Return what comes next, or None where nothing does in time; raises what went wrong."""
        taken = self._events.get(timeout)
        self._breaks.look(self.clock.now())
        return taken

    def event(self, taken: Due | Gap) -> LivePrediction | Gap:
        """Return what is told of what was taken; scores a window.

        A gap is told at once, before windows that wait and end before it. What is known of them
        holds until the first window after it.
        """
        return taken if isinstance(taken, Gap) else self._predict(taken)

    @property
    def over(self) -> bool:
        """Whether nothing comes any more, or its time has passed."""
        timed = self.seconds is not None and self.clock.now() - self._started >= self.seconds
        return timed or self._events.ended

    def stop(self) -> None:
        """End it; the threads may still have something in hand."""
        if not self.clock.stopped:
            self._ended = self.clock.now()
        self.clock.stop()
        self._frames.close()
        self._events.close()

    def join(self, seconds: float) -> None:
        """Wait for the threads; one that hangs in the network must not hold up the end."""
        for thread in self._threads:
            thread.join(seconds)

    def summary(self) -> LiveSummary:
        """Return what it came to."""
        return LiveSummary(
            seconds=round(self._ended - self._started, 3),
            frames=self._taken,
            dropped=self._dropped,
            predictions=self._predictions,
            skipped=self._events.dropped,
            gaps=self._breaks.count,
            longest_delay_seconds=round(self._longest_delay, 3),
            damaged=getattr(self.source, "damaged", 0),
        )

    def _no_looks(self) -> Looks:
        return Looks(self.predictor.streams, self.positions, self.every)

    def _no_belief(self) -> Belief | None:
        """Return what knows nothing yet; None: how long bouts last is not known."""
        bouts = self.predictor.bouts
        return None if bouts is None else Belief(bouts)

    def _predict(self, due: Due) -> LivePrediction:
        window, offset = due.window, due.began - self._started
        start, end = window.start_seconds + offset, window.end_seconds + offset
        begins = due.run != self._run
        if begins:
            self._run, self._run_began = due.run, offset
            self._looks, self._belief = self._no_looks(), self._no_belief()
        (scores,) = self._looks.score([window])
        found = self.predictor.answer(start, end, scores)
        if self._belief is not None:
            found = replace(found, scores=self._belief.update(found.scores, end))
        delay = self.clock.now() - due.began - window.end_seconds
        self._predictions += 1
        self._longest_delay = max(self._longest_delay, delay)
        return LivePrediction(
            found,
            delay,
            self._taken,
            self._dropped,
            self._events.dropped,
            window.end_seconds + self._run_began,
            begins,
        )

    @property
    def _dropped(self) -> int:
        return self._frames.dropped + getattr(self.source, "dropped", 0)

    def _tell(self, gap: Gap) -> None:
        self._events.put(gap, keep=True)
        if gap.seconds is None:  # what came before is scored now, not when frames come again
            self._frames.put((0, self.clock.now(), None))

    def _capture(self) -> None:
        """Take frames as they come; connect again where the source breaks."""
        runs = _Runs()
        wait = FIRST_RETRY_SECONDS
        try:
            while not self.clock.stopped:
                runs.connected()
                try:
                    for frame in self.source.frames(self.clock):
                        now = self.clock.now()
                        self._breaks.frame(now, runs.change(frame))
                        wait = FIRST_RETRY_SECONDS
                        self._taken += 1
                        self._frames.put((runs.number, now, frame))
                        if self.clock.stopped:
                            return
                    return
                except VideoError as error:
                    # what has never worked is a mistake of the user's, not a break
                    if not (self.source.reconnects and (self._taken or self._patient)):
                        raise
                    self._breaks.begin(error.cause)
                    self.clock.wait(wait)
                    wait = min(2 * wait, LONGEST_RETRY_SECONDS)
        except BaseException as error:  # noqa: BLE001
            self._frames.close(error)  # raised in the thread that iterates
        finally:
            self._breaks.end()
            self._frames.close()

    def _flow(self) -> None:
        """Turn frames into windows; after a break from the start, no flow reaches across it."""
        works = False
        try:
            runs = groupby(self._frames, key=_number_and_size)
            # a run that silence divides has its number twice, and counts from second 0 twice
            for run, ((_, size), taken) in enumerate(runs):
                if size is None or (works and self._too_small(size)):
                    continue
                recent = self.predictor.recent_clip(self.window_seconds, self.source.name)
                self._start = StreamStart()
                for window in recent.windows(self._timed(taken), None, self.every):
                    works = True
                    # a slow source's frame stands for several places, of 10 s at the most
                    due, joins = Due(window, self._start.seconds, run), not self._is_fresh
                    self._is_fresh = False
                    self._events.put(due, joins=joins)
        except BaseException as error:  # noqa: BLE001
            self._events.close(error)  # raised in the thread that iterates
        finally:
            self._events.close()

    def _too_small(self, size: tuple[int, int]) -> bool:
        """Whether a source that changed its size gives frames that the networks cannot be shown."""
        try:
            check_size(self.source.name, *size, self.predictor.spec.smallest_side)
        except VideoError as error:
            self._breaks.begin(error.cause)
            return True
        return False

    def _timed(self, taken: Iterable[tuple[int, float, Frame | None]]) -> Iterator[Frame]:
        """Yield frames; keeps when the first of them was shown."""
        first: float | None = None
        for _, arrived, frame in taken:
            assert frame is not None  # it has no size
            first = frame.pts_seconds if first is None else first
            self._start.came(arrived, frame.pts_seconds - first)
            self._is_fresh = True
            yield frame


def live_windows(predictor: TwoStreamPredictor) -> Windows:
    """Return how a watch looks at a source, unless something else is asked for."""
    if predictor.bouts is not None:
        return predictor.windows
    return Windows(WINDOW_SECONDS, EVERY_SECONDS, POSITIONS, LONG.smooth_seconds)


class _Runs:
    """Numbers runs of frames that go on with each other: one connection, one size, no pause.

    Attributes:
        number: of the run that the last frame belongs to.
    """

    def __init__(self) -> None:
        self.number = 0
        self._size: tuple[int, ...] | None = None
        self._pauses = PauseWatch(None)

    def connected(self) -> None:
        """Begin a run with the next frame."""
        self.number += 1
        self._pauses = PauseWatch(None)

    def change(self, frame: Frame) -> str | None:
        """Return why a frame begins a run, within a connection; None: it does not."""
        before, self._size = self._size, frame.rgb.shape
        paused = self._pauses.ends_at(frame.pts_seconds)
        if before is not None and before != self._size:
            self.number += 1
            return f"its frames are {_px(self._size)} now, after {_px(before)}"
        if paused:
            self.number += 1
            return "the source left out frames"
        return None


def _number_and_size(
    taken: tuple[int, float, Frame | None],
) -> tuple[int, tuple[int, int] | None]:
    number, _, frame = taken
    return number, None if frame is None else (frame.rgb.shape[0], frame.rgb.shape[1])


def _px(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} px"
