"""The flow of one clip on several threads, where there are more threads than clips.

Pairs are cut into runs, each computed apart from the others: it shows nowhere which thread
computed which run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future

from twostream.extraction.frame_pairs import WithFlow
from twostream.flow import RunEstimator
from twostream.flow.estimators import Fields
from twostream.threads import ThreadPool
from twostream.types import Direction, Frame


class Helpers:
    """Threads without a clip of their own: they compute runs of the clips that others work on.

    Args:
        make_estimator: makes one for each thread.
        threads: of the whole extraction.
        clips: number of clips; each begins with a thread of its own.
    """

    def __init__(
        self, make_estimator: Callable[[], RunEstimator], *, threads: int, clips: int
    ) -> None:
        self._make_estimator = make_estimator
        self._own = threading.local()
        self._threads = threads
        self._clips_left = clips
        self._free = threading.Semaphore(max(0, threads - clips))
        self._lock = threading.Lock()
        self._pool = ThreadPool(threads, thread_name_prefix="twostream pairs")
        self.runs_ahead = 2 * threads  # more would only fill memory

    def clip_ended(self) -> None:
        """Tell that a clip needs its thread no more."""
        with self._lock:
            self._clips_left -= 1
            idle = self._clips_left < self._threads
        if idle:
            self._free.release()

    def estimator(self) -> RunEstimator:
        """Return the one of the thread that calls."""
        if not hasattr(self._own, "estimator"):
            self._own.estimator = self._make_estimator()
        return self._own.estimator

    def begin(
        self, frames: Sequence[Frame], directions: Sequence[Direction]
    ) -> Future[list[Fields]]:
        """Let an idle thread compute the fields of a run; the calling one does where none is."""
        if not self._free.acquire(blocking=False):
            done: Future[list[Fields]] = Future()
            done.set_result(self.estimator().fields(frames, directions))
            return done
        future = self._pool.submit(lambda: self.estimator().fields(frames, directions))
        future.add_done_callback(lambda _: self._free.release())
        return future

    def close(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def with_flow_ahead(
    picked: Iterable[tuple[Frame, int]],
    directions: Sequence[Direction],
    *,
    pairs: int,
    helpers: Helpers,
) -> Iterator[WithFlow]:
    """Do what ``with_flow`` does, with idle threads' help; memory is constant.

    Args:
        picked: frames, and how many output intervals lie between each and the one before.
        directions: which fields of each pair.
        pairs: in a run.
        helpers: the threads.

    Yields:
        As ``with_flow``, in order.
    """
    begun: deque[tuple[list[tuple[Frame, int]], Future[list[Fields]]]] = deque()
    last: list[Frame] = []
    for run in _runs(picked, pairs):
        frames = [*last, *(frame for frame, _ in run)]
        last = frames[-1:]
        begun.append((run, helpers.begin(frames, directions) if run[0][1] else _no_fields()))
        while begun and (begun[0][1].done() or len(begun) > helpers.runs_ahead):
            yield from _ended(*begun.popleft())
    for one in begun:
        yield from _ended(*one)


def _runs(picked: Iterable[tuple[Frame, int]], pairs: int) -> Iterator[list[tuple[Frame, int]]]:
    """Yield frames that flow leads to, so many at once; each one that follows none is alone."""
    run = list[tuple[Frame, int]]()
    for frame, gap in picked:
        if run and not gap:
            yield run
            run = []
        run.append((frame, gap))
        if not gap or len(run) == pairs:
            yield run
            run = []
    if run:
        yield run


def _no_fields() -> Future[list[Fields]]:
    done: Future[list[Fields]] = Future()
    done.set_result([[]])
    return done


def _ended(run: list[tuple[Frame, int]], future: Future[list[Fields]]) -> Iterator[WithFlow]:
    for (frame, gap), fields in zip(run, future.result(), strict=True):
        yield frame, gap, fields
