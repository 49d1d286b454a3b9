"""What ``contract.json`` says of videos, done by its words alone, is what the package does."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from twostream.export.describe import describe
from twostream.export.parity import Parity
from twostream.extraction.frame_pairs import clip_items, with_flow
from twostream.extraction.one_video import _picked
from twostream.prediction.whole_videos import read_clip
from twostream.store.coding import coded_item, encode_field
from twostream.store.flow_store import StoreSettings
from twostream.types import Codec, Frame, ModelSpec, TemporalInput
from twostream.video import open_reader
from twostream.video.container_claims import usual_interval
from untrained import SETTINGS, make_spec, write_clip

FLOW = TemporalInput(length=4)
FPS = 25.0


def spec_of(temporal: TemporalInput | None = FLOW, codec: Codec = "jpeg") -> ModelSpec:
    return make_spec(temporal, store=asdict(replace(SETTINGS, codec=codec)))


def described(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the contract says of videos, and of a stream's samples."""
    parity = Parity(0.0, 1, 1, ((32, 32),))
    text = describe([spec], {spec.stream: parity}, None, None, None, None)
    return text["video"], text["streams"][spec.stream]["samples"]


def by_contract(times: Sequence[float], rate: float, end: float) -> tuple[list[int], list[float]]:
    """Number of the frame at each place, and flow of 1 px a frame, by the contract's sentences."""
    r = rate if abs(rate / FPS - 1) <= 0.01 else FPS
    shown = list(enumerate(times))
    if len(times) > 1 and end - 1 / r - times[-1] > 0.2:
        shown.append((len(times) - 1, end - 1 / r))
    taken = {0: (0.0, 0)}  # place: distance, frame
    k = 0
    for i, shown_at in shown[1:]:
        t = shown_at - times[0]
        if r == rate:
            if t < (k + 0.25) / r:
                continue
            k = k + 1 if t <= (k + 1.75) / r else round(t * r)
            taken[k] = (0.0, i)
        else:
            k = math.floor(t * r + 0.45)
            far = abs(t * r - k)
            if k not in taken or far < taken[k][0] - 0.1:
                taken[k] = (far, i)
    frames, fields = [0], list[float]()
    for before, after in pairwise(sorted(taken)):
        span, first, last = after - before, taken[before][1], taken[after][1]
        frames += [first] * (span - 1) + [last]
        fields += [(last - first) / span] * span
    return frames, fields


class Distance:
    """An estimator whose flow is how many frames lie between two."""

    needs_motion_vectors = False

    def see(self, frame: Frame) -> Frame:
        return frame

    def pairs_at_once(self, height: int, width: int) -> int:
        return 1

    def between(self, before: Frame, now: Frame, directions: object) -> list[np.ndarray]:
        moved = float(now.rgb[0, 0, 0]) - float(before.rgb[0, 0, 0])
        return [np.full((2, 1, 1), moved, np.float32)]


class Given:
    """Reads frames of given times."""

    def __init__(self, times: Sequence[float], rate: float, end: float) -> None:
        self.info = SimpleNamespace(fps=rate)
        self.end_seconds = end
        self.frames_read = 0
        self._times = times

    def __iter__(self) -> Iterator[Frame]:
        for i, t in enumerate(self._times):
            self.frames_read += 1
            yield Frame(np.full((1, 1, 3), i, np.uint8), t)


def by_package(times: Sequence[float], rate: float, end: float) -> tuple[list[int], list[float]]:
    settings = StoreSettings(fps=FPS)
    r = rate if abs(rate / FPS - 1) <= 0.01 else FPS
    frames, fields = list[int](), list[float]()
    for _, run in _picked(Given(times, rate, end), settings, r, all_frames=False):  # type: ignore[arg-type]
        flow = with_flow(run, Distance(), ["forward"])  # type: ignore[arg-type]
        for added in clip_items(flow, r, ["rgb", "forward"]):
            frames += [int(items["rgb"][0, 0, 0]) for items in added]
            fields += [float(items["forward"][0, 0, 0]) for items in added if "forward" in items]
    return frames, fields


@pytest.mark.parametrize("rate", [2.0, 5.0, 12.5, 24.8, 25.0, 25.2, 25.4, 30.0, 60.0])
@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.4])
def test_frames_get_the_places_that_the_contract_says(rate: float, jitter: float) -> None:
    rng = np.random.default_rng(0)
    for lost in (0.0, 0.2):
        for stands in (0.0, 0.7):
            steps = np.arange(40 if rate > 5 else 12) + rng.uniform(-0.5, 0.5) * 1e-3
            steps = steps[(rng.random(len(steps)) >= lost) | (steps < 1)]
            times = np.sort((steps + jitter * rng.uniform(-1, 1, len(steps))) / rate)
            times -= times[0]
            end = float(times[-1] + 1 / rate + stands)
            found = by_package(times.tolist(), rate, end)
            wanted = by_contract(times.tolist(), rate, end)
            assert found[0] == wanted[0]
            assert np.allclose(found[1], wanted[1])


def test_the_contract_says_how_frames_get_their_places() -> None:
    video, _ = described(spec_of())
    assert "within 1% of fps, else fps" in video["times"]
    for said in ("before (k + 0.25) / r is left out", "up to (k + 1.75) / r takes k + 1"):
        assert said in video["same_rate"]
    assert "floor(t r + 0.45)" in video["other_rate"] and "over 0.1 / r" in video["other_rate"]
    assert "repeats the frame before" in video["gaps"] and "divided by the" in video["gaps"]
    assert "Where end - 1 / r is over 0.2 s after its t" in video["end"]


def test_the_contract_says_what_the_rate_of_a_video_is() -> None:
    video, _ = described(spec_of())
    said = video["rate_of_a_video"]
    assert "by a tenth, or a tick" in said and "under 60%, of all below 1.9 medians" in said
    assert "the first 2000 frames, or 200 packets" in said and "within 5% of that" in said
    rng = np.random.default_rng(0)
    for jitter in (0, 2, 9):
        intervals = 40 + rng.integers(-jitter, jitter + 1, 60)
        intervals[::7] = 300  # some are lost
        times = np.cumsum(intervals).tolist()
        between = [b - a for a, b in pairwise(times)]
        middle = statistics.median_low(between)
        usual = [each for each in between if abs(each - middle) <= max(1, middle / 10)]
        if len(usual) < 0.6 * len(between):
            usual = [each for each in between if each < 1.9 * middle]
        assert usual_interval(times, 0.001) == pytest.approx(statistics.mean(usual) / 1000)


@pytest.mark.parametrize(
    ("codec", "zero"), [("jpeg", "codes of 128, ranges of 0"), ("lossless", "fields of 0")]
)
def test_a_video_of_one_frame_has_no_motion(codec: Codec, zero: str, tmp_path: Path) -> None:
    spec = spec_of(codec=codec)
    _, samples = described(spec)
    assert samples["single_frames"].endswith(f"the only stack has no motion: {zero}")
    clip = read_clip(write_clip(tmp_path / "one.avi", frames=1), [spec])
    assert clip.positions(FLOW, 6) == {0: 6}
    stored = clip.stored(FLOW, 0)
    if codec == "jpeg":
        assert (stored["codes"] == 128).all() and not stored["ranges"].any()
    else:
        assert not stored["fields"].any()


def test_codes_went_through_jpeg_as_the_contract_says(tmp_path: Path) -> None:
    spec = spec_of()
    video, _ = described(spec)
    assert (
        "each component of a field as a grey picture, of which 0 becomes 1" in video["codec_note"]
    )
    field = np.zeros((2, 40, 56), np.float32)
    field[:, :, 20:30] = -1  # next to the lowest code, below which JPEG rings
    header = StoreSettings.of_model(spec).header(
        "forward", video_id="v", height=40, width=56, fps=FPS
    )
    codes, _ = coded_item(field, header)
    (plane, _), _ = encode_field(field)
    quality = [cv2.IMWRITE_JPEG_QUALITY, video["jpeg_quality"]]
    rung = cv2.imdecode(cv2.imencode(".jpg", plane, quality)[1], cv2.IMREAD_GRAYSCALE)
    assert (rung == 0).any()
    np.testing.assert_array_equal(codes[0], np.where(rung == 0, 1, rung))


def test_the_contract_says_what_repeats_and_where_the_centre_is() -> None:
    _, samples = described(spec_of(None))
    assert "single_frames" not in samples
    _, samples = described(spec_of(TemporalInput(length=4, bidirectional=True)))
    assert samples["starts"].endswith("at place i is frame i + 2")
    assert samples["short_videos"].endswith("repeats the last of the fields")


@pytest.mark.parametrize(("side", "how"), [(40, "AREA"), (48, "BICUBIC"), (64, "BICUBIC")])
def test_frames_are_resized_as_the_contract_says(side: int, how: str, tmp_path: Path) -> None:
    video, _ = described(spec_of())
    assert "area where a side shrinks, else bicubic" in video["resizing"]
    path = write_clip(tmp_path / "v.avi", frames=3)
    with av.open(str(path)) as opened:
        size = {"height": side, "width": round(64 * side / 48)}
        method = av.video.reformatter.Interpolation[how]
        wanted = [
            frame.reformat(**size, format="rgb24", interpolation=method).to_ndarray()
            for frame in opened.decode(video=0)
        ]
    with open_reader(path, short_side=side, enlarges=True) as reader:
        found = [frame.rgb for frame in reader]
    np.testing.assert_array_equal(found, wanted)
