"""Pictures of the report as data URIs: hard clips, first-layer filters, the colour wheel."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.checkpoint import load_model
from twostream.display.colours import flow_to_rgb
from twostream.flow import make_estimator
from twostream.models import first_convolution
from twostream.report.filters import KINDS, DerivativeReading, derivative_reading, figure4_picture
from twostream.store.flow_store import FlowStore
from twostream.types import LabeledVideo, ModelError, StoreError, TwoStreamError
from twostream.video import VideoReader

MAX_FILTERS = 96  # as many as CNN-M has
_FILTERS_PER_BLOCK = 48
_BLOCK_PX = 960  # fits the page
_MAX_SIDE_PX = 360
# A video is decoded up to its middle only where the store has no frames, and not further than this.
_MAX_DECODED_FRAMES = 600


@dataclass(frozen=True, slots=True)
class ClipPicture:
    """A middle frame and its flow, as data URIs; the one that is missing is None.

    Attributes:
        frame, flow: pictures.
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


def to_uri(rgb: NDArray[np.uint8], *, lossless: bool = False) -> str:
    """Return a data URI of an (h, w, 3) RGB or (h, w, 4) RGBA picture; JPEG unless lossless."""
    code = cv2.COLOR_RGBA2BGRA if rgb.shape[2] == 4 else cv2.COLOR_RGB2BGR
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), code)
    options = [] if lossless else [cv2.IMWRITE_JPEG_QUALITY, 88]
    encoded = cv2.imencode(".png" if lossless else ".jpg", bgr, options)[1]
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"


def open_store(run: Path, settings: Mapping[str, Any]) -> FlowStore:
    """Open the store that a run was made from, also where the RUN folder was moved.

    Raises:
        StoreError: there is none any more.
    """
    described = settings.get("store")
    root = described.get("root") if isinstance(described, dict) else None
    places = [run / "flow"] if root is None else [Path(root), run / root, run / "flow"]
    for place in places:
        if (place / "store.json").is_file():
            return FlowStore.open(place)
    raise StoreError(f"the store of frames and flow is not at {places[0]} any more")


def clip_picture(store: FlowStore, video_id: str) -> ClipPicture:
    """Return the middle frame of a stored clip and the flow from there to the next frame."""
    frame = flow = None
    index = count = 0
    longest, missing = 0.0, ""
    try:
        rgb = store.clip(video_id, "rgb")
        count, index = len(rgb), (len(rgb) - 1) // 2
        frame = to_uri(_shrunk(rgb.frames([index])[0]))
    except (StoreError, IndexError) as error:
        missing = str(error)
    try:
        forward = store.clip(video_id, "forward")
        middle = min(index, len(forward) - 1) if count else (len(forward) - 1) // 2
        if middle >= 0:
            flow, longest = _flow_uri(forward.fields(middle, middle + 1)[0])
        else:
            missing = missing or "a clip of one frame has no motion"
    except StoreError as error:
        missing = missing or str(error)
    return ClipPicture(frame, flow, index, count, longest, missing)


def decoded_picture(video: LabeledVideo, settings: Mapping[str, Any]) -> ClipPicture:
    """Return the same from the video file, for runs whose store is gone.

    Raises:
        TwoStreamError: the video or the estimator cannot be used.
    """
    made = settings.get("store")
    made = made if isinstance(made, dict) else {}
    with VideoReader(video.path, short_side=made.get("short_side")) as reader:
        limit = min(_MAX_DECODED_FRAMES, max(2, reader.info.num_frames_claimed))
        index = (limit - 1) // 2
        pair = [frame.rgb for frame in islice(reader, index, index + 2)]
        if not pair:  # fewer frames than the container claims
            pair, index = [frame.rgb for frame in islice(VideoReader(video.path), 2)], 0
    if len(pair) < 2:
        return ClipPicture(frame=to_uri(_shrunk(pair[0])), index=index, missing="only one frame")
    estimator = make_estimator(str(made.get("flow", "dis")), **made.get("parameters", {}))
    first, second = (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in pair)
    flow, longest = _flow_uri(estimator(first, second))
    return ClipPicture(to_uri(_shrunk(pair[0])), flow, index, 0, longest)


def _flow_uri(field: NDArray[np.float32]) -> tuple[str, float]:
    longest = float(np.hypot(field[0], field[1]).max())
    # noise of a tenth of a pixel must not look like motion
    return to_uri(_shrunk(flow_to_rgb(field, max_px=max(longest, 1.0)))), longest


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


@dataclass(frozen=True, slots=True)
class FilterPicture:
    """First-layer filters of a stream.

    Attributes:
        images: data URIs with their width in px; several blocks of a long list.
        shown, total: filters in the pictures, filters in the layer.
        side: of a filter, px.
        columns: what the columns of RGB stacks' pictures are, in words; else "".
        reading: of the layer as derivatives of the flow; None for filters of RGB.
    """

    images: tuple[tuple[str, int], ...]
    shown: int
    total: int
    side: tuple[int, int]
    columns: str
    reading: DerivativeReading | None = None


def filter_picture(model_file: Path) -> FilterPicture:
    """Draw the first layer of a model file, filters with the largest norm first.

    Filters of RGB are shown in colour. Filters of flow are columns with a row for each of the 2L
    channels, in grey: the paper's figure 4. They stand in the order of what they compute, temporal
    derivatives first. Each filter is scaled by its own largest weight.

    Raises:
        ModelError: no model file, or one whose first layer is not a plain convolution.
    """
    try:
        model = load_model(model_file)
        layer = first_convolution(model.network)
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise ModelError(f"{model_file.name} has no first layer to show ({error})") from error
    weight = layer.weight.detach().float().cpu().numpy()
    temporal = model.spec.temporal
    span = weight.shape[2] if weight.ndim == 5 else 0  # frames that a filter of slow fusion sees
    if weight.shape[1] != (3 if span else model.spec.in_channels):
        raise ModelError(f"the first layer of {model_file.name} is not a plain convolution")
    order = np.argsort(-np.linalg.norm(weight.reshape(len(weight), -1), axis=1), kind="stable")
    if temporal is not None and not temporal.rgb:
        return _flow_filters(weight, order[:MAX_FILTERS], bidirectional=temporal.bidirectional)
    shown = weight[order[:MAX_FILTERS]]
    if span:  # frame by frame, as a plain stack has them
        shown = shown.swapaxes(1, 2).reshape(len(shown), -1, *shown.shape[3:])
    shown = shown / np.maximum(np.abs(shown).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    n, _, height, width = shown.shape
    if temporal is None:
        tiles = _rgb_tiles(shown[:, None])[:, 0]
        columns = min(16, n)
        blank = np.zeros((-n % columns, *tiles.shape[1:]), np.uint8)
        grid = np.concatenate([tiles, blank]).reshape(-1, columns, *tiles.shape[1:])
        image = _enlarged(_mosaic(grid), max(1, round(34 / width)))
        return FilterPicture((image,), n, len(weight), (height, width), "")
    planes = shown.reshape(n, span or temporal.length, -1, height, width)
    words = f"the {span} frames that a filter spans" if span else f"the {temporal.length} frames"
    tiles = _rgb_tiles(planes)
    scale = max(1, min(6, round(320 / (tiles.shape[1] * (width + 1)))))
    blocks = [tiles[i : i + _FILTERS_PER_BLOCK] for i in range(0, n, _FILTERS_PER_BLOCK)]
    images = tuple(_enlarged(_mosaic(block), scale) for block in blocks)
    return FilterPicture(
        images, n, len(weight), (height, width), f"rows: filters; columns: {words} in order"
    )


def _flow_filters(
    weight: NDArray[np.float32], chosen: NDArray[np.intp], *, bidirectional: bool
) -> FilterPicture:
    """Draw filters of flow by what they compute; all of the layer is read, ``chosen`` are shown."""
    reading = derivative_reading(weight, bidirectional=bidirectional)
    ordered = weight[sorted(chosen, key=lambda i: KINDS.index(reading.kinds[i]))]
    n, _, height, width = ordered.shape
    blocks = [ordered[i : i + _FILTERS_PER_BLOCK] for i in range(0, n, _FILTERS_PER_BLOCK)]
    scale = max(1, min(4, (_BLOCK_PX // len(blocks[0]) - 2) // width))
    grey = [figure4_picture(block, scale=scale) for block in blocks]
    images = tuple(
        (to_uri(np.repeat(g[..., None], 3, axis=2), lossless=True), g.shape[1]) for g in grey
    )
    return FilterPicture(images, n, len(weight), (height, width), "", reading)


def _rgb_tiles(weight: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn (n, columns, 3, h, w) in -1..1 into (n, columns, h, w, 4) RGBA: zero is grey."""
    rgb = np.moveaxis(weight, 2, -1) * 127.5 + 127.5
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1).round().astype(np.uint8)


def _mosaic(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (rows, columns, h, w, 4) into one picture with a transparent line between tiles."""
    padded = np.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)))
    rows, columns, height, width, _ = padded.shape
    joined = padded.swapaxes(1, 2).reshape(rows * height, columns * width, 4)
    return joined[:-1, :-1]


def _enlarged(picture: NDArray[np.uint8], scale: int) -> tuple[str, int]:
    """Return a picture's data URI, and the width at which a browser shows ``scale`` px a pixel."""
    return to_uri(picture, lossless=True), picture.shape[1] * scale


def picture_of(
    video_id: str,
    store: FlowStore | StoreError,
    video: LabeledVideo | None,
    settings: Mapping[str, Any],
) -> ClipPicture:
    """Return a clip's pictures from the store, else from its video file, else why there are none.

    Args:
        video_id: the clip.
        store: where frames and flow lie, or why it cannot be opened.
        video: where the clip itself lies, if known.
        settings: of the run.
    """
    if isinstance(store, FlowStore):
        stored = clip_picture(store, video_id)
        if stored.frame or stored.flow:
            return stored
        missing = stored.missing
    else:
        missing = str(store)
    if video is None:
        return ClipPicture(missing=missing)
    try:
        return decoded_picture(video, settings)
    except TwoStreamError as error:
        return ClipPicture(missing=f"{missing}; {error}")
