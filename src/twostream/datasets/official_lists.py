"""UCF-101 and HMDB-51: their official lists, and the groups that their file names tell."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from twostream.datasets.dataset import Dataset, GivenSplit
from twostream.datasets.folder_tree import HMDB_LIST, UCF_LIST, Folder
from twostream.labels.label_text import read_text
from twostream.types import VIDEO_SUFFIXES, DataError, LabeledVideo

_UCF_NAME = re.compile(r"v_.+_(g\d+)_c\d+", re.IGNORECASE)
_HMDB_NAME = re.compile(r"(.+)_[ulfh]_(?:cm|nm)_np\d+_(?:ba|fr|le|ri)_(?:goo|med|bad)_\d+")

# split -> listed names that train, that are tested, that are neither
Sides = dict[int, tuple[list[str], list[str], list[str]]]


def group_of(name: str, cls: str) -> str | None:
    """Return the group a file name tells: UCF's gNN, HMDB's source name; None for other names.

    >>> group_of("v_Archery_g07_c01.avi", "Archery")
    'g07'
    >>> group_of("#20_Rhythm_clap_u_nm_np1_le_goo_4.avi", "clap")
    '#20_Rhythm'
    """
    for stem in (os.path.splitext(name)[0], name):  # a folder of frames has no suffix to lose
        if match := _UCF_NAME.fullmatch(stem):
            return match[1].lower()
        if match := _HMDB_NAME.fullmatch(stem):
            return match[1].removesuffix(f"_{cls}")
    return None


def read_official(
    tree: Folder,
    sides: Mapping[str, Folder],
    lists: Sequence[Path],
    *,
    beside: bool,
) -> tuple[Dataset | None, tuple[str, ...]]:
    """Read UCF-101 or HMDB-51.

    Args:
        tree: the folder that was given.
        sides: the folders of class folders in it, by what they are called for: train, val, test;
            {"": folder} where there is one.
        lists: the official lists.
        beside: they lie beside the folder that was given, and may be of other videos.

    Returns:
        The data set, and (); or None where the lists make no split of the videos that are here,
        and why they do not, in sentences.

    Raises:
        DataError: a list that is none, one that means two videos by one name, or lists in this
            folder that name nothing in it.
    """
    ucf = [path for path in lists if UCF_LIST.fullmatch(path.name)]
    kind, lists = ("UCF-101", ucf) if ucf else ("HMDB-51", list(lists))
    folders = [f for above in sides.values() for f in above.folders if f.has_videos()]
    index = _class_index(lists) if ucf else {}
    # The folder names the class: UCF's HandstandPushups holds files called v_HandStandPushups_...
    names = {folder.path.name for folder in folders}
    classes = tuple(sorted(names, key=lambda cls: (index.get(cls.lower(), len(index)), cls)))
    videos = tuple(
        LabeledVideo(_official_id(folder, path), path, label, group_of(path.name, cls))
        for label, cls in enumerate(classes)
        for folder in folders
        if folder.path.name == cls
        for path in folder.paths()
    )
    finder = _ListedNames(videos)
    given, unused, unlisted = [], [], set(videos)
    listed = (_read_ucf_lists if ucf else _read_hmdb_lists)(lists)
    for number, (*listed_sides, aside) in sorted(listed.items()):
        found = [{name: finder.find(name) for name in side} for side in listed_sides]
        train, test = (tuple(v for v in side.values() if v is not None) for side in found)
        missing = [name for side in found for name, video in side.items() if video is None]
        unlisted.difference_update(train, test, filter(None, map(finder.find, aside)))
        if train and test:
            train, test = _apart(number, train, test)
            notes = _missing_note(number, sum(map(len, found)), missing)
            given.append(GivenSplit(number, train, test, notes, tuple(missing)))
        else:
            unused.append(_unused_note(lists[0].parent, number, found))
    if not given:
        if unused and len(unlisted) == len(videos) and not beside:
            raise DataError(
                f"{unused[0]}: put the videos there that they are of, or take the lists away to "
                "have a split made"
            )
        return None, tuple(unused)
    extra = [*unused, *finder.notes(), *_unlisted_notes(classes, videos, unlisted)]
    others = sum(folder.others for folder in tree.walk())
    # anyone's data may come in these layouts; only the full set of classes is the data set itself
    official = len(classes) == {"UCF-101": 101, "HMDB-51": 51}[kind]
    name = kind if official else tree.path.name
    data = Dataset(name, kind, tree.path, classes, videos, tuple(given), tuple(extra), others)
    return data, ()


def _unlisted_notes(
    classes: Sequence[str], videos: Sequence[LabeledVideo], unlisted: Set[LabeledVideo]
) -> list[str]:
    """Return what is said of videos, and of whole classes, that no list names."""
    if not unlisted:
        return []
    first = min(video.video_id for video in unlisted)
    notes = [f"{len(unlisted)} videos are in none of the official lists, the first is {first}"]
    listed = {video.label for video in videos if video not in unlisted}
    if names := [cls for label, cls in enumerate(classes) if label not in listed]:
        one = len(names) == 1
        notes.append(
            f"the official lists name no video of {len(names)} class{'' if one else 'es'}: "
            f"{', '.join(names)}; {'it has' if one else 'they have'} no clip in their splits, so "
            f"put {'its list' if one else 'their lists'} there or move "
            f"{'its folder' if one else 'their folders'} away"
        )
    return notes


def _missing_note(number: int, listed: int, missing: Sequence[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    return (
        f"{len(missing)} of the {listed} videos that the official lists of split {number} name are "
        f"not here and are left out, the first is {missing[0]}",
    )


def _unused_note(
    folder: Path, number: int, found: Sequence[Mapping[str, LabeledVideo | None]]
) -> str:
    """Return why the lists of a split make none."""
    said = []
    for what, side in zip(("training", "test"), found, strict=True):
        here = sum(video is not None for video in side.values())
        first = f", the first is {next(iter(side))}" if side and not here else ""
        said.append(f"{here} of the {len(side)} {what} videos that they name are here{first}")
    return f"the official lists of split {number} in {folder} are not used: {'; '.join(said)}"


def _apart(
    number: int, train: Sequence[LabeledVideo], test: Sequence[LabeledVideo]
) -> tuple[tuple[LabeledVideo, ...], tuple[LabeledVideo, ...]]:
    """Return both sides with each video once; refuse one that stands on both."""
    both = set(train) & set(test)
    if both:
        first = min(video.video_id for video in both)
        raise DataError(
            f"the official lists of split {number} name {len(both)} videos for training and for "
            f"the test, the first is {first}: take them out of one list"
        )
    return tuple(dict.fromkeys(train)), tuple(dict.fromkeys(test))


class _ListedNames:
    """Finds the videos that lists name, whatever their suffix, slashes, capitals and accents."""

    def __init__(self, videos: Sequence[LabeledVideo]) -> None:
        self._exact = {video.video_id: video for video in videos}
        self._by_id: dict[str, list[LabeledVideo]] = defaultdict(list)
        self._by_stem: dict[str, list[LabeledVideo]] = defaultdict(list)
        self._by_file: dict[str, list[LabeledVideo]] = defaultdict(list)
        self._classes = {_class_of(video.video_id) for video in videos}
        self._otherwise: list[str] = []
        for video in videos:
            name = _folded(video.video_id)
            self._by_id[name].append(video)
            stem = self._stems(name)[-1]
            self._by_stem[stem].append(video)
            self._by_file[stem.rpartition("/")[2]].append(video)

    def find(self, name: str) -> LabeledVideo | None:
        """Return the video of a listed name; None where it is not here.

        Raises:
            DataError: the name stands for two videos.
        """
        if name in self._exact:
            return self._exact[name]
        wanted = _folded(name)
        stems = self._stems(wanted)
        found = self._one(name, self._by_id.get(wanted, []))
        for look in (lambda stem: self._by_stem.get(stem, []), self._in_other_folders):
            for stem in stems:
                found = found or self._one(name, look(stem))
        if found and self._suffix(_folded(found.path.name)) != self._suffix(wanted):
            self._otherwise.append(name)
        return found

    def _stems(self, name: str) -> list[str]:
        """Return what a folded name may be without a suffix; the last is without one for sure."""
        stem, suffix = os.path.splitext(name)
        return [name, stem] if suffix in VIDEO_SUFFIXES else [name]

    def _suffix(self, name: str) -> str:
        return name.removeprefix(self._stems(name)[-1])

    def _in_other_folders(self, stem: str) -> list[LabeledVideo]:
        """Return the files of a listed name that lie deeper, or whose class folder is renamed."""
        folder, _, alone = stem.rpartition("/")
        cls, found = folder.rpartition("/")[2], self._by_file.get(alone, [])
        if cls in self._classes:
            return [video for video in found if _class_of(video.video_id) == cls]
        # 001.avi may lie in any class; a name of the official schemes tells its class itself
        return found if not cls or group_of(alone, cls) is not None else []

    def _one(self, name: str, found: Sequence[LabeledVideo]) -> LabeledVideo | None:
        if len(found) > 1:
            ids = " and ".join(video.video_id for video in found[:2])
            raise DataError(
                f"the official lists name {name}, which may be {ids}: keep one of these files"
            )
        return found[0] if found else None

    def notes(self) -> list[str]:
        """Return what a user should know of how names were matched."""
        names = sorted(set(self._otherwise))
        if not names:
            return []
        return [
            f"{len(names)} videos have another suffix here than in the official lists and were "
            f"found by the rest of their names, the first is {names[0]}"
        ]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold().removeprefix("./")


def _class_of(video_id: str) -> str:
    return _folded(video_id).partition("/")[0]


def _official_id(folder: Folder, path: Path) -> str:
    """Return Class/file.avi, whether the archive was unpacked to Class/ or to Class/Class/."""
    parts = list(path.relative_to(folder.path.parent).parts)
    while len(parts) > 2 and parts[0] == parts[1]:
        del parts[0]
    return "/".join(parts)


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def _class_index(lists: Sequence[Path]) -> dict[str, int]:
    """Read classInd.txt: lower-case class name -> its number, which starts at 1."""
    index = {}
    for path in lists:
        if path.name.lower() == "classind.txt":
            for line in _lines(path):
                number, _, name = line.replace("\t", " ").partition(" ")
                if not (number.isdecimal() and name.strip()):
                    raise DataError(f"{path}: expected a line `number class`, got {line!r}")
                index[name.strip().lower()] = int(number)
    return index


def _read_ucf_lists(lists: Sequence[Path]) -> Sides:
    """Read trainlist01.txt ... testlist03.txt: split -> names Class/file.avi of train and test."""
    splits: Sides = {}
    for path in lists:
        match = UCF_LIST.fullmatch(path.name)
        if match is None or match[1] is None:
            continue
        train_or_test = splits.setdefault(int(match[2]), ([], [], []))[match[1].lower() == "test"]
        # A trainlist line ends in the class number, a testlist line does not.
        train_or_test.extend(re.sub(r"\s+\d+$", "", line) for line in _lines(path))
    return splits


def _read_hmdb_lists(lists: Sequence[Path]) -> Sides:
    """Read <class>_test_split<N>.txt: 1 trains, 2 tests, 0 is unused. Names become class/file."""
    splits: Sides = {}
    for path in lists:
        match = HMDB_LIST.fullmatch(path.name)
        if match is None:
            continue
        sides = splits.setdefault(int(match[2]), ([], [], []))
        for line in _lines(path):
            name, side = line.rsplit(maxsplit=1) if " " in line or "\t" in line else (line, "")
            if side not in ("0", "1", "2"):
                raise DataError(f"{path}: expected a line `file 0|1|2`, got {line!r}")
            sides[int(side) - 1].append(f"{match[1]}/{name}")  # 0, unused, is the last
    return splits
