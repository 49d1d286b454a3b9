"""Crops, flips and colour jitter: where they may lie, and which sign they change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.stats import chisquare

from twostream.augment import Crop, color_jitter, fitting_crop, five_crops, flip, random_crop
from twostream.flow import make_estimator
from twostream.flow.opencv import one_opencv_thread
from twostream.types import UsageError


def test_crops_of_224_lie_anywhere_in_the_whole_frame() -> None:
    """Section 5: not in the 256x256 centre alone, whose crops would have 33 of 117 columns."""
    height, width, size, draws = 256, 340, 224, 60_000
    rng = np.random.default_rng(7)
    counts = np.zeros((height - size + 1, width - size + 1))
    for _ in range(draws):
        crop = random_crop(height, width, size, rng)
        assert (crop.height, crop.width) == (size, size)
        counts[crop.top, crop.left] += 1  # an IndexError here is a crop outside of the frame
    assert counts.shape == (33, 117)
    for share in (counts.ravel(), counts.sum(axis=0), counts.sum(axis=1)):
        assert chisquare(share).pvalue > 1e-3
    assert counts.min() > 0  # all places, the four corners too


def test_a_crop_as_large_as_the_frame_has_one_place() -> None:
    rng = np.random.default_rng(0)
    assert random_crop(8, 8, 8, rng) == Crop(0, 0, 8, 8)
    assert set(five_crops(8, 8, 8)) == {Crop(0, 0, 8, 8)}


def test_random_crops_follow_their_generator() -> None:
    def draw(seed: int) -> list[Crop]:
        rng = np.random.default_rng(seed)
        return [random_crop(50, 60, 20, rng) for _ in range(10)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_four_corners_and_the_centre() -> None:
    assert five_crops(256, 340, 224) == [
        Crop(0, 0, 224, 224),
        Crop(0, 116, 224, 224),
        Crop(32, 0, 224, 224),
        Crop(32, 116, 224, 224),
        Crop(16, 58, 224, 224),
    ]


def test_cut_is_that_window_of_every_plane() -> None:
    array = np.arange(2 * 3 * 6 * 7, dtype=np.float32).reshape(2, 3, 6, 7)
    np.testing.assert_array_equal(Crop(1, 2, 3, 4).cut(array), array[:, :, 1:4, 2:6])


@pytest.mark.parametrize("call", [five_crops, fitting_crop])
@pytest.mark.parametrize("shape", [(20, 50), (50, 20)])
def test_a_crop_larger_than_the_frame_is_refused(call, shape: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"crop of 21 px does not fit .* at most 20"):
        call(*shape, 21)


def test_a_random_crop_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(UsageError, match=r"frames of 50x20 px"):
        random_crop(20, 50, 21, np.random.default_rng(0))


def test_flip_mirrors_and_negates_x_of_flow_only() -> None:
    array = np.random.default_rng(0).standard_normal((2, 5, 2, 3, 4)).astype(np.float32)
    before = array.copy()
    mirrored = flip(array, is_flow=True)
    np.testing.assert_array_equal(mirrored[..., 0, :, :], -array[..., 0, :, ::-1])
    np.testing.assert_array_equal(mirrored[..., 1, :, :], array[..., 1, :, ::-1])
    np.testing.assert_array_equal(array, before)
    np.testing.assert_array_equal(flip(mirrored, is_flow=True), array)


def test_flip_of_frames_changes_no_value() -> None:
    planes = np.random.default_rng(0).random((1, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(flip(planes, is_flow=False), planes[..., ::-1])


def test_the_flow_of_a_mirrored_clip_is_the_flipped_flow() -> None:
    rng = np.random.default_rng(2)
    big = cv2.GaussianBlur(rng.standard_normal((100, 120)).astype(np.float32), (0, 0), 2)
    big = cv2.normalize(big, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    shift = np.float32([[1.02, 0, 2.5], [0, 1, -1]])  # moves more on the right than on the left
    first, second = big, cv2.warpAffine(big, shift, (120, 100), borderMode=cv2.BORDER_REFLECT)
    estimator = make_estimator("dis")
    with one_opencv_thread():
        flow = estimator(first, second)
        mirrored = estimator(
            np.ascontiguousarray(first[:, ::-1]), np.ascontiguousarray(second[:, ::-1])
        )
    inside = np.s_[:, 15:-15, 15:-15]
    error = np.abs(mirrored - flip(flow, is_flow=True))[inside].mean()
    assert error < 0.05
    assert np.abs(mirrored - flip(flow, is_flow=False))[inside].mean() > 50 * error
    assert np.abs(mirrored + flow)[0][inside[1:]].mean() > 5 * error  # not just another sign


def test_jitter_is_one_colour_for_all_pixels_and_frames() -> None:
    planes = np.random.default_rng(0).random((5, 3, 6, 7)).astype(np.float32)
    noise = color_jitter(planes, np.random.default_rng(1)) - planes
    colour = noise[0, :, 0, 0]
    np.testing.assert_allclose(
        noise, np.broadcast_to(colour[:, None, None], noise.shape), atol=1e-6
    )
    assert np.abs(colour).max() > 1e-4
    assert len(np.unique(colour)) == 3


def test_jitter_has_krizhevskys_covariance() -> None:
    rng = np.random.default_rng(3)
    zero = np.zeros((1, 3, 1, 1), np.float32)
    draws = np.array([color_jitter(zero, rng, strength=0.1).ravel() for _ in range(4000)])
    assert np.abs(draws.mean(axis=0)).max() < 2e-3
    values, vectors = np.linalg.eigh(np.cov(draws.T))
    deviations = np.sqrt(np.maximum(values, 0))[::-1]
    np.testing.assert_allclose(deviations, [0.02175, 0.00188, 0.00045], rtol=0.06)
    # the strongest component is brightness: natural pictures vary most in it
    strongest = vectors[:, -1] * np.sign(vectors[0, -1])
    np.testing.assert_allclose(strongest, [0.5675, 0.5808, 0.5836], atol=5e-3)


def test_jitter_scales_with_its_strength() -> None:
    zero = np.zeros((1, 3, 2, 2), np.float32)
    weak = color_jitter(zero, np.random.default_rng(4), strength=0.1)
    strong = color_jitter(zero, np.random.default_rng(4), strength=0.3)
    np.testing.assert_allclose(strong, 3 * weak, rtol=1e-5)
    assert not color_jitter(zero, np.random.default_rng(4), strength=0).any()
