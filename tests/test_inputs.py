"""Section 3.1: known answers on a translated and on a rotating texture.

The module under test is loaded once more with its shape annotations checked by beartype, so every
call below checks them too.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from types import ModuleType

import cv2
import numpy as np
import pytest
from jaxtyping import TypeCheckError, install_import_hook
from scipy.ndimage import map_coordinates

import twostream.inputs
from twostream.flow import make_estimator
from twostream.flow.opencv import one_opencv_thread
from twostream.inputs import flow_stack
from twostream.types import TemporalInput, UsageError


def with_checked_shapes() -> ModuleType:
    """Load ``twostream.inputs`` a second time, beside the real one, with checked annotations."""
    original = sys.modules.pop("twostream.inputs")
    try:
        with install_import_hook("twostream.inputs", "beartype.beartype"):
            return importlib.import_module("twostream.inputs")
    finally:
        sys.modules["twostream.inputs"] = original
        twostream.inputs = original  # type: ignore[misc]


inputs = with_checked_shapes()

PLAIN = {"subtract_mean": False}
HEIGHT, WIDTH = 90, 110
CENTRE = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])  # x, y
ANGLE = np.deg2rad(4)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def translated_frames(count: int, dx: int, dy: int) -> list[np.ndarray]:
    """Frames of a texture that moves by (dx, dy) px a frame."""
    room = count * max(abs(dx), abs(dy))
    big = texture(HEIGHT + 2 * room, WIDTH + 2 * room)
    return [
        np.ascontiguousarray(big[room - t * dy :, room - t * dx :][:HEIGHT, :WIDTH])
        for t in range(count)
    ]


def rotation(angle: float) -> np.ndarray:
    """The matrix that turns (x, y) by an angle; y points down."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def rotating_frames(count: int, angle: float = ANGLE) -> list[np.ndarray]:
    big = texture(HEIGHT, WIDTH, seed=3)
    frames = []
    for t in range(count):
        turn = rotation(angle * t)
        matrix = np.column_stack([turn, CENTRE - turn @ CENTRE])
        frames.append(
            cv2.warpAffine(
                big, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
        )
    return frames


def flows(frames: list[np.ndarray], *, backward: bool = False) -> np.ndarray:
    estimator = make_estimator("dis")
    pairs = [(b, a) if backward else (a, b) for a, b in itertools.pairwise(frames)]
    with one_opencv_thread():
        return np.stack([estimator(first, second) for first, second in pairs])


def offsets() -> np.ndarray:
    """(2, h, w): each pixel's position relative to the centre of rotation, x and y."""
    y, x = np.indices((HEIGHT, WIDTH))
    return np.stack([x - CENTRE[0], y - CENTRE[1]])


def turned(field: np.ndarray, angle: float) -> np.ndarray:
    """Turn the vectors of a field, each where it stands."""
    return np.einsum("ij,jhw->ihw", rotation(angle), field)


def rotation_field(angle: float = ANGLE) -> np.ndarray:
    """The exact displacement of a rotation, (2, h, w) float32."""
    return (turned(offsets(), angle) - offsets()).astype(np.float32)


def inner_disk(radius: float) -> np.ndarray:
    return np.hypot(*offsets()) < radius


def ramp_stack(length: int, height: int = 4, width: int = 5) -> np.ndarray:
    """Fields whose values say which field, component, row and column they are."""
    return np.arange(length * 2 * height * width, dtype=np.float32).reshape(
        length, 2, height, width
    )


# Equation 1: optical flow stacking


def test_a_texture_that_moves_by_3_and_minus_2_px() -> None:
    fields = flows(translated_frames(5, 3, -2))
    stack = inputs.flow_stack(fields, TemporalInput(length=4, **PLAIN))
    inside = stack[:, :, 15:-15, 15:-15]
    for x, y in inside:
        assert np.median(x) == pytest.approx(3, abs=0.1)
        assert np.median(y) == pytest.approx(-2, abs=0.1)
    assert np.abs(inside - np.array([3.0, -2.0])[:, None, None]).mean() < 0.1


def test_uniform_motion_has_the_same_trajectory_stack_as_plain_stack() -> None:
    fields = flows(translated_frames(5, 3, -2))
    stack = inputs.flow_stack(fields, TemporalInput(length=4, trajectory=True, **PLAIN))
    inside = stack[:, :, 20:-20, 20:-20]
    assert np.abs(inside - np.array([3.0, -2.0])[:, None, None]).mean() < 0.1


# Equation 2: trajectory stacking


def test_the_path_of_a_shift_reads_what_lies_where_it_has_got_to() -> None:
    # Field 1 moves everything by (3, -2); field 2 is a picture that says where it was read.
    y, x = np.indices((20, 30)).astype(np.float32)
    fields = np.stack([np.full((2, 20, 30), 3, np.float32), np.stack([x, y])])
    fields[0, 1] = -2
    sampled = inputs.follow_trajectories(fields)
    np.testing.assert_array_equal(sampled[0], fields[0])
    np.testing.assert_allclose(sampled[1, 0, 5:, :25], x[5:, :25] + 3)
    np.testing.assert_allclose(sampled[1, 1, 5:, :25], y[5:, :25] - 2)


def test_the_path_sums_up_the_sampled_displacements() -> None:
    # d(p) = (x/10, 0): x_{k+1} = 1.1 x_k, so field k reads 1.1^(k-1) x / 10.
    x = np.indices((3, 200))[1].astype(np.float32)
    fields = np.tile(np.stack([x / 10, np.zeros_like(x)]), (6, 1, 1, 1))
    sampled = inputs.follow_trajectories(fields)
    for k in range(6):
        np.testing.assert_allclose(sampled[k, 0, 1, :100], 1.1**k * x[1, :100] / 10, rtol=1e-4)
    assert not sampled[:, 1].any()


def test_exact_rotation_is_followed_around_the_circle() -> None:
    length = 10
    field = rotation_field()
    fields = np.tile(field, (length, 1, 1, 1))
    stack = inputs.flow_stack(fields, TemporalInput(length=length, trajectory=True, **PLAIN))
    inside = inner_disk(40)
    for k in range(length):
        # d(p_k) = R^(k-1) d(p): the vector turns with the point
        wanted = turned(field, ANGLE * k)
        np.testing.assert_allclose(stack[k][:, inside], wanted[:, inside], atol=2e-3)
    plain = inputs.flow_stack(fields, TemporalInput(length=length, **PLAIN))
    np.testing.assert_array_equal(plain, fields)
    assert np.abs(stack[-1] - plain[-1])[:, inside].mean() > 0.5


def test_a_rotating_texture_is_followed_around_the_circle() -> None:
    length = 10
    fields = flows(rotating_frames(length + 1))
    inside = inner_disk(35)
    exact = rotation_field()
    assert np.abs(fields[0] - exact)[:, inside].mean() < 0.1
    stack = inputs.flow_stack(fields, TemporalInput(length=length, trajectory=True, **PLAIN))
    wanted = turned(exact, ANGLE * (length - 1))
    wrong_way = turned(exact, -ANGLE * (length - 1))
    error = np.abs(stack[-1] - wanted)[:, inside].mean()
    assert error < 0.1
    assert np.abs(fields[-1] - wanted)[:, inside].mean() > 5 * error
    assert np.abs(stack[-1] - wrong_way)[:, inside].mean() > 10 * error


def test_a_path_that_leaves_the_frame_takes_the_border() -> None:
    fields = np.stack([np.full((2, 6, 8), 100, np.float32), *ramp_stack(2, 6, 8)])
    sampled = inputs.follow_trajectories(fields)
    np.testing.assert_array_equal(sampled[1, 0], np.full((6, 8), fields[1, 0, -1, -1]))
    np.testing.assert_array_equal(sampled[2, 1], np.full((6, 8), fields[2, 1, -1, -1]))


def test_following_happens_before_the_crop() -> None:
    # In the whole frame the paths of the crop's border go on; in the crop they would be stuck.
    fields = np.tile(rotation_field(), (10, 1, 1, 1))
    temporal = TemporalInput(length=10, trajectory=True, **PLAIN)
    window = np.s_[..., 25:65, 35:75]
    whole = inputs.flow_stack(fields, temporal)[window]
    cut_first = inputs.flow_stack(np.ascontiguousarray(fields[window]), temporal)
    wanted = turned(rotation_field(), ANGLE * 9)[window]
    np.testing.assert_allclose(whole[-1], wanted, atol=2e-3)
    assert np.abs(cut_first[-1] - wanted).max() > 0.2


# Bi-directional


def test_the_forward_half_comes_first() -> None:
    forward, backward = ramp_stack(3), -ramp_stack(3)
    temporal = TemporalInput(length=6, bidirectional=True, **PLAIN)
    stack = inputs.flow_stack(forward, temporal, backward)
    np.testing.assert_array_equal(stack[:3], forward)
    np.testing.assert_array_equal(stack[3:], backward)


@pytest.mark.parametrize("trajectory", [False, True])
def test_backward_flow_of_a_shift_is_minus_the_forward_flow(trajectory: bool) -> None:
    frames = translated_frames(7, 3, -2)
    centre = 3
    forward = flows(frames[centre:])
    backward = flows(frames[: centre + 1], backward=True)[::-1].copy()
    temporal = TemporalInput(length=6, bidirectional=True, trajectory=trajectory, **PLAIN)
    stack = inputs.flow_stack(forward, temporal, backward)[:, :, 20:-20, 20:-20]
    np.testing.assert_allclose(np.median(stack[:3], axis=(2, 3)), [[3, -2]] * 3, atol=0.1)
    np.testing.assert_allclose(np.median(stack[3:], axis=(2, 3)), [[-3, 2]] * 3, atol=0.1)
    assert np.abs(stack[:3] + stack[3:]).mean() < 0.1


def test_each_half_follows_its_own_direction() -> None:
    ahead, back = rotation_field(ANGLE), rotation_field(-ANGLE)
    temporal = TemporalInput(length=10, bidirectional=True, trajectory=True, **PLAIN)
    stack = inputs.flow_stack(np.tile(ahead, (5, 1, 1, 1)), temporal, np.tile(back, (5, 1, 1, 1)))
    inside = inner_disk(40)
    for k in range(5):
        np.testing.assert_allclose(
            stack[k][:, inside], turned(ahead, ANGLE * k)[:, inside], atol=2e-3
        )
        np.testing.assert_allclose(
            stack[5 + k][:, inside], turned(back, -ANGLE * k)[:, inside], atol=2e-3
        )


# Mean subtraction


@pytest.mark.parametrize("trajectory", [False, True])
def test_each_field_loses_the_mean_of_its_whole_raw_field(trajectory: bool) -> None:
    # Growing fields: along the paths the mean is another one, which must not be used.
    y, x = np.indices((30, 40)).astype(np.float32)
    fields = np.stack([np.stack([0.05 * x + k, 0.03 * y - 2 * k]) for k in range(4)])
    with_mean = inputs.flow_stack(fields, TemporalInput(length=4, trajectory=trajectory, **PLAIN))
    stack = inputs.flow_stack(fields, TemporalInput(length=4, trajectory=trajectory))
    raw_means = np.array([[fields[k, c].mean() for c in range(2)] for k in range(4)])
    np.testing.assert_allclose(stack, with_mean - raw_means[:, :, None, None], atol=1e-4)
    if trajectory:
        sampled_means = with_mean.mean(axis=(2, 3))
        assert np.abs(sampled_means - raw_means)[2:].max() > 0.2
    else:
        np.testing.assert_allclose(stack.mean(axis=(2, 3)), 0, atol=1e-4)


def test_halves_lose_their_own_means() -> None:
    forward = np.full((2, 2, 3, 3), 5, np.float32)
    backward = np.full((2, 2, 3, 3), -7, np.float32)
    stack = inputs.flow_stack(forward, TemporalInput(length=4, bidirectional=True), backward)
    assert not stack.any()


def test_the_mean_is_not_the_crops_mean() -> None:
    fields = np.zeros((1, 2, 10, 10), np.float32)
    fields[..., :5] = 4
    stack = inputs.flow_stack(fields, TemporalInput(length=1))
    np.testing.assert_array_equal(stack[..., :5], 2)
    np.testing.assert_array_equal(stack[..., 5:], -2)


def test_the_stored_fields_are_not_changed() -> None:
    fields = ramp_stack(4)
    for trajectory, subtract_mean in itertools.product([False, True], repeat=2):
        before = fields.copy()
        temporal = TemporalInput(length=4, trajectory=trajectory, subtract_mean=subtract_mean)
        inputs.flow_stack(fields, temporal)
        np.testing.assert_array_equal(fields, before)


# Every combination


@pytest.mark.parametrize("length", [1, 2, 5, 10])
@pytest.mark.parametrize("trajectory", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("subtract_mean", [False, True])
def test_every_combination_has_2l_channels(
    length: int, trajectory: bool, bidirectional: bool, subtract_mean: bool
) -> None:
    if bidirectional and length % 2:
        with pytest.raises(UsageError, match="even length"):
            TemporalInput(length=length, bidirectional=True)
        return
    temporal = TemporalInput(
        length=length,
        trajectory=trajectory,
        bidirectional=bidirectional,
        subtract_mean=subtract_mean,
    )
    rng = np.random.default_rng(length)
    half = length // (2 if bidirectional else 1)
    windows = [rng.standard_normal((half, 2, 7, 9)).astype(np.float32) for _ in range(2)]
    stack = inputs.flow_stack(windows[0], temporal, windows[1] if bidirectional else None)
    assert stack.shape == (length, 2, 7, 9)
    assert stack.dtype == np.float32
    assert np.isfinite(stack).all()
    # the first field of each half is sampled in place, whatever the combination
    for row, window in zip((0, half)[: 1 + bidirectional], windows, strict=False):
        mean = window[0].mean(axis=(1, 2), keepdims=True) if subtract_mean else 0
        np.testing.assert_allclose(stack[row], window[0] - mean, atol=1e-5)


@pytest.mark.parametrize(
    ("temporal", "forward", "backward"),
    [
        (TemporalInput(length=3), 2, None),
        (TemporalInput(length=4), 2, 2),
        (TemporalInput(length=4, bidirectional=True), 4, None),
        (TemporalInput(length=4, bidirectional=True), 2, 1),
    ],
)
def test_windows_of_another_length_are_refused(
    temporal: TemporalInput, forward: int, backward: int | None
) -> None:
    with pytest.raises(ValueError, match="does not fit windows"):
        # the function as users have it: without the annotations' checks, which also object
        flow_stack(ramp_stack(forward), temporal, backward and ramp_stack(backward))


# Sampling between pixels


def sample(field: np.ndarray, x: float, y: float) -> list[float]:
    shape = field.shape[1:]
    points = (np.full(shape, x, np.float32), np.full(shape, y, np.float32))
    values = inputs.bilinear_sample(field, *points)
    assert values.dtype == np.float32
    return values[:, 0, 0].tolist()


def test_whole_positions_read_pixels() -> None:
    field = ramp_stack(1)[0]
    y, x = np.indices((4, 5)).astype(np.float32)
    np.testing.assert_array_equal(inputs.bilinear_sample(field, x, y), field)


def test_halves_read_means() -> None:
    field = np.array([[[0, 1], [10, 11]], [[0, 0], [0, 8]]], np.float32)
    assert sample(field, 0.5, 0) == [0.5, 0]
    assert sample(field, 0, 0.5) == [5, 0]
    assert sample(field, 0.5, 0.5) == [5.5, 2]
    assert sample(field, 1, 0.25) == [3.5, 2]


def test_outside_lies_the_nearest_border_value() -> None:
    field = ramp_stack(1)[0]
    assert sample(field, -9, 1) == field[:, 1, 0].tolist()
    assert sample(field, 99, 1) == field[:, 1, 4].tolist()
    assert sample(field, 2, -0.5) == field[:, 0, 2].tolist()
    assert sample(field, 2, 3.5) == field[:, 3, 2].tolist()
    assert sample(field, 4, 3) == field[:, 3, 4].tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2)])
def test_fields_of_one_pixel_width(shape: tuple[int, int]) -> None:
    field = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    rng = np.random.default_rng(1)
    x, y = (rng.uniform(-2, 7, shape).astype(np.float32) for _ in range(2))
    wanted = [map_coordinates(part, [y, x], order=1, mode="nearest") for part in field]
    np.testing.assert_allclose(inputs.bilinear_sample(field, x, y), wanted, atol=1e-5)


def test_sampling_equals_scipys() -> None:
    rng = np.random.default_rng(0)
    field = rng.standard_normal((2, 23, 31)).astype(np.float32)
    x = rng.uniform(-3, 34, (23, 31)).astype(np.float32)
    y = rng.uniform(-3, 26, (23, 31)).astype(np.float32)
    wanted = [map_coordinates(part, [y, x], order=1, mode="nearest") for part in field]
    np.testing.assert_allclose(inputs.bilinear_sample(field, x, y), wanted, atol=1e-5)


# RGB stacks, and the annotations themselves


def test_rgb_frames_become_planes_in_0_to_1() -> None:
    frames = np.zeros((2, 3, 4, 3), np.uint8)
    frames[1, 2, 3] = (255, 51, 0)
    planes = inputs.rgb_stack(frames)
    assert planes.shape == (2, 3, 3, 4)
    assert planes.dtype == np.float32
    np.testing.assert_allclose(planes[1, :, 2, 3], [1, 0.2, 0], rtol=1e-6)
    assert planes.sum() == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("follow_trajectories", (np.zeros((5, 3, 4, 4), np.float32),)),
        ("rgb_stack", (np.zeros((2, 3, 4, 4), np.uint8),)),
        ("rgb_stack", (np.zeros((2, 4, 4, 3), np.float32),)),
        ("flow_stack", (np.zeros((10, 4, 4), np.float32), TemporalInput())),
        (
            "bilinear_sample",
            (
                np.zeros((2, 4, 4), np.float32),
                np.zeros((4, 5), np.float32),
                np.zeros((4, 4), np.float32),
            ),
        ),
    ],
)
def test_a_wrong_shape_or_type_is_refused(function: str, arguments: tuple) -> None:
    with pytest.raises(TypeCheckError):
        getattr(inputs, function)(*arguments)
