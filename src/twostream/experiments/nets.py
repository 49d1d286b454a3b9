"""The nets behind the paper's tables: one trained stream each, shared by all cells that name it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from twostream.multitask import How
from twostream.recipe import Recipe
from twostream.types import Stream, TemporalInput

# Which data set a net is trained for: the first (UCF-101's part) or the second (HMDB-51's part).
Target = Literal[0, 1]
# How two nets are fused; "better" takes the one that is right more often, which favours it.
Fusion = Literal["average", "svm", "better"]


@dataclass(frozen=True, slots=True)
class Net:
    """How one stream is trained.

    Attributes:
        start: of the spatial net: from scratch, all layers fine-tuned from the weights file, or
            only the last layer trained on top of them.
        like_weights: from scratch, but the network that the weights file is for.
        dropout: of the fully connected layers; None takes the recipe's.
        sees: the temporal net's input.
        slow_fusion: the recipe's slow-fusion network instead of its temporal one.
        how: how the other data set helps; None: it does not.
        fits_svm: its scores of training clips are needed, which takes time.
    """

    stream: Stream
    _: KW_ONLY
    start: Literal["scratch", "fine-tuned", "last-layer"] = "scratch"
    like_weights: bool = False
    dropout: float | None = None
    sees: TemporalInput = field(default_factory=TemporalInput)
    slow_fusion: bool = False
    how: How | None = None
    fits_svm: bool = False

    @property
    def needs_weights(self) -> bool:
        """Tell whether the net cannot be made without a weights file."""
        return self.start != "scratch" or self.like_weights


NETS: dict[str, Net] = {
    "scratch": Net("spatial", fits_svm=True),
    "scratch-like-weights": Net("spatial", like_weights=True),
    "fine-tuned": Net("spatial", start="fine-tuned", fits_svm=True),
    # the paper's best for this way of training, which its two-stream tables use
    "last-layer": Net("spatial", start="last-layer", dropout=0.5, fits_svm=True),
    "scratch-dropout-0.5": Net("spatial", dropout=0.5, fits_svm=True),
    "scratch-dropout-0.9": Net("spatial", dropout=0.9, fits_svm=True),
    "fine-tuned-dropout-0.5": Net("spatial", start="fine-tuned", dropout=0.5, fits_svm=True),
    "fine-tuned-dropout-0.9": Net("spatial", start="fine-tuned", dropout=0.9, fits_svm=True),
    "last-layer-dropout-0.9": Net("spatial", start="last-layer", dropout=0.9, fits_svm=True),
    "flow-1": Net("temporal", sees=TemporalInput(length=1)),
    "flow-5": Net("temporal", sees=TemporalInput(length=5)),
    "flow-10": Net("temporal", fits_svm=True),
    "flow-10-with-mean": Net("temporal", sees=TemporalInput(subtract_mean=False)),
    "trajectory-10": Net("temporal", sees=TemporalInput(trajectory=True)),
    "trajectory-10-with-mean": Net(
        "temporal", sees=TemporalInput(trajectory=True, subtract_mean=False)
    ),
    "bidirectional-10": Net("temporal", sees=TemporalInput(bidirectional=True)),
    "rgb-stack-10": Net("temporal", sees=TemporalInput(length=10, rgb=True)),
    "slow-fusion-11": Net("temporal", sees=TemporalInput(length=11, rgb=True), slow_fusion=True),
    "flow-10-pretrained": Net("temporal", how="pretrain"),
    "flow-10-added": Net("temporal", how="added"),
    "flow-10-multitask": Net("temporal", how="multitask", fits_svm=True),
}


def training_crops(name: str, recipe: Recipe) -> int:
    """Return how many crops one training of a net takes: the measure of its cost."""
    net = NETS[name]
    steps = recipe.steps if net.start == "scratch" else recipe.fine_tuning_steps
    if net.how == "pretrain":
        steps = recipe.steps + recipe.fine_tuning_steps
    return steps * recipe.batch_size
