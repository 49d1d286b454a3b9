"""The steps that every job is made of: choose a store, extract, score; ``one_stream`` trains.

``train``, ``evaluate``, the library, the demo and the experiments all take these, so that what
one of them does to a video every other does too.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twostream.checkpoint import StreamModel
from twostream.extraction import extract
from twostream.extraction.frame_pairs import SAME_RATE
from twostream.extraction.pauses import MAX_FILLED_SECONDS, known_until
from twostream.labels.stretch_ids import span_of, stored_id
from twostream.run.data_settings import common_rate
from twostream.scoring import evaluate
from twostream.store.clips import ClipCache, Clips, kinds_of
from twostream.store.coding import ClipHeader, frames_of
from twostream.store.flow_store import SETTINGS_NAME, FlowStore, Kind, StoreSettings
from twostream.threads import ask_disk
from twostream.training import TrainerOptions
from twostream.types import (
    DatasetSplit,
    LabeledVideo,
    Progress,
    StoreError,
    VideoScores,
    no_progress,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredSplit:
    """A split whose frames and flow lie in a store.

    Attributes:
        split: training and test videos; training videos that cannot be used are left out.
        clips: their frames and flow.
        unusable: video id -> why it cannot be used, of both sides.
    """

    split: DatasetSplit
    clips: Clips
    unusable: dict[str, str]


def store_for(
    wanted: StoreSettings, root: Path, split: DatasetSplit | None = None
) -> StoreSettings:
    """Return what the store at ``root`` is made with, or was.

    Imported flow is taken as it is. Where no frame rate is wanted it is the store's own, or one for
    all videos where theirs differ (``data_settings.choose_rate``).

    Args:
        wanted: what is asked for.
        root: folder of the store, which need not exist.
        split: what will be stored; None: nothing yet, so nothing is told, and the rate of a store
            that is not there stays open.
    """
    made = FlowStore.open(root).settings if (root / SETTINGS_NAME).is_file() else None
    if made and made.imported:
        if split:
            side = made.short_side
            size = f"a short side of {side} px" if side else "its own size"
            logger.info(
                f"{root} holds imported flow, used as it is at {size}: --flow and such do not apply"
            )
        return made
    if wanted.fps is not None:
        return wanted
    if made or split is None:
        return replace(wanted, fps=made.fps if made else None)
    return replace(wanted, fps=common_rate(split))


def extract_split(
    split: DatasetSplit,
    root: Path,
    settings: StoreSettings,
    *,
    kinds: tuple[Kind, ...],
    smallest_side: int,
    workers: int | None = None,
    device: str = "auto",
    cluster: str | None = None,
    progress: Progress = no_progress,
) -> StoredSplit:
    """Bring frames and flow of both sides into a store; each video that is odd is named.

    A video whose own frames are smaller than the smallest side cannot be used either.

    Args:
        split: training and test videos; one side may be empty.
        root: folder of the store; made where it is missing.
        settings: how videos are stored, see ``store_for``.
        kinds: what is needed of each video.
        smallest_side: of the frames, px, see ``Recipe.smallest_side``.
        workers, device, cluster, progress: as in ``extraction.extract``.
    """
    summary = extract(
        split.videos(),
        store=root,
        settings=settings,
        kinds=kinds,
        workers=workers,
        device=device,
        cluster=cluster,
        progress=progress,
    )
    if summary.pairs and summary.device == "cuda":
        logger.info(f"the flow was computed on the GPU, {summary.pairs_per_second:.0f} pairs/s")
    store, odd = FlowStore.open(root), dict[str, str]()
    wholes = {stored_id(video.video_id) for video in split.videos()} - summary.failed.keys()
    headers = ask_disk(
        lambda whole: store.clip(whole, kinds[0]).header,
        sorted(wholes),
        tell=lambda read: progress("look at stored videos", read, len(wholes)),
    )
    say_rates({whole: header.fps for whole, header in headers.items()})
    for video_id in (video.video_id for video in split.videos()):
        header = headers.get(stored_id(video_id))
        if header and (why := _unusable(video_id, header, smallest_side)):
            odd[video_id] = why
    for video_id, why in {**summary.warnings, **summary.failed, **odd}.items():
        logger.warning(f"{video_id}: {why}")
    failed = {
        video.video_id: summary.failed[stored_id(video.video_id)]
        for video in split.videos()
        if stored_id(video.video_id) in summary.failed
    }
    unusable = failed | odd
    empty = {
        video.video_id
        for video in split.train
        if (header := headers.get(stored_id(video.video_id))) and _is_pause(video.video_id, header)
    } - unusable.keys()
    if empty:
        logger.info(
            f"{len(empty)} stretches lie in pauses of their videos: nothing is learnt of them"
        )
    left_out = empty | unusable.keys()
    train = tuple(video for video in split.train if video.video_id not in left_out)
    return StoredSplit(replace(split, train=train), ClipCache(store, kinds), unusable)


def say_rates(rates: Mapping[str, float], learnt: float | None = None) -> None:
    """Warn of videos that are stored at another rate than others: motion in them looks different.

    Args:
        rates: video -> frames per second, as it is stored.
        learnt: what networks learnt from; None: the commonest.
    """
    if not rates:
        return
    usual = learnt or Counter(rates.values()).most_common(1)[0][0]
    odd = [name for name, rate in rates.items() if abs(rate - usual) > SAME_RATE * usual]
    if odd:
        logger.warning(
            f"{len(odd)} of {len(rates)} videos are stored at another rate than {usual:g} fps, "
            f"the first is {min(odd)} at {rates[min(odd)]:g}: the same motion looks different in "
            "them; another --store, or --fps, brings all to one"
        )


def _is_pause(video_id: str, header: ClipHeader) -> bool:
    """Tell whether a stretch has no frame of its own: it would show the one before the pause."""
    if span_of(video_id) is None:
        return False
    try:
        frames = frames_of(video_id, header)
    except StoreError:
        return False
    return any(first <= frames.start and frames.stop <= after for first, after in header.pauses)


def _unusable(video_id: str, header: ClipHeader, smallest_side: int) -> str:
    """Return why a stored video, or a stretch of one, cannot be used; "" where it can."""
    height, width = header.seen_size
    if min(height, width) < smallest_side:
        return (
            f"its frames of {width}x{height} px are smaller than the crop of "
            f"{smallest_side} px: use a smaller --crop-size"
        )
    try:
        frames_of(video_id, header)
    except StoreError as error:
        return str(error)
    span, until = span_of(video_id), known_until(header)
    if span and until is not None and span[1] > until:
        return (
            f"its video has pauses of more than {MAX_FILLED_SECONDS:.0f} s, so that what was at a "
            f"time after {until:.1f} s is not known: cut the video there, and label its parts"
        )
    return ""


def seen_by(clips: Clips, kinds: tuple[Kind, ...]) -> Clips:
    """Return clips of the kinds that one stream sees, so that memory holds no others."""
    return clips.of(kinds) if isinstance(clips, ClipCache) else clips


def score(
    model: StreamModel,
    videos: Sequence[LabeledVideo],
    data: StoredSplit,
    options: TrainerOptions,
    **more: Any,
) -> VideoScores:
    """Score stored videos with one stream, on the chosen device.

    Args:
        model: the stream.
        videos: what to score, with labels of the model's classes.
        data: where their clips are, and which cannot be used.
        options: accelerator, loader processes.
        **more: ``skip_unreadable`` and ``progress``, as in ``scoring.evaluate``.
    """
    return evaluate(
        model,
        videos,
        seen_by(data.clips, kinds_of([model.spec])),
        device=options.device(),
        loader_workers=options.workers(),
        unreadable=data.unusable,
        **more,
    )
