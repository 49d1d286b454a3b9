"""Writing video files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from twostream.files import Partial, remove_leftovers
from twostream.types import VideoError
from twostream.video.opening import cause


class VideoWriter:
    """Writes frames to a video file that appears under its name only once it is complete.

    Args:
        path: where to write; the suffix chooses the container (.avi, .mp4, .mkv).
        fps: frames per second.
        width: px.
        height: px.
        codec: "mpeg4" or "libx264" (or another encoder of FFmpeg).
        quality: mpeg4's fixed quantiser, 1 (best) to 31.
        crf: x264's constant rate factor, 0 (lossless) to 51.

    Raises:
        VideoError: unknown codec or container, or the disk refuses.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        fps: float,
        width: int,
        height: int,
        codec: str = "mpeg4",
        quality: int = 3,
        crf: int = 20,
    ) -> None:
        self.path = Path(path)
        self._shape = (height, width, 3)
        self._frames = 0
        if not self.path.parent.is_dir():  # PyAV would open the file only with the first frame
            raise VideoError(path, f"cannot be written: no folder {self.path.parent}")
        remove_leftovers(self.path.parent)
        try:
            self._partial = Partial(self.path, suffix=self.path.suffix)  # FFmpeg goes by it
        except OSError as error:
            raise VideoError(path, f"cannot be written: {cause(error)}") from error
        try:
            self._container = av.open(f"file:{self._partial.path}", "w")
        except (av.FFmpegError, OSError, ValueError) as error:
            self._partial.discard()
            raise VideoError(path, f"cannot be written: {cause(error)}") from error
        try:
            rate = Fraction(fps).limit_denominator(1001)
            stream: Any = self._container.add_stream(codec, rate=rate)
            stream.width, stream.height = width, height
            # 4:2:0 halves the colour planes, which x264 refuses for odd sizes.
            odd = width % 2 or height % 2
            stream.pix_fmt = "yuv444p" if odd and codec == "libx264" else "yuv420p"
            if codec == "mpeg4":
                # Equal bounds fix the quantiser; the qscale flag does not reach it through PyAV.
                stream.codec_context.options = {"qmin": str(quality), "qmax": str(quality)}
            elif codec == "libx264":
                stream.codec_context.options = {"crf": str(crf)}
            stream.codec_context.thread_count = 1  # the bytes depend on the number of threads
            self._stream = stream
        except (av.FFmpegError, ValueError) as error:
            self.abort()
            raise VideoError(path, f"cannot be written with codec {codec}: {error}") from error

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Append one frame, (height, width, 3) uint8 RGB."""
        if rgb.shape != self._shape or rgb.dtype != np.uint8:
            raise VideoError(
                self.path, f"takes frames of {self._shape} uint8, got {rgb.shape} {rgb.dtype}"
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame.pts = self._frames
        self._frames += 1
        self._encode(frame)

    def _encode(self, frame: Any) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            self.abort()
            raise VideoError(self.path, f"cannot be written: {cause(error)}") from error

    def abort(self) -> None:
        """Leave nothing behind."""
        try:
            self._container.close()
        except (av.FFmpegError, OSError):
            pass  # the disk that refused the frame refuses the trailer too
        finally:
            self._partial.discard()

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._encode(None)
        try:
            self._container.close()
            self._partial.finish()
        except (av.FFmpegError, OSError) as error:
            self._partial.discard()
            raise VideoError(self.path, f"cannot be written: {cause(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
