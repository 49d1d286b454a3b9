"""Videos that are written oddly: display matrices, covers, no timestamps, damage, a late start."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# what a matrix a, b, c, d of MP4 does to a picture: (x, y) is shown at (ax + cy, bx + dy)
MATRICES = {
    "plain": ((1, 0, 0, 1), lambda f: f),
    "hflip": ((-1, 0, 0, 1), lambda f: f[:, ::-1]),
    "vflip": ((1, 0, 0, -1), lambda f: f[::-1]),
    "rot180": ((-1, 0, 0, -1), lambda f: f[::-1, ::-1]),
    "rot90": ((0, 1, -1, 0), lambda f: np.rot90(f, -1)),
    "rot270": ((0, -1, 1, 0), lambda f: np.rot90(f, 1)),
    "transpose": ((0, 1, 1, 0), lambda f: f.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda f: f[::-1, ::-1].swapaxes(0, 1)),
}


def moving_square(count: int = 30, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """A red square that moves to the right, 2 px a frame, on noise."""
    coarse = np.random.default_rng(0).integers(60, 200, (height // 8, width // 8, 3), np.uint8)
    ground = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    frames = []
    for i in range(count):
        frame = ground.copy()
        left = (8 + 2 * i) % (width - 20)
        frame[12:28, left : left + 16] = (250, 40, 40 + i)  # no two are equal
        frames.append(frame)
    return frames


def encode(
    path: Path,
    frames: list[np.ndarray],
    *,
    codec: str = "libx264",
    fps: int = 25,
    start: float = 0,
    ticks: int = 1,
    pixels: str = "yuv420p",
    form: str | None = None,
    muxing: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Write a video with av itself.

    Args:
        path: the suffix chooses the container, unless ``form`` does.
        frames: to be encoded.
        codec, fps, pixels, options: of the encoder.
        start: time of the first frame, s.
        ticks: of the stream's clock, a frame.
        form: of the container.
        muxing: options of the container.
    """
    with av.open(str(path), "w", format=form, options=muxing or {}) as out:
        stream = out.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.options = options
        stream.codec_context.thread_count = 1
        clock = Fraction(1, fps * ticks)
        stream.time_base = stream.codec_context.time_base = clock
        for i, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = (round(start * fps) + i) * ticks, clock
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Put a display matrix into an MP4's track header."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 if value >= 0 else -(-value << 16) for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def blank_packets(path: Path, which: list[int]) -> Path:
    """Overwrite packets of the first video stream with zeros."""
    with av.open(str(path)) as container:
        packets = [bytes(each) for each in container.demux(video=0) if each.size]
    data = path.read_bytes()
    for i in which:
        assert data.count(packets[i]) == 1
        data = data.replace(packets[i], bytes(len(packets[i])))
    path.write_bytes(data)
    return path


def with_still_first(path: Path, frames: list[np.ndarray], *, cover: bool) -> Path:
    """Write a video whose first stream is one grey picture, marked as a cover or not."""
    with av.open(str(path), "w") as out:
        still = out.add_stream("mjpeg", rate=25)
        still.width, still.height, still.pix_fmt = 32, 24, "yuvj420p"
        if cover:
            still.disposition = 1 << 10
        film = out.add_stream("libx264", rate=25)
        film.height, film.width = frames[0].shape[:2]
        film.pix_fmt = "yuv420p"
        grey = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 128, np.uint8), format="rgb24")
        grey.pts = 0
        out.mux(still.encode(grey))
        out.mux(still.encode(None))
        for i, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = i
            out.mux(film.encode(frame))
        out.mux(film.encode(None))
    return path


def huge_gif(width: int = 20000, height: int = 20000) -> bytes:
    """A GIF of some dozens of bytes whose frames would take gigabytes."""
    return (
        b"GIF89a"
        + struct.pack("<HH", width, height)
        + b"\xf0\0\0"
        + bytes([0, 0, 0, 255, 255, 255])
        + (b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\0")
        + bytes([2, 2, 0x4C, 0x01, 0])
        + b";"
    )


def with_empty_packets(path: Path) -> Path:
    """Write 20 frames, of which the tenth is shown for six, in AVI's way: by empty packets."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for i, rgb in enumerate(moving_square(20)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = i + 5 * (i >= 10)  # the writer fills the gap with empty packets
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
