"""How one frame or field of a clip is kept: coded to blobs of bytes, and back.

The 8-bit code of a displacement d of component k is ``128 + round(127 * d / range_k)``, in 1..255:
128 is exactly zero, unlike the classic ``round(255 * (d + 20) / 40)``. ``range_k`` is the largest
absolute displacement of that field (the paper, section 5, rescales each field by its own range),
or one fixed bound for all, beyond which displacements are clipped.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.labels.stretch_ids import span_of, stored_id
from twostream.types import Codec, StoreError

Kind = Literal["rgb", "forward", "backward"]
Item = NDArray[Any]  # one frame or field, in one of the forms below

FORMAT_VERSION = 1
ZERO_CODE = 128
STEPS = 127  # codes on either side of zero
NO_MOTION_PX = 1e-6  # a field that stays below is stored as zero, not as amplified rounding noise
NO_RANGES = np.empty(0, np.float32)  # of a frame


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
        images: fingerprint of the images that imported flow was read from, "" for all else.
        warning: a sentence when the video broke off early or has pauses, else None.
        count: number of frames or fields.
        version: of the file format.
        pauses: [first, end) of the frames, ascending, of which the video has none: the frame before
            stands for them, and nothing moves from there to the first one after.
        source_side: shorter side of the video's own frames, px, where they were enlarged; else 0.
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
    images: str = ""
    warning: str | None = None
    count: int = 0
    version: int = FORMAT_VERSION
    pauses: tuple[tuple[int, int], ...] = ()
    source_side: int = 0

    @property
    def seen_size(self) -> tuple[int, int]:
        """Height and width of what a camera saw, px: of the frames before they were enlarged."""
        share = self.source_side / min(self.height, self.width) if self.source_side else 1
        return round(self.height * share), round(self.width * share)

    @property
    def coded(self) -> bool:
        """Whether its fields are kept as 8-bit codes."""
        return self.kind != "rgb" and self.codec == "jpeg"

    @property
    def blobs_per_item(self) -> int:
        """Number of blobs that hold one frame or field."""
        return 2 if self.coded else 1

    @property
    def item_shape(self) -> tuple[int, int, int]:
        """Shape of one frame or field: (h, w, 3) or (2, h, w)."""
        size = self.height, self.width
        return (*size, 3) if self.kind == "rgb" else (2, *size)

    def empty(self, count: int) -> Item:
        """Return (count, ...) items of no meaning as they are kept: frames, codes or fields."""
        is_flow = self.kind != "rgb" and not self.coded
        return np.empty((count, *self.item_shape), np.float32 if is_flow else np.uint8)


def frames_of(video_id: str, header: ClipHeader) -> range:
    """Return which frames of what is stored an id stands for; at least one.

    Args:
        video_id: of a whole video or a stretch, whose frame i stands for the seconds from i / fps.
        header: of the stored clip.

    Raises:
        StoreError: a stretch begins where the video has ended.
    """
    count = header.count + (header.kind != "rgb")  # a field lies between two frames
    span = span_of(video_id)
    if span is None:
        return range(count)
    first, stop = (round(seconds * header.fps) for seconds in span)
    if first >= count:
        raise StoreError(
            f"it begins at {span[0]:.3f} s, but {stored_id(video_id)} ends at "
            f"{count / header.fps:.3f} s: correct the label's times"
        )
    return range(first, min(max(stop, first + 1), count))


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


def encode_item(item: Item, header: ClipHeader, index: int = 0) -> tuple[list[bytes], Item]:
    """Code one frame or field.

    Args:
        item: (h, w, 3) uint8 RGB, or (2, h, w) float32 px.
        header: what it has to be, and how it is kept.
        index: its place in the clip, for errors.

    Returns:
        Its blobs, and the ranges in px of a field's components, (2,) float32, none of a frame.

    Raises:
        StoreError: it does not fit the header, or is not finite.
    """
    item = _checked(item, header, index)
    if header.kind == "rgb":
        bgr = cv2.cvtColor(item, cv2.COLOR_RGB2BGR)
        if header.codec == "jpeg":
            return [encode_jpeg(bgr, header.quality)], NO_RANGES
        return [cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()], NO_RANGES
    if header.codec == "lossless":
        # Bytes of equal weight side by side compress better.
        planes = np.ascontiguousarray(item, "<f4").view(np.uint8).reshape(-1, 4).T
        ranges = np.abs(item).max(axis=(1, 2)).astype(np.float32)
        return [zlib.compress(planes.tobytes(), 1)], ranges
    codes, ranges = encode_field(item, header.bound_px)
    return [encode_jpeg(plane, header.quality) for plane in codes], ranges


def decode_item(blobs: Sequence[bytes | memoryview], header: ClipHeader, out: Item) -> None:
    """Decode what ``encode_item`` made.

    Args:
        blobs: of one frame or field.
        header: of its clip.
        out: is filled: one row of ``header.empty``.

    Raises:
        ValueError: the blobs do not hold such an item; the message says what they hold.
    """
    if header.kind != "rgb" and not header.coded:
        try:
            unpacked = zlib.decompressobj().decompress(blobs[0], out.nbytes + 1)  # and no more
            planes = np.frombuffer(unpacked, np.uint8).reshape(4, -1)
            out[:] = np.ascontiguousarray(planes.T).view("<f4").reshape(header.item_shape)
        except (zlib.error, ValueError) as error:
            raise ValueError("holds a damaged field") from error
        return
    flags = cv2.IMREAD_COLOR if header.kind == "rgb" else cv2.IMREAD_GRAYSCALE
    for k, blob in enumerate(blobs):
        if picture_size(blob) != (header.height, header.width):  # before it is unpacked
            raise ValueError("holds a picture of another size or none")
        image = cv2.imdecode(np.frombuffer(blob, np.uint8), flags)
        if image is None or image.shape[:2] != (header.height, header.width):
            raise ValueError("holds a picture of another size or none")
        if header.kind == "rgb":
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=out)
        else:
            np.maximum(image, 1, out=out[k])  # JPEG may ring down to 0, one below the lowest code


def picture_size(blob: bytes | memoryview) -> tuple[int, int] | None:
    """Return (height, width) that a JPEG or PNG file says, None where it is neither, or damaged."""
    if blob[:8] == b"\x89PNG\r\n\x1a\n" and len(blob) >= 24:
        return int.from_bytes(blob[20:24]), int.from_bytes(blob[16:20])
    place = 2
    while blob[:2] == b"\xff\xd8" and place + 9 <= len(blob) and blob[place] == 0xFF:
        marker = blob[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            return (
                int.from_bytes(blob[place + 5 : place + 7]),
                int.from_bytes(blob[place + 7 : place + 9]),
            )
        place += 2 + int.from_bytes(blob[place + 2 : place + 4])
    return None


def coded_item(item: Item, header: ClipHeader) -> tuple[Item, Item]:
    """Return an item as it would come back from a store, and its ranges; see ``encode_item``."""
    if header.codec == "lossless":  # what comes back is what went in
        return _checked(item, header).copy(), NO_RANGES
    blobs, ranges = encode_item(item, header)
    (kept,) = header.empty(1)
    decode_item(blobs, header, kept)
    return kept, ranges


def _checked(item: Item, header: ClipHeader, index: int = 0) -> Item:
    """Return an item that fits its clip, fields as float32."""
    if item.shape != header.item_shape:
        raise StoreError(
            f"{header.video_id}: this {header.kind} clip takes items of shape "
            f"{header.item_shape}, got {item.shape}"
        )
    if header.kind == "rgb":
        return item
    flow = item.astype(np.float32, copy=False)
    if not np.isfinite(flow).all():
        raise StoreError(
            f"{header.video_id}: field {index} holds values that are not finite: "
            f"flow estimator {header.method or 'unknown'} failed"
        )
    return flow


def encode_jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """Return the file of a (h, w) grey or (h, w, 3) BGR picture; quality in 1..100."""
    ok, blob = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise StoreError(f"a picture of {picture.shape} cannot be kept as JPEG")
    return blob.tobytes()
