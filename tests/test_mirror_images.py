"""Mirror images are left out where two classes are each other's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream.checkpoint import load_model
from twostream.datasets import load_dataset
from twostream.extraction import extract
from twostream.recipes import make_recipe
from twostream.run import RunSettings, mirror_images, train_run
from twostream.run.mirror_images import MirrorImages, mcnemar, told_apart, tried
from twostream.run.mirror_pairs import mirror_pairs, mirrored, motion, suspected
from twostream.store.clips import ClipCache
from twostream.store.flow_store import ClipHeader, FlowStore, StoreSettings
from twostream.types import RunError, TemporalInput, VideoScores
from twostream.video import VideoWriter

CLIPS = 12  # of a class
Labels = NDArray[np.int64]


def motions(*kinds: str, noise: float = 0.3) -> tuple[NDArray[np.float32], Labels, list[str]]:
    """Clips that move to the "left", "right", either "way" or "up", below it "on ..." a road."""
    rng = np.random.default_rng(0)
    found, labels = [], []
    for label, kind in enumerate(kinds):
        for i in range(CLIPS):
            where = rng.random((3, 4, 4, 6)) * noise
            way = "right" if "right" in kind or ("way" in kind and i % 2) else "left"
            where[:, 2 if kind == "up" else ["left", "right"].index(way), 1] += 1
            where[:, 3, 3] += kind.startswith("on")
            found.append(where / np.linalg.norm(where))
            labels.append(label)
    return np.array(found, np.float32), np.array(labels), [f"{i}" for i in range(len(found))]


@pytest.mark.parametrize(
    ("kinds", "pairs"),
    [
        (("left", "right"), [(0, 1)]),
        (("up", "right", "way", "left"), [(1, 3)]),
        (("left", "on right"), []),  # told apart without the direction
        (("left", "way", "up"), []),  # the other one goes both ways
        (("way", "way", "way", "up"), []),
        (("left", "left"), []),
        (("left", "right", "on left", "on right"), [(0, 1), (2, 3)]),
    ],
)
def test_only_classes_that_direction_alone_tells_apart_are_suspected(
    kinds: Sequence[str], pairs: list[tuple[int, int]]
) -> None:
    assert sorted(suspected(*motions(*kinds))) == pairs


def test_groups_count_not_clips() -> None:
    clips, labels, _ = motions("left", "right")
    two = [f"{i % 2}" for i in range(len(labels))]
    assert suspected(clips, labels, two) == []  # two coins a class say nothing
    assert suspected(clips, labels, [f"{i % 6}" for i in range(len(labels))]) == [(0, 1)]


def test_one_in_twenty_is_suspected_where_nothing_is() -> None:
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(100):
        clips = rng.random((24, 1, 4, 2, 2)).astype(np.float32)
        alarms += bool(suspected(clips, np.arange(24) % 3, [f"{i}" for i in range(24)]))
    assert alarms <= 10


def test_the_motion_of_a_mirror_image_is_mirrored(tmp_path: Path) -> None:
    store = FlowStore.create(tmp_path, StoreSettings(short_side=24, codec="lossless"))
    field = np.random.default_rng(0).standard_normal((2, 24, 36)).astype(np.float32)
    field[0, :, :12] += 5
    other = field[..., ::-1] * np.array([-1, 1], np.float32)[:, None, None]
    for name, flow in (("a", field), ("b", other), ("still", 0 * field)):
        header = ClipHeader(
            kind="forward", video_id=name, height=24, width=36, fps=25, codec="lossless"
        )
        writer = store.writer(header)
        for _ in range(5):
            writer.append(flow)
        writer.close()
    clips = ClipCache(store, ("forward",))
    a, b, still = (motion(clips, name, subtract_mean=True) for name in ("a", "b", "still"))
    np.testing.assert_allclose(mirrored(a), b, atol=1e-5)
    assert np.abs(a - b).max() > 0.05 and not still.any()
    assert np.linalg.norm(a) == pytest.approx(1)


# The trial


def scores(right: Sequence[int], count: int = 10) -> VideoScores:
    """Clips of two classes and as many of a third; of the two so many are right."""
    labels = np.repeat([0, 1, 2], count)
    values = np.full((3 * count, 3), 0.1, np.float32)
    values[:, 2] = 0.6  # the third has most, and does not matter
    for label, number in enumerate(right):
        for i in range(count):
            values[label * count + i, label if i < number else 1 - label] = 0.3
    return VideoScores(tuple(f"{i}" for i in range(3 * count)), labels, ("a", "b", "c"), values)


def test_a_pair_at_chance_is_tried_without_mirror_images() -> None:
    assert told_apart(scores([4, 6]), [(0, 1)]).sum() == 10
    asked: list[bool] = []

    def trained(with_: VideoScores, without: VideoScores) -> MirrorImages:
        asked.clear()

        def held_out(flips: bool) -> VideoScores:
            asked.append(flips)
            return with_ if flips else without

        return tried([(0, 1)], ("a", "b", "c"), held_out)

    off = trained(scores([4, 6]), scores([9, 10]))
    assert not off.used and not off.doubtful
    assert off.note == (
        "mirror images are off: `a` and `b` are each other's mirror image (held-out clips of the "
        "pair right: 50% with, 95% without; --flip turns them on)"
    )
    on = trained(scores([9, 9]), scores([10, 10]))  # ordinary confusion: nothing more is trained
    assert on.used and asked == [True] and "are told apart (90% with)" in on.note
    on = trained(scores([4, 6]), scores([6, 5]))
    assert on.used and on.doubtful and "50% with, 55% without" in on.note
    assert tried([], ("a", "b"), None) == MirrorImages()
    assert tried([(0, 1)], ("a", "b"), None).doubtful


def test_easy_pairs_do_not_hide_one_at_chance() -> None:
    labels = np.repeat([0, 1, 2, 3], [4, 4, 20, 20])
    right = np.eye(4, dtype=np.float32)[labels]
    ids = tuple(f"{i}" for i in range(len(labels)))
    chance = right.copy()
    chance[[0, 1, 4, 5]] = right[[4, 5, 0, 1]]  # 44 of 48 right, and 4 of the first pair's 8

    def held_out(flips: bool) -> VideoScores:
        return VideoScores(ids, labels, ("a", "b", "c", "d"), chance if flips else right)

    assert not tried([(0, 1), (2, 3)], ("a", "b", "c", "d"), held_out).used


def test_a_damaged_decision_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mirror-images.json").write_text('{"turned": 3}')
    settings = RunSettings(data="some", recipe=replace(make_recipe("quick"), adapts=("flips",)))
    with pytest.raises(RunError, match="delete it"):
        mirror_images.mirror_images(settings, None, None, tmp_path / "mirror-images.json")  # type: ignore[arg-type]


def test_mcnemars_test_is_exact() -> None:
    assert mcnemar(4, 0) == 1 / 16 and mcnemar(0, 4) == 1


# The job


def test_what_is_said_settles_it() -> None:
    assert "flips" in make_recipe("standard").adapts
    for flips in (True, False):
        chosen = make_recipe("standard", flips=flips)
        assert (chosen.flips, chosen.adapts) == (flips, ("size", "length"))


def write_clips(folder: Path, **steps: tuple[int, int]) -> Path:
    """Write a class of clips of a moving square for each step, (right, down) px a frame."""
    rng = np.random.default_rng(0)
    for name, (right, down) in steps.items():
        (folder / name).mkdir(parents=True)
        for i in range(CLIPS):
            ground = rng.integers(60, 120, (36, 44, 3), np.uint8)
            square = rng.integers(120, 255, (12, 12, 3), np.uint8)
            with VideoWriter(folder / name / f"{i}.mp4", fps=25, height=36, width=44) as writer:
                for t in range(-4, 5):
                    frame, top, left = ground.copy(), 12 + down * t, 16 + right * t
                    frame[top : top + 12, left : left + 12] = square
                    writer.write(frame)
    return folder


def test_the_look_finds_pairs_in_real_flow(tmp_path: Path, said: list[str]) -> None:
    data = write_clips(tmp_path / "clips", down=(0, 2), left=(-2, 0), right=(2, 0), up=(0, -2))
    split = load_dataset(data).whole()
    settings = StoreSettings(short_side=36)
    extract(split.videos(), store=tmp_path / "flow", settings=settings, kinds=("forward",))
    store = FlowStore.open(tmp_path / "flow")
    pairs = mirror_pairs(split.videos(), store, TemporalInput())
    assert [[split.classes[label] for label in pair] for pair in pairs] == [["left", "right"]]

    bad = next(video.video_id for video in split.videos() if "left" in video.video_id)
    file = store.path(bad, "forward")
    file.write_bytes(file.read_bytes()[:-9])
    assert mirror_pairs(split.videos(), store, TemporalInput()) == pairs
    (told,) = [line for line in said if "without it" in line]
    assert str(file) in told


def test_a_run_finds_out_and_keeps_to_it(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_clips(tmp_path / "clips", left=(-2, 0), right=(2, 0))
    recipe = make_recipe(
        "quick", short_side=32, crop_size=32, batch_size=8, steps=20, test_positions=2,
        fit_scores="held-out", fit_folds=2,
    )  # fmt: skip
    recipe = replace(recipe, adapts=("flips",))
    settings = RunSettings(data=str(data), recipe=recipe, temporal=TemporalInput(length=2))
    out = tmp_path / "run"
    results = train_run(settings, out)
    (note,) = [line for line in said if "mirror" in line]
    assert note.startswith("mirror images are off: `left` and `right` are each other's")
    kept = json.loads((out / "settings.json").read_text())
    assert not kept["recipe"]["flips"] and note in kept["notes"]
    assert note.split(" each other")[0] in (out / "report.html").read_text()
    for stream in ("spatial", "temporal"):
        assert not load_model(out / f"{stream}.safetensors").spec.flips
        fold = out / "cross-fitting-unmirrored" / "fold-1"
        assert not load_model(fold / f"{stream}.safetensors").spec.flips
    assert load_model(out / "cross-fitting" / "fold-1" / "temporal.safetensors").spec.flips
    assert results["accuracy"]["temporal"] > 0.8

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(mirror_images, "mirror_pairs", never)
    again = train_run(settings, out, resume=True)
    assert again["accuracy"] == results["accuracy"] and said.count(note) == 2
    with pytest.raises(RunError, match="other settings"):  # it was not asked for
        train_run(replace(settings, recipe=recipe.settled("flips")), out, resume=True)
    for flips in (True, False):
        explicit = replace(settings, recipe=replace(recipe.settled("flips"), flips=flips))
        found = mirror_images.mirror_images(explicit, None, None, tmp_path / "none")  # type: ignore[arg-type]
        assert found == MirrorImages(flips) and not (tmp_path / "none").exists()
