"""A network camera without a network: packets by a script, on a clock that only waiting moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from types import SimpleNamespace
from typing import Any

import av
import numpy as np

from timed_clips import picture_at
from twostream.prediction.live import Live
from twostream.prediction.waiting import Waiting
from twostream.types import Frame, VideoError
from twostream.video.live_clock import Clock

MS = Fraction(1, 1000)
FPS = 25
PICTURES = np.random.default_rng(0).integers(0, 255, (50, 40, 50, 3), np.uint8)


class PaperClock(Clock):
    """Time passes only by waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 100.0
        self.waits: list[float] = []
        self.idle: Callable[[], object] = lambda: None  # is waited for before time passes

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.idle()
        self.waits.append(seconds)
        self.time += max(0.0, seconds)


@cache
def _picture(number: int, size: tuple[int, int]) -> np.ndarray:
    return picture_at(number / 25, *size)


def wait_for_others(live: Live, clock: PaperClock) -> None:
    """Let no time pass before the other threads wait for something to do."""

    def idle() -> None:
        queues = (live._frames, live._events)
        while not clock.stopped:
            if all(q._changed._waiters and not (q._items or q._kept) for q in queues):  # type: ignore[attr-defined]
                return
            time.sleep(1e-4)

    clock.idle = idle


def with_room(live: Live) -> Live:
    """Let nothing be skipped or dropped, however slow this machine is."""
    live._events, live._frames = Waiting(1000), Waiting(1000)
    return live


class Packet:
    """One picture, 50 of which come in turn; a damaged one raises as av does."""

    size, dts = 1, 0

    def __init__(
        self, number: int, seconds: float, size: tuple[int, int] = (64, 48), *, good: bool = True
    ) -> None:
        self.number, self.seconds, self.size, self.good = number, seconds, size, good

    def decode(self) -> list[av.VideoFrame]:
        if not self.good:
            raise av.error.InvalidDataError(1094995529, "Invalid data found", "rtsp://u:secret@x")
        frame = av.VideoFrame.from_ndarray(_picture(self.number % 50, self.size), "rgb24")
        frame.pts, frame.time_base = round(self.seconds * 1000), MS
        return [frame]


class Streams(list[Any]):
    """All streams of a container, and those of a kind by its name."""

    video: list[Any]
    audio: list[Any]


class Container:
    """What ``av.open`` gives: each ``demux`` goes on with the script."""

    def __init__(
        self, packets: Iterator[Any], format_name: str = "rtsp", seconds: float = 0
    ) -> None:
        self._packets = packets
        self.format = SimpleNamespace(name=format_name)
        self.duration = round(seconds * av.time_base)
        self.size = -1  # no server says it
        context = SimpleNamespace(width=64, height=48, framerate=None)
        stream = SimpleNamespace(codec_context=context, frames=0, average_rate=25, duration=None)
        stream.index_entries, stream.time_base, stream.metadata = [], 1 / 1000, {}
        stream.guessed_rate, stream.sample_aspect_ratio = 25, None
        stream.disposition = SimpleNamespace(value=0)
        stream.decode = lambda packet: packet.decode() if packet else []
        self.streams = Streams([stream])
        self.streams.video, self.streams.audio = [stream], []

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def demux(self, _stream: Any) -> Iterator[Packet]:
        for packet in self._packets:
            if isinstance(packet, Exception):
                raise packet
            yield packet


def interrupted() -> Exception:
    """What av raises after its timeout."""
    return av.error.ExitError(1414092869, "Immediate exit requested", "rtsp://u:secret@x")


def opening(make: Callable[[], Container]) -> Callable[..., Container]:
    """Return what stands for ``av.open``."""
    return lambda *arguments, **options: make()


class Camera:
    """A source of pictures on a fake clock, through some connections.

    Args:
        connections: for each how many frames come before it breaks; None fails to connect.
        after: called with the number of each frame once it is taken.
        apart: seconds from each picture to the next.
    """

    name = "camera"

    def __init__(
        self,
        *connections: int | None,
        reconnects: bool = True,
        after: Callable[[int], object] | None = None,
        apart: float = 1 / FPS,
    ) -> None:
        self.left = list(connections)
        self.reconnects = reconnects
        self.after = after or (lambda number: None)
        self.sent = 0
        self.apart = apart

    def frames(self, clock: Clock) -> Iterator[Frame]:
        count = self.left.pop(0)
        if count is None:
            raise VideoError(self.name, "no connection")
        for i in range(count):
            clock.wait(self.apart)
            self.sent += 1
            yield Frame(PICTURES[self.sent % len(PICTURES)], i * self.apart)
            self.after(self.sent)
        if self.left:
            raise VideoError(self.name, "the plug was pulled")
