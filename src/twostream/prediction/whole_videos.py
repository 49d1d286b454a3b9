"""A whole video in memory, with its flow, as the networks of a run see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from twostream.extraction import extract_to_memory
from twostream.store.clip_file import ClipFile
from twostream.store.clip_readers import ClipReader
from twostream.store.clips import Clip, kinds_of
from twostream.store.coding import Kind, frames_of
from twostream.store.flow_store import StoreSettings
from twostream.types import ModelSpec
from twostream.video.opening import check_size


def read_clip(video: Path | str, specs: Sequence[ModelSpec]) -> Clip:
    """Decode a video once, with its flow, as the networks of one run see it: into memory.

    Raises:
        VideoError: it cannot be decoded, or is smaller than the networks' crop.
    """
    return clip_of(read_whole(video, specs), specs)


def read_whole(video: Path | str, specs: Sequence[ModelSpec]) -> dict[Kind, ClipFile]:
    """Decode a video as ``read_clip`` does, with the same errors; of several stretches, once."""
    files = extract_to_memory(Path(video), StoreSettings.of_model(specs[0]), kinds_of(specs))
    header = files[next(iter(files))].header
    check_size(video, *header.seen_size, specs[0].smallest_side)
    return files


def clip_of(files: Mapping[Kind, ClipFile], specs: Sequence[ModelSpec], video_id: str = "") -> Clip:
    """Return a video that is in memory as a clip, or the stretch of it that an id names.

    Raises:
        StoreError: the stretch begins where the video has ended.
    """
    # single frames are picked from the file; overlapping stacks would decode theirs twice
    stacked = any(spec.temporal and spec.temporal.rgb for spec in specs)
    return Clip(
        {
            kind: ClipReader(file, frames_of(video_id, file.header), keep=kind != "rgb" or stacked)
            for kind, file in files.items()
        }
    )
