"""Which moments would teach a run most: where it is unsure, each unlike those proposed before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twostream.labels.recordings import Span
from twostream.web.forecasts import Forecast

MOST = 20
APART_SECONDS = 4.0  # two windows: nearer ones see much the same
LEAST = 0.02  # below such an uncertainty a run is sure


@dataclass(frozen=True, slots=True)
class Proposal:
    """A moment that is worth a label.

    Attributes:
        video: its name.
        seconds: the centre of a window.
        uncertainty: 1 minus the lead of the best class over the second, in 0..1.
        labels: the two best classes.
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
    counts with its uncertainty, divided by 1 + how often its video, and by 1 + how often its pair
    of classes, has been taken; none within ``APART_SECONDS`` of another one. What was watched is
    not proposed.

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
        return each.uncertainty / (1 + videos[each.video]) / (1 + pairs[frozenset(each.labels)])

    while found and len(taken) < most:
        best = max(found, key=lambda each: (worth(each), each.uncertainty, -each.seconds))
        taken.append(best)
        videos[best.video] += 1
        pairs[frozenset(best.labels)] += 1
        found = [each for each in found if not _near(each, best)]
    return taken


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
    rows = np.flatnonzero(~seen & (unsure >= LEAST))
    rows = rows[np.argsort(-unsure[rows], kind="stable")]
    # of those that lie near each other the most uncertain one: hours have thousands
    rows = np.sort(rows[np.unique(forecast.times[rows] // APART_SECONDS, return_index=True)[1]])
    names = forecast.classes
    return [
        Proposal(
            video,
            float(forecast.times[i]),
            float(unsure[i]),
            (names[order[i, 0]], names[order[i, 1]]),
        )
        for i in rows.tolist()
    ]
