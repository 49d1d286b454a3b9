"""The nouns of the package, the shape legend and the errors.

Shape legend, used in every signature and docstring:

    b  samples in a batch        n  videos, frames or fields        k  classes
    l  length of a stack         h, w  height and width in pixels of the stored size

A *field* is the optical flow of one pair of frames, ``(2, h, w)`` float32: component 0 is the
displacement to the right (x), component 1 downwards (y), in pixels of the stored size per frame.
A *stack* is ``(length, 2, h, w)``; it becomes ``2 * length`` channels only at the model's door.
Frames are ``(h, w, 3)`` uint8 RGB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
from numpy.typing import NDArray

from twostream.schema import RANGES, from_json
from twostream.terminal import on_one_line

Stream = Literal["spatial", "temporal"]
STREAMS: tuple[Stream, ...] = get_args(Stream)
Codec = Literal["jpeg", "lossless"]
Subset = Literal["train", "test"]
Direction = Literal["forward", "backward"]
MOST_ENLARGED = 2.5  # times, of a crop that is resized for its net
TestCrops = Literal["ten", "centre"]
ChannelOrder = Literal["rgb", "bgr"]
ValueRange = Literal[1, 255]
_VIDEOS = "3g2 3gp 264 asf avi dv f4v flv gif h264 h265 hevc m2ts m2v m4v mkv mov mp4 mpe mpeg mpg"
VIDEO_SUFFIXES = frozenset(f".{a}" for a in f"{_VIDEOS} mts mxf ogm ogv ts vob webm wmv".split())


class Progress(Protocol):
    """Told how far a job is, several times a second at most where that is often enough.

    What else a user should read goes to ``logging.getLogger("twostream....")``, level INFO, and
    WARNING for what may make results worse.
    """

    def __call__(self, task: str, done: float, total: float, detail: str = "") -> None:
        """Take the news.

        Args:
            task: what is done, some words: "extract flow".
            done: steps, videos or seconds that are done; the last call has ``done == total``.
            total: in all.
            detail: the rest of the line: a rate, the time left, a file.
        """
        ...


def no_progress(task: str, done: float, total: float, detail: str = "") -> None:
    """Tell nobody: the default."""


class TwoStreamError(Exception):
    """Base of every error a user can mend; the message says what, expected and got, what to do.

    It is one line, whatever names and values are in it.
    """

    exit_status = 1

    def __str__(self) -> str:
        return on_one_line(super().__str__())


class UsageError(TwoStreamError):
    """An option or argument is wrong."""

    exit_status = 2


class DataError(TwoStreamError):
    """A data set, list file or class folder cannot be used as it is."""


class VideoError(TwoStreamError):
    """One video cannot be decoded.

    Attributes:
        path: the file.
        cause: why, in words, without the file's name.
    """

    def __init__(self, path: Path | str, cause: str) -> None:
        super().__init__(f"{path}: {cause}")
        self.path = Path(path)
        self.cause = cause

    def __reduce__(self) -> tuple[type[VideoError], tuple[Path, str]]:
        return VideoError, (self.path, self.cause)


class StoreError(TwoStreamError):
    """A flow store is missing, damaged or was made with other settings."""


class ModelError(TwoStreamError):
    """A model file or a weights file does not fit."""


class RunError(TwoStreamError):
    """A RUN folder is in use, unfinished, or holds something else."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockMotion:
    """The codec's motion vectors of a frame, relative to the frame shown before it.

    Attributes:
        blocks: (n, 4) int32: left, top, width and height in px of the coded picture.
        vectors: (n, 2) float32: from a block to the place that it was predicted from, px to the
            right and downwards.
        height, width: of the coded picture, px.
        rotation: degrees clockwise, 0, 90, 180 or 270, that make the coded picture upright.
        mirrored: whether it is then mirrored, left to right.
    """

    blocks: NDArray[np.int32]
    vectors: NDArray[np.float32]
    height: int
    width: int
    rotation: int
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame.

    Attributes:
        rgb: (h, w, 3) uint8, upright (turn and mirror of the metadata applied).
        pts_seconds: presentation time, s, as a player of the file counts; strictly increasing.
        motion: the codec's vectors, where the reader was asked for them.
    """

    rgb: NDArray[np.uint8]
    pts_seconds: float
    motion: BlockMotion | None = None


@dataclass(frozen=True, slots=True)
class LabeledVideo:
    """A video with its label.

    Attributes:
        video_id: unique in its data set: the path below the root, posix, with suffix.
        path: where the file, or the folder of frames, lies.
        label: index into the data set's classes; -1 where no label is known.
        group: people, source or take; videos of one group never stand on both sides of a split.
    """

    video_id: str
    path: Path
    label: int
    group: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetSplit:
    """Training and test videos of one split.

    Attributes:
        dataset: name of the data, for tables ("weizmann", "UCF-101").
        name: which split ("split 1", "fold 2/3", "test groups lyova,moshe").
        classes: class names, in label order.
        notes: sentences a user should read (a class that is on one side only, how it was split).
    """

    dataset: str
    name: str
    classes: tuple[str, ...]
    train: tuple[LabeledVideo, ...]
    test: tuple[LabeledVideo, ...]
    notes: tuple[str, ...] = ()

    def videos(self, subset: Subset | None = None) -> tuple[LabeledVideo, ...]:
        """Return the videos of one subset, or of both."""
        if subset is None:
            return self.train + self.test
        return self.train if subset == "train" else self.test


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalInput:
    """Which of section 3.1's inputs the temporal stream sees.

    Attributes:
        length: L, number of flow fields in a stack (or of RGB frames where ``rgb``).
        trajectory: sample along the motion trajectories (eq. 2) instead of in place (eq. 1).
        bidirectional: L/2 forward fields and L/2 backward fields around the centre; L even.
        subtract_mean: subtract each whole field's mean vector.
        rgb: no flow at all: a plain stack of L RGB frames (our own baseline).
        differences: of these, what each has more than the one before: L - 1 (Wang et al. 2016).
    """

    length: int = 10
    trajectory: bool = False
    bidirectional: bool = False
    subtract_mean: bool = True
    rgb: bool = False
    differences: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.length <= RANGES["length"][1]:
            raise UsageError(f"a stack needs a length of at least 1, got {self.length}")
        if self.bidirectional and self.length % 2:
            lower = f"{self.length - 1} or " if self.length > 1 else ""
            raise UsageError(
                f"a bi-directional stack needs an even length, got {self.length}: "
                f"use {lower}{self.length + 1}"
            )
        if self.rgb and (self.trajectory or self.bidirectional):
            raise UsageError("an RGB stack has no trajectory and no direction: drop those options")
        if self.differences and not (self.rgb and self.length > 1):
            raise UsageError("differences are those of RGB frames, of two at least")

    @property
    def num_channels(self) -> int:
        """Channels at the model's door: 2L for flow, 3L for RGB frames, one less of differences."""
        return (3 if self.rgb else 2) * (self.length - self.differences)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which flow directions must be in the store."""
        if self.rgb:
            return ()
        return ("forward", "backward") if self.bidirectional else ("forward",)


def is_flow(temporal: TemporalInput | None) -> bool:
    """Tell optical flow from stacks of frames, and from single frames (None)."""
    return temporal is not None and not temporal.rgb


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What a model file says about its network; no flag at prediction can contradict it.

    Attributes:
        stream: "spatial" or "temporal".
        architecture: see ``models.build_model``.
        classes: class names in label order.
        temporal: the temporal stream's input; None for the spatial stream.
        crop_size: side of the crops that the net takes, px; of the stored size where ``test_crops``
            is "ten".
        mean, std: normalisation, one value a colour (in the net's own order and scale, below) or
            one for flow (pixels): the net sees (value - mean) / std.
        dropout: of the classifier; needed to train on.
        flips: whether mirrored crops are scored too.
        test_positions: how many frames or stacks a video is scored on.
        store: the settings that the frames and flow were stored with, as a plain dict:
            estimator, its parameters, short side, codec, quality, bound.
        fps: frame rate that the net was trained at; other videos are resampled to it.
        dataset, split, recipe: for people.
        test_crops: what a frame or stack is scored on: "ten" crops of ``crop_size``, corners and
            centre (section 5), or the "centre": the largest square, resized to it; and the mirror
            images of either where ``flips``.
        channel_order: colours as the net expects them: "rgb", or "bgr" as nets of Caffe do.
        value_range: its white, 1 or 255. Crops are RGB in 0..1 everywhere else.
    """

    stream: Stream
    architecture: str
    classes: tuple[str, ...]
    temporal: TemporalInput | None
    crop_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dropout: float
    flips: bool
    test_positions: int
    store: dict[str, Any]
    fps: float
    dataset: str = ""
    split: str = ""
    recipe: str = ""
    test_crops: TestCrops = "ten"
    channel_order: ChannelOrder = "rgb"
    value_range: ValueRange = 1

    def __post_init__(self) -> None:
        planes = 2 if self.is_flow else 3
        if not {len(self.mean), len(self.std)} <= {1, planes} or not all(x > 0 for x in self.std):
            raise ValueError(f"mean and std take 1 or {planes} numbers, those of std above 0")
        if not self.classes:
            raise ValueError("it names no class")

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """Read what ``to_json`` returns; a ValueError says what is missing, unknown or wrong."""
        try:
            return from_json(cls, fields)
        except UsageError as error:  # of the temporal input
            raise ValueError(str(error)) from error

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` reads."""
        return asdict(self)

    @property
    def in_channels(self) -> int:
        """Channels at the model's door."""
        return self.temporal.num_channels if self.temporal else 3

    @property
    def centre_size(self) -> int | None:
        """Size of the centred square where that alone is scored; None: ten crops."""
        return self.crop_size if self.test_crops == "centre" else None

    @property
    def smallest_side(self) -> int:
        """Shorter side, px, that a stored frame must have."""
        enlarged = MOST_ENLARGED if self.test_crops == "centre" else 1
        return math.ceil(self.crop_size / enlarged)

    @property
    def is_flow(self) -> bool:
        """Whether the net sees optical flow, not colours."""
        return is_flow(self.temporal)


@dataclass(frozen=True, slots=True, eq=False)
class VideoScores:
    """Class scores of videos: the hand-over between evaluation, fusion, tables and reports.

    Everything is matched by video id, never by order.

    Attributes:
        video_ids: n ids.
        labels: (n,) int64 true labels, -1 where unknown.
        classes: k class names.
        scores: (n, k) float32; rows of unreadable videos are all zero.
        kind: "probabilities" (rows sum to 1) or "logits" (e.g. SVM decision values).
        stream: "spatial", "temporal", "average", "svm", "fused", ... for tables.
        unreadable: video id -> why it could not be scored; counted as wrong.
    """

    video_ids: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    scores: NDArray[np.float32]
    kind: Literal["probabilities", "logits"] = "probabilities"
    stream: str = ""
    unreadable: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (len(self.video_ids), len(self.classes))
        if self.scores.shape != expected:
            raise DataError(f"scores have shape {self.scores.shape}, expected {expected}")
        if self.labels.shape != expected[:1]:
            raise DataError(f"labels have shape {self.labels.shape}, expected {expected[:1]}")
        if len(set(self.video_ids)) != len(self.video_ids):
            raise DataError("a video id stands twice in the scores: each video counts once")

    def predictions(self) -> NDArray[np.int64]:
        """Return (n,) best class of each video, -1 for unreadable videos."""
        if not len(self.video_ids):
            return np.zeros(0, np.int64)
        best = self.scores.argmax(axis=1).astype(np.int64)
        best[[video_id in self.unreadable for video_id in self.video_ids]] = -1
        return best

    def correct(self) -> NDArray[np.bool_]:
        """Return (n,) whether each video's best class is its label; unreadable ones are wrong."""
        return (self.predictions() == self.labels) & (self.labels >= 0)

    def accuracy(self) -> float:
        """Return the share of videos that are right, in 0..1; NaN without videos."""
        return float(self.correct().mean()) if len(self.video_ids) else float("nan")

    def select(self, video_ids: Sequence[str]) -> VideoScores:
        """Return the scores of these videos, in this order; raises DataError for a missing one."""
        row = {video_id: i for i, video_id in enumerate(self.video_ids)}
        missing = [video_id for video_id in video_ids if video_id not in row]
        if missing:
            raise DataError(
                f"no {self.stream} scores for {len(missing)} videos, the first is {missing[0]}: "
                "evaluate this stream on the same videos"
            )
        rows = [row[video_id] for video_id in video_ids]
        return replace(
            self,
            video_ids=tuple(video_ids),
            labels=self.labels[rows],
            scores=self.scores[rows],
            unreadable={i: why for i, why in self.unreadable.items() if i in set(video_ids)},
        )
