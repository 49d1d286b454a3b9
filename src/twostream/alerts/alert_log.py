"""The log of alerts: a JSON line each, and one for each delivery, appended."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from twostream.alerts.alert import now

logger = logging.getLogger(__name__)


class AlertLog:
    """Appends lines to a file, each whole or not at all; for several threads.

    Args:
        path: made where it does not exist, with its folder; None: nothing is kept.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab"):
                pass

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry with the time; where the disk refuses, that is told, and it goes on."""
        if self._path is None:
            return
        line = json.dumps({"time": now()} | entry).encode() + b"\n"
        try:
            with self._lock:
                _append(self._path, line)
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            logger.warning(f"{self._path}: {why}, this is not in it: {line.decode().rstrip()}")


def _append(path: Path, line: bytes) -> None:
    """Write a line behind what is there; a half of it, on a full disk, goes again."""
    # not kept open: a log that was moved away, as logs are at midnight, begins anew
    with open(path, "ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # another program's last line, or an editor's
                line = b"\n" + line
        try:
            if file.write(line) != len(line):
                raise OSError("no space is left for a whole line")
        except OSError:
            file.truncate(size)
            raise
