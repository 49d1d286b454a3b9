"""Settings that follow the data: frame rate, stored size and crop, length of the stack.

What the training clips are decides; nothing is decoded but the first frame of each, and test clips
have no say.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from twostream.extraction.frame_pairs import SAME_RATE
from twostream.labels.stretch_ids import span_of
from twostream.recipe import Recipe
from twostream.threads import ThreadPool, num_cores
from twostream.types import MOST_ENLARGED, DatasetSplit, LabeledVideo, TemporalInput, VideoError
from twostream.video import VideoInfo, open_reader, stored_size
from twostream.video.container_claims import FALLBACK_FPS

logger = logging.getLogger(__name__)

NEARLY_ALL = 0.95  # this share of the clips must have a rate, or be large enough for a crop
CROP_STEP = 16  # nets halve their maps four times
SHORTEST, LONGEST = 6, 10  # of a stack; ten is the paper's


def probe(videos: Iterable[LabeledVideo]) -> list[VideoInfo]:
    """Return what the files of the videos say about themselves; those that do not open say nothing.

    Each file is opened once in a process, a few milliseconds each, in threads.
    """
    return [info for info in _probes(videos) if info is not None]


def _probes(videos: Iterable[LabeledVideo]) -> list[VideoInfo | None]:
    with ThreadPool(num_cores(), thread_name_prefix="probe") as pool:
        return list(pool.map(_probed, [video.path for video in videos]))


def _probed(path: Path) -> VideoInfo | None:
    try:
        status = path.stat()
        return _info(path, status.st_mtime_ns, status.st_size)
    except (VideoError, OSError):
        return None


@lru_cache(maxsize=1 << 17)
def _info(path: Path, _changed: int, _size: int) -> VideoInfo:
    with open_reader(path) as reader:
        return reader.info


# --- frame rate -----------------------------------------------------------------------------------


def common_rate(split: DatasetSplit) -> float | None:
    """Return the frame rate that all clips are brought to, and say so; None: they are of one rate.

    Training clips decide; where there are none, test clips.
    """
    rate = shared_rate(split)
    if rate and (note := rate_note(rates_of(split.videos()), rate)):
        logger.info(note)
    return rate


def shared_rate(split: DatasetSplit) -> float | None:
    """Return what ``common_rate`` does, and say nothing.

    Folders of frames, whose rate nobody knows, have no say, and are taken at the others' rate.
    """
    deciding = rates_of(split.train)
    rates = [*deciding, *rates_of(split.test)]
    taken = [FALLBACK_FPS] if any(not info.fps_told for info in probe(split.videos())) else []
    return choose_rate(deciding or rates) if rates and not _same([*rates, *taken]) else None


def rates_of(videos: Iterable[LabeledVideo]) -> list[float]:
    """Return the frame rates of the videos that open and tell it, rounded to a hundredth."""
    return [round(info.fps, 2) for info in probe(videos) if info.fps_told]


def _same(rates: Sequence[float]) -> bool:
    return max(rates) <= min(rates) * (1 + SAME_RATE)


def choose_rate(rates: Sequence[float]) -> float:
    """Return the highest rate that nearly all clips reach; faster ones are brought down to it.

    At 60 frames a second the flow of a pair is less than half of that at 25, so one model needs one
    rate. A clip that is brought down loses frames, and what is left is as real as before: every
    second one of 59.94 is exactly 29.97. A clip that is brought up gets repeated frames, and the
    flow of one pair divided over two or three: motion that no camera saw.

    Args:
        rates: frames per second, one a clip.

    >>> choose_rate([25.0] * 30 + [30.0] * 70), choose_rate([10.0] * 4 + [30.0] * 96)
    (25.0, 30.0)
    """
    ascending = np.sort(np.asarray(rates, float))

    def reached(rate: float) -> float:
        return float(np.mean(ascending >= rate * (1 - SAME_RATE)))

    highest = max(rate for rate in ascending.tolist() if reached(rate) >= NEARLY_ALL)
    alike = Counter(rate for rate in ascending.tolist() if _same([rate, highest]))
    return max(alike, key=lambda rate: (alike[rate], rate))


def rate_note(rates: Sequence[float], rate: float | None) -> str:
    """Return one line on clips whose rate is not the one they are stored at; "" if all have it."""
    if rate is None or not rates or _same([rate, *rates]):
        return ""
    slower = sum(own * (1 + SAME_RATE) < rate for own in rates)
    counts = Counter(rates).most_common()
    listed = ", ".join(f"{count} of {own:g}" for own, count in counts[:4])
    more = f" and {len(counts) - 4} other rates" if len(counts) > 4 else ""
    note = (
        f"clips have different frame rates ({listed}{more}): all are brought to {rate:g} frames/s"
    )
    if len(counts) == 1:
        note = f"clips of {rates[0]:g} frames/s are brought to {rate:g}"
    if slower:
        note += (
            f"; {slower} slower one{'s' if slower > 1 else ''} of {len(rates)} "
            f"repeat{'' if slower > 1 else 's'} frames, with their flow divided evenly"
        )
    return note


# --- size and length ------------------------------------------------------------------------------


def fitting_size(short_sides: Sequence[int], *, short_side: int, crop_size: int) -> tuple[int, int]:
    """Return the (short side, crop) that small clips allow, px; the same where they fit.

    Frames are never stored larger than they are: that costs time and shows nothing more. So the
    crop is the largest multiple of 16 that nearly all clips hold, and the short side shrinks in
    proportion, so that larger clips still show as much of themselves in a crop. It is never above
    the largest clip's, so that prediction shows larger videos at the scale that was trained on.

    Args:
        short_sides: of the clips, px.
        short_side, crop_size: the recipe's, px; they only ever shrink.

    >>> fitting_size([64] * 80 + [240] * 20, short_side=128, crop_size=112)
    (73, 64)
    >>> fitting_size([64] * 100, short_side=128, crop_size=112)
    (64, 64)
    """
    ascending = sorted(short_sides)
    nearly_all = ascending[int((1 - NEARLY_ALL) * len(ascending) + 1e-9)] if ascending else 0
    crop = crop_size if nearly_all >= crop_size else nearly_all // CROP_STEP * CROP_STEP
    if not crop:
        return short_side, crop_size  # nothing fits: the run says so
    return min(ascending[-1], max(crop, round(short_side * crop / crop_size))), crop


def shrunk(recipe: Recipe, short_side: int, crop_size: int) -> Recipe:
    """Return the recipe for clips of a smaller size; the spatial net's crop may be enlarged."""
    temporal = min(recipe.of("temporal").crop_size, crop_size)
    enlarged = min(recipe.least_crop_size or 0, int(MOST_ENLARGED * crop_size), recipe.crop_size)
    return replace(
        recipe,
        short_side=short_side,
        crop_size=max(crop_size, enlarged // CROP_STEP * CROP_STEP),
        temporal_crop_size=temporal if recipe.temporal_crop_size else None,
    )


def stack_length(num_fields: Sequence[int]) -> int:
    """Return L for clips of so many flow fields: the paper's 10, or 8 or 6 for short clips.

    A clip of n fields has n - L + 1 stacks. Below 2L all of them share the fields in the middle, so
    the clip gives little more than one sample to train on and to average over, and a stack that
    reaches over an end only repeats the last field. So L is at most half of the median clip; even,
    for bi-directional stacks; never below 6, where the paper's gain over single fields is had
    (table 1b: 5 fields lose half a point to 10).

    >>> stack_length([39, 39, 14]), stack_length([17] * 3), stack_length([9])
    (10, 8, 6)
    """
    if not num_fields:
        return LONGEST
    half = int(np.median(np.asarray(num_fields))) // 2
    return min(LONGEST, max(SHORTEST, half - half % 2))


def _num_fields(videos: Sequence[LabeledVideo], rate: float | None) -> list[int]:
    """Return how many flow fields each clip has at a rate; those that do not tell it say nothing.

    A labelled stretch has those of its own time, and not of its whole recording.
    """
    found = []
    for video, info in zip(videos, _probes(videos), strict=True):
        if info is None or not info.num_frames_claimed:
            continue
        frames, at = float(info.num_frames_claimed), rate or info.fps
        if info.fps_told:  # one that tells no rate of its own keeps its frames
            frames *= at / info.fps
        if (span := span_of(video.video_id)) is not None:
            frames = min(frames, (span[1] - span[0]) * at)
        found.append(max(1, round(frames) - 1))
    return found


def _enlarged_note(infos: Sequence[VideoInfo], short_side: int) -> str:
    """Return one line on clips that are enlarged to the stored size; "" where none is, by much."""
    small = [side for info in infos if (side := min(info.height, info.width)) < 0.95 * short_side]
    if not small:
        return ""
    return (
        f"{len(small)} of {len(infos)} clips are smaller than {short_side} px, the least of "
        f"{min(small)} px: they are enlarged, so that motion in them is that of the others"
    )


def adapted(
    recipe: Recipe,
    temporal: TemporalInput,
    split: DatasetSplit,
    *,
    rate: float | None,
    stored_side: int | None = None,
    enlarges: bool = True,
) -> tuple[Recipe, TemporalInput, tuple[str, ...]]:
    """Fit what the recipe leaves to the data (``Recipe.adapts``) to the training clips.

    Args:
        recipe, temporal: what is asked for; another length than the paper's stays.
        split: its training side decides.
        rate: that clips are brought to; None: each its own.
        stored_side: short side that the clips are stored at already, px; None: not yet.
        enlarges: False for flow that was imported: it is as it is.

    Returns:
        Recipe and input as they are used, and a line on each change.
    """
    infos = probe(split.train) if recipe.adapts else []
    notes: list[str] = []
    if "size" in recipe.adapts:
        sides = [min(stored_size(info.height, info.width, stored_side)) for info in infos]
        short, crop = fitting_size(sides, short_side=recipe.short_side, crop_size=recipe.crop_size)
        short = stored_side or short
        fit = shrunk(recipe, short, crop)
        if (short, crop) != (recipe.short_side, recipe.crop_size):
            limit = recipe.short_side if crop == recipe.crop_size else recipe.crop_size
            small = sum(side < limit for side in sides)
            enlarged = f", enlarged to {fit.crop_size} for the spatial net"
            notes.append(
                f"{small} of {len(sides)} training clips are smaller than {limit} px: frames are "
                f"stored at a short side of {short} px and cropped to {crop}"
                f"{enlarged if fit.crop_size > crop else ''} (--short-side and --crop-size choose "
                "others)"
            )
        recipe = fit
    if (
        recipe.resizes
        and enlarges
        and (note := _enlarged_note(probe(split.videos()), recipe.short_side))
    ):
        notes.append(note)
    if "length" in recipe.adapts and temporal.length == LONGEST and not temporal.rgb:
        fields = _num_fields(split.train, rate)
        length = stack_length(fields)
        if length != temporal.length:
            notes.append(
                f"the median training clip has {int(np.median(fields))} flow fields: stacks of "
                f"{length} instead of {temporal.length} (--length chooses another)"
            )
        temporal = replace(temporal, length=length)
    return recipe, temporal, tuple(notes)
