"""Videos whose frames come at given times, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

MOTION_PX_S = 50.0  # of the texture, to the left


def picture_at(seconds: float, width: int = 64, height: int = 48) -> np.ndarray:
    """What the camera sees at a time: a texture that drifts, whatever the rate."""
    left = round(seconds * MOTION_PX_S)
    return np.ascontiguousarray(_ground(height)[:, left : left + width])


@cache
def _ground(height: int) -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 255, (height, 2400, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def write_timed(
    path: Path,
    times: Sequence[float],
    *,
    fps: int = 25,
    ticks: int = 1000,
    declared: bool = True,
    sound: float = 0.0,
) -> Path:
    """Write pictures at these times; the file calls its rate ``fps``.

    Args:
        path: of the file.
        times: of the pictures, s.
        fps: what the encoder is told.
        ticks: of the clock, a second.
        declared: False: a Matroska says nothing of its rate, as a browser's recording.
        sound: so many seconds of silence, from time 0 on.
    """
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, ticks)
        stream.options = {"bf": "0", "crf": "10"}
        if sound:
            silence = out.add_stream("aac", rate=48000, layout="mono")
            for at in range(0, round(sound * 48000), 1024):
                part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                part.sample_rate, part.pts, part.time_base = 48000, at, Fraction(1, 48000)
                out.mux(silence.encode(part))
            out.mux(silence.encode(None))
        for seconds in times:
            frame = av.VideoFrame.from_ndarray(picture_at(seconds % 40), "rgb24")
            frame.pts, frame.time_base = round(seconds * ticks), Fraction(1, ticks)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    if not declared:
        data = path.read_bytes()
        rate = data.index(b"\x23\xe3\x83\x84")  # DefaultDuration, of four bytes; made a Void
        path.write_bytes(data[:rate] + b"\xec\x86" + bytes(6) + data[rate + 8 :])
    return path


def paused(before: float, pause: float, after: float, fps: float = 25) -> list[float]:
    """Times of frames around a pause, whose lengths are given in seconds."""
    first = [i / fps for i in range(round(before * fps))]
    return first + [before + pause + i / fps for i in range(round(after * fps))]


def uneven(seconds: float) -> list[float]:
    """Times of frames that come 30 and 15 times a second in turn, each for two thirds of one."""
    times, now = [], 0.0
    while now < seconds - 1e-9:
        times.append(now)
        now += 1 / 30 if int(now * 1.5 + 1e-6) % 2 else 1 / 15
    return times
