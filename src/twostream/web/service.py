"""One run, its limits and its visitors' videos: what the page and the API share."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twostream.prediction import Timeline
from twostream.types import Progress, no_progress
from twostream.web import answers
from twostream.web.analysis import Decoded
from twostream.web.decoding import Decoders
from twostream.web.limits import Deadline, Limits
from twostream.web.uploads import Uploads
from twostream.web.workers import Work, Workers

KEEP = 8  # videos in memory, to be clicked on, for each that may be worked on at once


@dataclass(eq=False)
class Run:
    """What answers: a run's networks, and what decodes videos for them.

    Attributes:
        networks: of the run.
        name: for people.
        decoders: the processes that decode videos.
        users: how many are being answered.
    """

    networks: Workers
    name: str
    decoders: Decoders
    users: int = 0


class Service:
    """What is served: a run, in whose place another one may come, and visitors' videos.

    Args:
        limits: of every visitor.
        uploads: the folder of what they send.
        videos: files of the server's that visitors may pick, by number.

    Attributes:
        limits, uploads, videos: likewise.
        run: that is served; None: there is none yet.
    """

    def __init__(self, limits: Limits, uploads: Uploads, videos: Sequence[Path] = ()) -> None:
        self.limits, self.uploads, self.videos = limits, uploads, tuple(videos)
        self.run: Run | None = None
        self._stopped = threading.Event()  # all work ends at its next step
        self._working = threading.Semaphore(limits.at_once)
        self._looking = threading.Semaphore(limits.at_once)
        self._kept: OrderedDict[str, tuple[Decoded, Timeline]] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, networks: Workers, name: str) -> None:
        """Serve a run from now on; what is under way is done by the one before.

        Args:
            networks: of the run.
            name: of the run, for people.
        """
        run = Run(networks, name, Decoders(networks.served, self.limits))
        run.decoders.start()
        with self._lock:
            before, self.run = self.run, run
            if before is not None and before.networks.served != networks.served:
                self._kept.clear()  # a page would go on with time lines of the run before
        if before is not None:
            before.decoders.close(busy=False)
            self._close_unused(before)

    def close(self) -> None:
        """End all work."""
        self._stopped.set()
        if self.run is not None:
            self.run.decoders.close()
            self.run.networks.close()

    @contextmanager
    def _current(self) -> Iterator[Run]:
        """Give the run that is served now: it stays until the block ends."""
        with self._lock:
            run = self.run
            assert run is not None  # nobody is let in before
            run.users += 1
        try:
            yield run
        finally:
            with self._lock:
                run.users -= 1
            self._close_unused(run)

    def _close_unused(self, run: Run) -> None:
        if run is not self.run and not run.users:
            run.networks.close(busy=False)

    def predict(self, video: Path, name: str, top: int, timeline: bool) -> dict[str, Any]:
        """Return what ``answers.labelled`` says of a video; raises as ``show``."""
        with self._current() as run:
            _, answer = self._answered(run, answers.labelled, video, name, top, timeline)
        return dict(answer)

    def show(self, video: Path, name: str, progress: Progress = no_progress) -> dict[str, Any]:
        """Return what the page shows of a video, and keep it in memory.

        A visitor's file is gone once it is decoded; a file of the server's stays.

        Args:
            video: an upload, or one of ``videos``.
            name: as the visitor calls it.
            progress: told of the wait, and how much is decoded and scored.

        Raises:
            RefusedError: beyond a limit.
            VideoError: it cannot be decoded, or is too small.
        """
        key = secrets.token_hex(16)
        with self._current() as run:
            decoded, found = self._answered(run, answers.shown, video, name, progress=progress)
            page, timeline = found
            with self._lock:
                if self.run is not None and self.run.networks.served == run.networks.served:
                    self._kept[key] = decoded, timeline
                while len(self._kept) > KEEP * self.limits.at_once:
                    self._kept.popitem(last=False)
        return {"key": key, **page}

    def _answered(
        self,
        run: Run,
        work: Work,
        video: Path,
        name: str,
        *more: Any,
        progress: Progress = no_progress,
    ) -> tuple[Decoded, Any]:
        """Decode a video and have it worked on while one of the places for that is taken."""
        deadline = Deadline(self.limits.time_limit, self._stopped)
        progress("waiting for a place", 0, 1)
        with deadline.place(self._working):
            progress("waiting for a place", 1, 1)
            files = run.decoders.decode(video, deadline, progress)
            if video not in self.videos:
                video.unlink()
            decoded = Decoded(video, name, files)
            do = run.networks.do
            return decoded, do(work, decoded, *more, deadline=deadline, progress=progress)

    def show_moment(self, key: str, seconds: float) -> dict[str, Any] | None:
        """Return what the page shows of a moment of a video; None where it is not kept any more.

        Raises:
            RefusedError: too many look at the same time.
        """
        with self._current() as run:
            with self._lock:
                if key not in self._kept:
                    return None
                self._kept.move_to_end(key)
                decoded, timeline = self._kept[key]
            deadline = Deadline(self.limits.time_limit, self._stopped)
            with deadline.place(self._looking):
                do = run.networks.do
                return dict(do(answers.moment, decoded, timeline, seconds, deadline=deadline))
