"""Work that a Ray cluster does: one that is there, or one that is begun on this machine.

Ray starts the processes, finds a free core for each item, and notices what dies. What stands here
is how much of it is asked at once, what a death costs, and what is said. Items and results are
small: paths, settings and counts; all else lies on a disk that all nodes share.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import socket
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from twostream import stopping
from twostream.threads import costs_one_video, num_cores, sentence
from twostream.types import RunError, UsageError

logger = logging.getLogger(__name__)

LOCAL = "local"
TICK_SECONDS = 0.25
DEATHS = 2  # of processes over one item, after which it has failed
LOST_NODES = 5  # under one item, likewise: it may be what ends them
AHEAD = 2  # items that are asked for at once, for each core: none waits for the head
KNOCK_SECONDS = 10.0  # at an address, where Ray itself would try for minutes
STORE_BYTES = 80 << 20  # Ray's least; nothing but paths and counts goes through it
GPU_SHARE = 0.25  # of one, where processes decode beside

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ended(Generic[Result]):
    """An item that has ended: what came of it, or why it failed."""

    name: str
    result: Result | None = None
    failed: str | None = None


@dataclass(slots=True)
class _Answer:
    """What a process says of an item; ``said`` is what was logged meanwhile."""

    result: Any = None
    error: Exception | None = None
    costs_one: bool = False
    said: list[tuple[str, int, str]] = field(default_factory=list)


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Be in a cluster during the block; in the one that this process is in, if it is in one.

    Args:
        address: "local" begins one on this machine, a process a core, which ends with the block;
            else of one that is there: "auto" (this machine is a node of it), "host:6379",
            "ray://host:10001".

    Raises:
        UsageError: Ray is missing, or no cluster answers there.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--cluster needs Ray: pip install 'twostream[cluster]' here and on every node"
        ) from error
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # else the head keeps what it hears of each task
    os.environ.setdefault("RAY_task_events_report_interval_ms", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    folder = None
    try:
        if address == LOCAL:
            # short: the names of sockets in it may have 107 bytes
            folder = tempfile.mkdtemp(prefix="ray", dir=None if os.name == "nt" else "/tmp")
            quiet |= {
                "num_cpus": num_cores(),
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": folder,
            }
        else:
            _knock(address)
            quiet |= {"address": address}
        _join(address, quiet)
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _join(address: str, options: dict[str, Any]) -> None:
    import ray
    from ray._private import worker

    try:
        with stopping.handlers_kept():  # Ray answers SIGTERM in a way of its own
            ray.init(**options)
    except Exception as error:  # a bare one where a node does not start in time
        at = "on this machine" if address == LOCAL else f"at {address}"
        raise UsageError(f"no Ray cluster can be used {at}: {error}") from error
    # it would print each death among the results, which are told here in our own words
    worker._worker_logs_enabled = False


def _knock(address: str) -> None:
    """Raise a UsageError where nobody listens at an address."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        if address != "auto":
            raise UsageError(
                "--cluster is local, auto, or the address of a Ray cluster, as host:6379 or "
                f"ray://host:10001; got {address}"
            )
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address} ({error}): start it (ray start --head), or use "
            "--cluster local"
        ) from error


def spread(
    work: Callable[[Item], Result],
    items: Iterable[tuple[str, Item]],
    *,
    gpus: float = 0.0,
    died: Callable[[str], str | None] | None = None,
    reason: Callable[[Exception, str], str] = sentence,
) -> Generator[list[Ended[Result]], None, None]:
    """Do items on the cluster that is joined; a bad one is given back and never stops the others.

    Use it in ``contextlib.closing``: what has begun ends at once when the generator is closed.

    Args:
        work: importable on every node, or a ``partial`` of such a function; it runs on one core in
            the folder that this process is in, and may leave what it needs again in its process.
        items: names and what ``work`` is given; iterated only so far as is begun.
        gpus: how many each needs beside its core: ``GPU_SHARE``, say.
        died: called with an item over which a process ended; returns why it has failed, or None to
            try it again, when all others are done. None: it fails by ``DEATHS``.
        reason: what is told of an error that costs its item alone, by that and its name.

    Yields:
        What has ended, in no order; an empty list where a moment passes without an end.

    Raises:
        What an item raised that will meet every other one too; UsageError or RunError of the
        cluster.
    """
    import ray

    # max_retries: who died of what is counted here; max_calls: Ray ends processes on a GPU by it
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0, max_calls=0)(_do)
    asking = os.getcwd(), version("twostream")
    queue = _Queue(iter(items), died)
    begun: dict[Any, tuple[str, Item]] = {}
    told = False
    try:
        while True:
            cores = _cores(gpus)
            if not cores and not told:
                told = True
                logger.warning(f"no node of the cluster has a {'GPU' if gpus else 'core'}: waiting")
            while len(begun) < AHEAD * max(1, cores) and (following := queue.next()) is not None:
                begun[task.remote(work, following[1], *asking)] = following
            if not begun:
                return
            ray.wait(list(begun), num_returns=1, timeout=TICK_SECONDS)
            stopping.check()
            over, _ = ray.wait(list(begun), num_returns=len(begun), timeout=0)
            ended = [_ended(ref, begun.pop(ref), queue, reason) for ref in over]
            yield [each for each in ended if each is not None]
    finally:
        for ref in begun:
            with suppress(Exception):
                ray.cancel(ref, force=True)


class _Queue(Generic[Item]):
    """Items that have not begun: as they come, then those over which a process ended."""

    def __init__(
        self, items: Iterator[tuple[str, Item]], died: Callable[[str], str | None] | None
    ) -> None:
        self._items = items
        self._died = died or self._fails_in_the_end
        self._deaths = Counter[str]()
        self._lost = Counter[str]()
        self._at_once = deque[tuple[str, Item]]()
        self._last = deque[tuple[str, Item]]()

    def next(self) -> tuple[str, Item] | None:
        if self._at_once:
            return self._at_once.popleft()
        following = next(self._items, None)
        if following is None and self._last:
            return self._last.popleft()
        return following

    def process_died(self, item: tuple[str, Item], memory: bool) -> Ended[Any] | None:
        why = self._died(item[0])
        if why is not None:
            return Ended(item[0], failed=why)
        how = "ran out of memory" if memory else "ended"
        logger.warning(f"{item[0]} comes last: a process {how} while it was at work on it")
        self._last.append(item)
        return None

    def _fails_in_the_end(self, name: str) -> str | None:
        """Return why an item has failed over which a process ended once more; None: not yet."""
        self._deaths[name] += 1
        if self._deaths[name] < DEATHS:
            return None
        return f"the process was killed or crashed {DEATHS} times over it"

    def node_lost(self, item: tuple[str, Item]) -> Ended[Any] | None:
        name = item[0]
        self._lost[name] += 1
        if self._lost[name] >= LOST_NODES:
            return Ended(name, failed=f"{LOST_NODES} nodes were lost while they were at work on it")
        logger.warning(f"{name} is begun again: the node that was at work on it was lost")
        self._at_once.append(item)
        return None


def _cores(gpus: float) -> int:
    """Return how many items the cluster can work on at once; nodes come and go."""
    import ray

    there = ray.cluster_resources()
    cores = int(there.get("CPU", 0))
    if gpus:
        cores = min(cores, int(there.get("GPU", 0) / gpus))
    return cores


def _ended(
    ref: Any, item: tuple[str, Item], queue: _Queue[Item], reason: Callable[[Exception, str], str]
) -> Ended[Any] | None:
    """Return what became of an item; None where it is tried again."""
    import ray
    from ray import exceptions

    try:
        answer: _Answer = ray.get(ref)
    except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
        return queue.process_died(item, isinstance(error, exceptions.OutOfMemoryError))
    except (exceptions.NodeDiedError, exceptions.ObjectLostError):
        return queue.node_lost(item)
    except exceptions.RayTaskError as error:  # ours are in the answer: it has not come so far
        raise RunError(
            "a node cannot run twostream: install the same version on every node, with "
            f"pip install 'twostream[cluster]' ({str(error.cause).splitlines()[-1]})"
        ) from error
    except exceptions.RayError as error:
        stopping.check()  # what ends by a stop may be told as an error
        raise RunError(f"the Ray cluster failed: {error}; the same command goes on") from error
    for name, level, text in answer.said:
        logging.getLogger(name).log(level, text)
    if answer.error is None:
        return Ended(item[0], answer.result)
    if answer.costs_one:
        return Ended(item[0], failed=reason(answer.error, item[0]))
    raise answer.error


def _do(work: Callable[[Any], Any], item: Any, folder: str, asking: str) -> _Answer:
    """Do one item in a process of the cluster, in the folder and version of who asks."""
    answer = _Answer()
    heard = _Heard(answer.said)
    ours = logging.getLogger("twostream")
    ours.setLevel(logging.INFO)
    ours.propagate = False
    ours.addHandler(heard)
    try:
        if (here := version("twostream")) != asking:
            raise UsageError(
                f"the node {socket.gethostname()} has twostream {here} and this machine "
                f"{asking}: install the same version on both"
            )
        with suppress(OSError):  # paths that then mean nothing are told by ``check_seen``
            os.chdir(folder)
        answer.result = work(item)
    except Exception as error:  # noqa: BLE001  the head answers to it
        answer.error, answer.costs_one = _portable(error), costs_one_video(error)
    finally:
        ours.removeHandler(heard)
    return answer


def _portable(error: Exception) -> Exception:
    """Return an error as it can be sent, or one that says the same."""
    with suppress(Exception):
        pickle.loads(pickle.dumps(error))
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


class _Heard(logging.Handler):
    """Keeps what is logged, to be told where a user reads it."""

    def __init__(self, said: list[tuple[str, int, str]]) -> None:
        super().__init__(logging.INFO)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._said.append((record.name, record.levelno, record.getMessage()))


def check_seen(*paths: Path) -> None:
    """Raise a UsageError where a node does not see what the machine that asks sees."""
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(
                f"the node {socket.gethostname()} does not see {path}: all nodes need the same "
                "disk, under the same path"
            )
