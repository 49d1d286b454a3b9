"""Copies of label files as other people wrote them, before they are written anew."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from twostream.files import whole
from twostream.labels.csv_table import SEGMENTS
from twostream.labels.formats import text_in_place
from twostream.labels.label_text import first_cells, text_start
from twostream.labels.recordings import Labels
from twostream.types import TwoStreamError


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

    def written(self, path: Path, content: bytes) -> None:
        """Remember what has just been written."""
        self._written[path] = _hash(content)

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
        if copy is None:
            return
        is_first = path not in self._written and copy == _numbered(path, 1)
        if is_first or now != _anew(path, labels, format):
            _copy(path, copy)


def keep_work(path: Path) -> Path | None:
    """Copy a file that is to be replaced, beside it, and return the copy.

    None where there is a copy of the same, and of tables of time lines and their scores: nobody
    writes these by hand.

    Raises:
        OSError: the disk refuses.
    """
    if not path.is_file() or _is_table(path):
        return None
    copy = _place(path, path.read_bytes())
    if copy is not None:
        _copy(path, copy)
    return copy


def drop_same(copy: Path, path: Path) -> bool:
    """Remove a copy of what the file still holds; tell whether it was one."""
    same = copy.read_bytes() == path.read_bytes()
    if same:
        copy.unlink()
    return same


def _is_table(path: Path) -> bool:
    try:
        start = text_start(path)
    except TwoStreamError:
        return False
    names = tuple(first_cells(start)[1])
    scores = names[:1] == ("seconds",) and any(name.startswith("fused ") for name in names)
    return scores or names == SEGMENTS


def _numbered(path: Path, number: int) -> Path:
    last = f"-{number}" if number > 1 else ""
    return path.with_name(f".{path.name}.original{last}")


def _place(path: Path, now: bytes) -> Path | None:
    """Return where the next copy of a file goes; None: there is one that holds the same."""
    number = 1
    while (copy := _numbered(path, number)).exists():
        if copy.read_bytes() == now:
            return None
        number += 1
    return copy


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
