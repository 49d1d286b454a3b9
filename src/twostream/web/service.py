"""One run, its limits and its visitors' videos: what the page and the API share."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twostream.prediction import Prediction, Timeline, TwoStreamPredictor
from twostream.types import Progress, no_progress
from twostream.web.analysis import Analysis
from twostream.web.decoding import Decoders
from twostream.web.limits import Deadline, Limits
from twostream.web.shown import moment_shown, video_shown
from twostream.web.uploads import Uploads

KEEP = 8  # videos in memory, to be clicked on, for each that may be worked on at once


@dataclass
class Service:
    """What is served.

    Attributes:
        predictor: the run.
        name: of the run, for people.
        limits: of every visitor.
        uploads: the folder of what they send.
        videos: files of the server's that visitors may pick, by number.
        stopped: set when the server ends: all work ends at its next step.
        decoders: the processes that decode videos.
    """

    predictor: TwoStreamPredictor
    name: str
    limits: Limits
    uploads: Uploads
    videos: tuple[Path, ...] = ()
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.decoders = Decoders(self.predictor, self.limits)
        self._working = threading.Semaphore(self.limits.at_once)
        self._looking = threading.Semaphore(self.limits.at_once)
        self._kept: OrderedDict[str, tuple[Analysis, Timeline]] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all work."""
        self.stopped.set()
        self.decoders.close()

    def retire(self) -> None:
        """Take no more work: another run takes over; what is under way is done."""
        self.decoders.close(busy=False)

    @contextmanager
    def analysed(
        self, video: Path, name: str, progress: Progress = no_progress
    ) -> Iterator[tuple[Analysis, Prediction]]:
        """Decode and score a video while one of the places for it is taken.

        A visitor's file is gone when this begins to give; a file of the server's stays.

        Args:
            video: an upload, or one of ``videos``.
            name: as the visitor calls it.
            progress: told of the wait, and how much is decoded.

        Raises:
            RefusedError: beyond a limit.
            VideoError: it cannot be decoded.
        """
        deadline = Deadline(self.limits.time_limit, self.stopped)
        progress("waiting for a place", 0, 1)
        with deadline.place(self._working):
            progress("waiting for a place", 1, 1)
            files = self.decoders.decode(video, deadline, progress)
            if video not in self.videos:
                video.unlink()
            analysis = Analysis(self.predictor, video, name, files=files, deadline=deadline)
            yield analysis, analysis.predict()

    def show(self, video: Path, name: str, progress: Progress = no_progress) -> dict[str, Any]:
        """Return what the page shows of a video, and keep it in memory; raises as ``analysed``."""
        with self.analysed(video, name, progress) as (analysis, prediction):
            timeline = analysis.timeline(progress)
        best = float(timeline.times[int(timeline.scores.max(axis=1).argmax())])
        key = secrets.token_hex(16)
        with self._lock:
            self._kept[key] = (analysis, timeline)
            while len(self._kept) > KEEP * self.limits.at_once:  # the longest unseen one goes
                self._kept.popitem(last=False)
        moment = moment_shown(analysis, timeline, best)
        return {"key": key, **video_shown(analysis, prediction, timeline), "moment": moment}

    def show_moment(self, key: str, seconds: float) -> dict[str, Any] | None:
        """Return what the page shows of a moment of a video; None where it is not kept any more.

        Raises:
            RefusedError: too many look at the same time.
        """
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            analysis, timeline = self._kept[key]
        with Deadline(self.limits.time_limit, self.stopped).place(self._looking):
            return moment_shown(analysis, timeline, seconds)
