"""How a command is stopped: SIGTERM, of systemd, SLURM and docker stop, does what Ctrl-C does.

Both raise KeyboardInterrupt in the main thread, so that all that ends in order for the one ends in
order for the other. What a process is stopped by is kept, for its exit status: 128 and the signal's
number, as shells count it (130 by Ctrl-C, 143 by SIGTERM).
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

SIGNALS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []


def listen(*, over: bool = False) -> None:
    """Let SIGTERM and Ctrl-C interrupt this process; what it was told to ignore stays ignored.

    Args:
        over: whatever other handlers there are.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        handler = signal.getsignal(number)
        own = handler in (signal.SIG_DFL, signal.default_int_handler)
        if own or (over and handler is not signal.SIG_IGN):
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def exit_status() -> int:
    """Return the exit status of a process that was stopped."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def asked_for() -> bool:
    """Tell whether this process was told to stop."""
    return bool(_received)


def check() -> None:
    """Stop what goes on although it was told to stop.

    Python drops an exception that is raised while it frees an object, and with it a stop.

    Raises:
        KeyboardInterrupt: a signal came before.
    """
    if _received:
        raise KeyboardInterrupt


@contextmanager
def put_off(patience_seconds: float = math.inf) -> Iterator[None]:
    """Let a stop wait until the block has ended; processes that are forked in it ignore Ctrl-C.

    Args:
        patience_seconds: after the first stop; one that comes later ends the block, which hangs.
    """
    came: list[int] = []
    first = math.inf

    def wait(number: int, frame: FrameType | None) -> None:
        nonlocal first
        came.append(number)
        first = min(first, time.monotonic())
        if time.monotonic() - first > patience_seconds:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in before.items() if handler is not None}
    try:
        for number in before:
            signal.signal(number, wait)
        yield
    finally:
        try:
            _handle(before)
        except KeyboardInterrupt:  # it came between the two, and the other one must not be lost
            _handle(before)
            raise
        for number in came:
            signal.raise_signal(number)


def _handle(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Put back what answers a stop, where a library has put its own answer there in the block."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            _handle({number: each for number, each in before.items() if each is not None})


def end_at_once(status: int) -> None:
    """Let a stop end this process where it stands; for one that has nothing to leave in order."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: os._exit(status))


def end_with_parent(worker: int) -> None:
    """Prepare a loader's process: a stop is its parent's matter, who ends it.

    Ctrl-C in a terminal, and systemd and SLURM, reach all processes of a job at once. Were a worker
    to fail by it, its parent would take that for a defect before it knows of the stop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))


def leave(status: int) -> NoReturn:
    """End this process now, after all that is registered for the end, with just this status.

    Under ``python -m`` Python ends itself by SIGINT where a KeyboardInterrupt has once passed an
    ``exec`` of text, as dataclasses do while they are imported, whoever caught it.
    """
    with suppress(Exception):
        atexit._run_exitfuncs()
        sys.stdout.flush()
    os._exit(status)


def settled(status: int) -> None:
    """Let the exit status stand from here on, whatever comes while the process ends.

    Threads that hang are still left behind by a signal; the rest of the end takes no time.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    end_at_once(status)
    atexit.register(_ignore)


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
