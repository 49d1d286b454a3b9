"""How long the bouts of the training recordings last, for time lines."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from twostream.bout_model import learn, read_bouts, write_bouts
from twostream.labels.recordings import joined
from twostream.labels.stretch_ids import span_of, stored_id
from twostream.types import DatasetSplit, LabeledVideo

logger = logging.getLogger(__name__)

_TOUCHING_SECONDS = 0.0015  # ids of pieces are rounded to milliseconds


def learn_bouts(run: Path, split: DatasetSplit, together: Mapping[str, tuple[str, ...]]) -> None:
    """Write RUN/bouts.json from the training side's labelled stretches, where it is not there."""
    if read_bouts(run) is None:
        model = learn(split.classes, labelled_bouts(split.train, split.classes), together)
        write_bouts(run, model)
        logger.info(model.in_words())


def labelled_bouts(
    pieces: Sequence[LabeledVideo], classes: Sequence[str]
) -> list[tuple[str, float]]:
    """Return (class, seconds) of each bout: neighbouring pieces of one class are one.

    Args:
        pieces: labelled stretches of recordings.
        classes: k names.
    """
    spans = defaultdict[tuple[str, int], list[tuple[float, float]]](list)
    for piece in pieces:
        if (span := span_of(piece.video_id)) is not None:
            start, end = span
            spans[stored_id(piece.video_id), piece.label].append((start, end + _TOUCHING_SECONDS))
    return [
        (classes[label], end - start - _TOUCHING_SECONDS)
        for (_, label), of_class in spans.items()
        for start, end in joined(of_class)
    ]
