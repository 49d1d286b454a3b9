"""Where two label files say different things, stretch by stretch, and what is taken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twostream.judging.stretches import Compared, Stretch
from twostream.judging.time_measures import NO_LABEL, pieces, state_of


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch of time in which two files differ throughout, as long as it lasts.

    Attributes:
        recording: index of the recording.
        start_seconds, end_seconds: where it lies.
        states: what holds in the true file and in the predicted one, and for how many seconds of
            the stretch; a label, labels together ("a + b"), or ``NO_LABEL``. Longest first.
    """

    recording: int
    start_seconds: float
    end_seconds: float
    states: tuple[tuple[str, str, float], ...]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds


def differences(sides: Compared) -> tuple[Difference, ...]:
    """Return where both files differ, in the order of recordings and time; points do not count."""
    return tuple(each for stretch in sides.stretches for each in _in(stretch, sides.classes))


def seconds_of_states(sides: Compared) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return what holds at a time, in either file, and for how long what with what.

    Unlike ``Agreement.confusion`` also where labels overlap: those that hold at once are a state.

    Returns:
        States, labels in the order of the classes, ``NO_LABEL``, then labels together; and (s, s)
        seconds of the true state and the predicted one.
    """
    cells = Counter[tuple[str, str]]()
    for stretch in sides.stretches:
        seconds, (true, predicted) = pieces(stretch, sides.classes)
        for length, *rows in zip(seconds.tolist(), true, predicted, strict=True):
            ours, theirs = (state_of(row, sides.classes) for row in rows)
            cells[ours, theirs] += length
    found = {state for pair in cells for state in pair}
    states = [state for state in (*sides.classes, NO_LABEL) if state in found]
    states += sorted(found - set(states))
    lasting = [[cells[true, predicted] for predicted in states] for true in states]
    return tuple(states), np.array(lasting, float)


def _in(stretch: Stretch, classes: tuple[str, ...]) -> Iterator[Difference]:
    seconds, (true, predicted) = pieces(stretch, classes)
    ends = stretch.start_seconds + np.cumsum(seconds)
    apart = (true != predicted).any(axis=1)
    first = 0
    while first < len(apart):
        after = first + 1
        while after < len(apart) and apart[after] == apart[first]:
            after += 1
        if apart[first]:
            lasting = dict[tuple[str, str], float]()
            for i in range(first, after):
                states = (state_of(true[i], classes), state_of(predicted[i], classes))
                lasting[states] = lasting.get(states, 0.0) + float(seconds[i])
            longest = sorted(lasting.items(), key=lambda item: -item[1])
            yield Difference(
                stretch.recording,
                float(ends[first] - seconds[first]),
                float(ends[after - 1]),
                tuple((*states, length) for states, length in longest),
            )
        first = after
