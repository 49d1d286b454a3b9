"""Connections that say nothing, read nothing, or are too many from one place are hung up on.

uvicorn waits for ever for a request's first lines, and for a client that does not read its answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

LOOK_SECONDS = 20.0  # in which a request must have come, and some of an answer must have been read
MOST_FROM_ONE = 64  # connections of one address
MOST = 400  # of all: a process may have 1024 files open


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol, one object a connection, with an end to its patience."""

    def connection_made(self, transport: Any) -> None:
        """Begin to watch a connection, or close it where there are too many."""
        super().connection_made(transport)
        self._peer = (transport.get_extra_info("peername") or ("",))[0]
        others = [each for each in self.connections if each is not self]
        same = sum(getattr(each, "_peer", None) == self._peer for each in others)
        if same >= MOST_FROM_ONE or len(others) >= MOST:
            transport.abort()
            return
        self._looked: tuple[Any, int] = (None, 0)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no longer."""
        look: asyncio.TimerHandle | None = getattr(self, "_look", None)
        if look is not None:
            look.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._look = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._see)

    def _see(self) -> None:
        """Close a connection on which nothing has happened since the last look."""
        if self.transport.is_closing():
            return
        waiting = self.transport.get_write_buffer_size()
        idle = self.cycle is None or self.cycle.response_complete
        before, self._looked = self._looked, (self.cycle, waiting)
        unread = waiting > 0 and before == self._looked
        if unread or (idle and before[0] is self.cycle):
            self.transport.abort()
            return
        self._look_again()
