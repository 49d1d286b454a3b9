"""What the run says of each video of a folder: time lines made in the background, and kept.

They are made in a process beside the server, one video after the other, and lie in a folder under
names that tell run and video apart: what was made once is not made again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from twostream.files import write_json
from twostream.prediction.answering_files import answering_hash
from twostream.prediction.contract import is_exported
from twostream.schema import parse_json
from twostream.types import ModelError
from twostream.web.processes import EndedError, Helper, failures_told, helping

if TYPE_CHECKING:
    from twostream.prediction import Timeline, TwoStreamPredictor
    from twostream.types import Progress

State = Literal["none", "waiting", "working", "ready", "failed"]
FLOW = "flow"  # in a RUN: frames and flow of its videos
_WAIT_SECONDS = 1.0  # until a folder is looked at again, where nothing wakes the thread

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What a run says of a video.

    Attributes:
        classes: k names.
        times: (n,) seconds, the centres of windows.
        scores: (n, k) probabilities.
        bouts: {"start", "end", "label", "confidence"} of each, as label files would have them.
        warning: a sentence where the video was odd.
    """

    classes: tuple[str, ...]
    times: NDArray[np.float64]
    scores: NDArray[np.float32]
    bouts: tuple[dict[str, Any], ...]
    warning: str | None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Forecast:
        """Return what ``plain`` made of a time line."""
        classes, times = tuple(told["classes"]), np.array(told["times"], float)
        scores = np.array(told["scores"], np.float32).reshape(len(times), len(classes))
        return cls(classes, times, scores, tuple(told["bouts"]), told["warning"])


class Forecasts:
    """Time lines of videos by one run at a time.

    Args:
        kept: folder for what was made.
        stores: folder in which frames and flow of trainings lie, as flow-<recipe>.
        videos: tells name -> file of those that are wanted.
        device: "auto", "cpu" or "cuda".
    """

    def __init__(
        self, kept: Path, stores: Path, videos: Callable[[], dict[str, Path]], device: str
    ) -> None:
        self._kept = kept
        self._stores = stores
        self._videos = videos
        self._device = device
        self._run: Path | None = None
        self._identity = ""
        self._first: str | None = None
        self._made: dict[tuple[str, str], Forecast | str] = {}  # run and video -> it, or why not
        self._working: tuple[str, float] | None = None  # name of a video, share that is done
        self._helper: Helper | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def use(self, run: Path) -> None:
        """Go on with another run; what the one before is doing ends."""
        with self._lock:
            self._run, self._identity = run, answering_hash(run)
            self._made.clear()
            if self._helper is not None:
                self._helper.process.kill()  # the thread that waits for it sees that
                self._helper.process.join()  # or it would be asked once more, and fail
        self._wake.set()

    @property
    def run(self) -> Path | None:
        """The run; None: there is none yet."""
        return self._run

    def first(self, name: str) -> None:
        """Let a video be the next one."""
        self._first = name
        self._wake.set()

    def of(self, name: str, path: Path) -> tuple[State, Forecast | str | None, float]:
        """Return how it stands with a video: with its time line, or why there is none; the share.

        Args:
            name: of the video.
            path: its file.
        """
        if self._run is None:
            return "none", None, 0.0
        found = self._made.get((self._identity, video_key(path)))
        if found is not None:
            return ("failed" if isinstance(found, str) else "ready"), found, 1.0
        working = self._working
        if working is not None and working[0] == name:
            return "working", None, working[1]
        return "waiting", None, 0.0

    def close(self) -> None:
        """End all work."""
        with self._lock:
            self._closed = True
            if self._helper is not None:
                self._helper.process.kill()
        self._wake.set()
        self._thread.join()

    def _go_on(self) -> None:
        """Make what is wanted, one after the other, until the server ends."""
        while not self._closed:
            try:
                wanted = self._next()
                if wanted is None:
                    self._wake.wait(_WAIT_SECONDS)
                    self._wake.clear()
                else:
                    self._make(*wanted)
            except Exception:
                logger.exception("predictions for the label page failed")
                self._wake.wait(_WAIT_SECONDS)
        if self._helper is not None:
            self._helper.end()

    def _next(self) -> tuple[Path, str, str, Path] | None:
        """Return run, its identity, name and file of the next video."""
        with self._lock:
            run, who = self._run, self._identity
        if run is None:
            return None
        videos = self._videos()
        names = [name for name in (self._first,) if name in videos] + list(videos)
        for name in names:
            if name is not None and (who, video_key(videos[name])) not in self._made:
                return run, who, name, videos[name]
        return None

    def _make(self, run: Path, who: str, name: str, path: Path) -> None:
        key = (who, video_key(path))
        file = self._kept / f"{key[0]}-{key[1]}.json"
        found: dict[str, Any] | str | None = _kept(file)
        if found is None:
            try:
                found = self._asked(run, who, name, path)
            except EndedError:
                if self._identity != who or self._closed:
                    return  # it was to end
                found = "its decoding ended the process that did so: make a copy with ffmpeg"
            finally:
                self._working = None
            if isinstance(found, dict):
                write_json(file, found)
        self._made[key] = found if isinstance(found, str) else Forecast.of(found)

    def _asked(self, run: Path, who: str, name: str, path: Path) -> dict[str, Any] | str:
        """Have a time line made; returns it, or why it cannot be. Raises EndedError."""
        with self._lock:
            if self._closed or self._identity != who:
                raise EndedError
            if self._helper is None or not self._helper.alive:
                if self._helper is not None:
                    self._helper.end()
                self._helper = Helper(_work, self._stores, self._device)
            helper = self._helper
        helper.ask((run, path))
        while "share" in (said := helper.hear()):
            self._working = (name, said["share"])
        if "defect" in said:
            logger.error(said["defect"])
            return "the server failed, its log says why"
        return said.get("timeline") or str(said.get("error"))


def video_key(path: Path) -> str:
    """Return what tells a video from others, and from what it was before it was replaced."""
    try:
        stat = path.stat()
        state = stat.st_size, stat.st_mtime_ns
    except OSError:
        state = 0, 0
    what = repr((path.resolve(), *state))
    return hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def _kept(file: Path) -> dict[str, Any] | None:
    try:
        found = parse_json(file.read_text(encoding="utf-8"))
        Forecast.of(found)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is made anew
    return dict(found)


def _work(connection: Connection, stores: Path, device: str) -> None:
    """Make the time lines of the videos that are named, until the server ends."""
    with helping(connection) as say:
        from twostream.prediction import TwoStreamPredictor
        from twostream.prediction.stored_timeline import FEATURES

        loaded: tuple[Path, TwoStreamPredictor] | None = None
        while True:
            run, video = connection.recv()
            with failures_told(say):
                if loaded is None or loaded[0] != run:
                    loaded = (run, TwoStreamPredictor.load(run, device=device))

                def tell(task: str, done: float, total: float, detail: str = "") -> None:
                    say(share=done / total if total else 0.0)

                places = (run / FLOW, *sorted(stores.glob(f"{FLOW}-*")))
                features = None if is_exported(run) else stores / FEATURES
                say(timeline=plain(_timeline(loaded[1], places, video, features, tell)))


def _timeline(
    predictor: TwoStreamPredictor,
    places: tuple[Path, ...],
    video: Path,
    features: Path | None,
    progress: Progress,
) -> Timeline:
    """Return the time line of a video; of what a training has stored of it, where it has.

    Args:
        features: folder for what the networks make of each moment, which an update needs; None:
            they are exported ones, which do not say.
    """
    from twostream.prediction.stored_timeline import stored_clip, stored_timeline

    clip = stored_clip(predictor, places, video)
    if clip is None:
        return predictor.timeline(video, progress=progress)
    if features is not None and predictor.bouts is not None:
        from twostream.prediction.video_features import featured_timeline, kept_features

        with suppress(ModelError):  # networks that do not end with one full layer
            found = kept_features(predictor, clip, video, features, progress=progress)
            return featured_timeline(predictor, found, video)
    return stored_timeline(predictor, clip, video, progress=progress)


def plain(timeline: Timeline) -> dict[str, Any]:
    """Return what is kept of a time line."""
    from twostream.prediction.timeline_labels import timeline_labels

    (recording,) = timeline_labels(timeline, timeline.video.parent).recordings
    bouts = [
        {
            "start": bout.start_seconds,
            "end": bout.end_seconds,
            "label": bout.label,
            "confidence": bout.confidence,
        }
        for bout in recording.bouts
    ]
    told = timeline.to_json()
    kept = {name: told[name] for name in ("classes", "times", "scores", "warning")}
    return kept | {"bouts": bouts}
