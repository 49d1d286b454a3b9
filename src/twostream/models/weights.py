"""Weights files: what is read, what fits a model, and every weight that does not, by name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from twostream.types import ModelError

TORCH_SUFFIXES = (".pth", ".pt", ".tar", ".bin")
# Training scripts keep the state dict under one of these, beside optimiser, epoch and the like.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# What DataParallel and torch.compile put before every name.
_PREFIXES = ("module.", "_orig_mod.")


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
    """Read a weights file: its tensors and its metadata; nothing in a file is ever executed.

    ``.pth``, ``.pt``, ``.tar`` and ``.bin`` are files of ``torch.save``, which have no metadata;
    everything else is safetensors. A wrapper around the state dict (``state_dict``,
    ``model_state_dict``, ``model``) is opened, and the prefixes ``module.`` and ``_orig_mod.`` are
    taken off names where more than half of them have it.

    Raises:
        ModelError: no such file, not a weights file, damaged, not finite, or one that wants to run
            code.
    """
    tensors, metadata = _read(path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            reason = ValueError(f"{name} is not finite")
            raise ModelError(
                f"{path} holds numbers that are not finite, the first in {name}: the training that "
                "made it went wrong, so take another file"
            ) from reason
    return tensors, metadata


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        folder = f"{path} is a folder, not a weights file"
        what = folder if path.is_dir() else f"no weights file {path}"
        raise ModelError(f"{what}: check --weights")
    if path.suffix.lower() in TORCH_SUFFIXES:
        return _without_prefixes(_state_dict(_read_torch(path), path)), {}
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _without_prefixes(tensors), file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a safetensors file, or it is damaged ({error}): copy it again, or give "
            f"a .safetensors file or one of torch ({', '.join(TORCH_SUFFIXES)})"
        ) from error


def _read_torch(path: Path) -> Any:
    """Unpickle tensors and plain containers, nothing else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickles, which fail below if they must
            return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged file raises any of half a dozen kinds, KeyError too
        found = re.search(r"\bGLOBAL ([\w.]+)", str(error))
        if found:
            raise ModelError(
                f"{path} holds more than weights: loading it would run {found[1]} from the file, "
                "which is refused; save its state dict alone, or convert it to safetensors"
            ) from error
        # torch writes paragraphs, and advises what must not be done: load it without the check
        reason = re.split(r"(?<=[.!?])\s|\n", str(error).strip())[0] or type(error).__name__
        if "Weights only load" in reason or isinstance(error, KeyError):
            reason = "its pickle cannot be read"
        raise ModelError(
            f"{path} is not a file of torch.save that holds weights, or it is damaged "
            f"({reason.rstrip('.')}): copy it again, or convert it to safetensors"
        ) from error


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the state dict in what a file holds; other values beside it are left out."""
    candidates = [content]
    if isinstance(content, Mapping):
        candidates = [content[name] for name in _WRAPPERS if name in content] + [content]
    for candidate in candidates:
        if isinstance(candidate, Mapping):
            tensors = {
                name: value.detach()
                for name, value in candidate.items()
                if isinstance(name, str) and isinstance(value, Tensor)
            }
            if tensors:
                return tensors
    keys = f", only {', '.join(map(str, list(content)[:8]))}" if isinstance(content, dict) else ""
    raise ModelError(
        f"{path} holds no state dict{keys}: expected names and tensors, on top or under one of "
        f"{', '.join(_WRAPPERS)}"
    )


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take ``module.`` and ``_orig_mod.`` off, again and again, where most names have it.

    Most, not all: an averaged model (``torch.optim.swa_utils``) has ``n_averaged`` beside them.
    """
    for prefix in _PREFIXES * 2:
        having = sum(name.startswith(prefix) for name in tensors)
        stripped = {name.removeprefix(prefix): value for name, value in tensors.items()}
        if 2 * having > len(tensors) and len(stripped) == len(tensors):
            tensors = stripped
    return tensors


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> LoadReport:
    """Copy the weights that fit into the model and report every one that does not.

    Raises:
        ModelError: nothing but the last layer would be left to load.
    """
    own = model.state_dict()
    shapes = {k: (tuple(v.shape), tuple(own[k].shape)) for k, v in tensors.items() if k in own}
    fitting = {k: tensors[k] for k, (found, wanted) in shapes.items() if found == wanted}
    report = LoadReport(
        loaded=tuple(fitting),
        missing=tuple(k for k in own if k not in tensors),
        unexpected=tuple(k for k in tensors if k not in own),
        mismatched={k: shape for k, shape in shapes.items() if k not in fitting},
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
    mean = tensors[first_layer].mean(dim=1, keepdim=True)
    return {**tensors, first_layer: mean.repeat(1, in_channels, 1, 1)}
