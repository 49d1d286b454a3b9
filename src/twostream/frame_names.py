"""Which images are the frames of a video, by their names, and which folders hold flow."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>[0-9]{1,12})\.(?:jpe?g|png)", re.IGNORECASE)
_BEFORE = ("", "img", "image", "frame", "rgb")
_FLOW = re.compile(r"(?:flow_)?(?P<axis>[uvxy])", re.IGNORECASE)
_FLOW_OF_FRAMES = re.compile(r"(?:optical[_-]?)?flow(?:[_-].*)?|[uvxy]", re.IGNORECASE)
FEWEST = 2  # numbered images that make a folder a video; one may be a cover or a thumbnail


def frame_number(name: str, folder: str) -> int | None:
    """Return the number of the frame that a file is by its name; None: it is no frame.

    TSN, denseflow and mmaction2 write img_00001.jpg, 3D-ResNets image_00001.jpg, FFmpeg and OpenCV
    what they are told: frame_000001.png, 00001.jpg, and the video's name before the number.

    Args:
        name: of the file.
        folder: name of the folder that it lies in.

    >>> [frame_number(name, "walk 1") for name in ("img_00007.jpg", "0.PNG", "walk 1-03.jpeg")]
    [7, 0, 3]
    >>> [frame_number(name, "x") for name in ("flow_x_00007.jpg", "x_00007.jpg", "IMG.jpg")]
    [None, None, None]
    """
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return None
    before = match["before"].rstrip("_-. ").casefold()
    own = before == folder.casefold() and not _FLOW.fullmatch(folder)
    return int(match["number"]) if own or before in _BEFORE else None


def list_frames(folder: Path | str) -> list[tuple[int, str]]:
    """Return the number and the name of each frame in a folder, in order; raises OSError."""
    own = os.path.basename(os.path.abspath(folder))
    numbers = ((frame_number(name, own), name) for name in os.listdir(folder))
    return sorted((number, name) for number, name in numbers if number is not None)


def count_frames(folder: Path | str) -> int:
    """Return how many frames lie in a folder; 0 where it is none, or cannot be read."""
    try:
        return len(list_frames(folder))
    except (OSError, ValueError):  # the latter of a name that no file can have
        return 0


def is_flow(folder: str, beside: Sequence[str], *, in_frames: bool) -> bool:
    """Tell whether a folder is called as one of flow: u beside v, x beside y, flow_x and flow_y.

    Args:
        folder: its name.
        beside: names of the folders that lie where it lies.
        in_frames: it lies in a folder of frames, whose flow it may hold without a second one.

    >>> [is_flow(name, ["jpegs", "v", "flow_x"], in_frames=False) for name in ("u", "x", "flow_y")]
    [True, False, True]
    """
    if in_frames and _FLOW_OF_FRAMES.fullmatch(folder):
        return True
    match = _FLOW.fullmatch(folder)
    if match is None:
        return False
    other = "vuyx"["uvxy".index(match["axis"].lower())]
    return f"{folder[:-1]}{other}".casefold() in {name.casefold() for name in beside}
