"""A film of a timeline: the video with its label, the best scores as bars, and the flow."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.display.colours import flow_to_rgb
from twostream.display.film import LONGEST_PAUSE_SECONDS, check_film_name, write_pictures
from twostream.extraction.frame_pairs import FramePairs, at_rate
from twostream.extraction.pauses import unbroken
from twostream.flow import FlowEstimator, make_estimator
from twostream.flow.opencv import one_opencv_thread
from twostream.prediction.timeline import Timeline
from twostream.store.flow_store import StoreSettings
from twostream.types import Frame, ModelSpec, Progress, VideoError, no_progress
from twostream.video import FrameFolder, VideoReader, open_reader, shrink

LARGEST_SIDE_PX = 480  # the shorter side of the video in the film
SMALLEST_HEIGHT_PX = 240  # smaller videos are enlarged by a whole factor, to be seen
SMALLEST_WIDTH_PX = 320  # room for the panel's text
PANEL_HEIGHT_PX = 104
STRIP_HEIGHT_PX = 10
BARS = 3
DARKER = 3  # times, in a pause
INSET_SHARE = 0.3
FULL_COLOUR_RMS = 3.0  # flow of so many times the training data's usual length has full colour
GREY = (150, 150, 150)
FONT = cv2.FONT_HERSHEY_SIMPLEX

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


def write_annotated(
    timeline: Timeline,
    out: Path | str,
    specs: list[ModelSpec],
    *,
    progress: Progress = no_progress,
) -> None:
    """Write a timeline's video again, with what was recognised; memory is constant.

    Below the picture stand the label, the best scores at that moment, and a strip with all
    segments and the place in it. The flow in the corner is computed again, as the network sees it.
    Through a pause the last picture stands, dark.

    Args:
        timeline: of a video that is still there.
        out: the film, .mp4, .mkv, .mov or .avi; it appears once it is complete.
        specs: of the networks; without one that sees flow there is none in the film.
        progress: told how many seconds of the film are written.

    Raises:
        UsageError: a name that is no video's.
        VideoError: the video cannot be decoded, or the film not be written.
    """
    check_film_name(Path(out))
    flow = next((spec for spec in specs if spec.is_flow), None)
    codec = flow is not None and _estimator(flow).needs_motion_vectors
    fps = next((spec.fps for spec in specs), None)  # of a folder of frames
    reader = open_reader(timeline.video, short_side=LARGEST_SIDE_PX, motion_vectors=codec, fps=fps)
    strip = draw_strip(timeline, 1000)

    def pictures() -> Iterator[Picture]:
        for place, rgb, inset in _shown(reader, flow):
            seconds = place / reader.info.fps
            yield draw(rgb, inset, timeline, seconds, strip)
            progress("film", min(seconds, timeline.seconds), timeline.seconds)

    with one_opencv_thread(), reader:
        if not write_pictures(out, pictures(), reader.info.fps):
            raise VideoError(timeline.video, "has no frames any more")
    progress("film", timeline.seconds, timeline.seconds)


def draw(
    rgb: Picture, inset: Picture | None, timeline: Timeline, seconds: float, strip: Picture
) -> Picture:
    """Return one picture of the film, (h, w, 3) uint8 RGB with even sides.

    Args:
        rgb: the video's frame.
        inset: the flow in colours, any size.
        timeline: what is shown.
        seconds: where in the video this is.
        strip: from ``draw_strip``.
    """
    factor = max(1, round(SMALLEST_HEIGHT_PX / rgb.shape[0]))
    frame = rgb.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = frame.shape[:2]
    if inset is not None:
        _put_inset(frame, inset)
    across = max(width, SMALLEST_WIDTH_PX)
    across += across % 2
    top = np.zeros((height + height % 2, across, 3), np.uint8)
    left = (across - width) // 2
    top[:height, left : left + width] = frame
    return np.concatenate([top, draw_panel(timeline, seconds, across, strip)])


def draw_panel(timeline: Timeline, seconds: float, width: int, strip: Picture) -> Picture:
    """Return the panel under the picture, (104, width, 3) uint8 RGB."""
    panel = np.full((PANEL_HEIGHT_PX, width, 3), 24, np.uint8)
    segment = timeline.segment_at(seconds)
    colour = class_colour(timeline, segment.label)
    _text(panel, segment.title, (8, 24), 0.7, colour, width - 90)
    _text(panel, f"{seconds:.1f} s", (width - 76, 24), 0.45, GREY, 70)
    now = timeline.scores[int(np.abs(timeline.times - seconds).argmin())]
    name_width = width // 2 - 16
    bars = 0 if segment.score is None else BARS
    for place, index in enumerate(np.argsort(-now, kind="stable")[:bars].tolist()):
        y = 46 + 16 * place
        name = timeline.classes[index]
        _text(panel, name, (8, y), 0.42, (230, 230, 230), name_width)
        start, end = width // 2, width - 56
        cv2.rectangle(panel, (start, y - 9), (end, y), (60, 60, 60), -1)
        filled = start + round((end - start) * float(now[index]))
        cv2.rectangle(panel, (start, y - 9), (filled, y), class_colour(timeline, name), -1)
        _text(panel, f"{100 * now[index]:.0f}%", (end + 8, y), 0.42, (230, 230, 230), 44)
    panel[-STRIP_HEIGHT_PX:] = cv2.resize(
        strip, (width, STRIP_HEIGHT_PX), interpolation=cv2.INTER_NEAREST
    )
    place = min(width - 2, round(width * seconds / max(timeline.seconds, 1e-6)))
    panel[-STRIP_HEIGHT_PX - 3 :, place : place + 2] = 255
    return panel


def draw_strip(timeline: Timeline, width: int) -> Picture:
    """Return all segments in their colours, (1, width, 3) uint8 RGB."""
    moments = (np.arange(width) + 0.5) / width * timeline.seconds
    ends = [segment.end_seconds for segment in timeline.segments]
    places = np.minimum(np.searchsorted(ends, moments, side="right"), len(ends) - 1)
    colours = [class_colour(timeline, segment.label) for segment in timeline.segments]
    return np.array(colours, np.uint8)[places][None]


def class_colour(timeline: Timeline, label: str | None) -> Colour:
    """Return a class's colour, bright and apart from the others'; grey for none."""
    if label is None:
        return GREY
    hue = round(180 * timeline.classes.index(label) / len(timeline.classes)) % 180
    pixel = np.array([[[hue, 150, 255]]], np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def plain(text: str) -> str:
    """Return text in the characters that OpenCV can draw; accents go, others become "?".

    >>> plain("Café"), plain("走る")
    ('Cafe', '??')
    """
    parts = unicodedata.normalize("NFKD", text)
    kept = "".join(c for c in parts if not unicodedata.combining(c))
    return kept.encode("ascii", "replace").decode()


def _text(
    picture: Picture, text: str, at: tuple[int, int], scale: float, colour: Colour, room_px: int
) -> None:
    """Write text, smaller where it has no room."""
    text = plain(text)
    (width, _), _ = cv2.getTextSize(text, FONT, scale, 1)
    scale *= min(1.0, room_px / max(width, 1))
    cv2.putText(picture, text, at, FONT, scale, colour, 1, cv2.LINE_AA)


def _put_inset(frame: Picture, inset: Picture) -> None:
    """Draw the flow into the corner at the top right, within a white line."""
    height, width = frame.shape[:2]
    scale = INSET_SHARE * math.sqrt(height * width / (inset.shape[0] * inset.shape[1]))
    size = max(1, round(inset.shape[1] * scale)), max(1, round(inset.shape[0] * scale))
    small = cv2.resize(inset, size, interpolation=cv2.INTER_AREA)
    y, x = 6, width - size[0] - 6
    cv2.rectangle(frame, (x - 1, y - 1), (x + size[0], y + size[1]), (255, 255, 255), 1)
    frame[y : y + size[1], x : x + size[0]] = small


def _shown(
    reader: VideoReader | FrameFolder, flow: ModelSpec | None
) -> Iterator[tuple[int, Picture, Picture | None]]:
    """Yield the video at its even rate: places, pictures, and the flow to each in colours."""
    estimator = _estimator(flow) if flow is not None else None
    all_frames = estimator is not None and estimator.needs_motion_vectors
    place, fps = -1, reader.info.fps
    before: tuple[Picture, Picture | None] | None = None
    for start, run in unbroken(reader, fps, 0.0):
        first = max(place + 1, round(start * fps))
        if before is not None:
            dark = before[0] // DARKER
            for paused in range(place + 1, min(first, place + round(LONGEST_PAUSE_SECONDS * fps))):
                yield paused, dark, None
        pairs = FramePairs(estimator, ["forward"]) if estimator is not None else None
        place = first
        for frame, gap in at_rate(run, fps, fps, all_frames=all_frames):
            for repeated in range(place + 1, place + gap):
                assert before is not None
                yield repeated, *before
            if before is None:  # time before the first picture
                dark, least = frame.rgb // DARKER, place - round(LONGEST_PAUSE_SECONDS * fps)
                yield from ((early, dark, None) for early in range(max(0, least), place))
            place += gap
            before = (frame.rgb, _inset(frame, pairs, flow))
            yield place, *before


def _inset(frame: Frame, pairs: FramePairs | None, flow: ModelSpec | None) -> Picture | None:
    """Return the flow to a frame in colours, as the network sees it; None: it sees none."""
    if flow is None or pairs is None:
        return None
    small = shrink(frame.rgb, flow.store.get("short_side"), flow.centre_size is not None)
    fields = pairs.push(replace(frame, rgb=small))
    field = fields[0] if fields else np.zeros((2, *small.shape[:2]), np.float32)
    return flow_to_rgb(field, FULL_COLOUR_RMS * flow.std[0])


def _estimator(flow: ModelSpec) -> FlowEstimator:
    store = StoreSettings.of_model(flow).complete()
    return make_estimator(store.flow, **store.parameters)
