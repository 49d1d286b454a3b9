"""Which video a list or label file means, also where it was written for another copy of it."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from twostream.frame_names import FEWEST, count_frames
from twostream.types import VIDEO_SUFFIXES, DataError

_ROOT = re.compile(r"(?:[A-Za-z]:)?/+")


class ListedFiles:
    """Finds the files, and the folders of frames, that a list names.

    Args:
        folder: that the names are relative to.

    Attributes:
        otherwise: names whose video has another suffix than they say, or that say none.
        frame_folders: those that were found.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.otherwise: list[str] = []
        self.frame_folders: list[Path] = []
        self._stems: dict[str, dict[str, list[str]]] = {}

    def find(self, *names: str) -> tuple[int, Path] | None:
        """Return which of the names means a video, and that: the first that does.

        A file of just that name goes before one of another suffix, and that before a folder.

        Raises:
            DataError: a name may mean several files.
        """
        for look in (self.named, self.like, self.frames):
            for place, name in enumerate(names):
                if path := look(name):
                    return place, path
        return None

    def of_recording(self, name: str) -> Path | None:
        """Return the video file that labels in time name, maybe by its path on another machine.

        Raises:
            DataError: there are several that it may be.
        """
        base = PureWindowsPath(name).name
        return self.named(name) or self.like(name) or self.named(base) or self.like(base)

    def named(self, name: str) -> Path | None:
        """Return the file of just this name, also where it was written on another system."""
        # os.path's test is, unlike Path's, never an error: not every line is a name
        return next(filter(os.path.isfile, self._paths(name)), None)

    def frames(self, name: str) -> Path | None:
        """Return the folder of frames of a name, which may have a video's suffix."""
        stem, suffix = os.path.splitext(name)
        for each in (name, stem) if suffix.lower() in VIDEO_SUFFIXES else (name,):
            for path in self._paths(each):
                if count_frames(path) >= FEWEST:
                    self.frame_folders.append(path)
                    if each != name:
                        self.otherwise.append(name)
                    return path
        return None

    def _paths(self, name: str) -> Iterator[Path]:
        """Yield where a name may lie."""
        slashes = name.replace("\\", "/")
        names = [name, slashes, *(unicodedata.normalize(f, slashes) for f in ("NFC", "NFD"))]
        names.append(_ROOT.sub("", slashes, count=1))  # /walk/a.avi, below the list's folder
        yield from (self.folder / each for each in dict.fromkeys(names))

    def like(self, name: str) -> Path | None:
        """Return the video that differs from a name by its suffix alone; None where there is none.

        Raises:
            DataError: there are several.
        """
        slashes = name.replace("\\", "/")
        stem, suffix = os.path.splitext(slashes)
        stems = [slashes, stem] if suffix.lower() in VIDEO_SUFFIXES else [slashes]
        for each in (*stems, *(_ROOT.sub("", each, count=1) for each in stems)):
            place, _, last = each.rpartition("/")
            folder = os.path.join(self.folder, place)
            found = self._videos_of(folder).get(unicodedata.normalize("NFC", last), [])
            if len(found) > 1:
                raise DataError(
                    f"{name} may be {' or '.join(found[:3])} in {folder}: write the suffix too"
                )
            if found:
                self.otherwise.append(name)
                return Path(folder, found[0])
        return None

    def _videos_of(self, folder: str) -> dict[str, list[str]]:
        """Return stem -> names of the videos in a folder."""
        if folder not in self._stems:
            stems: dict[str, list[str]] = defaultdict(list)
            try:
                names = sorted(os.listdir(folder))
            except (OSError, ValueError):
                names = []
            for each in names:
                stem, suffix = os.path.splitext(each)
                if suffix.lower() in VIDEO_SUFFIXES and not each.startswith("."):
                    stems[unicodedata.normalize("NFC", stem)].append(each)
            self._stems[folder] = stems
        return self._stems[folder]

    def notes(self) -> list[str]:
        """Return what a user should know of how names were matched."""
        if not self.otherwise:
            return []
        return [
            f"{len(self.otherwise)} videos of the list have another suffix here, or none in the "
            f"list, and were found by the rest of their names, the first is {self.otherwise[0]}"
        ]
