"""The label files of a folder of videos, changed one video at a time and never half.

A video's labels stay in the file that has them, in its format, as long as that can hold them; else
they move to FOLDER/labels.csv, where those of videos without any begin. A file of other people's is
copied, as .NAME.original beside it, before it is changed (``Originals``).
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twostream.files import write_bytes
from twostream.foreign import is_foreign
from twostream.labels import FORMATS, Holds, Labels, Recording
from twostream.labels.formats import is_label_file, recognise, text_in_place
from twostream.labels.listed_files import ListedFiles
from twostream.labels.originals import Originals
from twostream.labels.recordings import OTHER, one_line
from twostream.locks import locked
from twostream.types import VIDEO_SUFFIXES, DataError, TwoStreamError
from twostream.web.label_changes import (
    holds_all,
    renamed,
    with_points,
    with_recording,
)
from twostream.web.video_labels import VideoLabels

OWN_NAME, OWN_FORMAT = "labels.csv", "csv"
PATIENCE_SECONDS = 5.0  # with another server that saves


class ChangedError(TwoStreamError):
    """A video's labels are not those any more that a change was made to."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    format: str
    labels: Labels

    @property
    def holds(self) -> Holds:
        return FORMATS[self.format].HOLDS


class LabelStore:
    """Reads and changes the labels of a folder, for one thread at a time.

    Others may change the files too: they are looked at before each change.

    Args:
        folder: videos and label files, side by side, as ``twostream train FOLDER`` reads them.

    Raises:
        DataError: it holds no video, or some in folders of its own, or its label files cannot be
            used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int, int], _File | None]] = {}
        self._originals = Originals()
        try:
            folders = [each for each in folder.iterdir() if each.is_dir()]
        except OSError as error:
            raise DataError(f"--label {folder} cannot be read: {error.strerror}") from error
        for each in folders:
            below = (found.suffix.lower() for found in each.rglob("*"))
            if not is_foreign(each.name) and VIDEO_SUFFIXES.intersection(below):
                raise DataError(
                    f"--label {folder} has videos in {each.name}, which training takes for a "
                    "class: name a folder in which all videos lie side by side"
                )
        if not self.videos():
            known = ", ".join(sorted(VIDEO_SUFFIXES))
            raise DataError(f"--label {folder} holds no video, looked for {known}")
        self.classes()

    def videos(self) -> dict[str, Path]:
        """Return name -> file of the videos, in order."""
        found = [
            each
            for each in self.folder.iterdir()
            if each.suffix.lower() in VIDEO_SUFFIXES and not is_foreign(each.name)
        ]
        return {each.name: each for each in sorted(found) if each.is_file()}

    def classes(self) -> tuple[str, ...]:
        """Return the classes: in the order of labels.csv, then as the other files have them."""
        with self._lock:
            return self._classes(self._files())

    def notes(self) -> tuple[str, ...]:
        """Return what was odd in the label files."""
        with self._lock:
            return tuple(note for file in self._files() for note in file.labels.notes)

    def all(self) -> dict[str, tuple[VideoLabels, str]]:
        """Return video -> what is said of it, and the file that says so; "" for none."""
        with self._lock:
            places = self._places(self._files())
        found = {}
        for name in self.videos():
            place = places.get(name)
            if place is None:
                found[name] = (VideoLabels(), "")
            else:
                found[name] = (VideoLabels.of(place[1]), place[0].path.name)
        return found

    def save(self, name: str, version: str, labels: VideoLabels) -> tuple[VideoLabels, str]:
        """Replace the labels of a video; on disk, whole, before this returns.

        Args:
            name: of the video.
            version: of the labels that were changed.
            labels: the new ones.

        Returns:
            What stands in the file now, and its name: some formats round times.

        Raises:
            ChangedError: meanwhile they have been changed by others.
            DataError: a label is none of the classes, or the disk refuses.
        """
        with self._alone():
            files = self._files()
            place = self._places(files).get(name)
            now = VideoLabels() if place is None else VideoLabels.of(place[1])
            if now.version != version:
                raise ChangedError(f"{name} was labelled elsewhere meanwhile: look at it again")
            labels = replace(labels, bouts=with_points(labels.bouts, _points(files)))
            known = self._classes(files)
            if unknown := sorted({bout.label for bout in labels.bouts} - set(known)):
                raise DataError(f"{unknown[0]!r} is none of the classes: add it first")
            if labels.version != version:
                self._put(files, place, name, labels)
            after = self._places(self._files()).get(name)
        if after is None:
            return VideoLabels(), ""
        return VideoLabels.of(after[1]), after[0].path.name

    def add_class(self, label: str) -> None:
        """Add a class to labels.csv; raises DataError for a name that cannot be one."""
        label = _class_name(label)
        with self._alone():
            files = self._files()
            known = self._classes(files)
            if label not in known:
                own = self._own(files)
                self._write(own, replace(own.labels, classes=(*known, label)))

    def remove_class(self, label: str) -> None:
        """Remove a class that no bout has; raises DataError where one has it."""
        with self._alone():
            files = self._files()
            count = sum(
                b.label == label for f in files for r in f.labels.recordings for b in r.bouts
            )
            if count:
                raise DataError(f"{label!r} has {count} bouts: delete them first")
            for file in files:
                if label in file.labels.classes and file.holds.classes:
                    left = tuple(each for each in file.labels.classes if each != label)
                    points = file.labels.points - {label}
                    self._write(file, replace(file.labels, classes=left, points=points))

    def rename_class(self, label: str, name: str) -> None:
        """Call a class otherwise, in all files; one that is called so already takes its bouts.

        Each file is changed whole: where that ends in between, the same rename goes on.

        Raises:
            DataError: there is no such class, the name cannot be one, or a file's format cannot
                hold it; then nothing has changed.
        """
        name = _class_name(name)
        with self._alone():
            files = self._files()
            if label not in self._classes(files):
                raise DataError(f"{label!r} is none of the classes")
            changed = [(file, renamed(file.labels, label, name)) for file in files]
            changed = [(file, labels) for file, labels in changed if labels != file.labels]
            for file, labels in changed:
                where = f"{file.path.name} ({file.holds.title})"
                if not _can_be_called(labels, file.holds, name):
                    raise DataError(f"{where} cannot hold a class called {name!r}")
                if not holds_all(labels, file.holds):
                    raise DataError(
                        f"{where} cannot hold that: bouts of one class would overlap or touch, of "
                        f"{label!r} and {name!r}: change those first"
                    )
            for file, labels in changed:
                self._write(file, labels)

    def _classes(self, files: Sequence[_File]) -> tuple[str, ...]:
        first = [file for file in files if file.path.name == OWN_NAME]
        return tuple(
            dict.fromkeys(name for file in (*first, *files) for name in file.labels.classes)
        )

    def _files(self) -> list[_File]:
        """Return the label files, read anew where they have changed."""
        found, seen = [], set()
        for path in sorted(self.folder.iterdir(), key=lambda path: path.stem):
            if is_foreign(path.name) or path.suffix.lower() in VIDEO_SUFFIXES or path.is_dir():
                continue
            try:
                stat = path.stat()
            except OSError:
                continue  # it has just gone
            state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if path not in self._read or self._read[path][0] != state:
                self._read[path] = (state, _read(path))
            seen.add(path)
            if file := self._read[path][1]:
                found.append(file)
        for path in set(self._read) - seen:
            del self._read[path]
        return found

    def _places(self, files: Sequence[_File]) -> dict[str, tuple[_File, Recording]]:
        """Return video -> the file that is about it, and what it says."""
        listed = ListedFiles(self.folder)
        # a file may name a video in full, or by way of a link
        videos = self.videos().items()
        names = {os.path.realpath(path): name for name, path in videos}
        names |= {os.path.abspath(path): name for name, path in videos}
        found: dict[str, tuple[_File, Recording]] = {}
        for file in files:
            for recording in file.labels.recordings:
                path = listed.of_recording(recording.video or file.path.stem)
                if path is None:
                    continue  # of a video that is not here: it stays as it is
                name = names.get(os.path.abspath(path)) or names.get(os.path.realpath(path))
                if name is None:
                    continue  # likewise
                if name in found:
                    other = found[name][0].path.name
                    raise DataError(
                        f"{self.folder}: {other} and {file.path.name} are both about {name}: keep "
                        "one of them"
                    )
                found[name] = (file, recording)
        return found

    def _own(self, files: Sequence[_File]) -> _File:
        """Return the table of our own, which may not be there yet."""
        path = self.folder / OWN_NAME
        own = next((file for file in files if file.path == path), None)
        if own is None:
            self._originals.made(path)
            return _File(path, OWN_FORMAT, Labels((), self._classes(files)))
        if own.format != OWN_FORMAT:
            raise DataError(f"{path} is {own.holds.title}: rename it, the page needs the name")
        return own

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the labels: no other thread changes them, and no other server of the folder."""
        how: Any = {"patience": PATIENCE_SECONDS, "error": DataError}
        with self._lock, locked(self.folder, "save again", "it must be writable", **how):
            yield

    def _put(
        self,
        files: Sequence[_File],
        place: tuple[_File, Recording] | None,
        name: str,
        labels: VideoLabels,
    ) -> None:
        before = Recording(name, ()) if place is None else place[1]
        stays = bool(labels or before.group or before.split)
        watched = labels.watched(before.seconds)
        after = replace(before, bouts=labels.bouts, watched=watched, seconds=None)
        if before.seconds is not None:  # rounded in the file, so that a bout may end a little later
            ends = [each.end_seconds for each in labels.bouts] + [end for _, end in watched or ()]
            after = replace(after, seconds=max([before.seconds, *ends]))
        if place is not None:
            file = place[0]
            changed = with_recording(file.labels, before, after if stays else None)
            if holds_all(changed, file.holds):
                self._write(file, changed)
                return
        if place is not None:  # what is refused now leaves no video in two files
            self._keep_original(place[0])
        if stays:
            own = self._own(files)
            known = self._classes(files)
            after = replace(after, video=name)
            self._write(own, replace(with_recording(own.labels, None, after), classes=known))
        if place is not None:  # not before the new ones are safe
            self._write(place[0], with_recording(place[0].labels, before, None))

    def _write(self, file: _File, labels: Labels) -> None:
        path = file.path
        self._keep_original(file)
        try:
            if not labels.recordings and not file.holds.several:
                path.unlink()
                return
            text = text_in_place(labels, path, file.format)
            write_bytes(path, text)
            self._originals.written(path, text)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}") from error

    def _keep_original(self, file: _File) -> None:
        try:
            self._originals.keep(file.path, file.labels, file.format)
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"{file.path} cannot be changed: {reason}") from error


def _read(path: Path) -> _File | None:
    """Read a label file; None for one that is none."""
    if not is_label_file(path):
        return None
    name = recognise(path)
    return _File(path, name, FORMATS[name].read(path))


def _can_be_called(labels: Labels, holds: Holds, name: str) -> bool:
    """Tell whether a format reads a class's name as it is written."""
    named = [b for each in labels.recordings for b in each.bouts if b.label == name]
    reads = holds.reads
    return reads is None or all(reads(name, bout.confidence)[0] == name for bout in named)


def _points(files: Sequence[_File]) -> set[str]:
    """Return the classes whose bouts are all without duration; one alone may be a slip."""
    bouts = [
        bout for file in files for recording in file.labels.recordings for bout in recording.bouts
    ]
    times = Counter(bout.label for bout in bouts if bout.is_point)
    lasting = {bout.label for bout in bouts if not bout.is_point}
    return {label for label, count in times.items() if count > 1} - lasting


def _class_name(label: str) -> str:
    """Return the name of a class in one line; raises DataError where it cannot be one."""
    label = one_line(label)
    if not label or len(label) > 100:
        raise DataError("a class needs a name of up to 100 characters")
    if label == OTHER:
        raise DataError(f"{OTHER!r} is what unlabelled time is called: choose another name")
    return label
