"""Folders of labelled images, as ILSVRC-2012 has them, for pre-training; nothing is decoded."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream.datasets.side_folders import meant_as_sides
from twostream.foreign import is_foreign
from twostream.types import DataError, UsageError

_SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VAL_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class LabeledImages:
    """Images with their labels.

    Names and labels are arrays: a million path objects would be copied into every loader process.

    Attributes:
        root: folder that the names are relative to.
        names: (n,) bytes, as the file system has them.
        labels: (n,) int64, indices into the classes.
    """

    root: Path
    names: NDArray[np.bytes_]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, row: int) -> str:
        """Return the path below the root."""
        return os.fsdecode(bytes(self.names[row]))

    def path(self, row: int) -> Path:
        """Return where an image lies."""
        return self.root / self.name(row)

    def select(self, rows: Sequence[int] | NDArray[np.integer]) -> LabeledImages:
        """Return some of the images, in this order."""
        chosen = np.asarray(rows, np.int64)
        return LabeledImages(self.root, self.names[chosen], self.labels[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class ImageSplit:
    """Training and validation images.

    Attributes:
        dataset: name of the data, for people.
        name: how it was split.
        classes: class names (folders) in label order.
        notes: sentences a user should read.
    """

    dataset: str
    name: str
    classes: tuple[str, ...]
    train: LabeledImages
    val: LabeledImages
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return one sentence for people."""
        return (
            f"{self.dataset}: {len(self.classes)} classes, {len(self.train)} images to train and "
            f"{len(self.val)} to validate ({self.name})"
        )

    def checksum(self) -> int:
        """Return a number that changes where a name, a label or a side changes."""
        checksum = 0
        for side in (self.train, self.val):
            for part in (str(len(side)).encode(), b"\0".join(side.names), side.labels.tobytes()):
                checksum = zlib.crc32(part, checksum)
        return checksum


def load_images(root: Path, *, val_share: float | None = None, seed: int = 0) -> ImageSplit:
    """Read a folder of image classes.

    ``root/train/<class>/...`` with ``root/val/<class>/...`` (ILSVRC-2012's layout, sorted) is taken
    as it is. From ``root/<class>/...`` (or ``root/train/<class>/...`` alone) a share of every class
    is held out, at least one image, drawn by the seed.

    Args:
        root: the folder; everything below a class folder belongs to the class.
        val_share: share of each class to hold out, 0..1; None: 0.1 where the data have no val.
        seed: draws the held-out images.

    Raises:
        DataError: no such folder, fewer than two classes, or train and val do not go together.
        UsageError: a share out of range, or one for data that have their own val.
    """
    if not root.is_dir():
        raise DataError(f"no such folder of images: {root}")
    if val_share is not None and not 0 < val_share < 1:
        raise UsageError(f"--val-share lies between 0 and 1, got {val_share}")
    inner = {path.name for path in root.iterdir() if path.is_dir() and not is_foreign(path.name)}
    if {"train", "val"} <= inner:
        if val_share is not None:
            raise UsageError(f"{root} has its own val folder: drop --val-share")
        return _given_split(root)
    folder = root / "train" if inner == {"train"} else root
    classes, images, notes = _read_side(folder)
    said, certain = meant_as_sides(
        folder, {name: _class_folders(folder / name) for name in classes}, calls="train and val"
    )
    if certain:
        raise DataError(said)
    notes += [said] if said else []
    share = VAL_SHARE if val_share is None else val_share
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    held: list[int] = []
    for label in range(len(classes)):
        rows = np.flatnonzero(images.labels == label)
        count = min(len(rows) - 1, max(1, round(share * len(rows))))
        held += rng.permutation(rows)[:count].tolist()
    if not held:
        raise DataError(f"no class in {folder} has two images, so none is left for validation")
    rest = np.setdiff1d(np.arange(len(images)), held)
    alone = len(classes) - len(set(images.labels[held].tolist()))
    if alone:
        notes.append(f"{alone} classes have one image only and are not validated")
    name = f"{share:g} of each class held out, seed {seed}"
    train, val = images.select(rest), images.select(sorted(held))
    return ImageSplit(root.resolve().name, name, classes, train, val, tuple(notes))


def _class_folders(folder: Path) -> set[str]:
    """Return the names of the folders in a folder; none where images lie in it directly."""
    here = [each for each in os.scandir(folder) if not is_foreign(each.name)]
    if any(each.name.lower().endswith(_SUFFIXES) for each in here):
        return set()
    return {each.name for each in here if each.is_dir()}


def _given_split(root: Path) -> ImageSplit:
    classes, train, notes = _read_side(root / "train")
    val_classes, val, val_notes = _read_side(root / "val")
    unknown = sorted(set(val_classes) - set(classes))
    if unknown:
        raise DataError(
            f"{root / 'val'} has {len(unknown)} classes that {root / 'train'} lacks: "
            f"{', '.join(unknown[:5])}; both need the same folders"
        )
    lacking = len(classes) - len(val_classes)
    if lacking:
        val_notes.append(f"{lacking} classes have no image in {root / 'val'}")
    numbers = np.array([classes.index(name) for name in val_classes], np.int64)
    val = LabeledImages(val.root, val.names, numbers[val.labels])
    name = "its train and val folders"
    return ImageSplit(root.resolve().name, name, classes, train, val, (*notes, *val_notes))


def _read_side(folder: Path) -> tuple[tuple[str, ...], LabeledImages, list[str]]:
    """Read ``folder/<class>/**/<image>``: class names, images, and what was left out."""
    classes: list[str] = []
    names: list[bytes] = []
    labels: list[int] = []
    empty: list[str] = []
    loose = 0
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or (entry.is_dir() and is_foreign(entry.name)):
            continue
        if not entry.is_dir():
            loose += entry.suffix.lower() in _SUFFIXES
            continue
        found = [
            os.fsencode(os.path.relpath(os.path.join(place, name), folder))
            for place, folders, files in os.walk(entry, followlinks=True)
            for name in _own(folders, files)
            if name.lower().endswith(_SUFFIXES) and not name.startswith(".")
        ]
        if not found:
            empty.append(entry.name)
            continue
        names += sorted(found)
        labels += [len(classes)] * len(found)
        classes.append(entry.name)
    if len(classes) < 2:
        raise DataError(
            f"{folder} holds {len(classes)} class folders with images and {loose} images beside "
            "them, expected at least two classes: sort the images into one folder a class (for "
            "ILSVRC's val see docs/data.md)"
        )
    notes = []
    if empty:
        notes.append(f"{len(empty)} folders in {folder} hold no image: {', '.join(empty[:5])}")
    if loose:
        notes.append(f"{loose} images in {folder} lie in no class folder and are left out")
    images = LabeledImages(folder, np.array(names), np.array(labels, np.int64))
    return tuple(classes), images, notes


def _own(folders: list[str], files: list[str]) -> list[str]:
    """Return the files of a folder that is walked, and keep the walk out of a system's folders."""
    folders[:] = [name for name in folders if not is_foreign(name)]
    return files
