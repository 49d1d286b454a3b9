"""The last frames and fields of a stream of frames, each computed once, as a clip."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream.extraction.frame_pairs import (
    WithFlow,
    at_rate,
    clip_items,
    directions_of,
    output_rate,
    refuse_other_rate,
    resample,
    with_flow,
    within_windows,
)
from twostream.extraction.idle_threads import Helpers, with_flow_ahead
from twostream.extraction.pauses import PAUSE_SECONDS, unbroken
from twostream.flow import FlowEstimator
from twostream.flow.opencv import one_opencv_thread
from twostream.store.clip_readers import Reader
from twostream.store.clips import Clip
from twostream.store.coding import ClipHeader, Item, Kind, coded_item
from twostream.store.flow_store import StoreSettings
from twostream.types import Frame, UsageError, VideoError
from twostream.video import shrink
from twostream.video.opening import check_size


class RecentItem:
    """A frame or field as the store keeps it: the networks were trained on what comes back.

    Fields are coded at once: nearly all are looked at, and their codes take less memory. Frames are
    coded when they are looked at, which few of them are.
    """

    def __init__(self, item: Item, header: ClipHeader) -> None:
        self._item = item
        self._header = header
        if header.kind != "rgb":
            self.coded = coded_item(item, header)
            del self._item

    @cached_property
    def coded(self) -> tuple[Item, Item]:
        """The item and its ranges, see ``coded_item``."""
        return coded_item(self._item, self._header)


class RecentItems(Reader):
    """Frames or fields that are in memory, one by one.

    Args:
        header: of the clip that they would be.
        items: what is kept.
    """

    def __init__(self, header: ClipHeader, items: Sequence[RecentItem]) -> None:
        super().__init__(header, len(items))
        self._items = items

    def kept(self, rows: list[int]) -> tuple[Item, NDArray[np.float32]]:
        """Return items as they are kept."""
        values, ranges = zip(*(self._items[row].coded for row in rows), strict=True)
        return np.stack(values), np.stack(ranges)


class Stretch(Reader):
    """A stretch of another reader's frames or fields.

    Args:
        reader: the whole.
        start, count: first index, and how many.
    """

    def __init__(self, reader: Reader, start: int, count: int) -> None:
        super().__init__(replace(reader.header, pauses=()), count)  # it lies between them
        self._reader = reader
        self._start = start

    def kept(self, rows: list[int]) -> tuple[Item, NDArray[np.float32]]:
        """Return items as they are kept by the whole."""
        return self._reader.kept([self._start + row for row in rows])


def stretch(clip: Clip, start: int, end: int) -> Clip:
    """Return the frames ``start`` up to ``end``, without it, and the fields between them.

    None of them may stand for a pause.
    """
    readers = {
        kind: Stretch(reader, start, max(0, end - start - (kind != "rgb")))
        for kind, reader in clip.readers.items()
    }
    return replace(clip, readers=readers)


@dataclass(frozen=True, slots=True)
class Window:
    """What a stretch of a stream of frames holds, ready to score.

    Attributes:
        clip: its frames and fields.
        start_seconds, end_seconds: where it lies in the stream.
    """

    clip: Clip
    start_seconds: float
    end_seconds: float

    @property
    def first_frame(self) -> int:
        """The number of its first frame in the stream, at the model's rate."""
        return round(self.start_seconds * self.clip.header.fps)


class RecentClip:
    """Takes frames one after the other and keeps what the last of them hold.

    It begins anew after a pause of the frames: no window and no flow reaches across.

    Args:
        settings: size, rate, codec and estimator of the model.
        kinds: any of "rgb", "forward", "backward".
        estimator: one that no other thread uses; None where no flow is seen.
        frames: number of frames kept, with the fields between them; None keeps all.
        name: of the stream, for errors.
        smallest_px: the networks' crop; smaller frames are refused.
        helpers: threads that compute pairs too, some frames ahead; None: each field at once.

    Attributes:
        seen: number of frames so far, at the model's rate; those that a pause would hold count.
        pauses: (start, end) of them so far, in seconds.
        rate: frames per second of what is kept; known once ``runs`` has begun.
        size: height and width of what is kept in pixels; likewise.
    """

    def __init__(
        self,
        settings: StoreSettings,
        kinds: Sequence[Kind],
        estimator: FlowEstimator | None,
        frames: int | None,
        name: Path | str = "stream",
        smallest_px: int = 1,
        helpers: Helpers | None = None,
    ) -> None:
        self.name = name
        self.helpers = helpers
        self.smallest_px = smallest_px
        self.settings = settings
        self.kinds = kinds
        self.estimator = estimator
        self.seen = 0
        self.pauses: list[tuple[float, float]] = []
        self.rate = 0.0
        self.size = (0, 0)
        self._limit = frames
        self._last: list[tuple[Frame, int]] = []  # of a run, where flow was left out
        self._begun = 0  # ``seen`` where the run of frames without a pause began
        self._headers: dict[Kind, ClipHeader] = {}
        self._kept: dict[Kind, deque[RecentItem]] = {}
        for kind in kinds:
            most = None if frames is None else frames if kind == "rgb" else max(frames - 1, 0)
            self._kept[kind] = deque(maxlen=most)

    @property
    def needs_motion_vectors(self) -> bool:
        """Whether frames must be read with the codec's motion."""
        return self.estimator is not None and self.estimator.needs_motion_vectors

    def runs(
        self,
        frames: Iterable[NDArray[np.uint8] | Frame],
        fps: float | None,
        origin: float | None = None,
        every: int | None = None,
    ) -> Iterator[Iterator[int]]:
        """Take frames from an iterable; yields ``seen`` after each one that is kept.

        A frame of a slower video stands for several, of a faster one some are passed over, as in
        extraction. The flow of each pair is computed once, or not where it lies between windows.

        Args:
            frames: (h, w, 3) uint8 RGB, or ``Frame`` with its own time.
            fps: of the frames; None: unknown, or what it is called has no say.
            origin: the time that counts as 0; None: that of the first frame.
            every: see ``windows``.

        Yields:
            An iterator for each run of frames without a pause, to be used up before the next.
        """
        wanted = self.settings.fps
        if fps is None and wanted is None:
            raise UsageError("frames of an unknown rate need a model that has one")
        self.rate = output_rate(fps or wanted or 0.0, wanted)
        if self.needs_motion_vectors and fps is not None:
            refuse_other_rate(self.name, fps, self.rate)
        prepared = self._prepared(frames, fps)
        for start, run in unbroken(prepared, fps and min(fps, self.rate), origin):
            self._begin(start)
            if fps is None:
                picked = resample(run, self.rate)
            else:
                picked = at_rate(run, fps, self.rate, all_frames=self.needs_motion_vectors)
            length = None if self.estimator is None else self._limit
            if every is not None and length is not None and every > length:
                picked = self._within_windows(picked, length, every)
            yield self._take(picked)

    def _within_windows(
        self, picked: Iterable[tuple[Frame, int]], length: int, every: int
    ) -> Iterator[tuple[Frame, int]]:
        """Leave out the flow between windows; keeps the last frames, which one more may hold."""
        last = deque[tuple[Frame, int]](maxlen=length)

        def passed() -> Iterator[tuple[Frame, int]]:
            for each in picked:
                last.append(each)
                yield each

        self._last = []
        yield from within_windows(passed(), self.rate, length=length, every=every)
        self._last = [(frame, gap if i else 0) for i, (frame, gap) in enumerate(last)]

    def _begin(self, seconds: float) -> None:
        """Forget what was before a pause, which ends now; the first frames may follow none."""
        before, self.seen = self.seen, max(self.seen, round(seconds * self.rate))
        if self.seen > before:
            self.pauses.append((before / self.rate, self.seen / self.rate))
        self._begun = self.seen
        self._forget()

    def _forget(self) -> None:
        for kept in self._kept.values():
            kept.clear()

    def end(self, seconds: float) -> None:
        """Count what is left up to an end as a pause, where it is one."""
        if seconds - self.seen / self.rate > PAUSE_SECONDS:
            self._begin(seconds)

    def _take(self, picked: Iterable[tuple[Frame, int]]) -> Iterator[int]:
        groups = clip_items(self._with_flow(picked), self.rate, self.kinds)
        while True:
            with one_opencv_thread():  # not across a yield: the caller's work is the caller's
                added = next(groups, None)
            if added is None:
                return
            for items in added:
                self._keep(items)
                self.seen += 1
                yield self.seen

    def _keep(self, items: dict[Kind, Item]) -> None:
        for kind, item in items.items():
            self._kept[kind].append(RecentItem(item, self._headers[kind]))

    def _with_flow(self, picked: Iterable[tuple[Frame, int]]) -> Iterator[WithFlow]:
        directions = directions_of(self.kinds)
        if self.estimator is None or self.helpers is None:
            return with_flow(picked, self.estimator, directions)
        pairs = self.estimator.pairs_at_once(*self.size)
        return with_flow_ahead(picked, directions, pairs=pairs, helpers=self.helpers)

    def windows(
        self,
        frames: Iterable[NDArray[np.uint8] | Frame],
        fps: float | None,
        every: int | None,
        origin: float | None = None,
    ) -> Iterator[Window]:
        """Take frames and yield what is kept, each time that a window is due.

        Args:
            frames, fps, origin: as in ``runs``.
            every: frames at the model's rate from the end of a window to the end of the next; None:
                one window, at the end.

        Yields:
            The first window as soon as it is full; the last one ends with the last frame, or with
            the last one before a pause. What follows a pause is like a stream of its own.
        """
        for run in self.runs(frames, fps, origin, every):
            due = None
            if self._limit is not None and every is not None:
                due = self._begun + self._limit
            yielded = self._begun
            for seen in run:
                if due is not None and every is not None and seen == due:
                    yielded, due = seen, due + every
                    yield self.window()
            if self.seen > yielded:
                if self._last and yielded > self._begun:
                    self._complete()
                yield self.window()

    def _complete(self) -> None:
        """Compute all flow of the last frames, of which some was left out between windows."""
        self._forget()
        with one_opencv_thread():
            flow = with_flow(self._last, self.estimator, directions_of(self.kinds))
            for added in clip_items(flow, self.rate, self.kinds):
                for items in added:
                    self._keep(items)

    def window(self) -> Window:
        """Return what is kept now, and where it lies."""
        kept = self.seen - self._begun
        if self._limit is not None:
            kept = min(kept, self._limit)
        return Window(self.clip(), (self.seen - kept) / self.rate, self.seen / self.rate)

    def clip(self) -> Clip:
        """Return what is kept now; later frames do not change it."""
        return Clip(
            {
                kind: RecentItems(self._headers[kind], list(kept))
                for kind, kept in self._kept.items()
            }
        )

    def _prepared(
        self, frames: Iterable[NDArray[np.uint8] | Frame], fps: float | None
    ) -> Iterator[Frame]:
        last = -math.inf
        for i, frame in enumerate(frames):
            rgb = frame.rgb if isinstance(frame, Frame) else np.asarray(frame)
            if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
                raise UsageError(
                    f"frame {i} is {rgb.shape} {rgb.dtype}, expected (height, width, 3) uint8 RGB"
                )
            height, width, _ = rgb.shape
            kept = shrink(rgb, self.settings.short_side, self.settings.enlarges)
            # who gives frames may fill them anew, and some are looked at later
            rgb = kept.copy() if np.may_share_memory(kept, rgb) else kept
            if i == 0:
                self.size = (rgb.shape[0], rgb.shape[1])
                check_size(self.name, height, width, self.smallest_px)
                for kind in self.kinds:
                    self._headers[kind] = self.settings.header(
                        kind,
                        video_id="stream",
                        height=self.size[0],
                        width=self.size[1],
                        fps=self.rate,
                    )
            elif rgb.shape[:2] != self.size:
                raise VideoError(
                    self.name,
                    f"frame {i} is {rgb.shape[1]}x{rgb.shape[0]} px after frames of "
                    f"{self.size[1]}x{self.size[0]}: start another stream",
                )
            if isinstance(frame, Frame):
                if not last <= frame.pts_seconds < math.inf:
                    raise UsageError(
                        f"{self.name}: frame {i} is at {frame.pts_seconds:g} s after one at "
                        f"{last:g} s: times must rise, frames of another video are another stream"
                    )
                last = frame.pts_seconds
                yield replace(frame, rgb=rgb)  # with its motion, where the flow is the codec's
            elif fps is None:
                raise UsageError("arrays need a rate: give fps, or Frame with its own time")
            else:
                yield Frame(rgb, i / fps)
