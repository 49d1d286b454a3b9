"""What the server knows of a visitor's video: kept small, looked at often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream.prediction import Prediction, Timeline, TwoStreamPredictor
from twostream.prediction.stored_timeline import stored_timeline
from twostream.prediction.window import Window
from twostream.sampling import between_pauses
from twostream.store.clip_file import ClipFile
from twostream.store.clip_readers import ClipReader
from twostream.store.clips import Clip
from twostream.store.coding import Kind
from twostream.types import Progress, Stream, VideoError, no_progress
from twostream.video.opening import check_size
from twostream.web.limits import Deadline


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A video as its decoder left it.

    Attributes:
        path: the file that was decoded; it is not needed any more.
        name: as the visitor calls it.
        files: kind -> its frames or flow.
    """

    path: Path
    name: str
    files: Mapping[Kind, ClipFile]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What the networks see at one moment.

    Attributes:
        seconds: of the frame.
        frame: (h, w, 3) uint8 RGB.
        field: (2, h, w) flow to the next frame in px; None: the run sees no flow, or one frame.
        stacks: stream -> (length, c, h, w), what its network sees around the moment.
    """

    seconds: float
    frame: NDArray[np.uint8]
    field: NDArray[np.float32] | None
    stacks: dict[Stream, NDArray[np.float32]]


class Analysis:
    """A visitor's video in memory, compressed as in a flow store.

    Args:
        predictor: the run.
        video: as it was decoded.
        deadline: for all that is computed here.

    Attributes:
        name: as the visitor calls it.
        clip: frames and flow.
        warning: a sentence when the video broke off early or has pauses.

    Raises:
        VideoError: it is smaller than the networks' crop.
    """

    def __init__(self, predictor: TwoStreamPredictor, video: Decoded, deadline: Deadline) -> None:
        self.predictor = predictor
        self.name = video.name
        self._deadline = deadline
        self.clip = Clip({kind: ClipReader(file, keep=False) for kind, file in video.files.items()})
        header = self.clip.header
        check_size(video.path, *header.seen_size, predictor.spec.smallest_side)
        self.warning = header.warning and header.warning.replace(str(video.path), video.name)

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self.clip.num_frames / self.clip.header.fps

    def predict(self) -> Prediction:
        """Score the whole video, exactly as ``TwoStreamPredictor.predict`` would."""
        self._deadline.check()
        return self.predictor.score(Window(self.clip, 0.0, self.seconds))

    def timeline(self, progress: Progress = no_progress) -> Timeline:
        """Score it over time, exactly as ``TwoStreamPredictor.timeline`` would."""
        line = stored_timeline(
            self.predictor,
            self.clip,
            Path(self.name),
            check=self._deadline.check,
            progress=progress,
        )
        return replace(line, warning=self.warning)

    def moment(self, seconds: float) -> Moment:
        """Return what is seen at a moment; the nearest frame outside the video or in a pause."""
        rate = self.clip.header.fps
        wanted = seconds * rate
        runs = between_pauses(self.clip.header.pauses, self.clip.num_frames)
        index, first, end = min(
            ((round(min(max(first, wanted), end - 1)), first, end) for first, end in runs),
            key=lambda near: abs(near[0] - wanted),
        )
        frame = self.clip.stack(None, index)[0].transpose(1, 2, 0)
        field = None
        forward = self.clip.readers.get("forward")
        if forward is not None and len(forward):
            field = forward.fields([min(index, len(forward) - 1)])[0]
        stacks = {}
        for name, stream in self.predictor.streams.items():
            temporal = stream.spec.temporal
            start = index - (temporal.length // 2 if temporal else 0)
            seen = [each for each in self.clip.seen_positions(temporal) if first <= each < end]
            position = min(seen, key=lambda each: abs(each - start), default=first)
            stacks[name] = self.clip.stack(temporal, position)
        pixels = np.round(frame * 255).astype(np.uint8)
        return Moment(index / rate, pixels, field, stacks)


def in_words(error: Exception, name: str) -> str:
    """Return what went wrong with a visitor's video, under the visitor's name for it."""
    return f"{name}: {error.cause if isinstance(error, VideoError) else error}"
