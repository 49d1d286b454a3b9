"""Pictures of first-layer filters as data URIs: what a stream has learnt to look for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream.checkpoint import load_model
from twostream.display.colours import to_uri
from twostream.models import first_convolution
from twostream.report.filters import KINDS, DerivativeReading, derivative_reading, figure4_picture
from twostream.types import ModelError

MAX_FILTERS = 96  # as many as CNN-M has
_FILTERS_PER_BLOCK = 48
_BLOCK_PX = 960  # fits the page


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
    n, total, (height, width) = min(MAX_FILTERS, len(weight)), len(weight), weight.shape[-2:]
    order = np.argsort(-np.linalg.norm(weight.reshape(total, -1), axis=1), kind="stable")[:n]
    if temporal is not None and not temporal.rgb:
        reading = derivative_reading(weight, bidirectional=temporal.bidirectional)  # of all
        ordered = weight[sorted(order, key=lambda i: KINDS.index(reading.kinds[i]))]
        blocks = [ordered[i : i + _FILTERS_PER_BLOCK] for i in range(0, n, _FILTERS_PER_BLOCK)]
        scale = max(1, min(4, (_BLOCK_PX // len(blocks[0]) - 2) // width))
        grey = [
            figure4_picture(block, scale=scale)[..., None].repeat(3, axis=2) for block in blocks
        ]
        images = tuple(_enlarged(picture, 1) for picture in grey)
        return FilterPicture(images, n, total, (height, width), "", reading)
    shown = weight[order]
    if span:  # frame by frame, as a plain stack has them
        shown = shown.swapaxes(1, 2).reshape(n, -1, *shown.shape[3:])
    shown = shown / np.maximum(np.abs(shown).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    if temporal is None:
        tiles = _rgb_tiles(shown[:, None])[:, 0]
        columns = min(16, n)
        blank = np.zeros((-n % columns, *tiles.shape[1:]), np.uint8)
        grid = np.concatenate([tiles, blank]).reshape(-1, columns, *tiles.shape[1:])
        image = _enlarged(_mosaic(grid), max(1, round(34 / width)))
        return FilterPicture((image,), n, total, (height, width), "")
    count = span or temporal.num_channels // 3
    tiles = _rgb_tiles(shown.reshape(n, count, -1, height, width))
    words = f"the {count} {'differences' if temporal.differences else 'frames'}"
    words += " that a filter spans" if span else ""
    scale = max(1, min(6, round(320 / (tiles.shape[1] * (width + 1)))))
    blocks = [tiles[i : i + _FILTERS_PER_BLOCK] for i in range(0, n, _FILTERS_PER_BLOCK)]
    images = tuple(_enlarged(_mosaic(block), scale) for block in blocks)
    told = f"rows: filters; columns: {words} in order"
    return FilterPicture(images, n, total, (height, width), told)


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
