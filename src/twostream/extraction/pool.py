"""Many videos at once: one thread each, and a bad one never stops the others."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

TICK_SECONDS = 0.25

Item = TypeVar("Item")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Raised inside workers when the run ends early."""


def in_threads(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    stop: threading.Event,
    workers: int | None = None,
) -> Generator[list[tuple[Item, Future[Result]]], None, None]:
    """Work on items in threads; what raises waits in its future.

    Close the iterator (``contextlib.closing``) where leaving it early must end the threads at once.

    Args:
        work: ends soon, by an exception, once ``stop`` is set.
        items: begun in this order.
        stop: set when the caller leaves early, by an error or an interruption.
        workers: number of threads; None uses every core.

    Yields:
        What has ended since the last time, several times a second; also when nothing has.
    """
    pool = ThreadPoolExecutor(workers or num_cores(), thread_name_prefix="videos")
    try:
        futures = {pool.submit(work, item): item for item in items}
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, TICK_SECONDS, FIRST_COMPLETED)
            yield [(futures[future], future) for future in ended]
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def num_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
