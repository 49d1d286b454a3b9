"""The built-in data set: twins that differ in one factor, and nothing else that gives them away."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream.datasets import load_dataset
from twostream.flow import make_estimator
from twostream.synthetic import (
    APPEARANCE_GROUPS,
    CLASSES,
    MOTION_GROUPS,
    TURNING_GROUPS,
    render_dataset,
)
from twostream.synthetic.actions import PAIRS
from twostream.synthetic.figure import bend
from twostream.types import DataError, UsageError
from twostream.video import VideoReader

GROUPS = 9
TEST_GROUPS = 3


@dataclass(frozen=True, eq=False)
class Clip:
    path: Path
    frames: NDArray[np.uint8]  # (n, h, w, 3)
    flow: NDArray[np.float32]  # (n - 1, 2, h, w)

    @property
    def luma(self) -> NDArray[np.float32]:
        return (self.frames @ np.array([0.299, 0.587, 0.114])).astype(np.float32)


def _without_mean(fields: NDArray[np.float32]) -> NDArray[np.float32]:
    return fields - fields.mean((2, 3), keepdims=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_dataset(tmp_path_factory.mktemp("synthetic"), groups=GROUPS)


@pytest.fixture(scope="module")
def clips(root: Path) -> dict[tuple[str, int], Clip]:
    """Every clip by class and group, decoded, with its flow."""
    estimate = make_estimator("dis:fast")
    found = {}
    for name in CLASSES:
        for group in range(1, GROUPS + 1):
            path = root / name / f"v_{name}_g{group:02d}_c01.avi"
            frames = np.stack([frame.rgb for frame in VideoReader(path)])
            greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
            flow = np.stack([estimate(a, b) for a, b in pairwise(greys)])
            found[name, group] = Clip(path, frames, flow)
    return found


def test_every_class_has_one_twin() -> None:
    assert len(CLASSES) >= 8
    assert sorted(name for pair in MOTION_GROUPS + APPEARANCE_GROUPS for name in pair) == list(
        CLASSES
    )


def test_the_loader_recognises_it_and_no_group_stands_on_both_sides(root: Path) -> None:
    dataset = load_dataset(root)
    assert dataset.kind == "UCF-101"
    assert tuple(dataset.classes) == CLASSES
    split = dataset.split(1)
    assert len(split.test) == TEST_GROUPS * len(CLASSES)
    assert len(split.train) == (GROUPS - TEST_GROUPS) * len(CLASSES)
    assert not {video.group for video in split.train} & {video.group for video in split.test}
    for video in split.videos():
        assert video.path.is_file()
        assert split.classes[video.label] == video.path.parent.name


def test_same_seed_same_bytes(root: Path, tmp_path: Path) -> None:
    calls: list[tuple] = []
    first = render_dataset(tmp_path / "a", seed=3, groups=2, progress=lambda *c: calls.append(c))
    second = render_dataset(tmp_path / "b", seed=3, groups=2)
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) == 2 * len(CLASSES) + 3
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()
    clip = next(file for file in files if file.suffix == ".avi")
    assert (first / clip).read_bytes() != (root / clip).read_bytes()  # of another seed
    assert calls == [("render clips", 14, 28), ("render clips", 28, 28)]


def test_clips_of_one_scene_have_one_length_and_lengths_vary(
    clips: dict[tuple[str, int], Clip],
) -> None:
    lengths = []
    for group in range(1, GROUPS + 1):
        of_scene = {len(clips[name, group].frames) for name in CLASSES}
        assert len(of_scene) == 1
        lengths += of_scene
    assert min(lengths) >= 24
    assert max(lengths) <= 40
    assert len(set(lengths)) > 3
    assert clips[CLASSES[0], 1].frames.shape[1:] == (64, 80, 3)


def test_twin_colours_have_equal_luma_and_far_hues() -> None:
    for pair in PAIRS:
        if pair.colors is None:
            continue
        first, second = np.array(pair.colors)
        assert abs((first - second) @ [0.299, 0.587, 0.114]) < 0.1
        assert np.abs(first - second).sum() > 200


@pytest.mark.parametrize("pair", APPEARANCE_GROUPS)
def test_appearance_twins_share_luma_and_flow(
    pair: tuple[str, str], clips: dict[tuple[str, int], Clip]
) -> None:
    for group in range(1, GROUPS + 1):
        first, second = (clips[name, group] for name in pair)
        assert np.abs(first.luma - second.luma).mean() < 1.2  # of 255, most of it the codec's noise
        color_difference = np.abs(first.frames.astype(int) - second.frames).sum(-1)
        assert np.percentile(color_difference, 99) > 70
        difference = np.hypot(*np.moveaxis(first.flow - second.flow, 1, 0)).mean()
        length = np.hypot(*np.moveaxis(_without_mean(first.flow), 1, 0)).mean()
        assert difference < 0.25 * length


@pytest.mark.parametrize("pair", TURNING_GROUPS)
def test_turning_twins_share_their_single_fields_but_not_their_turns(
    pair: tuple[str, str], clips: dict[tuple[str, int], Clip]
) -> None:
    for group in range(1, GROUPS + 1):
        there, back = ([_lift(f) for f in clips[name, group].flow] for name in pair)
        half = len(there) // 2
        # up then down, down then up; over the clip both move up and down as much
        assert sum(there[:half]) < 0 < sum(there[half:])
        assert sum(back[:half]) > 0 > sum(back[half:])
        assert np.corrcoef(sorted(there), sorted(back))[0, 1] > 0.9
        frames = [clips[name, group].luma.mean(0) for name in pair]
        assert np.abs(frames[0] - frames[1]).mean() < 4  # the same poses, on average the same


def _lift(field: NDArray[np.float32]) -> float:
    """Return how much moves downwards (px, mean over what moves), the camera's motion aside."""
    still = field - np.median(field, axis=(1, 2), keepdims=True)
    return float(still[1].mean())


@pytest.mark.parametrize("pair", [pair for pair in MOTION_GROUPS if pair not in TURNING_GROUPS])
def test_motion_twins_are_the_same_frames_in_opposite_order(
    pair: tuple[str, str], clips: dict[tuple[str, int], Clip]
) -> None:
    for group in range(1, GROUPS + 1):
        first, second = (clips[name, group] for name in pair)
        same = np.abs(first.luma - second.luma[::-1]).mean()
        assert same < 6  # of 255: the codec's noise
        assert np.abs(first.luma - second.luma).mean() > 2.5 * same
        # and so is the flow, run backwards
        moving = np.hypot(first.flow[:, 0], first.flow[:, 1]) > 0.3
        cosine = (first.flow * second.flow[::-1]).sum(1)[moving]
        assert (cosine < 0).mean() > 0.9


def test_background_length_and_file_size_tell_nothing(
    clips: dict[tuple[str, int], Clip],
) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    border = np.ones((64, 80), bool)
    border[4:-4, 4:-4] = False
    features, labels, groups = [], [], []
    for (name, group), clip in clips.items():
        pixels = clip.frames[0][border].astype(float)
        size = clip.path.stat().st_size
        shape = [len(clip.frames), size, size / len(clip.frames)]
        features.append([*pixels.mean(0), *pixels.std(0), *shape])
        labels.append(CLASSES.index(name))
        groups.append(group)
    for classifier in (
        RandomForestClassifier(100, random_state=0),
        make_pipeline(StandardScaler(), KNeighborsClassifier(5)),
    ):
        for columns in (slice(None), slice(6, None)):
            predicted = cross_val_predict(
                classifier,
                np.array(features)[:, columns],
                labels,
                groups=groups,
                cv=GroupKFold(3),
            )
            assert np.mean(predicted == np.array(labels)) < 1 / len(CLASSES) + 0.10


def _stack(clip: Clip, stream: str, share: float) -> NDArray[np.float32]:
    """Return the input of one stream at a share (0..1) of the clip: one frame, or ten fields."""
    if stream == "spatial":
        frame = clip.frames[round(share * (len(clip.frames) - 1))]
        return frame.transpose(2, 0, 1).astype(np.float32) / 128 - 1
    start = round(share * (len(clip.flow) - 10))
    return _without_mean(clip.flow[start : start + 10]).reshape(20, 64, 80)


def _stream_scores(clips: dict[tuple[str, int], Clip], stream: str) -> NDArray[np.float32]:
    """Train a little ConvNet on the training groups; return (test groups, classes, classes)."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layers: list[nn.Module] = []
    for fan_in, fan_out in ((3 if stream == "spatial" else 20, 16), (16, 32), (32, 64), (64, 96)):
        convolution = nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(fan_out), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, len(CLASSES)))
    steps = 150
    optimizer = torch.optim.Adam(net.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        labels = rng.integers(len(CLASSES), size=32)
        batch = []
        for label in labels:
            group = int(rng.integers(TEST_GROUPS + 1, GROUPS + 1))
            sample = _stack(clips[CLASSES[label], group], stream, rng.random())
            if rng.random() < 0.5:
                sample = sample[..., ::-1].copy()
                if stream == "temporal":
                    sample[::2] *= -1
            top, left = rng.integers(9), rng.integers(13)
            batch.append(sample[:, top : top + 56, left : left + 68])
        logits = net(torch.from_numpy(np.stack(batch)))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    net.eval()
    scores = np.zeros((TEST_GROUPS, len(CLASSES), len(CLASSES)), np.float32)
    with torch.no_grad():
        for group in range(TEST_GROUPS):
            for label, name in enumerate(CLASSES):
                clip = clips[name, group + 1]
                batch = [_stack(clip, stream, share) for share in np.linspace(0, 1, 9)]
                probabilities = net(torch.from_numpy(np.stack(batch))).softmax(1)
                scores[group, label] = probabilities.mean(0).numpy()
    return scores


def _accuracies(scores: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return the accuracy over all classes, inside motion pairs, and inside appearance pairs."""

    def inside(pairs: tuple[tuple[str, str], ...]) -> float:
        right = []
        for pair in pairs:
            rows = [CLASSES.index(name) for name in pair]
            chosen = scores[:, rows][:, :, rows].argmax(-1)
            right.append(np.mean(chosen == np.arange(2)))
        return float(np.mean(right))

    overall = float(np.mean(scores.argmax(-1) == np.arange(len(CLASSES))))
    return overall, inside(MOTION_GROUPS), inside(APPEARANCE_GROUPS)


@pytest.mark.slow
def test_each_stream_is_at_chance_where_it_is_blind_and_both_together_win(
    clips: dict[tuple[str, int], Clip],
) -> None:
    spatial, temporal = _stream_scores(clips, "spatial"), _stream_scores(clips, "temporal")
    spatial_overall, spatial_motion, spatial_appearance = _accuracies(spatial)
    temporal_overall, temporal_motion, temporal_appearance = _accuracies(temporal)
    average_overall, *_ = _accuracies((spatial + temporal) / 2)
    print(_accuracies(spatial), _accuracies(temporal), average_overall)
    assert abs(spatial_motion - 0.5) <= 0.1
    assert abs(temporal_appearance - 0.5) <= 0.1
    assert spatial_appearance >= 0.9
    assert temporal_motion >= 0.9
    assert average_overall >= max(spatial_overall, temporal_overall) + 0.05


@pytest.mark.parametrize("side", [-1, 1])
def test_limbs_keep_their_lengths_and_bend_to_the_asked_side(side: int) -> None:
    root, target = np.array([1.0, 2.0]), np.array([4.0, 2.0])
    joint, end = bend(root, target, 2.0, 2.5, side)
    assert np.hypot(*(joint - root)) == pytest.approx(2.0)
    assert np.hypot(*(end - joint)) == pytest.approx(2.5)
    np.testing.assert_allclose(end, target, atol=1e-9)
    assert np.sign(joint[1] - root[1]) == side  # anticlockwise of a line to the right is up


def test_a_limb_points_at_what_it_cannot_reach() -> None:
    joint, end = bend(np.zeros(2), np.array([0.0, -9.0]), 2.0, 1.0, 1)
    np.testing.assert_allclose(end, [0, -3], atol=0.01)
    assert np.hypot(*(end - joint)) == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [{"groups": 1}, {"groups": 100}, {"groups": 4, "seed": -1}])
def test_numbers_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"must lie in"):
        render_dataset(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DataError, match=r"file: .*choose another folder"):
        render_dataset(file, groups=2)
