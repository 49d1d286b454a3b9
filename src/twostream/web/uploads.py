"""Videos that visitors send: on disk only while they are needed, never under their own name."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from twostream.types import VIDEO_SUFFIXES
from twostream.web.limits import Limits, RefusedError

_NAME_CHARACTERS = 80


class Uploads:
    """The folder of what was sent, each file for as long as its request: nobody can name another's.

    Args:
        folder: an empty folder that nothing else uses.
        limits: of size and number.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.limits = limits
        self._places = threading.Semaphore(limits.max_videos)

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
    async def received(self, chunks: AsyncIterator[bytes], name: str) -> AsyncIterator[Path]:
        """Write a file as it arrives and give it; it is removed afterwards, whatever happens.

        Args:
            chunks: the file.
            name: as the visitor calls it; only a known suffix is taken from it.

        Raises:
            RefusedError: empty, too large or too slow, or there is no place.
        """
        suffix = Path(name).suffix.lower()
        suffix = suffix if suffix in VIDEO_SUFFIXES else ".video"
        path = self.folder / (secrets.token_hex(16) + suffix)
        with self.place():
            try:
                await self._write(path, chunks)
                yield path
            finally:
                path.unlink(missing_ok=True)

    async def _write(self, path: Path, chunks: AsyncIterator[bytes]) -> None:
        size = 0
        try:
            async with asyncio.timeout(4 * self.limits.time_limit):
                with path.open("xb") as file:
                    async for chunk in chunks:
                        size += len(chunk)
                        self.limits.check_bytes(size)
                        file.write(chunk)
        except TimeoutError as error:
            raise RefusedError("the file came too slowly: send a smaller one", 408) from error
        if not size:
            raise RefusedError("the file is empty", 422)


def shown_name(name: object) -> str:
    """Return a visitor's file name for people: without folders and control characters, not long.

    >>> shown_name("../../etc/pass\\nwd"), shown_name(None)
    ('pass wd', 'video')
    """
    last = re.split(r"[/\\]", name)[-1] if isinstance(name, str) else ""
    return (
        "".join(c if c.isprintable() else " " for c in last).strip()[:_NAME_CHARACTERS] or "video"
    )
