"""Stored clips as the streams see them, and the cache of decoded values."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stored_clips import FRAMES, HEIGHT, INPUTS, KINDS, WIDTH, fill, make_store, same, training
from twostream.inputs import flow_stack, rgb_stack
from twostream.sampling import even_indices
from twostream.store.clip_readers import ClipReader, Reader, decoded_bytes
from twostream.store.clips import Clip, ClipCache, motion_rms
from twostream.store.coding import decode_fields
from twostream.store.flow_store import ClipHeader, FlowStore, StoreSettings
from twostream.types import LabeledVideo, StoreError, TemporalInput


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FlowStore:
    return make_store(tmp_path_factory.mktemp("jpeg") / "store")


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> FlowStore:
    return make_store(tmp_path_factory.mktemp("lossless") / "store", "lossless")


@pytest.fixture(params=["jpeg", "lossless"])
def any_store(request: pytest.FixtureRequest, store: FlowStore, lossless: FlowStore) -> FlowStore:
    return store if request.param == "jpeg" else lossless


# What a clip gives


@pytest.mark.parametrize("temporal", INPUTS)
@pytest.mark.parametrize("video_id", list(FRAMES))
def test_every_input_of_every_clip_has_its_shape(
    any_store: FlowStore, temporal: TemporalInput | None, video_id: str
) -> None:
    clip = ClipCache(any_store, KINDS)[video_id]
    positions = clip.num_positions(temporal)
    shape = (1, 3) if temporal is None else (temporal.length, 3 if temporal.rgb else 2)
    for position in {0, positions - 1}:
        stack = clip.stack(temporal, position)
        assert stack.shape == (*shape, HEIGHT, WIDTH)
        assert stack.dtype == np.float32
        assert np.isfinite(stack).all()


@pytest.mark.parametrize(
    ("temporal", "video_id", "positions"),
    [
        (None, "long", 14),
        (None, "one", 1),
        (TemporalInput(length=4), "long", 10),  # 13 fields
        (TemporalInput(length=13), "long", 1),
        (TemporalInput(length=10), "two", 1),
        (TemporalInput(length=1), "one", 1),
        (TemporalInput(length=4, rgb=True), "long", 11),
        (TemporalInput(length=4, bidirectional=True), "long", 10),
    ],
)
def test_positions(
    store: FlowStore, temporal: TemporalInput | None, video_id: str, positions: int
) -> None:
    assert ClipCache(store, KINDS)[video_id].num_positions(temporal) == positions


def test_a_stack_is_the_fields_from_its_position_on(any_store: FlowStore) -> None:
    clip = ClipCache(any_store, KINDS)["long"]
    fields = any_store.clip("long", "forward").fields()
    for position in (0, 5, 9):
        stack = clip.stack(TemporalInput(length=4, subtract_mean=False), position)
        np.testing.assert_array_equal(stack, fields[position : position + 4])
        temporal = TemporalInput(length=4, trajectory=True)
        wanted = flow_stack(fields[position : position + 4], temporal)
        np.testing.assert_array_equal(clip.stack(temporal, position), wanted)


def test_a_bidirectional_stack_walks_away_from_its_centre(store: FlowStore) -> None:
    clip = ClipCache(store, KINDS)["long"]
    forward = store.clip("long", "forward").fields()
    backward = store.clip("long", "backward").fields()
    temporal = TemporalInput(length=4, bidirectional=True, subtract_mean=False)
    for position in (0, 3, 9):
        stack = clip.stack(temporal, position)
        centre = position + 2  # frames position .. position + 4 are seen
        np.testing.assert_array_equal(stack[:2], forward[[centre, centre + 1]])
        # frame centre -> centre - 1 is number centre - 1 of the backward file
        np.testing.assert_array_equal(stack[2:], backward[[centre - 1, centre - 2]])


def test_a_frame_and_a_stack_of_frames(lossless: FlowStore) -> None:
    clip = ClipCache(lossless, ["rgb"])["long"]
    frames = lossless.clip("long", "rgb").frames()
    wanted = frames[6].transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_array_equal(clip.stack(None, 6)[0], wanted)
    stack = clip.stack(TemporalInput(length=3, rgb=True), 5)
    np.testing.assert_array_equal(stack[1], wanted)
    assert stack.min() >= 0
    assert stack.max() <= 1


def test_a_clip_shorter_than_the_stack_repeats_its_last_field(store: FlowStore) -> None:
    clip = ClipCache(store, KINDS)["two"]
    (field,) = store.clip("two", "forward").fields()
    stack = clip.stack(TemporalInput(length=4, subtract_mean=False), 0)
    np.testing.assert_array_equal(stack, [field] * 4)
    frames = clip.stack(TemporalInput(length=3, rgb=True), 0)
    np.testing.assert_array_equal(frames[1], frames[2])
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_one_frame_has_no_motion(any_store: FlowStore, bidirectional: bool) -> None:
    clip = ClipCache(any_store, KINDS)["one"]
    stack = clip.stack(TemporalInput(length=4, bidirectional=bidirectional), 0)
    assert stack.shape == (4, 2, HEIGHT, WIDTH)
    assert not stack.any()


def test_a_kind_that_was_not_extracted_is_named(store: FlowStore) -> None:
    clip = ClipCache(store, ["forward"])["long"]
    with pytest.raises(StoreError, match="needs the rgb files"):
        clip.stack(None, 0)
    with pytest.raises(StoreError, match="needs the backward files"):
        clip.stack(TemporalInput(length=2, bidirectional=True), 0)


@pytest.mark.parametrize("keep", [False, True])
def test_fields_come_in_any_order_and_repeat(any_store: FlowStore, keep: bool) -> None:
    file = any_store.clip("long", "forward")
    reader = ClipReader(file, keep=keep)
    rows = [7, 3, 3, 12]
    assert len(reader) == 13
    np.testing.assert_array_equal(reader.fields(rows), file.fields()[rows])
    frames = any_store.clip("long", "rgb")
    reader = ClipReader(frames, keep=keep)
    np.testing.assert_array_equal(reader.frames(rows), frames.frames()[rows])


def test_samples_are_read_once_and_counted(store: FlowStore) -> None:
    clip = ClipCache(store, KINDS)["long"]
    temporal = TemporalInput(length=10)  # 4 positions for 25 samples
    stacks, counts = clip.samples(temporal, 25)
    assert counts.tolist() == [Counter(even_indices(4, 25))[i] for i in range(4)]
    assert counts.sum() == 25
    for position in range(4):
        np.testing.assert_array_equal(stacks[position], clip.stack(temporal, position))
    stacks, counts = clip.samples(None, 3)
    assert counts.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(stacks[1], clip.stack(None, 7))  # of frames 0, 7 and 13


class Counting(Reader):
    """Another reader's items; counts how often each was asked for."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader.header, len(reader))
        self.reader = reader
        self.asked: Counter[int] = Counter()

    def kept(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        self.asked.update(rows)
        return self.reader.kept(rows)


@pytest.mark.parametrize("temporal", INPUTS)
@pytest.mark.parametrize("count", [2, 25])
def test_overlapping_stacks_decode_an_item_once(
    any_store: FlowStore, temporal: TemporalInput | None, count: int
) -> None:
    cache = ClipCache(any_store, KINDS, budget_bytes=0)
    for name in FRAMES:
        clip = cache[name]
        readers = {kind: Counting(reader) for kind, reader in clip.readers.items()}
        stacks, _ = Clip(readers, flow_scale=2.0).samples(temporal, count)
        positions = clip.positions(temporal, count)
        wanted = [clip.stack(temporal, position) for position in positions]
        scale = 1 if temporal is None or temporal.rgb else 2
        np.testing.assert_array_equal(stacks, scale * np.stack(wanted))
        asked = {kind: reader.asked for kind, reader in readers.items()}
        assert max((max(times.values(), default=0) for times in asked.values()), default=0) <= 1
        if temporal is None:  # the wanted frames and no other
            assert set(asked["rgb"]) == set(positions)
            assert not asked["forward"]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("temporal", INPUTS)
def test_what_is_stored_of_a_stack_is_the_stack(
    any_store: FlowStore, temporal: TemporalInput | None, keep: bool
) -> None:
    cache = ClipCache(any_store, KINDS, budget_bytes=1 << 30 if keep else 0)
    for name in FRAMES:
        clip = cache[name]
        for position in clip.positions(temporal, 3):
            stored = clip.stored(temporal, position)
            wanted = clip.stack(temporal, position)
            if "frames" in stored:
                np.testing.assert_array_equal(rgb_stack(stored["frames"]), wanted)
                continue
            coded = any_store.settings.codec == "jpeg"
            assert stored.keys() == ({"codes", "ranges"} if coded else {"fields"})
            fields = decode_fields(**stored) if coded else stored["fields"]
            half = len(fields) // 2
            two = temporal is not None and temporal.bidirectional
            halves = [fields[:half], fields[half:]] if two else [fields]
            built = flow_stack(halves[0], temporal, *halves[1:])
            np.testing.assert_array_equal(built, wanted)


# Memory


@pytest.mark.parametrize("temporal", INPUTS)
def test_values_do_not_depend_on_the_cache(
    any_store: FlowStore, temporal: TemporalInput | None
) -> None:
    largest = max(
        sum(decoded_bytes(any_store.clip(video_id, kind)) for kind in KINDS) for video_id in FRAMES
    )
    whole = training(ClipCache(any_store, KINDS), temporal)
    evicting = training(ClipCache(any_store, KINDS, budget_bytes=4 * largest), temporal)
    none = training(ClipCache(any_store, KINDS, budget_bytes=0), temporal)
    for step in (0, 1, 0, 2):
        wanted = whole[step]
        assert same(wanted, evicting[step])
        assert same(wanted, none[step])
    assert not none.clips._clips


def test_the_first_clips_that_fit_stay(tmp_path: Path) -> None:
    names = [f"clip{i}" for i in range(4)]
    store = FlowStore.create(tmp_path / "store", StoreSettings())
    for name in names:
        fill(store, name, 3)
    one = decoded_bytes(store.clip("clip0", "forward"))
    assert one == 2 * 2 * HEIGHT * WIDTH
    clips = ClipCache(store, ["forward"], budget_bytes=3 * one)
    kept = [clips[name] for name in names[:3]]
    assert clips["clip3"] is not clips["clip3"]  # read as it is needed
    assert all(clips[name] is clip for name, clip in zip(names, kept, strict=False))
    assert clips._bytes == 3 * one


def test_a_cache_of_one_kind_lets_the_others_go(store: FlowStore) -> None:
    clips = ClipCache(store, KINDS)
    assert clips.of(KINDS[::-1]) is clips
    assert set(clips["long"].readers) == set(KINDS)
    part = clips.of(["forward"])
    assert part is clips.of(["forward"]) and part.budget_bytes == clips.budget_bytes
    assert set(part["long"].readers) == {"forward"}
    assert not clips._clips and not clips._bytes


def test_decoded_bytes_are_what_decoding_takes(store: FlowStore, lossless: FlowStore) -> None:
    for some, kind in itertools.product((store, lossless), ("rgb", "forward")):
        file = some.clip("long", kind)
        assert decoded_bytes(file) == ClipReader(file, keep=True)._values.nbytes


def test_a_pickled_cache_starts_empty_and_gives_the_same(store: FlowStore) -> None:
    data = training(ClipCache(store, KINDS, budget_bytes=123_456_789), TemporalInput(length=4))
    wanted = data[4]
    again = pickle.loads(pickle.dumps(data))
    assert not again.clips._clips
    assert (again.clips.kinds, again.clips.budget_bytes) == (KINDS, 123_456_789)
    assert same(again[4], wanted)


def test_missing_and_damaged_clips_are_store_errors(store: FlowStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no forward of nowhere\.avi"):
        ClipCache(store, ["forward"])["nowhere.avi"]
    broken = FlowStore.create(tmp_path / "store", StoreSettings())
    fill(broken, "a", 3)
    path = broken.path("a", "forward")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError):
        ClipCache(broken, ["forward"])["a"]


def test_the_flows_root_mean_square(tmp_path: Path) -> None:
    store = FlowStore.create(tmp_path / "store", StoreSettings(codec="lossless"))
    videos = []
    for name, size in (("a", 3.0), ("b", 4.0)):
        header = ClipHeader(
            kind="forward", video_id=name, height=4, width=6, fps=25, codec="lossless"
        )
        writer = store.writer(header)
        for _ in range(5):
            writer.append(np.full((2, 4, 6), size, np.float32))
        writer.close()
        videos.append(LabeledVideo(name, Path(name), 0))
    clips = ClipCache(store, ["forward"])
    plain = TemporalInput(length=2, subtract_mean=False)
    assert motion_rms(clips, videos, plain) == pytest.approx(np.sqrt((9 + 16) / 2), rel=1e-5)
    # after the mean is subtracted nothing is left, and nothing must be divided by zero
    assert motion_rms(clips, videos, TemporalInput(length=2)) == pytest.approx(1e-3)


def test_what_differences_are_normalised_by(tmp_path: Path) -> None:
    store = FlowStore.create(tmp_path / "store", StoreSettings(codec="lossless"))
    header = ClipHeader(kind="rgb", video_id="a", height=4, width=6, fps=25, codec="lossless")
    writer = store.writer(header)
    for grey in (0, 51, 102, 102, 51):
        writer.append(np.full((4, 6, 3), grey, np.uint8))
    writer.close()
    clips, videos = ClipCache(store, ["rgb"]), [LabeledVideo("a", Path("a"), 0)]
    of_four = TemporalInput(length=5, rgb=True, differences=True)
    assert motion_rms(clips, videos, of_four) == pytest.approx(0.2 * np.sqrt(3 / 4), rel=1e-5)
