"""Variational optical flow of Brox, Bruhn, Papenberg and Weickert (ECCV 2004), and DIS before it.

Minimises, with grey values in 0..255 and u = (u, v) in px,

    E(u) = sum_x  brightness psi(r_0^2) + gradient psi(r_x^2 + r_y^2)
                + smoothness psi(|grad u|^2 + |grad v|^2),      psi(s^2) = sqrt(s^2 + epsilon^2)

with the residuals of brightness and gradient constancy

    r_0 = (I1(x + u) - I0(x)) / n(grad I)
    r_x = (d/dx I1(x + u) - d/dx I0(x)) / n(grad I_x),    r_y likewise,     n(g)^2 = |g|^2 + noise^2

on a pyramid, coarse to fine. At each level the second frame is warped by the present flow and the
residuals are linearised; then come fixed-point steps, each of which fixes the psi' = 1/sqrt(..)
and leaves a linear system per pixel,

    (a_11 + sum_n w_n) u + a_12 v = c_1 + sum_n w_n u_n      (and the same for v)

over the four neighbours n, relaxed by sweeps of red-black SOR. Deviations from the paper: each
constraint is divided by its gradient, so that it counts in px (Zimmer, Bruhn and Weickert 2011);
brightness and gradient have a psi each (Bruhn and Weickert 2005); gradients are those of the mean
of both frames; the flow of each level is median filtered (Sun, Roth and Black 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from twostream.flow.brox_kernels import HALO, NUM_DATA, solve_warp
from twostream.flow.compile import LANES
from twostream.flow.estimators import FlowEstimator
from twostream.flow.opencv import one_opencv_thread, pad_small, set_scales, to_field
from twostream.flow.pyramid import (
    Grey,
    Plane,
    aligned_zeros,
    coarse_to_fine,
    level_sizes,
    resize_field,
)

EPSILON = 0.001  # of psi, px: a motion below it is a square's, above it an absolute value's
WAVE_BYTES = 1_500_000  # what the rows under one wave of steps may take of the cache
KEPT_PIXELS = 2_000_000  # frames up to this size keep their planes from pair to pair


class _Level:
    """The planes of one pyramid level, two half planes each (``brox_kernels``)."""

    def __init__(self, height: int, width: int, steps: int, sweeps: int) -> None:
        self.size = height, width
        self.pitch = -(-((width + 1) // 2) // LANES) * LANES + LANES
        rows_per_step = 2 * sweeps + 2
        bytes_per_step = rows_per_step * self.pitch * 2 * 4 * (NUM_DATA + 2 + 7)
        self.steps_per_wave = max(1, min(steps, WAVE_BYTES // bytes_per_step))
        self.ring_rows = self.steps_per_wave * rows_per_step
        planes = aligned_zeros(2, NUM_DATA + 2, (height + 2) * self.pitch)
        rings = aligned_zeros(2, 7, (self.ring_rows + 1) * self.pitch)
        self.u, self.v = tuple(planes[:, 0]), tuple(planes[:, 1])
        self.data = [tuple(half[2:]) for half in planes]
        self.systems = [tuple(half[:5]) for half in rings]
        self.edges = tuple(rings[:, 5]), tuple(rings[:, 6])
        scratch = np.zeros((5, (height + 2 * HALO) * (width + 2 * HALO)), np.float32)
        self.scratch = tuple(scratch)
        self.line = tuple(np.zeros((NUM_DATA, width + 1), np.float32))


class _Solver:
    """Brox on some levels of a pyramid, from a given start."""

    def __init__(self, parameters: Brox.Parameters | DisBrox.Parameters) -> None:
        self._parameters = parameters
        self._levels: dict[tuple[int, int], _Level] = {}
        self._shape = (0, 0)

    def solve(self, first: Grey, second: Grey, start: Plane | None, levels: int) -> Plane:
        """Return the field of a pair.

        Args:
            first, second: (h, w) uint8 grey.
            start: (2, height, width) field of any size; None for no motion.
            levels: that many at most, the finest ones.
        """
        height, width = first.shape
        sizes = level_sizes(height, width, self._parameters.scale_step, levels)
        if start is not None:
            start = self._filtered(resize_field(start, *sizes[-1]))
        if first.shape != self._shape:
            self._levels.clear()
            self._shape = height, width
        return coarse_to_fine(first, second, sizes, start, self._solve_level)

    def _level(self, size: tuple[int, int]) -> _Level:
        level = self._levels.get(size)
        if level is None:
            level = _Level(*size, self._parameters.fixed_point_steps, self._parameters.sweeps)
            if self._shape[0] * self._shape[1] <= KEPT_PIXELS:
                self._levels[size] = level
        return level

    def _filtered(self, field: Plane) -> Plane:
        side = self._parameters.median_filtering
        if side == 1:
            return field
        found = np.empty_like(field)
        for plane, out in zip(field, found, strict=True):
            cv2.medianBlur(plane, side, out)
        return found

    def _solve_level(self, first: Plane, second: Plane, field: Plane) -> Plane:
        parameters, level = self._parameters, self._level((first.shape[0], first.shape[1]))
        size = level.pitch, *level.size
        squared_epsilon = np.float32(EPSILON**2)
        scale = first.shape[1] / self._shape[1]
        weights: tuple[Any, ...] = (
            np.float32(parameters.smoothness * scale**parameters.scale_exponent),
            np.float32(parameters.brightness),
            np.float32(parameters.gradient),
            squared_epsilon,
            squared_epsilon,
        )
        omega, noise = np.float32(parameters.omega), np.float32(parameters.noise)
        steps = parameters.fixed_point_steps, level.steps_per_wave, parameters.sweeps
        planes = level.u, level.v, *level.data, *level.systems, *level.edges
        for _ in range(parameters.warps):
            given = tuple(np.ascontiguousarray(each) for each in (first, second, field))
            field = given[-1]
            lines = level.scratch, level.line
            solve_warp(
                *given, *lines, *planes, level.ring_rows, *size, *steps, weights, omega, noise
            )
            field = self._filtered(field)
        return field


class Brox(FlowEstimator):
    """Brightness and gradient constancy with robust terms, compiled for this processor."""

    @dataclass(frozen=True, kw_only=True)
    class Parameters:
        """What decides its results."""

        smoothness: float = 10.0  # weight of the smoothness term
        brightness: float = 2.0  # weight of brightness constancy
        gradient: float = 10.0  # of gradient constancy; more of it bears more change of the light
        noise: float = 0.3  # of a gradient, grey values/px; below it a constraint counts less
        # A level of size ratio s to the frame takes smoothness * s ^ scale_exponent. 0 keeps coarse
        # levels calm; 1 keeps the balance of the terms, and follows large things that move far, and
        # more of what only seems to move.
        scale_exponent: float = 0.0
        scale_step: float = 0.8  # size ratio of neighbouring levels, below 1
        levels: int = 30  # of the pyramid at most; the coarsest has sides of 16 px or more
        warps: int = 1  # linearisations per level
        fixed_point_steps: int = 3  # per warp
        sweeps: int = 5  # of SOR per fixed-point step
        omega: float = 1.8  # over-relaxation, 1 to 2
        median_filtering: int = 5  # kernel side in px, 3 or 5; 1 for none

    name = "brox"
    presets: ClassVar[dict[str, dict[str, int | float]]] = {
        "fast": {"scale_step": 0.75, "median_filtering": 3},
        "default": {},
        "accurate": {"warps": 2, "smoothness": 12.0},
    }
    chosen: Parameters

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self._solver = _Solver(self.chosen)

    def __call__(self, first: Grey, second: Grey) -> Plane:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        if np.array_equal(first, second):
            return np.zeros((2, *first.shape), np.float32)
        return self._solver.solve(first, second, None, self.chosen.levels)


class DisBrox(FlowEstimator):
    """Dense inverse search (Kroeger et al. 2016) as the start, Brox on the finest levels.

    The search follows small things that move far, which no coarse level shows; Brox then makes
    the field smooth and exact.
    """

    @dataclass(frozen=True, kw_only=True)
    class Parameters:
        """What decides its results; the rest as of ``Brox``."""

        finest_scale: int = 1  # pyramid level of the last search, 0 is full resolution
        patch_stride: int = 4  # distance of neighbouring patches, px
        levels: int = 3  # of Brox's pyramid, the finest ones
        smoothness: float = 10.0
        brightness: float = 2.0
        gradient: float = 10.0
        noise: float = 0.3
        scale_exponent: float = 0.0
        scale_step: float = 0.7
        warps: int = 1
        fixed_point_steps: int = 3
        sweeps: int = 5
        omega: float = 1.8
        median_filtering: int = 5

    name = "dis-brox"
    presets: ClassVar[dict[str, dict[str, int | float]]] = {
        "fast": {"finest_scale": 2, "levels": 4},
        "default": {},
        "accurate": {"levels": 5, "warps": 2, "scale_step": 0.8},
    }
    chosen: Parameters

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self._solver = _Solver(self.chosen)
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._scales = self.chosen.finest_scale, self._dis.getPatchSize(), self.chosen.patch_stride
        self._dis.setVariationalRefinementIterations(0)

    def __call__(self, first: Grey, second: Grey) -> Plane:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        if np.array_equal(first, second):
            return np.zeros((2, *first.shape), np.float32)
        with one_opencv_thread():  # its result would follow the number of threads
            set_scales(self._dis, *self._scales)
            found = self._dis.calc(pad_small(first), pad_small(second), None)
        start = to_field(found, first.shape)
        return self._solver.solve(first, second, start, self.chosen.levels)
