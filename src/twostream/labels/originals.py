"""Copies of label files as other people wrote them, before they are written anew."""

from __future__ import annotations

import hashlib
import shutil
from itertools import count
from pathlib import Path

from twostream.files import whole
from twostream.labels.formats import read_labels, text_in_place
from twostream.labels.label_text import text_start
from twostream.labels.recordings import Labels
from twostream.types import TwoStreamError

SCORES_START = "seconds,fused "  # of a table of scores over time


class Originals:
    """Copies each file once, as .NAME.original beside it, and again where others changed it.

    A file that is written anew holds what is read of it and little more. So where there is a copy,
    another one (.NAME.original-2) is kept of a file that this object has not written and that is
    not what would be written of its labels.
    """

    def __init__(self) -> None:
        self._written: dict[Path, str] = {}  # -> hash; "" where there was no file before

    def made(self, path: Path) -> None:
        """Remember that there was no such file."""
        self._written.setdefault(path, "")

    def written(self, path: Path) -> None:
        """Remember what has just been written."""
        self._written[path] = _hash(path.read_bytes())

    def keep(self, path: Path, labels: Labels, format: str) -> None:
        """Copy a file, if it is there, as said above.

        Args:
            path: the file.
            labels: that are read of it.
            format: its name in ``FORMATS``.

        Raises:
            OSError: the disk refuses.
        """
        if not path.exists():
            return
        now = path.read_bytes()
        if self._written.get(path) == _hash(now):
            return
        copy = _place(path, now)
        known = path in self._written or copy != _numbered(path, 1)
        if copy is not None and not (known and now == _anew(path, labels, format)):
            _copy(path, copy)


def keep_work(path: Path) -> Path | None:
    """Copy a file that is to be replaced, beside it, unless it is a prediction; return the copy.

    Raises:
        OSError: the disk refuses.
    """
    if not path.is_file() or _is_predicted(path):
        return None
    copy = _place(path, path.read_bytes())
    if copy is not None:
        _copy(path, copy)
    return copy


def _is_predicted(path: Path) -> bool:
    """Tell whether all bouts of a label file have a confidence, or it is a table of scores."""
    try:
        if text_start(path).startswith(SCORES_START):
            return True
        labels = read_labels(path)
    except TwoStreamError:
        return False
    bouts = [bout for recording in labels.recordings for bout in recording.bouts]
    return bool(bouts) and all(bout.confidence is not None for bout in bouts)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f".{path.name}.original" + f"-{number}" * (number > 1))


def _place(path: Path, now: bytes) -> Path | None:
    """Return where the next copy of a file goes; None: there is one that holds the same."""
    for number in count(1):
        copy = _numbered(path, number)
        if not copy.exists():
            return copy
        if copy.read_bytes() == now:
            return None
    return None


def _copy(path: Path, copy: Path) -> None:
    # not what a full disk leaves of it, which would count as the copy ever after
    with open(path, "rb") as before, whole(copy) as copied:
        shutil.copyfileobj(before, copied)
    shutil.copystat(path, copy)


def _anew(path: Path, labels: Labels, format: str) -> bytes | None:
    """Return what would be written of unchanged labels; None: nothing can."""
    try:
        return text_in_place(labels, path, format)
    except ValueError:  # several recordings in a format of one, or frames of no known rate
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
