"""How a stream starts: from scratch, a weights file, a hub, or the RGB net's weights.

Section 5's initialisations and, for the temporal net, Wang et al. 2016's cross-modality one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from twostream.checkpoint import FORMAT, StreamModel, read_spec
from twostream.models import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Declaration,
    build_model,
    check_input,
    cross_modality_weights,
    first_layer_name,
    load_weights,
    read_declaration,
    read_weights,
)
from twostream.recipes import QUICK, Recipe
from twostream.store.clips import Clips, flow_rms_px
from twostream.store.flow_store import StoreSettings
from twostream.types import (
    DatasetSplit,
    LabeledVideo,
    ModelError,
    ModelSpec,
    Stream,
    TemporalInput,
    UsageError,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where the weights of a stream come from; nothing set means from scratch.

    Attributes:
        weights: a weights file (``models.read_weights``), for the spatial stream's (RGB) net.
        temporal_weights: a weights file for the temporal net, with its own input channels.
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
    seed: int,
) -> StreamModel:
    """Build a stream's network and load what it starts from; weights that do not fit are told.

    Args:
        stream: which one.
        start: where the weights come from.
        recipe: crop size, dropout, network.
        architecture: instead of the recipe's; a weights file names its own where this is None. Its
            normalisation is the file's too, where that says one for what this stream sees.
        temporal: the temporal stream's input.
        split: class names; the flow's normalisation is measured on its training videos.
        clips: the stored videos; the model file tells their store's settings and rate.
        seed: of the initialisation.

    Raises:
        ModelError: no such architecture, or weights that do not belong to it.
    """
    sees = temporal if stream == "temporal" else None
    network, said = starting_network(
        stream,
        start=start,
        recipe=recipe,
        architecture=architecture,
        temporal=temporal,
        num_classes=len(split.classes),
        seed=seed,
    )
    for note in said.notes:
        logger.info(note)
    colours = not _is_flow(sees)
    mean, std = said.mean, said.std
    if sees is not None and not colours:
        mean, std = (0.0,), (flow_rms_px(clips, split.train, sees),)
        if start.cross_modality:
            # filters made for inputs of 0..255 would hardly answer to flow of a deviation of one
            spread = said.value_range * np.mean(IMAGENET_STD) / np.mean(said.std)
            std = (std[0] / float(spread),)
    spec = _spec(
        stream,
        recipe,
        architecture=said.architecture,
        classes=split.classes,
        temporal=sees,
        mean=mean,
        std=std,
        store=asdict(clips.store.settings),
        fps=training_rate(clips, split.train),
        dataset=split.dataset,
        split=split.name,
        channel_order=said.channel_order if colours else "rgb",
        value_range=said.value_range if colours else 1,
    )
    return StreamModel(spec, network)


def training_rate(clips: Clips, videos: Sequence[LabeledVideo]) -> float:
    """Return the commonest frame rate of the stored training clips."""
    return Counter(clips.fps(video.video_id) for video in videos).most_common(1)[0][0]


def starting_network(
    stream: Stream,
    *,
    start: Start,
    recipe: Recipe,
    architecture: str | None,
    temporal: TemporalInput,
    num_classes: int,
    seed: int,
) -> tuple[nn.Module, Declaration]:
    """Build a stream's network and load what it starts from; needs no video.

    Args:
        num_classes: k.
        stream, start, recipe, architecture, temporal, seed: see ``initial_model``.

    Returns:
        The network; its name, how it wants its colours, and notes on what did not fit.

    Raises:
        ModelError: no such architecture, or weights that do not belong to it.
        UsageError: the network does not take this input.
    """
    file = start.file(stream)
    tensors, metadata = read_weights(file) if file else ({}, {})
    sees = temporal if stream == "temporal" else None
    from_colours = stream == "temporal" and start.cross_modality
    said = _declared(file, metadata, None if from_colours else sees) if file else Declaration()
    notes = list(said.notes)
    name = architecture or said.architecture or recipe.architecture(stream)
    check_input(name, sees)
    in_channels = sees.num_channels if sees else 3
    torch.manual_seed(seed)
    network = build_model(
        name,
        num_classes,
        stream=stream,
        in_channels=in_channels,
        dropout=recipe.dropout,
        input_size=recipe.crop_size,
        pretrained=start.pretrained,
    )
    if file:
        if from_colours:
            first = first_layer_name(network)
            if first not in tensors:
                raise ModelError(f"{file} has no first layer {first}: it is not a {name}")
            tensors = cross_modality_weights(tensors, first, in_channels)
            notes.append(
                f"{stream}: first layer averaged over colour and repeated {in_channels} times"
            )
        loaded = load_weights(network, tensors).describe()
        notes.append(f"{stream}: {name} from {file.name}: {loaded}")
    return network, replace(said, architecture=name, notes=tuple(notes))


def untrained_model(
    stream: Stream,
    classes: Sequence[str],
    *,
    recipe: Recipe = QUICK,
    architecture: str | None = None,
    temporal: TemporalInput | None = None,
    store: StoreSettings | None = None,
    fps: float = 25.0,
    seed: int = 0,
) -> StreamModel:
    """Build a network with random weights that knows all that prediction needs: for examples.

    Args:
        stream: which one.
        classes: class names in label order.
        recipe: crop size, dropout, network, number of test positions.
        architecture: instead of the recipe's.
        temporal: the temporal stream's input; None: the paper's stack.
        store: how frames and flow are stored; None: as the recipe says.
        fps: the frame rate it sees.
        seed: of the weights.

    >>> untrained_model("temporal", ("walk", "run")).spec.in_channels
    20
    """
    sees = (temporal or TemporalInput()) if stream == "temporal" else None
    flow = _is_flow(sees)
    spec = _spec(
        stream,
        recipe,
        architecture=architecture,
        classes=tuple(classes),
        temporal=sees,
        mean=(0.0,) if flow else IMAGENET_MEAN,
        std=(1.0,) if flow else IMAGENET_STD,
        store=asdict((store or recipe.stored()).complete()),
        fps=fps,
    )
    torch.manual_seed(seed)
    return StreamModel(spec).eval()


def _spec(stream: Stream, recipe: Recipe, *, architecture: str | None, **more: Any) -> ModelSpec:
    """Return what a model file says: the recipe's part, and more."""
    return ModelSpec(
        stream=stream,
        architecture=architecture or recipe.architecture(stream),
        crop_size=recipe.crop_size,
        dropout=recipe.dropout,
        flips=recipe.flips,
        test_positions=recipe.test_positions,
        recipe=recipe.name,
        **more,
    )


def _declared(file: Path, metadata: Mapping[str, str], sees: TemporalInput | None) -> Declaration:
    """Return what a file says of its network; a model file of twostream says all in its spec."""
    if metadata.get("format") != FORMAT:
        return read_declaration(file, metadata)
    spec = read_spec(file, metadata)
    notes: tuple[str, ...] = ()
    if spec.temporal is not None and spec.temporal != sees:
        notes = (
            f"{file.name} was trained on {spec.temporal}, this net sees {sees or 'single frames'}",
        )
    # how large motion is depends on the videos: it is measured on those of the training
    if _is_flow(spec.temporal) or _is_flow(sees):
        return Declaration(architecture=spec.architecture, notes=notes)
    return Declaration(
        architecture=spec.architecture,
        channel_order=spec.channel_order,
        value_range=spec.value_range,
        mean=spec.mean,
        std=spec.std,
        notes=notes,
    )


def _is_flow(temporal: TemporalInput | None) -> bool:
    return temporal is not None and not temporal.rgb
