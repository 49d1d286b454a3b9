"""How long the bouts of the training recordings last, for time lines."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from twostream.bout_model import BoutModel, learn, read_bouts, write_bouts
from twostream.datasets import Dataset, labels_in
from twostream.datasets.found_recordings import videos_of
from twostream.datasets.labelled_recordings import stretches_of
from twostream.labels.recordings import Span, joined
from twostream.labels.stretch_ids import span_of, stored_id
from twostream.run.bout_evidence import HeldOut, chosen_evidence
from twostream.types import DatasetSplit, LabeledVideo, RunError

logger = logging.getLogger(__name__)

_TOUCHING_SECONDS = 0.0015  # ids of pieces are rounded to milliseconds


def learn_bouts(
    run: Path,
    split: DatasetSplit,
    dataset: Dataset,
    held_out: Callable[[BoutModel], Sequence[HeldOut]] = lambda _: (),
) -> None:
    """Write RUN/bouts.json from the training side's labelled stretches, where none can be read.

    Args:
        run: the folder.
        split, dataset: whose training side it is.
        held_out: gives time lines of recordings by networks that had not seen them, made with such
            a model, to choose by how much scores count.
    """
    try:
        known = read_bouts(run)
    except RunError as error:
        logger.warning(f"it is written again: {error}")
        known = None
    if known is None:
        bouts = _whole_bouts(dataset, split.train) or labelled_bouts(split.train, split.classes)
        model = learn(split.classes, bouts, dataset.together, dataset.points)
        logger.info(model.in_words())
        if folds := held_out(model):
            model = chosen_evidence(model, folds)
        write_bouts(run, model)


def _whole_bouts(
    dataset: Dataset, pieces: Sequence[LabeledVideo]
) -> list[tuple[str, float]] | None:
    """Return (class, seconds) of each bout that pieces are of; None where they show it themselves.

    Of a recording that stands alone they do not: the gaps between its blocks of time cut them.
    """
    groups = defaultdict[str, set[str | None]](set)
    for video in dataset.videos:
        groups[stored_id(video.video_id)].add(video.group)
    labels = labels_in(dataset.root) if any(len(own) > 1 for own in groups.values()) else None
    if labels is None:
        return None
    names = {frozenset([name]): name for name in dataset.classes if name not in dataset.together}
    names |= {frozenset(of): name for name, of in dataset.together.items()}
    seen = _bouts(pieces)
    return [
        (name, end - start)
        for each in videos_of(labels, dataset.root, "leave out")[0]
        for of, spans in stretches_of(each.recording, each.seconds).items()
        if (name := names.get(of)) is not None
        for start, end in spans
        if any(
            first < end and start < last
            for first, last in seen.get((each.video_id, dataset.classes.index(name)), ())
        )
    ]


def count_bouts(clips: Sequence[LabeledVideo]) -> int:
    """Count clips, the pieces of a labelled bout as one: what epochs are counted in.

    Pieces of one bout resemble each other: an hour of sleep teaches hardly more than a minute.
    """
    trimmed = sum(span_of(clip.video_id) is None for clip in clips)
    return trimmed + sum(map(len, _bouts(clips).values()))


def labelled_bouts(
    pieces: Sequence[LabeledVideo], classes: Sequence[str]
) -> list[tuple[str, float]]:
    """Return (class, seconds) of each bout: neighbouring pieces of one class are one.

    Args:
        pieces: labelled stretches of recordings.
        classes: k names.
    """
    return [
        (classes[label], end - start - _TOUCHING_SECONDS)
        for (_, label), of_class in _bouts(pieces).items()
        for start, end in of_class
    ]


def _bouts(pieces: Sequence[LabeledVideo]) -> dict[tuple[str, int], tuple[Span, ...]]:
    """Return (recording, class) -> its bouts, each a little longer than it is."""
    spans = defaultdict[tuple[str, int], list[Span]](list)
    for piece in pieces:
        if (span := span_of(piece.video_id)) is not None:
            start, end = span
            spans[stored_id(piece.video_id), piece.label].append((start, end + _TOUCHING_SECONDS))
    return {of: joined(found) for of, found in spans.items()}
