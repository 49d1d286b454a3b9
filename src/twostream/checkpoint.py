"""The self-describing model file: weights and everything that prediction needs, no pickle.

A model file is a safetensors file whose metadata holds one JSON object, ``ModelSpec``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from twostream.files import write_bytes
from twostream.models import build_model, check_input, read_weights
from twostream.schema import parse_json
from twostream.store.flow_store import StoreSettings
from twostream.types import ModelError, ModelSpec, TwoStreamError, UsageError

FORMAT = "twostream-model-1"
AGAIN = "delete it and run `twostream train ... --resume` again"
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # of 2D and 3D filters


class StreamModel(nn.Module):
    """A network with its normalisation: crops in, logits out.

    Args:
        spec: what the network is.
        network: built from ``spec`` where it is not given.

    Raises:
        UsageError: slow fusion for another input than RGB stacks.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ModelSpec, network: nn.Module | None = None) -> None:
        super().__init__()
        check_input(spec.architecture, spec.temporal)
        self.spec = spec
        if network is None:
            network = _network(spec)
        # convolutions run a fifth faster with channels last, on CPUs and GPUs
        for weight in network.parameters():
            if weight.ndim in _CHANNELS_LAST:
                weight.data = weight.data.contiguous(memory_format=_CHANNELS_LAST[weight.ndim])
        self.network = network
        # of crops in 0..1: (255 x - mean) / std is (x - mean / 255) / (std / 255)
        for name, values in (("mean", spec.mean), ("std", spec.std)):
            scaled = torch.tensor(values).view(-1, 1, 1) / spec.value_range
            self.register_buffer(name, scaled, persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Map (b, length, c, size, size) crops to (b, k) logits.

        Flow comes in pixels, RGB in 0..1, a single frame with length 1.
        """
        return self.network(self.channels(crops))

    def channels(self, stacks: Tensor) -> Tensor:
        """Map (b, length, c, h, w), crops or whole frames, to what the network takes.

        This is the model's door: here, and only here, a stack becomes length * c channels (equation
        1's order), and colours take the order and the scale that the network was trained with.
        Frames become the differences between them here, too, where the net sees those.

        Returns:
            (b, length * c, h, w), in memory with channels last.
        """
        if self.spec.channel_order == "bgr":
            stacks = stacks.flip(-3)
        seen = (stacks - self.mean).div_(self.std)
        if self.spec.temporal and self.spec.temporal.differences:
            seen = seen[:, 1:] - seen[:, :-1]
        return seen.flatten(1, 2).contiguous(memory_format=torch.channels_last)


def _network(spec: ModelSpec) -> nn.Module:
    return build_model(
        spec.architecture,
        len(spec.classes),
        stream=spec.stream,
        in_channels=spec.in_channels,
        dropout=spec.dropout,
        input_size=spec.crop_size,
    )


def save_model(path: Path, model: StreamModel) -> None:
    """Write a model file, atomically."""
    metadata = {"format": FORMAT, "spec": json.dumps(model.spec.to_json())}
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.network.state_dict().items()}
    # safetensors' own writing hides in an error of its own that a disk is full
    write_bytes(path, _in_order(save(tensors, metadata)))


def _in_order(data: bytes) -> bytes:
    """Return a safetensors file with its metadata sorted.

    The library's order is another one in every process, so that equal nets had other files.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def read_spec(path: Path, metadata: Mapping[str, str]) -> ModelSpec:
    """Read what a model file's metadata says of its network.

    Raises:
        ModelError: damaged, or of another version.
    """
    try:
        spec = ModelSpec.from_json(parse_json(metadata["spec"]))
        StoreSettings.of_model(spec)
        return spec
    except (KeyError, ValueError, UsageError) as error:
        raise ModelError(
            f"the description in {path} cannot be read ({error}): it is damaged or of another "
            f"version of twostream, {AGAIN}"
        ) from error


def load_model(path: Path) -> StreamModel:
    """Read a model file; the network is ready for prediction.

    Raises:
        ModelError: no model file, or one of another kind or version.
    """
    if not path.is_file():
        raise ModelError(f"no model file {path}: train first (twostream train DATA --out RUN)")
    try:
        tensors, metadata = read_weights(path)
    except ModelError as error:
        raise ModelError(
            f"{path} is not a safetensors file, or it is damaged ({error.__cause__}): {AGAIN}"
        ) from error
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path} is not a twostream model file (format {metadata.get('format')!r}, expected "
            f"{FORMAT!r}): plain weights go to `twostream train --weights`"
        )
    spec = read_spec(path, metadata)
    _check_sizes(path, spec, tensors)
    try:
        model = StreamModel(spec)
    except TwoStreamError as error:
        raise ModelError(f"{path} cannot be used ({error}): {AGAIN}") from error
    try:
        model.network.load_state_dict(tensors)
    except RuntimeError as error:
        # torch lists each weight on a line of its own
        raise ModelError(
            f"{path} does not hold what it says ({' '.join(str(error).split())}): {AGAIN}"
        ) from error
    return model.eval()


def _check_sizes(path: Path, spec: ModelSpec, tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError where a network would be larger than the weights that are there for it."""
    try:
        with torch.device("meta"):  # nothing is computed or kept
            sizes = {name: each.numel() for name, each in _network(spec).state_dict().items()}
    except Exception:  # noqa: BLE001  wrong, which is said below, or timm cannot build it so
        return
    held = sum(each.numel() for each in tensors.values())
    if sum(sizes.values()) > held:
        raise ModelError(
            f"{path} does not hold what it says (a {spec.architecture} as described has "
            f"{sum(sizes.values())} numbers, the file {held}): {AGAIN}"
        )
