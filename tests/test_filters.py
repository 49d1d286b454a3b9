"""Figure 4: constructed filters whose reading is known, and the picture pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from twostream.report.filters import KINDS, PARTS, derivative_reading, figure4_picture
from twostream.types import ModelError

L, SIDE = 10, 7
STEP = np.array([1.0] * 5 + [-1.0] * 5)  # over time
SOBEL = np.outer([1, 2, 1], [1, 0, -1]).astype(float)


def filters(*components: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(n, 2L, h, w) from n pairs of an x and a y component, each (L, h, w)."""
    stacked = np.array([np.stack(pair, axis=1) for pair in components])  # n, L, 2, h, w
    return stacked.reshape(len(stacked), -1, *stacked.shape[3:])


def over_time(profile: np.ndarray, side: int = 3) -> np.ndarray:
    """The same weight at every place of a field."""
    return np.broadcast_to(profile[:, None, None], (len(profile), side, side)).copy()


def still(tile: np.ndarray) -> np.ndarray:
    """The same tile in every field."""
    return np.broadcast_to(tile, (L, *tile.shape)).copy()


NOTHING = np.zeros((L, 3, 3))


@pytest.mark.parametrize(
    ("component", "part", "kind"),
    [
        (over_time(STEP), "temporal", "temporal derivative"),
        (over_time(np.array([1, -1] * 5)), "temporal", "temporal derivative"),
        (still(SOBEL), "spatial", "spatial derivative"),
        (still(SOBEL.T), "spatial", "spatial derivative"),
        (still(np.ones((3, 3))), "average", "neither"),
        (-2 * still(np.ones((3, 3))), "average", "neither"),
        (STEP[:, None, None] * SOBEL, "interaction", "both"),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_pure_filter_is_all_of_one_part(
    component: np.ndarray, part: str, kind: str, axis: int
) -> None:
    pair = (component, NOTHING) if axis == 0 else (NOTHING, component)
    reading = derivative_reading(filters(pair).astype(np.float32))
    pure = [float(name == part) for name in PARTS]
    np.testing.assert_allclose(reading.shares, [pure], atol=1e-12)
    np.testing.assert_allclose(reading.mean_shares(), pure, atol=1e-12)
    assert reading.kinds == (kind,)


def test_shares_of_a_sum_are_known() -> None:
    # energies: average 9 * 90, temporal 4 * 90, spatial 12 * 10 (Sobel's squares sum to 12)
    mixed = 3 * still(np.ones((3, 3))) + 2 * over_time(STEP) + still(SOBEL)
    total = 810 + 360 + 120
    reading = derivative_reading(filters((mixed, NOTHING)))
    np.testing.assert_allclose(reading.shares[0], np.array([810, 360, 120, 0]) / total)
    assert reading.kinds == ("neither",)  # it averages above all
    # a y component of 10 times the weights decides: 100 * 120 of space beside them
    loud = derivative_reading(filters((mixed, 10 * still(SOBEL))))
    np.testing.assert_allclose(
        loud.shares[0], np.array([810, 360, 120 + 12000, 0]) / (total + 12000)
    )
    assert loud.kinds == ("spatial derivative",)


@pytest.mark.parametrize(
    ("time", "space", "kind"),
    [
        (0.8, 0.2, "temporal derivative"),
        (0.2, 0.8, "spatial derivative"),
        (0.55, 0.45, "both"),
        (0.45, 0.55, "both"),
        (0.3, 0.0, "neither"),  # the average has the other 0.7
    ],
)
def test_the_larger_derivative_names_the_filter(time: float, space: float, kind: str) -> None:
    average = max(0.0, 1 - time - space)
    component = (
        np.sqrt(time / 90) * over_time(STEP)
        + np.sqrt(space / 120) * still(SOBEL)
        + np.sqrt(average / 90)
    )
    reading = derivative_reading(filters((component, NOTHING)))
    np.testing.assert_allclose(reading.shares[0], [average, time, space, 0], atol=1e-12)
    assert reading.kinds == (kind,)


def test_white_noise_has_the_shares_of_chance_and_reads_as_neither() -> None:
    noise = np.random.default_rng(0).standard_normal((400, 2 * L, SIDE, SIDE))
    reading = derivative_reading(noise)
    cells = L * SIDE * SIDE
    np.testing.assert_allclose(reading.chance, [1 / cells, 9 / cells, 48 / cells, 432 / cells])
    np.testing.assert_allclose(reading.mean_shares(), reading.chance, atol=0.003)
    assert reading.counts()["neither"] >= 396
    assert sum(reading.counts().values()) == 400
    assert tuple(reading.counts()) == KINDS


def test_three_deviations_are_those_of_noise_of_both_components() -> None:
    """x and y together have twice the weights of one, so a share scatters less."""
    side = 5
    noise = np.random.default_rng(0).standard_normal((2000, 2 * L, side, side))
    shares = derivative_reading(noise).shares[:, PARTS.index("interaction")]
    line = shares.mean() + 3 * shares.std()
    tile = np.outer([1, 0, -2, 0, 1], [1, 0, 0, 0, -1]).astype(float)
    change = STEP[:, None, None] * tile
    change /= np.linalg.norm(change)
    same = np.full((L, side, side), 1 / np.sqrt(L * side * side))
    for share, kind in ((line - 0.01, "neither"), (line + 0.01, "both")):
        filter_ = np.sqrt(share) * change + np.sqrt(1 - share) * same
        assert derivative_reading(filters((filter_, filter_))).kinds == (kind,)


def test_a_derivative_is_found_under_noise() -> None:
    rng = np.random.default_rng(1)
    clean = filters((over_time(STEP), over_time(STEP)), (still(SOBEL), still(SOBEL.T)))
    clean = clean / np.sqrt((clean**2).mean(axis=(1, 2, 3), keepdims=True))
    noisy = clean + rng.standard_normal(clean.shape)  # half of the energy is noise
    assert derivative_reading(noisy).kinds == ("temporal derivative", "spatial derivative")


@pytest.mark.parametrize("length", [2, 3, 5, 20])
@pytest.mark.parametrize("side", [3, 11])
def test_noise_reads_as_neither_for_stacks_and_filters_of_any_size(length: int, side: int) -> None:
    noise = np.random.default_rng(5).standard_normal((300, 2 * length, side, side))
    assert derivative_reading(noise).counts()["neither"] >= 0.97 * 300


@pytest.mark.parametrize("shape", [(5, 20, 7, 7), (3, 2, 5, 5), (4, 8, 1, 1), (2, 2, 1, 1)])
def test_shares_always_sum_to_one(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    weight = (rng.standard_normal(shape) + rng.standard_normal(shape[:1])[:, None, None, None]) * 5
    reading = derivative_reading(weight)
    np.testing.assert_allclose(reading.shares.sum(axis=1), 1)
    assert reading.chance.sum() == pytest.approx(1)
    fields = weight.reshape(shape[0], -1, 2, *shape[2:])
    # means of the whole, by the book
    mean = fields.mean(axis=(1, 3, 4))
    cells = fields[0, :, 0].size
    energy = (fields**2).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(reading.shares[:, 0], cells * (mean**2).sum(axis=1) / energy)
    assert np.isfinite(reading.shares).all()


def test_one_field_has_no_time_and_one_pixel_no_space() -> None:
    rng = np.random.default_rng(3)
    single = derivative_reading(rng.standard_normal((6, 2, 5, 5)))
    assert (single.shares[:, [1, 3]] < 1e-20).all()
    assert set(single.kinds) == {"neither"}  # what changes in space may as well be noise
    reading = derivative_reading(rng.standard_normal((6, 20, 1, 1)))
    assert (reading.shares[:, [2, 3]] < 1e-20).all()
    assert derivative_reading(np.ones((1, 2, 1, 1))).kinds == ("neither",)


def test_dead_filters_are_neither_and_do_not_count_in_the_mean() -> None:
    weight = filters((NOTHING, NOTHING), (over_time(STEP), NOTHING))
    reading = derivative_reading(weight)
    assert reading.kinds == ("neither", "temporal derivative")
    assert reading.shares[0].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(reading.mean_shares(), [0, 1, 0, 0], atol=1e-12)
    assert derivative_reading(weight[:1]).mean_shares().tolist() == [0, 0, 0, 0]


def test_backward_fields_of_steady_motion_have_the_opposite_sign() -> None:
    averaging = filters((over_time(STEP), NOTHING))  # forward less backward: the mean motion
    assert derivative_reading(averaging).kinds == ("temporal derivative",)
    before = averaging.copy()
    reading = derivative_reading(averaging, bidirectional=True)
    np.testing.assert_allclose(reading.shares[0], [1, 0, 0, 0], atol=1e-12)
    assert reading.kinds == ("neither",)
    assert np.array_equal(averaging, before)


def test_the_picture_has_a_column_a_filter_and_a_row_a_channel() -> None:
    weight = np.zeros((3, 4, 2, 2))
    weight[0, 0, 0, 1] = 5.0  # x of the first field, upper right
    weight[0, 1] = -5.0  # y of the first field
    weight[1, 2] = 0.01  # x of the second field: each filter has its own scale
    weight[1, 3, 1, 0] = -0.005
    picture = figure4_picture(weight, scale=2)
    high, wide = 2 * 2 + 1, 2 * 2 + 2
    assert picture.dtype == np.uint8
    assert picture.shape == (4 * high - 1, 3 * wide - 2)

    def tile(channel: int, column: int) -> list[list[int]]:
        rows = picture[channel * high : channel * high + 4, column * wide : column * wide + 4]
        assert (rows == rows[::2, ::2].repeat(2, 0).repeat(2, 1)).all()
        return rows[::2, ::2].tolist()

    grey, black, white = [[128, 128]] * 2, [[1, 1]] * 2, [[255, 255]] * 2
    assert tile(0, 0) == [[128, 255], [128, 128]]
    assert [tile(channel, 0) for channel in (1, 2, 3)] == [black, grey, grey]
    assert [tile(channel, 1) for channel in (0, 1, 2)] == [grey, grey, white]
    assert tile(3, 1) == [[128, 128], [64, 128]]  # -0.5 of the largest: 128 - 63.5, to even
    assert all(tile(channel, 2) == grey for channel in range(4))  # a dead filter is grey
    assert (picture[4::high] == 255).all()
    assert (picture[:, 4::wide] == 255).all() and (picture[:, 5::wide] == 255).all()


def test_a_filter_and_its_negative_mirror_about_zeros_grey() -> None:
    weight = np.random.default_rng(4).standard_normal((4, 6, 5, 5)).astype(np.float32)
    one, other = (figure4_picture(w, scale=1).astype(int) for w in (weight, -weight))
    inside = one[:5, :5] + other[:5, :5]
    assert (inside == 256).all()
    assert np.array_equal(figure4_picture(weight, scale=1), figure4_picture(1e30 * weight, scale=1))


@pytest.mark.parametrize("function", [derivative_reading, figure4_picture])
def test_other_weights_are_refused(function: object) -> None:
    for shape in ((4, 3, 5, 5), (4, 20, 7), (4, 3, 5, 7, 7), (0, 20, 7, 7)):
        with pytest.raises(ModelError, match=r"\(filters, 2L, height, width\), got \("):
            function(np.zeros(shape))
    weight = np.zeros((2, 4, 3, 3), np.float32)
    weight[1, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match="not finite: training diverged"):
        function(weight)
