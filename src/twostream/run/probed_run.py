"""New last layers for networks that are trained, from features of labelled time: in seconds.

Linear probes on what the networks make of each moment (``prediction.video_features``), as a
training starts with (``training.linear_start``), and the fusion and the durations of bouts of a run
as ever. What comes of it is a RUN like others, for everything that predicts.
"""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.bout_model import BoutModel
from twostream.checkpoint import StreamModel, save_model
from twostream.datasets import Dataset, recordings_under_test
from twostream.datasets.time_spans import length, within, without
from twostream.labels import Labels
from twostream.labels.recordings import Span
from twostream.labels.stretch_ids import span_of, stored_id
from twostream.log_linear import counts_alike, write_fusion
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.timeline import Timeline
from twostream.prediction.video_features import (
    VideoFeatures,
    featured_timeline,
    last_layer,
    softmax_scores,
)
from twostream.run.bout_durations import learn_bouts
from twostream.run.bout_evidence import ENOUGH_SECONDS, HeldOut, telling_first
from twostream.run.cross_fitting import fused_out_of_fold, learnt_fusion
from twostream.sampling import even_indices
from twostream.training.linear_start import fitted_probe
from twostream.types import (
    DataError,
    DatasetSplit,
    LabeledVideo,
    Progress,
    Stream,
    VideoScores,
    no_progress,
)

logger = logging.getLogger(__name__)

LOOKS = 3  # a labelled stretch, of about two seconds, is learnt from
FOLDS = 3  # of the groups, so that the fusion is learnt from what last layers had not seen

TOLERANCE = 1e-2  # of a fit: a hundredth takes five times as long and is no better out of fold
NEVER = -30.0  # bias of a class that no stretch is of

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # (k, d) and (k,)


@dataclass(frozen=True, slots=True, eq=False)
class _Stretches:
    """Labelled stretches, and what networks make of them.

    Attributes:
        videos: n of them.
        looks: stream -> (n, l, m, d) of l looks and m crops each.
        shares: stream -> (m,) how much each crop counts.
    """

    videos: tuple[LabeledVideo, ...]
    looks: dict[Stream, NDArray[np.float16]]
    shares: dict[Stream, NDArray[np.float32]]

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([video.label for video in self.videos], np.int64)

    def rows(self, videos: Sequence[LabeledVideo]) -> list[int]:
        places = {video.video_id: i for i, video in enumerate(self.videos)}
        return [places[video.video_id] for video in videos]


def probe_run(
    models: Sequence[StreamModel],
    dataset: Dataset,
    labels: Labels,
    features: Mapping[str, VideoFeatures],
    out: Path,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write a RUN of the networks with last layers that are fitted to labels.

    Args:
        models: one or both streams; they stay as they are.
        dataset: labelled stretches of recordings, of all its classes.
        labels: that they are of.
        features: video id of a recording -> what these networks make of it; recordings without are
            left out. One is held at a time: hours of video fill the memory.
        out: its folder.
        seed: decides the folds.
        progress: told how many last layers are fitted; may raise.

    Returns:
        ``classes``; ``stretches``, how many are learnt from;
        ``accuracy`` of the streams and ``fused``, of the ``tested`` ones of them, by last layers
        that saw none of their group, and weights of the streams likewise; ``untested``, the classes
        that none of them is of; ``apart``, whether they saw none of their video either.

    Raises:
        DataError: fewer than two classes have labelled time.
        ModelError: a network that does not end with one full layer.
    """
    found = _stretches(dataset, features)
    if len(np.unique(found.labels)) < 2:
        raise DataError(
            "label bouts of two classes, or of one and some time with nothing: one alone cannot be "
            "told from anything"
        )
    whole = DatasetSplit(
        dataset=dataset.name, name="all", classes=dataset.classes, train=found.videos, test=()
    )
    folds = _folds(dataset, found.videos, seed)
    numbers, layers = itertools.count(1), len(models) * (len(folds) + 1)

    def fitted() -> None:
        progress("fitting last layers", next(numbers), layers)

    of_folds = [_models(models, found, fold, fitted) for fold in folds]
    fit = [_out_of_fold(i, of_folds, found, folds) for i in range(len(models))] if folds else []
    fusion = learnt_fusion(fit, folds, alike=True) if len(fit) > 1 else None

    def held_out(bouts: BoutModel) -> list[HeldOut]:
        """Return time lines of each fold's recordings by last layers that did not see them."""
        parts = []
        for own, fold in zip(of_folds, folds, strict=True):
            tested = recordings_under_test(dataset, fold.test, labels)
            predictor = TwoStreamPredictor.from_models(own, fusion=fusion, bouts=bouts)
            lines = dict[str, Timeline]()
            for video_id in telling_first(tested.labels):
                enough = sum(line.seconds for line in lines.values()) > ENOUGH_SECONDS
                if not enough and (seen := features.get(video_id)) is not None:
                    path = tested.videos[video_id]
                    lines[video_id] = featured_timeline(predictor, seen, path)
            parts.append(HeldOut(tested.labels, lines))
        return parts

    for model in _models(models, found, whole, fitted):
        save_model(out / f"{model.spec.stream}.safetensors", model)
    if fusion is not None:
        write_fusion(out, fusion)
    learn_bouts(out, whole, dataset, held_out)
    accuracy = {each.stream: each.accuracy() for each in fit}
    if fit:
        scores = fused_out_of_fold(fit, folds, alike=True)
        accuracy["fused"] = float((scores.argmax(axis=1) == fit[0].labels).mean())
    tested = {video.label for fold in folds for video in fold.test}
    learnt = np.unique(found.labels).tolist()
    return {
        "classes": list(dataset.classes),
        "stretches": len(found.videos),
        "folds": len(folds),
        "tested": sum(len(fold.test) for fold in folds),
        "untested": [dataset.classes[label] for label in learnt if label not in tested],
        "apart": all(map(_is_apart, folds)),
        "accuracy": accuracy,
    }


def _stretches(dataset: Dataset, features: Mapping[str, VideoFeatures]) -> _Stretches:
    """Return the labelled stretches of those recordings that have been looked at."""
    dataset.refuse_empty()
    pieces = defaultdict[str, list[LabeledVideo]](list)
    for video in dataset.videos:
        pieces[stored_id(video.video_id)].append(video)
    videos, rows = list[LabeledVideo](), list[dict[Stream, NDArray[np.float16]]]()
    shares = dict[Stream, NDArray[np.float32]]()
    for video_id, own in pieces.items():
        if (seen := features.get(video_id)) is None:
            continue
        for video in own:
            if at := _looks_at(seen, span_of(video.video_id)):
                videos.append(video)
                rows.append({name: each[at] for name, each in seen.features.items()})
                shares = seen.shares
            else:
                logger.warning(f"{video.video_id}: its video shows nothing of it; it is left out")
    if not videos:
        raise DataError("no labelled recording could be looked at")
    looks = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return _Stretches(tuple(videos), looks, shares)


def _looks_at(seen: VideoFeatures, span: Span | None) -> list[int]:
    """Return which looks a stretch is learnt from; [] where all of it is a pause, or no video."""
    if span is None:
        return []
    pauses = [(first / seen.rate, end / seen.rate) for first, end in seen.pauses]
    shown = without(within([span], seen.frames / seen.rate), pauses)
    if length(shown) < 0.5 / seen.rate:  # times are rounded
        return []
    centres = seen.centres
    inside = np.flatnonzero(np.any([(centres >= a) & (centres < b) for a, b in shown], axis=0))
    if not len(inside):  # shorter than it is from one look to the next
        start, end = max(shown, key=lambda each: each[1] - each[0])
        inside = np.array([np.abs(centres - (start + end) / 2).argmin()])
    return [int(inside[i]) for i in even_indices(len(inside), LOOKS)]


def _is_apart(fold: DatasetSplit) -> bool:
    """Tell whether no video is on both sides of a fold, as parts of a lone recording are."""
    train, test = ({stored_id(each.video_id) for each in side} for side in (fold.train, fold.test))
    return train.isdisjoint(test)


def _folds(dataset: Dataset, videos: tuple[LabeledVideo, ...], seed: int) -> list[DatasetSplit]:
    """Return folds of the stretches by group, each with two classes to learn; [] of one group."""
    inner = replace(dataset, videos=videos, given=())
    count = min(FOLDS, len(inner.groups))
    if count < 2:
        return []
    folds = [inner.split(fold=f"{i}/{count}", seed=seed) for i in range(1, count + 1)]
    return [fold for fold in folds if len({video.label for video in fold.train}) > 1]


def _models(
    models: Sequence[StreamModel],
    found: _Stretches,
    split: DatasetSplit,
    fitted: Callable[[], None],
) -> list[StreamModel]:
    """Return the networks with last layers that are fitted to the training stretches."""
    made = []
    for model in models:
        made.append(_with_layer(model, split, _layer(model, found, split)))
        fitted()
    return made


def _out_of_fold(
    i: int,
    of_folds: Sequence[Sequence[StreamModel]],
    found: _Stretches,
    folds: Sequence[DatasetSplit],
) -> VideoScores:
    """Return the i-th stream's scores of stretches by last layers that saw none of their group."""
    parts, videos = list[NDArray[np.float32]](), list[LabeledVideo]()
    for models, fold in zip(of_folds, folds, strict=True):
        name = models[i].spec.stream
        looks = found.looks[name][found.rows(fold.test)]
        flat = looks.reshape(-1, *looks.shape[2:])
        scores = softmax_scores(flat, found.shares[name], last_layer(models[i]))
        parts.append(scores.reshape(*looks.shape[:2], -1).mean(axis=1))
        videos += fold.test
    return VideoScores(
        video_ids=tuple(video.video_id for video in videos),
        labels=np.array([video.label for video in videos], np.int64),
        classes=folds[0].classes,
        scores=np.concatenate(parts),
        stream=of_folds[0][i].spec.stream,
    )


def _layer(model: StreamModel, found: _Stretches, split: DatasetSplit) -> Layer:
    """Fit a last layer to the training stretches; all classes count alike, as in training.

    A class that has none of them is never answered: its weight is 0 and its bias very low.
    """
    rows, classes = found.rows(split.train), split.classes
    name, labels = model.spec.stream, found.labels[rows]
    seen = np.einsum("nlmd,m->nld", found.looks[name][rows].astype(np.float32), found.shares[name])
    present, counts = np.unique(labels), counts_alike(labels) / LOOKS
    fitted = fitted_probe(
        seen.reshape(-1, seen.shape[-1]),
        np.repeat(labels, LOOKS),
        np.repeat(counts, LOOKS),
        tolerance=TOLERANCE,
    )
    weight = np.zeros((len(classes), seen.shape[-1]), np.float32)
    bias = np.full(len(classes), NEVER, np.float32)
    weight[present], bias[present] = fitted
    return weight, bias


def _with_layer(model: StreamModel, whole: DatasetSplit, layer: Layer) -> StreamModel:
    """Return the network with another last layer, and the classes of that."""
    import torch

    spec = replace(model.spec, classes=whole.classes, dataset=whole.dataset, split=whole.name)
    last = last_layer(model)
    (name,) = (name for name, each in model.network.named_modules() if each is last)
    network, (weight, bias) = deepcopy(model.network), layer
    made = torch.nn.Linear(weight.shape[1], weight.shape[0])
    made.load_state_dict({"weight": torch.as_tensor(weight), "bias": torch.as_tensor(bias)})
    network.set_submodule(name, made)
    return StreamModel(spec, network).eval()
