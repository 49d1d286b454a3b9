"""Figure 4: first-layer filters of the temporal net, as a picture and as a reading in numbers.

The paper shows each of the 96 filters as a column of 2L tiles and reads some as spatial, some as
temporal derivatives of the flow. Here that reading is arithmetic. Pure functions of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twostream.types import ModelError

PARTS = ("average", "temporal", "spatial", "interaction")
KINDS = ("temporal derivative", "spatial derivative", "both", "neither")
ZERO = 128  # grey of a weight of zero
_LEAST_SCORE = 0.1
_DEVIATIONS = 3
_WHITE = 255


@dataclass(frozen=True, slots=True, eq=False)
class DerivativeReading:
    """What n first-layer filters compute of L flow fields, read off their energy (sum of squares).

    Each component of a filter, (L, kh, kw), is the sum of four orthogonal parts, as in a two-way
    analysis of variance, so that their energies sum to the filter's:

    - ``average``: one weight everywhere; the filter averages the flow.
    - ``temporal``: changes over the fields, uniform in space, mean zero: a difference in time.
    - ``spatial``: changes in space, the same in every field, mean zero: a difference in space.
    - ``interaction``: what is left, changes in space that differ from field to field.

    Attributes:
        shares: (n, 4) shares of the energy of x and y together, in the order of ``PARTS``; they
            sum to 1, or are all 0 where a filter's weights are.
        chance: (4,) the shares that filters of white noise have on average: each part's degrees of
            freedom. Almost all of noise is interaction.
        kinds: n names out of ``KINDS``, see ``derivative_reading``.
    """

    shares: NDArray[np.float64]
    chance: NDArray[np.float64]
    kinds: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Return how many filters are of each of ``KINDS``, in that order."""
        return {kind: self.kinds.count(kind) for kind in KINDS}

    def mean_shares(self) -> NDArray[np.float64]:
        """Return (4,) shares averaged over the filters that are not all zero."""
        alive = self.shares[self.shares.sum(axis=1) > 0]
        return alive.mean(axis=0) if len(alive) else np.zeros(len(PARTS))


def derivative_reading(
    weight: NDArray[np.floating], *, bidirectional: bool = False
) -> DerivativeReading:
    """Read the temporal net's first-layer filters as derivatives of the flow (figure 4).

    A part's score is its share of the energy above chance, (share - chance) / (1 - chance): 0 for
    white noise, 1 for a filter that is nothing else. A part stands out where its score is at least
    0.1 and its share three standard deviations above that of noise. The part that stands out with
    the highest score names the filter:

    - temporal, spatial: ``temporal derivative``, ``spatial derivative``; but ``both`` where the
      other one stands out too and scores at least half as much;
    - interaction: ``both``, a difference in time of a difference in space;
    - average, or none: ``neither``.

    The rule is our own; the paper looked. Training starts from noise and leaves much of it, so what
    stands out of noise is read, not what is largest. What is read is change, not the form of a
    derivative: a filter that sees one field only changes over time too, and reads as temporal. A
    single field (L = 1) tells nothing: noise is as good as all change in space.

    Args:
        weight: (n, 2L, kh, kw), channels x1 y1 x2 y2 ...
        bidirectional: the second half of the fields runs backward in time, so that the same motion
            has the opposite sign there; it is negated first.

    Raises:
        ModelError: another shape, or weights that are not finite.

    >>> difference = np.zeros((1, 4, 3, 3))
    >>> difference[0, 0], difference[0, 2] = 1, -1  # x of field 1 less x of field 2
    >>> derivative_reading(difference).kinds
    ('temporal derivative',)
    """
    fields = _fields(weight)
    length, _, height, width = fields.shape[1:]
    if bidirectional:
        fields = fields.copy()
        fields[:, length // 2 :] *= -1
    mean = fields.mean(axis=(1, 3, 4), keepdims=True)
    over_time = fields.mean(axis=(3, 4), keepdims=True) - mean
    over_space = fields.mean(axis=1, keepdims=True) - mean
    parts = (mean, over_time, over_space, fields - over_time - over_space - mean)
    # (n, 4): a part is broadcast along what it does not depend on
    energy = np.stack(
        [np.broadcast_to(part**2, fields.shape).sum(axis=(1, 2, 3, 4)) for part in parts], axis=-1
    )
    total = energy.sum(axis=-1, keepdims=True)
    shares = np.divide(energy, total, out=np.zeros_like(energy), where=total > 0)
    times, places = length - 1, height * width - 1
    chance = np.array([1, times, places, times * places]) / (length * height * width)
    # of noise, a share of the energy of x and y together has a beta distribution
    deviation = np.sqrt(chance * (1 - chance) / (length * height * width + 1))
    score = (shares - chance) / np.maximum(1 - chance, 1e-12)
    out = (score >= _LEAST_SCORE) & (shares >= chance + _DEVIATIONS * deviation)
    kinds = tuple(_kind(dict(zip(PARTS, row, strict=True))) for row in np.where(out, score, 0.0))
    return DerivativeReading(shares, chance, kinds)


def _kind(score: dict[str, float]) -> str:
    """Return one of ``KINDS`` for a filter's scores, 0 where a part does not stand out."""
    best = max(score, key=lambda part: score[part])
    if score[best] == 0 or best == "average":
        return "neither"
    less, more = sorted((score["temporal"], score["spatial"]))
    return "both" if best == "interaction" or less >= more / 2 else f"{best} derivative"


def figure4_picture(weight: NDArray[np.floating], *, scale: int = 3) -> NDArray[np.uint8]:
    """Draw the temporal net's first layer in the paper's arrangement (figure 4).

    A column is a filter, a row one of the 2L channels: x and y of the first field, of the second,
    and so on. Weights are grey, 128 is zero: each filter is scaled by its own largest absolute
    weight, symmetric about zero, to 1..255. White lines stand between tiles, one pixel between
    channels and two between filters.

    Args:
        weight: (n, 2L, kh, kw), channels x1 y1 x2 y2 ...; the filters are drawn in this order.
        scale: pixels along each side of a weight.

    Returns:
        (2L * (kh * scale + 1) - 1, n * (kw * scale + 2) - 2) uint8.

    Raises:
        ModelError: another shape, or weights that are not finite.

    >>> figure4_picture(np.zeros((96, 20, 7, 7))).shape
    (439, 2206)
    """
    fields = _fields(weight)
    n, length, _, height, width = fields.shape
    channels = fields.reshape(n, 2 * length, height, width)
    largest = np.abs(channels).max(axis=(1, 2, 3), keepdims=True)
    unit = np.divide(channels, largest, out=np.zeros_like(channels), where=largest > 0)
    grey = np.rint(ZERO + (_WHITE - ZERO) * unit).astype(np.uint8)
    tiles = grey.swapaxes(0, 1).repeat(scale, axis=2).repeat(scale, axis=3)
    tiles = np.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 2)), constant_values=_WHITE)
    rows, columns, high, wide = tiles.shape
    return tiles.swapaxes(1, 2).reshape(rows * high, columns * wide)[:-1, :-2]


def _fields(weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the weights as (n, L, 2, kh, kw) float64; their energy does not overflow."""
    if weight.ndim != 4 or weight.shape[1] % 2 or not weight.size:
        raise ModelError(
            f"first-layer filters of flow have the shape (filters, 2L, height, width), got "
            f"{tuple(weight.shape)}: they can be read from a temporal model that sees optical flow"
        )
    if not np.isfinite(weight).all():
        raise ModelError(
            "the first layer has weights that are not finite: training diverged, train again with "
            "a lower --learning-rate"
        )
    n, channels, height, width = weight.shape
    return weight.astype(np.float64).reshape(n, channels // 2, 2, height, width)
