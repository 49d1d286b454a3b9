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

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import cv2
import numpy as np

from twostream.flow.compile import LANES
from twostream.flow.estimators import FlowEstimator
from twostream.flow.opencv import TvL1OpenCV
from twostream.flow.pyramid import Grey, Plane, Planes, coarse_to_fine, level_sizes
from twostream.flow.tvl1_kernels import iterate, linearise


class TvL1(FlowEstimator):
    """Total variation and L1 data term, compiled for this processor."""

    @dataclass(frozen=True, kw_only=True)
    class Parameters(TvL1OpenCV.Parameters):
        """What decides its results: OpenCV's parameters, with its defaults."""

    name = "tvl1"
    presets: ClassVar[dict[str, dict[str, int | float]]] = {
        "fast": {"warps": 2, "inner_iterations": 20, "outer_iterations": 1},
        "default": {},
        "accurate": {"warps": 10},
    }
    chosen: Parameters

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self._planes = Planes()

    def __call__(self, first: Grey, second: Grey) -> Plane:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        if np.array_equal(first, second):
            return np.zeros((2, *first.shape), np.float32)
        chosen = self.chosen
        sizes = level_sizes(first.shape[0], first.shape[1], chosen.scale_step, chosen.scales)
        return coarse_to_fine(first, second, sizes, None, self._solve_level)

    def _solve_level(self, first: Plane, second: Plane, field: Plane) -> Plane:
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
        chosen = self.chosen
        theta, size = np.float32(chosen.theta), (stride, height, width)
        limit = np.float32(chosen.lambda_) * theta
        step = np.float32(chosen.tau) / theta
        threshold = chosen.epsilon**2
        kernel_side = chosen.median_filtering
        checks = between_checks(chosen.inner_iterations)
        for _ in range(chosen.warps):
            linearise(*frames, u, v, *data, *size, limit)
            change = np.inf
            for _ in range(chosen.outer_iterations):
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
