"""Writing clip files: streamed, and atomic; see clip_file.py for the format."""

from __future__ import annotations

import dataclasses
import errno
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from twostream.files import Partial
from twostream.store.clip_file import FOOTER, MAGIC
from twostream.store.coding import ClipHeader, Item, encode_item
from twostream.types import StoreError


class ClipWriter:
    """Writes one clip file; it appears under its name only once it is complete.

    Args:
        target: path of the file, or a binary stream (for clips that are kept in memory).
        header: its ``count`` is filled in at the end.

    Raises:
        StoreError: the disk refuses, or a frame or field does not fit the header.
    """

    def __init__(self, target: Path | BinaryIO, header: ClipHeader) -> None:
        self.header = header
        self.count = 0
        self._lengths: list[int] = []
        self._crcs: list[int] = []
        self._ranges: list[Item] = []
        self._path = target if isinstance(target, Path) else None
        self._partial: Partial | None = None
        if isinstance(target, Path):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._partial = Partial(target)
            except OSError as error:
                self._fail(error)
            self._file = self._partial.file
        else:
            self._file = target
        self._write(MAGIC)

    def append(self, item: Item) -> None:
        """Append one field, (2, h, w) float32 px, or one frame, (h, w, 3) uint8 RGB."""
        blobs, ranges = encode_item(item, self.header, self.count)
        for blob in blobs:
            self._append_blob(blob)
        self._ranges.append(ranges)
        self.count += 1

    def _append_blob(self, blob: bytes) -> None:
        self._lengths.append(len(blob))
        self._crcs.append(zlib.crc32(blob))
        self._write(blob)

    def close(
        self, *, warning: str | None = None, pauses: Sequence[tuple[int, int]] = ()
    ) -> ClipHeader:
        """Finish the file and return its header.

        Args:
            warning: kept in the header: the video broke off early, or has pauses.
            pauses: likewise, see ``ClipHeader``.
        """
        self.header = dataclasses.replace(
            self.header, count=self.count, warning=warning, pauses=tuple(pauses)
        )
        index = np.array([self._lengths, self._crcs], "<u4").tobytes()
        index += np.array(self._ranges, "<f4").tobytes()
        header = json.dumps(dataclasses.asdict(self.header), sort_keys=True).encode()
        crc = zlib.crc32(index + header)
        self._write(index + header + FOOTER.pack(len(index), len(header), crc, MAGIC))
        if self._partial is not None:
            try:
                self._partial.finish()
            except OSError as error:
                self._fail(error)
        return self.header

    def abort(self) -> None:
        """Leave nothing behind; without effect after close."""
        if self._partial is not None:
            self._partial.discard()

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        self.abort()
        where = self._path or "memory"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"{where}: no space left on the disk: free some, or use another --store; "
                "what is finished is kept"
            ) from error
        if error.errno == errno.ENAMETOOLONG:  # not the disk's fault, so that others go on
            raise StoreError(
                f"{where}: this name is too long for the disk: give the video a shorter one"
            ) from None
        raise StoreError(f"{where}: cannot be written: {error.strerror or error}") from error
