"""Windows that overlap, scored together: each frame and stack is looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
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
        seen, places = set(known), list[list[int]]()
        for window in windows:
            places.append(self._places(stream, window, seen))
            seen.update(places[-1])
        wanted = {
            place: (window.clip, place - window.first_frame)
            for window, own in zip(windows, places, strict=True)
            for place in own
            if place not in known
        }
        if wanted:
            known.update(zip(wanted, stream.looks(list(wanted.values())), strict=True))
        return [np.mean([known[place] for place in own], axis=0) for own in places]

    def _places(self, stream: StreamScorer, window: Window, seen: Set[int]) -> list[int]:
        """Return where a window is looked at, by numbers of the stream's frames.

        Where windows before it were left out, as a watch does that is behind, their looks are not
        made up for, nor is the last window of all, which may come sooner, looked at anew. The first
        one, whose looks are all new, is content with the positions that are asked for.
        """
        first, num = window.first_frame, window.clip.num_positions(stream.spec.temporal)
        places = [first + each for each in shared_indices(num, self._positions, self._every)]
        new = [place for place in places if place not in seen]
        fresh = sum(place > places[-1] - self._every for place in places)
        inside = {place for place in seen if first <= place <= places[-1]}
        if not inside:
            apart = max(1, round(len(places) / self._positions))
            return places[::-apart][::-1]
        return sorted({*inside, *new[-fresh:]}) if len(new) > fresh else places


def together(windows: Iterable[Window], every_seconds: float) -> Iterator[list[Window]]:
    """Yield the windows whose looks are scored at once."""
    iterator = iter(windows)
    count = num_together(every_seconds)
    while group := list(islice(iterator, count)):
        yield group


def num_together(every_seconds: float) -> int:
    """Return how many windows are scored at once.

    >>> num_together(1e-320), num_together(0.5), num_together(2), num_together(30)
    (8, 8, 2, 1)
    """
    return max(1, round(min(MOST_TOGETHER, TOGETHER_SECONDS / every_seconds)))
