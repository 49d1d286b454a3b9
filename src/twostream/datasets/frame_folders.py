"""Folders of numbered images that stand for videos, in a tree and in a list; nothing is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from twostream.datasets.folder_tree import Folder, Lenient, printable, scan
from twostream.frame_names import FEWEST, count_frames, is_flow
from twostream.types import VIDEO_SUFFIXES

NOTED = "folders of frames: "  # each note on them begins so
_RATE = (
    "no image tells their frame rate: it is that of --fps, else the other clips', else 25 frames/s"
)


def with_frame_folders(tree: Folder, *, any_name: bool = False) -> tuple[Folder, tuple[str, ...]]:
    """Count the folders of frames in a tree among its videos.

    A folder is one if it holds two numbered images or more (``frame_names``) and no video. Left out
    are folders of flow, and those that hold numbered images themselves and in folders below. In a
    tree that has video files none is taken: what lies there may be their frames, or small pictures
    of them; a list names the ones that are meant. With ``any_name`` names may be no text.

    Returns:
        The tree, and what a user should know.
    """
    taken: list[Path] = []
    nested: list[Path] = []

    def judged(folder: Folder) -> Folder:
        before = len(taken)
        videos, folders = list(folder.videos), []
        names = [below.path.name for below in folder.folders]
        for below in folder.folders:
            if is_flow(below.path.name, names, in_frames=folder.frames >= FEWEST):
                folders.append(below)
                continue
            inner = judged(below)
            if is_frames(inner):
                taken.append(inner.path)
                name = inner.path.name
                videos.append(name if any_name else printable(name, folder.path))
            else:
                folders.append(inner)
        if folder.frames >= FEWEST and len(taken) > before:
            nested.append(folder.path)
            del taken[before:]
            return replace(folder, frames=0)
        return replace(folder, videos=sorted(videos), folders=folders)

    found = judged(tree)
    if tree.has_videos():
        return tree, tuple(_notes("not taken, beside video files", taken, "name them (a list can)"))
    left = "left out, with numbered images in folders below too"
    return found, (
        *_notes("taken as videos", taken, _RATE),
        *_notes(left, nested, "move away what is no video"),
    )


def _notes(what: str, found: Sequence[Path], then: str) -> list[str]:
    if not found:
        return []
    return [f"{NOTED}{len(found)} {what}, the first is {found[0]}; {then}"]


def is_frames(folder: Folder) -> bool:
    """Tell whether a folder of a judged tree holds the frames of a video itself."""
    return folder.frames >= FEWEST and not folder.has_videos()


def is_one_video(path: Path) -> bool:
    """Tell whether a path is a video: a file that is called as one, or a folder of frames."""
    if path.is_file():
        return path.suffix.lower() in VIDEO_SUFFIXES
    if count_frames(path) < FEWEST:  # the whole of a large tree need not be read to know
        return False
    return is_frames(with_frame_folders(scan(path))[0])


def videos_below(root: Path) -> tuple[list[Path], list[str]]:
    """Return the video files and folders of frames below a folder, and what is left out.

    Returns:
        Paths, sorted; and a sentence for each kind of thing that may have been meant: folders that
        cannot be read, folders of frames beside video files (see ``with_frame_folders``).
    """
    lenient = Lenient()
    tree, notes = with_frame_folders(scan(root, lenient=lenient), any_name=True)
    left_out = [note for note in notes if not note.endswith(_RATE)]
    return sorted(tree.paths()), lenient.unread + left_out


def count_notes(told: Sequence[tuple[str, Path, int]]) -> list[str]:
    """Return what is odd about the numbers of frames that a list of folders tells.

    One frame more than told is not: lists that count fields of flow tell one less.

    Args:
        told: name in the list, folder, and number of frames.
    """
    found = [(name, count_frames(path), number) for name, path, number in told]
    notes = []
    for odd, what, then in (
        (
            [each for each in found if each[1] < each[2]],
            "fewer",
            "they seem to be cut off, and the frames that are there are used",
        ),
        ([each for each in found if each[1] > each[2] + 1], "more", "all of them are used"),
    ):
        if odd:
            name, here, number = odd[0]
            notes.append(
                f"{NOTED}{len(odd)} with {what} frames than the list says, the first is {name} "
                f"({here} instead of {number}); {then}"
            )
    return notes


def rate_note(folders: Sequence[Path]) -> list[str]:
    """Return the note on folders of frames that a list names; none where there are none."""
    return _notes("taken as videos", folders, _RATE)
