"""Which processor computes the flow: compiled solvers on the CPU, or batches on a GPU."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np

from twostream.flow.estimators import RunEstimator, make_estimator
from twostream.types import Frame, UsageError

DEVICES = ("auto", "cpu", "cuda")
BATCHED = ("tvl1", "brox")  # the methods of batched.py
LEARNED = ("raft-small", "raft-large")  # these run in torch anyway
TRIAL_SIZE = (256, 340)

Parameters = Mapping[str, int | float]


def make_on_device(name: str, parameters: Parameters, device: str) -> RunEstimator:
    """Return an estimator; for one of BATCHED on a GPU its version for many pairs at once.

    Args:
        name: of the estimator.
        parameters: changes to its defaults.
        device: what ``choose_device`` returned.
    """
    if device == "cuda" and name in BATCHED:
        from twostream.flow.batched import Batched

        changes: dict[str, Any] = dict(parameters)
        return Batched(name, device="cuda", **changes)
    estimator = make_estimator(name, **parameters)
    if name in LEARNED:
        estimator.device = device  # type: ignore[attr-defined]
    return estimator


def choose_device(asked: str, name: str, parameters: Parameters, *, threads: int) -> str:
    """Return where an estimator computes: "cpu", "cuda", or "auto" where it chooses by itself.

    ``auto`` takes the GPU for the methods that have a version for it where a trial shows that it
    is faster than this many threads. Its results agree with those of the CPU to about 0.001 px.

    Args:
        asked: "auto", "cpu" or "cuda".
        name: of the estimator.
        parameters: its own.
        threads: that would compute pairs on the CPU.

    Raises:
        UsageError: another device; or CUDA was asked for and is not here, or the method has no
            version for it.
    """
    if asked not in DEVICES:
        raise UsageError(f"flow is computed on {', '.join(DEVICES)}, got {asked!r}")
    if asked == "cpu" or name not in (*BATCHED, *LEARNED):
        if asked == "cuda":
            raise UsageError(
                f"{name} has no version for a GPU: compute it on the CPU, or use "
                f"{', '.join((*BATCHED, *LEARNED))}"
            )
        return "cpu"
    if asked == "cuda" and not cuda_is_there():
        raise UsageError("no CUDA device that torch can use is here: compute the flow on the CPU")
    if asked == "cuda" or name in LEARNED:
        return asked
    return "cuda" if cuda_is_there() and _pays(name, parameters, threads) else "cpu"


def cuda_is_there() -> bool:
    """Whether torch finds a CUDA device; torch is not loaded where there is no driver for one."""
    if "torch" not in sys.modules and not (_has_driver() and find_spec("torch")):
        return False
    import torch

    return torch.cuda.is_available()


def _has_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _pays(name: str, parameters: Parameters, threads: int) -> bool:
    rates = {device: pairs_per_second(name, parameters, device) for device in ("cpu", "cuda")}
    return rates["cuda"] > threads * rates["cpu"]


def pairs_per_second(name: str, parameters: Parameters, device: str) -> float:
    """Return the rate of one thread at 340 x 256 px, after a first call that compiles."""
    estimator = make_on_device(name, parameters, device)
    height, width = TRIAL_SIZE
    noise = np.random.default_rng(0).standard_normal((height, width + 2)).astype(np.float32)
    picture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    rgb = cv2.cvtColor(picture.astype(np.uint8), cv2.COLOR_GRAY2RGB)
    pairs = estimator.pairs_at_once(height, width)
    run = [Frame(rgb[:, k % 2 * 2 :][:, :width], k / 25) for k in range(pairs + 1)]
    estimator.fields(run, ["forward"])
    started = time.perf_counter()
    estimator.fields(run, ["forward"])
    return pairs / (time.perf_counter() - started)
