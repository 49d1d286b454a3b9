"""Which moments would teach a run most: where it is unsure, each unlike those proposed before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twostream.labels.recordings import OTHER, Span
from twostream.web.forecasts import Forecast

MOST = 20
APART_SECONDS = 4.0  # two windows: nearer ones see much the same
LEAST = 0.02  # below such an uncertainty a run is sure
NOTHING = 0.1  # how much a moment counts that the run takes for nothing: most time shows nothing


@dataclass(frozen=True, slots=True)
class Proposal:
    """A moment that is worth a label.

    Attributes:
        video: its name.
        seconds: the centre of a window.
        uncertainty: 1 minus the lead of the best class over the second, in 0..1.
        labels: the two best classes, the best one first.
    """

    video: str
    seconds: float
    uncertainty: float
    labels: tuple[str, str]


def proposals(
    forecasts: Mapping[str, Forecast],
    watched: Mapping[str, Sequence[Span] | None],
    *,
    most: int = MOST,
) -> list[Proposal]:
    """Return the moments that would teach most, the best one first.

    Uncertainty is that of margin sampling (Scheffer et al. 2001). Taken one by one: each moment
    counts with its uncertainty, ``NOTHING`` of it where the best class is ``OTHER``, divided by
    1 + how often its video, and by 1 + how often its pair of classes, has been taken; none within
    ``APART_SECONDS`` of another one. What was watched is not proposed.

    Args:
        forecasts: video -> what the run says of it.
        watched: video -> (start, end) in seconds that people have looked at; None: all of it.
        most: how many.
    """
    found = [
        moment
        for video, forecast in forecasts.items()
        if watched.get(video, ()) is not None
        for moment in _moments(video, forecast, watched.get(video) or ())
    ]
    taken: list[Proposal] = []
    videos, pairs = Counter[str](), Counter[frozenset[str]]()

    def worth(each: Proposal) -> float:
        times = (1 + videos[each.video]) * (1 + pairs[frozenset(each.labels)])
        return each.uncertainty * _weight(each.labels[0]) / times

    while found and len(taken) < most:
        best = max(found, key=lambda each: (worth(each), each.uncertainty, -each.seconds))
        taken.append(best)
        videos[best.video] += 1
        pairs[frozenset(best.labels)] += 1
        found = [each for each in found if not _near(each, best)]
    return taken


def _weight(best: str) -> float:
    """Return how much a moment counts beside its uncertainty, by the best class there."""
    return NOTHING if best == OTHER else 1.0


def _near(one: Proposal, other: Proposal) -> bool:
    return one.video == other.video and abs(one.seconds - other.seconds) < APART_SECONDS


def _moments(video: str, forecast: Forecast, watched: Sequence[Span]) -> list[Proposal]:
    """Return moments of a video that people have not looked at, and the run is unsure of."""
    if forecast.scores.shape[1] < 2:
        return []
    order = np.argsort(-forecast.scores, axis=1, kind="stable")[:, :2]
    best, second = np.take_along_axis(forecast.scores, order, axis=1).T.astype(float)
    unsure = 1 - (best - second)
    seen = np.zeros(len(forecast.times), bool)
    for start, end in watched:
        seen |= (forecast.times >= start) & (forecast.times < end)
    names = forecast.classes
    worth = unsure * np.array([_weight(name) for name in names])[order[:, 0]]
    rows = np.flatnonzero(~seen & (unsure >= LEAST))
    rows = rows[np.argsort(-worth[rows], kind="stable")]
    # of those that lie near each other the one that is worth most: hours have thousands
    rows = np.sort(rows[np.unique(forecast.times[rows] // APART_SECONDS, return_index=True)[1]])
    return [
        Proposal(
            video,
            float(forecast.times[i]),
            float(unsure[i]),
            (names[order[i, 0]], names[order[i, 1]]),
        )
        for i in rows.tolist()
    ]
