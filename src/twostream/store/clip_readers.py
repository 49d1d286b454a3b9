"""Frames or fields of a stored clip, of a part of it, or of what of it is held in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from twostream.store.clip_file import ClipFile
from twostream.store.coding import NO_RANGES, ClipHeader, Item, decode_fields


class Reader(ABC):
    """Frames or fields of one clip, by index; an index may repeat, in any order.

    Args:
        header: of the clip.
        count: number of frames or fields.

    Attributes:
        header: likewise.
        size: height and width in pixels.
        coded: whether fields are kept as 8-bit codes.
    """

    def __init__(self, header: ClipHeader, count: int) -> None:
        self.header = header
        self.size = header.height, header.width
        self.coded = header.coded
        self._count = count

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def kept(self, rows: list[int]) -> tuple[Item, NDArray[np.float32]]:
        """Return items as they are kept, (n, ...), see ``ClipFile.kept``, and a field's ranges."""

    def frames(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return (n, h, w, 3) uint8 RGB."""
        return self.kept(list(indices))[0]

    def fields(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return (n, 2, h, w) flow in pixels."""
        values, ranges = self.kept(list(indices))
        return decode_fields(values, ranges) if self.coded else values


class ClipReader(Reader):
    """Frames or fields of a clip file, or of a part of it; decoded values may stay in memory.

    Args:
        file: the clip file.
        frames: which frames of the video; None: all of them.
        keep: decode everything once and keep it, flow as its 8-bit codes.
    """

    def __init__(self, file: ClipFile, frames: range | None = None, *, keep: bool) -> None:
        part, header = _items(file, frames), file.header
        if frames is not None:
            header = replace(header, pauses=_within(header.pauses, frames))
        super().__init__(header, len(part))
        self.file = file
        self._first = part.start
        self._values = file.kept(part.start, part.stop) if keep else None

    def kept(self, rows: list[int]) -> tuple[Item, NDArray[np.float32]]:
        """Return items as they are kept, out of memory or the file."""
        there = [row + self._first for row in rows]
        if self.header.kind == "rgb":
            values = self.file.frames(there) if self._values is None else self._values[rows]
            return values, NO_RANGES
        if self._values is not None:
            return self._values[rows], self.file.ranges[there]
        first = min(there)  # all in one reading
        window = self.file.kept(first, max(there) + 1)
        return window[[row - first for row in there]], self.file.ranges[there]


def _items(file: ClipFile, frames: range | None) -> range:
    """Return which items of a file belong to frames of its video; None: to all."""
    if frames is None:
        return range(len(file))
    return frames if file.header.kind == "rgb" else frames[:-1]


def _within(pauses: Sequence[tuple[int, int]], frames: range) -> tuple[tuple[int, int], ...]:
    """Return the pauses of a part of a clip, counted from its own first frame."""
    cut = [(max(first, frames.start), min(end, frames.stop)) for first, end in pauses]
    return tuple((a - frames.start, b - frames.start) for a, b in cut if a < b)


class HeldReader(Reader):
    """Those items of another reader that are wanted, decoded once, in any number of readings.

    Args:
        reader: of the clip.
        rows: which items.
    """

    def __init__(self, reader: Reader, rows: Iterable[int]) -> None:
        super().__init__(reader.header, len(reader))
        wanted = sorted(set(rows))
        # neighbours in one reading: what lies between two of them would be decoded too
        cuts = [i for i in range(1, len(wanted)) if wanted[i] > wanted[i - 1] + 1]
        spans = zip([0, *cuts], [*cuts, len(wanted)], strict=True)
        parts = [reader.kept(wanted[start:stop]) for start, stop in spans]
        self._values, self._ranges = (np.concatenate(part) for part in zip(*parts, strict=True))
        self._places = {row: place for place, row in enumerate(wanted)}

    def kept(self, rows: list[int]) -> tuple[Item, NDArray[np.float32]]:
        """Return items out of memory; the wanted ones alone."""
        places = [self._places[row] for row in rows]
        ranges = self._ranges[places] if len(self._ranges) else NO_RANGES
        return self._values[places], ranges


def decoded_bytes(file: ClipFile, frames: range | None = None) -> int:
    """Return how much memory a clip's decoded values take, or those of some frames of it."""
    return len(_items(file, frames)) * file.header.empty(1).nbytes
