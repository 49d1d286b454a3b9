"""Windows that overlap, scored together: each frame and stack is looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from twostream.prediction.prediction import StreamScorer
from twostream.prediction.window import Window
from twostream.sampling import shared_indices
from twostream.types import Stream

TOGETHER_SECONDS = 4.0  # of video, whose looks are one batch: it waits in memory until then
MOST_TOGETHER = 8  # windows; more made no batch faster


class Looks:
    """The streams' scores of windows that slide over one stream of frames.

    A window's score is the mean over its frames or stacks, so that a look may count in several.

    Args:
        streams: stream -> its network.
        positions: about how many frames and stacks a window is scored on.
        every: frames from a window to the next.
    """

    def __init__(self, streams: Mapping[Stream, StreamScorer], positions: int, every: int) -> None:
        self._streams = streams
        self._positions = positions
        self._every = every
        self._known: dict[Stream, dict[int, NDArray[np.float32]]] = {name: {} for name in streams}

    def score(self, windows: Sequence[Window]) -> Iterator[dict[Stream, NDArray[np.float32]]]:
        """Yield stream -> (k,) softmax scores of each window.

        Args:
            windows: in order, after those of the calls before.
        """
        found = {name: self._rows(name, windows) for name in self._streams}
        for i in range(len(windows)):
            yield {name: rows[i] for name, rows in found.items()}

    def _rows(self, name: Stream, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        stream, known = self._streams[name], self._known[name]
        first = windows[0].first_frame
        for place in [place for place in known if place < first]:
            del known[place]
        places = [self._places(stream, window) for window in windows]
        wanted = {
            window.first_frame + place: (window.clip, place)
            for window, own in zip(windows, places, strict=True)
            for place in own
            if window.first_frame + place not in known
        }
        if wanted:
            known.update(zip(wanted, stream.looks(list(wanted.values())), strict=True))
        return [
            np.mean([known[window.first_frame + place] for place in own], axis=0)
            for window, own in zip(windows, places, strict=True)
        ]

    def _places(self, stream: StreamScorer, window: Window) -> list[int]:
        num = window.clip.num_positions(stream.spec.temporal)
        return shared_indices(num, self._positions, self._every)


def together(windows: Iterable[Window], every_seconds: float) -> Iterator[list[Window]]:
    """Yield the windows whose looks are scored at once."""
    iterator = iter(windows)
    count = num_together(every_seconds)
    while group := list(islice(iterator, count)):
        yield group


def num_together(every_seconds: float) -> int:
    """Return how many windows are scored at once.

    >>> num_together(0.2), num_together(0.5), num_together(2), num_together(30)
    (8, 8, 2, 1)
    """
    return max(1, min(MOST_TOGETHER, round(TOGETHER_SECONDS / every_seconds)))
