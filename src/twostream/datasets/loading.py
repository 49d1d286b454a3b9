"""Which kind of data set lies in a place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twostream.datasets.dataset import OFFICIAL, Dataset
from twostream.datasets.labelled_recordings import labels_in, read_recordings
from twostream.datasets.listed_folders import read_listed_folder
from twostream.datasets.lists import Missing, read_list
from twostream.datasets.video_folders import ONE_VIDEO
from twostream.labels.look_alikes import look_alikes, spelt
from twostream.labels.stretch_ids import stored_id
from twostream.types import VIDEO_SUFFIXES, DataError

NAMED = 5  # of many sets of names, so many are named
READING = 8  # how data sets are read; a run that was begun with another number is not resumed


def load_dataset(root: Path | str, *, missing: Missing = "refuse") -> Dataset:
    """Recognise a data set and read which videos it has; `Dataset.kind` says what was found.

    A video is a file or a folder of numbered images (``frame_names``).
    Recognised are a folder of class folders (optionally inside train/, val/, test/), UCF-101 and
    HMDB-51 with their official lists, a CSV file with the header `path,label[,group][,split]`
    (`split1`, `split2`, ... where there are several splits; other common names of these columns
    too), and a plain list with a line `path label` for each video. A `clips.csv` inside a folder
    gives its groups and splits if it lists just the videos that lie there. Files of labels in time,
    and folders of them beside their videos, are data sets of labelled stretches.

    Args:
        root: a folder, or a CSV or list file.
        missing: what becomes of videos that a CSV or plain list names and that are not there:
            "refuse" raises an error that counts them, "leave out" does that and notes it, "keep"
            takes them for videos that cannot be read.

    Raises:
        DataError: nothing usable lies there; the sentence says what is wrong.
    """
    dataset = _recognised(Path(root), missing)
    return replace(dataset, notes=(*dataset.notes, *_on_names(dataset)))


def _on_names(dataset: Dataset) -> list[str]:
    """Say which classes and groups are several, and look like one."""
    # a recording without a group is called by its file, and two files are two
    groups = {v.group for v in dataset.videos if v.group and v.group != stored_id(v.video_id)}
    if dataset.kind in OFFICIAL:  # whose names and splits nobody mends
        groups = set()
    notes = []
    for what, names, then in (
        ("classes", dataset.classes, ""),
        ("groups", sorted(groups), ", and may stand on both sides of a split"),
    ):
        if alike := look_alikes(names):
            same = [" and ".join(map(spelt, each)) for each in alike[:NAMED]]
            more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
            notes.append(
                f"{what} that differ in capitals, spaces, hyphens, leading zeros or characters "
                f"that look alike are {what} of their own{then}: {', '.join(same)}{more}; where "
                "they are one, write them alike"
            )
    return notes


def _recognised(root: Path, missing: Missing) -> Dataset:
    if root.is_dir():
        if labels := labels_in(root):
            return read_recordings(labels, root, missing=missing)
        return read_listed_folder(root, missing=missing)
    if not root.exists():
        raise DataError(f"{root}: no such file or folder")
    if not root.is_file():  # a pipe or a device may have no end
        raise DataError(f"{root} is neither a folder nor a file: give a data set that lies on disk")
    if root.suffix.lower() in VIDEO_SUFFIXES:
        raise DataError(ONE_VIDEO.format(root))
    if labels := labels_in(root):
        return read_recordings(labels, root, missing=missing)
    return read_list(root, missing=missing)
