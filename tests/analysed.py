"""A visitor's video, decoded in this process, and what serves videos without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from twostream.prediction import TwoStreamPredictor
from twostream.prediction.answering_files import answering_hash
from twostream.types import Progress, no_progress
from twostream.web.analysis import Analysis, Decoded
from twostream.web.decoding import decoded
from twostream.web.limits import Deadline, Limits
from twostream.web.service import Service
from twostream.web.uploads import Uploads
from twostream.web.workers import Served, Work


class OwnNetworks:
    """Stands for ``Workers``: the networks are in this process."""

    alive, lost = 1, 0

    def __init__(self, predictor: TwoStreamPredictor, answers: str = "") -> None:
        self._predictor = predictor
        self._answers = answers
        self.on_changed = lambda: None

    @classmethod
    def of_run(cls, run: Path) -> Self:
        return cls(TwoStreamPredictor.load(run), answering_hash(run))

    @property
    def served(self) -> Served:
        return Served.of(self._predictor, self._answers)

    def do(
        self,
        work: Work,
        video: Decoded,
        *more: Any,
        deadline: Deadline,
        progress: Progress = no_progress,
    ) -> Any:
        return work(self._predictor, video, deadline, progress, *more)

    def close(self, *, busy: bool = True) -> None:
        pass


def analysed(
    predictor: TwoStreamPredictor,
    video: Path,
    name: str = "a.avi",
    *,
    limits: Limits | None = None,
    seconds: float = 600,
) -> Analysis:
    """Decode a video; all that is asked for afterwards has so many seconds."""
    served = Served.of(predictor)
    limits = limits or Limits()
    files = decoded(video, served.settings, served.kinds, limits, lambda **news: None)
    return Analysis(predictor, Decoded(video, name, files), Deadline(seconds))


def service_of(
    predictor: TwoStreamPredictor, limits: Limits, folder: Path, *videos: Path
) -> Service:
    """Return what serves a run, with a folder of what is sent."""
    service = Service(limits, Uploads(folder, limits), videos)
    networks: Any = OwnNetworks(predictor)
    service.use(networks, "run")
    return service
