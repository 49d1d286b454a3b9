"""Folders on disk: class folders, UCF-101 and HMDB-51 with their official lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from twostream.datasets.dataset import Dataset, GivenSplit
from twostream.datasets.folder_tree import Folder, scan
from twostream.datasets.frame_folders import is_frames, with_frame_folders
from twostream.datasets.official_lists import group_of, read_official
from twostream.datasets.side_folders import SIDES, meant_as_sides
from twostream.types import DataError, LabeledVideo

_LIST_FOLDERS = re.compile(r"ucf.*(?:list|splits).*|test_?train.*", re.IGNORECASE)
# folders beside the folder of class folders that hold no videos, and are no classes
_BESIDE = re.compile(
    r"annotations?|labels?|lists?|splits?|meta_?data|docs?|thumb(?:nail)?s?|previews?",
    re.IGNORECASE,
)
# what the folder of class folders is called: a class whose clips lie in folders is not called so
_ABOVE_CLASSES = re.compile(
    r"(?:.*[\W_])?(?:data|data[\W_]?sets?|videos?|clips|movies|media|footage|recordings|classes|"
    r"actions)(?:[\W_\d].*)?|ucf.*|hmdb.*",
    re.IGNORECASE,
)
NAMED = 5  # of many folders, so many are named
ONE_VIDEO = (
    "{} is one video, not a data set: give a folder with one sub-folder per class, or a CSV file "
    "with the columns path,label"
)


def read_folder(root: Path) -> Dataset:
    """Read a folder as UCF-101, HMDB-51 or class folders, whichever it is.

    Args:
        root: the folder.

    Raises:
        DataError: no class folder, one class only, or official lists that name nothing here.
    """
    tree, of_frames = with_frame_folders(scan(root))
    if not tree.has_videos():
        archives = sum(folder.archives for folder in tree.walk())
        if archives:
            raise DataError(f"{root} holds {archives} archives but no video: unpack them first")
        if is_frames(tree):
            raise DataError(ONE_VIDEO.format(root))
        raise DataError(
            f"{root} holds no video: give a folder with one sub-folder of clips per class"
            + "".join(f"; {note}" for note in of_frames)
        )
    base, empty = _class_root(tree)
    lists = tree.official_lists() or _lists_beside(root)
    official: Dataset | None = None
    notes: tuple[str, ...] = ()
    if lists:
        beside = not tree.official_lists()
        sides = _sides(base)
        official, notes = read_official(tree, sides, lists, beside=beside)
        if official and len(sides) > 1:
            notes = _whose_split(official, sides)
    found = official or _read_class_folders(tree, base)
    left_out = [*_empty_note(empty), *_left_out(tree)]
    return replace(found, notes=(*found.notes, *notes, *of_frames, *left_out))


def _left_out(tree: Folder) -> list[str]:
    """Return the note on folders that a system made."""
    names = sorted({name for folder in tree.walk() for name in folder.foreign})
    if not names:
        return []
    return [f"folders that systems make are left out: {_some(names)}"]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _empty_note(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    hold, are = ("s hold", "are") if len(names) > 1 else (" holds", "is")
    return [f"{len(names)} folder{hold} no video and {are} left out: {_some(sorted(names))}"]


def _class_root(tree: Folder) -> tuple[Folder, list[str]]:
    """Descend to the folder of class folders, past folders that hold one other folder only.

    Returns:
        It, and the names of folders without a video that are passed.
    """
    below = tree
    passed: list[str] = []
    while not below.videos:
        inner = [folder for folder in below.folders if not folder.is_list_folder()]
        filled = _filled(below)
        empty = [folder.path.name for folder in inner if folder not in filled]
        if len(filled) > 1 or not (filled and _holds_classes(filled[0], empty)):
            return below, passed
        below = filled[0]
        passed += empty
    return tree, []


def _holds_classes(folder: Folder, empty: Sequence[str]) -> bool:
    """Tell whether the only folder with videos is the one of class folders, not a class.

    Args:
        folder: the folder.
        empty: names of those beside it, which may be classes that have lost their clips.
    """
    if all(_BESIDE.fullmatch(name) for name in empty):
        return True
    return bool(_ABOVE_CLASSES.fullmatch(folder.path.name)) and len(_filled(folder)) > 1


def _filled(folder: Folder) -> list[Folder]:
    return [below for below in folder.folders if below.has_videos()]


def _lists_beside(root: Path) -> list[Path]:
    """Return the official lists in folders next to `root`, the way UCF-101 is often unpacked."""
    try:
        beside = sorted(root.resolve().parent.iterdir())
    except OSError:
        return []
    folders = [path for path in beside if _LIST_FOLDERS.fullmatch(path.name) and path.is_dir()]
    return [path for folder in folders for path in scan(folder).official_lists()]


def unlabeled_videos(root: Path | str) -> tuple[LabeledVideo, ...]:
    """Return the videos of a folder that has no class folders, with label -1; () if it has some.

    Raises:
        DataError: the folder cannot be read.
    """
    tree, _ = with_frame_folders(scan(Path(root)))
    if any(folder.has_videos() for folder in tree.folders):
        return ()
    if is_frames(tree):
        return (LabeledVideo(tree.path.name, tree.path, -1),)
    return tuple(LabeledVideo(name, tree.path / name, -1) for name in tree.videos)


def _read_class_folders(tree: Folder, base: Folder) -> Dataset:
    sides = _sides(base)
    slips = _slips(base) if len(sides) == 1 else ""
    by_class: dict[str, list[tuple[str, Folder]]] = {}
    for side, above in sides.items():
        for folder in above.folders:
            if not folder.is_list_folder():
                by_class.setdefault(folder.path.name, []).append((side, folder))
    if not any(_any_videos(found) for found in by_class.values()):
        raise DataError(
            f"{base.path} holds {len(base.videos)} videos but no class folders: make one "
            "sub-folder per class, or list the videos in a CSV file with the columns path,label"
        )
    empty = [name for name, found in by_class.items() if not _any_videos(found)]
    by_class = {name: found for name, found in by_class.items() if name not in empty}
    if len(by_class) < 2 and empty:
        ((name, found),) = by_class.items()
        deeper = any(len(_filled(folder)) > 1 for _, folder in found)
        raise DataError(
            f"{base.path} has only the class {name}, since no video lies in "
            f"{_some(sorted(empty))}: recognition needs at least two classes, so add clips"
            + (f"; if the folders in {name} are the classes, give that folder" if deeper else "")
        )
    by_side: dict[str, tuple[LabeledVideo, ...]] = dict.fromkeys(sides, ())
    for label, (name, found) in enumerate(sorted(by_class.items())):
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
    notes += _empty_note(empty) + ([slips] if slips else [])
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


def _slips(base: Folder) -> str:
    """Return the note on folders that may be sides under other names; raise where they must be."""
    inner = {
        folder.path.name: set() if folder.videos else {f.path.name for f in _filled(folder)}
        for folder in _filled(base)
    }
    said, certain = meant_as_sides(base.path, inner)
    if certain:
        raise DataError(said)
    return said


def _any_videos(found: Sequence[tuple[str, Folder]]) -> bool:
    return any(folder.has_videos() for _, folder in found)


def unused_table(name: str, why: str = "") -> str:
    """Return the note on a CSV file that lies in a folder of videos."""
    reason = f", since {why}" if why else ""
    return f"{name} lies in this folder and is not used{reason}: give its path to use it instead"


def _sides(base: Folder) -> dict[str, Folder]:
    """Return train/, val/ and test/ by side where they hold class folders, else {"": base}."""
    named = [folder for folder in base.folders if folder.path.name.lower() in SIDES]
    nested = {folder.path.name for folder in named if not folder.videos and folder.has_videos()}
    if len(named) < 2 or not nested:
        return {"": base}
    by_side: dict[str, Folder] = {}
    for folder in base.folders:
        side = SIDES.get(folder.path.name.lower())
        if side is None and folder.has_videos():
            raise DataError(
                f"{folder.path} lies beside the folder {min(nested)} but is no part of a split: "
                "move it away, or call it train, val or test"
            )
        if side in by_side:
            raise DataError(f"{by_side[side].path} and {folder.path} are both for {side}: keep one")
        if side is not None:
            by_side[side] = folder
    return by_side


def _whose_split(official: Dataset, sides: Mapping[str, Folder]) -> tuple[str, ...]:
    """Return what is said where videos with official lists lie in train/ and test/ too."""
    by_side = {
        side: [video for video in official.videos if video.path.is_relative_to(folder.path)]
        for side, folder in sides.items()
    }
    folders = ", ".join(folder.path.name for folder in sides.values())
    for own in given_by_side(by_side)[0]:
        train, test = set(own.train), set(own.test)
        same = [g.number for g in official.given if train >= {*g.train} and test >= {*g.test}]
        if same:
            return (f"the folders {folders} are split {same[0]} of the official lists",)
        return (
            f"the splits are those of the official lists: the folders {folders} are none of them; "
            "take the lists away to have the folders' split",
        )
    return ()


def given_by_side(
    by_side: Mapping[str, Sequence[LabeledVideo]],
) -> tuple[tuple[GivenSplit, ...], list[str]]:
    """Make the given split of videos marked train, val, test, or ""; none where a side is missing.

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
    if not train and not test:
        return (), []
    mark, other = ("train", "test") if train else ("test", "train")
    if aside := by_side.get(""):
        return (), [
            f"{len(train or test)} clips are marked {mark}, {len(aside)} are not marked and none "
            f"is marked {other}, so the mark is ignored: mark those that are to {other}"
        ]
    return (), [f"all videos are marked {mark}, so the mark is ignored"]
