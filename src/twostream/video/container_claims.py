"""What a container claims about its video: rate, length, number of frames; all may be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av

from twostream.video.indexed_rate import indexed_rate

FALLBACK_FPS = 25.0
MOST_FPS = 300.0
LOOKED_AT = 200  # frames of an index
MOST_DELAYED = 16  # frames that a decoder keeps back; AVI counts them as time
# Raw streams: no container, no times but what the codec says.
RAW = (
    *("h264", "hevc", "vvc", "obu", "m4v", "mpegvideo", "vc1", "cavsvideo", "avs2", "avs3"),
    *("dirac", "h261", "h263", "mjpeg"),
)
# Their durations are from the first time to the last one; those of others count from time 0, where
# of a recording in several files only the first one begins.
FROM_THE_FIRST_FRAME = ("mpegts", "mpeg", "ogg")


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container claims about its video stream; counts and rates may be wrong.

    Attributes:
        path: the file, or the folder of images.
        width: of the upright source, px. Pixels are taken as square.
        height: of the upright source, px.
        fps: nominal frames per second, always positive.
        rotation: degrees clockwise, 0, 90, 180 or 270, that make the coded picture upright.
        num_frames_claimed: what the container says; 0 where it says nothing.
        mirrored: whether the turned picture is mirrored, left to right, to be upright.
        fps_told: whether the video tells its rate; images in a folder do not.
    """

    path: Path
    width: int
    height: int
    fps: float
    rotation: int
    num_frames_claimed: int
    mirrored: bool = False
    fps_told: bool = True


def nominal_fps(container: Any, stream: Any, ticks: int) -> float:
    """Return the base rate unless it is off the average by half, as in GIF and WebM (1000/s).

    The average alone counts frames that an edit list leaves out, and the time of pauses. Of a raw
    stream it is FFmpeg's default, and the codec's own word is taken. An AVI's may count ticks.

    Args:
        container, stream: of av.
        ticks: what ``frame_ticks`` returns.
    """
    average = float(stream.average_rate or 0)
    base = float(stream.guessed_rate or 0)
    told = float(stream.codec_context.framerate or 0)
    if container.format.name in RAW and 1 <= told <= MOST_FPS:
        return told
    if ticks > 1:
        return average / ticks
    if average > 0 and base > 0:
        return base if 0.5 < base / average < 2 else indexed_rate(stream) or average
    return average or base or FALLBACK_FPS


def frame_ticks(container: Any, stream: Any) -> int:
    """Return how many ticks of an AVI's clock a frame is usually shown; 1 for other containers.

    H.264 has two a frame there, of which one is empty; a cut file has no index to tell so.
    """
    if container.format.name != "avi":
        return 1
    entries = islice(stream.index_entries, LOOKED_AT)
    times = [entry.timestamp for entry in entries if entry.size]
    steps = sorted(after - before for before, after in pairwise(times))
    if steps:
        return max(1, steps[len(steps) // 2])
    average, base = stream.average_rate, stream.guessed_rate
    return max(1, round(average / base)) if average and base else 1


def claimed_length(
    container: Any, stream: Any, start: float, fps: float, ticks: int
) -> tuple[float, int]:
    """Return how long the video says that it is, from its first frame on.

    Args:
        container, stream: of av.
        start: time of the first frame, s.
        fps: nominal rate.
        ticks: what ``frame_ticks`` returns.

    Returns:
        Seconds and the number of frames; 0 where it says nothing.
    """
    seconds, frames, name = 0.0, round(stream.frames / ticks), container.format.name
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration and not container.streams.audio:
        seconds = float(container.duration) / av.time_base
    whole_mov = "mov" in name and frames
    if "mov" not in name:
        # AVI's duration shrinks with a cut file, its count does not. MP4's count includes what an
        # edit list leaves out.
        seconds = max(seconds, frames / fps)
    late = start * fps > MOST_DELAYED if name == "avi" else start > 0
    if late and start < seconds and not whole_mov and name not in FROM_THE_FIRST_FRAME:
        seconds -= start
        frames = 0 if name == "avi" else frames  # empty ones came before
    return max(0.0, seconds), max(0, frames or round(seconds * fps))
