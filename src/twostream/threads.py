"""Threads: work on many items at once, and an iterator that runs ahead of who uses it."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from twostream.stopping import put_off
from twostream.types import StoreError, TwoStreamError, VideoError

logger = logging.getLogger(__name__)

_GROUPS = Path("/proc/self/cgroup")
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_SHARE = "TWOSTREAM_SHARE"  # what keep_to_share found, for it and the processes that it begins
TICK_SECONDS = 0.25
WAITING = 16  # items for each thread: to wait for a million at once would take seconds each time
ASKED_AT_ONCE = 32  # threads that ask a disk; a local one costs them nothing
ASKED_BY_ONE = 100  # names at most, one after the other, before an error or a stop is seen
PATIENCE_SECONDS = 10.0  # with threads that are to end; decoding and flow take less a call

Item = TypeVar("Item")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Raised inside workers when the run ends early."""


class ThreadPool(ThreadPoolExecutor):
    """Threads of which a stop leaves none behind.

    Python's own knows of a thread once it runs. Ctrl-C between the two, and again while they are
    waited for, would let them go on with what who stops takes apart, a video's decoder say.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin a call when a thread is free; a stop waits until it is one of the pool's."""
        with put_off():
            return super().submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads, once each has ended what it does; a stop waits for them.

        One that hangs, in a network's disk say, is left behind by a stop that comes much later.
        """
        with put_off(PATIENCE_SECONDS):
            super().shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        """End the threads; after an error what has not begun is not begun."""
        self.shutdown(cancel_futures=kind is not None)


def wait_asleep() -> None:
    """Let torch's threads sleep soon while they wait for each other; before torch is loaded.

    GNU OpenMP spins for milliseconds at each of the many barriers of a step. Beside four other
    programs on two cores, a step took 8.8 times the time of a quiet machine instead of the 3 times
    that the cores it got explain (benchmarks/busy.py); a quiet machine loses a twentieth.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@cache
def keep_memory() -> None:
    """Keep freed memory for the next tensors and frames, where the C library is glibc.

    It gives large blocks back to the system at once, and takes them again at the next step, page by
    page: a quarter of the time of a training step on a CPU.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    # M_MMAP_THRESHOLD; where none is taken, the others would only switch glibc's own rule off
    if mallopt(-3, 1 << 30) or mallopt(-3, 1 << 25):
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
        mallopt(-2, 1 << 28)  # M_TOP_PAD


def give_back_memory() -> None:
    """Give what is free back to the system, after gigabytes were let go, where glibc is."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def memory_bytes() -> int:
    """Return the memory of the machine or container, 8 GB where the system does not tell."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return 8 << 30
    said = [*_limits("", "memory.max"), *_limits("memory", "memory.limit_in_bytes")]
    return min([found, *(int(limit) for limit in said if limit.isdecimal())])  # "max": none


def _limits(controller: str, name: str) -> Iterator[str]:
    """Yield what each control group of Linux that this process is in says, the innermost first.

    A container sees its own group as the root; a job of SLURM or systemd is somewhere below it.

    Args:
        controller: of version 1, as mounted ("memory", "cpu"); "" for version 2.
        name: of the file.
    """
    with suppress(OSError, ValueError):
        for line in _GROUPS.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controller in controllers.split(","):
                place = PurePosixPath(group.lstrip("/"))
                for inner in (place, *place.parents):
                    with suppress(OSError):
                        yield Path(_CONTROL_GROUPS, controller, inner, name).read_text().strip()


def costs_one_video(error: Exception) -> bool:
    """Return whether an error that one of many videos raised costs this video alone.

    A disk that refuses, and what a user has to mend, will meet every other one too: such an error
    is raised. All else is the video's own, also where nobody foresaw it, and is listed.

    >>> from twostream.types import UsageError
    >>> costs_one_video(ValueError()), costs_one_video(UsageError()), costs_one_video(OSError())
    (True, False, False)
    """
    if isinstance(error, StoreError):
        return not isinstance(error.__cause__, OSError)
    return isinstance(error, VideoError) or not isinstance(error, TwoStreamError | OSError)


def sentence(error: Exception, video: object = None) -> str:
    """Return what is said of an error, also of one that nobody foresaw.

    Args:
        error: ours say themselves which video they are of.
        video: named in front of all others; None: it is named elsewhere.

    >>> from twostream.types import UsageError
    >>> sentence(UsageError("no --out"), "a.mp4"), sentence(MemoryError(), "a.mp4")
    ('no --out', 'a.mp4: it needs more memory than there is')
    >>> sentence(ValueError("5"))
    'an unexpected ValueError (5): please report it, with this video if you can'
    """
    if isinstance(error, TwoStreamError):
        return str(error)
    said = (
        "it needs more memory than there is"
        if isinstance(error, MemoryError)
        else f"an unexpected {type(error).__name__} ({error}): please report it, with this video "
        "if you can"
    )
    return said if video is None else f"{video}: {said}"


def work_through(
    work: Callable[[Item], Result],
    items: Mapping[str, Item],
    *,
    stop: threading.Event,
    failures: tuple[type[Exception], ...] = (),
    reason: Callable[[Exception], str] = sentence,
    tell: Callable[[int], object],
    workers: int | None = None,
) -> tuple[dict[str, Result], dict[str, str]]:
    """Work on items in threads; a bad one is listed and never stops the others.

    Args:
        work: ends soon, by an exception, once ``stop`` is set.
        items: by name, begun in this order.
        stop: set when it ends early, by an error or an interruption.
        failures: what ends the item that raises it, beside what ``costs_one_video``; all else is
            raised here, and so is a disk that refuses (a StoreError caused by an OSError), as it
            will for every other item.
        reason: what is listed of a failure.
        tell: called in this thread, several times a second, with the number of items that ended.
        workers: number of threads; None uses every core.

    Returns:
        Results and the reasons of what failed, by name; the latter sorted.
    """
    results: dict[str, Result] = {}
    failed: dict[str, str] = {}
    threads = workers or num_cores()
    pool = ThreadPool(threads, thread_name_prefix="videos")
    following, waiting = iter(items.items()), dict[Future[Result], str]()
    try:
        while True:
            for name, item in islice(following, WAITING * threads - len(waiting)):
                waiting[pool.submit(work, item)] = name
            if not waiting:
                break
            ended, _ = wait(waiting, TICK_SECONDS, FIRST_COMPLETED)
            for future in ended:
                name = waiting.pop(future)
                try:
                    results[name] = future.result()
                except StoppedError:
                    raise
                except Exception as error:
                    refused = isinstance(error, StoreError) and not costs_one_video(error)
                    if refused or not (costs_one_video(error) or isinstance(error, failures)):
                        raise
                    logger.debug("%s failed", name, exc_info=True)
                    failed[name] = reason(error)
            tell(len(results) + len(failed))
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return results, dict(sorted(failed.items()))


def ask_disk(
    ask: Callable[[str], Result],
    names: Sequence[str],
    *,
    tell: Callable[[int], object] | None = None,
) -> dict[str, Result]:
    """Return what a disk says of each name, many asked at once: a shared one takes its time.

    Args:
        ask: of one name; what it raises is raised here.
        names: all different.
        tell: called in this thread with how many are answered, where a second may pass.
    """
    by_one = min(ASKED_BY_ONE, -(-len(names) // ASKED_AT_ONCE)) or 1
    parts = [names[i : i + by_one] for i in range(0, len(names), by_one)]
    found = dict[str, Result]()
    with ThreadPool(ASKED_AT_ONCE, thread_name_prefix="disk") as pool:
        for part in pool.map(lambda part: {name: ask(name) for name in part}, parts):
            found |= part
            if tell and len(names) > ASKED_BY_ONE * ASKED_AT_ONCE:
                tell(len(found))
    return found


def ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Yield the items of an iterable that is iterated in a thread, at most ``depth`` ahead.

    Beside them one is in the making. What it raises is raised here. The thread has ended when the
    generator ends, is closed, or is left by an exception: use it in ``contextlib.closing``.

    >>> list(ahead(range(3), depth=1))
    [0, 1, 2]
    """
    iterator = iter(items)
    end: Any = object()
    pool = ThreadPool(1, thread_name_prefix="twostream ahead")
    try:
        waiting = deque(pool.submit(next, iterator, end) for _ in range(depth + 1))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, iterator, end))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


def num_cores() -> int:
    """Return how many cores this process may use, a container's share of them rounded up."""
    shares = [said.split() for said in _limits("", "cpu.max")]  # microseconds in so many
    quotas, periods = (_limits("cpu", f"cpu.cfs_{each}_us") for each in ("quota", "period"))
    shares += [[quota, period] for quota, period in zip(quotas, periods, strict=False)]
    limited = [-(-int(quota) // int(period)) for quota, period in shares if quota.isdecimal()]
    return max(1, min([_cores(), *limited]))  # "max" and -1 are no limit


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_threads() -> int:
    """Return how many threads the work on one video may use: every core, unless OMP_NUM_THREADS.

    Whoever runs several processes beside each other sets it, as for torch and OpenCV.
    """
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) else num_cores()


def keep_to_share() -> None:
    """Give torch no more threads than a container has cores; before torch is loaded.

    It sees the cores of the machine: 64 threads on a share of two wait for each other.
    """
    if num_cores() < _cores() and "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = os.environ[_SHARE] = str(num_cores())


def threads_were_given() -> bool:
    """Tell whether a user set OMP_NUM_THREADS, and not ``keep_to_share``."""
    limit = os.environ.get("OMP_NUM_THREADS")
    return limit is not None and limit != os.environ.get(_SHARE)
