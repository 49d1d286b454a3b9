"""What people say of one video, as the label page shows and saves it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Self

from twostream.datasets.label_spans import POINT_SECONDS
from twostream.datasets.time_spans import without
from twostream.labels import Bout, Recording
from twostream.labels.recordings import Span, joined


def spans_of(bouts: Sequence[Bout]) -> list[Span]:
    """Return (start, end) of each, in seconds."""
    return [(bout.start_seconds, bout.end_seconds) for bout in bouts]


def seen(bouts: Sequence[Bout], last: float = inf) -> list[Span]:
    """Return the time that bouts say something of: of a point event what training takes for it.

    Args:
        bouts: any.
        last: end of the video, s; no moment of a point event is later.
    """
    half = POINT_SECONDS / 2
    points = [(b.start_seconds, min(b.end_seconds + half, last)) for b in bouts if b.is_point]
    return [
        *spans_of([bout for bout in bouts if not bout.is_point]),
        *((max(at - half, 0.0), max(at, end)) for at, end in points),
    ]


@dataclass(frozen=True, slots=True)
class VideoLabels:
    """What people say of a video.

    Attributes:
        bouts: in any order.
        nothing: (start, end) in seconds, watched and without a bout.
        whole: all of the video was watched: where there is no bout there is nothing.
    """

    bouts: tuple[Bout, ...] = ()
    nothing: tuple[Span, ...] = ()
    whole: bool = False

    @classmethod
    def of(cls, recording: Recording) -> Self:
        """Return what a recording says."""
        if recording.watched is None:
            return cls(recording.bouts, (), True)
        return cls(recording.bouts, without(recording.watched, spans_of(recording.bouts)))

    def __bool__(self) -> bool:
        return bool(self.bouts or self.nothing or self.whole)

    def watched(self, last: float | None = None) -> tuple[Span, ...] | None:
        """Return what was watched, of a video that ends there (None: unknown); None: all of it."""
        if self.whole:
            return None
        return joined([*seen(self.bouts, inf if last is None else last), *self.nothing])

    @property
    def version(self) -> str:
        """Tells states of a video's labels apart."""
        bouts = sorted(set(self.bouts), key=lambda bout: bout.order)
        said = repr((bouts, without(self.nothing, spans_of(self.bouts)), self.whole))
        return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:16]
