"""TV-L1 optical flow: Zach, Pock and Bischof 2007, as Sanchez, Meinhardt-Llopis and Facciolo 2013.

Minimises, for grey values in 0..255, with u = (u, v) in px,

    E(u) = sum_x |grad u| + |grad v| + lambda |I1(x + u) - I0(x)|

on a pyramid, coarse to fine. At each warp the residual is linearised around the present flow u0,
rho(u) = grad I1(x + u0).(u - u0) + I1(x + u0) - I0(x), and w is coupled to u by
|u - w|^2 / (2 theta). Each iteration then is

    w       = u - clamp(rho(u) / |g|, -lambda theta |g|, lambda theta |g|) g / |g|
    u       = w_1 + theta div p,     v = w_2 + theta div q
    p       = (p + tau/theta grad u) / (1 + tau/theta |grad u|),   q likewise with v

with forward differences for the gradient and backward ones for the divergence. Deviations from
OpenCV's implementation: the warped gradient is the derivative of the same cubic convolution
that warps the frame; pixels that leave the frame have no data term; the stopping threshold is
looked at after 2, 10, 20 .. iterations; square roots are good to 7e-4.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow.compile import LANES
from twostream.flow.pyramid import Planes, level_sizes, resize_field, resize_plane
from twostream.flow.tvl1_kernels import iterate, linearise
from twostream.flow.warm_start import WarmStart


class TvL1:
    """Total variation and L1 data term, compiled for this processor.

    The defaults are those of OpenCV's ``DualTVL1OpticalFlow``.

    Args:
        tau: time step of the dual scheme, at most 0.25.
        lambda_: weight of the data term, for grey values in 0..255.
        theta: tightness of the coupling.
        scales: levels of the pyramid at most; the coarsest has sides of 16 px or more.
        warps: linearisations per level.
        epsilon: a warp ends where the root of the mean squared change per iteration is less, px.
        inner_iterations: between two median filterings.
        outer_iterations: median filterings per warp at most.
        scale_step: size ratio of neighbouring levels, below 1.
        median_filtering: kernel side in px, 3 or 5; 1 for none.
        warm_start: a pair starts from the field of the pair before, on the finest levels; after so
            many pairs one starts from nothing. 0: all do. Call ``restart`` before each clip.
    """

    name = "tvl1"
    presets: ClassVar[dict[str, dict[str, int | float]]] = {
        "fast": {"warps": 2, "inner_iterations": 20, "outer_iterations": 1},
        "default": {},
        "accurate": {"warps": 10},
    }

    def __init__(
        self,
        *,
        tau: float = 0.25,
        lambda_: float = 0.15,
        theta: float = 0.3,
        scales: int = 5,
        warps: int = 5,
        epsilon: float = 0.01,
        inner_iterations: int = 30,
        outer_iterations: int = 10,
        scale_step: float = 0.8,
        median_filtering: int = 5,
        warm_start: int = 0,
    ) -> None:
        self.parameters: dict[str, int | float] = {
            "tau": tau,
            "lambda_": lambda_,
            "theta": theta,
            "scales": scales,
            "warps": warps,
            "epsilon": epsilon,
            "inner_iterations": inner_iterations,
            "outer_iterations": outer_iterations,
            "scale_step": scale_step,
            "median_filtering": median_filtering,
            "warm_start": warm_start,
        }
        self._warm = WarmStart(warm_start)
        self._planes = Planes()

    def restart(self) -> None:
        """Start the next pair from nothing: a clip begins."""
        self._warm.restart()

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        if np.array_equal(first, second):
            return np.zeros((2, *first.shape), np.float32)
        height, width = first.shape
        step, scales = self.parameters["scale_step"], int(self.parameters["scales"])
        start = self._warm.find(first, second)
        if start is not None:
            scales = WarmStart.levels(step, scales)
        sizes = level_sizes(height, width, step, scales)
        frames = [[first.astype(np.float32), second.astype(np.float32)]]
        for size in sizes[1:]:
            frames.append([resize_plane(frame, *size) for frame in frames[-1]])
        field = np.zeros((2, *sizes[-1]), np.float32) if start is None else start
        for size, (one, two) in zip(reversed(sizes), reversed(frames), strict=True):
            field = self._solve_level(one, two, resize_field(field, *size))
        self._warm.keep(first, second, field)
        return field

    def _solve_level(
        self,
        first: NDArray[np.float32],
        second: NDArray[np.float32],
        field: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the field of one level, (2, height, width), from the one it starts with."""
        height, width = first.shape
        stride = -(-width // LANES) * LANES + LANES
        planes = self._planes.get(11, height + 2, stride)
        planes[2:6] = 0
        inner = planes[:2, 1:-1, :width]
        inner[:] = field
        u, v, *duals_and_data, scratch = planes.reshape(11, -1)
        duals, data = duals_and_data[:4], duals_and_data[4:]
        frames = np.ascontiguousarray(first).ravel(), np.ascontiguousarray(second).ravel()
        parameters = self.parameters
        theta, size = np.float32(parameters["theta"]), (stride, height, width)
        limit = np.float32(parameters["lambda_"]) * theta
        step = np.float32(parameters["tau"]) / theta
        threshold = parameters["epsilon"] ** 2
        kernel_side = int(parameters["median_filtering"])
        checks = between_checks(int(parameters["inner_iterations"]))
        for _ in range(int(parameters["warps"])):
            linearise(*frames, u, v, *data, *size, limit)
            change = np.inf
            for _ in range(int(parameters["outer_iterations"])):
                if change <= threshold:
                    break
                if kernel_side > 1:
                    for plane in inner:
                        plane[:] = cv2.medianBlur(plane, kernel_side)
                for count in checks:
                    change = iterate(u, v, *duals, *data, scratch, *size, theta, step, count)
                    if change <= threshold:
                        break
        return inner.copy()


def between_checks(total: int) -> list[int]:
    """Return how many iterations are done before each look at the stopping threshold.

    Many at once keep the rows in the cache; two at first let frames that hardly move go.

    >>> between_checks(25)
    [2, 8, 10, 5]
    """
    stops = [0, *(stop for stop in (2, *range(10, total, 10)) if stop < total), total]
    return [stop - start for start, stop in pairwise(stops)]
