"""Stored clips as the streams see them: frames, stacks, and a cache of decoded values.

NumPy alone, so that prediction without torch can use it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twostream.inputs import flow_stack, rgb_stack
from twostream.labels.stretch_ids import stored_id
from twostream.sampling import (
    between_pauses,
    bidirectional_window,
    clamp_window,
    even_indices,
    num_starts,
)
from twostream.store.clip_file import ClipFile
from twostream.store.clip_readers import ClipReader, HeldReader, Reader, decoded_bytes
from twostream.store.coding import ZERO_CODE, ClipHeader, Kind, frames_of
from twostream.store.flow_store import FlowStore
from twostream.threads import give_back_memory, memory_bytes
from twostream.types import LabeledVideo, ModelSpec, StoreError, TemporalInput

CACHE_BYTES = 2 << 30  # of one loader process at most


@dataclass
class Clip:
    """One stored video, as the streams see it.

    Attributes:
        readers: kind -> its frames or fields, of those kinds that the streams need.
        flow_scale: flow is multiplied by this: where a net is trained on several data sets, it
            sees the motion of all at the scale of the first (``multitask``).
    """

    readers: Mapping[Kind, Reader]
    flow_scale: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its frames and fields, px."""
        return next(iter(self.readers.values())).size

    @property
    def header(self) -> ClipHeader:
        """Of its frames; where no stream sees any, of its flow."""
        return self.readers[max(self.readers)].header  # "rgb" comes last

    @property
    def num_frames(self) -> int:
        """How many frames it has, those of pauses too; a field lies between two of them."""
        kind = max(self.readers)
        return len(self.readers[kind]) + (kind != "rgb")

    def num_positions(self, temporal: TemporalInput | None) -> int:
        """Count the frames, or the places where a stack can start; never less than one."""
        if temporal is None:
            return len(self._need("rgb"))
        frames_or_fields = self._need("rgb" if temporal.rgb else "forward")
        return num_starts(max(1, len(frames_or_fields)), temporal.length)

    def seen_positions(self, temporal: TemporalInput | None) -> Sequence[int]:
        """Return the positions where a stack sees nothing of a pause.

        Each run of frames between pauses has those of a clip of its own, and the last field repeats
        where it is shorter than a stack. All positions where no two frames follow each other.
        """
        if not any(each.header.pauses for each in self.readers.values()):
            return range(self.num_positions(temporal))
        runs = self._runs("rgb" if temporal is None or temporal.rgb else "forward")
        length = 1 if temporal is None else temporal.length
        return [
            first + start for first, end in runs for start in range(num_starts(end - first, length))
        ] or range(self.num_positions(temporal))

    def stack(self, temporal: TemporalInput | None, position: int) -> NDArray[np.float32]:
        """Return what a stream sees at a position: (length, c, h, w), whole frames.

        Args:
            temporal: None for the spatial stream's single frame, RGB in 0..1.
            position: 0 .. num_positions - 1; of a bi-directional stack the first frame it covers.

        Flow is in pixels; clips, or runs between pauses, that are shorter than a stack repeat their
        last field, and a clip of one frame has no motion at all.
        """
        parts = self._parts(temporal, position)
        if temporal is None or temporal.rgb:
            ((reader, rows),) = parts
            return rgb_stack(reader.frames(rows))
        if not parts:
            return np.zeros((temporal.length, 2, *self._need("forward").size), np.float32)
        fields = [reader.fields(rows) for reader, rows in parts]
        stack = flow_stack(fields[0], temporal, *fields[1:])
        return stack if self.flow_scale == 1 else stack * np.float32(self.flow_scale)

    def stored(
        self, temporal: TemporalInput | None, position: int
    ) -> dict[str, NDArray[np.generic]]:
        """Return the same stack as the store keeps it: what an exported network takes.

        Returns:
            "frames" (length, h, w, 3) uint8 RGB; or "codes" (length, 2, h, w) uint8 and "ranges"
            (length, 2) float32 px; or, of a lossless store, "fields" (length, 2, h, w) float32 px.
            The backward half of a bi-directional stack comes after the forward half.
        """
        parts = [reader.kept(rows) for reader, rows in self._parts(temporal, position)]
        if temporal is None or temporal.rgb:
            return {"frames": parts[0][0]}
        forward = self._need("forward")
        if parts:
            values, ranges = (np.concatenate(part) for part in zip(*parts, strict=True))
        else:
            values = forward.header.empty(temporal.length)
            values[:] = ZERO_CODE if forward.coded else 0
            ranges = np.zeros((temporal.length, 2), np.float32)
        return {"codes": values, "ranges": ranges} if forward.coded else {"fields": values}

    def positions(self, temporal: TemporalInput | None, count: int) -> dict[int, int]:
        """Return the positions that the clip is scored on, and how often each counts.

        There are ``count`` of them at equal spacing (section 5, testing), pauses left out; a clip
        with fewer repeats some, and each is read only once.
        """
        seen = self.seen_positions(temporal)
        counts = Counter(seen[i] for i in even_indices(len(seen), count))
        return dict(sorted(counts.items()))

    def samples(
        self, temporal: TemporalInput | None, count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the clip is scored on: ``count`` positions at equal spacing, whole frames.

        Returns:
            Stacks (n, length, c, h, w) and how often each counts (n,), see ``positions``.
        """
        counts = self.positions(temporal, count)
        clip = self.holding(temporal, counts)
        first, *others = counts
        stack = clip.stack(temporal, first)
        stacks = np.empty((len(counts), *stack.shape), np.float32)
        stacks[0] = stack
        for place, position in enumerate(others, start=1):
            stacks[place] = clip.stack(temporal, position)
        return stacks, np.array(list(counts.values()), np.float32)

    def holding(self, temporal: TemporalInput | None, positions: Iterable[int]) -> Clip:
        """Return the clip with what these positions need in memory: stacks overlap."""
        wanted: dict[int, set[int]] = {}
        for position in positions:
            for reader, rows in self._parts(temporal, position):
                wanted.setdefault(id(reader), set()).update(rows)
        held = {
            kind: HeldReader(reader, wanted[id(reader)]) if id(reader) in wanted else reader
            for kind, reader in self.readers.items()
        }
        return replace(self, readers=held)

    def _parts(
        self, temporal: TemporalInput | None, position: int
    ) -> list[tuple[Reader, list[int]]]:
        """Return what a stack is read from: readers and indices; none where nothing moves."""
        if temporal is None:
            return [(self._need("rgb"), [position])]
        runs = self._runs("rgb" if temporal.rgb else "forward")
        if not runs:
            return []
        first, end = max((run for run in runs if run[0] <= position), default=runs[0])
        start, count, length = position - first, end - first, temporal.length
        if not temporal.bidirectional:
            reader = self._need("rgb" if temporal.rgb else "forward")
            return [(reader, [first + i for i in clamp_window(start, length, count)])]
        ahead, back = bidirectional_window(start + length // 2, length, count)
        return [
            (self._need("forward"), [first + i for i in ahead]),
            (self._need("backward"), [first + i for i in back]),
        ]

    def _runs(self, kind: Kind) -> list[tuple[int, int]]:
        """Return [first, end) of the frames, or of the fields, of each run between pauses."""
        reader, flow = self._need(kind), int(kind != "rgb")
        runs = between_pauses(reader.header.pauses, len(reader) + flow)
        return [(first, end - flow) for first, end in runs if end - first > flow]

    def _need(self, kind: Kind) -> Reader:
        if kind not in self.readers:
            raise StoreError(
                f"this input needs the {kind} files of every clip: run extract again with them"
            )
        return self.readers[kind]


class ClipCache:
    """Opens clips of a store, and keeps the decoded values of as many as fit in memory.

    The first ones that fit stay: clips are drawn at random, so none is wanted sooner than another,
    and one that pushed others out would be decoded whole for the few items that are asked for.

    Args:
        store: where the clips lie.
        kinds: which files of a clip to open.
        budget_bytes: decoded bytes kept in memory; None: an eighth of the machine's.
    """

    def __init__(
        self, store: FlowStore, kinds: Sequence[Kind], *, budget_bytes: int | None = None
    ) -> None:
        self.store = store
        self.kinds = tuple(kinds)
        self.budget_bytes = memory_bytes() // 8 if budget_bytes is None else budget_bytes
        self._clips: dict[str, Clip] = {}
        self._files: dict[tuple[str, Kind], ClipFile] = {}
        self._bytes = 0
        self._lock = Lock()
        self._part: ClipCache | None = None
        self._process = os.getpid()
        if self.budget_bytes:  # caches that are gone leave gigabytes with the threads that read
            give_back_memory()

    def of(self, kinds: Sequence[Kind]) -> ClipCache:
        """Return a cache of these kinds alone; what was kept of others is let go."""
        if set(kinds) == set(self.kinds):
            return self
        if self._part is None or self._part.kinds != tuple(kinds):
            self._clips, self._bytes, self._part = {}, 0, None
            self._part = ClipCache(self.store, kinds, budget_bytes=self.budget_bytes)
        return self._part

    def __getitem__(self, video_id: str) -> Clip:
        """Return the clip; raises StoreError where a file is missing or damaged."""
        with self._lock:
            if video_id in self._clips:
                return self._clips[video_id]
        whole = stored_id(video_id)
        files = {kind: self._file(whole, kind, keep=whole != video_id) for kind in self.kinds}
        frames = {kind: frames_of(video_id, file.header) for kind, file in files.items()}
        size = sum(decoded_bytes(file, frames[kind]) for kind, file in files.items())
        with self._lock:
            if os.getpid() != self._process:  # a forked loader process: no pickling told it
                self._process = os.getpid()
                self.budget_bytes = min(self.budget_bytes, self._bytes + CACHE_BYTES)
            keep = self._bytes + size <= self.budget_bytes
        clip = Clip(
            {kind: ClipReader(file, frames[kind], keep=keep) for kind, file in files.items()}
        )
        with self._lock:
            if keep and video_id not in self._clips:
                self._clips[video_id] = clip
                self._bytes += size
        return clip

    def _file(self, whole: str, kind: Kind, *, keep: bool) -> ClipFile:
        """Open a file; one of which stretches are wanted stays open: its index is long."""
        file = self._files.get((whole, kind)) or self.store.clip(whole, kind)
        if keep:
            self._files[whole, kind] = file
        return file

    def fps(self, video_id: str) -> float:
        """Return the frame rate of a stored clip, without decoding anything."""
        return self.store.clip(stored_id(video_id), self.kinds[0]).header.fps

    def __getstate__(self) -> dict[str, Any]:
        """Loader processes and devices start with an empty, smaller cache of their own."""
        budget = min(self.budget_bytes, CACHE_BYTES)
        return {"store": self.store, "kinds": self.kinds, "budget_bytes": budget}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


class Clips(Protocol):
    """Where clips come from: a ``ClipCache``, or several of them under one roof."""

    @property
    def store(self) -> FlowStore:
        """The store of the (first) data set, whose settings the model file tells."""

    def __getitem__(self, video_id: str) -> Clip:
        """Return the clip; raises StoreError where a file is missing or damaged."""

    def fps(self, video_id: str) -> float:
        """Return the frame rate of a stored clip, without decoding anything."""


def kinds_of(specs: Iterable[ModelSpec]) -> tuple[Kind, ...]:
    """Return which files of each clip these networks see, sorted."""
    kinds: set[Kind] = set()
    for spec in specs:
        kinds |= set(spec.temporal.directions) if spec.temporal and spec.is_flow else {"rgb"}
    return tuple(sorted(kinds))


def motion_rms(clips: Clips, videos: Sequence[LabeledVideo], temporal: TemporalInput) -> float:
    """Return the root mean square of the motion that the net will see, for its normalisation.

    Of flow in pixels, of differences of frames in shares of the whole range.

    Measured on one stack from the middle of up to 200 training videos, evenly chosen.
    """
    chosen = [videos[i] for i in sorted(set(even_indices(len(videos), 200)))]
    squares = []
    for video in chosen:
        clip = clips[video.video_id]
        seen = clip.seen_positions(temporal)
        stack = clip.stack(temporal, seen[len(seen) // 2])
        stack = np.diff(stack, axis=0) if temporal.differences else stack
        squares.append(float(np.square(stack).mean()))
    return max(float(np.sqrt(np.mean(squares))), 1e-3)
