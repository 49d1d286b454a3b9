"""A folder of videos with its list, clips.csv, inside: the list brings groups and splits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from twostream.datasets.dataset import Dataset, GivenSplit
from twostream.datasets.lists import Missing, OddMarkError, read_list
from twostream.datasets.video_folders import read_folder, unused_table
from twostream.types import DataError, LabeledVideo

LIST_NAME = "clips.csv"


def read_listed_folder(root: Path, *, missing: Missing = "refuse") -> Dataset:
    """Read a folder, and the groups and splits of the clips.csv in it.

    Videos, ids and classes are the folder's. The list counts only if it describes the folder: just
    these videos, labelled as their folders are called. Otherwise the folder is read as if the list
    were not there, and a note says why. Where the folder alone is no data set (videos without
    class folders), the list is the data set.

    Args:
        root: the folder.
        missing: see ``load_dataset``.

    Raises:
        DataError: no class folder, or one class only, and no list either; or a list whose split
            has a word in it that is neither train, val nor test.
    """
    file = root / LIST_NAME
    if not file.is_file():
        return read_folder(root)
    try:
        folder = read_folder(root)
    except DataError as of_folder:
        return _list_alone(file, of_folder, missing)
    notes = tuple(note for note in folder.notes if note != unused_table(LIST_NAME))
    try:
        listed = read_list(file, missing=missing)
    except OddMarkError:
        raise  # its split is meant, and another must not take its place
    except DataError as error:
        said = unused_table(LIST_NAME, f"it is no list of its videos ({error})")
        return replace(folder, notes=(*notes, said))
    if why := _not_described(folder, listed):
        return replace(folder, notes=(*notes, unused_table(LIST_NAME, why)))
    return _joined(replace(folder, notes=notes), listed)


def _list_alone(file: Path, of_folder: DataError, missing: Missing) -> Dataset:
    """Read the list of a folder that is no data set without it."""
    try:
        listed = read_list(file, missing=missing)
    except DataError as of_list:
        raise DataError(f"{of_folder}; {LIST_NAME} does not help: {of_list}") from of_list
    return replace(listed, list_name=LIST_NAME)


def _not_described(folder: Dataset, listed: Dataset) -> str:
    """Return why a list does not describe the folder; "" if it does."""
    here, there = _by_path(folder), _by_path(listed)
    if extra := [video for path, video in there.items() if path not in here]:
        return (
            f"{len(extra)} of its videos are in no class folder here, "
            f"the first is {extra[0].video_id}"
        )
    if left_out := [video for path, video in here.items() if path not in there]:
        return (
            f"it lists {len(there)} of the {len(here)} videos here, "
            f"the first that it lacks is {left_out[0].video_id}"
        )
    labels = {
        path: (folder.classes[video.label], listed.classes[there[path].label])
        for path, video in here.items()
    }
    if other := [path for path, (own, said) in labels.items() if own != said]:
        return (
            f"it labels {len(other)} videos otherwise than their folders, the first is "
            f"{here[other[0]].video_id} as {labels[other[0]][1]}"
        )
    return ""


def _joined(folder: Dataset, listed: Dataset) -> Dataset:
    """Give the folder's videos the list's groups, and the folder the list's splits, if any."""
    there = _by_path(listed)
    own = {
        path: replace(video, group=there[path].group) for path, video in _by_path(folder).items()
    }
    given = tuple(_of_folder(split, own) for split in listed.given)
    before = tuple(_of_folder(split, own) for split in folder.given)
    notes = [*folder.notes, *listed.notes]
    if not given or _sides(given) == _sides(before):
        given = before
    elif before:
        notes.append(f"the splits are those of {LIST_NAME}: the folder's own are others")
    return replace(
        folder,
        videos=tuple(own.values()),
        given=given,
        notes=tuple(notes),
        ignored=max(0, folder.ignored - 1),
        list_name=LIST_NAME,
    )


def _of_folder(split: GivenSplit, own: Mapping[str, LabeledVideo]) -> GivenSplit:
    """Return a split with the folder's own videos in place of the list's."""
    train = tuple(own[_key(video)] for video in split.train)
    return replace(split, train=train, test=tuple(own[_key(video)] for video in split.test))


def _sides(given: tuple[GivenSplit, ...]) -> list[tuple[int, set[LabeledVideo], set[LabeledVideo]]]:
    """Return who stands on which side, whatever the order."""
    return [(split.number, set(split.train), set(split.test)) for split in given]


def _by_path(dataset: Dataset) -> dict[str, LabeledVideo]:
    return {_key(video): video for video in dataset.videos}


def _key(video: LabeledVideo) -> str:
    return os.path.normpath(video.path)
