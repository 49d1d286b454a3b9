"""What a weights file says of the network it is for: architecture, and the colours it expects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from twostream.schema import parse_json
from twostream.types import ChannelOrder, ModelError, ValueRange

# ImageNet's colour statistics, which timm's and torchvision's weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_KEYS = ("architecture", "channel_order", "value_range", "mean", "std")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a weights file says of its network.

    Attributes:
        architecture: see ``models.build_model``; None where the file does not say.
        channel_order: of the colours that the network expects.
        value_range: its white: 1 or 255.
        mean, std: one number a colour, in the file's own order and scale.
        notes: sentences a user should read.
    """

    architecture: str | None = None
    channel_order: ChannelOrder = "rgb"
    value_range: ValueRange = 1
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    notes: tuple[str, ...] = ()


def sidecar(path: Path) -> Path:
    """Return where the declaration of a weights file without metadata lies.

    >>> sidecar(Path("weights/vgg.pth")).name
    'vgg.pth.json'
    """
    return path.with_name(f"{path.name}.json")


def read_declaration(path: Path, metadata: Mapping[str, str]) -> Declaration:
    """Read what is said of a weights file, in its metadata or in ``FILE.json`` beside it.

    Keys: ``architecture``, ``channel_order`` (rgb or bgr), ``value_range`` (1 or 255), ``mean`` and
    ``std`` (three numbers in the file's own order and scale, "104,117,123" or [104, 117, 123]).
    What ``FILE.json`` says goes before the metadata. A mean without a std is all that is done to
    the colours (std 1); without either it is ImageNet's, brought to the file's order and scale.

    Args:
        path: the weights file.
        metadata: its own, empty where its format has none.

    Raises:
        ModelError: ``FILE.json`` cannot be read, or a value is none of those above; only a mean or
            std in the metadata, which anyone may have written, is passed over with a note.
    """
    beside = _read_sidecar(sidecar(path))
    said: dict[str, Any] = {**metadata, **beside}
    order = str(said.get("channel_order", "rgb")).lower()
    if order not in get_args(ChannelOrder):
        raise ModelError(f"{path}: channel_order is {order!r}, expected rgb or bgr")
    white = {"1": 1, "1.0": 1, "255": 255, "255.0": 255}.get(str(said.get("value_range", 1)))
    if white is None:
        raise ModelError(f"{path}: value_range is {said['value_range']!r}, expected 1 or 255")
    found: dict[str, tuple[float, ...]] = {}
    notes = []
    for name in ("mean", "std"):
        value = said.get(name, "")
        numbers = _three_numbers(value, positive=name == "std")
        if numbers:
            found[name] = numbers
        elif name in beside:
            raise ModelError(
                f"{sidecar(path)}: {name} is {value!r}, expected three numbers"
                f"{' above 0' if name == 'std' else ''}, such as [104, 117, 123]"
            )
        elif value:
            notes.append(
                f"{path.name}: its {name} {value!r} is not three numbers, ImageNet's is used"
            )

    def imagenet(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(white * value for value in (values if order == "rgb" else values[::-1]))

    only_mean = "mean" in found and "std" not in said
    # "torchvision squeezenet1_0": where it comes from may stand before the name
    words = str(said.get("architecture") or "").split()
    return Declaration(
        architecture=words[-1] if words else None,
        channel_order=order,  # type: ignore[arg-type]
        value_range=white,  # type: ignore[arg-type]
        mean=found.get("mean", imagenet(IMAGENET_MEAN)),
        std=found.get("std", (1.0, 1.0, 1.0) if only_mean else imagenet(IMAGENET_STD)),
        notes=tuple(notes),
    )


def _read_sidecar(path: Path) -> dict[str, Any]:
    """Return what FILE.json says, nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        said = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} describes the weights beside it, but cannot be read ({error}): mend it, or "
            "take it away"
        ) from error
    unknown = sorted(set(said) - set(_KEYS)) if isinstance(said, dict) else ["no object"]
    if unknown:
        raise ModelError(
            f"{path} describes the weights beside it, but has {', '.join(unknown)}: expected an "
            f"object with {', '.join(_KEYS)}, or no such file"
        )
    return said


def _three_numbers(value: Any, *, positive: bool) -> tuple[float, ...] | None:
    """Read "0.485,0.456,0.406" or [0.485, 0.456, 0.406]; None for anything else."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        return None
    fits = all(math.isfinite(number) and (number > 0 or not positive) for number in numbers)
    return numbers if len(numbers) == 3 and fits else None
