"""The nets behind the paper's tables: one trained stream each, shared by all cells that name it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from twostream.datasets import SplitChoice
from twostream.initialise import Start
from twostream.multitask import How
from twostream.recipes import Recipe
from twostream.run import RunSettings
from twostream.types import Stream, TemporalInput

# Which data set a net is trained for: the first (UCF-101's part) or the second (HMDB-51's part).
Target = Literal[0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """How one stream is trained.

    Attributes:
        stream: which one.
        start: of the spatial net: from scratch, all layers fine-tuned from the weights file, or
            only the last layer trained on top of them.
        like_weights: from scratch, but the network that the weights file is for.
        dropout: of the fully connected layers; None takes the recipe's.
        temporal: what the temporal net sees.
        slow_fusion: the recipe's slow-fusion network instead of its temporal one.
        how: how the other data set helps; None: it does not.
        fits_svm: its scores of training clips are needed, which takes time.
    """

    stream: Stream
    start: Literal["scratch", "fine-tuned", "last-layer"] = "scratch"
    like_weights: bool = False
    dropout: float | None = None
    temporal: TemporalInput = field(default_factory=TemporalInput)
    slow_fusion: bool = False
    how: How | None = None
    fits_svm: bool = False

    @property
    def needs_weights(self) -> bool:
        """Tell whether the net cannot be made without a weights file."""
        return self.start != "scratch" or self.like_weights

    def settings(
        self,
        recipe: Recipe,
        *,
        data: str,
        store: str,
        other: tuple[str, str] | None,
        weights: str | None,
        weights_architecture: str | None = None,
        choice: SplitChoice,
        seed: int,
    ) -> RunSettings:
        """Return what ``train_run`` is asked for.

        Args:
            recipe: how nets are trained.
            data, store: the data set that is tested, and its frames and flow.
            other: the other data set and its store, for nets that need one.
            weights: a weights file for spatial nets that need one.
            weights_architecture: the network that it names.
            choice: who is tested.
            seed: of folds, initialisation and samples.
        """
        recipe = replace(
            recipe,
            dropout=recipe.dropout if self.dropout is None else self.dropout,
            fit_scores="in-sample",  # as in the paper
        )
        return RunSettings(
            data=data,
            recipe=recipe,
            streams=(self.stream,),
            temporal=self.temporal,
            choice=choice,
            seed=seed,
            start=Start(weights=None if self.start == "scratch" else weights),
            spatial_architecture=weights_architecture if self.like_weights else None,
            train="last-layer" if self.start == "last-layer" else "all",
            temporal_architecture=recipe.slow_fusion_architecture if self.slow_fusion else None,
            store=store,
            others=(other[0],) if other and self.how else (),
            other_stores=(other[1],) if other and self.how else (),
            how=self.how or "multitask",
            score_train=self.fits_svm,
        )


def _spatial(start: Literal["scratch", "fine-tuned", "last-layer"], dropout: float | None) -> Net:
    return Net(stream="spatial", start=start, dropout=dropout, fits_svm=True)


def _flow(how: How | None = None, *, fits_svm: bool = False, **temporal: bool | int) -> Net:
    sees = TemporalInput(**temporal)  # type: ignore[arg-type]
    return Net(stream="temporal", temporal=sees, how=how, fits_svm=fits_svm)


def _frames(length: int, *, slow_fusion: bool) -> Net:
    sees = TemporalInput(length=length, rgb=True)
    return Net(stream="temporal", temporal=sees, slow_fusion=slow_fusion)


NETS: dict[str, Net] = {
    "scratch": _spatial("scratch", None),
    "scratch-like-weights": replace(_spatial("scratch", None), like_weights=True, fits_svm=False),
    "fine-tuned": _spatial("fine-tuned", None),
    # the paper's best for this way of training, which its two-stream tables use
    "last-layer": _spatial("last-layer", 0.5),
    "scratch-dropout-0.5": _spatial("scratch", 0.5),
    "scratch-dropout-0.9": _spatial("scratch", 0.9),
    "fine-tuned-dropout-0.5": _spatial("fine-tuned", 0.5),
    "fine-tuned-dropout-0.9": _spatial("fine-tuned", 0.9),
    "last-layer-dropout-0.9": _spatial("last-layer", 0.9),
    "flow-1": _flow(length=1),
    "flow-5": _flow(length=5),
    "flow-10": _flow(fits_svm=True),
    "flow-10-with-mean": _flow(subtract_mean=False),
    "trajectory-10": _flow(trajectory=True),
    "trajectory-10-with-mean": _flow(trajectory=True, subtract_mean=False),
    "bidirectional-10": _flow(bidirectional=True),
    "rgb-stack-10": _frames(10, slow_fusion=False),
    "slow-fusion-11": _frames(11, slow_fusion=True),
    "flow-10-pretrained": _flow("pretrain"),
    "flow-10-added": _flow("added"),
    "flow-10-multitask": _flow("multitask", fits_svm=True),
}


def training_crops(name: str, recipe: Recipe) -> int:
    """Return how many crops one training of a net takes: the measure of its cost."""
    net = NETS[name]
    steps = recipe.steps if net.start == "scratch" else recipe.fine_tuning_steps
    if net.how == "pretrain":
        steps = recipe.steps + recipe.fine_tuning_steps
    return steps * recipe.batch_size
