"""The clip file: a file per clip and kind ("rgb", "forward" or "backward").

Layout, all numbers little-endian::

    8 bytes   magic
    blobs     JPEG, PNG or zlib, one after the other: per frame one; per field one for x, one for y
    index     per blob its length (uint32) and CRC-32 (uint32); per field its two ranges (float32)
    header    JSON, UTF-8: a ClipHeader
    footer    lengths of index and header (uint64), their CRC-32 (uint32), magic

Blobs are streamed out as they come, so that memory does not grow with the clip; a file without
its footer is unfinished. Reading keeps no file open, so a data set may have any number of clips.

The 8-bit code of a displacement d of component k is ``128 + round(127 * d / range_k)``, in 1..255:
128 is exactly zero, unlike the classic ``round(255 * (d + 20) / 40)``. ``range_k`` is the largest
absolute displacement of that field (the paper, section 5, rescales each field by its own range),
or one fixed bound for all, beyond which displacements are clipped.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.types import StoreError

Kind = Literal["rgb", "forward", "backward"]
Codec = Literal["jpeg", "lossless"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FORMAT_VERSION = 1
MAGIC = b"2stream\x01"
FOOTER = struct.Struct("<QQI8s")
ZERO_CODE = 128
STEPS = 127  # codes on either side of zero
NO_MOTION_PX = 1e-6  # a field that stays below is stored as zero, not as amplified rounding noise


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipHeader:
    """What a clip file says about itself.

    Attributes:
        kind: "rgb" frames, "forward" fields (frame i to i + 1) or "backward" (i + 1 to i).
        video_id: as in the data set.
        height: of the stored size, px.
        width: of the stored size, px.
        fps: frames per second of what is stored.
        codec: "jpeg" (8 bit, lossy) or "lossless".
        quality: of the JPEG, 1 to 100.
        method: name of the flow estimator; "" for rgb.
        parameters: of the flow estimator.
        bound_px: fixed range of the codes, or None for a range per field and component.
        source_hash: of the video file that this was made from; "" for flow that was imported
            without its video.
        source_name: its file name.
        warning: a sentence when the video broke off early, else None.
        count: number of frames or fields.
        version: of the file format.
    """

    kind: Kind
    video_id: str
    height: int
    width: int
    fps: float
    codec: Codec = "jpeg"
    quality: int = 90
    method: str = ""
    parameters: dict[str, int | float] = field(default_factory=dict)
    bound_px: float | None = None
    source_hash: str = ""
    source_name: str = ""
    warning: str | None = None
    count: int = 0
    version: int = FORMAT_VERSION

    @property
    def blobs_per_item(self) -> int:
        """Number of blobs that hold one frame or field."""
        return 2 if self.kind != "rgb" and self.codec == "jpeg" else 1


def encode_field(
    flow: NDArray[np.float32], bound_px: float | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Quantise a field to 8 bit.

    Args:
        flow: (2, h, w) px, finite.
        bound_px: fixed range, larger displacements are clipped; None takes the field's own.

    Returns:
        Codes, (2, h, w) uint8 in 1..255, and ranges in px, (2,) float32.
    """
    if bound_px is None:
        ranges = np.abs(flow).max(axis=(1, 2)).astype(np.float32)
    else:
        ranges = np.full(2, bound_px, np.float32)
    ranges[ranges < NO_MOTION_PX] = 0
    scale = np.divide(STEPS, ranges, out=np.zeros(2, np.float32), where=ranges > 0)
    codes = np.rint(flow * scale[:, None, None])
    np.clip(codes, -STEPS, STEPS, out=codes)
    return (codes + ZERO_CODE).astype(np.uint8), ranges


def decode_fields(codes: NDArray[np.uint8], ranges: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (n, 2, h, w) px from codes (n, 2, h, w) and ranges (n, 2); code 128 is exactly 0."""
    fields = np.subtract(codes, ZERO_CODE, dtype=np.float32)
    fields *= (ranges / STEPS).astype(np.float32)[:, :, None, None]
    return fields


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
        size, tail = self._read_footer()
        index_length, header_length, crc, magic = FOOTER.unpack(tail)
        payload = size - FOOTER.size - index_length - header_length
        if magic != MAGIC or payload < len(MAGIC) or self._read(0, len(MAGIC)) != MAGIC:
            self._refuse("is no finished clip file of this store format")
        described = self._read(payload, index_length + header_length)
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

    def codes(
        self, start: int = 0, stop: int | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return fields start..stop-1 as they are coded: the fast path of the training loop.

        Returns:
            (n, 2, h, w) uint8 in 1..255 with 128 for zero, and (n, 2) float32 ranges in px;
            ``decode_fields`` turns them into px.

        Raises:
            StoreError: outside of 0..len, an rgb or lossless clip, or damaged data.
        """
        stop = self._check_flow(start, stop)
        if self.header.codec != "jpeg":
            self._refuse("is kept lossless and has no codes: read its fields")
        shape = (stop - start, 2, self.header.height, self.header.width)
        codes = np.empty(shape, np.uint8)
        for i, blob in enumerate(self._blobs(2 * start, 2 * stop)):
            plane = self._decode_image(blob, cv2.IMREAD_GRAYSCALE)
            # JPEG may ring down to 0, one below the lowest code.
            np.maximum(plane, 1, out=codes[i // 2, i % 2])
        return codes, self.ranges[start:stop]

    def codes_all(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the codes of the whole clip, (n, 2, h, w) uint8, and (n, 2) float32 ranges."""
        return self.codes()

    def raw(self, i: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the codes of field i, (2, h, w) uint8, and its ranges in px, (2,) float32."""
        codes, ranges = self.codes(i, i + 1)
        return codes[0], ranges[0]

    def fields(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return fields start..stop-1 in px of the stored size, (n, 2, h, w) float32."""
        stop = self._check_flow(start, stop)
        if self.header.codec == "jpeg":
            return decode_fields(*self.codes(start, stop))
        shape = (2, self.header.height, self.header.width)
        fields = np.empty((stop - start, *shape), np.float32)
        for i, blob in enumerate(self._blobs(start, stop)):
            try:
                planes = np.frombuffer(zlib.decompress(blob), np.uint8).reshape(4, -1)
                fields[i] = np.ascontiguousarray(planes.T).view("<f4").reshape(shape)
            except (zlib.error, ValueError):
                self._refuse(f"has a damaged field {start + i}")
        return fields

    def frames(self, indices: Sequence[int] | range | None = None) -> NDArray[np.uint8]:
        """Return frames, (n, h, w, 3) uint8 RGB, all of them or those of the indices."""
        if self.header.kind != "rgb":
            self._refuse(f"holds {self.header.kind} flow, not frames")
        chosen = range(len(self)) if indices is None else indices
        frames = np.empty((len(chosen), self.header.height, self.header.width, 3), np.uint8)
        for row, i in enumerate(chosen):
            self._check_span(i, i + 1)
            (blob,) = self._blobs(i, i + 1)
            bgr = self._decode_image(blob, cv2.IMREAD_COLOR)
            cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=frames[row])
        return frames

    def _check_flow(self, start: int, stop: int | None) -> int:
        if self.header.kind == "rgb":
            self._refuse("holds rgb frames, not flow")
        stop = len(self) if stop is None else stop
        self._check_span(start, stop)
        return stop

    def _check_span(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= len(self):
            what = "frames" if self.header.kind == "rgb" else "fields"
            raise StoreError(
                f"{self.header.video_id}: {what} {start} to {stop - 1} were asked for, but the "
                f"store has {len(self)} (0 to {len(self) - 1}): extract it again"
            )

    def _blobs(self, start: int, stop: int) -> list[memoryview]:
        """Return blobs start..stop-1, read at once and checked."""
        begin = int(self._offsets[start])
        data = memoryview(self._read(begin, int(self._offsets[stop]) - begin))
        blobs = []
        for i in range(start, stop):
            blob = data[int(self._offsets[i]) - begin : int(self._offsets[i + 1]) - begin]
            if zlib.crc32(blob) != self._crcs[i]:
                self._refuse("is damaged")
            blobs.append(blob)
        return blobs

    def _decode_image(self, blob: memoryview, flags: int) -> NDArray[np.uint8]:
        image = cv2.imdecode(np.frombuffer(blob, np.uint8), flags)
        if image is None or image.shape[:2] != (self.header.height, self.header.width):
            self._refuse("holds a picture of another size or none")
        return image

    def _read_footer(self) -> tuple[int, bytes]:
        if isinstance(self._source, bytes):
            size = len(self._source)
        else:
            try:
                size = self._source.stat().st_size
            except OSError as error:
                self._refuse(f"cannot be read ({error.strerror})")
        if size < FOOTER.size + len(MAGIC):
            self._refuse("is too short for a clip file")
        return size, self._read(size - FOOTER.size, FOOTER.size)

    def _read(self, offset: int, length: int) -> bytes:
        if isinstance(self._source, bytes):
            return self._source[offset : offset + length]
        try:
            with open(self._source, "rb", buffering=0) as file:
                file.seek(offset)
                data = file.read(length)
                while len(data) < length and (more := file.read(length - len(data))):
                    data += more
        except OSError as error:
            self._refuse(f"cannot be read ({error.strerror})")
        if len(data) != length:
            self._refuse("is cut off")
        return data

    def _parse_header(self, text: bytes) -> ClipHeader:
        try:
            header = ClipHeader(**json.loads(text))
        except (ValueError, TypeError):
            self._refuse("has a header that cannot be read")
        if header.version != FORMAT_VERSION:
            self._refuse(f"has format {header.version}, this version reads {FORMAT_VERSION}")
        return header

    def _refuse(self, why: str) -> NoReturn:
        raise StoreError(f"{self.name}: {why}: extract it again")
