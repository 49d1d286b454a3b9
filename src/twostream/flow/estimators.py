"""Optical flow: estimators behind one protocol.

The estimators are looked up by name in ``ESTIMATORS``; OpenCV, and numba for the own
solvers, are imported only when one is made.
"""

from __future__ import annotations

import inspect
import math
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twostream.types import UsageError


class FlowEstimator(Protocol):
    """Computes the optical flow of a pair of grey frames. Use one instance per thread.

    Attributes:
        name: its key in ``ESTIMATORS``.
        parameters: everything that decides its results.
    """

    name: str
    parameters: dict[str, int | float]

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the field from ``first`` to ``second``.

        Args:
            first: (h, w) uint8 grey, any size from 1 x 1 up.
            second: the same shape.

        Returns:
            (2, h, w) float32: displacement of each pixel of ``first`` in px to the right (0)
            and downwards (1). Finite everywhere.
        """
        ...


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


def __getattr__(name: str) -> Any:
    if name == "ESTIMATORS":
        return {name: getattr(import_module(room), kind) for name, (room, kind) in _KINDS.items()}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _find(name: str) -> Any:
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
            two, the others only "default".

    Raises:
        UsageError: an unknown name or preset; the message lists the known ones.
    """
    presets: dict[str, dict[str, int | float]] = getattr(_find(name), "presets", {"default": {}})
    if preset not in presets:
        raise UsageError(
            f"flow estimator {name} has no preset {preset!r}: it has {', '.join(presets)}"
        )
    return dict(presets[preset])


def make_estimator(name: str, **parameters: int | float | str) -> FlowEstimator:
    """Return a new estimator.

    Args:
        name: a key of ``ESTIMATORS``; with a preset if wanted, as in "brox:fast".
        **parameters: changes to its defaults, and to the preset's.

    Raises:
        UsageError: an unknown name, preset or parameter; the message lists the known ones.
        ModelError: a learned estimator's weights are not here.
    """
    name, _, preset = name.partition(":")
    if preset:
        parameters = {**preset_parameters(name, preset), **parameters}
    estimator = _find(name)
    signature = inspect.signature(estimator).parameters
    checked: dict[str, int | float | str] = {}
    for parameter, value in parameters.items():
        if parameter not in signature:
            raise UsageError(
                f"flow estimator {name} has no parameter {parameter!r}: "
                f"it has {', '.join(signature)}"
            )
        kind = type(signature[parameter].default)
        if kind is str:
            checked[parameter] = str(value)
            continue
        if isinstance(value, str) or not math.isfinite(value) or kind(value) != value:
            wanted = "a whole number" if kind is int else "a finite number"
            raise UsageError(f"flow estimator {name}: {parameter} must be {wanted}, got {value}")
        checked[parameter] = kind(value)
    return estimator(**checked)
