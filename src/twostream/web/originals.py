"""Copies of label files as other people wrote them, before they are written anew."""

from __future__ import annotations

import hashlib
import shutil
from itertools import count
from pathlib import Path

from twostream.files import whole
from twostream.labels import FORMATS, Labels
from twostream.labels.formats import encoded, suffix_of


class Originals:
    """Copies each file once, as .NAME.original beside it, and again where others changed it.

    A file that is written anew holds what is read of it and no more: of a BORIS project neither
    keys nor independent variables. So where there is a copy, another one (.NAME.original-2) is kept
    of a file that this object has not written and that holds more than that.
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
        for number in count(1):
            last = f"-{number}" if number > 1 else ""
            copy = path.with_name(f".{path.name}.original{last}")
            if not copy.exists():
                break
            if copy.read_bytes() == now:
                return
        if (number > 1 or path in self._written) and now == _anew(path, labels, format):
            return
        # not what a full disk leaves of it, which would count as the copy ever after
        with open(path, "rb") as before, whole(copy) as copied:
            shutil.copyfileobj(before, copied)
        shutil.copystat(path, copy)


def _anew(path: Path, labels: Labels, format: str) -> bytes | None:
    """Return what would be written of unchanged labels; None: nothing can."""
    module = FORMATS[format]
    try:
        return encoded(
            module.text(labels, suffix_of(path, module.HOLDS) or module.HOLDS.suffixes[0])
        )
    except ValueError:  # several recordings in a format of one, or frames of no known rate
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
