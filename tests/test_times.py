"""Time is the file's: uneven rates, missing frames and pauses, in stores, time lines and films."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from frame_images import write_video
from timed_clips import MOTION_PX_S, paused, uneven, write_timed
from twostream.display.film import write_film
from twostream.doctor import examine
from twostream.extraction import extract, extract_to_memory
from twostream.extraction.frame_pairs import placed
from twostream.extraction.pauses import PauseWatch, unbroken
from twostream.flow import make_estimator
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.annotate import PANEL_HEIGHT_PX, write_annotated
from twostream.prediction.timeline_files import scores_csv, segments_csv, srt
from twostream.store.clip_file import ClipFile
from twostream.store.clip_readers import ClipReader
from twostream.store.clip_writer import ClipWriter
from twostream.store.clips import Clip
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import Frame, LabeledVideo, TemporalInput
from twostream.video import VideoReader
from twostream.video.container_claims import nominal_fps, usual_interval

LOSSLESS = StoreSettings(short_side=48, flow="farneback", codec="lossless")
FPS = 25


@pytest.fixture(scope="module")
def pausing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 s of frames, 30 s of none, 3 s of frames: 36 s."""
    return write_timed(tmp_path_factory.mktemp("clips") / "pause.mkv", paused(3, 30, 3))


def at(times: list[float]) -> list[Frame]:
    return [Frame(np.full((1, 1, 3), i), seconds) for i, seconds in enumerate(times)]


def places(times: list[float], fps: float, **options: bool) -> list[tuple[int, int]]:
    """(index, place) of the frames that `placed` gives."""
    found, place = [], 0
    for frame, gap in placed(at(times), fps, **options):
        place += gap
        found.append((int(frame.rgb[0, 0, 0]), place))
    return found


# --- places and pauses


@pytest.mark.parametrize("fps", [10.0, 25.0, 29.97, 60.0, 120.0])
def test_an_even_rate_comes_through_one_by_one(fps: float) -> None:
    """Rounded to ms, and with a jitter of a third of an interval: as if there were none."""
    exact = np.arange(200) / fps
    jitter = np.random.default_rng(0).uniform(-1, 1, 200) / (3 * fps)
    for times in (exact, np.round(exact, 3), np.maximum(exact + jitter, 0)):
        assert places(times.tolist(), fps) == [(i, i) for i in range(200)]


def test_places_follow_the_times() -> None:
    assert places([0, 0.04, 0.12, 0.16], 25) == [(0, 0), (1, 1), (2, 3), (3, 4)]
    assert places([0, 0.02, 0.04, 0.06, 0.08], 25) == [(0, 0), (1, 1), (3, 2)]
    # each frame of codec's motion is kept: it leads on from the one before
    assert [i for i, _ in places([0, 0.02, 0.04, 0.06], 25, all_frames=True)] == [0, 1, 2, 3]
    times = uneven(20)
    for index, place in places(times, 25):
        assert abs(times[index] - place / 25) <= 0.76 / 25


def test_a_pause_is_more_than_a_slow_rate() -> None:
    def runs(times: list[float], fps: float | None) -> list[tuple[float, int]]:
        return [(start, len(list(run))) for start, run in unbroken(at(times), fps)]

    assert runs(paused(1, 0.9, 1), 25) == [(0, 50)]
    assert runs(paused(1, 1.1, 1), 25) == [(0, 25), (pytest.approx(2.1), 25)]
    slow = [5 + 2.0 * i for i in range(6)]
    assert runs(slow, 0.5) == [(0, 6)]
    assert runs([*slow, 40], 0.5) == [(0, 6), (35, 1)]
    # slower from the second second on: no pause, once that is usual
    assert runs([*paused(1, 0, 0), *slow], 25) == [(0, 25), (5, 1), (7, 1), (9, 4)]
    watch = PauseWatch(None)  # of an unknown rate: what was usual so far
    assert [watch.ends_at(t) for t in [*slow, 40, 42]] == [*[False] * 6, True, False]


# --- rates


@pytest.mark.parametrize(
    ("suffix", "odd"), [(".mp4", [40]), (".mp4", [20, 40, 60, 61]), (".ts", [20, 40, 60, 61])]
)
def test_odd_intervals_do_not_change_the_rate(tmp_path: Path, suffix: str, odd: list[int]) -> None:
    """FFmpeg's base rate is that of the shortest interval: one half doubled it, and halved flow."""
    steps = [0.5 if i in odd else 1 for i in range(1, 100)]
    times = (np.cumsum([0, *steps]) / 30).tolist()
    video = write_timed(tmp_path / f"a{suffix}", times, fps=30, ticks=600)
    with VideoReader(video) as reader:
        assert reader.info.fps == pytest.approx(30, abs=0.01)
        assert [frame.pts_seconds for frame in reader] == pytest.approx(times, abs=1e-3)
    header = extract_to_memory(video, LOSSLESS, ("rgb",))["rgb"].header
    assert header.count == pytest.approx(times[-1] * 30 + 1, abs=1)


@pytest.mark.parametrize("what", ["jitter", "bursts", "pauses", "slides", "two"])
def test_a_recording_of_no_declared_rate_has_that_of_its_frames(tmp_path: Path, what: str) -> None:
    """As browsers write them: FFmpeg takes the clock's 1000/s for their rate."""
    rng = np.random.default_rng(4)
    times, fps = {
        "jitter": (np.arange(150) / 30 + rng.normal(0, 0.008, 150).clip(-0.016, 0.016), 30),
        "bursts": (np.repeat(np.arange(50) * 0.1, 3) + 0.002 * (np.arange(150) % 3), 30),
        "pauses": (np.arange(60) / 30 + 2.4567 * (np.arange(60) // 20) + 0.001, 30),
        "slides": (np.cumsum(rng.uniform(1.9, 2.1, 12)), 0.5),
        "two": (np.array([0, 0.04]), 25),
    }[what]
    times = np.round(np.sort(times), 3) - np.round(times.min(), 3)
    video = write_timed(tmp_path / "a.mkv", times.tolist(), declared=False)
    with VideoReader(video) as reader:
        assert reader.info.fps == pytest.approx(fps, rel=0.03)
        assert len(list(reader)) == len(times)
        assert reader.warning is None
    header = extract_to_memory(video, LOSSLESS, ("rgb",))["rgb"].header
    unseen = sum(end - first for first, end in header.pauses)
    assert header.count - unseen == pytest.approx(len(times), abs=4)


def test_one_frame_without_a_rate_has_no_thousandth_of_a_second(tmp_path: Path) -> None:
    with VideoReader(write_timed(tmp_path / "a.mkv", [0], declared=False)) as reader:
        assert reader.info.fps == 25


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60, 120, 240, 1000 / 3, 480])
@pytest.mark.parametrize("ticks", [1000, 90_000])
def test_the_usual_interval_is_not_rounded_to_the_clock(fps: float, ticks: int) -> None:
    exact = np.arange(200) / fps
    times = np.round(exact * ticks).astype(int).tolist()
    assert usual_interval(times, 1 / ticks) == pytest.approx(
        1 / fps, rel=0.05 if fps > 60 else 1e-3
    )
    # another recording follows, whose clock begins anew
    assert usual_interval(times + times, 1 / ticks) == usual_interval(times, 1 / ticks)


def test_film_on_disc_has_its_own_rate() -> None:
    """Pulldown shows frames for two and three fields in turn."""
    shown = np.cumsum([0, *[2, 3] * 60])
    assert usual_interval(shown.tolist(), 1 / 60) == pytest.approx(1 / 24)
    assert usual_interval([0], 1 / 60) is None


def test_slides_that_claim_a_films_rate_have_no_pauses(tmp_path: Path) -> None:
    """Matroska declares a rate; that of the frames counts, as in MP4."""
    times = [2.0 * i for i in range(10)]
    for name in ("a.mkv", "a.mp4"):
        video = write_timed(tmp_path / name, times, fps=30)
        header = extract_to_memory(video, LOSSLESS, ("rgb",))["rgb"].header
        assert (header.fps, header.count, header.pauses, header.warning) == (0.5, 10, (), None)


def test_of_two_rates_the_faster_one_keeps_every_frame() -> None:
    """Half of the frames come at 30/s, half of them at 15/s, as of a phone in the dark."""
    shown = np.cumsum([0, *[33, 34] * 30, *[66, 67] * 30])
    assert usual_interval(shown.tolist(), 0.001) == pytest.approx(1 / 30, rel=0.01)


def test_fields_are_no_frames() -> None:
    """Of interlaced H.264 each field may be a packet: they come twice as fast as the frames."""
    stream = SimpleNamespace(
        average_rate=25,
        guessed_rate=50,
        time_base=Fraction(1, 50),
        codec_context=SimpleNamespace(framerate=25),
    )
    container = SimpleNamespace(format=SimpleNamespace(name="mpegts"))
    assert nominal_fps(container, stream, 1, range(200)) == 25
    stream.codec_context = SimpleNamespace(framerate=50)  # 50 frames/s, with frames missing
    assert nominal_fps(container, stream, 1, range(200)) == 50


@pytest.mark.parametrize("lengths", [(100, 50), (60, 60, 80)])
def test_joined_recordings_follow_each_other(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    """As recorders join transport streams: each part counts from its own beginning."""
    parts = [
        write_timed(tmp_path / f"{i}.ts", (np.arange(n) / 25 + 0.003 * i).tolist(), ticks=90_000)
        for i, n in enumerate(lengths)
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    total = sum(lengths)
    with VideoReader(tmp_path / "a.ts") as reader:
        times = [frame.pts_seconds for frame in reader]
    assert times == pytest.approx(np.arange(total) / 25, abs=1e-6)
    assert (reader.info.fps, reader.end_seconds) == (25, pytest.approx(total / 25))
    header = extract_to_memory(tmp_path / "a.ts", LOSSLESS, ("rgb",))["rgb"].header
    assert (header.count, header.pauses, header.warning) == (total, (), None)


# --- stores


def test_an_uneven_video_is_stored_at_an_even_rate(tmp_path: Path) -> None:
    """Ten seconds are ten seconds, and each field is the motion of its part of a second."""
    video = write_timed(tmp_path / "vfr.mkv", uneven(10))
    for settings, fps in (
        (LOSSLESS, 30),  # the usual one, whatever the file says
        (StoreSettings(short_side=48, flow="farneback", fps=25), 25),
    ):
        clips = extract_to_memory(video, settings)
        header = clips["rgb"].header
        assert header.fps == fps and header.count == pytest.approx(10 * fps, abs=1)
        assert (header.pauses, header.warning) == ((), None)
        moved = -clips["forward"].fields()[:, 0, 12:-12, 16:-16].mean(axis=(1, 2))
        assert moved.mean() == pytest.approx(MOTION_PX_S / fps, abs=0.05)
        # 15 frames a second, spread over two fields each: none is twice as long
        assert fps == 25 or np.percentile(moved, 95) < 1.8 * MOTION_PX_S / fps


def test_missing_frames_keep_their_time(tmp_path: Path) -> None:
    """7% of the frames are missing: 8 s stay 8 s."""
    kept = np.random.default_rng(1).random(200) > 0.07
    kept[[0, -1]] = True
    for name in ("a.mkv", "a.mp4"):
        video = write_timed(tmp_path / name, (np.flatnonzero(kept) / 25).tolist())
        assert extract_to_memory(video, LOSSLESS, ("rgb",))["rgb"].header.count == 200


def test_a_pause_does_not_change_the_rate(pausing: Path, tmp_path: Path) -> None:
    """An MP4's average counts the pause: 150 frames in 36 s are none the less 25 a second."""
    for video in (pausing, write_timed(tmp_path / "a.mp4", paused(3, 30, 3))):
        with VideoReader(video) as reader:
            assert reader.info.fps == 25


def test_a_pause_is_in_the_store_and_known(pausing: Path, tmp_path: Path) -> None:
    videos = [LabeledVideo("a/pause.mkv", pausing, 0)]
    summary = extract(videos, store=tmp_path / "store", settings=LOSSLESS, kinds=("rgb", "forward"))
    assert "no frames from 3.0 to 33.0 s" in summary.warnings["a/pause.mkv"]
    store = FlowStore.open(tmp_path / "store")
    rgb, forward = (store.clip("a/pause.mkv", kind) for kind in ("rgb", "forward"))
    assert (rgb.header.count, rgb.header.fps) == (900, 25)  # 36 s
    assert forward.header.count == 899
    assert rgb.header.pauses == forward.header.pauses == ((75, 825),)
    frames = rgb.frames([74, 75, 824, 825])
    assert (frames[1] == frames[0]).all() and (frames[2] == frames[0]).all()
    assert (frames[3] != frames[0]).mean() > 0.5
    assert not forward.fields(74, 825).any()  # nothing moves, and no flow reaches across
    moved = -forward.fields()[np.r_[0:74, 825:899], 0, 12:-12, 16:-16].mean(axis=(1, 2))
    np.testing.assert_allclose(moved, MOTION_PX_S / 25, atol=0.3)


def test_what_stands_for_a_pause_is_neither_scored_nor_trained_on(pausing: Path) -> None:
    files = extract_to_memory(pausing, LOSSLESS)
    clip = Clip({kind: ClipReader(file, keep=False) for kind, file in files.items()})
    assert list(clip.seen_positions(None)) == [*range(75), *range(825, 900)]
    stack = TemporalInput(length=4)
    assert list(clip.seen_positions(stack)) == [*range(71), *range(825, 896)]
    assert set(clip.positions(stack, 25)) <= set(clip.seen_positions(stack))
    assert sum(clip.positions(None, 25).values()) == 25
    assert list(clip.seen_positions(TemporalInput(length=80))) == [0, 825]  # the last field repeats


@pytest.mark.parametrize(
    "temporal",
    [
        TemporalInput(length=10, subtract_mean=False),
        TemporalInput(length=10, subtract_mean=False, bidirectional=True),
        TemporalInput(length=15, rgb=True),
        None,
    ],
)
def test_runs_shorter_than_a_stack_are_scored_as_short_clips(temporal: TemporalInput) -> None:
    """Two runs of 10 and 4 frames, and one frame alone, around pauses of which nothing is seen."""

    def clip(values: np.ndarray, pauses: tuple[tuple[int, int], ...]) -> Clip:
        moved = np.where(values[1:] > 0, values[:-1], 0)  # from a frame that is seen to another
        readers = {}
        for kind, items in (("rgb", values), ("forward", moved), ("backward", moved)):
            header = LOSSLESS.header(kind, video_id="a", height=2, width=2, fps=25)
            writer = ClipWriter(buffer := io.BytesIO(), header)
            for value in items:
                item = header.empty(1)[0]
                item[:] = value
                writer.append(item)
            writer.close(pauses=pauses)
            readers[kind] = ClipReader(ClipFile(buffer.getvalue()), keep=False)
        return Clip(readers)

    values = np.zeros(81, int)
    values[:10], values[40:44], values[80] = range(1, 11), range(101, 105), 201
    whole = clip(values, ((10, 40), (44, 80)))
    flow = temporal is not None and not temporal.rgb
    runs = [(0, 10), (40, 44), (80, 81)][: 2 if flow else 3]
    wanted = []
    for first, end in runs:
        alone = clip(values[first:end], ())
        wanted += [(first + p, alone.stack(temporal, p)) for p in alone.seen_positions(temporal)]
    assert list(whole.seen_positions(temporal)) == [position for position, _ in wanted]
    for position, stack in wanted:
        np.testing.assert_array_equal(whole.stack(temporal, position), stack)
        assert stack.all()  # nothing of a pause
    held = whole.holding(temporal, [position for position, _ in wanted])
    np.testing.assert_array_equal(held.stack(temporal, wanted[1][0]), wanted[1][1])


def test_frames_that_all_stand_alone_have_no_motion(tmp_path: Path) -> None:
    video = write_timed(tmp_path / "a.mp4", [0, 12, 25], fps=25)
    files = extract_to_memory(video, StoreSettings(short_side=48, flow="farneback", fps=2))
    clip = Clip({kind: ClipReader(file, keep=False) for kind, file in files.items()})
    assert len(files["rgb"].header.pauses) == 3  # the last one stands for as long as the others
    stack = TemporalInput(length=3)
    assert not clip.stack(stack, clip.seen_positions(stack)[0]).any()
    assert list(clip.seen_positions(None)) == [0, 24, 50]


def test_a_broken_clock_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twostream.extraction.pauses.MAX_FILLED_SECONDS", 20)
    video = write_timed(tmp_path / "a.mkv", [0, 0.04, 4000, 4000.04])
    header = extract_to_memory(video, LOSSLESS, ("rgb",))["rgb"].header
    assert header.count == 4 + 20 * 25
    assert "3980 s of it are left out" in (header.warning or "")


def test_codecs_motion_keeps_every_frame(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi", np.zeros((12, 48, 64, 3), np.uint8))
    clips = extract_to_memory(video, StoreSettings(short_side=48, flow="mv"))
    assert clips["rgb"].header.count == 12


# --- time lines


def test_a_time_line_tells_the_files_time(
    predictor: TwoStreamPredictor, pausing: Path, tmp_path: Path
) -> None:
    timeline = predictor.timeline(pausing, threshold=0)
    assert timeline.seconds == 36 and timeline.pauses == ((3, 33),)
    assert "no frames from 3.0 to 33.0 s" in (timeline.warning or "")
    spans = [(s.start_seconds, s.end_seconds, s.score is None) for s in timeline.segments]
    assert spans[0][0] == 0 and spans[-1][1] == 36
    assert [span for span in spans if span[2]] == [(3, 33, True)]
    assert all(end <= 3 or start >= 33 for start, end, unseen in spans if not unseen)
    assert (timeline.segment_at(20).label, timeline.segment_at(20).title) == (None, "no frames")
    assert not ((timeline.times > 2.5) & (timeline.times < 33.5)).any()
    # each side is what a video of its own would be
    alone = predictor.timeline(write_timed(tmp_path / "a.mkv", paused(3, 0, 0)), threshold=0)
    half = len(alone.times)
    np.testing.assert_allclose(timeline.times[:half], alone.times)
    np.testing.assert_allclose(timeline.scores[:half], alone.scores, atol=0.01)  # x264 looks ahead
    np.testing.assert_allclose(timeline.times[half:], 33 + alone.times)
    blocks = srt(timeline.segments).split("\n\n")
    unseen = next(block for block in blocks if "no frames" in block)
    assert unseen.split("\n")[1:] == ["00:00:03,000 --> 00:00:33,000", "no frames"]
    assert "--> 00:00:36,000" in blocks[-2]
    rows = list(csv.DictReader(io.StringIO(segments_csv(timeline))))
    assert [(r["label"], r["score"]) for r in rows if r["start_seconds"] == "3.000"] == [("", "")]
    last = scores_csv(timeline).splitlines()[-1]
    assert last.startswith("35.000,")
    said = timeline.to_json()["segments"]
    assert [s["score"] for s in said if s["end_seconds"] == 33] == [None]
    ends = [end for _, end in timeline.spans()]
    assert 3 in ends and ends[-1] == 36


def test_a_window_covers_the_seconds_that_it_says(
    predictor: TwoStreamPredictor, tmp_path: Path
) -> None:
    video = write_timed(tmp_path / "vfr.mkv", uneven(4))
    timeline = predictor.timeline(video, smooth_seconds=0, every_seconds=2, positions=1)
    assert timeline.seconds == pytest.approx(4, abs=0.05)
    files = extract_to_memory(video, StoreSettings(short_side=40, fps=25))
    assert files["rgb"].header.count / 25 == timeline.seconds
    with VideoReader(video, short_side=40) as reader:
        found = list(predictor.stream(reader, fps=25, window_seconds=1, positions=1))
    assert [window.end_seconds for window in found][:3] == [1, 2, 3]


def test_a_whole_video_is_as_long_as_the_file_says(
    predictor: TwoStreamPredictor, pausing: Path
) -> None:
    prediction = predictor.predict(pausing)
    assert (prediction.start_seconds, prediction.end_seconds) == (0, 36)
    assert "no frames" in (prediction.warning or "")


def test_the_film_takes_as_long_as_the_video(predictor: TwoStreamPredictor, tmp_path: Path) -> None:
    video = write_timed(tmp_path / "a.mkv", paused(0.6, 1.2, 0.6))
    timeline = predictor.timeline(video, window_seconds=0.4, threshold=0)
    specs = [stream.spec for stream in predictor.streams.values()]
    write_annotated(timeline, tmp_path / "film.mp4", specs)
    with VideoReader(tmp_path / "film.mp4") as reader:
        frames = [frame.rgb for frame in reader]
    assert len(frames) == 60
    seen, unseen, again = frames[10], frames[30], frames[50]
    assert unseen[:-PANEL_HEIGHT_PX].mean() < 0.5 * seen[:-PANEL_HEIGHT_PX].mean()
    bars = slice(-PANEL_HEIGHT_PX + 34, -PANEL_HEIGHT_PX + 84)
    assert unseen[bars].std() < 5 < min(seen[bars].std(), again[bars].std())
    summary = write_film(video, tmp_path / "flow.mp4", make_estimator("farneback"))
    with VideoReader(tmp_path / "flow.mp4") as reader:
        assert len(list(reader)) == 59
    assert summary.pairs == 28


def test_the_page_tells_the_same(predictor: TwoStreamPredictor, pausing: Path) -> None:
    from analysed import analysed
    from twostream.web.shown import moment_shown, video_shown

    analysis = analysed(predictor, pausing, "pause.mkv")
    timeline, wanted = analysis.timeline(), predictor.timeline(pausing)
    assert analysis.seconds == timeline.seconds == 36
    assert (timeline.pauses, timeline.segments) == (wanted.pauses, wanted.segments)
    np.testing.assert_array_equal(timeline.times, wanted.times)
    np.testing.assert_array_equal(timeline.scores, wanted.scores)
    assert analysis.moment(5).seconds == 74 / 25 and analysis.moment(30).seconds == 33
    shown = video_shown(analysis, analysis.predict(), timeline)
    together, *streams = (row["blocks"] for row in shown["rows"])
    assert [b["label"] for b in together if b["score"] is None] == ["no frames"]
    for blocks in streams:
        assert all(b["end"] <= 3 or b["start"] >= 33 for b in blocks) and blocks[-1]["end"] == 36
    assert moment_shown(analysis, timeline, 5)["seconds"] == 74 / 25


def test_the_doctor_names_a_pause(pausing: Path, tmp_path: Path) -> None:
    for video in (pausing, write_timed(tmp_path / "a.mp4", paused(3, 30, 3))):
        (problem,) = [p for p in examine(video).problems if p.problem == "pause"]
        assert problem.detail == "no frames from 3.0 to 33.0 s; nothing is said of that time"
