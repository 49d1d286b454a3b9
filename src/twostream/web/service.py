"""One run, its limits and its visitors' files: what the page and the API share."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from twostream.prediction import Prediction, Timeline, TwoStreamPredictor
from twostream.web.analysis import Analysis, Progress
from twostream.web.limits import Deadline, Gate, Limits
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
        gate: holds ``limits.at_once``.
        stopped: set when the server ends: all work ends at its next step.
    """

    predictor: TwoStreamPredictor
    name: str
    limits: Limits
    uploads: Uploads
    videos: tuple[Path, ...] = ()
    gate: Gate = field(init=False)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate = Gate(self.limits.at_once)
        self._kept: OrderedDict[str, tuple[Analysis, Timeline]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, analysis: Analysis, timeline: Timeline) -> str:
        """Keep a visitor's video in memory and return its key; the longest unseen one goes."""
        key = secrets.token_hex(16)
        with self._lock:
            self._kept[key] = (analysis, timeline)
            while len(self._kept) > KEEP * self.limits.at_once:
                self._kept.popitem(last=False)
        return key

    def kept(self, key: str | None) -> tuple[Analysis, Timeline] | None:
        """Return what was kept; None where it is gone."""
        with self._lock:
            if key is None or key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    @contextmanager
    def analysed(
        self, taken: object, name: str, progress: Progress = lambda share, words: None
    ) -> Iterator[tuple[Analysis, Prediction]]:
        """Decode and score a video while one of the places for it is taken.

        Its file is gone when this begins to give; a file of the server's stays.

        Args:
            taken: a token of the uploads, or one of ``videos``.
            name: as the visitor calls it.
            progress: called with the share of the first half that is done.

        Raises:
            RefusedError: beyond a limit, or the token is not known.
            VideoError: it cannot be decoded.
        """
        deadline = Deadline(self.limits.time_limit, self.stopped)
        if isinstance(taken, Path):
            with self.gate.opened(deadline):
                yield self._analyse(taken, name, deadline, progress)
            return
        with self.uploads.taken(taken) as path, self.gate.opened(deadline):
            result = self._analyse(path, name, deadline, progress)
            path.unlink()
            yield result

    def _analyse(
        self, path: Path, name: str, deadline: Deadline, progress: Progress
    ) -> tuple[Analysis, Prediction]:
        analysis = Analysis(
            self.predictor,
            path,
            name,
            limits=self.limits,
            deadline=deadline,
            progress=lambda share, words: progress(share / 2, words),
        )
        return analysis, analysis.predict()
