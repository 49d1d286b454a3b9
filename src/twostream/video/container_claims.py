"""What a container claims about its video: rate, length, number of frames; all may be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av

from twostream.video.cut_ends import asf_seconds, ends_in_a_packet

FALLBACK_FPS = 25.0
MOST_FPS = 300.0  # that is believed where the times of the frames do not show it
SAME_RATE = 0.05  # rates that differ by less are one, told in two ways
# The usual interval is the mean of those within a tick of the clock, or a tenth, of the median: so
# it is not rounded to the clock. Where these are too few (pulldown, jitter), of all but long ones.
MOST_ARE_USUAL = 0.6
LONG = 1.9  # times the median: two intervals in one
SHORT_PAUSE_SECONDS = 1.0
INDEXED_FRAMES = 2000  # of an index that are looked at
MOST_DELAYED = 16  # frames that a decoder keeps back; AVI counts them as time
# Raw streams and pictures one after the other: no times but what the codec says.
WITHOUT_CLOCK = (
    *("h264", "hevc", "vvc", "obu", "m4v", "mpegvideo", "vc1", "cavsvideo", "avs2", "avs3"),
    *("dirac", "h261", "h263", "mjpeg", "mpjpeg", "image2pipe"),
)
WIDEST_PIXEL = 4.0  # that is believed, and its inverse
LATE_SECONDS = 0.2  # sound that begins less before the picture is usual: codecs need a start
# Their durations are from the first time to the last one; those of others count from time 0, where
# of a recording in several files only the first one begins.
FROM_THE_FIRST_FRAME = ("mpegts", "mpeg", "ogg")


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container claims about its video stream; counts and rates may be wrong.

    Attributes:
        path: the file, or the folder of images.
        width: of the upright source, px, as wide as a player shows it.
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


def nominal_fps(container: Any, stream: Any, ticks: int, times: Sequence[int]) -> float:
    """Return the usual rate of the frames by their times; FFmpeg's base rate, if it agrees.

    The base rate holds every time: one odd interval doubles it, and jitter makes it 1000/s. The
    average counts pauses, and frames that an edit list leaves out. Of a raw stream both are a
    default, and the codec's own word is taken. An AVI's may count ticks.

    Args:
        container, stream: of av.
        ticks: what ``frame_ticks`` returns.
        times: of the first frames or of all, in the stream's clock and in the order of decoding;
            what ``index_times`` returns, for one.
    """
    average = float(stream.average_rate or 0)
    base = float(stream.guessed_rate or 0)
    told = float(stream.codec_context.framerate or 0)
    if container.format.name in WITHOUT_CLOCK and 1 <= told <= MOST_FPS:
        return told
    if ticks > 1:
        return average / ticks
    usual = usual_interval(times, float(stream.time_base or 0))
    if usual is None:
        agrees = average > 0 and 0.5 < base / average < 2
        claims = (base if agrees else average, told, base)
        return next((rate for rate in claims if 0 < rate <= MOST_FPS), FALLBACK_FPS)
    if _same(average, told) and _same(2 * average, 1 / usual):
        return average  # of interlaced pictures each field is a packet
    return base if _same(base, 1 / usual) else round(1 / usual, 9)


def _same(rate: float, other: float) -> bool:
    return other > 0 and abs(rate / other - 1) < SAME_RATE


def index_times(stream: Any) -> list[int] | None:
    """Return the times of the first frames, if the container's index holds every frame.

    Args:
        stream: of av.

    Returns:
        In the stream's clock; None where there is no such index, as in Matroska.
    """
    entries = stream.index_entries
    if not entries or len(entries) != stream.frames:
        return None
    return [entry.timestamp for entry in islice(entries, INDEXED_FRAMES)]


def usual_interval(times: Sequence[int], tick: float) -> float | None:
    """Return what usually lies between two frames, in seconds: no pause and no odd one changes it.

    Args:
        times: in the order of decoding; where they fall, one recording follows another.
        tick: of their clock, s.

    Returns:
        None where there are no two times.

    >>> usual_interval([0, 40, 80, 100, 140, 5140, 5180], 0.001)
    0.04
    """
    intervals = sorted(after - before for before, after in pairwise(times) if after > before)
    if not intervals or not tick:
        return None
    if intervals[len(intervals) // 4] * tick < 1 / MOST_FPS:  # several waited, and came at once
        usual = [each for each in intervals if each * tick <= SHORT_PAUSE_SECONDS]
        return sum(usual) / len(usual) * tick
    middle = intervals[(len(intervals) - 1) // 2]
    close = max(min(1, middle / 3), middle / 10)
    usual = [each for each in intervals if abs(each - middle) <= close]
    if len(usual) < MOST_ARE_USUAL * len(intervals):
        usual = [each for each in intervals if each < LONG * middle]
    return sum(usual) / len(usual) * tick


def frame_ticks(container: Any, stream: Any) -> int:
    """Return how many ticks of an AVI's clock a frame is usually shown; 1 for other containers.

    H.264 has two a frame there, of which one is empty; a cut file has no index to tell so.
    """
    if container.format.name != "avi":
        return 1
    entries = islice(stream.index_entries, INDEXED_FRAMES)
    times = [entry.timestamp for entry in entries if entry.size]
    steps = sorted(after - before for before, after in pairwise(times))
    if steps:
        return max(1, steps[len(steps) // 2])
    average, base = stream.average_rate, stream.guessed_rate
    return max(1, round(average / base)) if average and base else 1


def pixel_aspect(stream: Any) -> float:
    """Return how much wider than high a player shows a pixel; 1 where the file says nothing of use.

    Analogue and some surveillance recorders keep half of the columns or lines.

    Args:
        stream: of av.
    """
    said = float(stream.sample_aspect_ratio or 0)
    return said if 1 / WIDEST_PIXEL <= said <= WIDEST_PIXEL else 1.0


def late_start(container: Any, first_seconds: float | None, fps: float) -> float:
    """Return how long a player plays before it shows the first picture; 0: no longer than is usual.

    Players count from where the first of all streams begins: the sound, where a recorder's camera
    came after its microphone, or a cut fell between two key frames.

    Args:
        container: of av.
        first_seconds: time of the first frame, as the file counts; None: it does not say.
        fps: nominal rate.
    """
    if first_seconds is None or container.start_time is None or not container.streams.audio:
        return 0.0
    late = first_seconds - float(container.start_time) / av.time_base
    delayed = MOST_DELAYED / fps if container.format.name == "avi" else 0.0  # frames kept back
    return late if late > max(LATE_SECONDS, delayed) else 0.0


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
    elif container.duration:  # of the longest stream
        seconds = float(container.duration) / av.time_base
        if len(container.streams) > 1:
            seconds = min(seconds, _tagged_seconds(stream))
    elif name == "asf" and (path := on_disk(container)):
        seconds = asf_seconds(path)
    whole_mov = "mov" in name and frames
    if whole_mov and start > 0 and abs(frames / fps - seconds) > 2 / fps:
        seconds -= start  # edits were counted, and the first one shows nothing
    if "mov" not in name:
        # AVI's duration shrinks with a cut file, its count does not. MP4's count includes what an
        # edit list leaves out.
        seconds = max(seconds, frames / fps)
    late = start * fps > MOST_DELAYED if name == "avi" else start > 0
    if late and start < seconds and not whole_mov and name not in FROM_THE_FIRST_FRAME:
        seconds -= start
        frames = 0 if name == "avi" else frames  # empty ones came before
    return max(0.0, seconds), max(0, frames or round(seconds * fps))


def cut_off(container: Any) -> bool:
    """Tell whether a file ends within one of its packets; what is no file of this disk does not."""
    path = on_disk(container)
    return path is not None and ends_in_a_packet(path, container.format.name)


def on_disk(container: Any) -> Path | None:
    """Return which file of this disk a container is; None: it comes from elsewhere."""
    path = Path(container.name.removeprefix("file:"))
    return path if path.is_file() else None


def _tagged_seconds(stream: Any) -> float:
    """Return the length of a Matroska's stream, 00:00:02.000000000 in its tag; 0: it has none."""
    try:
        hours, minutes, seconds = map(float, stream.metadata.get("DURATION", "").split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds
