"""Which bouts of two label files are compared: whose, and which recording is which."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

from twostream.labels import Labels, Recording
from twostream.types import VIDEO_SUFFIXES, DataError

_NAMED = 5  # that a sentence lists


def pair_recordings(
    true: Labels, predicted: Labels
) -> tuple[tuple[tuple[Recording, Recording], ...], tuple[str, ...]]:
    """Pair the recordings of two files that are of the same video.

    Videos are the same if their files are called the same, without folder and suffix; where that
    does not tell the videos of one file apart, as many folders count as do, and at last the suffix.
    A file with one recording may name no video: it is paired with the only one of the other.

    Returns:
        The pairs in the order of ``true``, and sentences on what has no partner.

    Raises:
        DataError: no two are of the same video, or names do not tell them apart.
    """
    ours, theirs = true.recordings, predicted.recordings
    if len(ours) == len(theirs) == 1 and not (ours[0].video and theirs[0].video):
        return ((ours[0], theirs[0]),), ()
    key = _telling_key(ours, theirs)
    partner = {key(recording.video): recording for recording in theirs}
    pairs = tuple((each, partner[k]) for each in ours if (k := key(each.video)) in partner)
    if not pairs:
        raise DataError(
            "the two label files have no video in common: TRUE names "
            f"{listed([each.video for each in ours])}, PREDICTED names "
            f"{listed([each.video for each in theirs])}; videos are matched by the names of their "
            "files, without folder and suffix: rename them in one of the two"
        )
    paired = {key(each.video) for each, _ in pairs}
    notes = []
    for side, recordings in (("TRUE", ours), ("PREDICTED", theirs)):
        alone = [each.video for each in recordings if key(each.video) not in paired]
        if alone:
            count = f"{len(alone)} recording{'s' * (len(alone) > 1)}"
            notes.append(f"not compared, in {side} alone: {count}, {listed(alone)}")
    return pairs, (*notes, *_elsewhere(pairs))


def _elsewhere(pairs: Sequence[tuple[Recording, Recording]]) -> list[str]:
    """Say so where videos that are taken for one lie in folders that are called differently."""
    for ours, theirs in pairs:
        folders = [PurePosixPath(_plain(each.video)).parent.name for each in (ours, theirs)]
        if all(folders) and folders[0] != folders[1]:
            name = PurePosixPath(_plain(ours.video)).name
            return [
                f"videos are matched by the names of their files: {name} lies in {folders[0]} in "
                f"TRUE and in {folders[1]} in PREDICTED"
            ]
    return []


def of_one(
    labels: Labels, side: str, *, annotator: str | None = None, subject: str | None = None
) -> Labels:
    """Return the bouts of one annotator or subject.

    Recordings without a bout of that annotator are left out: whether they looked is not known.

    Raises:
        DataError: there is no such bout; ``side`` is the file's name in the sentence.
    """
    recordings = labels.recordings
    for what, wanted in (("annotator", annotator), ("subject", subject)):
        if wanted is None:
            continue
        known = {getattr(bout, what) for each in recordings for bout in each.bouts}
        if wanted not in known:
            named = listed(sorted(known - {""}))
            raise DataError(f"{side} has no bout of the {what} {wanted}; it has {named}")
        recordings = tuple(
            replace(each, bouts=tuple(b for b in each.bouts if getattr(b, what) == wanted))
            for each in recordings
        )
        if what == "annotator":
            recordings = tuple(each for each in recordings if each.bouts)
    return replace(labels, recordings=recordings)


def _telling_key(*files: Sequence[Recording]) -> Callable[[str], str]:
    """Return the shortest part of a video's name that tells the recordings of each file apart."""
    names = [[_plain(recording.video) for recording in each] for each in files]
    deepest = max((len(PurePosixPath(name).parts) for each in names for name in each), default=1)
    keys: list[Callable[[str], str]] = [_plain]
    keys[:0] = [partial(_tail, parts=parts) for parts in range(1, deepest + 1)]
    for key in keys:
        if all(len({key(name) for name in each}) == len(each) for each in names):
            return key
    again = next(name for each in names for name in each if each.count(name) > 1)
    raise DataError(
        f"a label file has two recordings of {again or 'a video without a name'}: "
        "which one is meant cannot be told; give their videos different names"
    )


def _plain(video: str) -> str:
    name = unicodedata.normalize("NFC", video.strip().replace("\\", "/"))
    return posixpath.normpath(name) if name else name  # ./a.mp4 is a.mp4


def _tail(video: str, parts: int) -> str:
    """Return the last parts of a path without the suffix of a video.

    >>> _tail("data/day1/cage.2.MP4", 2)
    'day1/cage.2'
    """
    path = PurePosixPath(_plain(video))
    if path.suffix.lower() in VIDEO_SUFFIXES:
        path = path.with_suffix("")
    return "/".join(path.parts[-parts:])


def listed(names: Sequence[str]) -> str:
    """Name some, and say how many more there are."""
    shown = [name or "(no name)" for name in names[:_NAMED]]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shown) + more if shown else "none"
