"""A folder of numbered images as a video: read as a video file is, behind one opening function."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from twostream.frame_names import list_frames
from twostream.types import Frame, VideoError
from twostream.video.container_claims import FALLBACK_FPS, VideoInfo
from twostream.video.fingerprint import size_on_disk
from twostream.video.opening import MAX_PIXELS, cause, reading
from twostream.video.orientation import orientation
from twostream.video.reader import VideoReader, stored_size, to_rgb

CODECS = {b"\xff\xd8": "mjpeg", b"\x89PNG": "png"}  # what a file starts with; its name may lie
MOST_BYTES = 8 * MAX_PIXELS  # of an image: four channels of 16 bit


class FrameFolder:
    """Streams the numbered images of a folder, as ``VideoReader`` does the frames of a file.

    An image that is damaged, and a number that is missing between two others, are lost as a damaged
    packet is: what follows keeps its time, and ``warning`` tells. JPEG and PNG are read, by the
    decoders that read them inside of a video file, to the same pixels.

    Args:
        path: a folder of images, see ``frame_names``.
        short_side, enlarges: see ``VideoReader``.
        fps: the rate, which no file tells; None: 25 frames/s.

    Attributes:
        info, size, warning, frames_read, end_seconds, claimed_seconds, packets_lost: as those of
            ``VideoReader``.

    Raises:
        VideoError: no numbered image is there, or none that can be decoded; numbers start at
            neither 0 nor 1, are there twice, or more than half of them are missing; images are of
            different sizes or too large.
    """

    variable_frame_rate = False

    def __init__(
        self,
        path: Path | str,
        *,
        short_side: int | None = None,
        enlarges: bool = False,
        fps: float | None = None,
    ) -> None:
        self.path = Path(path)
        self._decoders: dict[str, Any] = {}
        self._reformatter = VideoReformatter()
        with reading(self.path):
            self._frames = _checked_frames(self.path)  # number, name
            claimed = self._frames[-1][0] - self._frames[0][0] + 1
            raw = self._first_that_decodes()
            self._coded_size = raw.width, raw.height
            rotation, mirrored = orientation(raw)
            width, height = self._coded_size[:: -1 if rotation in (90, 270) else 1]
            self.info = VideoInfo(
                self.path,
                width,
                height,
                fps or FALLBACK_FPS,
                rotation,
                claimed,
                mirrored,
                fps_told=False,
            )
        self.size = stored_size(height, width, short_side, enlarges)
        self.claimed_seconds = claimed / self.info.fps
        self._start()

    def _start(self) -> None:
        self.warning: str | None = None
        self.frames_read = 0
        self.packets_lost = 0
        self.end_seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the decoders; iterating afterwards makes them again."""
        self._decoders.clear()

    def __iter__(self) -> Iterator[Frame]:
        self._start()
        origin: int | None = None  # number of the first frame that is given
        before = self._frames[0][0] - 1
        damaged: list[str] = []
        missing: list[int] = []
        with reading(self.path):
            for number, name in self._frames:
                missing += range(before + 1, number)
                before = number
                try:
                    raw = self._decode(name)
                except VideoError as error:
                    damaged.append(f"{name} {error.cause}")
                    raw = None
                self.packets_lost = len(damaged) + len(missing)
                if raw is None:
                    continue
                origin = number if origin is None else origin
                rgb = self._checked_rgb(name, raw)
                self.frames_read += 1
                self.end_seconds = (number - origin + 1) / self.info.fps
                yield Frame(rgb, (number - origin) / self.info.fps)
            self.warning = self._what_is_missing(damaged, missing)

    def _checked_rgb(self, name: str, raw: Any) -> NDArray[np.uint8]:
        if (raw.width, raw.height) != self._coded_size:
            size, first = (f"{w}x{h} px" for w, h in ((raw.width, raw.height), self._coded_size))
            raise VideoError(
                self.path,
                f"{name} has {size}, the images before have {first}: a folder holds one video's "
                "frames",
            )
        return to_rgb(raw, self.info, self.size, self._reformatter)

    def _first_that_decodes(self) -> Any:
        why = ""
        for _, name in self._frames:
            try:
                return self._decode(name)
            except VideoError as error:
                why = why or f"{name} {error.cause}"
        raise VideoError(self.path, f"no frame can be decoded: {why}")

    def _decode(self, name: str) -> Any:
        """Return an image as an av frame; raises a VideoError that says why not."""
        path = self.path / name
        if size_on_disk(path) > MOST_BYTES:
            raise VideoError(path, f"is larger than {MOST_BYTES / 1e6:.0f} MB")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise VideoError(path, f"cannot be read: {error.strerror}") from error
        codec = next((codec for start, codec in CODECS.items() if data.startswith(start)), None)
        if codec is None:
            raise VideoError(path, "is neither a JPEG nor a PNG image" if data else "is empty")
        # FFmpeg fills the missing part of a JPEG with grey
        if codec == "mjpeg" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
            raise VideoError(path, "is cut off")
        decoder = self._decoders.get(codec) or self._decoders.setdefault(codec, _decoder(codec))
        packet = av.Packet(data)
        packet.is_keyframe = True  # else a PNG picture is added to the one before
        try:
            frames = decoder.decode(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            del self._decoders[codec]  # nothing of a damaged image stays
            raise VideoError(
                path,
                f"is damaged, or larger than {MAX_PIXELS / 1e6:.0f} million px ({cause(error)})",
            ) from error
        if not frames:
            raise VideoError(path, "is damaged")
        return frames[0]

    def _what_is_missing(self, damaged: list[str], missing: list[int]) -> str | None:
        found = []
        if damaged:
            images = "a damaged image was" if len(damaged) == 1 else f"{len(damaged)} images were"
            found.append(f"{images} left out ({damaged[0]})")
        if missing:
            frames = "a frame is" if len(missing) == 1 else f"{len(missing)} frames are"
            found.append(f"{frames} missing, the first is number {missing[0]}")
        if not found:
            return None
        found.append(f"{self.frames_read} of {self.info.num_frames_claimed} frames are used")
        return f"{self.path}: {'; '.join(found)}"


def _checked_frames(folder: Path) -> list[tuple[int, str]]:
    """Return the number and the name of each frame, in order; raises a VideoError for no clip."""
    try:
        frames = list_frames(folder)
    except OSError as error:
        raise VideoError(folder, f"cannot be read: {error.strerror}") from error
    if not frames:
        raise VideoError(
            folder,
            "is a folder without numbered images, expected a video file, or a folder of frames "
            "called img_00001.jpg, img_00002.jpg, ...",
        )
    for (number, name), (following, other) in pairwise(frames):
        if number == following:
            raise VideoError(folder, f"frame {number} is there twice, as {name} and {other}")
    first, last = frames[0][0], frames[-1][0]
    if first > 1:
        raise VideoError(
            folder,
            f"its frame numbers start at {first}, expected 0 or 1: frames are missing, or must be "
            "numbered anew",
        )
    if 2 * len(frames) < last - first + 1:
        raise VideoError(
            folder,
            f"only {len(frames)} of the frames {first} to {last} are there: expected numbers that "
            "follow each other",
        )
    return frames


def _decoder(codec: str) -> Any:
    """Return a decoder that takes one image after the other, and none that is too large."""
    decoder = av.CodecContext.create(codec, "r")
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    decoder.thread_count = 1  # clips are decoded in parallel
    return decoder


def open_reader(
    path: Path | str,
    *,
    short_side: int | None = None,
    enlarges: bool = False,
    motion_vectors: bool = False,
    fps: float | None = None,
) -> VideoReader | FrameFolder:
    """Open a video: a file, or a folder of numbered images.

    Args:
        path, short_side, enlarges, motion_vectors: see ``VideoReader``; images have no vectors.
        fps: rate of a folder's frames, which no file tells; None: 25 frames/s. A file has its own.

    Raises:
        VideoError: see ``VideoReader`` and ``FrameFolder``.
    """
    if not Path(path).is_dir():
        return VideoReader(
            path, short_side=short_side, enlarges=enlarges, motion_vectors=motion_vectors
        )
    if motion_vectors:
        raise VideoError(
            path, "is a folder of images, which have no motion vectors: use another flow method"
        )
    return FrameFolder(path, short_side=short_side, enlarges=enlarges, fps=fps)
