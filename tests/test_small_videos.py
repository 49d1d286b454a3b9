"""Videos smaller than the stored size, and pixels that are no squares: what a player shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from camera_on_paper import PaperClock
from frame_images import write_images, write_video
from twostream.cli.live_watch import open_sources
from twostream.extraction import extract, extract_to_memory
from twostream.prediction import TwoStreamPredictor
from twostream.store.clips import Clip
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import LabeledVideo, TemporalInput, VideoError
from twostream.video import VideoReader
from twostream.video.frame_folder import open_reader
from untrained import make_model, write_clip

STORED = StoreSettings(short_side=96).complete()
ENLARGED = replace(STORED, enlarges=True)
KINDS = ("rgb", "forward")


def resized(source: Path, path: Path, height: int, width: int) -> Path:
    """The same video at another size."""
    with VideoReader(source) as reader:
        frames = [cv2.resize(f.rgb, (width, height), interpolation=cv2.INTER_AREA) for f in reader]
    return write_video(path, frames)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "large.avi", frames=20, size=96)


@pytest.fixture
def small(large: Path, tmp_path: Path) -> Path:
    return resized(large, tmp_path / "small.avi", 48, 64)


def predictor_of(fps: float = 25) -> TwoStreamPredictor:
    """Networks that see the centred square, resized."""
    inputs = None, TemporalInput(length=4)
    return TwoStreamPredictor.from_models(
        [make_model(each, STORED, crop_size=64, test_crops="centre", fps=fps) for each in inputs]
    )


@pytest.fixture(scope="module")
def resizing() -> TwoStreamPredictor:
    return predictor_of()


def speed(path: Path, settings: StoreSettings) -> float:
    fields = extract_to_memory(path, settings)["forward"].fields()
    return float(np.abs(fields[:, 0, 8:-8, 8:-8]).mean())


def test_motion_in_a_smaller_copy_is_that_of_the_video(large: Path, small: Path) -> None:
    assert speed(small, STORED) == pytest.approx(speed(large, STORED) / 2, rel=0.1)
    assert speed(small, ENLARGED) == pytest.approx(speed(large, STORED), rel=0.1)
    header = extract_to_memory(small, ENLARGED)["rgb"].header
    assert ((header.height, header.width), header.seen_size) == ((96, 128), (48, 64))
    header = extract_to_memory(large, ENLARGED)["rgb"].header
    assert (header.seen_size, header.source_side) == ((96, 128), 0)


def test_a_store_of_a_version_that_enlarged_nothing_is_mended(
    large: Path, small: Path, tmp_path: Path
) -> None:
    videos = [LabeledVideo(path.name, path, 0) for path in (large, small)]
    root = tmp_path / "store"
    assert extract(videos, store=root, settings=STORED, kinds=KINDS).done == 2
    again = extract(videos, store=root, settings=ENLARGED, kinds=KINDS)
    assert (again.done, again.skipped) == (1, 1)
    clip = FlowStore.open(root).clip("small.avi", "forward")
    assert (clip.header.height, clip.header.source_side) == (96, 48)
    assert extract(videos, store=root, settings=ENLARGED, kinds=KINDS).skipped == 2
    # those who want it as it is do not take what was enlarged
    back = extract(videos, store=root, settings=STORED, kinds=KINDS)
    assert (back.done, back.skipped) == (1, 1)
    assert FlowStore.open(root).clip("small.avi", "forward").header.height == 48


def test_a_process_of_a_cluster_enlarges_too(small: Path, tmp_path: Path) -> None:
    from twostream.extraction.many_videos import _extract_there

    store = FlowStore.create(tmp_path / "store", ENLARGED)
    _extract_there(store, KINDS, "cpu", (LabeledVideo("small.avi", small, 0), True))
    assert FlowStore.open(store.root).clip("small.avi", "rgb").header.source_side == 48
    assert store.has("small.avi", "forward")


def test_networks_are_shown_what_they_learnt_from(
    resizing: TwoStreamPredictor, large: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: set[tuple[int, int]] = set()

    def seen(given: Callable[..., Any]) -> Callable[..., Any]:
        def stack(clip: Clip, *which: Any) -> Any:
            shown.add(clip.size)
            return given(clip, *which)

        return stack

    for name in ("stack", "stored"):
        monkeypatch.setattr(Clip, name, seen(getattr(Clip, name)))
    wanted, found = resizing.predict(large), resizing.predict(small)
    (window,) = resizing.timeline(small, window_seconds=1, positions=6).fused
    with VideoReader(small) as reader:
        (streamed,) = resizing.stream([frame.rgb for frame in reader], fps=25)
    assert shown == {(96, 128)}
    for scores in (found.scores, window, streamed.scores):
        np.testing.assert_allclose(scores, wanted.scores, atol=0.2)


def test_what_is_too_small_is_refused_by_its_own_size(
    resizing: TwoStreamPredictor, large: Path, tmp_path: Path
) -> None:
    tiny = resized(large, tmp_path / "tiny.avi", 24, 32)  # below 64 / 2.5
    with VideoReader(tiny) as reader:
        frames = [frame.rgb for frame in reader]
    for answer in (
        lambda: resizing.predict(tiny),
        lambda: resizing.timeline(tiny),
        lambda: list(resizing.stream(frames, fps=25)),
    ):
        with pytest.raises(VideoError, match="its frames of 32x24 px are smaller than"):
            answer()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_watch_of_a_small_video_has_the_frames_of_its_time_line(
    resizing: TwoStreamPredictor, small: Path, tmp_path: Path, kind: str
) -> None:
    with VideoReader(small) as reader:
        frames = np.stack([frame.rgb for frame in reader])
    folder = write_images(tmp_path / "frames", frames)
    path, slow = (small, resizing) if kind == "file" else (folder, predictor_of(fps=12.5))
    (source,) = open_sources(slow, [str(path)])
    with open_reader(path, short_side=96, enlarges=True, fps=slow.spec.fps) as reader:
        for found, wanted in zip(source.frames(PaperClock()), reader, strict=True):
            assert found.pts_seconds == wanted.pts_seconds
            np.testing.assert_array_equal(found.rgb, wanted.rgb)
        assert reader.end_seconds == pytest.approx(0.8 if kind == "file" else 1.6)
    write_images(folder, frames[:, :24, :32])
    (source,) = open_sources(slow, [str(folder)])
    with pytest.raises(VideoError, match="its frames of 32x24 px are smaller than"):
        next(source.frames(PaperClock()))


@pytest.mark.parametrize(
    ("coded", "aspect"), [((96, 64), Fraction(2)), ((48, 128), Fraction(1, 2))]
)
def test_pixels_are_as_wide_as_a_player_shows_them(
    coded: tuple[int, int], aspect: Fraction, large: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    with VideoReader(large) as reader:
        frames = [frame.rgb for frame in reader]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width = coded
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "5"}
        stream.codec_context.sample_aspect_ratio = aspect
        for rgb in frames:
            kept = cv2.resize(rgb, coded[::-1], interpolation=cv2.INTER_AREA)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(kept, "rgb24")))
        out.mux(stream.encode(None))
    height = coded[0]
    with VideoReader(path) as reader:
        assert reader.size == (reader.info.height, reader.info.width) == (height, height * 4 // 3)
        for frame, rgb in zip(reader, frames, strict=True):
            shown = cv2.resize(rgb, reader.size[::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(frame.rgb.astype(int) - shown).mean() < 12
    assert speed(path, replace(ENLARGED, short_side=96)) == pytest.approx(
        speed(large, STORED), rel=0.1
    )
