"""``TwoStreamPredictor``: flow is computed inside, with what the model files say."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from twostream.bout_model import THRESHOLD, BoutModel, read_bouts
from twostream.extraction.frame_pairs import output_rate
from twostream.extraction.idle_threads import Helpers
from twostream.extraction.pauses import all_warnings, pause_warning, to_the_end
from twostream.flow import make_estimator
from twostream.flow.device import make_on_device
from twostream.flow.opencv import one_opencv_thread
from twostream.log_linear import LogLinear, answer, read_fusion
from twostream.prediction.contract import is_exported, read_contract
from twostream.prediction.looks import Looks, num_together, together
from twostream.prediction.prediction import Prediction, StreamScorer
from twostream.prediction.timeline import (
    LONG,
    Timeline,
    Windows,
    check_threshold,
    looks,
)
from twostream.prediction.whole_videos import read_clip
from twostream.prediction.window import RecentClip, Window
from twostream.store.clips import kinds_of
from twostream.store.flow_store import StoreSettings
from twostream.threads import ahead, num_threads
from twostream.types import (
    STREAMS,
    Frame,
    ModelError,
    Progress,
    Stream,
    UsageError,
    no_progress,
)
from twostream.video import open_reader
from twostream.video.opening import check_size

if TYPE_CHECKING:
    from twostream.checkpoint import StreamModel

logger = logging.getLogger(__name__)


class TwoStreamPredictor:
    """A trained run or an exported one, ready for new videos. Safe to use from several threads.

    Args:
        streams: one or both streams' networks; they must agree on classes and storage.
        fusion: how their scores become one, as a run has learnt it; None: their average.
        bouts: how long they last in a time line, as a run has learnt it; None: nobody knows.

    Attributes:
        streams: stream -> its network.
        fusion, bouts: likewise.
        spec: what they agree on, as the first stream's file says it.

    >>> import tempfile
    >>> from twostream.initialise import untrained_model
    >>> from twostream.video import VideoWriter
    >>> models = [untrained_model(name, ("walk", "run")) for name in ("spatial", "temporal")]
    >>> predictor = TwoStreamPredictor.from_models(models)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with VideoWriter(f"{folder}/clip.avi", fps=25, width=80, height=64) as writer:
    ...         for frame in np.random.default_rng(0).integers(0, 255, (13, 64, 80, 3), np.uint8):
    ...             writer.write(frame)
    ...     prediction = predictor.predict(f"{folder}/clip.avi")
    >>> prediction.label in ("walk", "run"), sorted(prediction.streams)
    (True, ['spatial', 'temporal'])
    >>> prediction.end_seconds, round(float(prediction.scores.sum()), 3)
    (0.52, 1.0)
    """

    def __init__(
        self,
        streams: Sequence[StreamScorer],
        fusion: LogLinear | None = None,
        bouts: BoutModel | None = None,
    ) -> None:
        first = streams[0].spec
        for other in streams[1:]:
            for name in ("classes", "store", "fps"):
                if getattr(other.spec, name) != getattr(first, name):
                    raise ModelError(
                        f"the {first.stream} and {other.spec.stream} models differ in {name}: "
                        "they are not of one run"
                    )
        self.streams: dict[Stream, StreamScorer] = {s.spec.stream: s for s in streams}
        self.spec = first
        self.fusion = fusion and fusion.of(list(self.streams), first.classes)
        self.bouts = bouts and bouts.of(first.classes)

    @classmethod
    def load(cls, path: Path | str, *, device: str = "cpu") -> Self:
        """Read a RUN folder, or a folder written by ``twostream export``, which needs no torch.

        Args:
            path: the folder.
            device: "cpu", "cuda", or "auto": a GPU if there is one.

        Raises:
            RunError: it holds no model, or its fusion is damaged.
            ModelError: a model is damaged or of another version, or onnxruntime is not installed.
        """
        path = Path(path)
        if is_exported(path):
            from twostream.prediction.onnx import OnnxStream

            told = read_contract(path)
            networks = [OnnxStream(*network, device=device) for network in told.networks]
            loaded = cls(networks, told.fusion, told.bouts)
        else:
            from twostream.prediction.model_files import load_models

            loaded = cls.from_models(
                load_models(path), device=device, fusion=read_fusion(path), bouts=read_bouts(path)
            )
        if len(loaded.streams) < len(STREAMS):
            (alone,) = loaded.streams
            logger.warning(f"{path} has the {alone} stream alone: its scores are the answer")
        return loaded

    @classmethod
    def from_models(
        cls,
        models: Sequence[StreamModel],
        *,
        device: str = "cpu",
        fusion: LogLinear | None = None,
        bouts: BoutModel | None = None,
    ) -> Self:
        """Take models that are in memory, such as training has just returned."""
        from twostream.prediction.model_files import TorchStream

        return cls([TorchStream(model, device=device) for model in models], fusion, bouts)

    @property
    def windows(self) -> Windows:
        """How a time line looks at a video, unless something else is asked for."""
        return LONG if self.bouts is None else self.moments

    @property
    def moments(self) -> Windows:
        """How a run looks at a video that knows how long bouts last: at each moment once."""
        inputs = [each.spec.temporal for each in self.streams.values()]
        return looks(max((each.length + 1 if each else 1) for each in inputs) / self.spec.fps)

    @property
    def threshold(self) -> float:
        """Below it a score says "none of these" in a time line, unless something else is asked."""
        return THRESHOLD if self.bouts is None else self.bouts.threshold

    @property
    def together(self) -> Mapping[str, tuple[str, ...]]:
        """Class -> the labels that hold at once in it; other classes are one label."""
        return {} if self.bouts is None else self.bouts.together

    def predict(self, video: Path | str) -> Prediction:
        """Score a video file exactly as evaluation would.

        Raises:
            VideoError: it cannot be decoded, or is smaller than the networks' crop.
        """
        specs = [stream.spec for stream in self.streams.values()]
        clip = read_clip(video, specs)
        found = self.score(Window(clip, 0.0, clip.num_frames / clip.header.fps))
        return replace(found, video=Path(video), warning=clip.header.warning)

    def stream(
        self,
        frames: Iterable[NDArray[np.uint8] | Frame],
        *,
        fps: float,
        window_seconds: float | None = None,
        every_seconds: float | None = None,
        positions: int | None = None,
    ) -> Iterator[Prediction]:
        """Score a sliding window over a stream of frames of any length, at constant memory.

        Frames come one by one and predictions as soon as their window is full. Each frame is
        brought to the model's size and rate, and the flow of each pair is computed once, however
        many windows see it. A window is scored as a video of its frames would be, with two
        differences. How long the last frame stands is not known here: of a slow video the end, up
        to an interval of it, is not seen. And frames of another size are brought to the model's as
        RGB, those of a file while they are turned into RGB: pixels differ a little. Those that a
        ``VideoReader`` has shrunk to the model's ``short_side`` do not.

        Args:
            frames: (h, w, 3) uint8 RGB, all of one size; or ``Frame``, which says its own time.
            fps: their rate.
            window_seconds: None: one prediction for all frames, which are then kept.
            every_seconds: from the end of a window to the end of the next; None: one window.
            positions: how many frames and stacks of a window are scored; None: as in testing.

        Yields:
            A prediction a window. The last one ends with the last frame, or the last one before a
            pause, and is shorter only where what was shown is shorter than a window. A stream
            without frames gives none.

        Raises:
            UsageError: a rate or a time that is not above 0, or what is no frame.
            VideoError: frames that change their size, or are smaller than the networks' crop.

        Frames with times of their own that leave out more than a second, and three intervals,
        have a pause there: what follows is scored like a stream of its own, at its own time.

        >>> from twostream.initialise import untrained_model
        >>> model = untrained_model("spatial", ("walk", "run"))
        >>> predictor = TwoStreamPredictor.from_models([model])
        >>> frames = np.random.default_rng(0).integers(0, 255, (50, 64, 80, 3), np.uint8)
        >>> windows = predictor.stream(frames, fps=25, window_seconds=1, every_seconds=0.4)
        >>> [(window.start_seconds, window.end_seconds) for window in windows]
        [(0.0, 1.0), (0.4, 1.4), (0.8, 1.8), (1.0, 2.0)]
        """
        every_seconds = window_seconds if every_seconds is None else every_seconds
        for name, value in (
            ("fps", fps),
            ("window_seconds", window_seconds),
            ("every_seconds", every_seconds),
            ("positions", positions),
        ):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} must be a number above 0, got {value}")
        every = None if every_seconds is None else self.num_frames(every_seconds)
        windows = self.recent_clip(window_seconds).windows(frames, fps, every)
        return (self.score(window, positions) for window in windows)

    def num_frames(self, seconds: float) -> int:
        """Return how many frames a time is at the model's rate, at least 1."""
        return max(1, round(seconds * self.spec.fps))

    def recent_clip(
        self,
        window_seconds: float | None,
        name: Path | str = "stream",
        helpers: Helpers | None = None,
    ) -> RecentClip:
        """Return what keeps the last frames and fields of a stream, as the networks see them.

        Args:
            window_seconds: how much is kept; None: everything.
            name: of the stream, for errors.
            helpers: see ``RecentClip``.
        """
        length = None if window_seconds is None else self.num_frames(window_seconds)
        store = StoreSettings.of_model(self.spec).complete()
        kinds = kinds_of(stream.spec for stream in self.streams.values())
        flow = any(kind != "rgb" for kind in kinds)
        estimator = make_estimator(store.flow, **store.parameters) if flow else None
        smallest = self.spec.smallest_side
        return RecentClip(store, kinds, estimator, length, name, smallest, helpers)

    def score(self, window: Window, positions: int | None = None) -> Prediction:
        """Score a window; of ``positions`` frames and stacks, None: of as many as in testing."""
        found = {name: each.score(window.clip, positions) for name, each in self.streams.items()}
        return self.answer(window.start_seconds, window.end_seconds, found)

    def slide(self, windows: Iterable[Window], asked: Windows) -> Iterator[Prediction]:
        """Score windows that slide over one video, each frame and stack once (``Looks``)."""
        looks = Looks(self.streams, asked.positions, self.num_frames(asked.every_seconds))
        for group in together(windows, asked.every_seconds):
            for window, found in zip(group, looks.score(group), strict=True):
                yield self.answer(window.start_seconds, window.end_seconds, found)

    def answer(
        self, start_seconds: float, end_seconds: float, found: dict[Stream, NDArray[np.float32]]
    ) -> Prediction:
        """Return what the (k,) scores of each stream come to; (n, k) ones of n windows alike."""
        scores = answer(self.fusion, found)
        if self.fusion is not None:
            found = {name: self.fusion.calibrated(name, each) for name, each in found.items()}
        return Prediction(
            None,
            self.spec.classes,
            scores,
            found,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
        )

    def timeline(
        self,
        video: Path | str,
        *,
        window_seconds: float | None = None,
        every_seconds: float | None = None,
        positions: int | None = None,
        smooth_seconds: float | None = None,
        threshold: float | None = None,
        progress: Progress = no_progress,
    ) -> Timeline:
        """Tell what happens when in a video of any length, at constant memory.

        A window slides over the video; decoding and flow run in threads of their own, a few
        seconds or one window ahead of the networks.

        Args:
            video: the file, or a folder of frames.
            window_seconds, every_seconds, positions, smooth_seconds: see ``Windows``; None: as of
                ``windows``.
            threshold: where the best score of a window, or the mean score of a bout where the run
                knows how long they last, is below it, the label is None; None: the run's own.
            progress: told how many seconds are done, of all as far as is known; they are equal at
                the end alone.

        Raises:
            UsageError: an option that is no number, or out of range.
            VideoError: the video cannot be decoded, or is smaller than the networks' crop.
        """
        asked = self.windows.changed(
            seconds=window_seconds,
            every_seconds=every_seconds,
            positions=positions,
            smooth_seconds=smooth_seconds,
        )
        threshold = self.threshold if threshold is None else threshold
        check_threshold(threshold)
        store = StoreSettings.of_model(self.spec).complete()
        make = partial(make_on_device, store.flow, store.parameters, "cpu")
        helpers = Helpers(make, threads=num_threads(), clips=1)
        recent = self.recent_clip(asked.seconds, video, helpers)
        every = self.num_frames(asked.every_seconds)
        windows: list[Prediction] = []
        seconds = 0.0
        with (
            one_opencv_thread(),
            closing(helpers),
            open_reader(
                video,
                short_side=store.short_side,
                enlarges=store.enlarges,
                motion_vectors=recent.needs_motion_vectors,
                fps=store.fps,
            ) as reader,
        ):
            check_size(video, reader.info.height, reader.info.width, self.spec.smallest_side)
            claimed = reader.claimed_seconds
            depth = num_together(asked.every_seconds)
            fps, moves = reader.info.fps, recent.needs_motion_vectors
            frames = to_the_end(reader, output_rate(fps, store.fps), moves=moves)
            upcoming = ahead(recent.windows(frames, fps, every, 0.0), depth)
            with closing(upcoming):
                for window in self.slide(upcoming, asked):
                    windows.append(window)
                    seconds = window.end_seconds
                    total = claimed if seconds < claimed else seconds + asked.every_seconds
                    progress("seconds", seconds, total)
            recent.end(reader.end_seconds)
        seconds = recent.seen / recent.rate
        progress("seconds", seconds, seconds)
        return Timeline.of_windows(
            Path(video),
            windows,
            seconds=seconds,
            warning=all_warnings(reader.warning, pause_warning(video, recent.pauses)),
            pauses=recent.pauses,
            smooth_seconds=asked.smooth_seconds,
            threshold=threshold,
            bouts=self.bouts,
        )
