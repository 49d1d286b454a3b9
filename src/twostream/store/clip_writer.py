"""Writing clip files: streamed, and atomic; see clipfile.py for the format."""

from __future__ import annotations

import dataclasses
import errno
import json
import zlib
from pathlib import Path
from typing import BinaryIO, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.files import Partial
from twostream.store.clip_file import FOOTER, MAGIC, ClipHeader, encode_field
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
        self._ranges: list[NDArray[np.float32]] = []
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

    def append(self, item: NDArray[np.float32] | NDArray[np.uint8]) -> None:
        """Append one field, (2, h, w) float32 px, or one frame, (h, w, 3) uint8 RGB."""
        size = (self.header.height, self.header.width)
        shape = (*size, 3) if self.header.kind == "rgb" else (2, *size)
        if item.shape != shape:
            raise StoreError(
                f"{self.header.video_id}: this {self.header.kind} clip takes items of shape "
                f"{shape}, got {item.shape}"
            )
        if self.header.kind == "rgb":
            self._append_blob(_encode_rgb(item, self.header))
        else:
            self._append_field(item.astype(np.float32, copy=False))
        self.count += 1

    def _append_field(self, flow: NDArray[np.float32]) -> None:
        if not np.isfinite(flow).all():
            raise StoreError(
                f"{self.header.video_id}: field {self.count} holds values that are not finite: "
                f"flow estimator {self.header.method or 'unknown'} failed"
            )
        if self.header.codec == "lossless":
            self._ranges.append(np.abs(flow).max(axis=(1, 2)).astype(np.float32))
            # Bytes of equal weight side by side compress better.
            planes = np.ascontiguousarray(flow, "<f4").view(np.uint8).reshape(-1, 4).T
            self._append_blob(zlib.compress(planes.tobytes(), 1))
            return
        codes, ranges = encode_field(flow, self.header.bound_px)
        self._ranges.append(ranges)
        for plane in codes:
            self._append_blob(_encode_jpeg(plane, self.header.quality))

    def _append_blob(self, blob: bytes) -> None:
        self._lengths.append(len(blob))
        self._crcs.append(zlib.crc32(blob))
        self._write(blob)

    def close(self, *, warning: str | None = None) -> ClipHeader:
        """Finish the file and return its header.

        Args:
            warning: kept in the header: the video broke off early.
        """
        self.header = dataclasses.replace(self.header, count=self.count, warning=warning)
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
        raise StoreError(f"{where}: cannot be written: {error.strerror or error}") from error


def _encode_jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    ok, blob = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise StoreError(f"a picture of {picture.shape} cannot be kept as JPEG")
    return blob.tobytes()


def _encode_rgb(rgb: NDArray[np.generic], header: ClipHeader) -> bytes:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if header.codec == "jpeg":
        return _encode_jpeg(bgr, header.quality)
    _, blob = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return blob.tobytes()
