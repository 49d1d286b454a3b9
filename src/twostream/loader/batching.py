"""Batches of training and samples of scoring.

Training batches are a pure function of (seed, step): neither the number of workers or devices nor
an interruption changes which samples a step sees.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from twostream import stopping
from twostream.augment import color_jitter, flip, random_crop, scaled_crop
from twostream.loader.resized_crops import centre_samples, resized_crop
from twostream.sampling import class_uniform_batch, even_shares, sample_rng, segment_positions
from twostream.store.clips import Clips
from twostream.threads import ahead, costs_one_video, sentence
from twostream.types import LabeledVideo, StoreError, TemporalInput, TwoStreamError, is_flow


@dataclass(frozen=True, kw_only=True)
class Batches(Dataset[dict[str, Tensor]], ABC):
    """The batches of a training: item ``step`` is the whole batch of that step.

    Samples are mirrored half of the time, RGB with colour jitter (section 5).

    Attributes:
        temporal: the temporal stream's input, None for the spatial stream.
        seed: with the step, decides everything.
        steps: length of the run.
        batch_size: global batch, over all devices.
        crop_size: side of the crops in pixels.
        segments: frames or stacks of a sample, one from each part of its clip.
        crop_scales: see ``Recipe``.
        flips: mirror half of the samples.
        lighting: strength of the colour jitter, RGB only.
        heads: for multi-task learning (section 4), the number of classes of each data set, whose
            labels follow one another; every data set gives an equal share of each batch. None:
            one data set.
        rank, world_size: this process makes every world_size-th sample of the global batch.
    """

    temporal: TemporalInput | None = None
    seed: int
    steps: int
    batch_size: int
    crop_size: int
    segments: int = 1
    crop_scales: tuple[float, ...] = ()
    flips: bool
    lighting: float
    heads: tuple[int, ...] | None = None
    rank: int = 0
    world_size: int = 1

    @property
    @abstractmethod
    def labels(self) -> NDArray[np.int64]:
        """The label of each video or image."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where the samples are read from, by every process."""

    @abstractmethod
    def rows(self, step: int) -> NDArray[np.int64]:
        """Return which videos or images the global batch is made of, (batch_size,)."""

    @abstractmethod
    def crop(self, row: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a random crop of one of them, (segments, length, c, size, size)."""

    @property
    def shares(self) -> tuple[int, ...]:
        """Return how many samples of the global batch each data set gives."""
        return even_shares(self.batch_size, len(self.heads or (1,)))

    def __len__(self) -> int:
        return self.steps

    def share(self, rank: int, world_size: int) -> Self:
        """Return the batches that one of several processes makes."""
        return replace(self, rank=rank, world_size=world_size)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Return this process's share: crops (b, segments, length, c, size, size), labels (b,)."""
        rows = self.rows(step)
        own = range(self.rank, self.batch_size, self.world_size)
        length = self.temporal.length if self.temporal else 1
        flow, size = is_flow(self.temporal), self.crop_size
        shape = (len(own), self.segments, length, 2 if flow else 3, size, size)
        crops = np.empty(shape, np.float32)
        for place, i in enumerate(own):
            rng = sample_rng(self.seed, step, i)
            crop = self.crop(int(rows[i]), rng)
            if self.flips and rng.random() < 0.5:
                crop = flip(crop, is_flow=flow)
            if not flow and self.lighting:
                crop = color_jitter(crop, rng, strength=self.lighting)
            # copied at once: a crop is a view, and keeping 32 whole stacks alive costs fresh memory
            crops[place] = crop
        return {
            "crops": torch.from_numpy(crops),
            "labels": torch.from_numpy(self.labels[rows[list(own)]]),
        }


@dataclass(frozen=True, kw_only=True)
class TrainingBatches(Batches):
    """The batches of a stream's training.

    Videos are drawn uniformly across the classes, from each one a random frame or stack, and a
    random crop of the whole frame (section 5).

    Attributes:
        clips: where the samples come from.
        videos: training videos.
    """

    clips: Clips
    videos: Sequence[LabeledVideo]

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The label of each video."""
        return np.array([video.label for video in self.videos])

    @property
    def folder(self) -> Path:
        """The (first) flow store."""
        return self.clips.store.root

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the videos of a step: one data set's share after another."""
        parts, first = [], 0
        for size, share in zip(self.heads or (len(self.labels),), self.shares, strict=True):
            labels = self.labels
            if self.heads:
                own = (labels >= first) & (labels < first + size)
                labels = np.where(own, labels, -1)
            parts.append(class_uniform_batch(labels, seed=self.seed, step=step, batch_size=share))
            first += size
        return np.concatenate(parts)

    def crop(self, row: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the same random crop of a random frame or stack of each segment of a video."""
        clip = self.clips[self.videos[row].video_id]
        seen = clip.seen_positions(self.temporal)
        positions = [seen[i] for i in segment_positions(len(seen), self.segments, rng)]
        size = self.crop_size
        if self.crop_scales:
            window = scaled_crop(*clip.size, self.crop_scales, rng)
            return np.stack(
                [resized_crop(clip, self.temporal, each, window, size) for each in positions]
            )
        stack = clip.stack(self.temporal, positions[0])
        height, width = stack.shape[-2:]
        window = random_crop(height, width, size, rng)
        rest = [window.cut(clip.stack(self.temporal, each)) for each in positions[1:]]
        return np.stack([window.cut(stack), *rest])


@dataclass(frozen=True)
class ScoringSamples(Dataset[dict[str, object]]):
    """The frames or stacks that each video is scored on: item i belongs to video i.

    Attributes:
        clips: where the samples come from.
        videos: videos to score, each exactly once.
        temporal: the temporal stream's input, None for the spatial stream.
        test_positions: samples a video at equal temporal spacing (25 in section 5).
        centre: the largest centred square alone, at this size; None: whole frames.
    """

    clips: Clips
    videos: Sequence[LabeledVideo]
    temporal: TemporalInput | None
    test_positions: int
    centre: int | None = None

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, row: int) -> dict[str, object]:
        """Return ``Clip.samples``; a video that cannot be read comes as its ``error`` instead."""
        try:
            clip = self.clips[self.videos[row].video_id]
            if self.centre is None:
                stacks, counts = clip.samples(self.temporal, self.test_positions)
            else:
                asked = self.temporal, self.test_positions, self.centre
                stacks, counts = centre_samples(clip, *asked)
        except Exception as error:
            if not (isinstance(error, StoreError) or costs_one_video(error)):
                raise
            return {"row": row, "error": sentence(error)}
        return {"row": row, "stacks": torch.from_numpy(stacks), "counts": torch.from_numpy(counts)}


def batches(
    dataset: Dataset, order: Iterable[int], *, workers: int = 0, pin_memory: bool = False
) -> DataLoader:
    """Return a loader that yields the items of ``order``, in that order, whole.

    Errors of ours that its processes meet are raised as they are.
    """
    return _Loader(
        _Sent(dataset) if workers else dataset,
        batch_size=None,
        sampler=order,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
        worker_init_fn=stopping.end_with_parent,
    )


class _Loader(DataLoader):
    """A loader whose processes a stop does not catch while they start."""

    def __iter__(self) -> Any:
        with stopping.put_off():
            items = super().__iter__()
        return map(_arrived, items) if self.num_workers else items


@dataclass(frozen=True)
class _Sent(Dataset[Any]):
    """A data set in a loader's process, whose errors of ours are sent as items.

    Those that are raised there come as a traceback in the place of their sentence.
    """

    dataset: Dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, row: int) -> Any:
        try:
            return self.dataset[row]
        except TwoStreamError as error:
            # a disk that refuses is told by it; others may not be such as can be sent
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else None
            return _SentError(error, cause)


@dataclass(frozen=True)
class _SentError:
    """An error and its cause, which is not sent with it."""

    error: TwoStreamError
    cause: OSError | None


def _arrived(item: Any) -> Any:
    """Return an item of a loader's process; raises the error that came in its place."""
    if isinstance(item, _SentError):
        raise item.error from item.cause
    return item


class TimedLoader:
    """Iterates a loader one batch ahead, and adds up how long the consumer waited for it.

    The next batch is made in a thread while the network works on this one: NumPy and torch release
    the interpreter, and a loader without processes of its own would leave cores idle otherwise.

    Attributes:
        wait_seconds: waiting time so far.
    """

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.wait_seconds = 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        with closing(ahead(self.loader, depth=0)) as items:
            start = time.perf_counter()
            for batch in items:
                self.wait_seconds += time.perf_counter() - start
                yield batch
                start = time.perf_counter()
