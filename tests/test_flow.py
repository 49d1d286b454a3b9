"""Flow estimators: one contract for all of them; and the colour wheel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from twostream.cli.options import FLOW
from twostream.display.colours import flow_to_rgb
from twostream.flow import (
    ESTIMATOR_NAMES,
    FlowEstimator,
    find_estimator,
    make_estimator,
    preset_parameters,
)
from twostream.flow.opencv import one_opencv_thread
from twostream.types import UsageError

NAMES = ("dis", "farneback", "tvl1-opencv", "tvl1", "brox", "dis-brox")
# Largest end-point error on RubberWhale, px (field notes: .116, .361, .157).
RUBBERWHALE = {
    "dis": 0.13,
    "farneback": 0.38,
    "tvl1-opencv": 0.17,
    "tvl1": 0.157,
    "brox": 0.10,
    "dis-brox": 0.11,
}
# Few iterations: TV-L1 takes most of a second for a full pair.
QUICK: dict[str, dict[str, int]] = {"tvl1-opencv": {"warps": 3, "scales": 4}}


def quick(name: str) -> FlowEstimator:
    return make_estimator(name, **QUICK.get(name, {}))


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth noise with detail at several scales, (height, width) uint8."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width))
    for sigma in (1.5, 4.0, 10.0):
        noise = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma)
        picture += noise / noise.std()
    return np.clip(picture * 30 + 128, 0, 255).astype(np.uint8)


def translated(dx: int, dy: int, height: int = 96, width: int = 120) -> tuple:
    """A pair of crops whose content moves by (dx, dy) px, right and down."""
    picture = texture(height + 40, width + 40)
    first = picture[20 : 20 + height, 20 : 20 + width]
    second = picture[20 - dy : 20 - dy + height, 20 - dx : 20 - dx + width]
    return np.ascontiguousarray(first), np.ascontiguousarray(second)


def test_estimators_are_the_known_ones() -> None:
    assert (*NAMES, "raft-small", "raft-large", "mv") == ESTIMATOR_NAMES
    assert all(name in FLOW for name in ESTIMATOR_NAMES)
    assert all(find_estimator(name).name == name for name in ESTIMATOR_NAMES)
    assert all(make_estimator(name).name == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEveryEstimator:
    @pytest.mark.parametrize(("dx", "dy"), [(3, -2), (-2, 1)])
    def test_a_translation_is_found(self, name: str, dx: int, dy: int) -> None:
        flow = quick(name)(*translated(dx, dy))
        assert flow.shape == (2, 96, 120)
        assert flow.dtype == np.float32
        assert flow.flags["C_CONTIGUOUS"]
        inner = flow[:, 12:-12, 12:-12]
        np.testing.assert_allclose(inner.mean(axis=(1, 2)), [dx, dy], atol=0.15)
        assert np.hypot(inner[0] - dx, inner[1] - dy).mean() < 0.3

    def test_backwards_is_the_opposite(self, name: str) -> None:
        first, second = translated(3, -2)
        flow = quick(name)(second, first)
        np.testing.assert_allclose(flow[:, 12:-12, 12:-12].mean(axis=(1, 2)), [-3, 2], atol=0.15)

    @pytest.mark.parametrize(
        "size", [(1, 1), (1, 50), (50, 1), (2, 3), (11, 12), (15, 17), (37, 53), (64, 80)]
    )
    def test_any_size(self, name: str, size: tuple[int, int]) -> None:
        first, second = np.random.default_rng(0).integers(0, 255, (2, *size), np.uint8)
        flow = quick(name)(first, second)
        assert flow.shape == (2, *size)
        assert np.isfinite(flow).all()

    def test_views_are_taken(self, name: str) -> None:
        """A crop or a flipped frame is not contiguous; the inputs stay as they are."""
        first, second = translated(2, 0)
        wide = np.stack([first, second], axis=2)
        kept = wide.copy()
        expected = quick(name)(first, second)
        np.testing.assert_array_equal(quick(name)(wide[:, :, 0], wide[:, :, 1]), expected)
        np.testing.assert_array_equal(wide, kept)

    @pytest.mark.parametrize("level", [0, 7, 255])
    def test_constant_frames_do_not_move(self, name: str, level: int) -> None:
        frame = np.full((40, 60), level, np.uint8)
        flow = quick(name)(frame, frame)
        assert np.abs(flow).max() < 1e-3

    def test_a_cut_is_finite(self, name: str) -> None:
        black, white = np.zeros((40, 60), np.uint8), np.full((40, 60), 255, np.uint8)
        for pair in ((black, white), (texture(40, 60), white), (black, texture(40, 60))):
            assert np.isfinite(quick(name)(*pair)).all()

    def test_the_same_again(self, name: str) -> None:
        """Neither what was computed before nor the instance changes a result."""
        pair, other = translated(3, -2), translated(-5, 4)
        estimator = quick(name)
        with one_opencv_thread():
            first = estimator(*pair)
            kept = first.copy()
            estimator(*other)
            np.testing.assert_array_equal(first, kept)
            np.testing.assert_array_equal(estimator(*pair), kept)
            np.testing.assert_array_equal(quick(name)(*pair), kept)

    def test_rubberwhale(self, name: str, shared_data: Path) -> None:
        folder = shared_data / "flow_ground_truth" / "rubberwhale"
        pair = [cv2.imread(str(folder / f"frame1{i}.png"), cv2.IMREAD_GRAYSCALE) for i in (0, 1)]
        raw = np.fromfile(folder / "flow10.flo", np.float32)
        width, height = raw[1:3].view(np.int32)
        truth = raw[3:].reshape(height, width, 2).transpose(2, 0, 1)
        known = (np.abs(truth) < 1e9).all(axis=0)
        with one_opencv_thread():
            error = np.hypot(*(make_estimator(name)(*pair) - truth))[known].mean()
        assert error <= RUBBERWHALE[name]

    @pytest.mark.parametrize("preset", ["default", "fast"])
    def test_tiny_frames_before_do_not_show(self, name: str, preset: str) -> None:
        """DIS changes its own settings when a frame is too small for them."""
        if preset not in find_estimator(name).presets:
            preset = "default"
        changes = {**QUICK.get(name, {}), **preset_parameters(name, preset)}
        pair = translated(3, -2)
        with one_opencv_thread():
            expected = make_estimator(name, **changes)(*pair)
            estimator = make_estimator(name, **changes)
            for size in ((1, 1), (20, 24), (64, 80)):
                estimator(*np.random.default_rng(0).integers(0, 255, (2, *size), np.uint8))
            np.testing.assert_array_equal(estimator(*pair), expected)

    def test_parameters_are_complete(self, name: str) -> None:
        """Made again from its own parameters, it is the same one."""
        estimator = make_estimator(name)
        again = make_estimator(name, **estimator.parameters)
        assert again.parameters == estimator.parameters
        assert len(estimator.parameters) >= 6

    def test_parameters_matter(self, name: str) -> None:
        change = {
            "dis": {"finest_scale": 2},
            "farneback": {"window_size": 31},
            "brox": {"levels": 1},
            "dis-brox": {"smoothness": 500.0},
        }
        changed = make_estimator(name, **change.get(name, {"warps": 1, "scales": 1}))
        assert changed.parameters != make_estimator(name).parameters
        pair = translated(5, 3)
        assert np.abs(changed(*pair) - quick(name)(*pair)).max() > 0.05


def test_unknown_names_and_parameters_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'brocks': use one of dis, farneback"):
        make_estimator("brocks")
    with pytest.raises(UsageError, match="no parameter 'finest': it has finest_scale"):
        make_estimator("dis", finest=0)
    with pytest.raises(UsageError, match="finest_scale must be a whole number, got nan"):
        make_estimator("dis", finest_scale=float("nan"))
    with pytest.raises(UsageError, match=r"patch_size must be a whole number, got 7\.5"):
        make_estimator("dis", patch_size=7.5)
    assert make_estimator("dis", patch_size=8.0).parameters["patch_size"] == 8


def test_opencv_threads_come_back() -> None:
    before = cv2.getNumThreads()
    with one_opencv_thread(), one_opencv_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before


def hue(dx: float, dy: float) -> np.ndarray:
    return flow_to_rgb(np.array([dx, dy], np.float32).reshape(2, 1, 1), max_px=1)[0, 0].astype(int)


class TestColourWheel:
    def test_directions(self) -> None:
        """Baker et al. 2011, figure 1: right red, down yellow, left cyan, up blue-violet."""
        np.testing.assert_array_equal(hue(1, 0), [255, 0, 0])
        red, green, blue = hue(0, 1)
        assert red > 200
        assert green > 200
        assert blue == 0
        red, green, blue = hue(-1, 0)
        assert red == 0
        assert green > 180
        assert blue > 180
        red, green, blue = hue(0, -1)
        assert red < 130
        assert green == 0
        assert blue > 200

    def test_zero_is_white_and_longer_is_stronger(self) -> None:
        np.testing.assert_array_equal(hue(0, 0), [255, 255, 255])
        np.testing.assert_array_equal(hue(0.5, 0), [255, 128, 128])
        np.testing.assert_array_equal(hue(3, 0), [191, 0, 0])  # beyond max_px: darkened

    def test_scale(self) -> None:
        field = np.zeros((2, 4, 5), np.float32)
        field[0, 1, 2] = 8
        assert flow_to_rgb(field).shape == (4, 5, 3)
        np.testing.assert_array_equal(flow_to_rgb(field)[1, 2], [255, 0, 0])
        np.testing.assert_array_equal(flow_to_rgb(field, max_px=16)[1, 2], [255, 128, 128])
        np.testing.assert_array_equal(flow_to_rgb(np.zeros_like(field)), 255)

    def test_around_the_wheel_without_a_jump(self) -> None:
        angles = np.linspace(0, 2 * np.pi, 400, dtype=np.float32)
        field = np.stack([np.cos(angles), np.sin(angles)])[:, None]
        colours = flow_to_rgb(field, max_px=1)[0].astype(int)
        assert np.abs(np.diff(colours, axis=0)).max() < 40
