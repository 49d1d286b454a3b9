"""Pairs of classes that are each other's mirror image, such as turning left and turning right.

A look at the flow of the training clips, before anything is trained: a net that is trained on
mirror images cannot tell the two classes of such a pair apart.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.sampling import even_indices
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore
from twostream.threads import ThreadPool, costs_one_video, num_cores, sentence
from twostream.types import LabeledVideo, StoreError, TemporalInput

logger = logging.getLogger(__name__)

FALSE_ALARMS = 0.05  # of data sets without such a pair, how many are suspected of one
_DRAWS = 999
_MOST_CLIPS = 60  # of a class: more would tell no more
_FIELDS, _PARTS, _ROWS, _COLUMNS = 12, 3, 4, 6
_FINE = 8  # places along each side of a cell, before directions are told apart


def mirror_pairs(
    videos: Sequence[LabeledVideo], store: FlowStore, temporal: TemporalInput
) -> list[tuple[int, int]]:
    """Return pairs of labels whose clips look like each other's mirror image, most certain first.

    Args:
        videos: training clips; one whose flow is damaged is named and left out.
        store: where their flow lies.
        temporal: whether the net sees the mean of a field.
    """
    labels = np.array([video.label for video in videos])
    rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    chosen = np.concatenate(
        [own[even_indices(len(own), min(len(own), _MOST_CLIPS))] for own in rows]
    )
    few = [videos[i] for i in chosen]
    clips = ClipCache(store, ("forward",), budget_bytes=0)
    seen = partial(_motion_or_none, clips, subtract_mean=temporal.subtract_mean)
    with ThreadPool(num_cores(), thread_name_prefix="mirror") as pool:
        found = list(pool.map(seen, [video.video_id for video in few]))
    whole = [i for i, each in enumerate(found) if each is not None]
    if not whole:
        return []
    # a slash keeps a video's id from meeting a group of that name
    groups = [f"/{v.video_id}" if v.group is None else v.group for v in few]
    motions = np.stack([each for each in found if each is not None])
    return suspected(motions, labels[chosen][whole], [groups[i] for i in whole])


def _motion_or_none(
    clips: ClipCache, video_id: str, *, subtract_mean: bool
) -> NDArray[np.float32] | None:
    try:
        return motion(clips, video_id, subtract_mean=subtract_mean)
    except Exception as error:
        if not (isinstance(error, StoreError) or costs_one_video(error)):
            raise
        logger.warning(f"{sentence(error, video_id)}; the look for mirror images is without it")
        return None


def motion(clips: ClipCache, video_id: str, *, subtract_mean: bool) -> NDArray[np.float32]:
    """Return how much of a clip moves where, and which way.

    The four half-wave rectified channels of Efros et al. 2003, of twelve fields over the clip.

    Returns:
        (parts of the clip, left / right / up / down, rows, columns), norm 1; all 0 without motion.
    """
    clip, single = clips[video_id], TemporalInput(length=1, subtract_mean=subtract_mean)
    stacks, counts = clip.samples(single, _FIELDS)
    size = (_COLUMNS * _FINE, _ROWS * _FINE)
    small = [
        cv2.resize(np.moveaxis(f, 0, -1), size, interpolation=cv2.INTER_AREA) for (f,) in stacks
    ]
    x, y = np.moveaxis(np.repeat(small, counts.astype(int), axis=0), -1, 0)
    four = np.maximum(np.stack([-x, x, -y, y], axis=1), 0)
    cells = four.reshape(_PARTS, -1, 4, _ROWS, _FINE, _COLUMNS, _FINE).mean((1, 4, 6))
    cells = np.sqrt(cells)  # a fast clip looks like a slow one; the root keeps weak cells heard
    return cells / max(float(np.linalg.norm(cells)), 1e-9)


def mirrored(motions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what ``motion`` says of the clips' mirror images, (..., 4, rows, columns)."""
    return motions[..., [1, 0, 2, 3], :, ::-1]


def suspected(
    motions: NDArray[np.float32], labels: NDArray[np.int64], groups: Sequence[str]
) -> list[tuple[int, int]]:
    """Return the pairs of classes that only the direction of their motion tells apart.

    The motion of a clip is the sum of an even part, which its mirror image shares, and an odd one,
    whose sign the mirror image turns. For each pair of classes two linear classifiers (ridge
    regression without constant, each clip judged without its group) see one part each. A pair is
    suspected where

    - the odd part tells the classes apart, in both of them: what is right of A is then by
      arithmetic the share of A's mirror images that are taken for B. Were no class to prefer a
      side, mirroring all clips of a class in a group would change nothing; so the same is computed
      for 999 data sets where a coin decides that for each class of each group, and at most one
      in twenty may have any pair of classes with as much (Westfall and Young 1993);
    - the even part, all that is left to a net trained on mirror images, lies nearer to chance than
      to the odd part.

    Args:
        motions: (n, ...) of the clips, see ``motion``.
        labels: (n,).
        groups: n names; clips of one group may look alike.

    Returns:
        Pairs of labels, the lower one first, most certain first.
    """
    flat = [part.reshape(len(motions), -1) / 2 for part in (motions, mirrored(motions))]
    odd, even = (flat[0] - flat[1]).astype(float), (flat[0] + flat[1]).astype(float)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    units, unit = np.unique(labels * len(names) + group, return_inverse=True)
    signs = np.random.default_rng(0).choice(np.array([-1.0, 1.0]), (len(units), 1 + _DRAWS))
    signs[:, 0] = 1  # the clips as they are
    most = np.full(1 + _DRAWS, -np.inf)
    found = {}
    for pair in combinations(np.unique(labels).tolist(), 2):
        rows = np.flatnonzero(np.isin(labels, pair))
        side = np.where(labels[rows] == pair[0], 1.0, -1.0)
        right = _right(odd[rows], side[:, None] * signs[unit[rows]], group[rows])
        surplus, share = _worse_class(right, side, unit[rows])
        most = np.maximum(most, surplus)
        found[pair] = surplus[0], share[0], rows, side
    sure = {
        pair: surplus
        for pair, (surplus, share, rows, side) in found.items()
        if np.mean(most >= surplus - 1e-9) <= FALSE_ALARMS
        and _balanced(_right(even[rows], side[:, None], group[rows])[:, 0], side)
        < (0.5 + share) / 2
    }
    return sorted(sure, key=lambda pair: -sure[pair])


def _right(
    features: NDArray[np.float64], sides: NDArray[np.float64], group: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return whether each clip is on its side of the classifier made of the other groups' clips.

    Args:
        features: (n, d). Odd ones of a mirrored clip have the other sign, which is the same as a
            clip that keeps them and changes its side: so all draws share one matrix.
        sides: (n, draws), 1 or -1.
        group: (n,).

    Returns:
        (n, draws).
    """
    kernel = features @ features.T
    inverse = np.linalg.inv(kernel + (np.trace(kernel) / len(kernel) + 1e-9) * np.eye(len(kernel)))
    weights = np.empty_like(inverse)
    for each in np.unique(group):
        own = np.flatnonzero(group == each)
        # the closed form of ridge regression with a block left out
        weights[own] = -np.linalg.solve(inverse[np.ix_(own, own)], inverse[own])
        weights[np.ix_(own, own)] = 0
    return sides * (weights @ sides) > 0


def _worse_class(
    right: NDArray[np.bool_], side: NDArray[np.float64], unit: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return of each draw the lesser class's surplus over a coin, and the mean of both recalls.

    A class's recall is the mean over its groups; the surplus is in standard deviations of so many
    coins. Both are (draws,).
    """
    surplus, recalls = [], []
    for each in (1, -1):
        rows = np.flatnonzero(side == each)
        _, place, size = np.unique(unit[rows], return_inverse=True, return_counts=True)
        recalls.append((1 / size[place] / len(size)) @ right[rows])
        surplus.append((recalls[-1] - 0.5) * 2 * np.sqrt(len(size)))
    return np.minimum(*surplus), np.mean(recalls, axis=0)


def _balanced(right: NDArray[np.bool_], side: NDArray[np.float64]) -> float:
    """Return the mean of both classes' recalls."""
    return float(np.mean([right[side == each].mean() for each in (1, -1)]))
