"""Starting a pair's flow from that of the pair before, without letting the results depend on it.

The order of a clip's pairs is the clip's own, so results stay the same for any number of workers
and for a run that is continued, as long as a clip is computed from its start: ``restart`` says
where that is.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from twostream.flow.estimators import FlowEstimator
from twostream.flow.pyramid import Grey, Plane, level_sizes, resize_field, resize_plane

CHECK_SIDE_PX = 40  # a start is compared with none at this length of the shorter side, or near it
WORTH = 0.9  # a start must leave less than this share of the difference that no motion leaves
COARSEST = 0.4  # size ratio of the level at which a pair that has a start begins


@dataclass
class _Chain:
    """Neighbouring pairs in one direction of time."""

    first: Grey
    second: Grey
    field: Plane
    length: int = 1

    def is_followed_by(self, first: Grey, second: Grey) -> bool:
        forward = np.array_equal(self.second, first)
        backward = np.array_equal(self.first, second)
        return forward != backward  # both: the same pair the other way round

    def is_reversed_by(self, first: Grey, second: Grey) -> bool:
        return np.array_equal(self.second, first) and np.array_equal(self.first, second)


class WarmStart:
    """Remembers the last field of a clip, forwards and backwards.

    Args:
        pairs: length of a run; the first pair of each starts from nothing. 0: all pairs do.
    """

    def __init__(self, pairs: int) -> None:
        self._pairs = pairs
        self._chains: list[_Chain] = []
        self._current: _Chain | None = None

    def restart(self) -> None:
        """Forget the clip."""
        self._chains = []
        self._current = None

    def find(self, first: Grey, second: Grey) -> Plane | None:
        """Return the start of a pair, or None where it begins a run or a scene."""
        self._current = None
        if self._pairs < 2:
            return None
        for chain in self._chains:
            if chain.is_followed_by(first, second):
                self._current = chain
                if chain.length % self._pairs and _explains(first, second, chain.field):
                    return chain.field
                return None
        self._chains = [chain for chain in self._chains if chain.is_reversed_by(first, second)]
        return None

    def keep(self, first: Grey, second: Grey, field: Plane) -> None:
        """Remember the field of the pair that was looked for last."""
        if self._pairs < 2:
            return
        chain = _Chain(first.copy(), second.copy(), field.copy())
        if self._current is None:
            self._chains.append(chain)
        else:
            chain.length = self._current.length + 1
            self._chains = [chain if old is self._current else old for old in self._chains]
        self._current = None

    @staticmethod
    def levels(step: float, levels: int) -> int:
        """Return how many of the finest levels a pair with a start needs.

        >>> WarmStart.levels(0.8, 30)
        5
        """
        return min(levels, 1 + int(np.log(COARSEST) / np.log(step)))


class WarmEstimator(FlowEstimator):
    """An estimator that may start a pair from the field of the pair before, on the finest levels.

    After as many pairs as its parameter ``warm_start`` says, one starts from nothing. 0: all do.
    """

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self._warm = WarmStart(self.chosen.warm_start)

    def restart(self) -> None:
        """Start the next pair from nothing: a clip or a run begins."""
        self._warm.restart()

    def pairs_at_once(self, height: int, width: int) -> int:
        """Return the length of a run: they begin at fixed frames, wherever they are computed."""
        return max(1, self.chosen.warm_start)

    def __call__(self, first: Grey, second: Grey) -> Plane:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        if np.array_equal(first, second):
            return np.zeros((2, *first.shape), np.float32)
        field = self.solve(first, second, self._warm.find(first, second))
        self._warm.keep(first, second, field)
        return field

    @abstractmethod
    def solve(self, first: Grey, second: Grey, start: Plane | None) -> Plane:
        """Return the field of a pair that differs; a start makes coarse levels needless."""


def _explains(first: Grey, second: Grey, field: Plane) -> bool:
    """Whether a field explains a pair clearly better than no motion does; not so after a cut."""
    height, width = first.shape
    *_, (height, width) = [
        size for size in level_sizes(height, width, 0.5, 30) if min(size) >= CHECK_SIDE_PX
    ] or [(height, width)]
    one, two = (
        resize_plane(cv2.blur(frame, (3, 3)).astype(np.float32), height, width)
        for frame in (first, second)
    )
    small = resize_field(field, height, width)
    x = np.arange(width, dtype=np.float32) + small[0]
    y = np.arange(height, dtype=np.float32)[:, None] + small[1]
    warped = cv2.remap(two, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(warped - one).mean()) < WORTH * float(np.abs(two - one).mean())
