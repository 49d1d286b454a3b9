"""Labels for new videos: flow is computed inside, with what the model files say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twostream.checkpoint import StreamModel, load_model
from twostream.evaluate import score_stacks
from twostream.extract import extract_to_memory
from twostream.flow.store import Kind, StoreSettings
from twostream.loader import Clip, ClipReader
from twostream.types import ModelError, RunError, Stream, VideoError

TOP = 5


@dataclass(frozen=True, slots=True)
class Prediction:
    """Scores of one video.

    Attributes:
        video: the file.
        classes: k class names.
        scores: (k,) probabilities, the mean of the streams.
        streams: stream -> (k,) probabilities.
        warning: a sentence when the video broke off early.
    """

    video: Path
    classes: tuple[str, ...]
    scores: NDArray[np.float32]
    streams: dict[Stream, NDArray[np.float32]]
    warning: str | None = None

    def top(self, count: int = TOP, stream: Stream | None = None) -> list[tuple[str, float]]:
        """Return the best classes with their scores, fused or of one stream."""
        scores = self.scores if stream is None else self.streams[stream]
        order = np.argsort(-scores, kind="stable")[:count]
        return [(self.classes[i], float(scores[i])) for i in order]

    def to_json(self, count: int = TOP) -> dict[str, Any]:
        """Return {"video", "labels", "streams"}, as ``twostream predict --json`` prints it."""

        def rows(stream: Stream | None = None) -> list[dict[str, Any]]:
            return [{"label": label, "score": s} for label, s in self.top(count, stream)]

        return {
            "video": str(self.video),
            "labels": rows(),
            "streams": {stream: rows(stream) for stream in self.streams},
        }


class TwoStreamPredictor:
    """A trained run, ready for new videos.

    Args:
        models: one or both streams' models; they must agree on classes and storage.
        device: where the networks run.
    """

    def __init__(self, models: Sequence[StreamModel], *, device: str = "cpu") -> None:
        first = models[0].spec
        for model in models[1:]:
            for name in ("classes", "store", "fps"):
                if getattr(model.spec, name) != getattr(first, name):
                    raise ModelError(
                        f"the {first.stream} and {model.spec.stream} models differ in {name}: "
                        "they are not of one run"
                    )
        self.models = {model.spec.stream: model.to(device) for model in models}
        self.spec = first

    @classmethod
    def load(cls, run: Path | str, *, device: str = "cpu") -> Self:
        """Read a RUN folder; raises RunError where it holds no model."""
        streams: tuple[Stream, ...] = ("spatial", "temporal")
        found = [Path(run) / f"{stream}.safetensors" for stream in streams]
        models = [load_model(path) for path in found if path.is_file()]
        if not models:
            raise RunError(
                f"{run} holds no trained model: train first (twostream train DATA --out {run})"
            )
        return cls(models, device=device)

    def predict(self, video: Path | str) -> Prediction:
        """Score a video file exactly as evaluation would.

        Raises:
            VideoError: it cannot be decoded.
        """
        kinds: set[Kind] = set()
        for model in self.models.values():
            temporal = model.spec.temporal
            kinds |= {"rgb"} if temporal is None or temporal.rgb else set(temporal.directions)
        store = StoreSettings(**{**self.spec.store, "fps": self.spec.fps})
        files = extract_to_memory(Path(video), store, sorted(kinds))
        header = files[next(iter(files))].header
        if min(header.height, header.width) < self.spec.crop_size:
            raise VideoError(
                video,
                f"its frames of {header.width}x{header.height} px are smaller than the model's "
                f"crop of {self.spec.crop_size} px, and frames are never enlarged",
            )
        clip = Clip.of({kind: ClipReader(file, keep=True) for kind, file in files.items()})
        streams: dict[Stream, NDArray[np.float32]] = {}
        for stream, model in self.models.items():
            samples = clip.samples(model.spec.temporal, model.spec.test_positions)
            streams[stream] = score_stacks(model, *samples).cpu().numpy()
        scores = np.mean(list(streams.values()), axis=0)
        return Prediction(Path(video), self.spec.classes, scores, streams, header.warning)
