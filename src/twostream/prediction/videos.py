"""Which videos a command is about, and what the files that it writes for them are called."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from twostream.datasets import is_one_video, videos_below
from twostream.files import check_writable
from twostream.types import VIDEO_SUFFIXES, DataError, UsageError
from twostream.video.addresses import is_address, without_password

logger = logging.getLogger(__name__)


def find_videos(paths: Sequence[Path]) -> dict[Path, Path]:
    """Return the videos of files and folders, in order, each once, and how it is called.

    Args:
        paths: video files, which may turn out missing; folders of frames, which are a video each;
            and folders of these, searched to the bottom, through links too; what of them may have
            been meant and is left out is told.

    Returns:
        Video -> its name: of a folder the path below it, else the file's.

    Raises:
        DataError: a folder without a video.
        UsageError: the address of a stream.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if is_address(path):
            address = without_password(path.as_posix().replace(":/", "://", 1))
            raise UsageError(
                f"{address} is an address, not a file: watch it with --live ADDRESS, or download it"
            )
        if not path.is_dir():
            found.setdefault(path, Path(path.name))
            continue
        inside, left_out = videos_below(path)
        for what in left_out:
            logger.warning(what)
        if not inside and is_one_video(path):
            logger.info(
                f"{path} holds numbered images: it is taken as one video, at the model's frame rate"
            )
            found.setdefault(path, Path(path.name))
            continue
        if not inside:
            known = ", ".join(sorted(VIDEO_SUFFIXES))
            raise DataError(
                f"{path} is a folder without videos, looked for {known} and folders of numbered "
                "images (img_00001.jpg)"
            )
        for video in inside:
            found.setdefault(video, video.relative_to(path))
    return found


def output_paths(
    videos: dict[Path, Path], out: Path, suffix: str, *, several: bool
) -> dict[Path, Path]:
    """Return where the file that is written for each video goes.

    Args:
        videos: from ``find_videos``.
        out: a file for one video, a folder for several.
        suffix: of the files; of the name of a file for one video it is the user's.
        several: whether ``out`` is a folder.

    Returns:
        Video -> path. ``a/clip.avi`` of a folder becomes ``OUT/a/clip.srt``; videos that differ in
        their suffix alone keep it: ``OUT/a/clip.avi.srt``.

    Raises:
        UsageError: two videos would share one file, a file would replace a video, ``out`` is a
            folder where a file is wanted or the other way round, or its folder is not there or
            cannot be written to.
    """
    if not several:
        (video,) = videos
        if out.is_dir():
            raise UsageError(f"{out} is a folder: for one video name a file")
        if not out.parent.is_dir():
            raise UsageError(f"{out} cannot be written: no folder {out.parent}")
        paths = {video: out}
    else:
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file: for several videos name a folder")
        stems = Counter(name.with_suffix("") for name in videos.values())
        paths = {}
        for video, name in videos.items():
            shared = stems[name.with_suffix("")] > 1
            paths[video] = out / name.with_name((name.name if shared else name.stem) + suffix)
        uses = Counter(paths.values())
        for video, path in paths.items():
            if uses[path] > 1:
                raise UsageError(
                    f"several videos are called {video.name}, and {path} can hold only one: "
                    "give their common folder instead of the files"
                )
    own = {video.resolve() for video in videos}
    for path in paths.values():
        if path.resolve() in own:
            raise UsageError(f"{path} is one of the videos: give another name")
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and a file of that name is to be written")
    for folder in sorted({path.parent for path in paths.values()}):
        try:
            check_writable(folder)
        except OSError as error:
            raise UsageError(
                f"{folder} cannot be written to ({error.strerror or error}): name another place"
            ) from error
    return paths


def check_apart(paths: Mapping[str, Mapping[Path, Path]]) -> None:
    """Refuse two options that would write one file: the second would replace the first.

    Args:
        paths: option -> video -> path, from ``output_paths``.

    Raises:
        UsageError: as said.
    """
    taken: dict[Path, str] = {}
    for kind, files in paths.items():
        for path in files.values():
            other = taken.setdefault(path.resolve(), kind)
            if other != kind:
                raise UsageError(
                    f"--{other} and --{kind} would both write {path}: give each its own name"
                )
