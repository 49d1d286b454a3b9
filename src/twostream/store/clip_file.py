"""The clip file: a file per clip and kind ("rgb", "forward" or "backward").

Layout, all numbers little-endian::

    8 bytes   magic
    blobs     JPEG, PNG or zlib, one after the other: per frame one; per field one for x, one for y
    index     per blob its length (uint32) and CRC-32 (uint32); per field its two ranges (float32)
    header    JSON, UTF-8: a ClipHeader
    footer    lengths of index and header (uint64), their CRC-32 (uint32), magic

Blobs are streamed out as they come, so that memory does not grow with the clip; a file without
its footer is unfinished. Reading keeps no file open, so a data set may have any number of clips.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from twostream.schema import from_json, parse_json
from twostream.store.coding import FORMAT_VERSION, ClipHeader, Item, decode_fields, decode_item
from twostream.types import StoreError

MAGIC = b"2stream\x01"
FOOTER = struct.Struct("<QQI8s")
_CHECKED_BYTES = 8 << 20  # at once


class ClipFile:
    """Random access to one finished clip file. Safe to read from several threads, and picklable.

    Args:
        source: path of the file, or its bytes.

    Attributes:
        header: a ClipHeader.
        ranges: (n, 2) float32, largest displacement that the codes of each field can express, px;
            empty for rgb.

    Raises:
        StoreError: missing, unfinished, damaged, or not a clip file.
    """

    def __init__(self, source: Path | bytes) -> None:
        self._source = source
        self.name = "clip in memory" if isinstance(source, bytes) else str(source)
        with self._opened() as file:
            self._size = size = file.seek(0, os.SEEK_END)
            if size < FOOTER.size + len(MAGIC):
                self._refuse("is too short for a clip file")
            footer = self._read(file, size - FOOTER.size, FOOTER.size)
            index_length, header_length, crc, magic = FOOTER.unpack(footer)
            payload = size - FOOTER.size - index_length - header_length
            if magic != MAGIC or payload < len(MAGIC) or self._read(file, 0, len(MAGIC)) != MAGIC:
                self._refuse("is no finished clip file of this store format")
            described = self._read(file, payload, index_length + header_length)
        if zlib.crc32(described) != crc:
            self._refuse("has a damaged index")
        self.header = self._parse_header(described[index_length:])
        blobs = self.header.count * self.header.blobs_per_item
        ranges = 0 if self.header.kind == "rgb" else self.header.count
        if index_length != 8 * blobs + 8 * ranges:
            self._refuse("has an index that does not fit its header")
        table = np.frombuffer(described, "<u4", 2 * blobs).reshape(2, blobs)
        self._crcs = table[1]
        self._offsets = np.zeros(blobs + 1, np.int64)
        np.cumsum(table[0], out=self._offsets[1:])
        self._offsets += len(MAGIC)
        self.ranges = np.frombuffer(described, "<f4", 2 * ranges, 8 * blobs).reshape(ranges, 2)
        if self._offsets[-1] != payload:
            self._refuse("has a size that does not fit its index")

    def __len__(self) -> int:
        return self.header.count

    def kept(self, start: int = 0, stop: int | None = None) -> Item:
        """Return items start..stop-1 as they are kept, (n, ...).

        Frames (h, w, 3) uint8 RGB; codes (2, h, w) uint8 in 1..255 with 128 for zero, which
        ``ranges`` and ``decode_fields`` turn into px; of lossless flow the fields.

        Raises:
            StoreError: outside of 0..len, or damaged data.
        """
        stop = len(self) if stop is None else stop
        self._check_span(start, stop)
        items = self.header.empty(stop - start)
        self._decode(start, stop, items)
        return items

    def fields(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return fields start..stop-1 in px of the stored size, (n, 2, h, w) float32."""
        if self.header.kind == "rgb":
            self._refuse("holds rgb frames, not flow")
        kept = self.kept(start, stop)
        return decode_fields(kept, self.ranges[start:stop]) if self.header.coded else kept

    def frames(self, indices: Sequence[int] | range | None = None) -> NDArray[np.uint8]:
        """Return frames, (n, h, w, 3) uint8 RGB, all of them or those of the indices."""
        if self.header.kind != "rgb":
            self._refuse(f"holds {self.header.kind} flow, not frames")
        chosen = range(len(self)) if indices is None else indices
        frames = self.header.empty(len(chosen))
        for row, i in enumerate(chosen):
            self._check_span(i, i + 1)
            self._decode(i, i + 1, frames[row : row + 1])
        return frames

    def _decode(self, start: int, stop: int, items: Item) -> None:
        """Fill rows of ``ClipHeader.empty`` with items start..stop-1, read at once."""
        each = self.header.blobs_per_item
        with self._opened() as file:
            blobs = self._blobs(file, each * start, each * stop)
        for i, item in enumerate(items):
            try:
                decode_item(blobs[each * i : each * (i + 1)], self.header, item)
            except ValueError as error:
                self._refuse(str(error))

    def content(self) -> bytes:
        """Return the whole file, as it was written."""
        with self._opened() as file:
            return self._read(file, 0, self._size)

    def check(self) -> None:
        """Raise a StoreError where any frame or field is damaged; nothing is decoded.

        Read and summed at some gigabytes a second, so a store is checked whenever it is used.
        """
        start, blobs = 0, len(self._crcs)
        with self._opened() as file:
            while start < blobs:
                limit = int(self._offsets[start]) + _CHECKED_BYTES
                stop = max(start + 1, int(np.searchsorted(self._offsets, limit, "right")) - 1)
                self._blobs(file, start, stop)
                start = stop

    def _check_span(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= len(self):
            what = "frames" if self.header.kind == "rgb" else "fields"
            raise StoreError(
                f"{self.header.video_id}: {what} {start} to {stop - 1} were asked for, but the "
                f"store has {len(self)} (0 to {len(self) - 1}): extract it again"
            )

    def _blobs(self, file: BinaryIO, start: int, stop: int) -> list[memoryview]:
        """Return blobs start..stop-1, read at once and checked."""
        begin = int(self._offsets[start])
        data = memoryview(self._read(file, begin, int(self._offsets[stop]) - begin))
        blobs = []
        for i in range(start, stop):
            blob = data[int(self._offsets[i]) - begin : int(self._offsets[i + 1]) - begin]
            if zlib.crc32(blob) != self._crcs[i]:
                self._refuse("is damaged")
            blobs.append(blob)
        return blobs

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file once for several readings: a shared disk is asked at each opening."""
        if isinstance(self._source, bytes):
            yield io.BytesIO(self._source)
            return
        try:
            with open(self._source, "rb", buffering=0) as file:
                yield file
        except OSError as error:
            self._refuse(f"cannot be read ({error.strerror})")

    def _read(self, file: BinaryIO, offset: int, length: int) -> bytes:
        file.seek(offset)
        data = file.read(length)
        while len(data) < length and (more := file.read(length - len(data))):
            data += more
        if len(data) != length:
            self._refuse("is cut off")
        return data

    def _parse_header(self, text: bytes) -> ClipHeader:
        try:
            header = from_json(ClipHeader, parse_json(text))
        except ValueError as error:
            self._refuse(f"has a header that cannot be read ({error})")
        if header.version != FORMAT_VERSION:
            self._refuse(f"has format {header.version}, this version reads {FORMAT_VERSION}")
        return header

    def _refuse(self, why: str) -> NoReturn:
        raise StoreError(f"{self.name}: {why}: extract it again")
