"""Every cell of the paper's tables as data: which nets, fused how, and the paper's figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twostream.experiments.nets import Fusion, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One cell of a table in TITLES.

    Attributes:
        paper: the paper's accuracy in per cent; None where it gives none.
        nets: names in NETS: one, or spatial and temporal.
        every_split: of official splits all are used; otherwise the first, as in the paper.
        ours: an extra that the paper does not have.
    """

    table: str
    row: str
    column: str
    paper: float | None
    nets: tuple[str, ...]
    fusion: Fusion | None = None
    target: Target = 0
    every_split: bool = False
    ours: bool = False

    @property
    def name(self) -> str:
        """Return what tells this cell from all others."""
        return f"{self.table}/{self.row}/{self.column}"


TITLES = {
    "table1a": "Table 1a: spatial stream, ways of training",
    "table1b": "Table 1b: temporal stream, inputs",
    "slow-fusion": "Section 6: RGB frames instead of flow",
    "table2": "Table 2: temporal stream on the second data set",
    "table3": "Table 3: two-stream on the first data set",
    "table4": "Table 4: both data sets, over all splits",
}

_HELP_ROWS = (
    ("second data set only", 46.6, "flow-10"),
    ("pre-trained on the first, fine-tuned", 49.0, "flow-10-pretrained"),
    ("with classes of the first added", 52.8, "flow-10-added"),
    ("multi-task", 55.4, "flow-10-multitask"),
)
_TWO_STREAM_ROWS: tuple[tuple[str, float, str, Fusion], ...] = (
    ("bi-directional, averaging", 85.6, "bidirectional-10", "average"),
    ("uni-directional, averaging", 85.9, "flow-10", "average"),
    ("uni-directional, multi-task, averaging", 86.2, "flow-10-multitask", "average"),
    ("uni-directional, multi-task, SVM", 87.0, "flow-10-multitask", "svm"),
)
_FINAL_ROWS: tuple[tuple[str, tuple[float, float], tuple[str, ...], Fusion | None], ...] = (
    ("spatial stream", (73.0, 40.5), ("last-layer",), None),
    ("temporal stream", (83.7, 54.6), ("flow-10-multitask",), None),
    ("two-stream, averaging", (86.9, 58.0), ("last-layer", "flow-10-multitask"), "average"),
    ("two-stream, SVM", (88.0, 59.4), ("last-layer", "flow-10-multitask"), "svm"),
)


def _cell(
    table: str, row: str, column: str, paper: float | None, *nets: str, **more: Any
) -> Experiment:
    return Experiment(table=table, row=row, column=column, paper=paper, nets=nets, **more)


_DATA = ("first data set", "second data set")
_ON, _OFF, _SINGLE = "mean subtraction on", "mean subtraction off", "accuracy"

EXPERIMENTS: tuple[Experiment, ...] = (
    _cell("table1a", "from scratch", "dropout 0.5", 42.5, "scratch-dropout-0.5"),
    _cell("table1a", "from scratch", "dropout 0.9", 52.3, "scratch-dropout-0.9"),
    _cell("table1a", "pre-trained + fine-tuning", "dropout 0.5", 70.8, "fine-tuned-dropout-0.5"),
    _cell("table1a", "pre-trained + fine-tuning", "dropout 0.9", 72.8, "fine-tuned-dropout-0.9"),
    _cell("table1a", "pre-trained + last layer", "dropout 0.5", 72.7, "last-layer"),
    _cell("table1a", "pre-trained + last layer", "dropout 0.9", 59.9, "last-layer-dropout-0.9"),
    _cell("table1b", "single-frame flow (L = 1)", _ON, 73.9, "flow-1"),
    _cell("table1b", "stacking, L = 5", _ON, 80.4, "flow-5"),
    _cell("table1b", "stacking, L = 10", _OFF, 79.9, "flow-10-with-mean"),
    _cell("table1b", "stacking, L = 10", _ON, 81.0, "flow-10"),
    _cell("table1b", "trajectory stacking, L = 10", _OFF, 79.6, "trajectory-10-with-mean"),
    _cell("table1b", "trajectory stacking, L = 10", _ON, 80.2, "trajectory-10"),
    _cell("table1b", "stacking, L = 10, bi-directional", _ON, 81.2, "bidirectional-10"),
    _cell("slow-fusion", "one RGB frame, from scratch", _SINGLE, 52.3, "scratch"),
    _cell("slow-fusion", "slow fusion, 11 frames", _SINGLE, 56.4, "slow-fusion-11"),
    _cell("slow-fusion", "plain stack, 10 frames", _SINGLE, None, "rgb-stack-10", ours=True),
    *(_cell("table2", row, _SINGLE, paper, net, target=1) for row, paper, net in _HELP_ROWS),
    # section 6 gives this one in the text: what multi-task learning does for the first data set
    _cell("table1b", "stacking, L = 10, multi-task", _ON, 81.5, "flow-10-multitask"),
    *(
        _cell("table3", row, _SINGLE, paper, "last-layer", net, fusion=fusion)
        for row, paper, net, fusion in _TWO_STREAM_ROWS
    ),
    *(
        _cell("table4", row, column, paper, *nets, fusion=fusion, target=target, every_split=True)
        for row, figures, nets, fusion in _FINAL_ROWS
        for target, (column, paper) in enumerate(zip(_DATA, figures, strict=True))
    ),
)
