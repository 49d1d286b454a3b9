"""One video: decoded once, its frames and flow written as clips; memory does not grow with it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from twostream.extraction.frame_pairs import at_rate, clip_items, directions_of, with_flow
from twostream.extraction.idle_threads import Helpers, with_flow_ahead
from twostream.flow.device import make_on_device
from twostream.flow.opencv import one_opencv_thread
from twostream.store.flow_store import ClipFile, ClipHeader, ClipWriter, Kind, StoreSettings
from twostream.types import VideoError
from twostream.video import VideoReader

OnFrame = Callable[[int, float], None]


def extract_clip(
    path: Path,
    settings: StoreSettings,
    kinds: Sequence[Kind],
    *,
    open_writer: Callable[[ClipHeader], ClipWriter],
    helpers: Helpers,
    video_id: str | None = None,
    fingerprint: str = "",
    on_frame: OnFrame = lambda pairs, share: None,
) -> str | None:
    """Decode a video once and write its frames and flow; memory is constant in its length.

    A video of one frame gives clips of flow with no field. Frames of a slower rate than the
    settings ask for are repeated and their flow divided; of a faster rate, frames are left out.

    Args:
        path: the video file.
        settings: size, rate, codec and estimator.
        kinds: any of "rgb", "forward", "backward".
        open_writer: makes the writer for a header.
        helpers: threads that compute some of the pairs, and what makes the estimators.
        video_id: for the header; None takes the file's name.
        fingerprint: ``source_hash`` of the file, for the header.
        on_frame: called after each frame with the pairs computed for it (0 or 1) and the share of
            the video that is done, as far as the file tells its length; what it raises ends the
            extraction and leaves nothing.

    Returns:
        The reader's warning, if the video broke off early.

    Raises:
        VideoError: no frame can be decoded.
        StoreError: the writer's disk refuses.
    """
    settings = settings.complete()
    directions = directions_of(kinds)
    estimator = helpers.estimator() if directions else None
    from_codec = estimator is not None and estimator.needs_motion_vectors
    with VideoReader(path, short_side=settings.short_side, motion_vectors=from_codec) as reader:
        rate, picked = at_rate(reader, reader.info.fps, settings.fps)
        if from_codec and rate != reader.info.fps:
            raise VideoError(
                path,
                f"it has {reader.info.fps:g} frames/s, and motion vectors, which lead from each "
                f"frame to the next, cannot be brought to {settings.fps:g}: leave --fps away, or "
                "use another flow method",
            )
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
                )
                writers[kind] = open_writer(header)
            flow = with_flow(picked, None, directions)
            if estimator is not None:
                pairs = estimator.pairs_at_once(*reader.size)
                flow = with_flow_ahead(picked, directions, pairs=pairs, helpers=helpers)
            for added in clip_items(flow, rate, kinds):
                for items in added:
                    for kind, item in items.items():
                        writers[kind].append(item)
                share = reader.frames_read / max(reader.info.num_frames_claimed, reader.frames_read)
                on_frame(int(any(kind != "rgb" for kind in added[0])), share)
            for writer in writers.values():
                writer.close(warning=reader.warning)
        finally:
            for writer in writers.values():
                writer.abort()  # without effect on those that are closed
        return reader.warning


def extract_to_memory(
    path: Path | str,
    settings: StoreSettings,
    kinds: Sequence[Kind] = ("rgb", "forward"),
    *,
    on_frame: OnFrame = lambda pairs, share: None,
) -> dict[Kind, ClipFile]:
    """Extract one video without a store on disk, through the same encoding and decoding.

    Raises:
        VideoError: no frame can be decoded.
    """
    buffers: dict[Kind, io.BytesIO] = {}

    def open_writer(header: ClipHeader) -> ClipWriter:
        buffers[header.kind] = io.BytesIO()
        return ClipWriter(buffers[header.kind], header)

    make = partial(make_on_device, settings.flow, settings.parameters, "cpu")
    with one_opencv_thread(), closing(Helpers(make, threads=1, clips=1)) as this_thread:
        extract_clip(
            Path(path),
            settings,
            kinds,
            open_writer=open_writer,
            helpers=this_thread,
            on_frame=on_frame,
        )
    return {kind: ClipFile(buffer.getvalue()) for kind, buffer in buffers.items()}
