"""Work on many items: what ends one item, what ends all, and that leaving early ends the rest."""

from __future__ import annotations

import threading

import pytest

from twostream.threads import work_through
from twostream.types import DataError, StoreError, VideoError


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


@pytest.mark.parametrize("disk", [False, True])
def test_a_disk_that_refuses_and_what_is_no_failure_of_an_item_end_all(disk: bool) -> None:
    stop = threading.Event()
    waiting = threading.Event()

    def work(number: int) -> None:
        if number:
            waiting.set()
            stop.wait(60)  # ends once the other has failed
            return
        waiting.wait(60)
        if disk:
            raise StoreError("no space left on the disk") from OSError(28, "no space")
        raise ValueError("our own mistake")

    with pytest.raises(StoreError if disk else ValueError):
        work_through(
            work,
            {"bad": 0, "long": 1, "never": 2},
            stop=stop,
            failures=(StoreError,),
            tell=lambda ended: None,
            workers=2,
        )
    assert stop.is_set()


def test_an_interruption_stops_the_workers() -> None:
    stop = threading.Event()

    def interrupt(ended: int) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        work_through(lambda _: stop.wait(60), {"a": 0, "b": 1}, stop=stop, tell=interrupt)
    assert threading.active_count() == before
