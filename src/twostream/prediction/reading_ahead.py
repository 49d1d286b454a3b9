"""Work ahead: an iterator runs in a thread of its own while its items are used."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from typing import TypeVar

Item = TypeVar("Item")
_LOOK_SECONDS = 0.1  # how soon a thread that waits sees that it is not wanted any more


def ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Yield the items of an iterable that is iterated in a thread, at most ``depth`` ahead.

    What it raises is raised here. The thread has ended when the generator ends, is closed, or is
    left by an exception: use it in ``contextlib.closing``.

    >>> list(ahead(range(3), depth=1))
    [0, 1, 2]
    """
    waiting: Queue[Item] = Queue(depth)
    unwanted = threading.Event()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            for item in items:
                while not unwanted.is_set():
                    try:
                        waiting.put(item, timeout=_LOOK_SECONDS)
                        break
                    except Full:
                        continue
                if unwanted.is_set():
                    return
        except BaseException as error:  # noqa: BLE001
            failure.append(error)  # raised in the thread that waits

    thread = threading.Thread(target=work, name="twostream ahead", daemon=True)
    thread.start()
    try:
        while thread.is_alive() or not waiting.empty():
            try:
                item = waiting.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue
            yield item
        if failure:
            raise failure[0]
    finally:
        unwanted.set()
        thread.join()
