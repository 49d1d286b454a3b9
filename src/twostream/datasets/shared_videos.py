"""Clips in more than one data set: trained on in one, they cannot be tested in another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from twostream.datasets.dataset import Dataset
from twostream.types import DataError, LabeledVideo, VideoError


def shared_videos(datasets: Sequence[Dataset]) -> Iterator[tuple[LabeledVideo, LabeledVideo]]:
    """Yield the pairs of videos of two data sets that are one file, or copies of one file.

    Only files of equal size are looked into (``video.fingerprint.source_hash``), so that large data
    sets which have nothing in common cost little more than their listing. A clip that was encoded
    anew is another file. Files that cannot be read are left to whoever reads them.
    """
    from twostream.video.fingerprint import source_hash

    owned = [(number, video) for number, data in enumerate(datasets) for video in data.videos]
    for rows in of_equal_size([video.path for _, video in owned]):
        if len({owned[row][0] for row in rows}) < 2:
            continue
        by_content = defaultdict(list)
        for row in rows:
            with suppress(VideoError):
                by_content[source_hash(owned[row][1].path)].append(owned[row])
        for same in by_content.values():
            for (first, video), (second, other) in combinations(same, 2):
                if first != second:
                    yield video, other


def of_equal_size(paths: Sequence[Path]) -> Iterator[list[int]]:
    """Yield which of the videos are of one size, two at least, and may so be copies.

    Empty ones, which are all alike, and those that cannot be asked are left out.
    """
    from twostream.video.fingerprint import size_on_disk

    by_size = defaultdict(list)
    for row, path in enumerate(paths):
        with suppress(VideoError):
            by_size[size_on_disk(path)].append(row)
    yield from (rows for size, rows in by_size.items() if size and len(rows) > 1)


def refuse_shared_videos(datasets: Sequence[Dataset]) -> None:
    """Raise a DataError that names the first video which two of the data sets share."""
    for video, other in shared_videos(datasets):
        copy = f" (there {other.path})" if other.path != video.path else ""
        raise DataError(
            f"the data sets share videos, the first is {video.path}{copy}: what helps to train "
            "must not be tested, so name another data set"
        )
