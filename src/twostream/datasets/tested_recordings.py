"""Which time of labelled recordings is tested, and what their labels say of it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from twostream.datasets.dataset import RECORDINGS, Dataset
from twostream.datasets.found_recordings import videos_of
from twostream.datasets.labelled_recordings import BLOCKS, GAP_SECONDS, labels_in
from twostream.datasets.time_spans import without
from twostream.labels import Labels
from twostream.labels.recordings import OTHER, Span, joined
from twostream.labels.stretch_ids import span_of, stored_id
from twostream.types import DataError, LabeledVideo

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordingsUnderTest:
    """What a time line of the recordings that are tested is compared with.

    Attributes:
        labels: their bouts; watched is the time that is tested; called by their video ids.
        videos: video id -> the file.
        seconds: video id -> its length, as far as is known before it is decoded.
    """

    labels: Labels
    videos: dict[str, Path]
    seconds: dict[str, float]


def recordings_under_test(
    dataset: Dataset, test: Sequence[LabeledVideo], labels: Labels | None = None
) -> RecordingsUnderTest:
    """Return the recordings that stretches are tested of, with what their label file says now.

    All that was watched of a recording is tested if none of its stretches is used otherwise. Where
    others train (one recording alone), the blocks of time are that have tested stretches, without
    the gaps. "Other" is no label, as in the training.

    Args:
        dataset: of recordings; its stretches tell which of them are used otherwise.
        test: the stretches that are tested.
        labels: what people say of them; None: what the label file says now.

    Raises:
        DataError: the labels or all their videos are gone.
    """
    labels = labels or labels_in(dataset.root)
    if labels is None:
        raise DataError(f"{dataset.root} has no labels in time any more: put them back")
    tested, chosen = defaultdict[str, list[float]](list), {video.video_id for video in test}
    for video in test:
        start, _ = span_of(video.video_id) or (0.0, 0.0)
        tested[stored_id(video.video_id)].append(start)
    mixed = {stored_id(v.video_id) for v in dataset.videos if v.video_id not in chosen}
    found = [e for e in videos_of(labels, dataset.root, "leave out")[0] if e.video_id in tested]
    recordings = []
    for each in found:
        old = each.recording
        watched = old.watched
        if each.video_id in mixed:
            blocks = _blocks(each.seconds, tested[each.video_id])
            every = ((0.0, each.seconds),) if watched is None else watched
            watched = without(every, without(every, blocks))
        bouts = tuple(bout for bout in old.bouts if bout.label != OTHER)
        recordings.append(replace(old, video=each.video_id, bouts=bouts, watched=watched))
    classes = tuple(label for label in labels.classes if label != OTHER)
    gone = sorted(tested.keys() - {each.video_id for each in found})
    notes = [f"not compared, the video or its labels are gone: {', '.join(gone)}"] if gone else []
    return RecordingsUnderTest(
        Labels(tuple(recordings), classes, labels.points - {OTHER}, (*labels.notes, *notes)),
        {each.video_id: each.path for each in found},
        {each.video_id: each.seconds for each in found},
    )


def known_alone(
    dataset: Dataset, test: Sequence[LabeledVideo], known: Sequence[str]
) -> tuple[Dataset, tuple[LabeledVideo, ...]]:
    """Leave out stretches of what is no label of its own, where a model has no class for it.

    Which labels are learnt together, and whether there is time without a label, is each data set's
    own: other recordings may have what a model's had not. Their bouts are compared all the same.

    Args:
        dataset: to test on.
        test: its stretches that are tested.
        known: classes of the model.

    Returns:
        Both without them, and without their classes.
    """
    strange = {
        number: name
        for number, name in enumerate(dataset.classes)
        if name not in known and (name in dataset.together or name == OTHER)
    }
    if dataset.kind != RECORDINGS or not strange:
        return dataset, tuple(test)
    logger.warning(
        f"the model has no class {', '.join(strange.values())}: "
        f"{sum(video.label in strange for video in test)} of {len(test)} stretches are not scored"
    )
    left = [number for number in range(len(dataset.classes)) if number not in strange]

    def kept(videos: Sequence[LabeledVideo]) -> tuple[LabeledVideo, ...]:
        return tuple(replace(v, label=left.index(v.label)) for v in videos if v.label in left)

    classes = tuple(dataset.classes[number] for number in left)
    return replace(dataset, classes=classes, videos=kept(dataset.videos), given=()), kept(test)


def _blocks(seconds: float, starts: Sequence[float]) -> tuple[Span, ...]:
    """Return the blocks of a recording in which stretches start, without the gaps.

    >>> _blocks(60.0, [3.0, 35.0])
    ((0.0, 9.0), (31.0, 39.0))
    """
    edges = np.linspace(0, seconds, BLOCKS + 1).tolist()
    gaps = [0.0, *[GAP_SECONDS / 2] * (BLOCKS - 1), 0.0]
    inside = [
        (a + g, b - h) for (a, b), (g, h) in zip(pairwise(edges), pairwise(gaps), strict=True)
    ]
    numbers = {sum(edge < start for edge in edges[1:-1]) for start in starts}
    return joined(inside[n] for n in numbers if inside[n][0] < inside[n][1])
