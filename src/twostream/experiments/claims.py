"""The paper's claims as comparisons, with their margins: fixed before anything is run.

A comparison is of two nets or fusions on the same test clips. "better" is confirmed if the 95%
interval of the difference lies above 0 and refuted if it lies below; "similar" is confirmed if it
lies inside +-5 points and refuted if it lies wholly outside; anything else is undecided. The first
comparison of a claim gives its verdict; the others are reported beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from twostream.experiments.nets import Fusion, Target

MARGIN_POINTS = 5.0


@dataclass(frozen=True, slots=True)
class Contender:
    """What is compared: the accuracy of a net of NETS, or of two fused nets."""

    label: str
    nets: tuple[str, ...]
    fusion: Fusion | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """That the first contender is better than the second, or similar: within the margin."""

    first: Contender
    second: Contender
    kind: Literal["better", "similar"] = "better"
    target: Target = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the paper, with the paper's figures for it; the first comparison decides.

    Numbers 1 to 7 are those of the paper's discussion; 8 and 9 are its two asides.
    """

    number: int
    text: str
    paper: str
    comparisons: tuple[Comparison, ...]


_STACK = Contender("stack of 10 flow fields", ("flow-10",))
_TWO = ("last-layer", "flow-10")
_AVERAGE = Contender("average of both streams", _TWO, "average")
_SVM = Contender("SVM on both streams", _TWO, "svm")
_ALONE = Contender("second data set only", ("flow-10",))
_PRETRAINED = Contender("pre-trained on the first, fine-tuned", ("flow-10-pretrained",))
_MULTITASK = Contender("multi-task", ("flow-10-multitask",))
_SINGLE = Contender("single flow field", ("flow-1",))
_TUNED = Contender("pre-trained, fine-tuned", ("fine-tuned",))
_LAST_LAYER = Contender("pre-trained, last layer only", ("last-layer",))
_SCRATCH = Contender("from scratch", ("scratch",))
# the paper's nets are all of one architecture; weights that are at hand need not be of the recipe's
_SAME_SCRATCH = Contender("the same network from scratch", ("scratch-like-weights",))

CLAIMS: tuple[Claim, ...] = (
    Claim(
        1,
        "The spatial stream over-fits from scratch; fine-tuning or training just the last layer of "
        "a pre-trained net is better.",
        "from scratch 52.3, fine-tuned 72.8 (dropout 0.9), last layer 72.7 (dropout 0.5)",
        (
            Comparison(_TUNED, _SCRATCH),
            Comparison(_LAST_LAYER, _SCRATCH),
            Comparison(_TUNED, _SAME_SCRATCH),
            Comparison(_LAST_LAYER, _SAME_SCRATCH),
        ),
    ),
    Claim(
        2,
        "A stack of several flow fields beats a single one.",
        "L = 1 73.9, L = 5 80.4, L = 10 81.0",
        (
            Comparison(_STACK, _SINGLE),
            Comparison(Contender("stack of 5 flow fields", ("flow-5",)), _SINGLE),
        ),
    ),
    Claim(
        3,
        "Stacking along trajectories and in place give similar results.",
        "stacking 81.0, trajectories 80.2",
        (Comparison(_STACK, Contender("stack along trajectories", ("trajectory-10",)), "similar"),),
    ),
    Claim(
        4,
        "Bi-directional flow is not much better than uni-directional.",
        "uni-directional 81.0, bi-directional 81.2",
        (Comparison(_STACK, Contender("bi-directional stack", ("bidirectional-10",)), "similar"),),
    ),
    Claim(
        5,
        "The temporal stream is best with multi-task training.",
        "HMDB-51: alone 46.6, fine-tuned 49.0, classes added 52.8, multi-task 55.4; "
        "UCF-101: 81.0, multi-task 81.5",
        (
            Comparison(_MULTITASK, _ALONE, target=1),
            Comparison(_MULTITASK, _PRETRAINED, target=1),
            Comparison(_MULTITASK, Contender("classes added", ("flow-10-added",)), target=1),
            Comparison(_MULTITASK, Contender("alone", ("flow-10",))),
        ),
    ),
    Claim(
        6,
        "A stack of RGB frames does worse than a stack of flow.",
        "slow fusion 56.4, stack of flow 81.0",
        (
            Comparison(_STACK, Contender("slow fusion over 11 RGB frames", ("slow-fusion-11",))),
            Comparison(_STACK, Contender("plain stack of 10 RGB frames", ("rgb-stack-10",))),
        ),
    ),
    Claim(
        7,
        "The streams are complementary: fusing them beats either.",
        "spatial 73.0, temporal 83.7, average 86.9, SVM 88.0 (three splits)",
        (
            Comparison(_AVERAGE, Contender("the better stream", _TWO, "better")),
            Comparison(_SVM, Contender("the better stream", _TWO, "better")),
        ),
    ),
    Claim(
        8,
        "Subtracting each field's mean helps a little.",
        "stacking L = 10: without 79.9, with 81.0",
        (Comparison(_STACK, Contender("without mean subtraction", ("flow-10-with-mean",))),),
    ),
    Claim(
        9,
        "Fusion by SVM beats averaging a little.",
        "UCF-101: average 86.9, SVM 88.0",
        (Comparison(_SVM, _AVERAGE),),
    ),
)
