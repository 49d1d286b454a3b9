"""What lies in a folder of videos: folders, videos, official lists, tables; nothing is judged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from twostream.foreign import is_foreign
from twostream.frame_names import frame_number
from twostream.types import VIDEO_SUFFIXES, DataError

UCF_LIST = re.compile(r"(?:(train|test)list0?([123])|classInd)\.txt", re.IGNORECASE)
HMDB_LIST = re.compile(r"(.+)_test_split([123])\.txt", re.IGNORECASE)
_ARCHIVES = (".rar", ".zip", ".tar", ".gz", ".7z")


@dataclass(slots=True)
class Folder:
    """A folder, and what lies in it.

    Attributes:
        path: where it lies.
        folders: the folders in it.
        videos: names of video files, and of folders of frames once they are told apart.
        lists: official lists of UCF-101 and HMDB-51.
        tables: names of CSV files.
        others: number of other files.
        archives: number of those that are archives.
        frames: number of those that are numbered images.
        foreign: names of a system's folders, which are left out.
    """

    path: Path
    folders: list[Folder] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    others: int = 0
    archives: int = 0
    frames: int = 0
    foreign: list[str] = field(default_factory=list)

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def has_videos(self) -> bool:
        """Tell whether there is a video in it or below."""
        return any(folder.videos for folder in self.walk())

    def paths(self) -> list[Path]:
        """Return the videos in it and below."""
        return [folder.path / name for folder in self.walk() for name in folder.videos]

    def is_list_folder(self) -> bool:
        """Tell whether it is there for official lists alone."""
        return bool(self.official_lists()) and not self.has_videos()

    def official_lists(self) -> list[Path]:
        """Return the official lists in it and below."""
        return [path for folder in self.walk() for path in folder.lists]


@dataclass(slots=True)
class Lenient:
    """How a tree is read whose folders and names need not all be fit for a data set.

    Attributes:
        unread: a sentence for each folder that could not be read.
        seen: device and number of all folders so far: each is read once, whatever links lead to it.
    """

    unread: list[str] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)


def scan(
    path: Path, *, above: tuple[tuple[int, int], ...] = (), lenient: Lenient | None = None
) -> Folder:
    """Read a folder tree, hidden entries aside, in sorted order; links are followed, loops not.

    Args:
        path: the folder.
        above: device and number of the folders that it lies in.
        lenient: takes what cannot be read, and names may be no text then; None: that ends it.

    Raises:
        DataError: it cannot be read.
    """
    found = Folder(path)
    try:
        status = path.stat()
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        problem = f"{path}: this folder cannot be read: {error.strerror}"
        if lenient is None:
            raise DataError(problem) from error
        lenient.unread.append(problem)
        return found
    here = (status.st_dev, status.st_ino)
    if here in (lenient.seen if lenient else above):
        return found
    if lenient:
        lenient.seen.add(here)
        entries.sort(key=lambda entry: entry.is_symlink())  # known by its own name, if it has one
    for entry in entries:
        name = entry.name
        try:
            is_folder = entry.is_dir()
        except OSError:  # a link that leads to itself
            is_folder = False
        if name.startswith(".") or (is_folder and name == "__MACOSX"):
            found.others += not is_folder
        elif is_folder and is_foreign(name):
            found.foreign.append(name)
        elif is_folder:
            below = scan(path / name, above=(*above, here), lenient=lenient)
            found.folders.append(below)
        elif os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES:
            found.videos.append(name if lenient else printable(name, path))
        elif UCF_LIST.fullmatch(name) or HMDB_LIST.fullmatch(name):
            found.lists.append(path / name)
        else:
            found.others += 1
            found.archives += name.lower().endswith(_ARCHIVES)
            found.frames += frame_number(name, path.name) is not None
            if name.lower().endswith(".csv"):
                found.tables.append(name)
    return found


def printable(name: str, folder: Path) -> str:
    """Return a name as it is; raises a DataError for one that no text can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{folder} holds a file or folder whose name is not UTF-8 text, {name!a}: rename it"
        ) from None
    return name
