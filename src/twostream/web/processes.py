"""Processes beside the server: what ends one, or hangs in it, costs one question and no more."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from twostream.types import TwoStreamError, VideoError
from twostream.web.limits import Deadline, RefusedError

SPAWN = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
LOOK_SECONDS = 0.1  # how often a process's time, and memory, is looked at
NICE = 5  # of what is done in the background

Say = Callable[..., None]


class EndedError(Exception):
    """A process has ended, or was ended, before it answered."""


class Helper:
    """A process that answers one question after the other, in JSON and bytes: nothing unpickled.

    Args:
        work: what it runs; takes a ``Connection``, then ``args``.
        args: for it.
        children: whether it starts processes of its own, as loaders do.
    """

    def __init__(self, work: Callable[..., None], *args: Any, children: bool = False) -> None:
        self._connection, theirs = SPAWN.Pipe()
        # a daemon is ended by Python, should the server forget to, but may have no children
        self.process = SPAWN.Process(target=work, args=(theirs, *args), daemon=not children)
        self.process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.process.is_alive()

    @property
    def bytes_in_memory(self) -> int:
        """How much memory it takes; 0 where the system does not say: Linux does."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
            return int(pages) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def ask(self, question: Any) -> None:
        """Send a question; raises EndedError where nobody is there."""
        with _or_ended():
            self._connection.send(question)

    def hear(
        self, deadline: Deadline | None = None, most_mb: float | None = None
    ) -> dict[str, Any]:
        """Wait for what it says next.

        Args:
            deadline: until when; None: as long as it takes.
            most_mb: of memory that it may take; None: any.

        Raises:
            EndedError: it has ended.
            RefusedError: the time is over, or it takes too much memory.
        """
        with _or_ended():
            heard = False
            while not heard:
                if deadline is not None:
                    deadline.check()
                if most_mb is not None and self.bytes_in_memory > most_mb * 1e6:
                    raise RefusedError(
                        f"decoding it takes more than {most_mb:g} MB of memory: shrink its frames",
                        422,
                    )
                heard = self._connection.poll(LOOK_SECONDS)
        said: dict[str, Any] = json.loads(self.bytes())
        return said

    def bytes(self) -> bytes:
        """Return the bytes that it sends next; raises EndedError."""
        with _or_ended():
            return self._connection.recv_bytes()

    def value(self) -> Any:
        """Return what it sends next, unpickled: of a process that no stranger's file gets into.

        Raises:
            EndedError: it has ended.
        """
        with _or_ended():
            return self._connection.recv()

    def end(self) -> None:
        """End it where it stands."""
        self.process.kill()
        self.process.join()
        self._connection.close()


@contextmanager
def _or_ended() -> Iterator[None]:
    """Raise EndedError where nobody is at the other end."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise EndedError from error


@contextmanager
def helping(connection: Connection, *, nice: int = NICE) -> Iterator[Say]:
    """Prepare a process that helps the server, for as long as that lives; gives what tells it.

    Args:
        connection: to the server.
        nice: how far it stands back behind what people wait for.

    What fails in the block is told as ``{"error": why}``, or ``{"defect": traceback}``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's matter, who ends this
    threading.Thread(target=end_with_server, daemon=True).start()
    go_first()
    with suppress(OSError):
        os.nice(nice)

    def say(**what: Any) -> None:
        connection.send_bytes(json.dumps(what).encode())

    # a server that has ended is told nothing
    with suppress(EOFError, ConnectionError), failures_told(say):
        yield say


@contextmanager
def failures_told(say: Say) -> Iterator[None]:
    """Tell what fails in the block so that it can be raised again (``error_told``); go on then."""
    try:
        yield
    except RefusedError as error:
        say(error=str(error), http_status=error.http_status)
    except VideoError as error:
        say(error=str(error), cause=error.cause)
    except TwoStreamError as error:
        say(error=str(error))
    except (EOFError, ConnectionError):
        raise
    except Exception:  # noqa: BLE001  told to the server, whose log it belongs in
        say(defect=traceback.format_exc())


def error_told(said: Mapping[str, Any], video: Path) -> Exception:
    """Return the error that ``failures_told`` told of the work on a video."""
    if "http_status" in said:
        return RefusedError(said["error"], said["http_status"])
    if "cause" in said:
        return VideoError(video, said["cause"])
    return TwoStreamError(said["error"]) if "error" in said else RuntimeError(said["defect"])


class Notes(logging.Handler):
    """Passes on to the server what the rooms log.

    Args:
        say: tells it.
        level: below which nothing is told.
    """

    def __init__(self, say: Say, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one note."""
        self._say(note=record.getMessage())


def end_with_server() -> None:
    """End this process with its parent, however that ends, whatever is being done."""
    server = multiprocessing.parent_process()
    assert server is not None
    server.join()
    os._exit(1)


def go_first() -> None:
    """Let a system whose memory runs out end this process, not the server; no core is dumped."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold a visitor's video
