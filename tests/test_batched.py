"""The batched solvers are the compiled ones: parity on the CPU device, and on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from twostream.flow import make_estimator
from twostream.flow.batched import Batched
from twostream.types import UsageError


def pair(dx: float, dy: float, height: int = 47, width: int = 66) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    picture = cv2.GaussianBlur(rng.standard_normal((height + 20, width + 20)), (0, 0), 2)
    picture = np.clip(picture / picture.std() * 40 + 128, 0, 255).astype(np.float32)
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (width + 20, height + 20)
    moved = cv2.warpAffine(picture, shift, size, flags=cv2.INTER_CUBIC)
    crop = np.s_[10 : 10 + height, 10 : 10 + width]
    first, second = (np.clip(np.rint(p[crop]), 0, 255).astype(np.uint8) for p in (picture, moved))
    return first, second


def both(name: str, device: str, **parameters: int | float) -> tuple[np.ndarray, np.ndarray]:
    """Return compiled and batched fields of three pairs, one of which stands still."""
    pairs = [pair(0, 0), pair(1.3, -0.6), pair(-2, 1)]
    estimator = make_estimator(name, **parameters)
    first, second = (torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True))
    batched = Batched(name, device=device, **parameters)(first, second).cpu().numpy()
    return np.stack([estimator(*frames) for frames in pairs]), batched


def check_parity(name: str, device: str) -> None:
    torch.set_num_threads(1)
    compiled, batched = both(name, device)
    assert batched.shape == compiled.shape
    assert batched.dtype == np.float32
    assert not batched[0].any()
    distance = np.hypot(*(compiled - batched).transpose(1, 0, 2, 3))
    assert distance.mean() < 1e-3
    assert np.quantile(distance, 0.99) < 0.01


@pytest.mark.parametrize("name", ["tvl1", "brox"])
class TestParity:
    def test_on_the_cpu(self, name: str) -> None:
        check_parity(name, "cpu")

    @pytest.mark.gpu
    def test_on_a_gpu(self, name: str) -> None:
        check_parity(name, "cuda")

    def test_tiny_and_odd_frames(self, name: str) -> None:
        for height, width in ((1, 1), (2, 1), (1, 5), (17, 23)):
            rng = np.random.default_rng(0)
            frames = torch.from_numpy(rng.integers(0, 256, (2, 2, height, width), np.uint8))
            flow = Batched(name, device="cpu", warps=1)(*frames)
            assert flow.shape == (2, 2, height, width)
            assert torch.isfinite(flow).all()


def test_every_step_of_brox_agrees() -> None:
    """One level and one step leave nothing but rounding."""
    compiled, batched = both("brox", "cpu", levels=1, fixed_point_steps=1, median_filtering=1)
    np.testing.assert_allclose(batched, compiled, atol=2e-4)


def test_every_step_of_tvl1_agrees() -> None:
    """One warp without a filter leaves nothing but rounding and the rough roots."""
    compiled, batched = both(
        "tvl1", "cpu", scales=1, warps=1, outer_iterations=1, median_filtering=1
    )
    np.testing.assert_allclose(batched, compiled, atol=5e-3)


def test_rubberwhale(shared_data: Path) -> None:
    folder = shared_data / "flow_ground_truth" / "rubberwhale"
    frames = [cv2.imread(str(folder / f"frame1{i}.png"), cv2.IMREAD_GRAYSCALE) for i in (0, 1)]
    frames = [np.ascontiguousarray(frame[100:260, 200:420]) for frame in frames]
    one, two = (torch.from_numpy(frame)[None] for frame in frames)
    batched = Batched("brox", device="cpu")(one, two)[0].numpy()
    compiled = make_estimator("brox")(*frames)
    assert np.hypot(*(batched - compiled)).mean() < 5e-3


def test_other_names_are_refused() -> None:
    with pytest.raises(UsageError, match="'dis' has no batched version: use one of tvl1, brox"):
        Batched("dis", device="cpu")


def test_other_loops_are_refused() -> None:
    with pytest.raises(UsageError, match="the loops are plain, compiled, fused, got 'quick'"):
        Batched("brox", device="cpu", loops="quick")  # type: ignore[arg-type]


def test_fused_loops_are_the_plain_ones() -> None:
    """In a process of its own: Triton is interpreted only where it was loaded for that."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    script = Path(__file__).with_name("fused_loops.py")
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["brox", "brox", "tvl1"]


def test_plain_loops_stand_in_for_kernels_that_cannot_be_built(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "twostream.flow.batched_levels", None)
    frames = [torch.from_numpy(side)[None] for side in pair(1.3, -0.6, 17, 23)]
    solver = Batched("brox", device="cpu", loops="fused")
    expected = Batched("brox", device="cpu", loops="plain")(*frames)
    assert torch.equal(solver(*frames), expected)
    assert solver.loops == "plain"
    assert "the fused loops cannot be built here" in caplog.text
