"""Pictures of hard clips as data URIs, and the colour wheel that explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.display.colours import flow_picture, flow_to_rgb, to_uri
from twostream.flow import make_estimator
from twostream.labels.stretch_ids import span_of
from twostream.report.run_contents import part
from twostream.store.clip_readers import Reader
from twostream.store.clips import ClipCache
from twostream.store.coding import Kind
from twostream.store.flow_store import FlowStore
from twostream.threads import sentence
from twostream.types import LabeledVideo, StoreError
from twostream.video import open_reader

_MAX_SIDE_PX = 360
# A video is decoded up to its middle only where the store has no frames, and not further than this.
_MAX_DECODED_FRAMES = 600


@dataclass(slots=True)
class ClipPicture:
    """A middle frame and its flow, as data URIs; the one that is missing is None.

    Attributes:
        index, count: which of how many frames it is (count 0: not known), from 0.
        longest_px: longest displacement of the flow picture, px of the stored size.
        missing: why a picture is missing, in words.
    """

    frame: str | None = None
    flow: str | None = None
    index: int = 0
    count: int = 0
    longest_px: float = 0.0
    missing: str = ""


def open_store(run: Path, settings: Mapping[str, Any]) -> FlowStore | str:
    """Open the store that a run was made from, also where RUN was moved; or return why not."""
    root = part(settings, "store").get("root")
    places = [run / "flow"] if root is None else [Path(root), run / root, run / "flow"]
    for place in places:
        try:
            if (place / "store.json").is_file():
                return FlowStore.open(place)
        except (StoreError, OSError) as error:  # the latter of a name that is too long
            return str(error)
    return f"the store of frames and flow is not at {places[0]} any more"


def clip_picture(store: FlowStore, video_id: str, fingerprint: str = "") -> ClipPicture:
    """Return the middle frame of a stored clip and the flow from there to the next frame.

    None of a video of another ``fingerprint``, where one is known: data sets that share a store may
    call two videos the same.
    """
    found = ClipPicture()
    try:
        rgb = _reader(store, video_id, "rgb", fingerprint)
        found.count, found.index = len(rgb), (len(rgb) - 1) // 2
        found.frame = to_uri(_shrunk(rgb.frames([found.index])[0]))
    except (StoreError, IndexError) as error:
        found.missing = str(error)
    try:
        forward = _reader(store, video_id, "forward", fingerprint)
        last = len(forward) - 1
        middle = min(found.index, last) if found.count else last // 2
        if middle < 0:
            raise StoreError("a clip of one frame has no motion")
        found.flow, found.longest_px = _flow_uri(forward.fields([middle])[0])
    except StoreError as error:
        found.missing = found.missing or str(error)
    return found


def frames_of_stretch(
    store: FlowStore | str, video_id: str, count: int
) -> tuple[list[tuple[str, float]], str]:
    """Return frames of a stretch of a stored recording, evenly spaced, or none and why.

    Args:
        store: or why it is not there.
        video_id: of the stretch.
        count: how many at most; frame i is in the middle of the i-th part.

    Returns:
        Each as a data URI, with its place in the stretch in 0..1; and a sentence, or "".
    """
    if isinstance(store, str):
        return [], store
    try:
        rgb = _reader(store, video_id, "rgb")
        rows = list(dict.fromkeys((2 * i + 1) * len(rgb) // (2 * count) for i in range(count)))
        uris = [to_uri(_shrunk(frame)) for frame in rgb.frames(rows)]
        return list(zip(uris, ((row + 0.5) / len(rgb) for row in rows), strict=True)), ""
    except (StoreError, IndexError) as error:
        return [], str(error)


def _reader(store: FlowStore, video_id: str, kind: Kind, fingerprint: str = "") -> Reader:
    reader = ClipCache(store, (kind,), budget_bytes=0)[video_id].readers[kind]
    if fingerprint and reader.header.source_hash not in ("", fingerprint):
        raise StoreError(f"{store.root} holds another video of this name")
    return reader


def decoded_picture(video: LabeledVideo, settings: Mapping[str, Any]) -> ClipPicture:
    """Return the same from the video file, for runs whose store is gone.

    Raises:
        TwoStreamError: the video or the estimator cannot be used.
    """
    made = part(settings, "store")
    with open_reader(video.path, short_side=made.get("short_side")) as reader:
        limit = min(_MAX_DECODED_FRAMES, max(2, reader.info.num_frames_claimed))
        index = (limit - 1) // 2
        pair = [frame.rgb for frame in islice(reader, index, index + 2)]
        if not pair:  # fewer frames than the container claims
            pair, index = [frame.rgb for frame in islice(open_reader(video.path), 2)], 0
    if len(pair) < 2:
        return ClipPicture(frame=to_uri(_shrunk(pair[0])), index=index, missing="only one frame")
    estimator = make_estimator(str(made.get("flow", "dis")), **made.get("parameters", {}))
    first, second = (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in pair)
    flow, longest = _flow_uri(estimator(first, second))
    return ClipPicture(to_uri(_shrunk(pair[0])), flow, index, 0, longest)


def _flow_uri(field: NDArray[np.float32]) -> tuple[str, float]:
    picture, longest = flow_picture(field)
    return to_uri(_shrunk(picture)), longest


def _shrunk(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = _MAX_SIDE_PX / max(rgb.shape[:2])
    if factor >= 1:
        return rgb
    size = tuple(max(1, round(side * factor)) for side in rgb.shape[1::-1])
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def colour_wheel(side: int = 96) -> str:
    """Return the legend of flow pictures: each point's colour is that of motion towards it."""
    at = np.linspace(-1, 1, side, dtype=np.float32)
    field = np.stack(np.meshgrid(at, at))
    outside = np.hypot(field[0], field[1]) > 1
    picture = flow_to_rgb(np.where(outside, 0, field).astype(np.float32), max_px=1.0)
    alpha = np.where(outside, 0, 255).astype(np.uint8)
    return to_uri(np.dstack([picture, alpha]), lossless=True)


def picture_of(
    video_id: str,
    store: FlowStore | str,
    video: LabeledVideo | None,
    settings: Mapping[str, Any],
    fingerprint: str = "",
) -> ClipPicture:
    """Return a clip's pictures from the store, or from its video file, or why there are none."""
    stored = (
        ClipPicture(missing=store)
        if isinstance(store, str)
        else clip_picture(store, video_id, fingerprint)
    )
    if stored.frame or stored.flow or video is None or span_of(video_id):
        return stored  # hours may lie before a stretch
    try:
        return decoded_picture(video, settings)
    except Exception as error:  # noqa: BLE001  one picture must not cost the report
        return ClipPicture(missing=f"{stored.missing}; {sentence(error)}")
