"""Which video of a data set a folder of flow stands for."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from twostream.datasets import Dataset
from twostream.types import VIDEO_SUFFIXES, LabeledVideo

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Folders and the videos they stand for.

    Attributes:
        videos: name of a folder -> its video.
        unmatched: name of a folder -> why it stands for none.
        without: ids of the data set's videos that no folder stands for.
    """

    videos: dict[str, LabeledVideo]
    unmatched: dict[str, str]
    without: tuple[str, ...]


def match_names(names: Sequence[str], dataset: Dataset) -> Matched:
    """Match folders with videos by their names without suffix, class folders included if needed.

    ``v_Archery_g01_c01``, ``Archery/v_Archery_g01_c01`` and ``flow/v_Archery_g01_c01.avi`` all
    stand for ``Archery/v_Archery_g01_c01.avi``. Capitals tell apart only where nothing else does:
    UCF-101's ``HandStandPushups`` is spelt in two ways. A folder inside another class's folder
    never matches.
    """
    by_key: dict[Key, list[LabeledVideo]] = defaultdict(list)
    for video in dataset.videos:
        parts = _parts(video.video_id)
        for start in range(len(parts)):
            by_key[_folded(parts[start:])].append(video)
    classes = {name.casefold(): label for label, name in enumerate(dataset.classes)}
    videos: dict[str, LabeledVideo] = {}
    unmatched: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in names:
        found = _find(_parts(name), by_key, classes)
        if isinstance(found, str):
            unmatched[name] = found
        elif found.video_id in taken:
            unmatched[name] = f"{found.video_id} has the flow of {taken[found.video_id]} already"
        else:
            videos[name] = found
            taken[found.video_id] = name
    without = tuple(v.video_id for v in dataset.videos if v.video_id not in taken)
    return Matched(videos=videos, unmatched=unmatched, without=without)


def _find(
    parts: Key, by_key: dict[Key, list[LabeledVideo]], classes: dict[str, int]
) -> LabeledVideo | str:
    """Return the video that shares the longest end of its path, or why there is none."""
    for start in range(len(parts)):
        found = by_key.get(_folded(parts[start:]), [])
        if len(found) > 1:
            exact = [v for v in found if _parts(v.video_id)[-len(parts) + start :] == parts[start:]]
            found = exact or found
        if len(found) > 1:
            ids = ", ".join(video.video_id for video in found[:3])
            return f"{len(found)} videos are called so ({ids}): keep the class folders in the names"
        if found:
            above = classes.get(parts[start - 1].casefold()) if start else None
            if above is not None and above != found[0].label:
                return f"it lies in the folder of another class than {found[0].video_id}"
            return found[0]
    return "no video is called so"


def without_suffix(name: str) -> str:
    """Return a name without a video's suffix; others stay."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name


def _parts(name: str) -> Key:
    return tuple(without_suffix(name).split("/"))


def _folded(parts: Key) -> Key:
    return tuple(part.casefold() for part in parts)
