"""The check of an export: the graph must give what torch gives, on inputs of many shapes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.checkpoint import StreamModel
from twostream.export.graph import input_names, one_side_fits
from twostream.inputs import flow_stack, rgb_stack
from twostream.log_linear import LogLinear
from twostream.prediction.onnx import OnnxStream
from twostream.scoring import score_stacks
from twostream.store.coding import decode_fields, encode_field
from twostream.types import ModelError, ModelSpec

TOLERANCE = 1e-4
# A softmax that gives all to one class hardly tells what a network saw: a net that learnt from
# slow motion gives 1 for noise of some pixels, whatever a graph does to it.
CERTAIN = 1 - 10 * TOLERANCE
DEVIATIONS = (1.0, 3.0)  # how strong flow is, in those of what the network learnt from; in turn
WEAKER = (1.0, 1 / 3, 1 / 9, 1 / 27)  # shares of that, or of contrast, until scores tell something

logger = logging.getLogger(__name__)
Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Parity:
    """How well the graph agrees with torch.

    Attributes:
        largest_difference: of any score of any input.
        inputs: number of stacks that were compared.
        telling: of these, how many torch does not give to one class for certain (``CERTAIN``).
        sizes: their (height, width) in pixels.
        tolerance: what is allowed.
    """

    largest_difference: float
    inputs: int
    telling: int
    sizes: tuple[tuple[int, int], ...]
    tolerance: float = TOLERANCE


@dataclass(frozen=True, slots=True)
class Compared:
    """What a stream's graph and torch give for the same inputs.

    Attributes:
        spec: what the network is.
        found, wanted: (n, k) scores of the graph, and of torch.
        sizes: (height, width) of the inputs in pixels, each once.
    """

    spec: ModelSpec
    found: NDArray[np.float32]
    wanted: NDArray[np.float32]
    sizes: tuple[tuple[int, int], ...]


def both_scores(model: StreamModel, stream: OnnxStream, *, seed: int = 0) -> Compared:
    """Score random and smooth moving inputs with the graph and with torch.

    Torch takes the way of evaluation: decoding and stacking in NumPy, ``score_stacks``.
    """
    found, wanted = [], []
    sizes: set[tuple[int, int]] = set()
    cases = _cases(model.spec, np.random.default_rng(seed))
    for inputs, scores in chain.from_iterable(_scored(model, *case) for case in cases):
        found.append(stream.run(inputs))
        wanted.append(scores)
        first = next(iter(inputs.values()))
        height, width = first.shape[-2:] if model.spec.is_flow else first.shape[2:4]
        sizes.add((int(height), int(width)))
    return Compared(model.spec, np.concatenate(found), np.concatenate(wanted), tuple(sorted(sizes)))


def check_parity(compared: Compared) -> Parity:
    """Tell how well a graph agrees with torch; warns where its scores could not tell.

    Raises:
        ModelError: a score differs by more than ``TOLERANCE``.
    """
    spec, count = compared.spec, len(compared.wanted)
    worst = _within(
        compared.found,
        compared.wanted,
        f"the exported {spec.stream} network ({spec.architecture}) does",
    )
    telling = count - int(_certain(compared.wanted).sum())
    if not telling and len(spec.classes) > 1:
        logger.warning(
            f"{spec.stream}: torch gives each of the {count} stacks to one class with more than "
            f"{CERTAIN:.1%}, so that their agreement says little about the exported network: "
            "compare `predict` of both on some videos"
        )
    return Parity(worst, count, telling, compared.sizes)


def check_fused(streams: Sequence[Compared], fusion: LogLinear) -> Parity:
    """Tell how well the fused answer of the graphs agrees with that of torch's scores.

    Args:
        streams: what each gave; their inputs are paired as they come.
        fusion: of these streams.

    Raises:
        ModelError: a fused score differs by more than ``TOLERANCE``.
    """
    by_name = {each.spec.stream: each for each in streams}
    ordered = [by_name[name] for name in fusion.streams]  # type: ignore[index]
    count = min(len(each.wanted) for each in ordered)
    wanted = fusion.fused([each.wanted[:count] for each in ordered])
    worst = _within(
        fusion.fused([each.found[:count] for each in ordered]),
        wanted,
        "the exported networks, fused, do",
    )
    sizes = sorted({size for each in ordered for size in each.sizes})
    return Parity(worst, count, count - int(_certain(wanted).sum()), tuple(sizes))


def _within(found: NDArray[np.float32], wanted: NDArray[np.float32], who: str) -> float:
    """Return the largest difference; raises a ModelError where it is above ``TOLERANCE``."""
    worst = float(np.abs(found - wanted).max())
    if not worst <= TOLERANCE:  # NaN too
        raise ModelError(
            f"{who} not give what torch gives: scores differ by up to {worst:.2g}, allowed is "
            f"{TOLERANCE:g}; nothing was written"
        )
    return worst


def torch_scores(model: StreamModel, inputs: Inputs) -> NDArray[np.float32]:
    """Return (b, k) scores of stored stacks as evaluation computes them."""
    temporal = model.spec.temporal
    rows = []
    for i in range(len(next(iter(inputs.values())))):
        if "frames" in inputs:
            stack = rgb_stack(inputs["frames"][i])
        else:
            assert temporal is not None
            if "codes" in inputs:
                fields = decode_fields(inputs["codes"][i], inputs["ranges"][i])
            else:
                fields = inputs["fields"][i]
            halves = np.split(fields, 2) if temporal.bidirectional else [fields]
            stack = flow_stack(halves[0], temporal, *halves[1:])
        rows.append(score_stacks(model, stack[None], np.ones(1, np.float32)).cpu().numpy())
    return np.stack(rows)


def _certain(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of (n, k) scores hardly tell what a network saw."""
    return scores.max(axis=1) > CERTAIN


def _scored(
    model: StreamModel, drawn: NDArray[Any], strength: float
) -> Iterator[tuple[Inputs, NDArray[np.float32]]]:
    """Yield inputs and torch's scores, weaker ones too until the scores tell something.

    Args:
        model: torch's.
        drawn: from ``_cases``.
        strength: likewise.
    """
    for share in WEAKER:
        inputs = _inputs(model.spec, drawn, share * strength)
        scores = torch_scores(model, inputs)
        yield inputs, scores
        if _certain(scores).mean() <= 0.5 or len(model.spec.classes) == 1:
            return


def _inputs(spec: ModelSpec, drawn: NDArray[Any], strength: float) -> Inputs:
    """Return what is drawn as the graph takes it, so strong."""
    names = input_names(spec)
    if names == ("frames",):
        frames = 127.5 + strength * (drawn - np.float32(127.5))
        return {"frames": np.rint(frames).astype(np.uint8)}
    scale = np.reshape(np.array(spec.std, np.float32) * np.float32(strength), (-1, 1, 1))
    fields = drawn * scale
    if names == ("fields",):
        return {"fields": fields}
    pairs = [encode_field(field) for field in fields.reshape(-1, *fields.shape[2:])]
    codes, ranges = (np.stack(values) for values in zip(*pairs, strict=True))
    return {"codes": codes.reshape(fields.shape), "ranges": ranges.reshape(fields.shape[:3])}


def _cases(spec: ModelSpec, rng: np.random.Generator) -> Iterator[tuple[NDArray[Any], float]]:
    """Yield stacks of many shapes, and how strong they are to be.

    Frames are (b, length, h, w, 3) uint8 and of strength 1; fields (b, length, 2, h, w) float32 in
    deviations of what the network learnt from.
    """
    size = spec.crop_size
    shapes = [(1, size, size + 21), (3, size + 10, size), (2, size, size)]
    if (least := spec.smallest_side) < size:
        shapes += [(1, least, least + 7)]
    if not one_side_fits(spec):
        shapes += [(2, size + 15, size + 40), (1, size + 1, size + 1)]
    length = spec.temporal.length if spec.temporal else 1
    moves = spec.temporal if spec.is_flow else None
    for number, (batch, height, width) in enumerate(shapes):
        for smooth in (False, True):
            if moves is None:
                yield _frames(rng, batch, length, height, width, smooth), 1.0
                continue
            count = batch * length
            fields = _fields(rng, count, height, width, smooth, moves.subtract_mean)
            strength = DEVIATIONS[(number + smooth) % len(DEVIATIONS)]
            yield fields.reshape(batch, length, 2, height, width), strength


def _frames(
    rng: np.random.Generator, batch: int, length: int, height: int, width: int, smooth: bool
) -> NDArray[np.uint8]:
    """Noise, or a soft texture that moves by (2, 1) px a frame."""
    if not smooth:
        return rng.integers(0, 256, (batch, length, height, width, 3), np.uint8)
    margin = 2 * length
    noise = rng.integers(0, 256, (batch, height + margin, width + margin, 3), np.uint8)
    soft = [cv2.GaussianBlur(picture, (0, 0), 3) for picture in noise]
    return np.stack(
        [
            np.stack([picture[i : i + height, 2 * i : 2 * i + width] for i in range(length)])
            for picture in soft
        ]
    )


def _fields(
    rng: np.random.Generator, count: int, height: int, width: int, smooth: bool, less_mean: bool
) -> NDArray[np.float32]:
    """Noise, or soft motion on top of a pan, of deviation 1; one field stands still.

    Args:
        rng, count, height, width, smooth: of the (count, 2, height, width) fields.
        less_mean: the network does not see the mean of a field.
    """
    if smooth:
        coarse = rng.normal(0, 3, (count, 4, 5, 2)).astype(np.float32)
        soft = [cv2.resize(field, (width, height)) for field in coarse]
        fields = np.stack(soft).transpose(0, 3, 1, 2) + rng.normal(0, 4, (count, 2, 1, 1))
    else:
        fields = rng.normal(0, 1, (count, 2, height, width))
    seen = fields - fields.mean(axis=(2, 3), keepdims=True) if less_mean else fields
    fields /= np.sqrt(np.square(seen).mean())
    fields[0] = 0
    return np.ascontiguousarray(fields, np.float32)
