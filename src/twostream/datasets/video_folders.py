"""Folders on disk: class folders, UCF-101 and HMDB-51 with their official lists."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twostream.datasets.dataset import Dataset, GivenSplit
from twostream.types import VIDEO_SUFFIXES, DataError, LabeledVideo

_UCF_NAME = re.compile(r"v_.+_(g\d+)_c\d+", re.IGNORECASE)
_HMDB_NAME = re.compile(r"(.+)_[ulfh]_(?:cm|nm)_np\d+_(?:ba|fr|le|ri)_(?:goo|med|bad)_\d+")
_UCF_LIST = re.compile(r"(?:(train|test)list0?([123])|classInd)\.txt", re.IGNORECASE)
_HMDB_LIST = re.compile(r"(.+)_test_split([123])\.txt", re.IGNORECASE)
SIDES = {  # what a folder or a column says -> the side
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_ARCHIVES = (".rar", ".zip", ".tar", ".gz", ".7z")
_LIST_FOLDERS = re.compile(r"ucf.*(?:list|splits).*|test_?train.*", re.IGNORECASE)


@dataclass(slots=True)
class _Folder:
    """What lies in a folder: sub-folders, videos, official split lists, CSV tables, the rest."""

    path: Path
    folders: list[_Folder] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    others: int = 0
    archives: int = 0

    def walk(self) -> Iterator[_Folder]:
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def has_videos(self) -> bool:
        return any(folder.videos for folder in self.walk())

    def paths(self) -> list[Path]:
        return [folder.path / name for folder in self.walk() for name in folder.videos]

    def is_list_folder(self) -> bool:
        return bool(self.official_lists()) and not self.has_videos()

    def official_lists(self) -> list[Path]:
        return [path for folder in self.walk() for path in folder.lists]


def _scan(path: Path, above: tuple[tuple[int, int], ...] = ()) -> _Folder:
    """Read a folder tree, hidden entries aside, in sorted order; links are followed, loops not."""
    found = _Folder(path)
    try:
        status = path.stat()
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{path}: this folder cannot be read: {error.strerror}") from error
    here = (status.st_dev, status.st_ino)
    if here in above:
        return found
    for entry in entries:
        name = entry.name
        try:
            is_folder = entry.is_dir()
        except OSError:  # a link that leads to itself
            is_folder = False
        if name.startswith(".") or (is_folder and name == "__MACOSX"):
            found.others += not is_folder
        elif is_folder:
            found.folders.append(_scan(path / name, (*above, here)))
        elif os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES:
            found.videos.append(_printable(name, path))
        elif _UCF_LIST.fullmatch(name) or _HMDB_LIST.fullmatch(name):
            found.lists.append(path / name)
        else:
            found.others += 1
            found.archives += name.lower().endswith(_ARCHIVES)
            if name.lower().endswith(".csv"):
                found.tables.append(name)
    return found


def _printable(name: str, folder: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{folder} holds a file whose name is not UTF-8 text, {name!a}: rename it"
        ) from None
    return name


def read_folder(root: Path) -> Dataset:
    """Read a folder as UCF-101, HMDB-51 or class folders, whichever it is.

    Raises:
        DataError: no class folder, an empty one, or one class only.
    """
    tree = _scan(root)
    if not tree.has_videos():
        archives = sum(folder.archives for folder in tree.walk())
        if archives:
            raise DataError(f"{root} holds {archives} archives but no video: unpack them first")
        raise DataError(
            f"{root} holds no video: give a folder with one sub-folder of clips per class"
        )
    base = _class_root(tree)
    lists = tree.official_lists() or _lists_beside(root)
    official = _read_official(tree, base, lists) if lists else None
    return official or _read_class_folders(tree, base)


def _class_root(tree: _Folder) -> _Folder:
    """Descend to the folder of class folders, past folders that hold one other folder only."""
    below = tree
    while not below.videos:
        inner = [folder for folder in below.folders if not folder.is_list_folder()]
        if len(inner) > 1:
            return below
        if not inner:
            break
        below = inner[0]
    return tree


def _lists_beside(root: Path) -> list[Path]:
    """Return the official lists in folders next to `root`, the way UCF-101 is often unpacked."""
    try:
        beside = sorted(root.resolve().parent.iterdir())
    except OSError:
        return []
    folders = [path for path in beside if _LIST_FOLDERS.fullmatch(path.name) and path.is_dir()]
    return [path for folder in folders for path in _scan(folder).official_lists()]


def group_of(name: str, cls: str) -> str | None:
    """Return the group a file name tells: UCF's gNN, HMDB's source name; None for other names.

    >>> group_of("v_Archery_g07_c01.avi", "Archery")
    'g07'
    >>> group_of("#20_Rhythm_clap_u_nm_np1_le_goo_4.avi", "clap")
    '#20_Rhythm'
    """
    stem = os.path.splitext(name)[0]
    if match := _UCF_NAME.fullmatch(stem):
        return match[1].lower()
    if match := _HMDB_NAME.fullmatch(stem):
        return match[1].removesuffix(f"_{cls}")
    return None


def unlabeled_videos(root: Path | str) -> tuple[LabeledVideo, ...]:
    """Return the videos of a folder that has no class folders, with label -1; () if it has some.

    Raises:
        DataError: the folder cannot be read.
    """
    tree = _scan(Path(root))
    if any(folder.has_videos() for folder in tree.folders):
        return ()
    return tuple(LabeledVideo(name, tree.path / name, -1) for name in tree.videos)


def _read_class_folders(tree: _Folder, base: _Folder) -> Dataset:
    sides = _sides(base)
    by_class: dict[str, list[tuple[str, _Folder]]] = {}
    for side, above in sides.items():
        for folder in above.folders:
            if not folder.is_list_folder():
                by_class.setdefault(folder.path.name, []).append((side, folder))
    if not any(folder.has_videos() for found in by_class.values() for _, folder in found):
        raise DataError(
            f"{base.path} holds {len(base.videos)} videos but no class folders: make one "
            "sub-folder per class, or list the videos in a CSV file with the columns path,label"
        )
    by_side: dict[str, tuple[LabeledVideo, ...]] = dict.fromkeys(sides, ())
    for label, (name, found) in enumerate(sorted(by_class.items())):
        if not any(folder.has_videos() for _, folder in found):
            raise DataError(
                f"the class folder {found[0][1].path} holds no video: remove it or add clips"
            )
        for side, folder in found:
            by_side[side] += tuple(
                LabeledVideo(
                    path.relative_to(base.path).as_posix(), path, label, group_of(path.name, name)
                )
                for path in folder.paths()
            )
    given, notes = given_by_side(by_side)
    loose = {folder.path / name for folder in (base, *sides.values()) for name in folder.videos}
    if loose:
        notes.append(
            f"{len(loose)} videos lie outside the class folders and are left out, "
            f"the first is {min(loose)}"
        )
    notes += [unused_table(name) for name in tree.tables]
    return Dataset(
        name=tree.path.resolve().name,
        kind="class folders",
        root=tree.path,
        classes=tuple(sorted(by_class)),
        videos=tuple(video for videos in by_side.values() for video in videos),
        given=given,
        notes=tuple(notes),
        ignored=sum(folder.others for folder in tree.walk()),
    )


def unused_table(name: str, why: str = "") -> str:
    """Return the note on a CSV file that lies in a folder of videos."""
    reason = f", since {why}" if why else ""
    return f"{name} lies in this folder and is not used{reason}: give its path to use it instead"


def _sides(base: _Folder) -> dict[str, _Folder]:
    """Return train/, val/ and test/ by side where they hold class folders, else {"": base}."""
    named = [folder for folder in base.folders if folder.path.name.lower() in SIDES]
    nested = {folder.path.name for folder in named if not folder.videos and folder.has_videos()}
    if len(named) < 2 or not nested:
        return {"": base}
    by_side: dict[str, _Folder] = {}
    for folder in base.folders:
        side = SIDES.get(folder.path.name.lower())
        if side is None and folder.has_videos():
            raise DataError(
                f"{folder.path} lies beside the folder {min(nested)} but is no part of a split: "
                "move it away"
            )
        if side in by_side:
            raise DataError(f"{by_side[side].path} and {folder.path} are both for {side}: keep one")
        if side is not None:
            by_side[side] = folder
    return by_side


def given_by_side(
    by_side: Mapping[str, Sequence[LabeledVideo]],
) -> tuple[tuple[GivenSplit, ...], list[str]]:
    """Make the given split of videos marked train, val, test; none where a side is missing.

    Validation videos train where there is a test, and are the test where there is none.

    Returns:
        No split or one, and what a user should know where there is none.
    """
    train, val, test = (tuple(by_side.get(side, ())) for side in ("train", "val", "test"))
    notes = []
    if val and test:
        notes.append(f"{len(val)} validation videos were added to training")
        train += val
    elif val:
        notes.append(f"there is no test, so the {len(val)} validation videos are the test")
        test = val
    if train and test:
        return (GivenSplit(1, train, test, tuple(notes)),), []
    if train or test:
        return (), [f"all videos are marked {'train' if train else 'test'}, so the mark is ignored"]
    return (), []


def _read_official(tree: _Folder, base: _Folder, lists: Sequence[Path]) -> Dataset | None:
    """Read UCF-101 or HMDB-51; None where the lists name none of the videos that are here."""
    ucf = [path for path in lists if _UCF_LIST.fullmatch(path.name)]
    kind, lists = ("UCF-101", ucf) if ucf else ("HMDB-51", list(lists))
    folders = [folder for folder in base.folders if folder.has_videos()]
    index = _class_index(lists) if ucf else {}
    # The folder names the class: UCF's HandstandPushups holds files called v_HandStandPushups_...
    folders.sort(key=lambda f: (index.get(f.path.name.lower(), len(index)), f.path.name))
    videos = tuple(
        LabeledVideo(_official_id(folder, path), path, label, group_of(path.name, folder.path.name))
        for label, folder in enumerate(folders)
        for path in folder.paths()
    )
    by_name = {video.path.name: video for video in videos}
    by_name |= {video.video_id: video for video in videos}
    read = _read_ucf_lists if ucf else _read_hmdb_lists
    given, unlisted = [], set(videos)
    for number, sides in sorted(read(lists).items()):
        found = [
            {key: by_name.get(key, by_name.get(posixpath.basename(key))) for key in s}
            for s in sides
        ]
        train, test = (tuple(v for v in side.values() if v is not None) for side in found)
        missing = [key for side in found for key, video in side.items() if video is None]
        notes = []
        if missing:
            notes.append(
                f"{len(missing)} of the {sum(map(len, found))} videos that the official lists of "
                f"split {number} name are not here and are left out, the first is {missing[0]}"
            )
        unlisted.difference_update(train, test)
        if train and test:
            given.append(GivenSplit(number, train, test, tuple(notes), tuple(missing)))
    if not given:
        return None
    extra = [f"{len(unlisted)} videos are in none of the lists"] if unlisted and ucf else []
    classes = tuple(folder.path.name for folder in folders)
    others = sum(folder.others for folder in tree.walk())
    # anyone's data may come in these layouts; only the full set of classes is the data set itself
    official = len(classes) == {"UCF-101": 101, "HMDB-51": 51}[kind]
    name = kind if official else tree.path.name
    return Dataset(name, kind, tree.path, classes, videos, tuple(given), tuple(extra), others)


def _official_id(folder: _Folder, path: Path) -> str:
    """Return Class/file.avi, whether the archive was unpacked to Class/ or to Class/Class/."""
    parts = list(path.relative_to(folder.path.parent).parts)
    while len(parts) > 2 and parts[0] == parts[1]:
        del parts[0]
    return "/".join(parts)


def read_text(path: Path, otherwise: str) -> str:
    """Read UTF-8; raises a DataError that says "cannot be read", or "no UTF-8 text: otherwise"."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {otherwise}") from error


def _lines(path: Path) -> list[str]:
    text = read_text(path, "it cannot be an official list").replace("\r", "\n")
    return [line.strip() for line in text.split("\n") if line.strip()]


def _class_index(lists: Sequence[Path]) -> dict[str, int]:
    """Read classInd.txt: lower-case class name -> its number, which starts at 1."""
    index = {}
    for path in lists:
        if path.name.lower() == "classind.txt":
            for line in _lines(path):
                number, _, name = line.partition(" ")
                if not (number.isdecimal() and name.strip()):
                    raise DataError(f"{path}: expected a line `number class`, got {line!r}")
                index[name.strip().lower()] = int(number)
    return index


def _read_ucf_lists(lists: Sequence[Path]) -> dict[int, tuple[list[str], list[str]]]:
    """Read trainlist01.txt ... testlist03.txt: split -> names Class/file.avi of train and test."""
    splits: dict[int, tuple[list[str], list[str]]] = {}
    for path in lists:
        match = _UCF_LIST.fullmatch(path.name)
        if match is None or match[1] is None:
            continue
        train_or_test = splits.setdefault(int(match[2]), ([], []))[match[1].lower() == "test"]
        # A trainlist line ends in the class number, a testlist line does not.
        train_or_test.extend(re.sub(r"\s+\d+$", "", line) for line in _lines(path))
    return splits


def _read_hmdb_lists(lists: Sequence[Path]) -> dict[int, tuple[list[str], list[str]]]:
    """Read <class>_test_split<N>.txt: 1 trains, 2 tests, 0 is unused. Names become class/file."""
    splits: dict[int, tuple[list[str], list[str]]] = {}
    for path in lists:
        match = _HMDB_LIST.fullmatch(path.name)
        if match is None:
            continue
        sides = splits.setdefault(int(match[2]), ([], []))
        for line in _lines(path):
            name, side = line.rsplit(maxsplit=1) if " " in line or "\t" in line else (line, "")
            if side not in ("0", "1", "2"):
                raise DataError(f"{path}: expected a line `file 0|1|2`, got {line!r}")
            if side != "0":
                sides[int(side) - 1].append(f"{match[1]}/{name}")
    return splits
