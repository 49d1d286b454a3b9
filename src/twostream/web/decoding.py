"""Visitors' videos are decoded in processes of their own: what ends one costs one visitor.

FFmpeg is C code that reads what strangers made: a defect in it ends its process, some files take
gigabytes, others all the time there is. So the server sends a path to a process beside it, and
gets news and at last the clip, as bytes of the flow store's format: nothing of it is unpickled.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from twostream.extraction import extract_to_memory
from twostream.flow.device import make_on_device
from twostream.store.clip_file import ClipFile
from twostream.store.flow_store import Kind, StoreSettings
from twostream.types import Frame, Progress, VideoError
from twostream.video import open_reader
from twostream.web.limits import Deadline, Limits
from twostream.web.processes import (
    EndedError,
    Helper,
    Say,
    error_told,
    failures_told,
    helping,
)
from twostream.web.workers import Served

_EVERY_FRAMES = 10  # news is told

logger = logging.getLogger(__name__)


class Decoders:
    """As many processes as videos are worked on at once, begun when they are needed and kept.

    Args:
        served: says which frames and flow are needed.
        limits: of every visitor.
    """

    def __init__(self, served: Served, limits: Limits) -> None:
        self._served = served
        self._limits = limits
        self._idle: list[Decoder] = []
        self._busy: set[Decoder] = set()
        self._closed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin one, so that the first visitor does not wait for it."""
        with self._lock:
            self._idle.append(self._new())

    def decode(self, path: Path, deadline: Deadline, progress: Progress) -> dict[Kind, ClipFile]:
        """Return a video's frames and flow; raises as ``Decoder.decode``."""
        with self._lock:
            while self._idle and not self._idle[-1].alive:  # ended while it waited
                self._idle.pop().end()
            decoder = self._idle.pop() if self._idle else self._new()
            self._busy.add(decoder)
        try:
            return decoder.decode(path, deadline, progress)
        finally:
            self._give_back(decoder)

    def _give_back(self, decoder: Decoder) -> None:
        """Keep a process for the next video; one that ended, or has grown, is replaced at once."""
        with self._lock:
            self._busy.discard(decoder)
            if self._closed or decoder.bytes_in_memory > self._limits.max_memory_mb * 1e6 / 2:
                decoder.end()
            if not self._closed:
                self._idle.append(decoder if decoder.alive else self._new())

    def close(self, *, busy: bool = True) -> None:
        """End all processes, those that are ``busy`` too, or these once they are done."""
        with self._lock:
            self._closed = True
            for decoder in self._busy if busy else ():
                decoder.process.kill()  # who waits for it does the rest
            while self._idle:
                self._idle.pop().end()

    def _new(self) -> Decoder:
        return Decoder(self._served.settings, self._served.kinds, self._limits)


class Decoder(Helper):
    """A process that decodes one video after the other, until one of them ends it.

    Args:
        settings: how frames and flow are stored.
        kinds: any of "rgb", "forward", "backward".
        limits: of every visitor.
    """

    def __init__(self, settings: StoreSettings, kinds: Sequence[Kind], limits: Limits) -> None:
        super().__init__(_work, settings, kinds, limits)
        self._kinds = kinds
        self._limits = limits

    def decode(self, path: Path, deadline: Deadline, progress: Progress) -> dict[Kind, ClipFile]:
        """Return a video's frames and flow, as ``extract_to_memory`` does.

        Args:
            path: the file.
            deadline: for the work; the process ends with it.
            progress: told how much is decoded; what it raises ends the process.

        Raises:
            RefusedError: beyond a limit.
            VideoError: it cannot be decoded, or ended the process.
        """
        try:
            self.ask(path)
            while "frames" in (said := self.hear(deadline, self._limits.max_memory_mb)):
                progress("frames and flow", said["share"], 1.0, str(said["frames"]))
            if "decoded" in said:
                return {kind: ClipFile(self.bytes()) for kind in self._kinds}
        except EndedError as error:
            self.end()
            deadline.check()  # the server may have ended it
            code = self.process.exitcode or 0
            how = signal.strsignal(-code) if code < 0 else f"exit status {code}"
            logger.warning("a visitor's video ended the process that decoded it (%s)", how)
            raise VideoError(
                path,
                f"decoding it ended the process that did so ({how}): make a copy with "
                "ffmpeg -i IN OUT.mp4 and send that",
            ) from error
        except BaseException:
            self.end()
            raise
        raise error_told(said, path)


def _work(
    connection: Connection, settings: StoreSettings, kinds: Sequence[Kind], limits: Limits
) -> None:
    """Decode the videos whose paths come, until the server ends."""
    with helping(connection, nice=0) as say:
        _warm_up(settings, kinds)
        while True:
            path = connection.recv()
            with failures_told(say):
                files = decoded(path, settings, kinds, limits, say)
                say(decoded=True)
                for kind in kinds:
                    connection.send_bytes(files[kind].content())


def _warm_up(settings: StoreSettings, kinds: Sequence[Kind]) -> None:
    """Load what the flow needs before a visitor waits for it; what fails will be told then."""
    if kinds == ("rgb",):
        return
    with suppress(Exception):
        estimator = make_on_device(settings.flow, settings.parameters, "cpu")
        if not estimator.needs_motion_vectors:
            grey = np.full((64, 64, 3), 128, np.uint8)
            estimator.fields([Frame(grey, 0.0), Frame(grey, 0.04)], ["forward"])


def decoded(
    path: Path,
    settings: StoreSettings,
    kinds: Sequence[Kind],
    limits: Limits,
    say: Say,
) -> dict[Kind, ClipFile]:
    """Return a video's frames and flow: what the process does.

    Args:
        path: the file.
        settings: how frames and flow are stored.
        kinds: any of "rgb", "forward", "backward".
        limits: of every visitor.
        say: told the number of ``frames`` and the ``share`` of the video that are done.

    Raises:
        RefusedError: frames too large, or too many.
        VideoError: it cannot be decoded.
    """
    with open_reader(path) as reader:
        limits.check_pixels(reader.info.width, reader.info.height)
    seen = 0

    def on_frame(pairs: int, share: float, seconds: float) -> None:
        nonlocal seen
        seen += 1
        limits.check_seconds(seconds)
        if seen % _EVERY_FRAMES == 0:
            say(frames=seen, share=share)

    files = extract_to_memory(path, settings, kinds, on_frame=on_frame)
    say(frames=seen, share=1.0)
    return files
