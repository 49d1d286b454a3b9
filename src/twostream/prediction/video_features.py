"""What networks make of each moment of a video before their last layers: kept, these may change.

A last layer is a matrix: with what it sees of an hour of video in a file, the answers of a new one
take a second, and not the minutes that the networks take.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from torch import nn

from twostream.checkpoint import StreamModel
from twostream.files import whole
from twostream.models import classifier
from twostream.prediction.model_files import TorchStream
from twostream.prediction.prediction import StreamScorer
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.stored_timeline import window_spans
from twostream.prediction.timeline import Timeline
from twostream.prediction.window import stretch
from twostream.sampling import even_indices
from twostream.store.clips import Clip
from twostream.types import ModelError, Progress, Stream, VideoError, no_progress

logger = logging.getLogger(__name__)

_FORMAT = 1
_LOOKS = 64  # at once: some seconds of progress
_NOT_THE_FEATURES = ("classes", "dataset", "split", "dropout")  # of a model's description


@dataclass(frozen=True, slots=True, eq=False)
class VideoFeatures:
    """What the last layers see of a whole video, look by look.

    Attributes:
        rate: frames per second.
        frames: of the video, those of pauses too.
        spans: (n, 2) int, which frames each look stands for, [first, end).
        pauses: [first, end) of the frames that are none, ascending.
        features: stream -> (n, m, d) float16, of each crop.
        shares: stream -> (m,) how much each crop counts; they sum to 1.
        warning: a sentence where the video was odd.
    """

    rate: float
    frames: int
    spans: NDArray[np.int64]
    pauses: tuple[tuple[int, int], ...]
    features: dict[Stream, NDArray[np.float16]]
    shares: dict[Stream, NDArray[np.float32]]
    warning: str | None = None

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n,) where each look lies, seconds."""
        return self.spans.mean(axis=1) / self.rate

    def scores(self, models: Sequence[StreamModel]) -> dict[Stream, NDArray[np.float32]]:
        """Return stream -> (n, k) softmax scores by the last layers of these networks."""
        found = dict[Stream, NDArray[np.float32]]()
        for model in models:
            name = model.spec.stream
            found[name] = softmax_scores(self.features[name], self.shares[name], last_layer(model))
        return found

    def save(self, path: Path) -> None:
        """Write it, whole or not at all; raises OSError."""
        said = {
            "format": _FORMAT,
            "rate": self.rate,
            "frames": self.frames,
            "pauses": self.pauses,
            "warning": self.warning,
        }
        arrays: dict[str, Any] = {f"features-{name}": each for name, each in self.features.items()}
        arrays |= {f"shares-{name}": each for name, each in self.shares.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as file:
            np.savez(file, said=np.array(json.dumps(said)), spans=self.spans, **arrays)

    @classmethod
    def load(cls, path: Path) -> VideoFeatures | None:
        """Read it; None where there is none, or what is damaged: it is made again."""
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                said = json.loads(str(arrays["said"]))
                if said["format"] != _FORMAT:
                    return None
                parts = [name.partition("-") for name in arrays.files]
                by_kind: dict[str, dict[Any, Any]] = {
                    kind: {of: arrays[f"{kind}-{of}"] for k, _, of in parts if k == kind}
                    for kind in ("features", "shares")
                }
                return cls(
                    float(said["rate"]),
                    int(said["frames"]),
                    arrays["spans"],
                    tuple((int(first), int(end)) for first, end in said["pauses"]),
                    by_kind["features"],
                    by_kind["shares"],
                    said["warning"],
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return None


def softmax_scores(
    features: NDArray[np.floating[Any]],
    shares: NDArray[np.float32],
    layer: nn.Linear,
) -> NDArray[np.float32]:
    """Return (n, k) scores: the mean over crops of the softmax of a last layer's answers.

    Args:
        features: (n, m, d) of m crops each.
        shares: (m,) how much each crop counts.
        layer: the last layer, from d to k.
    """
    weight, bias = (each.detach().cpu().float().numpy() for each in (layer.weight, layer.bias))
    found = np.zeros((len(features), len(bias)), np.float32)
    for crop, share in enumerate(shares):
        logits = features[:, crop].astype(np.float32) @ weight.T + bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        found += share * powers / powers.sum(axis=1, keepdims=True)
    return found


def last_layer(model: StreamModel) -> nn.Linear:
    """Return a network's last layer; raises ModelError where that is no matrix and a bias."""
    last = classifier(model.network)
    if not isinstance(last, nn.Linear):
        raise ModelError(
            f"a {model.spec.architecture} does not end with one full layer, which alone can be "
            "made anew: train on the labels instead"
        )
    return last


def features_id(models: Sequence[StreamModel]) -> str:
    """Return what tells networks from others that see another thing before their last layers."""
    digest = hashlib.sha256()
    for model in models:
        said = {k: v for k, v in model.spec.to_json().items() if k not in _NOT_THE_FEATURES}
        digest.update(json.dumps(said, sort_keys=True).encode())
        own = {id(each) for each in last_layer(model).parameters()}
        for name, value in model.network.state_dict(keep_vars=True).items():
            if id(value) not in own:
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:20]


def video_features(
    predictor: TwoStreamPredictor,
    clip: Clip,
    video: Path,
    *,
    progress: Progress = no_progress,
) -> VideoFeatures:
    """Look at each moment of a stored video once, as a time line of recordings' runs does.

    Args:
        predictor: a RUN's networks; no other thread uses them meanwhile.
        clip: the whole video, with all that the networks see of it.
        video: what it is of, for errors.
        progress: told how many looks are done.

    Raises:
        VideoError: there is no frame.
        ModelError: a network's values are too large, or not finite.
    """
    pauses = tuple(clip.header.pauses)
    spans = window_spans(predictor, predictor.moments, pauses, clip.num_frames)
    if not spans:
        raise VideoError(video, "it has no frames")
    streams = {name: _torch(each) for name, each in predictor.streams.items()}
    found: dict[Stream, list[NDArray[np.float16]]] = {name: [] for name in streams}
    shares = dict[Stream, NDArray[np.float32]]()
    for done in range(0, len(spans), _LOOKS):
        some = [stretch(clip, *span) for span in spans[done : done + _LOOKS]]
        for name, stream in streams.items():
            temporal = stream.spec.temporal
            wanted = [(part, even_indices(part.num_positions(temporal), 1)[0]) for part in some]
            features, shares[name] = stream.features(wanted)
            found[name].append(_halves(features, name))
        progress("features", min(done + _LOOKS, len(spans)), len(spans))
    return VideoFeatures(
        clip.header.fps,
        clip.num_frames,
        np.array(spans),
        pauses,
        {name: np.concatenate(rows) for name, rows in found.items()},
        shares,
        clip.header.warning,
    )


def _halves(features: NDArray[np.float32], stream: Stream) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = features.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ModelError(
            f"what the {stream} net's last layer sees has values that are not finite, or above "
            "65504: it cannot be kept for an update, so train on the labels instead"
        )
    return halves


def _torch(stream: StreamScorer) -> TorchStream:
    if not isinstance(stream, TorchStream):
        raise ModelError("an exported network gives its answers alone: name the RUN it is of")
    return stream


def featured_timeline(
    predictor: TwoStreamPredictor, features: VideoFeatures, video: Path
) -> Timeline:
    """Return what ``stored_timeline`` does, by the last layers alone.

    Scores differ from those of the networks by what half a float leaves out, some 1e-3.
    """
    models = [_torch(stream).model for stream in predictor.streams.values()]
    # all windows at once: one by one takes longer than the layers
    whole = predictor.answer(0.0, 0.0, features.scores(models))
    rate = features.rate
    windows = [
        replace(
            whole,
            scores=whole.scores[i],
            streams={name: rows[i] for name, rows in whole.streams.items()},
            start_seconds=start / rate,
            end_seconds=end / rate,
        )
        for i, (start, end) in enumerate(features.spans.tolist())
    ]
    return Timeline.of_windows(
        video,
        windows,
        seconds=features.frames / rate,
        warning=features.warning,
        pauses=[(first / rate, end / rate) for first, end in features.pauses],
        smooth_seconds=predictor.moments.smooth_seconds,
        threshold=predictor.threshold,
        bouts=predictor.bouts,
    )


def kept_features(
    predictor: TwoStreamPredictor,
    clip: Clip,
    video: Path,
    folder: Path,
    *,
    progress: Progress = no_progress,
) -> VideoFeatures:
    """Return what is kept of a video's features in a folder; they are made where nothing is.

    Args:
        predictor, clip, video, progress: as of ``video_features``.
        folder: of files that are called by the networks and the video's content.
    """
    models = [_torch(stream).model for stream in predictor.streams.values()]
    file = folder / f"{features_id(models)}-{clip.header.source_hash}.npz"
    found = VideoFeatures.load(file)
    if found is None:
        found = video_features(predictor, clip, video, progress=progress)
        try:
            found.save(file)
        except OSError as error:  # a full disk: what was made is as good
            logger.warning(
                f"{file} cannot be written ({error.strerror}): it is made anew next time"
            )
    return found
