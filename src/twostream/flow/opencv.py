"""OpenCV's optical flow estimators on the CPU: DIS (the default), Farneback and TV-L1.

Every estimator pads what is too small for it by repeating the border and crops back, so that any
size from 1 x 1 up works.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_SIDE_PX = 16  # DIS refuses sides below 12 px; its coarsest scale is safe from 16 up


_thread_limit = threading.Lock()
_thread_limit_users = 0
_threads_before = 0


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Let OpenCV use one thread inside: DIS splits the picture by threads and results follow it.

    Pairs are computed in parallel instead, which also scales better than threads within a pair.
    The number of threads is the whole process's; it comes back when the last user has left.
    """
    global _thread_limit_users, _threads_before
    with _thread_limit:
        if not _thread_limit_users:
            _threads_before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _thread_limit_users += 1
    try:
        yield
    finally:
        with _thread_limit:
            _thread_limit_users -= 1
            if not _thread_limit_users:
                cv2.setNumThreads(_threads_before)


def pad_small(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a contiguous frame whose sides are long enough for OpenCV; its border is repeated."""
    height, width = grey.shape
    bottom, right = max(0, MIN_SIDE_PX - height), max(0, MIN_SIDE_PX - width)
    if bottom or right:
        grey = np.pad(grey, ((0, bottom), (0, right)), mode="edge")
    return np.ascontiguousarray(grey)


def set_scales(dis: Any, finest_scale: int, patch_size: int, patch_stride: int) -> None:
    """Set what DIS changes for itself, and for good, when a frame is too small for it."""
    dis.setFinestScale(finest_scale)
    dis.setPatchSize(patch_size)
    dis.setPatchStride(patch_stride)


def _to_field(flow: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 2) of a padded pair -> (2, h, w)."""
    return np.ascontiguousarray(flow[: shape[0], : shape[1]].transpose(2, 0, 1))


class Dis:
    """Dense inverse search (Kroeger et al. 2016) with variational refinement.

    The defaults are OpenCV's medium preset, refined down to full resolution (``finest_scale=0``),
    which halves its end-point error on RubberWhale.

    Args:
        finest_scale: pyramid level of the last search, 0 is full resolution.
        patch_size: side of a patch, px.
        patch_stride: distance of neighbouring patches, px.
        gradient_descent_iterations: per patch.
        refinement_iterations: variational fixed-point iterations per level.
        refinement_alpha: weight of smoothness.
        refinement_delta: weight of colour constancy.
        refinement_gamma: weight of gradient constancy.
    """

    name = "dis"
    presets: ClassVar[dict[str, dict[str, int | float]]] = {
        "fast": {"patch_stride": 4, "gradient_descent_iterations": 8, "refinement_iterations": 3},
        "default": {},
    }

    def __init__(
        self,
        *,
        finest_scale: int = 0,
        patch_size: int = 8,
        patch_stride: int = 3,
        gradient_descent_iterations: int = 25,
        refinement_iterations: int = 5,
        refinement_alpha: float = 20.0,
        refinement_delta: float = 5.0,
        refinement_gamma: float = 10.0,
    ) -> None:
        self.parameters: dict[str, int | float] = {
            "finest_scale": finest_scale,
            "patch_size": patch_size,
            "patch_stride": patch_stride,
            "gradient_descent_iterations": gradient_descent_iterations,
            "refinement_iterations": refinement_iterations,
            "refinement_alpha": refinement_alpha,
            "refinement_delta": refinement_delta,
            "refinement_gamma": refinement_gamma,
        }
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._scales = finest_scale, patch_size, patch_stride
        self._dis.setGradientDescentIterations(gradient_descent_iterations)
        self._dis.setVariationalRefinementIterations(refinement_iterations)
        self._dis.setVariationalRefinementAlpha(refinement_alpha)
        self._dis.setVariationalRefinementDelta(refinement_delta)
        self._dis.setVariationalRefinementGamma(refinement_gamma)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        set_scales(self._dis, *self._scales)
        flow = self._dis.calc(pad_small(first), pad_small(second), None)
        return _to_field(flow, first.shape)


class Farneback:
    """Polynomial expansion (Farneback 2003), OpenCV's implementation.

    Args:
        pyramid_scale: size ratio of neighbouring levels, below 1.
        levels: of the pyramid.
        window_size: averaging window, px.
        iterations: per level.
        poly_n: neighbourhood of the polynomial, px (5 or 7).
        poly_sigma: its Gaussian weight, px.
    """

    name = "farneback"

    def __init__(
        self,
        *,
        pyramid_scale: float = 0.5,
        levels: int = 3,
        window_size: int = 15,
        iterations: int = 3,
        poly_n: int = 5,
        poly_sigma: float = 1.2,
    ) -> None:
        self.parameters: dict[str, int | float] = {
            "pyramid_scale": pyramid_scale,
            "levels": levels,
            "window_size": window_size,
            "iterations": iterations,
            "poly_n": poly_n,
            "poly_sigma": poly_sigma,
        }
        self._farneback: Any = cv2.calcOpticalFlowFarneback

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        values = self.parameters.values()  # they stand in OpenCV's order
        flow = self._farneback(pad_small(first), pad_small(second), None, *values, 0)
        return _to_field(flow, first.shape)


class TvL1OpenCV:
    """Dual TV-L1 (Zach, Pock and Bischof 2007), the implementation in opencv-contrib.

    Slow (field notes: most of a second for a 320 x 240 pair); kept as a reference.

    Args:
        tau: time step of the dual scheme.
        lambda_: weight of the data term.
        theta: tightness of the coupling.
        scales: levels of the pyramid.
        warps: warpings per level.
        epsilon: stopping threshold.
        inner_iterations: between two median filterings.
        outer_iterations: median filterings per warp.
        scale_step: size ratio of neighbouring levels.
        median_filtering: kernel side in px, 1 for none.
    """

    name = "tvl1-opencv"

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
        }
        # By setters: one keyword of the constructor is misspelt differently across versions.
        self._tvl1 = cv2.optflow.DualTVL1OpticalFlow.create()
        self._tvl1.setTau(tau)
        self._tvl1.setLambda(lambda_)
        self._tvl1.setTheta(theta)
        self._tvl1.setWarpingsNumber(warps)
        self._tvl1.setEpsilon(epsilon)
        self._tvl1.setInnerIterations(inner_iterations)
        self._tvl1.setOuterIterations(outer_iterations)
        self._tvl1.setScaleStep(scale_step)
        self._tvl1.setMedianFiltering(median_filtering)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        # It keeps the number of scales that a small frame had room for.
        self._tvl1.setScalesNumber(int(self.parameters["scales"]))
        flow = self._tvl1.calc(pad_small(first), pad_small(second), None)
        return _to_field(flow, first.shape)
