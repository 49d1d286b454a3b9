"""Many items: what ends one, what ends all, and that leaving early ends the rest; working ahead."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from twostream import threads
from twostream.threads import WAITING, ThreadPool, ahead, work_through
from twostream.types import DataError, StoreError, UsageError, VideoError
from untrained import own_threads


def test_bad_items_are_listed_and_the_others_go_on() -> None:
    def work(number: int) -> int:
        if number == 1:
            raise DataError("odd")
        if number == 2:
            raise VideoError("clip.avi", "broke")
        return number * number

    told: list[int] = []
    stop = threading.Event()
    results, failed = work_through(
        work,
        {"z": 2, "b": 1, "a": 0, "c": 3},
        stop=stop,
        failures=(DataError, VideoError),
        reason=lambda error: error.cause if isinstance(error, VideoError) else str(error),
        tell=told.append,
    )
    assert results == {"a": 0, "c": 9}
    assert list(failed.items()) == [("b", "odd"), ("z", "broke")]
    assert told[-1] == 4 and told == sorted(told)


@pytest.mark.parametrize("kind", [StoreError, UsageError, OSError])
def test_a_disk_that_refuses_and_what_meets_every_item_end_all(kind: type[Exception]) -> None:
    stop = threading.Event()
    waiting = threading.Event()

    def work(number: int) -> None:
        if number:
            waiting.set()
            stop.wait(60)  # ends once the other has failed
            return
        waiting.wait(60)
        raise kind("no space left on the disk") from OSError(28, "no space")

    with pytest.raises(kind):
        work_through(
            work,
            {"bad": 0, "long": 1, "never": 2},
            stop=stop,
            failures=(StoreError,),
            tell=lambda ended: None,
            workers=2,
        )
    assert stop.is_set()


def test_what_nobody_foresaw_costs_its_item() -> None:
    results, failed = work_through(
        lambda number: 1 / number,
        {"a": 0.0, "b": 2.0},
        stop=threading.Event(),
        tell=lambda ended: None,
    )
    assert results == {"b": 0.5}
    assert "an unexpected ZeroDivisionError (" in failed["a"]


def test_a_million_items_do_not_wait_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    submit, begun, submitted = ThreadPool.submit, threading.Event(), []

    def counted(pool: ThreadPool, *given: object) -> object:
        submitted.append(given)
        return submit(pool, *given)

    monkeypatch.setattr(ThreadPool, "submit", counted)
    seen: list[int] = []

    def tell(ended: int) -> None:
        seen.append(len(submitted) - ended)
        begun.set()

    results, _ = work_through(
        lambda number: (begun.wait(60), number)[1],
        {str(number): number for number in range(1000)},
        stop=threading.Event(),
        tell=tell,
        workers=2,
    )
    assert results == {str(number): number for number in range(1000)}
    assert max(seen) <= 2 * WAITING < 1000


def test_an_interruption_stops_the_workers() -> None:
    stop = threading.Event()

    def interrupt(ended: int) -> None:
        raise KeyboardInterrupt

    before = threading.enumerate()  # those of tests before may end meanwhile
    with pytest.raises(KeyboardInterrupt):
        work_through(lambda _: stop.wait(60), {"a": 0, "b": 1}, stop=stop, tell=interrupt)
    assert set(threading.enumerate()) <= set(before)


def test_working_ahead_keeps_order_and_stays_within_its_depth() -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for i in range(20):
            taken.append(i)
            yield i

    with closing(ahead(numbers(), depth=2)) as items:
        assert next(items) == 0
        for i in range(1, 20):
            assert next(items) == i
            assert len(taken) <= i + 5  # two wait, one is in hand, one in the making
        assert list(items) == []


def test_what_fails_ahead_fails_here_after_what_was_good() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise VideoError("clip", "broke")

    items = ahead(numbers(), depth=3)
    assert next(items) == 1
    with pytest.raises(VideoError, match="broke"):
        next(items)


def test_leaving_early_ends_the_thread() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    with closing(ahead(endless(), depth=1)) as items:
        next(items)
        assert own_threads() == 1
    assert own_threads() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
class TestAStop:
    """None of a pool's threads goes on, wherever it comes: what they use is closed next."""

    def test_while_a_thread_starts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        start = threading.Thread.start

        def stopped_start(thread: threading.Thread) -> None:
            start(thread)
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(threading.Thread, "start", stopped_start)
        self._stopped(ahead(self._slow(), depth=1))

    def test_while_they_are_waited_for(self) -> None:
        """The second Ctrl-C of who is in a hurry."""

        def stopping() -> Iterator[int]:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)
            yield 0

        self._stopped(ahead(stopping(), depth=1))

    def test_while_one_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a disk that does not answer, say: a stop that comes later leaves it behind."""
        monkeypatch.setattr("twostream.threads.PATIENCE_SECONDS", 0.1)
        answers, ended = threading.Event(), threading.Event()

        def hang() -> None:
            for _ in range(1000):
                if pool._shutdown:
                    break
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)  # it is put off
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGINT)
            answers.wait(20)
            ended.set()

        with pytest.raises(KeyboardInterrupt), ThreadPool(1) as pool:
            pool.submit(hang)
            signal.raise_signal(signal.SIGINT)
        assert not ended.is_set()
        answers.set()

    def test_while_items_wait(self) -> None:
        """They are not begun."""
        begun = threading.Semaphore(0)
        with pytest.raises(KeyboardInterrupt), ThreadPool(1) as pool:
            items = [pool.submit(begun.release), *(pool.submit(time.sleep, 0.1) for _ in range(99))]
            begun.acquire()
            signal.raise_signal(signal.SIGINT)
        assert sum(item.cancelled() for item in items) > 90

    def _slow(self) -> Iterator[int]:
        for item in range(10):
            time.sleep(0.5)
            yield item

    def _stopped(self, items: Generator[int, None, None]) -> None:
        with pytest.raises(KeyboardInterrupt), closing(items):
            next(items)
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if name.startswith("twostream ahead")]


@pytest.mark.parametrize(
    ("groups", "files", "cores", "memory"),
    [
        ("0::/", {"cpu.max": "250000 100000", "memory.max": "4096"}, 3, 4096),
        ("0::/job/step", {"job/cpu.max": "100000 100000", "job/step/cpu.max": "max 100000"}, 1, 0),
        ("0::/", {"cpu.max": "max 100000", "memory.max": "max"}, 8, 0),
        ("0::/", {"cpu.max": "9900000 100000"}, 8, 0),
        (
            "4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n0::/",
            {
                "cpu/cpu.cfs_quota_us": "50000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "8192",
            },
            1,
            8192,
        ),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, 0),
        ("nonsense", {"cpu.max": "1 1"}, 8, 0),
    ],
)
def test_a_container_has_the_cores_and_the_memory_of_its_share(
    groups: str,
    files: dict[str, str],
    cores: int,
    memory: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Control groups of Linux, versions 1 and 2; a job's is below the root, a container's is it."""
    (tmp_path / "groups").write_text(groups + "\n")
    for name, said in files.items():
        file = tmp_path / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(said + "\n")
    monkeypatch.setattr(threads, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(threads, "_CONTROL_GROUPS", tmp_path / "sys")
    monkeypatch.setattr(threads, "_cores", lambda: 8)
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert (threads.num_cores(), threads.memory_bytes()) == (cores, memory or whole)

    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("TWOSTREAM_SHARE", "")
    threads.keep_to_share()
    assert os.environ.get("OMP_NUM_THREADS") == (str(cores) if cores < 8 else None)
    assert not threads.threads_were_given()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    threads.keep_to_share()
    assert threads.num_threads() == 7 and threads.threads_were_given()


def test_a_disk_is_asked_by_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared one may take a millisecond for each name: a million are not asked in turn."""
    together = threading.Barrier(threads.ASKED_AT_ONCE)
    told: list[int] = []

    def size(name: str) -> int:
        together.wait(30)  # no thread comes by before all four have asked
        return (tmp_path / name).stat().st_size

    found = {f"v{i}": i for i in range(2 * threads.ASKED_AT_ONCE)}
    for name, count in found.items():
        (tmp_path / name).write_bytes(b"x" * count)
    assert threads.ask_disk(size, list(found), tell=told.append) == found and not told
    together.reset()
    monkeypatch.setattr(threads, "ASKED_BY_ONE", 1)  # so many would take a second
    assert threads.ask_disk(size, list(found), tell=told.append) == found
    assert told == list(range(1, len(found) + 1))
    together.reset()
    with pytest.raises(FileNotFoundError):
        threads.ask_disk(lambda name: (tmp_path / name).stat().st_size, ["v1", "gone"])
    assert threads.ask_disk(size, []) == {}
