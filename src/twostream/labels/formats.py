"""The formats of label files by name, recognising one, reading and writing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol

from twostream import files
from twostream.foreign import is_foreign
from twostream.labels import (
    activitynet,
    audacity,
    boris_aggregated,
    boris_project,
    boris_tabular,
    create_ml,
    csv_table,
    cvat,
    elan,
    feral,
    frame_table,
    label_studio,
    srt,
    via,
    vtt,
)
from twostream.labels.holds import Holds, file_stems, kept, lost
from twostream.labels.label_text import text_start
from twostream.labels.recordings import Labels, used_classes
from twostream.types import VIDEO_SUFFIXES, DataError, UsageError

logger = logging.getLogger(__name__)


class Format(Protocol):
    """What a module of a format has."""

    @property
    def HOLDS(self) -> Holds:  # noqa: N802
        """What it can hold."""

    def recognised(self, path: Path, start: str) -> bool:
        """Tell whether a file is of this format, by its name and its first 4,096 characters."""

    def read(self, path: Path, *, fps: float | None = None) -> Labels:
        """Read a file; ``fps`` where it counts frames and does not say how many a second has.

        Raises:
            DataError: it is of another format.
        """

    def text(self, labels: Labels, suffix: str) -> str | bytes:
        """Return a file's text, for a name of this suffix; of one recording unless ``several``.

        Labels are those that the format holds, see ``kept``.
        """


FORMATS: dict[str, Format] = {
    "csv": csv_table,
    "boris": boris_project,
    "boris-tabular": boris_tabular,
    "boris-aggregated": boris_aggregated,
    "elan": elan,
    "via": via,
    "cvat": cvat,
    "label-studio": label_studio,
    "activitynet": activitynet,
    "create-ml": create_ml,
    "frames": frame_table,
    "feral": feral,
    "srt": srt,
    "vtt": vtt,
    "audacity": audacity,
}
_OWN = "csv"  # of several formats that write one suffix
_UNCLEAR = (".json", ".xml")  # suffixes of anything


def format_named(name: str) -> Format:
    """Return a format by its name; raises a UsageError that lists the known ones."""
    if name not in FORMATS:
        raise UsageError(f"no format {name!r}: use one of {', '.join(FORMATS)}")
    return FORMATS[name]


def is_label_file(path: Path) -> bool:
    """Tell whether a file is of any of the formats, by what stands in it."""
    try:
        return bool(_claims(path))
    except DataError:
        return False


def _claims(path: Path) -> list[str]:
    """Return the formats that take a file for one of theirs."""
    start = text_start(path)
    return [name for name, each in FORMATS.items() if each.recognised(path, start)]


def recognise(path: Path) -> str:
    """Return the name of a file's format.

    Raises:
        DataError: it cannot be read, is of none, or of several.
    """
    claims = _claims(path)
    if len(claims) == 1:
        return claims[0]
    if claims:
        raise DataError(f"{path} may be {' or '.join(claims)}: say which with --from")
    raise DataError(
        f"{path} is no label file that is known ({', '.join(FORMATS)}): say which with --from, if "
        "it is one"
    )


def read_labels(path: Path, format: str | None = None, *, fps: float | None = None) -> Labels:
    """Read a label file, or all of a folder.

    Args:
        path: the file, or a folder, whose own files are read, videos and hidden ones not.
        format: its name in ``FORMATS``; None: it is recognised, and told in the log.
        fps: frames a second, for files that count frames and do not say it.

    Raises:
        DataError: it cannot be read, or is of no format or several; the sentence names the file.
        UsageError: no such format.
    """
    if path.is_dir():
        return _read_folder(path, format, fps)
    name = format or recognise(path)
    module = format_named(name)
    labels = module.read(path, fps=fps)
    _say(path, module.HOLDS.title)
    return labels


@cache
def _say(path: Path, title: str) -> None:
    """Say how a file is read: once, not for each of the folds that fusion learns from."""
    logger.info("%s is read as %s", path, title)


def _read_folder(folder: Path, format: str | None, fps: float | None) -> Labels:
    """Read the label files of a folder; where they name no video it is called as its file."""
    parts = []
    notes: list[str] = []
    for path in sorted(folder.iterdir(), key=lambda path: path.stem):
        if is_foreign(path.name) or path.suffix.lower() in VIDEO_SUFFIXES or path.is_dir():
            continue
        if format is None and not _claims(path):
            notes.append(f"{path} is no label file that is known: it is passed over")
            continue
        labels = read_labels(path, format, fps=fps)
        named = [replace(r, video=r.video or path.stem) for r in labels.recordings]
        parts.append(replace(labels, recordings=tuple(named)))
    if not parts:
        raise DataError(f"{folder} holds no label file: known are {', '.join(FORMATS)}")
    return joined_labels(folder, parts, notes)


def joined_labels(where: Path, parts: Sequence[Labels], notes: Sequence[str] = ()) -> Labels:
    """Return labels of several files as one; raises DataError where two are about one video."""
    recordings = [recording for part in parts for recording in part.recordings]
    counts = Counter(recording.video for recording in recordings)
    if twice := [video for video, count in counts.items() if count > 1]:
        raise DataError(f"{where}: two label files are about {twice[0]}: keep one")
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    if set(classes) == set(used_classes(recordings)) and len({p.classes for p in parts}) > 1:
        classes = used_classes(recordings)  # no file says an order
    points = frozenset().union(*(part.points for part in parts))
    said = tuple(note for part in parts for note in part.notes)
    return Labels(tuple(recordings), classes, points, (*notes, *said))


def suffix_of(path: Path, holds: Holds) -> str:
    """Return which suffix of a format a name has, which may have two points; "" for none."""
    name = path.name.lower()
    return next((suffix for suffix in holds.suffixes if name.endswith(suffix)), "")


def format_for(path: Path) -> str:
    """Return the format that a name's suffix asks for; raises a UsageError where it does not."""
    names = [name for name, each in FORMATS.items() if _asks_for(path, each.HOLDS)]
    if path.suffix.lower() not in _UNCLEAR and (len(names) == 1 or _OWN in names):
        return _OWN if _OWN in names else names[0]
    known = ", ".join(names or FORMATS)
    raise UsageError(f"{path} does not say which format it is to be: name one of {known}")


def _asks_for(path: Path, holds: Holds) -> bool:
    """Tell whether a name has a format's first suffix, or one of two parts, as nobody else has."""
    suffix = suffix_of(path, holds)
    return suffix == holds.suffixes[0] or suffix.count(".") > 1


def write_labels(labels: Labels, path: Path, format: str | None = None) -> tuple[str, ...]:
    """Write labels, each file whole or not at all.

    Args:
        labels: of one recording or several.
        path: the file; where the format holds one recording a file, and there are several, a
            folder, which is made, for a file each.
        format: its name in ``FORMATS``; None: as the name's suffix says.

    Returns:
        What the format cannot hold, a sentence each.

    Raises:
        DataError: the disk refuses, a folder is needed, or a frame rate is.
        UsageError: no such format, or the suffix does not say it.
    """
    module = format_named(format or format_for(path))
    holds = module.HOLDS
    if holds.times == "frames":
        for recording in labels.recordings:
            if recording.fps is None:
                raise DataError(
                    f"{recording.video or path}: {holds.title} counts frames, and how many a "
                    "second has is not known: say it with --fps"
                )
    told = lost(labels, holds)
    if holds.several or len(labels.recordings) == 1:
        suffix = suffix_of(path, holds) or holds.suffixes[0]
        _write(path, module.text(kept(labels, holds), suffix))
        return told
    if not labels.recordings:
        raise DataError(f"there is no recording, so {holds.title} has nothing to write")
    if path.is_file() or suffix_of(path, holds):
        raise DataError(
            f"{path} can hold one recording, and there are {len(labels.recordings)}: name a folder"
        )
    suffix = holds.suffixes[0]
    for stem, recording in zip(file_stems(labels), labels.recordings, strict=True):
        one = replace(labels, recordings=(recording,))
        _write(path / f"{stem}{suffix}", module.text(kept(one, holds), suffix))
    return told


def text_in_place(labels: Labels, path: Path, format: str) -> bytes:
    """Return what a file is to hold that has other labels than those that are read of it now.

    A BORIS project keeps what else is in it; the other formats have little else.

    Raises:
        DataError: it cannot be read.
    """
    module = FORMATS[format]
    suffix = suffix_of(path, module.HOLDS) or module.HOLDS.suffixes[0]
    if module is boris_project and path.is_file():
        return encoded(boris_project.text_with(path, labels, suffix))
    return encoded(module.text(kept(labels, module.HOLDS), suffix))


def encoded(text: str | bytes) -> bytes:
    """Return a format's text as it stands in a file."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")


def _write(path: Path, text: str | bytes) -> None:
    try:
        files.write_bytes(path, encoded(text))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
