"""Videos that visitors send: on disk only while they are needed, never under their own name."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from twostream.types import VIDEO_SUFFIXES
from twostream.web.limits import Limits, RefusedError

_TOKEN = re.compile(r"[0-9a-f]{32}")
_NAME_CHARACTERS = 80
_BUSY = float("inf")  # the age of a file that arrives, or that is worked on


class Uploads:
    """The folder of what was sent. Visitors know tokens only: no path comes in or goes out.

    Args:
        folder: an empty folder that nothing else uses.
        limits: of size and number.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.limits = limits
        self._known: dict[str, tuple[Path, float]] = {}
        self._lock = threading.Lock()

    async def receive(self, chunks: AsyncIterator[bytes], name: str) -> str:
        """Write a file as it arrives and return its token; what is over the limit is removed.

        Args:
            chunks: the file.
            name: as the visitor calls it; only a known suffix is taken from it.

        Raises:
            RefusedError: empty, too large or too slow, or too many files wait.
        """
        suffix = Path(name).suffix.lower()
        token = secrets.token_hex(16)
        path = self.folder / (token + (suffix if suffix in VIDEO_SUFFIXES else ".video"))
        with self._lock:
            if len(self._known) >= self.limits.max_files:
                raise RefusedError("too many videos wait: try again in a minute", 503)
            self._known[token] = (path, _BUSY)
        size = 0
        try:
            async with asyncio.timeout(self.limits.stale_seconds):
                with path.open("xb") as file:
                    async for chunk in chunks:
                        size += len(chunk)
                        self.limits.check_bytes(size)
                        file.write(chunk)
            if not size:
                raise RefusedError("the file is empty", 422)
            with self._lock:
                self._known[token] = (path, time.monotonic())
        except TimeoutError as error:
            self._remove(token)
            raise RefusedError("the file came too slowly: send a smaller one", 408) from error
        except BaseException:  # a visitor who goes away too
            self._remove(token)
            raise
        return token

    @contextmanager
    def taken(self, token: object) -> Iterator[Path]:
        """Give the file of a token, once; it is removed afterwards, whatever happens.

        Raises:
            RefusedError: there is no such file any more.
        """
        known = None
        if isinstance(token, str) and _TOKEN.fullmatch(token):
            with self._lock:
                known = self._known.get(token)
                if known is not None:  # nobody else may take it, and it may not grow old
                    self._known[token] = (known[0], _BUSY)
        if known is None or known[1] == _BUSY:
            raise RefusedError("this video is not here any more: send it again", 410)
        try:
            yield known[0]
        finally:
            self._remove(token)  # type: ignore[arg-type]

    def sweep(self, older_than_seconds: float) -> None:
        """Remove what nobody asked for in so many seconds."""
        oldest = time.monotonic() - older_than_seconds
        with self._lock:
            stale = [token for token, (_, since) in self._known.items() if since < oldest]
        for token in stale:
            self._remove(token)

    def _remove(self, token: str) -> None:
        with self._lock:
            path, _ = self._known.pop(token, (None, 0.0))
        if path is not None:
            path.unlink(missing_ok=True)


def shown_name(name: object) -> str:
    """Return a visitor's file name for people: without folders and control characters, not long.

    >>> shown_name("../../etc/pass\\nwd"), shown_name(None)
    ('pass wd', 'video')
    """
    last = re.split(r"[/\\]", name)[-1] if isinstance(name, str) else ""
    return (
        "".join(c if c.isprintable() else " " for c in last).strip()[:_NAME_CHARACTERS] or "video"
    )
