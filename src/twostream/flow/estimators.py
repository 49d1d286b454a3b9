"""Optical flow: what an estimator is, and estimators made by name.

An estimator's room is imported when one is made: OpenCV's need no compiler, and numba takes long
to load.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.schema import MOST
from twostream.types import Direction, Frame, UsageError

Fields = list[NDArray[np.float32]]  # of one pair, one a direction: (2, h, w) px

# The least and the most of a parameter, which means the same for every estimator that has it.
LIMITS: dict[str, tuple[float, float]] = {
    "finest_scale": (0, 20),
    "patch_size": (1, 256),
    "patch_stride": (1, 256),
    "window_size": (1, 1000),
    "poly_n": (1, 15),
    "poly_sigma": (1e-3, 100),
    "levels": (1, 100),
    "scales": (1, 100),
    "pyramid_scale": (0.05, 0.99),
    "scale_step": (0.05, 0.99),
    "median_filtering": (0, 15),
    "tau": (1e-6, 1),
    "omega": (1e-6, 2),
}
# Each is done for every one of the others: their product bounds the time of a pair.
_REPEATED = (
    "warps",
    "inner_iterations",
    "outer_iterations",
    "fixed_point_steps",
    "sweeps",
    "iterations",
    "gradient_descent_iterations",
    "refinement_iterations",
    "num_flow_updates",
)
MOST_REPEATED = 100_000  # the slowest preset has 3000


def to_grey(frame: Frame) -> NDArray[np.uint8]:
    """Return what estimators see of a frame, (h, w) uint8.

    Grey of the colours and not the video's own luma, though that would be there already: streams
    of pictures have no luma, and their flow must be that of the video (docs/flow.md has the cost).
    """
    return cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)


class RunEstimator(Protocol):
    """Computes the flow of runs of frames, which is how extraction asks. One instance a thread.

    A ``FlowEstimator`` goes through a run pair by pair, ``Batched`` takes all its pairs at once.
    """

    needs_motion_vectors: bool

    @property
    def parameters(self) -> dict[str, int | float]:
        """Everything that decides its results."""
        ...

    def pairs_at_once(self, height: int, width: int) -> int:
        """Return how many pairs of a size make a run; each run is computed apart from others."""
        ...

    def fields(self, frames: Sequence[Frame], directions: Sequence[Direction]) -> list[Fields]:
        """Return the fields of a run's pairs, of which there is one less than frames.

        Args:
            frames: neighbours of one size, two or more.
            directions: "forward", from each frame to the next, or "backward", to the one before.
        """
        ...


class FlowEstimator(ABC):
    """Computes the optical flow of pairs of grey frames. Use one instance per thread.

    An estimator is a class derived from this one that has its own ``Parameters`` and ``__call__``.

    Args:
        **changes: to the defaults of ``Parameters``; ``make_estimator`` checks them.

    Attributes:
        name: by which it is made.
        Parameters: what can be set, with defaults: a frozen dataclass.
        presets: name -> the parameters that it changes.
        needs_motion_vectors: whether it sees frames that are read with the codec's motion.
        chosen: its ``Parameters``.
    """

    name: str = ""
    presets: ClassVar[dict[str, dict[str, int | float]]] = {"default": {}}
    needs_motion_vectors: bool = False

    @dataclass(frozen=True, kw_only=True)
    class Parameters:
        """There is nothing to set."""

    def __init__(self, **changes: Any) -> None:
        self.chosen: Any = self.Parameters(**changes)

    @property
    def parameters(self) -> dict[str, int | float]:
        """Everything that decides its results."""
        return dataclasses.asdict(self.chosen)

    @abstractmethod
    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the field from ``first`` to ``second``.

        Args:
            first: (h, w) uint8 grey, any size from 1 x 1 up.
            second: the same shape.

        Returns:
            (2, h, w) float32: displacement of each pixel of ``first`` in px to the right (0)
            and downwards (1). Finite everywhere.
        """

    def pairs_at_once(self, height: int, width: int) -> int:
        """Return how many pairs make a run, see ``RunEstimator``."""
        return 1

    def see(self, frame: Frame) -> Any:
        """Return what it needs of a frame, see ``to_grey``."""
        return to_grey(frame)

    def between(self, before: Any, now: Any, directions: Sequence[Direction]) -> Fields:
        """Return the fields of a pair of neighbours, as ``see`` gave them."""
        if np.array_equal(before, now):  # many videos repeat frames: these cost nothing
            return [np.zeros((2, *now.shape), np.float32) for _ in directions]
        ways = {"forward": (before, now), "backward": (now, before)}
        return [self(*ways[direction]) for direction in directions]

    def fields(self, frames: Sequence[Frame], directions: Sequence[Direction]) -> list[Fields]:
        """Return the fields of a run's pairs, see ``RunEstimator``."""
        seen = [self.see(frame) for frame in frames]
        return [self.between(before, now, directions) for before, now in pairwise(seen)]


# Where each is found: a solver's compiler is not loaded for the others.
_KINDS = {
    "dis": ("twostream.flow.opencv", "Dis"),
    "farneback": ("twostream.flow.opencv", "Farneback"),
    "tvl1-opencv": ("twostream.flow.opencv", "TvL1OpenCV"),
    "tvl1": ("twostream.flow.tvl1", "TvL1"),
    "brox": ("twostream.flow.brox", "Brox"),
    "dis-brox": ("twostream.flow.brox", "DisBrox"),
    "raft-small": ("twostream.flow.raft", "RaftSmall"),
    "raft-large": ("twostream.flow.raft", "RaftLarge"),
    "mv": ("twostream.flow.codec", "MotionVectors"),
}
ESTIMATOR_NAMES = tuple(_KINDS)


def find_estimator(name: str) -> type[FlowEstimator]:
    """Return the class of an estimator; raises UsageError where there is none of that name."""
    if name == "imported":
        raise UsageError(
            "this flow was imported and no estimator here makes it: for other videos import their "
            "flow as well (twostream import-flow), or train on flow that twostream computes"
        )
    if name not in _KINDS:
        raise UsageError(f"no flow estimator {name!r}: use one of {', '.join(_KINDS)}")
    room, kind = _KINDS[name]
    return getattr(import_module(room), kind)


def preset_parameters(name: str, preset: str = "default") -> dict[str, int | float]:
    """Return the parameters that a preset of an estimator changes, for ``make_estimator``.

    Args:
        name: of the estimator.
        preset: "fast", "default" or "accurate"; the own solvers have all of them, DIS the first
            two and "patches", the others only "default".

    Raises:
        UsageError: an unknown name or preset; the message lists the known ones.
    """
    presets = find_estimator(name).presets
    if preset not in presets:
        raise UsageError(
            f"flow estimator {name} has no preset {preset!r}: it has {', '.join(presets)}"
        )
    return dict(presets[preset])


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError where a parameter is out of range, or all would take for ever.

    Args:
        parameters: of any estimator, by name; texts, such as a file of weights, are no matter here.
    """
    numbers = {name: value for name, value in parameters.items() if not isinstance(value, str)}
    for name, value in numbers.items():
        low, high = LIMITS.get(name, (0 if name in _REPEATED else -MOST, MOST))
        if not low <= value <= high:
            raise UsageError(f"the flow's {name} lies in {low:g} to {high:g}, got {value}")
    repeated = math.prod(max(1, numbers.get(name, 1)) for name in _REPEATED)
    if repeated > MOST_REPEATED:
        raise UsageError(
            f"{', '.join(name for name in _REPEATED if name in numbers)} multiply to {repeated:g} "
            f"steps for a pair of frames: at most {MOST_REPEATED}"
        )


def make_estimator(name: str, **parameters: int | float | str) -> FlowEstimator:
    """Return a new estimator.

    Args:
        name: one of ``ESTIMATOR_NAMES``; with a preset if wanted, as in "brox:fast".
        **parameters: changes to its defaults, and to the preset's.

    Raises:
        UsageError: an unknown name, preset or parameter; the message lists the known ones.
        ModelError: a learned estimator's weights are not here.
    """
    name, _, preset = name.partition(":")
    if preset:
        parameters = {**preset_parameters(name, preset), **parameters}
    estimator = find_estimator(name)
    defaults = {field.name: field.default for field in dataclasses.fields(estimator.Parameters)}
    checked: dict[str, int | float | str] = {}
    for parameter, value in parameters.items():
        if parameter not in defaults:
            raise UsageError(
                f"flow estimator {name} has no parameter {parameter!r}: "
                f"it has {', '.join(defaults)}"
            )
        kind: Any = type(defaults[parameter])
        if kind is not str and (
            isinstance(value, str) or not math.isfinite(value) or kind(value) != value
        ):
            wanted = "a whole number" if kind is int else "a finite number"
            raise UsageError(f"flow estimator {name}: {parameter} must be {wanted}, got {value}")
        checked[parameter] = kind(value)
    check_parameters(checked)
    return estimator(**checked)
