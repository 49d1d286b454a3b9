"""Scoring: 25 positions x 10 crops equals a naive loop, and every video counts once."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import untrained
from twostream.checkpoint import StreamModel
from twostream.recipes import PAPER
from twostream.scoring import evaluate, score_stacks, ten_crops
from twostream.store.clips import Clip, ClipCache
from twostream.store.flow_store import ClipHeader, FlowStore, StoreSettings
from twostream.types import DataError, LabeledVideo, TemporalInput, UsageError

HEIGHT, WIDTH, CROP = 20, 27, 16
CLASSES = ("jump", "run", "walk")
FRAMES = {"long": 40, "middle": 14, "short": 3, "one": 1}
VIDEOS = [LabeledVideo(name, Path(name), i % 3) for i, name in enumerate(FRAMES)]
INPUTS = [
    None,
    TemporalInput(length=3),
    TemporalInput(length=4, bidirectional=True, trajectory=True),
    TemporalInput(length=2, rgb=True),
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipCache:
    store = FlowStore.create(tmp_path_factory.mktemp("data") / "store", StoreSettings())
    rng = np.random.default_rng(0)
    for video_id, count in FRAMES.items():
        for kind in ("rgb", "forward", "backward"):
            header = ClipHeader(kind=kind, video_id=video_id, height=HEIGHT, width=WIDTH, fps=25)
            writer = store.writer(header)
            for _ in range(count if kind == "rgb" else count - 1):
                if kind == "rgb":
                    writer.append(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
                else:
                    writer.append(rng.normal(1, 2, (2, HEIGHT, WIDTH)).astype(np.float32))
            writer.close()
    return ClipCache(store, ("rgb", "forward", "backward"))


def make_model(temporal: TemporalInput | None, **changes: Any) -> StreamModel:
    values = {"classes": CLASSES, "crop_size": CROP, "mean": (0.0,), "std": (2.0,), "dropout": 0.5}
    return untrained.make_model(temporal, **{**values, "test_positions": 25, **changes})


def naive_scores(model: StreamModel, clips: ClipCache, video_id: str, sign: int = -1) -> np.ndarray:
    """Section 5's test, one crop at a time."""
    temporal = model.spec.temporal
    size = model.spec.crop_size
    clip = clips[video_id]
    last = clip.num_positions(temporal) - 1
    count = model.spec.test_positions
    total = np.zeros(3)
    for i in range(count):
        position = int(np.floor(i * last / (count - 1) + 0.5))
        stack = clip.stack(temporal, position)
        bottom, right = HEIGHT - size, WIDTH - size
        centre = (bottom // 2, right // 2)
        for top, left in [(0, 0), (0, right), (bottom, 0), (bottom, right), centre]:
            crop = stack[:, :, top : top + size, left : left + size]
            mirrored = crop[:, :, :, ::-1].copy()
            if temporal is not None and not temporal.rgb:
                mirrored[:, 0] *= sign
            for view in (crop, mirrored):
                channels = torch.from_numpy(view.reshape(1, -1, size, size) / 2.0).float()
                with torch.inference_mode():
                    logits = model.network(channels)[0].double().numpy()
                total += np.exp(logits) / np.exp(logits).sum()
    return total / (10 * count)


@pytest.mark.parametrize("temporal", INPUTS)
@pytest.mark.parametrize("size", [CROP, HEIGHT])  # crops as high as the frame are partly the same
def test_scores_are_those_of_a_naive_loop(
    clips: ClipCache, temporal: TemporalInput | None, size: int
) -> None:
    model = make_model(temporal, crop_size=size)
    videos = VIDEOS[1:]  # some with fewer positions than 25: those repeat
    scores = evaluate(model, videos, clips)
    for row, video in enumerate(videos):
        wanted = naive_scores(model, clips, video.video_id)
        np.testing.assert_allclose(scores.scores[row], wanted, atol=1e-5)
        if temporal is not None and not temporal.rgb and video.video_id == "middle":
            without = naive_scores(model, clips, video.video_id, sign=1)
            assert np.abs(wanted - without).max() > 1e-3
    assert scores.video_ids == ("middle", "short", "one")
    assert scores.labels.tolist() == [1, 2, 0]
    assert scores.stream == model.spec.stream
    assert scores.kind == "probabilities"
    np.testing.assert_allclose(scores.scores.sum(axis=1), 1, atol=1e-5)


class MarkedClip(Clip):
    """A video at the paper's size whose pixels tell their frame or field, row and column."""

    def num_positions(self, temporal: TemporalInput | None) -> int:
        return 101 if temporal is None else 101 - temporal.length

    def _parts(self, temporal: TemporalInput | None, position: int) -> list:
        return []  # nothing is read

    def stack(self, temporal: TemporalInput | None, position: int) -> np.ndarray:
        rows, columns = np.mgrid[:256, :340].astype(np.float32)
        planes = [columns + 1, 1000 * position + rows]  # of flow, x first
        return np.stack(planes if temporal else [*planes, rows])[None]


class Noting(torch.nn.Module):
    """Writes down which crops it sees; scores all classes alike."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int, int, bool, int]] = []

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        assert crops.shape[2:] == (224, 224)
        for first, last, mark in crops[:, [0, 0, 1], [0, 0, 0], [0, -1, 0]].tolist():
            position, top = divmod(int(mark), 1000)
            left = int(min(abs(first), abs(last))) - 1
            self.seen.append((position, top, left, abs(first) > abs(last), int(np.sign(first))))
        return torch.zeros(len(crops), len(CLASSES))


@pytest.mark.parametrize(
    ("temporal", "last", "sign"), [(None, 100, 1), (TemporalInput(length=1), 99, -1)]
)
def test_the_paper_scores_25_positions_by_10_crops(
    temporal: TemporalInput | None, last: int, sign: int
) -> None:
    """Section 5: four corners, the centre and their flips, which negate the flow's x."""
    sizes = {"crop_size": PAPER.crop_size, "test_positions": PAPER.test_positions, "std": (1.0,)}
    network = Noting()
    model = StreamModel(replace(make_model(temporal).spec, **sizes), network)
    scores = evaluate(model, VIDEOS[:1], {"long": MarkedClip({})})
    assert len(network.seen) == 250
    positions = sorted({position for position, *_ in network.seen})
    assert len(positions) == 25
    assert (positions[0], positions[-1]) == (0, last)
    assert set(np.diff(positions)) <= {4, 5}
    places = [(0, 0), (0, 116), (32, 0), (32, 116), (16, 58)]
    assert sorted(network.seen) == sorted(
        (position, *place, *view)
        for position in positions
        for place in places
        for view in ((False, 1), (True, sign))
    )
    np.testing.assert_allclose(scores.scores, 1 / 3, rtol=1e-6)  # the weights sum to 1


@pytest.mark.parametrize("flow", [True, False])
@pytest.mark.parametrize("size", [CROP, HEIGHT])
def test_frames_at_the_door_are_crops_at_the_door(flow: bool, size: int) -> None:
    """A mean of flow, and Caffe's colours: what a mirror image must not change the order of."""
    temporal = TemporalInput(length=2) if flow else None
    colours: dict = {} if flow else {"channel_order": "bgr", "value_range": 255}
    mean, std = ((0.7,), (2.0,)) if flow else ((99.0, 112.0, 130.0), (50.0, 60.0, 70.0))
    model = make_model(temporal, crop_size=size, mean=mean, std=std, **colours)
    model.network.classifier.weight.data.div_(5)  # one class has all the score otherwise
    shape = (2, 2, 2, HEIGHT, WIDTH) if flow else (2, 1, 3, HEIGHT, WIDTH)
    stacks = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * (4 if flow else 1)
    crops, weights = ten_crops(stacks, size, is_flow=flow)
    with torch.inference_mode():
        each = [model(crops[:, j]).softmax(dim=1) for j in range(len(weights))]
    wanted = sum(w * scores.mean(0) for w, scores in zip(weights, each, strict=True))
    found = score_stacks(model, stacks, torch.ones(2))
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    assert (each[0] - each[-1]).abs().max() > 1e-3


def test_repeated_positions_count_as_often_as_they_come() -> None:
    model = make_model(TemporalInput(length=1), test_positions=3)
    stacks = torch.randn(2, 1, 2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    one, other = (score_stacks(model, stacks[i : i + 1], torch.ones(1)) for i in (0, 1))
    both = score_stacks(model, stacks, torch.tensor([2.0, 1.0]))
    assert (one - other).abs().max() > 1e-3
    torch.testing.assert_close(both, (2 * one + other) / 3, atol=1e-5, rtol=0)


def test_scores_do_not_depend_on_how_much_goes_through_at_once(
    clips: ClipCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(TemporalInput(length=3))
    whole = evaluate(model, VIDEOS, clips)
    monkeypatch.setattr(sys.modules[evaluate.__module__], "_BATCH_BYTES", 1)
    np.testing.assert_allclose(evaluate(model, VIDEOS, clips).scores, whole.scores, atol=1e-5)


def test_a_model_in_training_is_scored_as_it_will_be_used(clips: ClipCache) -> None:
    model = make_model(None)
    wanted = evaluate(model, VIDEOS[:2], clips).scores
    statistics = model.network.features[1].running_mean.clone()
    again = evaluate(model.train(), VIDEOS[:2], clips).scores
    np.testing.assert_array_equal(again, wanted)
    assert torch.equal(model.network.features[1].running_mean, statistics)


def test_ten_crops_of_flow_negate_x_in_the_mirrored_half() -> None:
    stacks = torch.randn(3, 4, 2, 9, 11, generator=torch.Generator().manual_seed(0))
    before = stacks.clone()
    crops, weights = ten_crops(stacks, 6, is_flow=True)
    assert crops.shape == (3, 10, 4, 2, 6, 6)
    torch.testing.assert_close(weights, torch.full((10,), 0.1))
    assert torch.equal(crops[:, 3], stacks[..., 3:, 5:])
    assert torch.equal(crops[:, 4], stacks[..., 1:7, 2:8])
    assert torch.equal(crops[:, 5:, :, 0], -crops[:, :5, :, 0].flip(-1))
    assert torch.equal(crops[:, 5:, :, 1], crops[:, :5, :, 1].flip(-1))
    assert torch.equal(stacks, before)


def test_ten_crops_of_frames_change_no_value() -> None:
    stacks = torch.rand(2, 1, 3, 9, 11)
    crops, _ = ten_crops(stacks, 6, is_flow=False)
    assert torch.equal(crops[:, 5:], crops[:, :5].flip(-1))


@pytest.mark.parametrize(
    ("shape", "shares"),
    [((9, 11), [0.1] * 10), ((6, 11), [0.2, 0.2, 0.1] * 2), ((6, 6), [0.5, 0.5])],
)
def test_equal_crops_are_cut_once_and_count_as_often(shape: tuple, shares: list[float]) -> None:
    crops, weights = ten_crops(torch.rand(2, 1, 3, *shape), 6, is_flow=False)
    assert crops.shape[1] == len(shares)
    torch.testing.assert_close(weights, torch.tensor(shares))
    crops, weights = ten_crops(torch.rand(2, 1, 3, *shape), 6, is_flow=False, flips=False)
    assert crops.shape[1] == len(shares) // 2
    torch.testing.assert_close(weights, 2 * torch.tensor(shares[: len(shares) // 2]))


def test_left_and_right_classes_are_scored_on_five_crops(clips: ClipCache) -> None:
    stacks = torch.rand(2, 1, 3, 9, 11)
    five, weights = ten_crops(stacks, 6, is_flow=False, flips=False)
    assert torch.equal(five, ten_crops(stacks, 6, is_flow=False)[0][:, :5])
    torch.testing.assert_close(weights, torch.full((5,), 0.2))
    temporal = TemporalInput(length=3)
    with_flips = evaluate(make_model(temporal), VIDEOS[:1], clips).scores
    without = evaluate(make_model(temporal, flips=False), VIDEOS[:1], clips).scores
    assert np.abs(with_flips - without).max() > 1e-3


def test_a_crop_larger_than_the_frames_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fit frames"):
        ten_crops(torch.rand(1, 1, 3, 9, 11), 10, is_flow=False)


# Videos that cannot be read


MISSING = LabeledVideo("nowhere.avi", Path("nowhere.avi"), 0)


def test_an_unreadable_video_is_named_and_counts_as_wrong(clips: ClipCache) -> None:
    model = make_model(None)
    scores = evaluate(model, [VIDEOS[0], MISSING, VIDEOS[1]], clips)
    good = evaluate(model, [VIDEOS[0], VIDEOS[1]], clips)
    assert scores.video_ids == ("long", "nowhere.avi", "middle")
    assert "nowhere.avi" in scores.unreadable["nowhere.avi"]
    assert not scores.scores[1].any()
    np.testing.assert_array_equal(scores.scores[[0, 2]], good.scores)
    assert not scores.correct()[1]
    assert scores.accuracy() == pytest.approx(good.accuracy() * 2 / 3)


def test_unreadable_videos_may_be_skipped(clips: ClipCache) -> None:
    model = make_model(None)
    scores = evaluate(model, [VIDEOS[0], MISSING, VIDEOS[1]], clips, skip_unreadable=True)
    assert scores.video_ids == ("long", "middle")
    assert scores.unreadable == {}
    none = evaluate(model, [MISSING], clips, skip_unreadable=True)
    assert none.scores.shape == (0, 3)


def test_videos_known_to_be_unreadable_are_not_opened(clips: ClipCache) -> None:
    known = {"long": "moov atom not found", "elsewhere": "not asked for"}
    scores = evaluate(make_model(None), VIDEOS[:2], clips, unreadable=known)
    assert scores.unreadable == {"long": "moov atom not found"}
    assert not scores.scores[0].any()
    assert scores.scores[1].any()
    assert known == {"long": "moov atom not found", "elsewhere": "not asked for"}


def test_no_videos_give_no_scores(clips: ClipCache) -> None:
    assert evaluate(make_model(None), [], clips).scores.shape == (0, 3)


def test_each_video_is_scored_once(clips: ClipCache) -> None:
    calls: list[tuple] = []
    evaluate(make_model(None), VIDEOS, clips, progress=lambda *call: calls.append(call))
    assert [call[:3] for call in calls] == [("evaluate spatial", i, 4) for i in (1, 2, 3, 4)]
    with pytest.raises(DataError, match="twice"):
        evaluate(make_model(None), [VIDEOS[0], VIDEOS[0]], clips)
