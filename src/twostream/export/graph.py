"""What the exported graph computes: from stored frames or fields to scores of whole stacks.

Everything between the store and the scores is inside, as one pass of torch operations that follow
``flow.clipfile``, ``inputs`` and ``evaluate`` step by step: decoding, trajectories, mean of the
whole field, crops, flips that negate x, normalisation, network, softmax, mean over the crops.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from twostream.checkpoint import StreamModel
from twostream.scoring import centre_crop
from twostream.store.coding import STEPS, ZERO_CODE
from twostream.types import ModelError, ModelSpec

OPSET = 18


def input_names(spec: ModelSpec) -> tuple[str, ...]:
    """Return the graph's inputs, as ``Clip.stored`` names them."""
    if not spec.is_flow:
        return ("frames",)
    return ("codes", "ranges") if spec.store.get("codec") == "jpeg" else ("fields",)


def one_side_fits(spec: ModelSpec) -> bool:
    """Tell whether every stored frame is as high or as wide as the crop.

    The four corners are then only two places, each of which stands twice among the five crops.
    """
    return spec.test_crops == "ten" and spec.store.get("short_side") == spec.crop_size


class StackScorer(nn.Module):
    """Maps whole stored stacks to the mean over their crops' scores.

    Args:
        model: the trained stream.
    """

    weights: Tensor
    mirror: Tensor

    def __init__(self, model: StreamModel) -> None:
        super().__init__()
        self.model = model
        self.spec = model.spec
        shares = [2.0, 2.0, 1.0] if one_side_fits(self.spec) else [1.0] * 5
        if self.spec.test_crops == "centre":
            shares = [5.0]
        if self.spec.flips:
            shares = [share / 2 for share in shares * 2]
        self.register_buffer("weights", (torch.tensor(shares) / 5).view(1, -1, 1))
        sign = [-1.0, 1.0] if self.spec.is_flow else [1.0, 1.0, 1.0]
        self.register_buffer("mirror", torch.tensor(sign).view(-1, 1, 1))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map (b, ...) inputs, see ``input_names``, to (b, k) scores that sum to 1."""
        stacks = self.crops(self.stacks(*inputs))  # b, m, length, c, size, size
        probabilities = self.model(stacks.flatten(0, 1)).softmax(dim=1)
        per_crop = probabilities.view(-1, self.weights.shape[1], probabilities.shape[-1])
        return (per_crop * self.weights).sum(dim=1)

    def stacks(self, *inputs: Tensor) -> Tensor:
        """Turn what is stored into what the network was trained on: (b, length, c, h, w)."""
        temporal = self.spec.temporal
        if temporal is None or temporal.rgb:
            return inputs[0].permute(0, 1, 4, 2, 3).to(torch.float32) / 255
        fields = inputs[0]
        if len(inputs) == 2:
            scale = (inputs[1] / STEPS)[..., None, None]
            fields = (inputs[0].to(torch.float32) - ZERO_CODE) * scale
        half = temporal.length // 2
        parts = [fields[:, :half], fields[:, half:]] if temporal.bidirectional else [fields]
        built = []
        for part in parts:
            sampled = follow_trajectories(part) if temporal.trajectory else part
            if temporal.subtract_mean:  # of the raw field, not of what the paths saw
                sampled = sampled - part.mean(dim=(-2, -1), keepdim=True)
            built.append(sampled)
        return torch.cat(built, dim=1)

    def crops(self, stacks: Tensor) -> Tensor:
        """Cut what is scored: (b, m, length, c, size, size)."""
        size, spec = self.spec.crop_size, self.spec
        if spec.test_crops == "centre":
            return centre_crop(stacks, size, is_flow=spec.is_flow, flips=spec.flips)[0]
        bottom, right = stacks.shape[-2] - size, stacks.shape[-1] - size
        places = [(0, 0), (bottom, right), (bottom // 2, right // 2)]
        if not one_side_fits(self.spec):
            places[1:1] = [(0, right), (bottom, 0)]
        cut = [stacks.narrow(-2, top, size).narrow(-1, left, size) for top, left in places]
        if self.spec.flips:
            cut += [crop.flip(-1) * self.mirror for crop in cut]
        return torch.stack(cut, dim=1)


def follow_trajectories(fields: Tensor) -> Tensor:
    """Equation 2, as ``inputs.follow_trajectories``, for (b, n, 2, h, w)."""
    height, width = fields.shape[-2], fields.shape[-1]
    y = torch.arange(height, dtype=torch.float32)[None, :, None]
    x = torch.arange(width, dtype=torch.float32)[None, None, :]
    sampled = [fields[:, 0]]
    for k in range(1, fields.shape[1]):
        x, y = x + sampled[-1][:, 0], y + sampled[-1][:, 1]
        sampled.append(_bilinear(fields[:, k], x, y))
    return torch.stack(sampled, dim=1)


def _bilinear(field: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sample (b, 2, h, w) at (b, h, w) points; outside, the nearest border value.

    In float64 as NumPy's: along a path through noise, differences of rounding grow tenfold a step.
    """
    height, width = field.shape[-2], field.shape[-1]
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    fx, fy = (x.double() - left)[:, None], (y.double() - top)[:, None]
    corner = (top.to(torch.int64) * width + left.to(torch.int64)).flatten(1)[:, None]
    flat = field.flatten(2)

    def at(offset: int) -> Tensor:
        index = (corner + offset).expand(-1, 2, -1)
        return flat.gather(2, index).view(field.shape)

    upper = at(0) * (1 - fx) + at(1) * fx
    lower = at(width) * (1 - fx) + at(width + 1) * fx
    return (upper * (1 - fy) + lower * fy).to(torch.float32)


def example_inputs(spec: ModelSpec, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Return inputs of the graph's types and of a size."""
    if not spec.is_flow:
        length = spec.temporal.length if spec.temporal else 1
        return (torch.zeros(batch, length, height, width, 3, dtype=torch.uint8),)
    assert spec.temporal is not None
    shape = (batch, spec.temporal.length, 2, height, width)
    if input_names(spec) == ("fields",):
        return (torch.zeros(shape),)
    return torch.full(shape, ZERO_CODE, dtype=torch.uint8), torch.ones(shape[:3])


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep warnings and the loggers' advice about their own parts from users."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def write_graph(model: StreamModel, path: Path) -> None:
    """Write a stream's ONNX file; batch, height and width stay free.

    Raises:
        ModelError: the exporter is not installed, or cannot express this network.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401  # it checks what is written
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"export needs {error.name}, which is not installed: pip install 'twostream[onnx]'"
        ) from error
    spec, size, least = model.spec, model.spec.crop_size, model.spec.smallest_side
    dim = torch.export.Dim
    batch, height, width = dim("b", min=1), dim("h", min=least), dim("w", min=least)
    where = {0: batch, 3: height, 4: width} if spec.is_flow else {0: batch, 2: height, 3: width}
    names = input_names(spec)
    shapes = (where, {0: batch})[: len(names)]
    with quiet("torch.onnx", "onnxscript", "onnx_ir"):  # what is written is checked
        try:
            torch.onnx.export(
                StackScorer(model).cpu().eval(),
                # no size that equals another one or the crop: the exporter would take them as one
                example_inputs(spec, 2, size + 3, size + 8),
                path,
                input_names=list(names),
                output_names=["scores"],
                dynamic_shapes=(shapes,),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # one of dozens, whatever part of the network it stumbles over
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"{spec.architecture} cannot be written as ONNX (opset {OPSET}): {why}"
            ) from error
