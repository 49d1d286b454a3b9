"""Where labels hold, and where those who labelled a recording say different things of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain, combinations
from typing import TypeVar

from twostream.datasets.time_spans import within, without
from twostream.labels import Bout, Labels, Recording
from twostream.labels.recordings import Span, joined

POINT_SECONDS = 1.0  # around a point event

Said = tuple[str, str]  # subject and label
Key = TypeVar("Key")


def label_spans(bouts: Iterable[Bout], seconds: float) -> dict[str, tuple[Span, ...]]:
    """Return label -> where it holds; a point event stands for ``POINT_SECONDS`` around it.

    Args:
        bouts: of a recording.
        seconds: length of its video, where all is cut off.
    """
    return _spans_of(((bout.label, bout) for bout in bouts), seconds)


def _spans_of(bouts: Iterable[tuple[Key, Bout]], seconds: float) -> dict[Key, tuple[Span, ...]]:
    found = defaultdict[Key, list[Span]](list)
    for key, bout in bouts:
        more = POINT_SECONDS / 2 if bout.is_point else 0.0
        start, end = bout.start_seconds - more, bout.end_seconds + more
        found[key].append((max(start, 0.0), end))
    return {key: within(spans, seconds) for key, spans in found.items()}


def shared_labels(labels: Labels) -> dict[tuple[str, str], frozenset[Said]]:
    """Return what two annotators both use, subject and label: each has an opinion of the same.

    Who has labels, or subjects, of his own (each a tier, say) adds to what the others say.
    """
    used = defaultdict[str, set[Said]](set)
    for recording in labels.recordings:
        for bout in recording.bouts:
            used[bout.annotator].add((bout.subject, bout.label))
    pairs = combinations(sorted(used), 2)
    return {(a, b): frozenset(used[a] & used[b]) for a, b in pairs if used[a] & used[b]}


def disputed(
    recording: Recording, shared: Mapping[tuple[str, str], frozenset[Said]], seconds: float
) -> tuple[Span, ...]:
    """Return when two annotators both say something, and not the same.

    Where one of them says nothing, nobody contradicts the other, who may have looked alone.

    Args:
        recording: its bouts.
        shared: of ``shared_labels``.
        seconds: length of its video.
    """
    found = list[Span]()
    for pair, common in shared.items():
        said = [((bout.subject, bout.label), bout) for bout in recording.bouts]
        mine, theirs = (
            _spans_of(
                (each for each in said if each[0] in common and each[1].annotator == who), seconds
            )
            for who in pair
        )
        either = mine.keys() | theirs.keys()
        apart = joined(
            span
            for name in either
            for one, other in ((mine, theirs), (theirs, mine))
            for span in without(one.get(name, ()), other.get(name, ()))
        )
        for own in (mine, theirs):  # what lies outside of one's bouts is not disputed
            apart = without(apart, without(apart, chain.from_iterable(own.values())))
        found += apart
    return joined(found)
