"""The flow of one clip on several threads, where there are more threads than clips.

Pairs are cut into runs at fixed frame numbers, each of which starts from nothing. So it shows
nowhere which thread computed which run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.extraction.frame_pairs import WithFlow, run_length, to_grey, with_flow
from twostream.types import Direction, Frame

Fields = list[list[NDArray[np.float32]]]  # of each pair, in each direction


class Helpers:
    """Threads without a clip of their own: they compute runs of the clips that others work on.

    Args:
        make_estimator: makes a ``FlowEstimator`` or a ``Batched``, one for each thread.
        threads: of the whole extraction.
        clips: number of clips; each begins with a thread of its own.
    """

    def __init__(self, make_estimator: Callable[[], Any], *, threads: int, clips: int) -> None:
        self._make_estimator = make_estimator
        self._own = threading.local()
        self._threads = threads
        self._clips_left = clips
        self._free = threading.Semaphore(max(0, threads - clips))
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pairs")
        self.runs_ahead = 2 * threads  # more would only fill memory

    def clip_ended(self) -> None:
        """Tell that a clip needs its thread no more."""
        with self._lock:
            self._clips_left -= 1
            idle = self._clips_left < self._threads
        if idle:
            self._free.release()

    def estimator(self) -> Any:
        """Return the one of the thread that calls."""
        if not hasattr(self._own, "estimator"):
            self._own.estimator = self._make_estimator()
        return self._own.estimator

    def begin(self, frames: Sequence[Frame], directions: Sequence[Direction]) -> Future[Fields]:
        """Let an idle thread compute the fields of a run; the calling one does where none is."""
        if not self._free.acquire(blocking=False):
            done: Future[Fields] = Future()
            done.set_result(solve(self.estimator(), frames, directions))
            return done
        future = self._pool.submit(lambda: solve(self.estimator(), frames, directions))
        future.add_done_callback(lambda _: self._free.release())
        return future

    def close(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def solve(estimator: Any, frames: Sequence[Frame], directions: Sequence[Direction]) -> Fields:
    """Return the fields of a run's pairs, of which there is one less than frames.

    Args:
        estimator: a ``FlowEstimator``, or a ``Batched``; one that no other thread uses.
        frames: neighbours, two or more.
        directions: which fields of each pair.
    """
    if not hasattr(estimator, "fields"):
        run = with_flow(((frame, 1) for frame in frames), estimator, directions)
        return [fields for _, _, fields in run][1:]
    greys = np.stack([to_grey(frame) for frame in frames])
    ways = {"forward": (greys[:-1], greys[1:]), "backward": (greys[1:], greys[:-1])}
    by_direction = [estimator.fields(*ways[direction]) for direction in directions]
    return [list(pair) for pair in zip(*by_direction, strict=True)]


def pairs_per_run(estimator: Any, height: int, width: int) -> int:
    """Return how many pairs an estimator takes at once, for frames of a size."""
    if hasattr(estimator, "fields"):
        return estimator.pairs_at_once(height, width)
    return run_length(estimator)


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
    source = iter(picked)
    first = next(source, None)
    if first is None:
        return
    yield *first, []
    last = first[0]
    begun: deque[tuple[list[tuple[Frame, int]], Future[Fields]]] = deque()
    while run := list(islice(source, pairs)):
        frames = [last, *(frame for frame, _ in run)]
        last = frames[-1]
        begun.append((run, helpers.begin(frames, directions)))
        while begun and (begun[0][1].done() or len(begun) > helpers.runs_ahead):
            yield from _ended(*begun.popleft())
    for one in begun:
        yield from _ended(*one)


def _ended(run: list[tuple[Frame, int]], future: Future[Fields]) -> Iterator[WithFlow]:
    for (frame, gap), fields in zip(run, future.result(), strict=True):
        yield frame, gap, fields
