"""What a run was asked for, of its data: the part of RUN/asked.json that later verbs go by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from twostream.datasets.dataset import SplitChoice
from twostream.files import ASKED, read_json
from twostream.schema import from_json
from twostream.types import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedData:
    """Which data a run was asked to train on, and who is tested.

    Attributes:
        data: its folder or list.
        seed: decides folds.
        store: folder of frames and flow; None: RUN/flow.
        split, fold, test_groups: see ``SplitChoice``.
    """

    data: str
    seed: int
    store: str | None = None
    split: int | None = None
    fold: str | None = None
    test_groups: tuple[str, ...] | None = None

    @classmethod
    def of(cls, run: Path) -> Self:
        """Read it of a RUN folder; raises RunError where it is missing or damaged."""
        values = read_json(run / ASKED)
        try:
            return from_json(cls, values, spare=True)
        except ValueError as error:
            raise RunError(f"{run / ASKED} is damaged ({error}): train again") from error

    @property
    def choice(self) -> SplitChoice:
        """Who is tested."""
        return SplitChoice(split=self.split, fold=self.fold, test_groups=self.test_groups)
