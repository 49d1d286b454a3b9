"""Training on several data sets (section 4, table 2): multi-task heads, or one list of classes.

Both are one net over the classes of all data sets, one set after another. With *multi-task* heads
each set has a softmax layer of its own, which is a part of the last layer's outputs (see
``training.own_head``); with *added* classes there is one softmax over the first set's classes and
those of the others' that do not overlap. Afterwards ``cut_head`` leaves an ordinary model of one
data set, so that prediction and evaluation know nothing of all this.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from torch import nn

from twostream.checkpoint import StreamModel
from twostream.models import classifier
from twostream.store.clips import Clip, Clips, motion_rms
from twostream.store.flow_store import FlowStore
from twostream.types import DataError, DatasetSplit, LabeledVideo, ModelError, TemporalInput

How = Literal["multitask", "added", "pretrain"]
HOWS: tuple[How, ...] = ("multitask", "added", "pretrain")
# Which UCF-101 classes HMDB-51 has too; the rule stands in the file.
OFFICIAL_OVERLAP = files("twostream").joinpath("overlap_ucf101_hmdb51.csv")


@dataclass(frozen=True)
class JoinedData:
    """Several data sets as one to train on.

    Attributes:
        split: training videos of all sets under ids ``<set>/<video id>``, labels over all classes;
            nothing to test.
        clips: their clips, by these ids.
        outputs: which outputs of the net are each data set's classes.
        heads: number of classes of each data set; None where all share one softmax.
    """

    split: DatasetSplit
    clips: JoinedClips
    outputs: tuple[range, ...]
    heads: tuple[int, ...] | None

    def describe(self) -> str:
        """Say in one line what is trained on."""
        count = len(self.split.classes)
        how = f"{count} classes in one list"
        if self.heads:
            how = f"{len(self.heads)} heads of {' + '.join(map(str, self.heads))} classes"
        return (
            f"temporal stream: trained on {len(self.split.train)} videos of {self.split.dataset}, "
            f"{how}"
        )


@dataclass(frozen=True)
class JoinedClips:
    """Clips of several stores, by ``<number of the set>/<video id>``.

    Attributes:
        caches: each data set's clips.
        flow_scales: what each data set's flow is multiplied by.
    """

    caches: tuple[Clips, ...]
    flow_scales: tuple[float, ...]

    @property
    def store(self) -> FlowStore:
        """The store of the first data set, whose settings the model file tells."""
        return self.caches[0].store

    def __getitem__(self, video_id: str) -> Clip:
        """Return the clip; raises StoreError where a file is missing or damaged."""
        number, own = self._own(video_id)
        return replace(self.caches[number][own], flow_scale=self.flow_scales[number])

    def fps(self, video_id: str) -> float:
        """Return the frame rate of a stored clip, without decoding anything."""
        number, own = self._own(video_id)
        return self.caches[number].fps(own)

    def _own(self, video_id: str) -> tuple[int, str]:
        number, _, own = video_id.partition("/")
        return int(number), own


def join(
    parts: Sequence[tuple[DatasetSplit, Clips]],
    how: How,
    overlap: frozenset[tuple[str, str]] | None = None,
    *,
    temporal: TemporalInput,
) -> JoinedData:
    """Put the training videos of several data sets together.

    Args:
        parts: each set's split, whose training videos are taken, and its clips; the one that is
            meant to profit first.
        how: "multitask", or "added": one softmax, and classes of the others that overlap with the
            first set's are left out with their videos.
        overlap: (class of the first set, class of another set) that mean the same; None: those
            of the same name, lower case, without spaces, hyphens and underscores.
        temporal: what the net sees. Flow of each set is brought to the root mean square of the
            first one's, as a net of one set is too: videos of another size, rate or camera would
            else reach the net as much weaker or stronger motion.

    Raises:
        DataError: nothing of the other sets is left.
    """
    splits = [split for split, _ in parts]
    classes: list[str] = []
    videos: list[LabeledVideo] = []
    outputs: list[range] = []
    for number, kept in enumerate(kept_classes(splits, how, overlap)):
        split = splits[number]
        label = {old: len(classes) + new for new, old in enumerate(kept)}
        for video in split.train:
            if video.label in label:
                ident = f"{number}/{video.video_id}"
                videos.append(replace(video, video_id=ident, label=label[video.label]))
        outputs.append(range(len(classes), len(classes) + len(kept)))
        classes += [f"{split.dataset}/{split.classes[i]}" for i in kept]
    names = " + ".join(split.dataset for split in splits)
    joined = DatasetSplit(names, splits[0].name, tuple(classes), tuple(videos), ())
    scales = [1.0] * len(parts)
    if not temporal.rgb:
        sizes = [motion_rms(clips, split.train, temporal) for split, clips in parts]
        scales = [sizes[0] / size for size in sizes]
    clips = JoinedClips(tuple(clips for _, clips in parts), tuple(scales))
    heads = tuple(map(len, outputs)) if how == "multitask" else None
    return JoinedData(joined, clips, tuple(outputs), heads)


def kept_classes(
    splits: Sequence[DatasetSplit], how: How, overlap: frozenset[tuple[str, str]] | None
) -> list[list[int]]:
    """Return which classes of each data set the net has: all, but for overlapping added ones.

    Raises:
        DataError: nothing of another set is left, or the list names a class that is not there.
    """
    first = splits[0]
    kept = [list(range(len(first.classes)))]
    for split in splits[1:]:
        if overlap is not None:
            _check_overlap(overlap, first, split)
            same = {name for _, name in overlap}
        else:
            known = set(map(_plain, first.classes))
            same = {name for name in split.classes if _plain(name) in known}
        labels = list(range(len(split.classes)))
        if how == "added":
            labels = [i for i in labels if split.classes[i] not in same]
            if not labels:
                raise DataError(
                    f"every class of {split.dataset} overlaps with one of {first.dataset}, so none "
                    "can be added"
                )
        kept.append(labels)
    return kept


def cut_head(
    model: StreamModel, outputs: range, flow_scale: float = 1.0, **changes: Any
) -> StreamModel:
    """Return a model of one data set: the trunk, and the part of the last layer that is its own.

    Args:
        model: trained on several data sets.
        outputs: which outputs to keep.
        flow_scale: what the data set's flow was multiplied by in training; its own pixels are
            normalised accordingly.
        changes: of the model's spec: ``classes``, ``dataset``, ``store`` and so on.

    Raises:
        ModelError: the network's last layer has not one output a class.
    """
    std = tuple(value / flow_scale for value in model.spec.std)
    spec = replace(model.spec, std=std, **changes)
    own = set(classifier(model.network).modules())
    layers = [
        name
        for name, module in model.network.named_modules()
        if module in own and isinstance(module, nn.Linear | nn.Conv2d)
    ]
    tensors = model.network.state_dict()
    if not layers or len(tensors[f"{layers[-1]}.weight"]) != len(model.spec.classes):
        raise ModelError(f"{spec.architecture} has no last layer that can be divided into heads")
    for key in (f"{layers[-1]}.weight", f"{layers[-1]}.bias"):
        if key in tensors:
            tensors[key] = tensors[key][outputs.start : outputs.stop].clone()
    head = StreamModel(spec)
    head.network.load_state_dict(tensors)
    return head.eval()


def read_overlap(path: Path | None, datasets: Sequence[str]) -> frozenset[tuple[str, str]] | None:
    """Read which classes of two data sets mean the same.

    Args:
        path: a CSV file with one column a data set, named in its first line; lines that start
            with # are comments. None: the list that comes with twostream for UCF-101 and HMDB-51,
            and nothing for other data.
        datasets: names of the first data set and of another one: which columns to read. Columns
            that are named otherwise are taken in this order.

    Returns:
        Pairs (class of the first, class of the other), or None where no list is known.

    Raises:
        DataError: no such file, or not two columns.
    """
    if path is None:
        if set(datasets) != {"UCF-101", "HMDB-51"}:
            return None
        text, name = OFFICIAL_OVERLAP.read_text(encoding="utf-8"), "the built-in list"
    else:
        if not path.is_file():  # a pipe or a device may have no end
            raise DataError(f"{path} cannot be read as a list of classes: it is no file on disk")
        try:
            text, name = path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as a list of classes ({error})") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    if not rows or any(len(row) != 2 for row in rows):
        raise DataError(
            f"{name} must have two columns, the classes of {datasets[0]} and of {datasets[1]} that "
            "mean the same, and their names in the first line"
        )
    order = (0, 1) if rows[0] != [datasets[1], datasets[0]] else (1, 0)
    return frozenset((row[order[0]], row[order[1]]) for row in rows[1:])


def _check_overlap(
    overlap: frozenset[tuple[str, str]], own: DatasetSplit, other: DatasetSplit
) -> None:
    """Raise a DataError that names a class of the list which its data set does not have."""
    for column, split in ((0, own), (1, other)):
        unknown = sorted({pair[column] for pair in overlap} - set(split.classes))
        if unknown:
            raise DataError(
                f"the list of overlapping classes names {', '.join(unknown)}, which "
                f"{split.dataset} does not have: its classes are {', '.join(split.classes[:8])}..."
            )


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")
