"""What happens when in a long video: scores over time, smoothed, and the segments they make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twostream.bout_model import LOOK_SECONDS, THRESHOLD, BoutModel
from twostream.labels.recordings import NONE_LABEL, UNSEEN_LABEL
from twostream.prediction.prediction import Prediction
from twostream.sampling import between_pauses
from twostream.types import Stream, UsageError

_TIME_TOLERANCE = 1e-6
_DIGITS = 4  # of scores and seconds in JSON
_STEP_SECONDS = 0.04  # to which the boundaries of bouts are found, between the windows too
_STEPS = 10_000  # of which the scores are in memory at once


@dataclass(frozen=True, slots=True)
class Windows:
    """How a video is cut into windows, and their scores joined.

    Attributes:
        seconds: length of a window.
        every_seconds: from one to the next.
        positions: about how many frames and stacks of a window are scored.
        smooth_seconds: scores are averaged over so much time; 0: not at all.

    >>> LONG.changed(every_seconds=0.25, positions=None).every_seconds
    0.25
    """

    seconds: float
    every_seconds: float
    positions: int
    smooth_seconds: float

    def changed(self, **asked: float | None) -> Windows:
        """Return it with what was asked for; None: as it is.

        Raises:
            UsageError: an option that is no number, or out of range.
        """
        found = replace(self, **{k: v for k, v in asked.items() if v is not None})  # type: ignore[arg-type]
        check_windows(found.seconds, found.every_seconds, found.positions)
        check_smoothing(found.smooth_seconds)
        return found


# Nets that learnt from clips see windows about as long as these.
LONG = Windows(2.0, 0.5, 5, 1.5)


def looks(span_seconds: float) -> Windows:
    """Return the windows of a run that knows how long bouts last: one frame and stack each.

    Each moment is looked at once instead of from five windows that hold it, which takes half of
    the networks' time and shows boundaries better.

    Args:
        span_seconds: what the longest stack spans.
    """
    return Windows(span_seconds, 0.2, 1, LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a video with one label.

    Attributes:
        start_seconds, end_seconds: where it lies.
        label: the best class; None: no class reaches the threshold, or there is no frame.
        score: mean of the class's score over its time, in 0..1; None: the video has no frames
            there. Of "none of these": of the best classes there.
    """

    start_seconds: float
    end_seconds: float
    label: str | None
    score: float | None

    @property
    def title(self) -> str:
        """The label in words."""
        if self.score is None:
            return UNSEEN_LABEL
        return NONE_LABEL if self.label is None else self.label


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Scores of a video over time, and what they say.

    Attributes:
        video: the file.
        classes: k class names.
        times: (n,) float64, centres of the windows in seconds, increasing.
        scores: (n, k) probabilities: the streams fused, window by window, then smoothed.
        streams: stream -> (n, k) probabilities of each window, as they came.
        segments: what follows from ``scores``; they cover the video without gaps, its pauses by
            segments of their own.
        warning: a sentence when the video broke off early or has pauses.
        seconds: length of the video.
        pauses: (start, end) in seconds, ascending: times of which the video has no frames. No
            window and no smoothing reaches across one.
        together: class -> the labels that hold at once in it; other classes are one label.
        points: labels that are point events, each in the middle of its segment.
        ends: (n,) where each window ends, in seconds.
        fused: (n, k) probabilities: the streams fused, window by window, as they came.
    """

    video: Path
    classes: tuple[str, ...]
    times: NDArray[np.float64]
    scores: NDArray[np.float32]
    streams: dict[Stream, NDArray[np.float32]]
    segments: tuple[Segment, ...]
    warning: str | None
    seconds: float
    pauses: tuple[tuple[float, float], ...] = ()
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    points: tuple[str, ...] = ()
    ends: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    fused: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @classmethod
    def of_windows(
        cls,
        video: Path,
        windows: Sequence[Prediction],
        *,
        seconds: float,
        warning: str | None,
        pauses: Sequence[tuple[float, float]] = (),
        smooth_seconds: float = LONG.smooth_seconds,
        threshold: float = THRESHOLD,
        bouts: BoutModel | None = None,
    ) -> Self:
        """Join what the windows of a video say.

        Args:
            video: the file.
            windows: at least one, in order.
            seconds: length of the video.
            warning: a sentence when it broke off early.
            pauses: likewise, see above.
            smooth_seconds: scores are averaged over so much time; 0: not at all.
            threshold: where the best score is below it, the label is None.
            bouts: how long they last; None: each window has the label of its best score.
        """
        times = np.array([(w.start_seconds + w.end_seconds) / 2 for w in windows])
        streams = {s: np.stack([w.streams[s] for w in windows]) for s in windows[0].streams}
        scores = np.stack([w.scores for w in windows])
        classes = windows[0].classes
        runs = _runs(times, pauses, seconds)
        smoothed = np.concatenate(
            [smooth(times[rows], scores[rows], smooth_seconds) for rows, _, _ in runs]
        )
        segments = _segments(times, smoothed, classes, runs, seconds, threshold, bouts)
        return cls(
            video,
            classes,
            times,
            smoothed,
            streams,
            segments,
            warning,
            seconds,
            tuple(pauses),
            bouts.together if bouts else {},
            bouts.points if bouts else (),
            np.array([w.end_seconds for w in windows]),
            scores,
        )

    def decoded(self, bouts: BoutModel) -> Timeline:
        """Return what it would be by another model of the bouts, and its threshold."""
        scored = self.times, self.scores, self.classes, self.runs(), self.seconds
        segments = _segments(*scored, bouts.threshold, bouts)
        return replace(self, segments=segments)

    def spans(self) -> list[tuple[float, float]]:
        """Return which time each window stands for: (start, end), seconds, midway to the next."""
        found = []
        for rows, start, end in self.runs():
            edges = _edges(self.times[rows], start, end)
            found += list(pairwise(edges))
        return found

    def runs(self) -> list[tuple[slice, float, float]]:
        """Return the windows between pauses: which, and the time from one pause to the next."""
        return _runs(self.times, self.pauses, self.seconds)

    def segment_at(self, seconds: float) -> Segment:
        """Return the segment of a moment; the first or last one outside the video."""
        return next((s for s in self.segments if seconds < s.end_seconds), self.segments[-1])

    def to_json(self) -> dict[str, Any]:
        """Return everything in plain values, scores rounded to 4 digits."""

        def plain(values: NDArray[np.floating[Any]]) -> list[Any]:
            return np.round(values.astype(np.float64), _DIGITS).tolist()

        return {
            "video": str(self.video),
            "seconds": round(self.seconds, _DIGITS),
            "segments": [rounded(segment, _DIGITS) for segment in self.segments],
            "classes": list(self.classes),
            "times": plain(self.times),
            "scores": plain(self.scores),
            "streams": {stream: plain(scores) for stream, scores in self.streams.items()},
            "warning": self.warning,
        }


def rounded(record: Any, digits: int) -> dict[str, Any]:
    """Return a dataclass's fields for JSON, those that are float rounded."""
    fields = asdict(record).items()
    return {name: round(v, digits) if isinstance(v, float) else v for name, v in fields}


def smooth(
    times: NDArray[np.float64], scores: NDArray[np.float32], seconds: float
) -> NDArray[np.float32]:
    """Return the moving mean of scores over time.

    Args:
        times: (n,) seconds, increasing.
        scores: (n, k).
        seconds: width of the stretch around each time, whose windows are averaged; 0: none.

    >>> smooth(np.arange(4.0), np.array([[0.0], [3.0], [0.0], [0.0]], np.float32), 2).ravel()
    array([1.5, 1. , 1. , 0. ], dtype=float32)
    """
    reach = seconds / 2 + _TIME_TOLERANCE
    first = np.searchsorted(times, times - reach)
    after = np.searchsorted(times, times + reach)
    sums = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, 0, np.float64)])
    return ((sums[after] - sums[first]) / (after - first)[:, None]).astype(np.float32)


def _segments(
    times: NDArray[np.float64],
    scores: NDArray[np.float32],
    classes: Sequence[str],
    runs: Sequence[tuple[slice, float, float]],
    seconds: float,
    threshold: float,
    bouts: BoutModel | None,
) -> tuple[Segment, ...]:
    """Return the segments of smoothed scores, with one for each pause beside the runs."""
    find = find_segments if bouts is None else partial(find_bouts, bouts)
    segments, paused = list[Segment](), 0.0
    for rows, start, end in runs:
        if paused < start:
            segments.append(Segment(paused, start, None, None))
        paused = end
        segments += find(
            times[rows],
            scores[rows],
            classes,
            threshold=threshold,
            seconds=end,
            start_seconds=start,
        )
    if paused < seconds:
        segments.append(Segment(paused, seconds, None, None))
    return tuple(segments)


def find_segments(
    times: NDArray[np.float64],
    scores: NDArray[np.float32],
    classes: Sequence[str],
    *,
    threshold: float,
    seconds: float,
    start_seconds: float = 0.0,
) -> tuple[Segment, ...]:
    """Join neighbouring windows of one best class; boundaries lie midway between their centres.

    Args:
        times: (n,) centres of the windows in seconds, increasing.
        scores: (n, k) probabilities.
        classes: k names.
        threshold: a best score below it is "none of these".
        seconds: length of the video: the last segment ends here.
        start_seconds: where the first one starts.

    >>> times, scores = np.array([1.0, 2.0, 3.0]), np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    >>> for s in find_segments(times, scores, ("walk", "run"), threshold=0.5, seconds=4.0):
    ...     print(s.start_seconds, s.end_seconds, s.label, round(s.score, 2))
    0.0 1.5 walk 0.9
    1.5 4.0 run 0.85
    """
    best = scores.argmax(axis=1)
    top = scores.max(axis=1)
    keys = np.where(top >= threshold, best, -1).tolist()
    edges = _edges(times, start_seconds, seconds)
    segments = []
    for key, group in groupby(range(len(keys)), keys.__getitem__):
        rows = list(group)
        segments.append(
            Segment(
                edges[rows[0]],
                edges[rows[-1] + 1],
                classes[key] if key >= 0 else None,
                float(top[rows].mean()),
            )
        )
    return tuple(segments)


def find_bouts(
    model: BoutModel,
    times: NDArray[np.float64],
    scores: NDArray[np.float32],
    classes: Sequence[str],
    *,
    threshold: float,
    seconds: float,
    start_seconds: float = 0.0,
) -> tuple[Segment, ...]:
    """Return the likeliest bouts; scores are interpolated, so that they may end between windows.

    Args:
        model: how long bouts last.
        times, scores, classes, seconds, start_seconds: as of ``find_segments``.
        threshold: a bout whose mean score is below it is "none of these".
    """
    count = max(1, round((seconds - start_seconds) / _STEP_SECONDS))
    edges = np.linspace(start_seconds, seconds, count + 1)
    moments = (edges[:-1] + edges[1:]) / 2

    def between(some: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(some, times, column) for column in scores.T], axis=1)

    parts = (between(moments[i : i + _STEPS]) for i in range(0, count, _STEPS))
    found = [
        (classes[label] if score >= threshold else None, score, first, end)
        for first, end, label in model.decode(parts, (seconds - start_seconds) / count)
        for score in (float(np.interp(moments[first:end], times, scores[:, label]).mean()),)
    ]
    segments = []
    for name, group in groupby(found, key=lambda each: each[0]):
        _, scored, firsts, ends = zip(*group, strict=True)
        lasts = [end - first for first, end in zip(firsts, ends, strict=True)]
        mean = float(np.average(scored, weights=lasts))
        segments.append(Segment(float(edges[firsts[0]]), float(edges[ends[-1]]), name, mean))
    return tuple(segments)


def _edges(times: NDArray[np.float64], start: float, end: float) -> list[float]:
    """Return where windows begin and end: midway between their centres."""
    return [start, *((times[:-1] + times[1:]) / 2).tolist(), end]


def _runs(
    times: NDArray[np.float64], pauses: Sequence[tuple[float, float]], seconds: float
) -> list[tuple[slice, float, float]]:
    """Return the windows between pauses: which, and the time from one pause to the next."""
    runs = between_pauses(pauses, seconds)
    rows = [0, *np.searchsorted(times, [start for start, _ in runs[1:]]).tolist(), len(times)]
    return [
        (slice(first, after), start, end)
        for (first, after), (start, end) in zip(pairwise(rows), runs, strict=True)
    ]


def check_windows(window_seconds: float, every_seconds: float, positions: int) -> None:
    """Raise a UsageError for windows that make no sense, NaN included."""
    for name, value in (("window_seconds", window_seconds), ("every_seconds", every_seconds)):
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"{name} must be a number above 0, got {value}")
    if not (math.isfinite(positions) and positions >= 1 and positions == int(positions)):
        raise UsageError(f"positions must be a whole number from 1 up, got {positions}")


def check_smoothing(smooth_seconds: float) -> None:
    """Raise a UsageError for what is no time."""
    if not (math.isfinite(smooth_seconds) and smooth_seconds >= 0):
        raise UsageError(f"smooth_seconds must be a number from 0 up, got {smooth_seconds}")


def check_threshold(threshold: float) -> None:
    """Raise a UsageError for what is no probability."""
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold must lie in 0..1, got {threshold}")
