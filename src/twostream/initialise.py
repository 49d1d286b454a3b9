"""How a stream starts: from scratch, a weights file, a hub, or the RGB net's weights.

Section 5's initialisations and, for the temporal net, Wang et al. 2016's cross-modality one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from twostream.checkpoint import ModelSpec, StreamModel
from twostream.loader import Clips, flow_rms_px
from twostream.models import (
    build_model,
    cross_modality_weights,
    first_layer_name,
    load_weights,
    read_weights,
)
from twostream.recipes import Recipe
from twostream.types import DatasetSplit, ModelError, Stream, TemporalInput, UsageError

# ImageNet's colour statistics, which timm's and torchvision's weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where the weights of a stream come from; nothing set means from scratch.

    Attributes:
        weights: a safetensors file, for the spatial stream's (RGB) net.
        temporal_weights: a safetensors file for the temporal net, with its own input channels.
        cross_modality: start the temporal net from ``weights`` too, its first layer averaged over
            colour and repeated 2L times.
        pretrained: take timm's hub weights (for the temporal net timm adapts the first layer).
    """

    weights: str | None = None
    temporal_weights: str | None = None
    cross_modality: bool = False
    pretrained: bool = False

    def __post_init__(self) -> None:
        if self.cross_modality and not self.weights:
            raise UsageError("--cross-modality starts from the RGB net's weights: give --weights")
        if self.cross_modality and self.temporal_weights:
            raise UsageError("the temporal net takes --temporal-weights or --cross-modality")
        if self.pretrained and (self.weights or self.temporal_weights):
            raise UsageError("a net starts from --pretrained or from a weights file, not from both")

    def file(self, stream: Stream) -> Path | None:
        """Return the weights file that a stream starts from."""
        name = self.temporal_weights if stream == "temporal" else self.weights
        if stream == "temporal" and self.cross_modality:
            name = self.weights
        return Path(name) if name else None

    def fine_tunes(self, stream: Stream) -> bool:
        """Tell whether a stream starts from weights."""
        return self.pretrained or self.file(stream) is not None


def initial_model(
    stream: Stream,
    *,
    start: Start,
    recipe: Recipe,
    architecture: str | None,
    temporal: TemporalInput,
    split: DatasetSplit,
    clips: Clips,
    store: dict[str, Any],
    fps: float,
    seed: int,
    say: Callable[[str], None] = print,
) -> StreamModel:
    """Build a stream's network and load what it starts from.

    Args:
        stream: which one.
        start: where the weights come from.
        recipe: crop size, dropout, network.
        architecture: instead of the recipe's; a weights file names its own where this is None.
        temporal: the temporal stream's input.
        split: class names; the flow's normalisation is measured on its training videos.
        clips: the stored videos.
        store: settings of the store, for the model file.
        fps: the frame rate of training.
        seed: of the initialisation.
        say: told every weight that did not fit.

    Raises:
        ModelError: no such architecture, or weights that do not belong to it.
    """
    file = start.file(stream)
    tensors, metadata = read_weights(file) if file else ({}, {})
    named = metadata.get("architecture", "").split(" ")[-1] or None
    name = architecture or named or recipe.architecture(stream)
    sees = temporal if stream == "temporal" else None
    if sees is not None and not sees.rgb:
        mean: tuple[float, ...] = (0.0,)
        std: tuple[float, ...] = (flow_rms_px(clips, split.train, sees),)
    else:
        mean = _numbers(metadata.get("mean"), IMAGENET_MEAN)
        std = _numbers(metadata.get("std"), IMAGENET_STD)
    spec = ModelSpec(
        stream=stream,
        architecture=name,
        classes=split.classes,
        temporal=sees,
        crop_size=recipe.crop_size,
        mean=mean,
        std=std,
        dropout=recipe.dropout,
        flips=recipe.flips,
        test_positions=recipe.test_positions,
        store=store,
        fps=fps,
        dataset=split.dataset,
        split=split.name,
        recipe=recipe.name,
    )
    torch.manual_seed(seed)
    network = build_model(
        name,
        len(split.classes),
        stream=stream,
        in_channels=spec.in_channels,
        dropout=recipe.dropout,
        input_size=recipe.crop_size,
        pretrained=start.pretrained,
    )
    if file:
        if stream == "temporal" and start.cross_modality:
            first = first_layer_name(network)
            if first not in tensors:
                raise ModelError(f"{file} has no first layer {first}: it is not a {name}")
            tensors = cross_modality_weights(tensors, first, spec.in_channels)
            say(f"{stream}: first layer averaged over colour and repeated {spec.in_channels} times")
        say(f"{stream}: {name} from {file.name}: {load_weights(network, tensors).describe()}")
    return StreamModel(spec, network)


def _numbers(text: str | None, default: Sequence[float]) -> tuple[float, ...]:
    """Read "0.485,0.456,0.406" as a weights file's metadata has it."""
    try:
        values = tuple(float(part) for part in (text or "").split(","))
    except ValueError:
        return tuple(default)
    return values if len(values) == 3 else tuple(default)
