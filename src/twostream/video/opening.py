"""Opening video files: real containers alone, the stream that moves, frames of a size that exists.

A file's name says nothing: what a stranger calls .mp4 may be a script of FFmpeg's that reads other
files without end, a playlist, or a picture whose header asks for gigabytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import av

from twostream.threads import sentence
from twostream.types import TwoStreamError, VideoError
from twostream.video.fingerprint import size_on_disk

# FFmpeg's names of formats that hold the video themselves; none that names other files (concat,
# hls, dash, sdp, image2, ...), draws it (lavfi) or is a still picture.
CONTAINERS = (
    "apng,asf,av1,avi,avs2,avs3,cavsvideo,dhav,dirac,dv,flv,gif,gxf,h261,h263,h264,hevc,ivf,"
    "live_flv,lxf,m4v,matroska,mjpeg,mjpeg_2000,mov,mpeg,mpegts,mpegvideo,mpjpeg,mxf,nsv,nut,nuv,"
    "obu,ogg,pva,rm,rpl,swf,ty,vc1,vc1test,vivo,vvc,wtv,yuv4mpegpipe"
)
MAX_PIXELS = 8192 * 8192  # of a frame; 8K is half of it, and one of them in RGB is 200 MB
# attached_pic, timed_thumbnails and still_image of AV_DISPOSITION
STILL = 1 << 10 | 1 << 11 | 1 << 20
DEFAULT = 1  # AV_DISPOSITION_DEFAULT: of several, the one that players show
PROBED_PACKETS = 1000  # until a stream has shown that it moves


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what nobody foresaw into an error of this video: it costs this one alone."""
    try:
        yield
    except TwoStreamError:
        raise
    except Exception as error:
        raise VideoError(path, sentence(error)) from error


def open_video(path: Path) -> tuple[Any, Any]:
    """Open a video file; returns the av container and the stream to decode.

    The stream is the first one that is more than one picture: covers and stills come before it in
    some files. Those that are marked as the default come first, as in players.

    Raises:
        VideoError: no such file, no video, or frames of too many pixels.
    """
    container = _open(path)
    try:
        streams = video_streams(path, container)
        stream = streams[0]
        if len(streams) > 1:
            index = _first_that_moves(container, streams)
            container.close()
            container = _open(path)  # from the start again
            stream = container.streams[index]
        prepare(path, stream)
    except BaseException:
        container.close()
        raise
    return container, stream


def prepare(path: Path | str, stream: Any) -> None:
    """Make a stream's decoder ready; raises a VideoError for frames that are too large."""
    context = stream.codec_context
    if context.width * context.height > MAX_PIXELS:
        raise _too_large(path, f"{context.width}x{context.height} px")
    context.options = {"max_pixels": str(MAX_PIXELS)}  # also where the size comes later
    # One decoding thread: clips are decoded in parallel, a break shows at the same frame, and a
    # live frame comes at once.
    context.thread_count = 1


def nothing_decoded(path: Path, context: Any, loss: Exception | None) -> VideoError:
    """Return why not one frame came out of a decoder, ``loss`` being its last error."""
    if context.width * context.height > MAX_PIXELS:  # some streams tell it only with a frame
        return _too_large(path, f"{context.width}x{context.height} px")
    if isinstance(loss, av.error.ArgumentError) and not context.width:  # it takes no such size
        return _too_large(path, "a size that it does not take")
    return VideoError(
        path, f"no frame can be decoded: {cause(loss) if loss else 'it holds no frame'}"
    )


def _too_large(path: Path | str, size: str) -> VideoError:
    return VideoError(
        path,
        f"its frames of {size} are larger than {MAX_PIXELS / 1e6:.0f} million px, the most that is "
        "read: make a smaller copy with ffmpeg -i IN -vf scale=1920:-2 OUT.mp4",
    )


def _open(path: Path) -> Any:
    if path.is_dir():
        raise VideoError(path, "is a folder, expected a video file")
    if not size_on_disk(path):
        raise VideoError(path, "the file is empty")
    # "file:" and the whitelist keep odd names from reaching over the network.
    whitelists = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    # A frame may be decoded to know what a stream holds. PyAV 17.0 writes beside its memory where
    # streams get options that the header of the file does not name.
    limits = {"max_pixels": str(MAX_PIXELS)} if not av.__version__.startswith("17.0.") else None
    try:
        return av.open(
            f"file:{path}",
            metadata_errors="ignore",
            container_options=whitelists,
            options=limits,
        )
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, PermissionError):
            raise VideoError(
                path, "may not be read: allow it for your account (chmod u+r), or ask its owner"
            ) from error
        if isinstance(error, OSError) and error.errno:
            raise VideoError(path, f"cannot be read: {cause(error)}") from error
        why = "it is no video, or a damaged one"
        if isinstance(error, av.error.ArgumentError):  # what is no container is refused so
            why = (
                "it is sound, a picture, a script or a list of files and no video, or a damaged one"
            )
        raise VideoError(path, f"cannot be opened as a video: {why} ({cause(error)})") from error


def video_streams(path: Path | str, container: Any) -> list[Any]:
    """Return the video streams that may be meant, no covers; raises a VideoError without one."""
    found = list(container.streams.video)
    if not found:
        raise VideoError(path, "holds no video stream: it is no video, or a damaged one")
    found = [stream for stream in found if not stream.disposition.value & STILL]
    if not found:
        raise VideoError(path, "holds a cover picture, and no video")
    known = [stream for stream in found if stream.codec_context is not None]
    if not known:
        raise VideoError(path, "its video codec is unknown to this build of FFmpeg")
    return sorted(known, key=lambda stream: not stream.disposition.value & DEFAULT)


def _first_that_moves(container: Any, streams: Sequence[Any]) -> int:
    """Return the index of the first stream with a second picture; the first one's if none has."""
    first, packets = streams[0].index, Counter[int]()
    try:
        for packet in islice(container.demux(*streams), PROBED_PACKETS):
            packets[packet.stream.index] += packet.size > 0
            if packets[first] > 1:
                break
    except (av.FFmpegError, OSError):
        pass  # what was seen before must do
    return next((each.index for each in streams if packets[each.index] > 1), first)


def is_file(container: Any, stream: Any) -> bool:
    """Whether a video ends: its server says how large it is, or the video how long.

    A playlist has a size too, and its video may have no end; pictures of a camera have none,
    whatever it says.
    """
    names = set(container.format.name.split(",")) & set(CONTAINERS.split(","))
    sized = container.size > 0 and bool(names - {"mpjpeg"})
    return sized or (container.duration or 0) > 0 or stream.frames > 0


def check_size(video: Path | str, height: int, width: int, smallest_side: int) -> None:
    """Raise a VideoError for frames that are too small for the networks' crop."""
    if min(height, width) < smallest_side:
        raise VideoError(
            video,
            f"its frames of {width}x{height} px are smaller than the model's crop of "
            f"{smallest_side} px, the least that it can be shown",
        )


def cause(error: Exception) -> str:
    """Return what libav says went wrong, without its error code."""
    return getattr(error, "strerror", None) or str(error)
