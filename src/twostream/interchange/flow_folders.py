"""Finding the videos of a folder of flow images, in every layout of the wild.

denseflow
    ``<video>/flow_x_00000.jpg``, ``flow_y_``, ``img_``, from 0; two frames ahead ``flow_x_p2_``,
    backward ``flow_x_m1_``
tsn
    the same from 1 (TSN, yjxiong/dense_flow); also ``<video>/flow_x.zip``, ``x_00001.jpg`` inside
mmaction2
    ``<video>/x_00001.jpg``, ``y_``, ``img_``
feichtenhofer
    ``tvl1_flow/u/<video>/frame000001.jpg``, ``v/``, ``jpegs_256/<video>/frame000001.jpg``
    (jeffreyyihuang's archives too); optional ranges ``u/<video>.bin``
charades
    ``Charades_v1_flow/<video>/<video>-000001x.jpg``, ``-000001y.jpg``,
    ``Charades_v1_rgb/<video>/<video>-000001.jpg``
gpu_flow
    ``x/`` and ``y/`` with ``frame000001.jpg``, above or below the video's folder

Only names are read here. Memory grows with the number of videos, not of files.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from twostream.foreign import is_foreign
from twostream.schema import parse_json
from twostream.types import DataError

Part = Literal["named", "x", "y", "rgb"]
Names = tuple[str, ...]

SUFFIXES = (".jpg", ".jpeg", ".png")
# What a file says by itself: a component with an optional step (p2: two ahead, m1: one back), or a
# frame.
NAMED = re.compile(
    r"(?:(?P<rgb>img|image)|(?:flow_)?(?P<axis>[xy])(?:_(?P<step>[pm]\d+))?)_(?P<n>\d+)"
)
CHARADES = re.compile(r".+-(?P<n>\d{6})(?P<axis>[xy])?")
CHARADES_TREE = re.compile(r"Charades.*_(?:flow|rgb)", re.IGNORECASE)
# What only the folder above tells.
FRAME = re.compile(r"frame_?(?P<n>\d+)")
AXES: dict[str, Part] = {
    **dict.fromkeys(("u", "x", "flow_x"), "x"),  # type: ignore[arg-type]
    **dict.fromkeys(("v", "y", "flow_y"), "y"),  # type: ignore[arg-type]
}
OWN_ZIPS = frozenset((*AXES, "img", "image", "rgb", "flow"))


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or zip file that holds images of a video.

    Attributes:
        path: of the folder or zip file.
        part: what its files are; "named": their own names tell.
        axis: the folder that told so ("u", "x", ...), "" for named ones.
    """

    path: Path
    part: Part
    axis: str = ""

    def files(self) -> Iterator[str]:
        """Yield the names of its image files.

        Raises:
            DataError: the folder or zip file cannot be read.
        """
        try:
            if self.path.suffix.lower() == ".zip" and self.path.is_file():
                with zipfile.ZipFile(self.path) as archive:
                    names = archive.namelist()
            else:
                names = os.listdir(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path} cannot be read: {error}") from error
        for name in names:
            stem, suffix = os.path.splitext(name)
            hidden = os.path.basename(stem).startswith(".") or stem.startswith("__MACOSX")
            if suffix.lower() in SUFFIXES and not hidden:
                yield name


@dataclass(slots=True)
class FlowVideo:
    """A video whose flow lies in image files.

    Attributes:
        name: its folder below the root, posix.
        places: where its images lie.
        scale: file that holds the range of every field; None: there is none.
    """

    name: str
    places: list[Place] = field(default_factory=list)
    scale: Path | None = None

    def fingerprint(self, fps: float | None) -> str:
        """Return what changes where a file is replaced, by an older one too, or the rate is."""
        digest = hashlib.sha1(str(fps).encode(), usedforsecurity=False)
        for name, status in sorted(self._files(), key=lambda file: file[0]):
            digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield its zip files, images and ranges: a name, and what the system says of each."""
        for place in self.places:
            if not place.path.is_dir():
                yield place.path.name, place.path.stat()
                continue
            with os.scandir(place.path) as entries:
                for entry in entries:
                    if os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                        yield f"{place.part}{place.axis}/{entry.name}", entry.stat()
        if self.scale is not None:
            yield self.scale.name, self.scale.stat()


def find_flow(root: Path | str) -> list[FlowVideo]:
    """Return the videos with flow below a folder, by name; hidden entries aside.

    Raises:
        DataError: nothing recognisable lies there.
    """
    root = Path(root)
    if not root.is_dir():
        what = "is no folder" if root.exists() else "does not exist"
        raise DataError(f"{root} {what}: give the folder that holds the flow images")
    named: dict[Names, list[Place]] = {}
    axes: dict[Names, dict[Names, list[Place]]] = {}  # what is above the axis -> video -> places
    frames: dict[Names, Place] = {}
    numbered: dict[Names, Path] = {}  # folders of frame000001.jpg
    for below, path, names in _walk(root):
        kinds = {_kind(name) for name in names}
        below = tuple(part for part in below if not CHARADES_TREE.fullmatch(part))
        if "flow" in kinds:
            named.setdefault(below, []).append(Place(path, "named"))
        elif "rgb" in kinds:
            frames[below] = Place(path, "named")
        if "frame" in kinds:
            numbered[below] = path
        for name in names:
            if name.lower().endswith(".zip"):
                stem = name[: -len(".zip")]
                video = below if stem.lower() in OWN_ZIPS else (*below, stem)
                named.setdefault(video, []).append(Place(path / name, "named"))
    for below, at in _axis_places(numbered).items():
        path = numbered[below]
        if at is None:
            frames.setdefault(below, Place(path, "rgb"))
            continue
        above, video = below[:at], below[at + 1 :]
        if not video:
            above, video = (), above  # <video>/x/frame000001.jpg
        axis = below[at].lower()
        axes.setdefault(above, {}).setdefault(video, []).append(Place(path, AXES[axis], axis))
    videos = {parts: FlowVideo(_name(root, parts), places) for parts, places in named.items()}
    for above, found in axes.items():
        for video, places in found.items():
            # One container, such as tvl1_flow, is no part of the names; several keep them apart.
            parts = video if len(axes) == 1 else (*above, *video)
            flow = videos.setdefault(parts, FlowVideo(_name(root, parts)))
            flow.places += places
            beside = (place.path.with_name(place.path.name + ".bin") for place in places)
            flow.scale = min(filter(Path.is_file, beside), default=None, key=str)
    videos = {parts: video for parts, video in videos.items() if not _only_frames(video)}
    if not videos:
        raise DataError(
            f"{root} holds no flow that is known: expected image files named flow_x_00001.jpg, "
            "x_00001.jpg, or u/<video>/frame000001.jpg, with their y or v, in a folder a video"
        )
    _join_frames(videos, frames)
    return sorted(videos.values(), key=lambda video: video.name)


def known_bound(root: Path | str) -> float | None:
    """Return the bound that ``export_flow`` noted down beside its folders, None elsewhere."""
    try:
        return float(
            parse_json((Path(root) / "export.json").read_text(encoding="utf-8"))["bound_px"]
        )
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None


def _axis_places(folders: Iterable[Names]) -> dict[Names, int | None]:
    """Return which part of each folder's name is u, v, x or y, None for a folder of frames.

    A video may itself be called x or v: such a part counts where the other axis lies beside it.
    """
    below = {parts[:end] for parts in folders for end in range(1, len(parts) + 1)}
    found: dict[Names, int | None] = {}
    for parts in folders:
        found[parts] = next(
            (
                i
                for i, part in enumerate(parts)
                if part.lower() in AXES and (*parts[:i], _partner(part)) in below
            ),
            None,
        )
    if any(at == len(parts) - 1 for parts, at in found.items()):  # <video>/x/frame000001.jpg
        for parts, at in found.items():
            if at is None and parts and parts[-1].lower() in AXES:
                found[parts] = len(parts) - 1  # its y is missing, which is said later
    return found


def _partner(axis: str) -> str:
    return axis[:-1] + "xyuvXYUV"["yxvuYXVU".index(axis[-1])]


def _walk(root: Path) -> Iterator[tuple[Names, Path, list[str]]]:
    """Yield the folders below a root: their place, path and file names; links are followed."""
    seen: set[tuple[int, int]] = set()
    waiting: list[Names] = [()]
    while waiting:
        below = waiting.pop()
        path = root.joinpath(*below)
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            files = []
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        if is_foreign(entry.name):
                            continue
                        waiting.append((*below, entry.name))
                    else:
                        files.append(entry.name)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        yield below, path, files


def _kind(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in SUFFIXES:
        return ""
    if match := NAMED.fullmatch(stem):
        return "rgb" if match["rgb"] else "flow"
    if match := CHARADES.fullmatch(stem):
        return "flow" if match["axis"] else "rgb"
    return "frame" if FRAME.fullmatch(stem) else ""


def _name(root: Path, parts: Names) -> str:
    return "/".join(parts) or root.resolve().name


def _only_frames(video: FlowVideo) -> bool:
    """Whether a video's zip files hold no flow; folders without flow were never taken."""
    zips = [place for place in video.places if place.path.suffix.lower() == ".zip"]
    if len(zips) < len(video.places):
        return False
    if any(place.path.stem.lower() in AXES for place in zips):
        return False
    try:
        return not any(_kind(os.path.basename(n)) == "flow" for p in zips for n in p.files())
    except DataError:
        return False  # a damaged zip file is a bad video, to be named


def _join_frames(videos: dict[Names, FlowVideo], frames: dict[Names, Place]) -> None:
    """Give frames of a tree of their own, such as jpegs_256, to the videos of the same names."""
    known: dict[Names, FlowVideo] = {}
    for parts, video in videos.items():
        if parts[1:]:
            known.setdefault(parts[1:], video)
    known |= videos
    for parts, place in frames.items():
        found = known.get(parts) or known.get(parts[1:])
        if found and not any(other.part == "rgb" for other in found.places):
            found.places.append(place)
