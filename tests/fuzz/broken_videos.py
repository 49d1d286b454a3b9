"""Videos whose structure is damaged: boxes of MP4, chunks of AVI, and what they hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# boxes that hold boxes (ISO/IEC 14496-12), and how many bytes stand before the first of them
_HOLDERS = dict.fromkeys(
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf"), 0
)
_HOLDERS |= {b"stsd": 8, b"meta": 4, b"avc1": 78, b"mp4v": 78, b"hev1": 78}
_SIZES = (0, 1, 2, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Part:
    """A box or chunk.

    Attributes:
        start, end: of all of it, in bytes of the file.
        inside: where its content begins.
        little: sizes are little-endian, and stand behind the name (RIFF).
    """

    start: int
    inside: int
    end: int
    little: bool


def parts_of(data: bytes) -> list[Part]:
    """Return all boxes of an MP4 or chunks of an AVI; of anything else the whole file as one."""
    if data[:4] == b"RIFF":
        found = list(_chunks(data, 0, len(data)))
    elif data[4:8] == b"ftyp":
        found = list(_boxes(data, 0, len(data)))
    else:
        found = []
    return found or [Part(0, 0, len(data), False)]


def _boxes(data: bytes, start: int, end: int) -> Iterator[Part]:
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        stop = start + size
        if size < 8 or stop > end:
            return
        yield Part(start, start + 8, stop, False)
        if name in _HOLDERS:
            yield from _boxes(data, start + 8 + _HOLDERS[name], stop)
        start = stop


def _chunks(data: bytes, start: int, end: int) -> Iterator[Part]:
    while start + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, start)
        stop = start + 8 + size
        if stop > end:
            return
        holder = name in (b"RIFF", b"LIST")
        yield Part(start, start + 8, stop, True)
        if holder:
            yield from _chunks(data, start + 12, stop)
        start = stop + size % 2


def broken_video(data: bytes, random: np.random.Generator) -> bytes:
    """Return a video with one to four changes to its structure or to what stands in it.

    Args:
        data: a whole file.
        random: draws the changes.
    """
    for _ in range(int(random.integers(1, 5))):
        parts = parts_of(data)
        part = parts[int(random.integers(len(parts)))]
        other = parts[int(random.integers(len(parts)))]
        kind = int(random.integers(8))
        if kind == 0:  # a size that is none
            field = struct.pack("<I" if part.little else ">I", random.choice(_SIZES))
            data = _over(data, part.start + (4 if part.little else 0), field)
        elif kind == 1:  # another's name
            place = 0 if part.little else 4
            name = data[other.start + place : other.start + place + 4]
            data = _over(data, part.start + place, name)
        elif kind == 2:
            data = data[: part.start] + data[part.end :]
        elif kind == 3:
            data = data[: part.end] + data[part.start : part.end] + data[part.end :]
        elif kind == 4:  # one in another's place
            data = data[: part.start] + data[other.start : other.end] + data[part.end :]
        elif kind == 5:  # a number in it
            at = _inside(part, random)
            data = _over(data, at, struct.pack(">I", random.choice(_SIZES)))
        elif kind == 6:  # noise in it
            at = _inside(part, random)
            data = _over(data, at, random.bytes(int(random.integers(1, 17))))
        else:
            data = data[: _inside(part, random)]
    return data


def _inside(part: Part, random: np.random.Generator) -> int:
    return int(random.integers(part.inside, max(part.inside + 1, part.end)))


def _over(data: bytes, at: int, new: bytes) -> bytes:
    return (data[:at] + new + data[at + len(new) :])[: max(len(data), at)]
