"""One run, its limits and its visitors' files: what the page and the API share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from twostream.predict import Prediction, TwoStreamPredictor
from twostream.web.analysis import Analysis, Progress
from twostream.web.limits import Deadline, Gate, Limits
from twostream.web.uploads import Uploads


@dataclass
class Service:
    """What is served.

    Attributes:
        predictor: the run.
        name: of the run, for people.
        limits: of every visitor.
        uploads: the folder of what they send.
        videos: files of the server's that visitors may pick, by number.
    """

    predictor: TwoStreamPredictor
    name: str
    limits: Limits
    uploads: Uploads
    videos: tuple[Path, ...] = ()
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Gate(self.limits.at_once)

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
        if isinstance(taken, Path):
            with self.gate.opened(self.limits.time_limit):
                yield self._analyse(taken, name, progress)
            return
        with self.uploads.taken(taken) as path, self.gate.opened(self.limits.time_limit):
            result = self._analyse(path, name, progress)
            path.unlink()
            yield result

    def _analyse(self, path: Path, name: str, progress: Progress) -> tuple[Analysis, Prediction]:
        deadline = Deadline(self.limits.time_limit)
        analysis = Analysis(
            self.predictor,
            path,
            name,
            limits=self.limits,
            deadline=deadline,
            progress=lambda share, words: progress(share / 2, words),
        )
        return analysis, analysis.predict()
