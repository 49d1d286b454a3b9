"""Which frames, which fields, which videos: integers only, nothing is decoded here.

A clip of n frames has n - 1 forward fields; forward field j goes from frame j to frame j + 1,
backward field j from frame j + 1 to frame j. Everything counts from 0.

What is drawn at random is a pure function of the arguments: ``seed`` of the run, not negative; the
optimiser's ``step``, from 0; places in the global batch, over all devices.

Clips that are too short are handled in one stated way, in training and in prediction: a window that
reaches over an end is clamped to it, so the first or last field (or frame) is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

# SeedSequence pads its entropy with zeros, so [seed, step] and [seed, step, 0] are the same
# stream. A spawn key keeps the choice of videos apart from the draws made for sample 0.
_BATCH_KEY = (1,)
_EPOCH_KEY = (2,)

Place = TypeVar("Place", int, float)  # a frame, or a time in seconds


def num_starts(num_fields: int, length: int) -> int:
    """Count where a stack of `length` fields can start; never less than one.

    A clip with fewer fields than `length` has the one start 0; `clamp_window` fills the rest.

    >>> num_starts(30, 10), num_starts(4, 10)
    (21, 1)
    """
    return max(1, num_fields - length + 1)


def even_indices(num: int, count: int = 25) -> list[int]:
    """Return `count` positions at equal temporal spacing over range(num) (section 5, testing).

    The first position is 0 and the last num - 1; between them halves are rounded up. A single
    position is the middle one. With num < count positions repeat, so that every video is scored
    from the same number of samples.

    Args:
        num: number of frames or of stack starts, at least 1.
        count: number of positions, at least 1.

    Returns:
        `count` indices in ascending order.

    >>> even_indices(9, 3), even_indices(2, 4), even_indices(5, 1)
    ([0, 4, 8], [0, 0, 1, 1], [2])
    """
    if count == 1:
        return [(num - 1) // 2]
    gaps = count - 1
    return [(2 * i * (num - 1) + gaps) // (2 * gaps) for i in range(count)]


def shared_indices(num: int, count: int, step: int) -> list[int]:
    """Return about `count` positions over range(num), or more, which windows have in common.

    As ``even_indices``, but at a spacing of `step`, or one that divides it: of two windows whose
    starts lie `step` apart, the one's positions are the other's wherever both have some, so that
    more of them cost nothing more.

    Args:
        num: positions in a window, at least 1.
        count: number of positions that are wanted, at least 1; 1 is the middle one.
        step: from the start of a window to the start of the next, at least 1.

    >>> shared_indices(50, 5, 12), shared_indices(50, 5, 24), shared_indices(41, 2, 12)
    ([0, 12, 24, 36, 48], [0, 12, 24, 36, 48], [2, 14, 26, 38])
    >>> shared_indices(50, 1, 12), shared_indices(3, 5, 12)
    ([24], [0, 1, 2])
    """
    if count == 1 or step >= num:  # they have nothing in common
        return sorted(set(even_indices(num, count)))
    gap = (num - 1) / (count - 1)
    # a rational number, so that all windows round alike
    over, under = step, 1 if gap >= step else round(step / gap)
    if over <= under:
        return list(range(num))
    last = (num - 1) * under // over
    start = (num - 1 - last * over // under) // 2
    return [start + k * over // under for k in range(last + 1)]


def segment_positions(num: int, segments: int, rng: np.random.Generator) -> list[int]:
    """Return a random position of each of ``segments`` equal parts of range(num), ascending.

    The sampling of temporal segment networks (Wang et al. 2016). Where there are fewer positions
    than segments, parts share them.

    >>> segment_positions(3, 3, np.random.default_rng(0))
    [0, 1, 2]
    """
    firsts = [min(k * num // segments, num - 1) for k in range(segments)]
    ends = [max((k + 1) * num // segments, first + 1) for k, first in enumerate(firsts)]
    return [int(rng.integers(first, end)) for first, end in zip(firsts, ends, strict=True)]


def between_pauses(pauses: Sequence[tuple[Place, Place]], end: Place) -> list[tuple[Place, Place]]:
    """Return the runs of frames between pauses, [first, end) each; none is empty.

    Args:
        pauses: [first, end) each, ascending.
        end: of the clip.

    >>> between_pauses([(3, 5), (8, 10)], 10)
    [(0, 3), (5, 8)]
    """
    runs, start = list[tuple[Place, Place]](), type(end)(0)
    for first, after in chain(pauses, [(end, end)]):
        if start < first:
            runs.append((start, first))
        start = after
    return runs


def clamp_window(start: int, length: int, num: int) -> list[int]:
    """Return the indices start .. start + length - 1, each clamped to [0, num - 1].

    This is the one way in which clips shorter than a stack are handled: the last field repeats.

    >>> clamp_window(2, 3, 10), clamp_window(0, 5, 3)
    ([2, 3, 4], [0, 1, 2, 2, 2])
    """
    return [min(max(i, 0), num - 1) for i in range(start, start + length)]


def bidirectional_window(centre: int, length: int, num_fields: int) -> tuple[list[int], list[int]]:
    """Return the fields of a bi-directional stack around frame `centre` (section 3.1).

    For k = 1..L/2: the forward field of frames centre + k - 1 -> centre + k, and the backward
    field of frames centre - k + 1 -> centre - k, which is number centre - k of the backward file.
    Both walk away from the centre. Clamped at both ends of the clip.

    Args:
        centre: tau, a frame index in 0..num_fields.
        length: L, even.
        num_fields: fields in either direction, one fewer than the frames.

    Returns:
        L/2 indices of forward fields, then L/2 indices of backward fields, in the order of k.

    >>> bidirectional_window(5, 6, 20)
    ([5, 6, 7], [4, 3, 2])
    """
    half = length // 2
    forward = clamp_window(centre, half, num_fields)
    backward = clamp_window(centre - half, half, num_fields)[::-1]
    return forward, backward


def sample_rng(seed: int, step: int, index: int) -> np.random.Generator:
    """Return the random generator of one training sample, the ``index``-th of the global batch.

    Nothing depends on which worker or device draws, or on what was drawn before, so a resumed run
    sees what an uninterrupted one would have seen.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, step, index]))


def even_shares(total: int, count: int) -> tuple[int, ...]:
    """Divide a whole number into ``count`` parts that differ by one at the most.

    >>> even_shares(32, 3)
    (10, 11, 11)
    """
    return tuple((i + 1) * total // count - i * total // count for i in range(count))


def class_uniform_batch(
    labels: Sequence[int] | NDArray[np.integer], *, seed: int, step: int, batch_size: int
) -> NDArray[np.int64]:
    """Choose the videos of one training step, uniformly across the classes (section 5).

    For each place in the batch a class is drawn uniformly among the classes that have videos, then
    a video uniformly within it, with replacement.

    Args:
        labels: (n,) class of every training video, one of them known at least; negative labels
            (unknown) are never chosen.
        seed, step, batch_size: see above.

    Returns:
        (batch_size,) indices into `labels`.
    """
    labels = np.asarray(labels)
    known = np.flatnonzero(labels >= 0)
    videos = known[np.argsort(labels[known], kind="stable")]  # grouped by class
    first, count = np.unique(labels[videos], return_index=True, return_counts=True)[1:]
    rng = np.random.default_rng(np.random.SeedSequence([seed, step], spawn_key=_BATCH_KEY))
    chosen = rng.integers(len(count), size=batch_size)
    within = rng.integers(count[chosen])
    return videos[first[chosen] + within].astype(np.int64)


def epoch_batch(num: int, *, seed: int, step: int, batch_size: int) -> NDArray[np.int64]:
    """Choose the images of one training step: each one once an epoch, in an order drawn anew.

    Every image counts the same, whatever its class, as is usual for ILSVRC. A batch may reach into
    the next epoch.

    Args:
        num: number of images, at least 1.
        seed, step, batch_size: see above.

    Returns:
        (batch_size,) indices in 0..num - 1.

    >>> steps = [epoch_batch(6, seed=0, step=step, batch_size=4) for step in range(3)]
    >>> sorted(np.concatenate(steps).tolist())
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    """
    epochs, places = np.divmod(step * batch_size + np.arange(batch_size), num)
    rows = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        rows[here] = _epoch_order(num, seed, int(epoch))[places[here]]
    return rows


@lru_cache(maxsize=2)  # a million images take a moment to shuffle, and a step needs two epochs
def _epoch_order(num: int, seed: int, epoch: int) -> NDArray[np.int64]:
    sequence = np.random.SeedSequence([seed, epoch], spawn_key=_EPOCH_KEY)
    order = np.random.default_rng(sequence).permutation(num)
    order.setflags(write=False)
    return order
