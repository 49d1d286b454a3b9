"""What prediction gives, and what it asks of a stream's network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twostream.store.clips import Clip
from twostream.types import ModelSpec, Stream

TOP = 5


class StreamScorer(Protocol):
    """One stream's network, whatever runs it. Safe to call from several threads.

    Attributes:
        spec: what the network is and sees.
    """

    spec: ModelSpec

    def score(self, clip: Clip, positions: int | None = None) -> NDArray[np.float32]:
        """Return a clip's (k,) softmax scores: the mean over its positions and their crops.

        Args:
            clip: with the files that the network sees.
            positions: how many frames or stacks to score; None: as in testing.
        """

    def looks(self, wanted: Sequence[tuple[Clip, int]]) -> NDArray[np.float32]:
        """Return (n, k) softmax scores, each of one frame or stack: the mean over its crops.

        Args:
            wanted: clips, all of one size, and the position in each; one at least.
        """


@dataclass(frozen=True, slots=True)
class Prediction:
    """Scores of one video, or of one window of a stream of frames.

    Attributes:
        video: the file; None for a stream of frames.
        classes: k class names.
        scores: (k,) probabilities, as the run's learnt fusion joins the streams; their mean where
            it has none.
        streams: stream -> (k,) probabilities of each alone, at the temperature that the fusion
            has learnt for it; their order is that of the network's own scores.
        warning: a sentence when the video broke off early or has pauses.
        start_seconds, end_seconds: which part of the video was scored.

    >>> scores = np.array([0.2, 0.8], np.float32)
    >>> prediction = Prediction(None, ("walk", "run"), scores, {"temporal": scores})
    >>> prediction.label, [label for label, score in prediction.top()]
    ('run', ['run', 'walk'])
    """

    video: Path | None
    classes: tuple[str, ...]
    scores: NDArray[np.float32]
    streams: dict[Stream, NDArray[np.float32]]
    warning: str | None = None
    start_seconds: float = 0.0
    end_seconds: float = 0.0

    @property
    def label(self) -> str:
        """The best class, fused."""
        return self.top(1)[0][0]

    def top(self, count: int = TOP, stream: Stream | None = None) -> list[tuple[str, float]]:
        """Return the best classes with their scores, fused or of one stream."""
        scores = self.scores if stream is None else self.streams[stream]
        order = np.argsort(-scores, kind="stable")[:count]
        return [(self.classes[i], float(scores[i])) for i in order]

    def to_json(self, count: int = TOP) -> dict[str, Any]:
        """Return what ``twostream predict --json`` prints: video, labels, streams, warning."""

        def rows(stream: Stream | None = None) -> list[dict[str, Any]]:
            return [{"label": label, "score": s} for label, s in self.top(count, stream)]

        return {
            "video": str(self.video) if self.video else None,
            "labels": rows(),
            "streams": {stream: rows(stream) for stream in self.streams},
            "warning": self.warning,
        }
