"""One run, its limits and its visitors' videos: what the page and the API share."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twostream.prediction import Timeline
from twostream.types import Progress, no_progress
from twostream.web import answers
from twostream.web.analysis import Decoded
from twostream.web.decoding import Decoders
from twostream.web.limits import Deadline, Limits, Places
from twostream.web.networks import Networks, Work
from twostream.web.uploads import Uploads

KEEP = 8  # videos in memory, to be clicked on, for each that may be worked on at once


@dataclass
class Service:
    """What is served.

    Attributes:
        networks: of the run.
        name: of the run, for people.
        limits: of every visitor.
        uploads: the folder of what they send.
        places: where it is worked on.
        videos: files of the server's that visitors may pick, by number.
        stopped: set when the server ends: all work ends at its next step.
        decoders: the processes that decode videos.
    """

    networks: Networks
    name: str
    limits: Limits
    uploads: Uploads
    places: Places
    videos: tuple[Path, ...] = ()
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.decoders = Decoders(self.networks, self.limits)
        self._kept: OrderedDict[str, tuple[Decoded, Timeline]] = OrderedDict()
        self._lock = threading.Lock()
        self._under_way = 0
        self._successor: Service | None = None

    def close(self) -> None:
        """End all work."""
        self.stopped.set()
        self.decoders.close()
        self.networks.close()

    def retire(self, successor: Service) -> None:
        """Leave what comes to another run; what is under way is done."""
        self.decoders.close(busy=False)
        with self._lock:
            self._successor = successor
            kept = dict(self._kept)
        self._keep(kept)
        self._close_when_done()

    def _keep(self, videos: Mapping[str, tuple[Decoded, Timeline]]) -> None:
        """Keep videos in memory, the longest unseen ones go; a successor that sees alike does."""
        with self._lock:
            successor = self._successor
            if successor is None:
                self._kept.update(videos)
                while len(self._kept) > KEEP * self.limits.at_once:
                    self._kept.popitem(last=False)
        if successor is not None and successor.networks.served == self.networks.served:
            successor._keep(videos)

    def _close_when_done(self) -> None:
        if self._successor is not None and not self._under_way:
            self.networks.close(busy=False)

    @contextmanager
    def _current(self) -> Iterator[Service]:
        """Give who does the work: this one, or who has taken over while the video arrived."""
        with self._lock:
            successor = self._successor
            self._under_way += successor is None
        if successor is not None:
            with successor._current() as current:
                yield current
            return
        try:
            yield self
        finally:
            with self._lock:
                self._under_way -= 1
            self._close_when_done()

    def predict(self, video: Path, name: str, top: int, timeline: bool) -> dict[str, Any]:
        """Return what ``answers.labelled`` says of a video; raises as ``show``."""
        with self._current() as current:
            _, answer = current._answered(answers.labelled, video, name, top, timeline)
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
        with self._current() as current:
            decoded, found = current._answered(answers.shown, video, name, progress=progress)
            page, timeline = found
            current._keep({key: (decoded, timeline)})
        return {"key": key, **page}

    def _answered(
        self, work: Work, video: Path, name: str, *more: Any, progress: Progress = no_progress
    ) -> tuple[Decoded, Any]:
        """Decode a video and have it worked on while one of the places for that is taken."""
        deadline = Deadline(self.limits.time_limit, self.stopped)
        progress("waiting for a place", 0, 1)
        with deadline.place(self.places.working):
            progress("waiting for a place", 1, 1)
            files = self.decoders.decode(video, deadline, progress)
            if video not in self.videos:
                video.unlink()
            decoded = Decoded(video, name, files)
            do = self.networks.do
            return decoded, do(work, decoded, *more, deadline=deadline, progress=progress)

    def show_moment(self, key: str, seconds: float) -> dict[str, Any] | None:
        """Return what the page shows of a moment of a video; None where it is not kept any more.

        Raises:
            RefusedError: too many look at the same time.
        """
        with self._current() as current:
            return current._moment(key, seconds)

    def _moment(self, key: str, seconds: float) -> dict[str, Any] | None:
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            decoded, timeline = self._kept[key]
        deadline = Deadline(self.limits.time_limit, self.stopped)
        with deadline.place(self.places.looking):
            seen = self.networks.do(answers.moment, decoded, timeline, seconds, deadline=deadline)
        return dict(seen)
