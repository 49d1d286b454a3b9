"""Videos that visitors send: on disk only while they are needed, never under their own name."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from twostream.types import VIDEO_SUFFIXES
from twostream.web.limits import Limits, RefusedError

_NAME_CHARACTERS = 80
IDLE_SECONDS = 15.0  # without a byte, and before the rate is looked at
LEAST_RATE = 8_000  # bytes a second, of the slowest telephone
MOST_ARRIVING, MOST_FROM_ONE = 256, 32  # files on their way, of all and of one client


class Uploads:
    """The folder of what was sent, each file for as long as its request: nobody can name another's.

    Files that arrive take no place from those that are worked on: who sends three bytes and waits
    keeps nobody from anything. One client's take at most half of the disk that is for all.

    Args:
        folder: an empty folder that nothing else uses.
        limits: of size and number.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.limits = limits
        self._places = threading.Semaphore(limits.max_videos)
        self._arriving: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place among the videos that arrive, wait or are worked on.

        Raises:
            RefusedError: there is none.
        """
        if not self._places.acquire(blocking=False):
            raise RefusedError("too many videos wait: try again in a minute", 503)
        try:
            yield
        finally:
            self._places.release()

    @asynccontextmanager
    async def received(
        self, chunks: AsyncIterator[bytes], name: str, client: str = ""
    ) -> AsyncIterator[Path]:
        """Write a file as it arrives and give it; it is removed afterwards, whatever happens.

        Args:
            chunks: the file.
            name: as the visitor calls it; only a known suffix is taken from it.
            client: the visitor's address.

        Raises:
            RefusedError: empty, too large or too slow, or there is no place.
        """
        suffix = Path(name).suffix.lower()
        suffix = suffix if suffix in VIDEO_SUFFIXES else ".video"
        path = self.folder / (secrets.token_hex(16) + suffix)
        with self.place():
            pass  # refused before it is sent, where there is none
        try:
            with self._arrival(client):
                await self._write(path, chunks, client)
            with self.place():
                yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _arrival(self, client: str) -> Iterator[None]:
        """Count a file that is on its way; raises RefusedError where there are too many."""
        if self._arriving[client] >= MOST_FROM_ONE or self._arriving.total() >= MOST_ARRIVING:
            raise RefusedError("too many videos are being sent: try again in a minute", 503)
        self._arriving[client] += 1
        try:
            yield
        finally:
            self._arriving[client] -= 1
            if not self._arriving[client]:
                del self._arriving[client]

    async def _write(self, path: Path, chunks: AsyncIterator[bytes], client: str) -> None:
        size, began = 0, time.monotonic()
        whole = began + 4 * self.limits.time_limit
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(0) as limit:
                limit.reschedule(loop.time() + min(IDLE_SECONDS, whole - time.monotonic()))
                with path.open("xb") as file:
                    async for chunk in chunks:
                        size += len(chunk)
                        self._bytes[client] += len(chunk)
                        self._check(size, client)
                        file.write(chunk)
                        now = time.monotonic()
                        if now - began > IDLE_SECONDS and size < LEAST_RATE * (now - began):
                            raise TimeoutError
                        limit.reschedule(loop.time() + min(IDLE_SECONDS, whole - now))
        except TimeoutError as error:
            raise RefusedError("the file came too slowly: send a smaller one", 408) from error
        finally:
            self._bytes[client] -= size
            if not self._bytes[client]:
                del self._bytes[client]
        if not size:
            raise RefusedError("the file is empty", 422)

    def _check(self, size: int, client: str) -> None:
        """Refuse a file that is too large, or one too many for the disk."""
        self.limits.check_bytes(size)
        most = self.limits.max_mb * 1e6 * self.limits.max_videos
        if self._bytes.total() > most or self._bytes[client] > max(most / 2, size):
            raise RefusedError("too many videos are being sent: try again in a minute", 503)


def shown_name(name: object) -> str:
    """Return a visitor's file name for people: without folders and control characters, not long.

    >>> shown_name("../../etc/pass\\nwd"), shown_name(None)
    ('pass wd', 'video')
    """
    last = re.split(r"[/\\]", name)[-1] if isinstance(name, str) else ""
    return (
        "".join(c if c.isprintable() else " " for c in last).strip()[:_NAME_CHARACTERS] or "video"
    )
