"""Weights files: what is read, what fits a model, and every weight that does not, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from twostream.types import ModelError


@dataclass(frozen=True)
class LoadReport:
    """What a weights file did to a model; every weight that did not fit is named.

    Attributes:
        loaded: names taken from the file.
        missing: names in the model that the file does not have.
        unexpected: names in the file that the model does not have.
        mismatched: name -> (shape in the file, shape in the model).
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def describe(self) -> str:
        """Return one line a kind of trouble, for people."""
        lines = [f"{len(self.loaded)} weights loaded"]
        for word, names in (("missing", self.missing), ("unexpected", self.unexpected)):
            if names:
                lines.append(f"{len(names)} {word}: {', '.join(names)}")
        for name, (found, wanted) in self.mismatched.items():
            lines.append(f"mis-shaped {name}: file {found}, model {wanted}; left as initialised")
        return "; ".join(lines)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata; no pickle is ever loaded.

    Raises:
        ModelError: no such file, or not a safetensors file.
    """
    if not path.is_file():
        raise ModelError(f"no weights file {path}: check --weights")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file ({error}): convert it first") from error


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> LoadReport:
    """Copy the weights that fit into the model and report every one that does not.

    Raises:
        ModelError: nothing but the last layer would be left to load.
    """
    own = model.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    report = LoadReport(
        loaded=tuple(fitting),
        missing=tuple(k for k in own if k not in tensors),
        unexpected=tuple(k for k in tensors if k not in own),
        mismatched={
            k: (tuple(v.shape), tuple(own[k].shape))
            for k, v in tensors.items()
            if k in own and own[k].shape != v.shape
        },
    )
    if len(fitting) < len(own) / 2:
        raise ModelError(
            f"these weights do not belong to this model, only {len(fitting)} of {len(own)} fit: "
            f"{report.describe()}"
        )
    model.load_state_dict(fitting, strict=False)
    return report


def cross_modality_weights(
    tensors: Mapping[str, Tensor], first_layer: str, in_channels: int
) -> dict[str, Tensor]:
    """Turn an RGB net's weights into ones for ``in_channels`` of flow (Wang et al. 2016, TSN).

    The first layer's filters are averaged over colour and repeated for every channel.

    Args:
        tensors: the RGB net's weights.
        first_layer: name of the first convolution's weight, (out, 3, kh, kw).
        in_channels: 2L.
    """
    weight = tensors[first_layer]
    mean = weight.mean(dim=1, keepdim=True)
    return {**tensors, first_layer: mean.repeat(1, in_channels, 1, 1)}
