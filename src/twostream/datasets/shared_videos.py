"""Clips in more than one data set: trained on in one, they cannot be tested in another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from twostream.datasets.dataset import Dataset
from twostream.types import DataError, LabeledVideo, VideoError


def shared_videos(datasets: Sequence[Dataset]) -> Iterator[tuple[LabeledVideo, LabeledVideo]]:
    """Yield the pairs of videos of two data sets that are one file, or copies of one file.

    Only files of equal size are looked into (``video.fingerprint.source_hash``), so that large data
    sets which have nothing in common cost little more than their listing. A clip that was encoded
    anew is another file. Files that cannot be read are left to whoever reads them.
    """
    from twostream.video.fingerprint import source_hash

    by_size = defaultdict(list)
    for number, dataset in enumerate(datasets):
        for video in dataset.videos:
            try:
                size = video.path.stat().st_size
            except OSError:
                continue
            if size:  # empty files are no videos, and all alike
                by_size[size].append((number, video))
    for alike in by_size.values():
        if len({number for number, _ in alike}) < 2:
            continue
        by_content = defaultdict(list)
        for number, video in alike:
            try:
                by_content[source_hash(video.path)].append((number, video))
            except VideoError:
                continue
        for same in by_content.values():
            for (first, video), (second, other) in combinations(same, 2):
                if first != second:
                    yield video, other


def refuse_shared_videos(datasets: Sequence[Dataset]) -> None:
    """Raise a DataError that names the first video which two of the data sets share."""
    for video, other in shared_videos(datasets):
        copy = f" (there {other.path})" if other.path != video.path else ""
        raise DataError(
            f"the data sets share videos, the first is {video.path}{copy}: what helps to train "
            "must not be tested, so name another data set"
        )
