"""Settings that follow the data: frame rate, size, length of the stack."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twostream.datasets import load_dataset
from twostream.extraction.frame_pairs import output_rate, resample
from twostream.labels.stretch_ids import span_id
from twostream.recipes import STANDARD, make_recipe
from twostream.run import RunSettings, store_for, train_run
from twostream.run.data_settings import (
    adapted,
    choose_rate,
    common_rate,
    fitting_size,
    rate_note,
    rates_of,
    shared_rate,
    shrunk,
    stack_length,
)
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import DatasetSplit, Frame, LabeledVideo, TemporalInput
from twostream.video import VideoWriter

BOTH = ("size", "length")


def write(
    path: Path, *, fps: float, frames: int, height: int = 48, width: int = 64
) -> LabeledVideo:
    with VideoWriter(path, fps=fps, height=height, width=width) as writer:
        for i in range(frames):
            writer.write(np.full((height, width, 3), 8 * i % 256, np.uint8))
    return LabeledVideo(path.name, path, 0)


@pytest.mark.parametrize(
    ("rates", "rate"),
    [
        ({25: 50, 30: 50}, 25),  # brought down, though 30 is as common
        ({25: 4, 30: 96}, 30),  # a few slower ones do not hold all back
        ({10: 10, 30: 90}, 10),  # one in ten is no few: three of four frames would be invented
        ({10: 5, 30: 95}, 30),
        ({59.94: 80, 29.97: 20}, 29.97),
        ({60: 50, 59.94: 30, 30: 5, 29.97: 15}, 29.97),  # one rate, called as most call it
        ({24: 1, 25: 1, 30: 1}, 24),
    ],
)
def test_nearly_all_clips_reach_the_rate(rates: dict[float, int], rate: float) -> None:
    assert choose_rate([r for r, count in rates.items() for _ in range(count)]) == rate


@pytest.mark.parametrize(("fps", "rate"), [(60, 30), (59.94, 29.97), (30, 10)])
def test_multiples_are_brought_down_evenly(fps: float, rate: float) -> None:
    frame = np.zeros((1, 1, 3), np.uint8)
    frames = [Frame(frame, i / fps) for i in range(240)]
    picked = [round(f.pts_seconds * fps) for f, _ in resample(iter(frames), rate)]
    assert set(np.diff(picked[:-1])) == {round(fps / rate)}  # the last stands for the end


def test_training_clips_decide_and_test_clips_follow(tmp_path: Path, said: list[str]) -> None:
    slow = write(tmp_path / "slow.mp4", fps=10, frames=4)
    fast = [write(tmp_path / f"{i}.mp4", fps=20, frames=4) for i in range(2)]
    split = DatasetSplit("d", "s", ("a", "b"), tuple(fast), (slow,))
    assert common_rate(split) == 20
    assert said == [
        "clips have different frame rates (2 of 20, 1 of 10): all are brought to 20 frames/s; "
        "1 slower one of 3 repeats frames, with their flow divided evenly"
    ]
    assert common_rate(replace(split, train=(slow,), test=tuple(fast))) == 10
    assert common_rate(replace(split, test=())) is None
    wanted = StoreSettings(flow="dis")
    assert store_for(wanted, tmp_path / "new", split).fps == 20
    assert store_for(replace(wanted, fps=15), tmp_path / "new", split).fps == 15
    FlowStore.create(tmp_path / "old", replace(wanted, fps=12.5))
    assert store_for(wanted, tmp_path / "old", split).fps == 12.5


def test_what_has_the_rate_is_not_mentioned() -> None:
    assert rate_note([30, 29.97], 30) == "" == rate_note([30, 10], None)
    assert rate_note([30, 30], 10) == "clips of 30 frames/s are brought to 10"


@pytest.mark.parametrize(
    ("sides", "fits"),
    [
        ([240] * 10, (128, 112)),
        ([120] * 10, (120, 112)),  # the crop fits; prediction keeps to the scale of training
        ([120] * 10 + [240], (128, 112)),
        ([111] * 10, (110, 96)),
        ([64] * 10, (64, 64)),
        ([64] * 4 + [240] * 96, (128, 112)),  # a few small ones are named, not followed
        ([64] * 6 + [240] * 94, (73, 64)),
        ([10] * 10, (128, 112)),  # nothing fits: the run says so
    ],
)
def test_the_crop_shrinks_to_small_clips(sides: list[int], fits: tuple[int, int]) -> None:
    assert fitting_size(sides, short_side=128, crop_size=112) == fits


@pytest.mark.parametrize("side", [48, 64, 80, 144, 180, 240])
def test_the_spatial_net_of_standard_sees_small_clips_enlarged(side: int) -> None:
    fit = shrunk(STANDARD, *fitting_size([side] * 10, short_side=240, crop_size=224))
    crop = {48: 112, 64: 160, 80: 160, 144: 160, 180: 176, 240: 224}[side]
    assert (fit.short_side, fit.crop_size) == (side, crop)
    assert fit.smallest_side <= side and make_recipe("quick").smallest_side == 64
    assert fit.of("temporal").crop_size == min(side, 128)


@pytest.mark.parametrize(
    ("fields", "length"), [([], 10), ([20], 10), ([19], 8), ([16], 8), ([15], 6), ([3], 6)]
)
def test_stacks_are_at_most_half_a_clip(fields: list[int], length: int) -> None:
    assert stack_length(fields) == length


def test_what_was_chosen_by_hand_follows_nothing(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", fps=10, frames=17)
    split = DatasetSplit("d", "s", ("a", "b"), (clip,), ())
    recipe = replace(make_recipe("quick"), adapts=BOTH)
    fit, sees, notes = adapted(recipe, TemporalInput(), split, rate=None)
    assert (fit.short_side, fit.crop_size, sees.length, len(notes)) == (48, 48, 8, 2)
    slower = adapted(recipe, TemporalInput(), split, rate=5)[1]
    assert slower.length == 6  # half of the frames are left
    kept = adapted(recipe, TemporalInput(), split, rate=None, stored_side=40)[0]
    assert (kept.short_side, kept.crop_size) == (40, 32)
    fit, sees, notes = adapted(recipe.settled("size"), TemporalInput(length=9), split, rate=None)
    assert (fit.short_side, fit.crop_size, sees.length, notes) == (64, 64, 9, ())
    assert make_recipe("quick", crop_size=32).adapts == make_recipe("quick").adapts == ()


def test_labelled_stretches_have_the_length_of_their_own_time(tmp_path: Path) -> None:
    whole = write(tmp_path / "day.mp4", fps=25, frames=100)
    ids = [span_id(whole.video_id, i / 2, (i + 1) / 2) for i in range(8)]
    parts = tuple(replace(whole, video_id=each) for each in ids)
    split = DatasetSplit("d", "s", ("a", "b"), parts, ())
    recipe = replace(make_recipe("quick"), adapts=("length",))
    _, sees, (note,) = adapted(recipe, TemporalInput(), split, rate=None)
    assert sees.length == 6 and "has 11 flow fields" in note  # 12 frames in half a second
    assert adapted(recipe, TemporalInput(), split, rate=50)[1].length == 10


def test_what_is_stored_as_it_is_is_predicted_as_it_is(tmp_path: Path) -> None:
    clips = [write(tmp_path / f"{fps}.mp4", fps=fps, frames=4) for fps in (24.6, 25.0, 25.1)]
    own = DatasetSplit("d", "s", ("a", "b"), tuple(clips), ())
    for videos in (own.train, own.train[1:], own.train[:2]):
        rate = shared_rate(replace(own, train=videos))
        stored = [output_rate(each, rate) for each in rates_of(videos)]
        assert stored == [output_rate(each, stored[-1]) for each in rates_of(videos)]
    assert shared_rate(replace(own, train=own.train[1:])) is None


def test_a_run_follows_its_clips_and_says_so(tmp_path: Path, said: list[str]) -> None:
    for i, name in enumerate(("a/1", "a/2", "b/1", "b/2")):
        (tmp_path / "clips" / name[0]).mkdir(parents=True, exist_ok=True)
        write(tmp_path / "clips" / f"{name}.mp4", fps=(10, 20)[i % 2], frames=(12, 24)[i % 2])
    recipe = make_recipe("quick", steps=1, test_positions=1, fit_scores="in-sample")
    settings = RunSettings(data=str(tmp_path / "clips"), recipe=replace(recipe, adapts=BOTH))
    out = tmp_path / "run"
    train_run(settings, out)
    kept = json.loads((out / "settings.json").read_text())
    assert (kept["recipe"]["crop_size"], kept["store"]["short_side"]) == (48, 48)
    assert (kept["temporal_input"]["length"], kept["store"]["fps"]) == (6, 10)
    notes = [note for note in kept["notes"] if "brought to" in note or "training clip" in note]
    assert len(notes) == 3 and all(said.count(note) == 1 for note in notes)
    page = (out / "report.html").read_text()
    assert "all are brought to 10 frames/s" in page and "cropped to 48" in page
    extracted = replace(settings, store=str(tmp_path / "flow"))  # as the recipe itself says
    FlowStore.create(tmp_path / "flow", extracted.stored)
    train_run(extracted, tmp_path / "second")
    kept = json.loads((tmp_path / "second" / "settings.json").read_text())
    assert (kept["recipe"]["crop_size"], kept["store"]["short_side"]) == (48, 64)
    again = train_run(settings, out, resume=True)  # what was asked for is what is compared
    assert again["test_videos"] == len(load_dataset(tmp_path / "clips").split().test)
