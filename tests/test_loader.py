"""From stored clips to batches: pure functions of seed and step, whatever the cache or device."""

from __future__ import annotations

import itertools
import pickle
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from twostream.augment import Crop, flip
from twostream.inputs import flow_stack, rgb_stack
from twostream.loader import ScoringSamples, TimedLoader, TrainingBatches, batches
from twostream.sampling import even_indices
from twostream.store.clips import ClipCache, ClipReader, decoded_bytes, flow_rms_px
from twostream.store.coding import decode_fields
from twostream.store.flow_store import ClipHeader, Codec, FlowStore, Kind, StoreSettings
from twostream.types import LabeledVideo, StoreError, TemporalInput

HEIGHT, WIDTH, CROP = 20, 26, 12
KINDS: tuple[Kind, ...] = ("rgb", "forward", "backward")
# number of frames of each clip; "one" has no flow, "two" is shorter than any stack
FRAMES = {"long": 14, "other": 12, "third": 11, "two": 2, "one": 1}
LABELS = {"long": 0, "other": 0, "third": 0, "two": 1, "one": 2}
VIDEOS = [LabeledVideo(name, Path(name), label) for name, label in LABELS.items()]


def fill(store: FlowStore, video_id: str, count: int, codec: Codec = "jpeg") -> None:
    """Write a clip of smooth random frames and fields."""
    rng = np.random.default_rng([count, *map(ord, video_id)])
    for kind in KINDS:
        n = count if kind == "rgb" else count - 1
        header = ClipHeader(
            kind=kind, video_id=video_id, height=HEIGHT, width=WIDTH, fps=25, codec=codec
        )
        writer = store.writer(header)
        coarse = rng.standard_normal((n, 3, 4, 4))
        planes = coarse.repeat(7, axis=2).repeat(7, axis=3)[:, :, :HEIGHT, :WIDTH]
        for item in planes:
            if kind == "rgb":
                writer.append((128 + 40 * item).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
            else:
                writer.append((item[:2] + rng.normal(size=(2, 1, 1))).astype(np.float32))
        writer.close()


def make_store(root: Path, codec: Codec = "jpeg") -> FlowStore:
    store = FlowStore.create(root, StoreSettings(short_side=HEIGHT, codec=codec))
    for video_id, count in FRAMES.items():
        fill(store, video_id, count, codec)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FlowStore:
    return make_store(tmp_path_factory.mktemp("jpeg") / "store")


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> FlowStore:
    return make_store(tmp_path_factory.mktemp("lossless") / "store", "lossless")


@pytest.fixture(params=["jpeg", "lossless"])
def any_store(request: pytest.FixtureRequest, store: FlowStore, lossless: FlowStore) -> FlowStore:
    return store if request.param == "jpeg" else lossless


INPUTS = [
    None,
    TemporalInput(length=1),
    TemporalInput(length=4),
    TemporalInput(length=4, subtract_mean=False),
    TemporalInput(length=4, trajectory=True),
    TemporalInput(length=4, bidirectional=True),
    TemporalInput(length=4, bidirectional=True, trajectory=True, subtract_mean=False),
    TemporalInput(length=4, rgb=True),
]


def training(
    clips: ClipCache, temporal: TemporalInput | None, **changes: object
) -> TrainingBatches:
    values: dict = {
        "videos": VIDEOS,
        "seed": 3,
        "steps": 50,
        "batch_size": 9,
        "crop_size": CROP,
        "flips": True,
        "lighting": 0.1,
    }
    return TrainingBatches(clips=clips, temporal=temporal, **{**values, **changes})


def same(a: dict, b: dict) -> bool:
    return torch.equal(a["crops"], b["crops"]) and torch.equal(a["labels"], b["labels"])


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


def test_the_least_recently_used_clip_goes_first(tmp_path: Path) -> None:
    names = [f"clip{i}" for i in range(8)]
    store = FlowStore.create(tmp_path / "store", StoreSettings())
    for name in names:
        fill(store, name, 3)
    one = decoded_bytes(store.clip("clip0", "forward"))
    assert one == 2 * 2 * HEIGHT * WIDTH
    clips = ClipCache(store, ["forward"], budget_bytes=5 * one)
    kept = {name: clips[name] for name in names[:5]}
    assert all(clips[name] is clip for name, clip in kept.items())
    assert clips["clip0"] is kept["clip0"]  # used again, so clip1 is the oldest now
    assert clips["clip5"] is clips["clip5"]
    assert clips._bytes == 5 * one
    assert clips["clip0"] is kept["clip0"]
    assert clips["clip1"] is not kept["clip1"]
    assert clips._bytes <= 5 * one


def test_a_clip_too_large_for_the_budget_is_read_as_needed(store: FlowStore) -> None:
    size = decoded_bytes(store.clip("long", "forward"))
    clips = ClipCache(store, ["forward"], budget_bytes=4 * size - 1)
    assert clips["long"] is not clips["long"]
    assert clips["two"] is clips["two"]


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


# Training batches


@pytest.mark.parametrize("temporal", INPUTS)
def test_a_batch_is_a_pure_function_of_seed_and_step(
    store: FlowStore, temporal: TemporalInput | None
) -> None:
    clips = ClipCache(store, KINDS)
    data, again = training(clips, temporal), training(ClipCache(store, KINDS), temporal)
    backwards = [again[step] for step in (3, 2, 1, 0)][::-1]
    batch_list = [data[step] for step in range(4)]
    for a, b in zip(batch_list, backwards, strict=True):
        assert same(a, b)
    assert not any(same(a, b) for a, b in itertools.pairwise(batch_list))
    assert not same(training(clips, temporal, seed=4)[0], batch_list[0])
    channels = (1, 3) if temporal is None else (temporal.length, 3 if temporal.rgb else 2)
    assert batch_list[0]["crops"].shape == (9, *channels, CROP, CROP)
    assert batch_list[0]["crops"].dtype == torch.float32
    assert batch_list[0]["labels"].dtype == torch.int64


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_the_shares_of_all_processes_are_the_whole_batch(store: FlowStore, world_size: int) -> None:
    data = training(ClipCache(store, KINDS), TemporalInput(length=2))
    shares = [data.share(rank, world_size)[5] for rank in range(world_size)]
    whole = data[5]
    for rank, share in enumerate(shares):
        assert torch.equal(share["crops"], whole["crops"][rank::world_size])
        assert torch.equal(share["labels"], whole["labels"][rank::world_size])
    assert sum(len(share["labels"]) for share in shares) == 9


def test_classes_are_drawn_uniformly_however_many_videos_they_have(store: FlowStore) -> None:
    data = training(ClipCache(store, KINDS), None, steps=300, batch_size=8)
    counts = np.zeros(3)
    for step in range(300):
        counts += np.bincount(data[step]["labels"], minlength=3)
    share = counts / counts.sum()  # by videos it would be 0.6, 0.2, 0.2
    np.testing.assert_allclose(share, 1 / 3, atol=4 * np.sqrt(2 / 9 / 2400))


def all_samples(stack: np.ndarray, *, is_flow: bool) -> list[np.ndarray]:
    """Every crop of a stack, and its mirror image."""
    places = itertools.product(range(HEIGHT - CROP + 1), range(WIDTH - CROP + 1))
    crops = [Crop(top, left, CROP, CROP).cut(stack) for top, left in places]
    return crops + [flip(crop, is_flow=is_flow) for crop in crops]


@pytest.mark.parametrize(
    "temporal",
    [TemporalInput(length=10), TemporalInput(length=10, trajectory=True), None],
)
def test_samples_are_crops_of_the_whole_frames_input(
    store: FlowStore, temporal: TemporalInput | None
) -> None:
    # Trajectories and means come from whole frames, so a sample is one of the finite number of
    # crops (mirrored or not) of what the clip gives.
    clips = ClipCache(store, KINDS)
    only = [video for video in VIDEOS if video.video_id == "third"]  # 10 fields, 11 frames
    data = training(clips, temporal, videos=only, lighting=0.0, batch_size=40)
    clip = clips["third"]
    is_flow = temporal is not None
    known = {
        sample.tobytes(): (position, i)
        for position in range(clip.num_positions(temporal))
        for i, sample in enumerate(all_samples(clip.stack(temporal, position), is_flow=is_flow))
    }
    found = [known.get(crop.numpy().tobytes()) for crop in data[0]["crops"]]
    assert None not in found
    half = len(known) // clip.num_positions(temporal) // 2
    mirrored = sum(i >= half for _, i in found)
    assert 8 <= mirrored <= 32
    assert len({i for _, i in found}) > 20
    if temporal is None:
        assert len({position for position, _ in found}) > 6
    unmirrored = training(clips, temporal, videos=only, lighting=0.0, batch_size=40, flips=False)
    assert all(known[crop.numpy().tobytes()][1] < half for crop in unmirrored[0]["crops"])


def test_jitter_touches_rgb_alone_and_is_one_colour_a_sample(store: FlowStore) -> None:
    clips = ClipCache(store, KINDS)
    rgb = TemporalInput(length=4, rgb=True)
    for temporal in (None, rgb):
        noise = (
            training(clips, temporal)[0]["crops"]
            - training(clips, temporal, lighting=0.0)[0]["crops"]
        )
        colours = noise[:, :1, :, :1, :1]
        torch.testing.assert_close(noise, colours.expand_as(noise), atol=1e-6, rtol=0)
        assert len(np.unique(colours[:, 0, 0].numpy().round(5))) == 9
    flow = TemporalInput(length=4)
    assert same(training(clips, flow)[0], training(clips, flow, lighting=0.0)[0])


# Loaders


def test_a_loader_gives_the_items_in_their_order(store: FlowStore) -> None:
    data = training(ClipCache(store, KINDS), TemporalInput(length=2))
    order = [4, 2, 7]
    timed = TimedLoader(batches(data, order))
    assert len(timed) == 3
    for step, batch in zip(order, timed, strict=True):
        assert same(batch, data[step])
    assert timed.wait_seconds > 0


def test_waiting_for_the_loader_is_measured() -> None:
    class Slow(Dataset):
        def __getitem__(self, _: int) -> dict:
            time.sleep(0.05)
            return {}

    timed = TimedLoader(batches(Slow(), range(3)))
    assert len(list(timed)) == 3
    assert 0.15 <= timed.wait_seconds < 1


def test_the_next_batch_is_made_while_this_one_is_used() -> None:
    made = []

    class Counting(Dataset):
        def __getitem__(self, item: int) -> dict:
            made.append(item)
            return {"item": item}

    class BrokenError(Exception):
        pass

    iterator = iter(TimedLoader(batches(Counting(), range(5))))
    assert next(iterator) == {"item": 0}
    deadline = time.monotonic() + 5
    while len(made) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [0, 1]
    iterator.close()  # leaves no thread behind that makes more
    assert made == [0, 1]

    class Broken(Dataset):
        def __getitem__(self, item: int) -> dict:
            if item == 1:
                raise BrokenError
            return {}

    iterator = iter(TimedLoader(batches(Broken(), range(3))))
    next(iterator)
    with pytest.raises(BrokenError):
        next(iterator)


def test_scoring_samples_name_what_cannot_be_read(store: FlowStore) -> None:
    videos = [VIDEOS[0], LabeledVideo("nowhere.avi", Path("nowhere.avi"), 0)]
    samples = ScoringSamples(ClipCache(store, KINDS), videos, TemporalInput(length=4), 5)
    assert len(samples) == 2
    assert samples[0]["row"] == 0
    assert samples[0]["stacks"].shape == (5, 4, 2, HEIGHT, WIDTH)
    assert samples[1].keys() == {"row", "error"}
    assert "nowhere.avi" in samples[1]["error"]


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
    assert flow_rms_px(clips, videos, plain) == pytest.approx(np.sqrt((9 + 16) / 2), rel=1e-5)
    # after the mean is subtracted nothing is left, and nothing must be divided by zero
    assert flow_rms_px(clips, videos, TemporalInput(length=2)) == pytest.approx(1e-3)
