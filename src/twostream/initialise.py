"""How a stream starts: from scratch, a weights file, a hub, or the RGB net's weights.

Section 5's initialisations and, for the temporal net, Wang et al. 2016's cross-modality one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from twostream.checkpoint import FORMAT, StreamModel, read_spec
from twostream.models import (
    IMAGENET,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Declaration,
    build_model,
    check_input,
    classifier,
    cross_modality_weights,
    first_layer_name,
    imagenet_weights,
    load_weights,
    read_declaration,
    read_weights,
)
from twostream.recipe import Recipe
from twostream.recipes import QUICK
from twostream.store.clips import Clips, motion_rms
from twostream.store.flow_store import Kind, StoreSettings
from twostream.types import (
    DatasetSplit,
    LabeledVideo,
    ModelError,
    ModelSpec,
    Stream,
    TemporalInput,
    UsageError,
    is_flow,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where the weights of a stream come from; nothing set means from scratch.

    Attributes:
        weights: a weights file (``models.read_weights``), for the spatial stream's (RGB) net, or
            "imagenet": those that plain pip brings (``models.imagenet``).
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

    def _named(self, stream: Stream) -> str | None:
        own = stream == "temporal" and not self.cross_modality
        return self.temporal_weights if own else self.weights

    def file(self, stream: Stream) -> Path | None:
        """Return the weights file that a stream starts from."""
        name = self._named(stream)
        return Path(name) if name and name != IMAGENET else None

    def imagenet(self, stream: Stream) -> bool:
        """Tell whether a stream starts from the ImageNet weights that pip brings."""
        return self._named(stream) == IMAGENET

    def fine_tunes(self, stream: Stream) -> bool:
        """Tell whether a stream starts from weights."""
        return self.pretrained or self._named(stream) is not None

    def of(self, recipe: Recipe) -> Start:
        """Return the recipe's own start where nothing was said.

        A recipe that starts from ImageNet weights gives its temporal net what the RGB net is given.
        """
        if not recipe.imagenet or self.pretrained:
            return self
        across = self.cross_modality or not self.temporal_weights
        return replace(self, weights=self.weights or IMAGENET, cross_modality=across)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetSettings:
    """What a stream's network is made from; the data decide the rest.

    Attributes:
        stream: which one.
        recipe: crop size, dropout, network.
        temporal: the temporal stream's input.
        start: where the weights come from.
        architecture: instead of the recipe's; a weights file names its own where this is None. Its
            normalisation is the file's too, where that says one for what this stream sees.
        seed: of the initialisation; in training of samples and dropout too.
    """

    stream: Stream
    recipe: Recipe = QUICK
    temporal: TemporalInput = field(default_factory=TemporalInput)
    start: Start = field(default_factory=Start)
    architecture: str | None = None
    seed: int = 0

    @property
    def sees(self) -> TemporalInput | None:
        """What this stream sees: stacks, or single frames (None)."""
        return self.temporal if self.stream == "temporal" else None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Which files of a clip this stream sees."""
        return self.temporal.directions if is_flow(self.sees) else ("rgb",)

    def spec(self, **more: Any) -> ModelSpec:
        """Return what a model file says of the network, and more."""
        recipe = self.recipe.of(self.stream)
        return ModelSpec(
            stream=self.stream,
            architecture=self.architecture or recipe.architecture(self.stream),
            temporal=self.sees,
            crop_size=recipe.crop_size,
            dropout=recipe.dropout,
            flips=recipe.flips,
            test_positions=recipe.test_positions,
            recipe=recipe.name,
            test_crops="centre" if recipe.centre_crop else "ten",
            **more,
        )


def initial_model(settings: NetSettings, split: DatasetSplit, clips: Clips) -> StreamModel:
    """Build a stream's network and load what it starts from; weights that do not fit are told.

    Args:
        settings: what it is made from.
        split: class names; the flow's normalisation is measured on its training videos.
        clips: the stored videos; the model file tells their store's settings and rate.

    Raises:
        ModelError: no such architecture, or weights that do not belong to it.
    """
    network, said = starting_network(settings, len(split.classes))
    for note in said.notes:
        logger.info(note)
    if _is_motion(settings.sees):
        rms = motion_rms(clips, split.train, settings.temporal)
        if settings.start.cross_modality:
            # filters made for inputs of 0..255 would hardly answer to flow of a deviation of one
            rms /= float(said.value_range * np.mean(IMAGENET_STD) / np.mean(said.std))
        said = Declaration(architecture=said.architecture, mean=(0.0,), std=(rms,))
    spec = replace(settings, architecture=said.architecture).spec(
        classes=split.classes,
        mean=said.mean,
        std=said.std,
        store=asdict(clips.store.settings),
        fps=training_rate(clips, split.train),
        dataset=split.dataset,
        split=split.name,
        channel_order=said.channel_order,
        value_range=said.value_range,
    )
    return StreamModel(spec, network)


def training_rate(clips: Clips, videos: Sequence[LabeledVideo]) -> float:
    """Return the commonest frame rate of the stored training clips."""
    return Counter(clips.fps(video.video_id) for video in videos).most_common(1)[0][0]


def starting_network(settings: NetSettings, num_classes: int) -> tuple[nn.Module, Declaration]:
    """Build a stream's network and load what it starts from; needs no video.

    Returns:
        The network; its name, how it wants its colours, and notes on what did not fit.

    Raises:
        ModelError: no such architecture, or weights that do not belong to it.
        UsageError: the network does not take this input.
    """
    stream, sees = settings.stream, settings.sees
    recipe = settings.recipe.of(stream)
    file = settings.start.file(stream)
    tensors, metadata = read_weights(file) if file else ({}, {})
    from_colours = stream == "temporal" and settings.start.cross_modality
    said = _declared(file, metadata, None if from_colours else sees) if file else Declaration()
    notes = list(said.notes)
    name = settings.architecture or said.architecture or recipe.architecture(stream)
    check_input(name, sees)
    in_channels = sees.num_channels if sees else 3
    torch.manual_seed(settings.seed)
    network = build_model(
        name,
        num_classes,
        stream=stream,
        in_channels=in_channels,
        dropout=recipe.dropout,
        input_size=recipe.crop_size,
        pretrained=settings.start.pretrained,
    )
    if recipe.classifier_std is not None:
        for parameter in classifier(network).parameters():
            nn.init.normal_(parameter, std=recipe.classifier_std if parameter.ndim > 1 else 0.0)
    if settings.start.imagenet(stream):
        tensors, said = _from_imagenet(name, network)
    if tensors:
        if from_colours:
            first = first_layer_name(network)
            if first not in tensors:
                raise ModelError(f"{file} has no first layer {first}: it is not a {name}")
            if tensors[first].shape[1] > 3:
                raise UsageError(
                    f"{file} is of a network that saw {tensors[first].shape[1]} channels and not "
                    "colours: a temporal net starts from it by --temporal-weights"
                )
            tensors = cross_modality_weights(tensors, first, in_channels)
            notes.append(
                f"{stream}: first layer averaged over colour and repeated {in_channels} times"
            )
        loaded = load_weights(network, tensors)
        last = "a linear probe" if stream in recipe.linear_probe else "new"
        told = f"ImageNet weights, its last layer {last}"
        if file:
            told = f"{file.name}: {loaded.describe()}"
        notes.append(f"{stream}: {name} from {told}")
    return network, replace(said, architecture=name, notes=tuple(notes))


def _from_imagenet(name: str, network: nn.Module) -> tuple[dict[str, torch.Tensor], Declaration]:
    """Return the ImageNet weights of an RGB net without its last layer, and what it expects."""
    colours: Any = {"in_channels": 3, "dropout": 0.0, "input_size": 224}
    shapes = {
        key: tuple(value.shape)
        for key, value in build_model(name, 1000, stream="spatial", **colours).state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    weights, said = imagenet_weights(name, shapes)
    last = {id(parameter) for parameter in classifier(network).parameters()}
    new = {key for key, parameter in network.named_parameters() if id(parameter) in last}
    return {key: value for key, value in weights.items() if key not in new}, said


def untrained_model(
    stream: Stream,
    classes: Sequence[str],
    *,
    store: StoreSettings | None = None,
    fps: float = 25.0,
    **made_from: Any,
) -> StreamModel:
    """Build a network with random weights that knows all that prediction needs: for examples.

    Args:
        stream: which one.
        classes: class names in label order.
        store: how frames and flow are stored; None: as the recipe says.
        fps: the frame rate it sees.
        **made_from: of ``NetSettings``: recipe, architecture, temporal, seed.

    >>> untrained_model("temporal", ("walk", "run")).spec.in_channels
    20
    """
    net = NetSettings(stream=stream, **made_from)
    moves = _is_motion(net.sees)
    spec = net.spec(
        classes=tuple(classes),
        mean=(0.0,) if moves else IMAGENET_MEAN,
        std=(1.0,) if moves else IMAGENET_STD,
        store=asdict((store or net.recipe.stored()).complete()),
        fps=fps,
    )
    torch.manual_seed(net.seed)
    return StreamModel(spec).eval()


def _is_motion(sees: TemporalInput | None) -> bool:
    """Tell flow and differences, whose size depends on the videos, from colours."""
    return sees is not None and (is_flow(sees) or sees.differences)


def _declared(file: Path, metadata: Mapping[str, str], sees: TemporalInput | None) -> Declaration:
    """Return what a file says of its network; a model file of twostream says all in its spec."""
    if metadata.get("format") != FORMAT:
        return read_declaration(file, metadata)
    spec = read_spec(file, metadata)
    note = f"{file.name} was trained on {spec.temporal}, this net sees {sees or 'single frames'}"
    notes = (note,) if spec.temporal is not None and spec.temporal != sees else ()
    # how large motion is depends on the videos: it is measured on those of the training
    measured = _is_motion(spec.temporal) or _is_motion(sees)
    names = () if measured else ("channel_order", "value_range", "mean", "std")
    colours = {name: getattr(spec, name) for name in names}
    return Declaration(architecture=spec.architecture, notes=notes, **colours)
