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

from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow.brox_kernels import HALO, NUM_DATA, join, linearise, relax, split
from twostream.flow.compile import LANES
from twostream.flow.opencv import one_opencv_thread, pad_small, set_scales
from twostream.flow.pyramid import aligned_zeros, level_sizes, resize_field, resize_plane
from twostream.flow.warm_start import WarmStart

EPSILON = 0.001  # of psi, px: a motion below it is a square's, above it an absolute value's
WAVE_BYTES = 1_500_000  # what the rows under one wave of steps may take of the cache
KEPT_PIXELS = 2_000_000  # frames up to this size keep their planes from pair to pair

Plane = NDArray[np.float32]


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

    def __init__(self, parameters: dict[str, int | float]) -> None:
        self._parameters = parameters
        self._levels: dict[tuple[int, int], _Level] = {}
        self._shape = (0, 0)

    def solve(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], start: Plane | None, levels: int
    ) -> Plane:
        """Return the field of a pair.

        Args:
            first, second: (h, w) uint8 grey.
            start: (2, height, width) field of any size; None for no motion.
            levels: that many at most, the finest ones.
        """
        height, width = first.shape
        sizes = level_sizes(height, width, self._parameters["scale_step"], levels)
        frames = [(first.astype(np.float32), second.astype(np.float32))]
        for size in sizes[1:]:
            one, two = (resize_plane(frame, *size) for frame in frames[-1])
            frames.append((one, two))
        if start is None:
            field = np.zeros((2, *sizes[-1]), np.float32)
        else:
            field = self._filtered(resize_field(start, *sizes[-1]))
        if first.shape != self._shape:
            self._levels.clear()
            self._shape = height, width
        for size, (one, two) in zip(reversed(sizes), reversed(frames), strict=True):
            field = self._solve_level(one, two, resize_field(field, *size))
        return field

    def _level(self, size: tuple[int, int]) -> _Level:
        level = self._levels.get(size)
        if level is None:
            parameters = self._parameters
            level = _Level(*size, int(parameters["fixed_point_steps"]), int(parameters["sweeps"]))
            if self._shape[0] * self._shape[1] <= KEPT_PIXELS:
                self._levels[size] = level
        return level

    def _filtered(self, field: Plane) -> Plane:
        side = int(self._parameters["median_filtering"])
        return np.stack([cv2.medianBlur(plane, side) for plane in field]) if side > 1 else field

    def _solve_level(self, first: Plane, second: Plane, field: Plane) -> Plane:
        parameters, level = self._parameters, self._level((first.shape[0], first.shape[1]))
        size = level.pitch, *level.size
        squared_epsilon = np.float32(EPSILON**2)
        scale = first.shape[1] / self._shape[1]
        weights: tuple[Any, ...] = (
            np.float32(parameters["smoothness"] * scale ** parameters["scale_exponent"]),
            np.float32(parameters["brightness"]),
            np.float32(parameters["gradient"]),
            squared_epsilon,
            squared_epsilon,
        )
        omega, noise = np.float32(parameters["omega"]), np.float32(parameters["noise"])
        steps = int(parameters["fixed_point_steps"])
        for _ in range(int(parameters["warps"])):
            field = np.ascontiguousarray(field)
            linearise(
                first.ravel(),
                second.ravel(),
                field[0].ravel(),
                field[1].ravel(),
                level.scratch,
                level.line,
                *level.data,
                *size,
                noise,
            )
            for plane, halves in zip(field, (level.u, level.v), strict=True):
                split(plane, *halves, *size)
            for done in range(0, steps, level.steps_per_wave):
                relax(
                    level.u,
                    level.v,
                    *level.data,
                    *level.systems,
                    *level.edges,
                    level.ring_rows,
                    *size,
                    min(level.steps_per_wave, steps - done),
                    int(parameters["sweeps"]),
                    weights,
                    omega,
                )
            for plane, halves in zip(field, (level.u, level.v), strict=True):
                join(*halves, plane, *size)
            field = self._filtered(field)
        return field


class Brox:
    """Brightness and gradient constancy with robust terms, compiled for this processor.

    Args:
        smoothness: weight of the smoothness term.
        brightness: weight of brightness constancy.
        gradient: weight of gradient constancy; more of it bears more change of the light.
        noise: of a gradient, grey values per px; below it a constraint counts less.
        scale_exponent: a level of size ratio s to the frame takes smoothness * s ^ scale_exponent.
            0 keeps coarse levels calm; 1 keeps the balance of the terms, and follows large things
            that move far, and more of what only seems to move.
        scale_step: size ratio of neighbouring levels, below 1.
        levels: of the pyramid at most; the coarsest has sides of 16 px or more.
        warps: linearisations per level.
        fixed_point_steps: per warp.
        sweeps: of SOR per fixed-point step.
        omega: over-relaxation, 1 to 2.
        median_filtering: kernel side in px, 3 or 5; 1 for none.
        warm_start: a pair starts from the field of the pair before, on the finest levels; after so
            many pairs one starts from nothing. 0: all do. Call ``restart`` before each clip.
    """

    name = "brox"
    presets: ClassVar[dict[str, dict[str, int | float]]] = {
        "fast": {"scale_step": 0.75, "median_filtering": 3},
        "default": {},
        "accurate": {"warps": 2, "smoothness": 12.0},
    }

    def __init__(
        self,
        *,
        smoothness: float = 10.0,
        brightness: float = 2.0,
        gradient: float = 10.0,
        noise: float = 0.3,
        scale_exponent: float = 0.0,
        scale_step: float = 0.8,
        levels: int = 30,
        warps: int = 1,
        fixed_point_steps: int = 3,
        sweeps: int = 5,
        omega: float = 1.8,
        median_filtering: int = 5,
        warm_start: int = 0,
    ) -> None:
        self.parameters: dict[str, int | float] = {
            "smoothness": smoothness,
            "brightness": brightness,
            "gradient": gradient,
            "noise": noise,
            "scale_exponent": scale_exponent,
            "scale_step": scale_step,
            "levels": levels,
            "warps": warps,
            "fixed_point_steps": fixed_point_steps,
            "sweeps": sweeps,
            "omega": omega,
            "median_filtering": median_filtering,
            "warm_start": warm_start,
        }
        self._solver = _Solver(self.parameters)
        self._warm = WarmStart(warm_start)

    def restart(self) -> None:
        """Start the next pair from nothing: a clip begins."""
        self._warm.restart()

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        if np.array_equal(first, second):
            return np.zeros((2, *first.shape), np.float32)
        levels, start = int(self.parameters["levels"]), self._warm.find(first, second)
        if start is not None:
            levels = WarmStart.levels(self.parameters["scale_step"], levels)
        field = self._solver.solve(first, second, start, levels)
        self._warm.keep(first, second, field)
        return field


class DisBrox:
    """Dense inverse search (Kroeger et al. 2016) as the start, Brox on the finest levels.

    The search follows small things that move far, which no coarse level shows; Brox then makes
    the field smooth and exact.

    Args:
        finest_scale: pyramid level of the last search, 0 is full resolution.
        patch_stride: distance of neighbouring patches, px.
        levels: of Brox's pyramid, the finest ones.
        smoothness, brightness, gradient, noise, scale_exponent, scale_step, warps,
            fixed_point_steps, sweeps, omega, median_filtering: as of ``Brox``.
    """

    name = "dis-brox"
    presets: ClassVar[dict[str, dict[str, int | float]]] = {
        "fast": {"finest_scale": 2, "levels": 4},
        "default": {},
        "accurate": {"levels": 5, "warps": 2, "scale_step": 0.8},
    }

    def __init__(
        self,
        *,
        finest_scale: int = 1,
        patch_stride: int = 4,
        levels: int = 3,
        smoothness: float = 10.0,
        brightness: float = 2.0,
        gradient: float = 10.0,
        noise: float = 0.3,
        scale_exponent: float = 0.0,
        scale_step: float = 0.7,
        warps: int = 1,
        fixed_point_steps: int = 3,
        sweeps: int = 5,
        omega: float = 1.8,
        median_filtering: int = 5,
    ) -> None:
        self.parameters: dict[str, int | float] = {
            "finest_scale": finest_scale,
            "patch_stride": patch_stride,
            "levels": levels,
            "smoothness": smoothness,
            "brightness": brightness,
            "gradient": gradient,
            "noise": noise,
            "scale_exponent": scale_exponent,
            "scale_step": scale_step,
            "warps": warps,
            "fixed_point_steps": fixed_point_steps,
            "sweeps": sweeps,
            "omega": omega,
            "median_filtering": median_filtering,
        }
        self._solver = _Solver(self.parameters)
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._scales = finest_scale, self._dis.getPatchSize(), patch_stride
        self._dis.setVariationalRefinementIterations(0)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        height, width = first.shape
        if np.array_equal(first, second):
            return np.zeros((2, height, width), np.float32)
        with one_opencv_thread():  # its result would follow the number of threads
            set_scales(self._dis, *self._scales)
            found = self._dis.calc(pad_small(first), pad_small(second), None)
        start = np.ascontiguousarray(found[:height, :width].transpose(2, 0, 1))
        return self._solver.solve(first, second, start, int(self.parameters["levels"]))
