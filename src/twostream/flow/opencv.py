"""OpenCV's optical flow estimators on the CPU: DIS (the default), Farneback and TV-L1.

Every estimator pads what is too small for it by repeating the border and crops back, so that any
size from 1 x 1 up works.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow.estimators import FlowEstimator
from twostream.types import UsageError

_FAST: dict[str, int | float] = {
    "patch_stride": 4,
    "gradient_descent_iterations": 8,
    "refinement_iterations": 3,
}
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


def to_field(flow: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the (2, h, w) field of a pair from OpenCV's (H, W, 2), whose frames were padded."""
    return np.ascontiguousarray(flow[: shape[0], : shape[1]].transpose(2, 0, 1))


class Dis(FlowEstimator):
    """Dense inverse search (Kroeger et al. 2016) with variational refinement.

    The defaults are OpenCV's medium preset, refined down to full resolution (``finest_scale=0``),
    which halves its end-point error on RubberWhale.
    """

    @dataclass(frozen=True, kw_only=True)
    class Parameters:
        """What decides its results."""

        finest_scale: int = 0  # pyramid level of the last search, 0 is full resolution
        patch_size: int = 8  # side of a patch, px
        patch_stride: int = 3  # distance of neighbouring patches, px
        gradient_descent_iterations: int = 25  # per patch
        refinement_iterations: int = 5  # variational fixed-point iterations per level
        refinement_alpha: float = 20.0  # weight of smoothness
        refinement_delta: float = 5.0  # weight of colour constancy
        refinement_gamma: float = 10.0  # weight of gradient constancy

    name = "dis"
    presets: ClassVar[dict[str, dict[str, int | float]]] = {
        "patches": {**_FAST, "patch_stride": 5, "refinement_iterations": 0},
        "fast": _FAST,
        "default": {},
    }
    chosen: Parameters

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._dis.setGradientDescentIterations(self.chosen.gradient_descent_iterations)
        self._dis.setVariationalRefinementIterations(self.chosen.refinement_iterations)
        self._dis.setVariationalRefinementAlpha(self.chosen.refinement_alpha)
        self._dis.setVariationalRefinementDelta(self.chosen.refinement_delta)
        self._dis.setVariationalRefinementGamma(self.chosen.refinement_gamma)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        c = self.chosen
        set_scales(self._dis, c.finest_scale, c.patch_size, c.patch_stride)
        flow = self._dis.calc(pad_small(first), pad_small(second), None)
        return to_field(flow, first.shape)


class Farneback(FlowEstimator):
    """Polynomial expansion (Farneback 2003), OpenCV's implementation."""

    @dataclass(frozen=True, kw_only=True)
    class Parameters:
        """What decides its results, in the order of OpenCV's arguments."""

        pyramid_scale: float = 0.5  # size ratio of neighbouring levels, below 1
        levels: int = 3  # of the pyramid
        window_size: int = 15  # averaging window, px
        iterations: int = 3  # per level
        poly_n: int = 5  # neighbourhood of the polynomial, px (5 or 7)
        poly_sigma: float = 1.2  # its Gaussian weight, px

    name = "farneback"

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        farneback: Any = cv2.calcOpticalFlowFarneback
        values = self.parameters.values()
        flow = farneback(pad_small(first), pad_small(second), None, *values, 0)
        return to_field(flow, first.shape)


class TvL1OpenCV(FlowEstimator):
    """Dual TV-L1 (Zach, Pock and Bischof 2007), the implementation in opencv-contrib.

    Slow (field notes: most of a second for a 320 x 240 pair); kept as a reference.
    """

    @dataclass(frozen=True, kw_only=True)
    class Parameters:
        """What decides its results; ``TvL1`` has the same."""

        tau: float = 0.25  # time step of the dual scheme, at most 0.25
        lambda_: float = 0.15  # weight of the data term, for grey values in 0..255
        theta: float = 0.3  # tightness of the coupling
        scales: int = 5  # levels of the pyramid at most; the coarsest has sides of 16 px or more
        warps: int = 5  # linearisations per level
        # a warp ends where the root of the mean squared change per iteration is less, px
        epsilon: float = 0.01
        inner_iterations: int = 30  # between two median filterings
        outer_iterations: int = 10  # median filterings per warp at most
        scale_step: float = 0.8  # size ratio of neighbouring levels, below 1
        median_filtering: int = 5  # kernel side in px, 3 or 5; 1 for none

    name = "tvl1-opencv"
    chosen: Parameters

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        # of several OpenCV packages in one environment the last one to be installed is there
        if not hasattr(cv2, "optflow"):
            raise UsageError(
                "flow tvl1-opencv needs OpenCV's extra modules, and the OpenCV here has none: "
                "pip uninstall every opencv package, then pip install "
                "opencv-contrib-python-headless; or use --flow tvl1"
            )
        # By setters: one keyword of the constructor is misspelt differently across versions.
        self._tvl1 = cv2.optflow.DualTVL1OpticalFlow.create()
        self._tvl1.setTau(self.chosen.tau)
        self._tvl1.setLambda(self.chosen.lambda_)
        self._tvl1.setTheta(self.chosen.theta)
        self._tvl1.setWarpingsNumber(self.chosen.warps)
        self._tvl1.setEpsilon(self.chosen.epsilon)
        self._tvl1.setInnerIterations(self.chosen.inner_iterations)
        self._tvl1.setOuterIterations(self.chosen.outer_iterations)
        self._tvl1.setScaleStep(self.chosen.scale_step)
        self._tvl1.setMedianFiltering(self.chosen.median_filtering)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        # It keeps the number of scales that a small frame had room for.
        self._tvl1.setScalesNumber(self.chosen.scales)
        flow = self._tvl1.calc(pad_small(first), pad_small(second), None)
        return to_field(flow, first.shape)
