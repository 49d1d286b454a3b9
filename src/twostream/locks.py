"""A folder held by one process, or by some that share it, at a time."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from twostream.types import RunError, TwoStreamError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # the file in the folder that is locked
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
logger = logging.getLogger(__name__)


@contextmanager
def locked(
    folder: Path,
    wait: str,
    instead: str,
    *,
    make: bool = False,
    shared: bool = False,
    patience: float = 0.0,
    error: type[TwoStreamError] = RunError,
) -> Iterator[None]:
    """Hold a folder for one process; where the disk has no locks, only a note says so.

    Args:
        folder: to hold.
        wait, instead: what to do where it is in use, and where it cannot be written.
        make: make it where it does not exist.
        shared: beside others that share it, where the system has such locks (not on Windows).
        patience: seconds that another process is waited for.
        error: what is raised.

    Raises:
        RunError, or ``error``: it is in use, or cannot be written.
    """
    with ExitStack() as held:
        try:
            if make:
                folder.mkdir(parents=True, exist_ok=True)
            if fcntl is None:  # Windows
                held.enter_context(FileLock(folder / LOCK, timeout=patience))
            else:  # without FileLock, whose marks on disks without locks outlive who made them
                file = held.enter_context(open(folder / LOCK, "ab"))
                how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                _flock(file, how, time.monotonic() + patience)
        except (Timeout, BlockingIOError):
            raise error(f"{folder} is in use by another process: {wait}") from None
        except OSError as why:
            if why.errno not in _NO_LOCKS:
                raise error(f"{folder} cannot be written ({why}): {instead}") from why
            logger.warning("%s cannot be locked: let no other process use it meanwhile", folder)
        yield


def _flock(file: BinaryIO, how: int, until: float) -> None:
    """Lock a file; raises BlockingIOError where it is not free before a time."""
    while True:
        try:
            return fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
        time.sleep(0.02)
