"""What can be wrong with a request, said before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import torch

from twostream.initialise import NetSettings, starting_network
from twostream.multitask import kept_classes
from twostream.run.other_data import OtherData, overlap_of
from twostream.run.settings import RunSettings
from twostream.run.steps import store_for
from twostream.sampling import even_shares
from twostream.store.flow_store import SETTINGS_NAME, FlowStore
from twostream.training import TrainerOptions, check_batch
from twostream.types import (
    DataError,
    DatasetSplit,
    LabeledVideo,
    ModelError,
    UsageError,
    VideoError,
)
from twostream.video import open_reader


def check_request(
    settings: RunSettings,
    split: DatasetSplit,
    others: Sequence[OtherData],
    out: Path,
    options: TrainerOptions,
) -> None:
    """Raise what a run would only meet after its first hour, a TwoStreamError; nothing is written.

    A refused command leaves no RUN folder, so that the corrected one may use the same name.
    """
    options.check()
    splits = [split, *(other.split for other in others)]
    heads = len(splits) if others and settings.how == "multitask" else 1
    check_batch(even_shares(settings.recipe.batch_size, heads), options.processes)
    if settings.how == "added" and others:
        kept_classes(splits, settings.how, overlap_of(settings, splits))
    stores = [settings.store_folder(out), *(other.store for other in others)]
    if settings.flows:
        check_choice(split, stores[0])
    for part, root in zip(splits, stores, strict=True):
        wanted = store_for(settings.stored, root).complete()  # its flow can be made here
        FlowStore.check_place(root, wanted)
        check_videos(
            part.train, short_side=wanted.short_side, smallest_side=settings.recipe.smallest_side
        )
    for stream in settings.streams:
        check_network(settings.net(stream), len(split.classes))


def check_choice(split: DatasetSplit, store: Path) -> None:
    """Raise a UsageError where no flow can be chosen: the store has one, or no clips are held out.

    Args:
        split: its training side chooses.
        store: for the chosen flow.
    """
    if (store / SETTINGS_NAME).is_file():
        raise UsageError(f"--flow auto needs a store of its own, and {store} has its flow already")
    if len({video.group or video.video_id for video in split.train}) < 2:
        raise UsageError(
            "--flow auto holds training clips of some groups back, and they are all of one: name a "
            "flow"
        )


def check_network(settings: NetSettings, num_classes: int) -> None:
    """Build a stream's network, load what it starts from, and show it one crop.

    Raises:
        TwoStreamError: no such network or file, or it does not take what the stream sees.
    """
    network, said = starting_network(settings, num_classes)
    channels = settings.sees.num_channels if settings.sees else 3
    size = settings.recipe.of(settings.stream).crop_size
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, channels, size, size))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{said.architecture} does not take crops of {size} px with {channels} channels "
            f"({reason[0]}): choose another --crop-size or another network"
        ) from error


def check_videos(
    videos: Sequence[LabeledVideo], *, short_side: int | None, smallest_side: int
) -> None:
    """Raise a DataError unless videos of two classes can be used; the rest is looked at later.

    Args:
        videos: to train on.
        short_side: of the stored size, px; None: each video's own.
        smallest_side: smaller frames, px, cannot be used (``Recipe.smallest_side``).
    """
    usable: set[int] = set()
    why: dict[str, str] = {}
    for video in videos:
        if video.label in usable:
            continue
        try:
            with open_reader(video.path, short_side=short_side) as reader:
                height, width = reader.size
        except VideoError as error:
            why[video.video_id] = error.cause
            continue
        if min(height, width) < smallest_side:
            why[video.video_id] = (
                f"its frames of {width}x{height} px are smaller than the crop of "
                f"{smallest_side} px: use a smaller --crop-size"
            )
            continue
        usable.add(video.label)
        if len(usable) == 2:
            return
    check_classes(usable, why)


def check_classes(labels: Set[int], unusable: Mapping[str, str]) -> None:
    """Raise a DataError where clips of fewer than two classes are left to train.

    Args:
        labels: of the clips that are left.
        unusable: video id -> why it cannot be used.
    """
    if len(labels) >= 2:
        return
    first = next((f"{video_id}: {cause}" for video_id, cause in unusable.items()), None)
    reason = (
        f"{len(unusable)} videos cannot be used, the first is {first}; see `twostream doctor`"
        if first
        else "none of another trains, so choose another split, fold or test groups"
    )
    raise DataError(f"training needs clips of at least two classes, got {len(labels)}: {reason}")
