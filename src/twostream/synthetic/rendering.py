"""Renders the built-in data set as video files, and says which class differs from which."""

from __future__ import annotations

from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream.files import write_text
from twostream.synthetic.actions import PAIRS, ActionPair, Style
from twostream.synthetic.figure import Actor, Canvas, cast_actor
from twostream.synthetic.scene import FPS, HEIGHT, WIDTH, Scene, make_scene, paint_place
from twostream.threads import ThreadPool, num_cores
from twostream.types import DataError, Progress, UsageError, no_progress
from twostream.video import VideoWriter

MOTION_GROUPS = tuple(pair.classes for pair in PAIRS if pair.colors is None)
TURNING_GROUPS = tuple(pair.classes for pair in PAIRS if pair.turns)
APPEARANCE_GROUPS = tuple(pair.classes for pair in PAIRS if pair.colors is not None)
CLASSES = tuple(sorted(name for pair in PAIRS for name in pair.classes))

Frames = list[NDArray[np.uint8]]

# First words of the seeds, so that no two draws share a stream of random numbers.
_GROUP, _CLIP, _PAIR = 1, 2, 3

_LISTS = "ucfTrainTestlist"
_USUAL_QUALITY = 4  # quantiser of MPEG-4, of which a file's size is about the -0.75th power
_QUALITY_PER_SIZE = 1 / 0.75
_SIZE_SPREAD = 0.3


def render_dataset(
    root: Path | str,
    *,
    seed: int = 0,
    groups: int = 24,
    progress: Progress = no_progress,
) -> Path:
    """Write the data set as MPEG-4 files in UCF-101's layout and naming.

    The files are ``root/<Class>/v_<Class>_g01_c01.avi`` (80x64, 25 frames/s, 24 to 40 frames) and
    ``root/ucfTrainTestlist/{classInd,trainlist01,testlist01}.txt``; as in UCF-101's first split the
    first groups are the test groups, here a third of all. The same arguments give the same bytes.

    Args:
        root: folder to write; made if absent, files of the same name are replaced.
        seed: of everything random, at least 0.
        groups: number of actors, each in a place of their own, with a clip of each class; 2 to 99.
        progress: told after each scene's clips, in this thread.

    Returns:
        `root`.

    Raises:
        UsageError: a number out of range.
        DataError, VideoError: the folder or the disk refuses.
    """
    for name, value, low, high in (("seed", seed, 0, 2**32 - 1), ("groups", groups, 2, 99)):
        if not low <= value <= high:
            raise UsageError(f"{name} must lie in {low}..{high}, got {value}")
    root = Path(root)
    try:
        for folder in (*CLASSES, _LISTS):
            (root / folder).mkdir(parents=True, exist_ok=True)
        _write_lists(root / _LISTS, groups)
    except OSError as error:
        raise DataError(
            f"{root}: the data set cannot be written here ({error.strerror}): choose another folder"
        ) from error
    total, done = groups * len(CLASSES), 0
    pool = ThreadPool(num_cores())
    try:
        futures = [pool.submit(_write_scene, root, seed, group + 1) for group in range(groups)]
        for future in as_completed(futures):
            done += future.result()
            progress("render clips", done, total)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return root


def _render(
    pair: ActionPair, actor: Actor, scene: Scene, rng: np.random.Generator
) -> tuple[Frames, Frames]:
    """Render a pair's two clips in one scene."""
    style = pair.style(rng)
    grain_seed = int(rng.integers(2**63))
    moments = pair.moments(len(scene.camera), style, FPS)

    def clip(style: Style, moments: list[float]) -> Frames:
        # twins get the same grain, or it would tell them apart
        grain = np.random.default_rng(grain_seed)
        frames = []
        for i, (moment, (dx, dy)) in enumerate(zip(moments, scene.camera, strict=True)):
            canvas = Canvas((scene.ground[0] - dx, scene.ground[1] - dy), scene.facing)
            pair.draw(canvas, actor, moment, style)
            noise = scene.grain * grain.standard_normal((HEIGHT, WIDTH, 1), np.float32)
            picture = np.rint(canvas.over(scene.view(i)) + noise)
            frames.append(np.clip(picture, 0, 255).astype(np.uint8))
        return frames

    if pair.colors is not None:
        one, other = (clip(replace(style, color=color), moments) for color in pair.colors)
        return one, other
    there = clip(style, moments)
    if not pair.turns:
        return there, there[::-1]
    # frames cannot be put in another order here: the camera would jump at the turn
    return there, clip(style, [1 - moment for moment in moments])


def _write_scene(root: Path, seed: int, group: int) -> int:
    """Write the clips of all classes of one group; returns how many."""
    rng = np.random.default_rng([_GROUP, seed, group])
    actor, place = cast_actor(rng), paint_place(rng)
    rng = np.random.default_rng([_CLIP, seed, group, 1])
    scene = make_scene(place, rng)
    rendered: dict[Path, Frames] = {}
    sizes = []
    for number, pair in enumerate(PAIRS, start=1):
        draws = np.random.default_rng([_PAIR, seed, group, 1, number])
        for name, frames in zip(pair.classes, _render(pair, actor, scene, draws), strict=True):
            rendered[root / name / _file_name(name, group)] = frames
        path = root / pair.classes[0] / _file_name(pair.classes[0], group)
        sizes.append(_write_video(path, rendered[path], _USUAL_QUALITY))
    # Movement costs bytes, so at one quality the file's size would tell the class. Each pair is
    # given a random size instead, about the mean of the scene's, and the quality that comes to it.
    wanted = np.mean(sizes) * np.exp(rng.uniform(-_SIZE_SPREAD, _SIZE_SPREAD, len(PAIRS)))
    qualities = _USUAL_QUALITY * (np.array(sizes) / wanted) ** _QUALITY_PER_SIZE
    for (path, frames), quality in zip(rendered.items(), qualities.repeat(2), strict=True):
        _write_video(path, frames, round(float(np.clip(quality, 2, 8))))
    return len(CLASSES)


def _write_video(path: Path, frames: Frames, quality: int) -> int:
    """Write one clip and return the file's size in bytes."""
    with VideoWriter(path, fps=FPS, width=WIDTH, height=HEIGHT, quality=quality) as writer:
        for frame in frames:
            writer.write(frame)
    return path.stat().st_size


def _write_lists(folder: Path, groups: int) -> None:
    """Write the class index and the lists of UCF-101's layout."""
    index, train, test = [], [], []
    for i, name in enumerate(CLASSES, start=1):
        index.append(f"{i} {name}")
        for group in range(1, groups + 1):
            path = f"{name}/{_file_name(name, group)}"
            if group <= max(1, groups // 3):
                test.append(path)
            else:
                train.append(f"{path} {i}")
    for file, lines in (("classInd", index), ("trainlist01", train), ("testlist01", test)):
        write_text(folder / f"{file}.txt", "".join(f"{line}\n" for line in lines))


def _file_name(name: str, group: int) -> str:
    return f"v_{name}_g{group:02d}_c01.avi"
