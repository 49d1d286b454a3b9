"""One video: decoded once, its frames and flow written as clips; memory does not grow with it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from twostream.extraction.frame_pairs import (
    WithFlow,
    at_rate,
    clip_items,
    directions_of,
    output_rate,
    refuse_other_rate,
    with_flow,
)
from twostream.extraction.idle_threads import Helpers, with_flow_ahead
from twostream.extraction.pauses import (
    FilledClip,
    all_warnings,
    pause_warning,
    to_the_end,
    unbroken,
)
from twostream.flow.device import make_on_device
from twostream.flow.opencv import one_opencv_thread
from twostream.store.coding import Item
from twostream.store.flow_store import ClipFile, ClipHeader, ClipWriter, Kind, StoreSettings
from twostream.threads import num_threads
from twostream.types import Frame
from twostream.video import FrameFolder, VideoReader, open_reader

OnFrame = Callable[[int, float, float], None]


def tell_nobody(pairs: int, share: float, seconds: float) -> None:
    """Take the news of ``on_frame``: the default."""


def extract_clip(
    path: Path,
    settings: StoreSettings,
    kinds: Sequence[Kind],
    *,
    open_writer: Callable[[ClipHeader], ClipWriter],
    helpers: Helpers,
    video_id: str | None = None,
    fingerprint: str = "",
    on_frame: OnFrame = tell_nobody,
) -> str | None:
    """Decode a video once and write its frames and flow; memory is constant in its length.

    A video of one frame gives clips of flow with no field. What is stored is at an even rate, by
    the times of the file: the settings' or the nominal one. Where frames come more slowly they are
    repeated and their flow divided; where faster, some are left out. Through a pause the last frame
    stands and nothing moves; the header tells where (``ClipHeader.pauses``).

    Args:
        path: the video file, or folder of frames.
        settings: size, rate, codec and estimator.
        kinds: any of "rgb", "forward", "backward".
        open_writer: makes the writer for a header.
        helpers: threads that compute some of the pairs, and what makes the estimators.
        video_id: for the header; None takes the file's name.
        fingerprint: ``source_hash`` of it, for the header.
        on_frame: called with each frame: with the pairs computed for it (0 or 1), the share of the
            video that is done, as far as the file tells its length, and the seconds of the clip so
            far; what it raises ends the extraction and leaves nothing.

    Returns:
        A warning, if the video broke off early or has pauses.

    Raises:
        VideoError: no frame can be decoded.
        StoreError: the writer's disk refuses.
    """
    settings = settings.complete()
    directions = directions_of(kinds)
    estimator = helpers.estimator() if directions else None
    from_codec = estimator is not None and estimator.needs_motion_vectors
    with open_reader(
        path,
        short_side=settings.short_side,
        enlarges=settings.enlarges,
        motion_vectors=from_codec,
        fps=settings.fps,
    ) as reader:
        rate = output_rate(reader.info.fps, settings.fps)
        if from_codec:
            refuse_other_rate(path, reader.info.fps, rate)
        source_side = min(reader.info.height, reader.info.width)
        writers: dict[Kind, ClipWriter] = {}
        try:
            for kind in kinds:
                header = settings.header(
                    kind,
                    video_id=video_id or path.name,
                    height=reader.size[0],
                    width=reader.size[1],
                    fps=rate,
                    source_hash=fingerprint,
                    source_name=path.name,
                    source_side=source_side if source_side < min(reader.size) else 0,
                )
                writers[kind] = open_writer(header)
            clip = FilledClip(rate, reader.size, kinds)

            def flow_of(picked: Iterable[tuple[Frame, int]]) -> Iterable[WithFlow]:
                if estimator is None:
                    return with_flow(picked, None, directions)
                pairs = estimator.pairs_at_once(*reader.size)
                return with_flow_ahead(picked, directions, pairs=pairs, helpers=helpers)

            def write(added: list[dict[Kind, Item]]) -> None:
                for items in added:
                    for kind, item in items.items():
                        writers[kind].append(item)

            for start, picked in _picked(reader, settings, rate, all_frames=from_codec):
                for added in clip.run(start, clip_items(flow_of(picked), rate, kinds)):
                    pairs = int(any(kind != "rgb" for kind in added[0]))
                    on_frame(pairs, _share(reader), clip.frames / rate)
                    write(added)
            if not settings.imported:
                write(clip.end(reader.end_seconds))
            paused = pause_warning(path, clip.seconds(), clip.left_out_seconds)
            warning = all_warnings(reader.warning, paused)
            for writer in writers.values():
                writer.close(warning=warning, pauses=clip.pauses)
        finally:
            for writer in writers.values():
                writer.abort()  # without effect on those that are closed
        return warning


def _picked(
    reader: VideoReader | FrameFolder, settings: StoreSettings, rate: float, *, all_frames: bool
) -> Iterator[tuple[float, Iterator[tuple[Frame, int]]]]:
    """Yield when each run of frames without a pause starts, and its frames at the rate."""
    fps = reader.info.fps
    if settings.imported and rate == fps:  # other tools took one frame after the other
        yield 0.0, ((frame, min(i, 1)) for i, frame in enumerate(reader))
        return
    frames = to_the_end(reader, rate, moves=all_frames)
    for start, run in unbroken(frames, min(rate, fps), 0.0):
        yield start, at_rate(run, fps, rate, all_frames=all_frames)


def _share(reader: VideoReader | FrameFolder) -> float:
    return reader.frames_read / max(reader.info.num_frames_claimed, reader.frames_read)


def extract_to_memory(
    path: Path | str,
    settings: StoreSettings,
    kinds: Sequence[Kind] = ("rgb", "forward"),
    *,
    on_frame: OnFrame = tell_nobody,
) -> dict[Kind, ClipFile]:
    """Extract one video without a store on disk, on all cores, through the same encoding.

    Raises:
        VideoError: no frame can be decoded.
    """
    buffers: dict[Kind, io.BytesIO] = {}

    def open_writer(header: ClipHeader) -> ClipWriter:
        buffers[header.kind] = io.BytesIO()
        return ClipWriter(buffers[header.kind], header)

    make = partial(make_on_device, settings.flow, settings.parameters, "cpu")
    with one_opencv_thread(), closing(Helpers(make, threads=num_threads(), clips=1)) as helpers:
        extract_clip(
            Path(path),
            settings,
            kinds,
            open_writer=open_writer,
            helpers=helpers,
            on_frame=on_frame,
        )
    return {kind: ClipFile(buffer.getvalue()) for kind, buffer in buffers.items()}
