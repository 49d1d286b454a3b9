"""Index arithmetic: known answers, uniformity and purity."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from twostream.sampling import (
    bidirectional_window,
    clamp_window,
    class_uniform_batch,
    epoch_batch,
    even_indices,
    num_starts,
    sample_rng,
)


@pytest.mark.parametrize(
    ("num_fields", "length", "expected"), [(10, 10, 1), (11, 10, 2), (1, 10, 1), (7, 1, 7)]
)
def test_num_starts(num_fields: int, length: int, expected: int) -> None:
    assert num_starts(num_fields, length) == expected


def test_the_last_start_reaches_exactly_the_last_field() -> None:
    last = num_starts(30, 10) - 1
    assert clamp_window(last, 10, 30)[-1] == 29
    assert len(set(clamp_window(last, 10, 30))) == 10


@pytest.mark.parametrize("num", [1, 2, 3, 24, 25, 26, 100, 1001])
@pytest.mark.parametrize("count", [1, 2, 10, 25])
def test_even_indices_are_evenly_spaced(num: int, count: int) -> None:
    indices = even_indices(num, count)
    assert len(indices) == count
    assert all(type(i) is int for i in indices)
    assert 0 <= indices[0] <= indices[-1] < num
    if count > 1:
        assert (indices[0], indices[-1]) == (0, num - 1)
        exact = np.linspace(0, num - 1, count)
        assert np.abs(np.array(indices) - exact).max() <= 0.5
        assert set(np.diff(indices)) <= {(num - 1) // (count - 1), (num - 1) // (count - 1) + 1}


def test_even_indices_default_to_the_papers_25() -> None:
    assert even_indices(25) == list(range(25))
    assert even_indices(49) == list(range(0, 49, 2))


def test_even_indices_round_halves_up() -> None:
    # 0, 0.5, 1, 1.5, 2; Python's own round() would give 0, 0, 1, 2, 2.
    assert even_indices(3, 5) == [0, 1, 1, 2, 2]


def test_clamp_window_repeats_the_ends() -> None:
    assert clamp_window(-2, 5, 10) == [0, 0, 0, 1, 2]
    assert clamp_window(8, 4, 10) == [8, 9, 9, 9]
    assert clamp_window(0, 10, 1) == [0] * 10


def test_bidirectional_window_follows_section_3_1() -> None:
    tau, length = 12, 10
    forward, backward = bidirectional_window(tau, length, 40)
    for k in range(1, length // 2 + 1):
        assert forward[k - 1] == tau + k - 1  # field j: frame j -> j + 1
        first, second = tau - k + 1, tau - k  # the pair that goes back in time
        assert backward[k - 1] == min(first, second) == tau - k


def test_bidirectional_window_is_clamped_at_both_ends() -> None:
    assert bidirectional_window(0, 4, 6) == ([0, 1], [0, 0])
    assert bidirectional_window(1, 4, 6) == ([1, 2], [0, 0])
    assert bidirectional_window(6, 4, 6) == ([5, 5], [5, 4])  # the last of 7 frames


def test_sample_rng_is_a_pure_function_of_all_three() -> None:
    draw = sample_rng(3, 14, 15).integers(1 << 40)
    assert draw == sample_rng(3, 14, 15).integers(1 << 40)
    others = {sample_rng(*key).integers(1 << 40) for key in [(4, 14, 15), (3, 15, 14), (3, 14, 16)]}
    assert len(others | {draw}) == 4


def test_choice_of_videos_is_independent_of_the_first_samples_draws() -> None:
    labels = np.arange(1000)
    chosen = class_uniform_batch(labels, seed=5, step=7, batch_size=64)
    assert not np.array_equal(chosen, sample_rng(5, 7, 0).integers(1000, size=64))


def test_batches_are_pure_and_differ_by_seed_and_step() -> None:
    labels = np.random.default_rng(0).integers(0, 9, 300)
    batch = class_uniform_batch(labels, seed=1, step=2, batch_size=256)
    assert batch.shape == (256,)
    assert batch.dtype == np.int64
    for _ in range(2):
        assert np.array_equal(
            batch, class_uniform_batch(labels.tolist(), seed=1, step=2, batch_size=256)
        )
    for seed, step in [(2, 2), (1, 3), (2, 1)]:
        other = class_uniform_batch(labels, seed=seed, step=step, batch_size=256)
        assert not np.array_equal(batch, other)


def looks_uniform(counts: np.ndarray) -> bool:
    """Chi-square test at the 0.1 % level."""
    return chisquare(counts).pvalue > 1e-3


def test_classes_are_uniform_however_unequal_they_are() -> None:
    """Section 5: 256 videos a step, uniformly across the classes; by frequency would not pass."""
    sizes = [1, 2, 5, 40, 152]
    labels = np.repeat(np.arange(5) * 3, sizes)  # class numbers with holes
    shuffled = np.random.default_rng(1).permutation(labels)
    draws = np.concatenate(
        [class_uniform_batch(shuffled, seed=0, step=s, batch_size=256) for s in range(80)]
    )
    assert looks_uniform(np.unique(shuffled[draws], return_counts=True)[1])
    inside = np.bincount(draws, minlength=len(labels))
    for label in (3, 6, 9, 12):  # within each; class 0 has one video
        assert looks_uniform(inside[shuffled == label])
    assert inside.min() > 0


def test_a_draw_by_frequency_is_not_uniform_over_classes() -> None:
    """The control: classes as unequal as UCF-101's, 100 to 167 clips, are told apart."""
    sizes = np.linspace(100, 167, 101).astype(int)
    labels = np.repeat(np.arange(101), sizes)
    steps = range(80)
    draws = np.concatenate(
        [class_uniform_batch(labels, seed=0, step=s, batch_size=256) for s in steps]
    )
    by_frequency = np.random.default_rng(0).integers(len(labels), size=len(draws))
    assert looks_uniform(np.bincount(labels[draws], minlength=101))
    assert not looks_uniform(np.bincount(labels[by_frequency], minlength=101))


def test_unknown_labels_are_never_chosen() -> None:
    labels = [-1, 0, -1, 1]
    assert set(class_uniform_batch(labels, seed=0, step=0, batch_size=100)) == {1, 3}


def test_every_image_comes_once_an_epoch_in_a_new_order() -> None:
    steps = [epoch_batch(10, seed=2, step=step, batch_size=4) for step in range(10)]
    epochs = np.concatenate(steps).reshape(4, 10)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(10))
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4
    assert [step.dtype for step in steps] == [np.int64] * 10
    # a pure function, and a batch may be longer than an epoch
    np.testing.assert_array_equal(epoch_batch(10, seed=2, step=0, batch_size=40), epochs.flatten())
    assert epoch_batch(10, seed=3, step=0, batch_size=10).tolist() != epochs[0].tolist()
