"""Where the networks of a run compute: in the server's own process, or in workers beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from twostream.prediction import TwoStreamPredictor
from twostream.prediction.answering_files import answering_hash
from twostream.store.clips import kinds_of
from twostream.store.flow_store import Kind, StoreSettings
from twostream.types import Progress, no_progress
from twostream.web.analysis import Decoded
from twostream.web.limits import Deadline

Work = Callable[..., Any]  # one of ``answers``


@dataclass(frozen=True, slots=True)
class Served:
    """What the server has to know of a run.

    Attributes:
        classes: their names.
        streams: names of the networks.
        settings, kinds: how a video is decoded for them, and to which frames and flow.
        answers: fingerprint of the files that they answer with; "" where they lie in none.
    """

    classes: tuple[str, ...]
    streams: tuple[str, ...]
    settings: StoreSettings
    kinds: tuple[Kind, ...]
    answers: str = ""

    @classmethod
    def of(cls, predictor: TwoStreamPredictor, answers: str = "") -> Self:
        """Return what a run says of itself."""
        specs = [stream.spec for stream in predictor.streams.values()]
        kinds = tuple(sorted({"rgb", *kinds_of(specs)}))  # frames are shown, whoever sees them
        settings = StoreSettings.of_model(specs[0])
        return cls(predictor.spec.classes, tuple(predictor.streams), settings, kinds, answers)


class Networks(Protocol):
    """What computes the answers of a run; safe to use from several threads.

    Attributes:
        on_changed: called where a part of it has to be loaded anew, and the run is another one now.
    """

    on_changed: Callable[[], None]

    @property
    def served(self) -> Served:
        """The run."""

    @property
    def alive(self) -> int:
        """How many processes can answer."""

    @property
    def lost(self) -> int:
        """How many processes have ended without being told to."""

    def do(
        self,
        work: Work,
        video: Decoded,
        *more: Any,
        deadline: Deadline,
        progress: Progress = no_progress,
    ) -> Any:
        """Return what a function of ``answers`` makes of a video, by the run."""

    def close(self, *, busy: bool = True) -> None:
        """Take no more work; what is under way ends too, or without ``busy`` is done first."""


class OwnNetworks:
    """Networks in this process: its threads share them.

    Args:
        predictor: the run.
        answers: fingerprint of its files.
    """

    alive, lost = 1, 0

    def __init__(self, predictor: TwoStreamPredictor, answers: str = "") -> None:
        self._predictor = predictor
        self._answers = answers
        self.on_changed = lambda: None  # it is loaded once, and whole

    @classmethod
    def of_run(cls, run: Path, device: str) -> Self:
        """Load a run, or an export; raises as ``TwoStreamPredictor.load``."""
        answers = answering_hash(run)  # first: what is replaced meanwhile counts as another
        return cls(TwoStreamPredictor.load(run, device=device), answers)

    @property
    def served(self) -> Served:
        """The run."""
        return Served.of(self._predictor, self._answers)

    def do(
        self,
        work: Work,
        video: Decoded,
        *more: Any,
        deadline: Deadline,
        progress: Progress = no_progress,
    ) -> Any:
        """Return what a function of ``answers`` makes of a video."""
        return work(self._predictor, video, deadline, progress, *more)

    def close(self, *, busy: bool = True) -> None:
        """Leave the rest to the deadlines of what is under way."""
