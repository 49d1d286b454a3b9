"""FERAL's labels (.json): a number for each frame of each video, and the names of the classes.

    {"is_multilabel": false, "class_names": {"0": "other", "1": "walk"},
     "labels": {"a.mp4": [0, 1, 1, ...]}, "splits": {"train": ["a.mp4"], ...}}

Where classes overlap there is a list of 0 and 1 for each frame, one for each class. "Other" is none
of them. How many frames a second has is not in the file: it is told, or read from the videos.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twostream.labels.frame_table import BACKGROUND, refuse_names_of_none, runs, shown_frames
from twostream.labels.holds import Holds
from twostream.labels.label_text import a_list, a_text, an_object, read_json
from twostream.labels.recordings import Bout, Labels, Recording, one_line
from twostream.labels.video_facts import length_notes, with_rates
from twostream.types import DataError

HOLDS = Holds(
    title="FERAL labels",
    suffixes=(".json",),
    times="frames",
    points=False,
    overlaps=False,
    classes=True,
    several=True,
    names=True,
    length=True,
    fps=True,
    splits=True,
    rows=True,
)
OTHER = "other"
_NONE = (OTHER, BACKGROUND)
_SIDES = ("train", "val", "test")
_UNSEEN = "inference"  # the videos that are only to be labelled


def recognised(path: Path, start: str) -> bool:
    """Tell by two of the file's keys."""
    keys = ('"is_multilabel"', '"class_names"', '"splits"')
    return start.lstrip().startswith("{") and sum(key in start for key in keys) > 1


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read FERAL's labels.

    Args:
        path: the file.
        fps: frames a second; None: those of the videos, which lie beside it.

    Raises:
        DataError: it is no such file, a frame has no class of it, or a rate is not known.
    """
    body = an_object(path, "FERAL's labels", read_json(path))
    names = {
        key: one_line(a_text(name))
        for key, name in an_object(path, "class_names", body.get("class_names")).items()
    }
    if not names or set(names) != {str(i) for i in range(len(names))} or "" in names.values():
        raise DataError(f"{path}: class_names must name the classes 0, 1, 2, ...")
    in_order = [names[str(i)] for i in range(len(names))]
    if len(set(in_order)) < len(in_order):
        raise DataError(f"{path}: class_names names a class twice")
    splits = an_object(path, "splits", body.get("splits"))
    sides = {
        a_text(video): side for side in _SIDES for video in a_list(path, side, splits.get(side))
    }
    strange = [side for side in splits if side not in (*_SIDES, _UNSEEN) and splits[side]]
    notes = [
        f"{path}: splits has {one_line(side)}, which is none of {', '.join((*_SIDES, _UNSEEN))}: "
        "its videos stand on no side"
        for side in strange
    ]
    frames = {
        video: _flags(path, video, a_list(path, video, values), len(in_order))
        for video, values in an_object(path, "labels", body.get("labels")).items()
    }
    bare = tuple(Recording(video, ()) for video in frames)
    rates = with_rates(Labels(bare, ()), path.parent, fps=fps).recordings
    classes = tuple(name for name in in_order if name.lower() not in _NONE)
    recordings = [
        _recording(video, columns, in_order, rate.fps or 0.0, sides.get(video, ""))
        for (video, columns), rate in zip(frames.items(), rates, strict=True)
    ]
    notes += length_notes(path, recordings)
    return Labels(tuple(recordings), classes, notes=tuple(notes))


def _flags(path: Path, video: str, values: list[Any], count: int) -> list[list[bool]]:
    """Return for each class whether each frame shows it."""
    columns: list[list[bool]] = [[] for _ in range(count)]
    for frame, value in enumerate(values):
        flags = value if isinstance(value, list) else [value == i for i in range(count)]
        whole = isinstance(value, list) or (type(value) is int and 0 <= value < count)
        if not whole or len(flags) != count or not all(flag in (0, 1) for flag in flags):
            raise DataError(
                f"{path}: frame {frame} of {video or 'the video'} is {str(value)[:40]}, expected a "
                f"class from 0 to {count - 1}, or {count} of 0 and 1"
            )
        for column, flag in zip(columns, flags, strict=True):
            column.append(bool(flag))
    return columns


def _recording(
    video: str, columns: list[list[bool]], names: list[str], fps: float, side: str
) -> Recording:
    bouts = [
        Bout(start / fps, end / fps, name)
        for name, column in zip(names, columns, strict=True)
        if name.lower() not in _NONE
        for start, end in runs(column)
    ]
    return Recording(video, tuple(bouts), len(columns[0]) / fps, fps, split=side)


def text(labels: Labels, suffix: str) -> str:
    """Return FERAL's labels, with a list for each frame where classes overlap.

    Raises:
        DataError: a class is called "other" or "background", which is none.
    """
    refuse_names_of_none(labels, _NONE, HOLDS.title)
    names = [OTHER, *labels.classes]
    rows: dict[str, list[list[int]]] = {}
    for recording in labels.recordings:
        frames = shown_frames(recording, labels.classes)
        rows[recording.video] = [[int(not any(frame)), *frame] for frame in frames]
    overlap = any(sum(frame) > 1 for frames in rows.values() for frame in frames)
    sides = {
        side: [r.video for r in labels.recordings if r.split == (side if side in _SIDES else "")]
        for side in (*_SIDES, _UNSEEN)
    }
    body = {
        "is_multilabel": overlap,
        "class_names": {str(i): name for i, name in enumerate(names)},
        "labels": rows
        if overlap
        else {video: [frame.index(1) for frame in frames] for video, frames in rows.items()},
        "splits": sides,
    }
    return json.dumps(body, ensure_ascii=False) + "\n"
