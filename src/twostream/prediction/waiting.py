"""What waits between the threads of a live watch: a few items, of which the oldest give way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

LOOK_SECONDS = 0.1  # from one look at what waits to the next, where nothing comes

Item = TypeVar("Item")


class Waiting(Generic[Item]):
    """Items on their way from one thread to another; the oldest give way to new ones.

    Args:
        capacity: how many can wait, but for those that came at once.
        news: is set whenever something comes, for who waits for several such.

    Attributes:
        dropped: how many gave way.
    """

    def __init__(self, capacity: int, news: threading.Event | None = None) -> None:
        self.dropped = 0
        self._news = news or threading.Event()
        self._capacity = capacity
        self._is_behind = False  # something gave way to the last item that began a group
        self._items: deque[Item] = deque()
        self._kept: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: Item, *, keep: bool = False, joins: bool = False) -> None:
        """Add an item.

        Args:
            item: what waits now.
            keep: it never gives way, and comes before the others.
            joins: it came at once with the one before. Where that one found room, the other side
                keeps up, and none of them gives way to another.
        """
        with self._changed:
            if keep:
                self._kept.append(item)
            else:
                if not joins:
                    self._is_behind = len(self._items) >= self._capacity
                while len(self._items) >= self._capacity and (self._is_behind or not joins):
                    self._items.popleft()
                    self.dropped += 1
                self._items.append(item)
            self._changed.notify_all()
        self._news.set()

    def close(self, error: BaseException | None = None) -> None:
        """Let the other side end once it has taken what waits, by raising the error if any."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()
        self._news.set()

    def get(self, timeout: float) -> Item | None:
        """Return the next item, or None where none comes in time or it has ended."""
        with self._changed:
            if not (self._items or self._kept or self._closed):
                self._changed.wait(timeout)
            for items in (self._kept, self._items):
                if items:
                    return items.popleft()
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    @property
    def ended(self) -> bool:
        """Whether nothing waits and nothing comes any more."""
        with self._changed:
            return self._closed and not (self._items or self._kept or self._error)

    def __iter__(self) -> Iterator[Item]:
        while not self.ended:
            item = self.get(LOOK_SECONDS)
            if item is not None:
                yield item
