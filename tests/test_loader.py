"""From stored clips to batches: pure functions of seed and step, whatever the cache or device."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from stored_clips import CROP, HEIGHT, INPUTS, KINDS, VIDEOS, WIDTH, make_store, same, training
from twostream.augment import Crop, flip, resized
from twostream.loader import ScoringSamples, TimedLoader, batches
from twostream.loader.resized_crops import resized_crop
from twostream.scoring import centre_crop
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore
from twostream.types import LabeledVideo, StoreError, TemporalInput, VideoError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FlowStore:
    return make_store(tmp_path_factory.mktemp("jpeg") / "store")


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> FlowStore:
    return make_store(tmp_path_factory.mktemp("lossless") / "store", "lossless")


@pytest.fixture(params=["jpeg", "lossless"])
def any_store(request: pytest.FixtureRequest, store: FlowStore, lossless: FlowStore) -> FlowStore:
    return store if request.param == "jpeg" else lossless


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
    assert batch_list[0]["crops"].shape == (9, 1, *channels, CROP, CROP)
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
    found = [known.get(crop.numpy().tobytes()) for crop in data[0]["crops"][:, 0]]
    assert None not in found
    half = len(known) // clip.num_positions(temporal) // 2
    mirrored = sum(i >= half for _, i in found)
    assert 8 <= mirrored <= 32
    assert len({i for _, i in found}) > 20
    if temporal is None:
        assert len({position for position, _ in found}) > 6
    unmirrored = training(clips, temporal, videos=only, lighting=0.0, batch_size=40, flips=False)
    assert all(known[crop.numpy().tobytes()][1] < half for crop in unmirrored[0]["crops"][:, 0])


@pytest.mark.parametrize("subtract_mean", [True, False])
@pytest.mark.parametrize("temporal", INPUTS)
def test_a_resized_crop_is_that_of_the_whole_stack(
    any_store: FlowStore, temporal: TemporalInput | None, subtract_mean: bool
) -> None:
    if temporal is not None:
        temporal = replace(temporal, subtract_mean=subtract_mean)
    clips = ClipCache(any_store, KINDS)
    crop = Crop(1, 2, HEIGHT - 3, WIDTH - 5)
    for video in VIDEOS:
        clip = replace(clips[video.video_id], flow_scale=1.5)
        for position in range(clip.num_positions(temporal)):
            wanted = resized(crop.cut(clip.stack(temporal, position)), 7)
            found = resized_crop(clip, temporal, position, crop, 7)
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temporal", INPUTS)
def test_centred_samples_are_what_scoring_cuts_of_whole_ones(
    any_store: FlowStore, temporal: TemporalInput | None
) -> None:
    clips, is_flow = ClipCache(any_store, KINDS), temporal is not None and not temporal.rgb
    videos = list(VIDEOS)
    whole = ScoringSamples(clips, videos, temporal, 4)
    centred = ScoringSamples(clips, videos, temporal, 4, CROP)
    for row in range(len(videos)):
        wanted, _ = centre_crop(whole[row]["stacks"], CROP, is_flow=is_flow)
        found, _ = centre_crop(centred[row]["stacks"], CROP, is_flow=is_flow)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(centred[row]["counts"], whole[row]["counts"])


def test_jitter_touches_rgb_alone_and_is_one_colour_a_sample(store: FlowStore) -> None:
    clips = ClipCache(store, KINDS)
    rgb = TemporalInput(length=4, rgb=True)
    for temporal in (None, rgb):
        noise = (
            training(clips, temporal)[0]["crops"][:, 0]
            - training(clips, temporal, lighting=0.0)[0]["crops"][:, 0]
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


class _Failing(Dataset[int]):
    """Items of which one is a video's error, one a refusing disk, one a defect."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, row: int) -> int:
        if row == 1:
            raise VideoError("a\nb.mp4", "broke")
        if row == 2:
            raise StoreError("clip.clip cannot be read") from OSError(5, "Input/output error")
        if row == 3:
            raise ZeroDivisionError("a defect")
        return row


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_loader_processes_are_what_they_were(workers: int) -> None:
    assert list(batches(_Failing(), [0, 0], workers=workers)) == [0, 0]
    with pytest.raises(VideoError) as of_video:
        list(batches(_Failing(), [0, 1], workers=workers))
    assert str(of_video.value) == r"a\nb.mp4: broke"
    assert (of_video.value.path, of_video.value.cause) == (Path("a\nb.mp4"), "broke")
    with pytest.raises(StoreError, match=r"^clip.clip cannot be read$") as of_disk:
        list(batches(_Failing(), [2], workers=workers))
    assert isinstance(of_disk.value.__cause__, OSError) and of_disk.value.__cause__.errno == 5
    with pytest.raises(ZeroDivisionError, match="a defect"):  # with its traceback
        list(batches(_Failing(), [3], workers=workers))
