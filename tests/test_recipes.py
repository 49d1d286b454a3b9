"""Recipes: their schedules (the paper's: test_paper_recipe.py), and settings that cannot be."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from twostream.recipes import PAPER, QUICK, RECIPES, make_recipe
from twostream.types import UsageError

NAN = math.nan


def test_the_papers_other_settings() -> None:
    assert (PAPER.steps, PAPER.batch_size, PAPER.momentum) == (80_000, 256, 0.9)
    assert (PAPER.short_side, PAPER.crop_size, PAPER.test_positions) == (256, 224, 25)
    assert (PAPER.dropout, PAPER.lighting, PAPER.flips) == (0.9, 0.1, True)
    assert PAPER.architecture("spatial") == PAPER.architecture("temporal") == "cnn-m-2048"
    assert PAPER.warmup_steps == 0
    assert PAPER.gradient_clip is None
    assert PAPER.fit_scores == "in-sample"


def test_each_stream_has_its_own_network() -> None:
    recipe = make_recipe("quick", temporal_architecture="resnet18")
    assert recipe.architecture("temporal") == "resnet18"
    assert recipe.architecture("spatial") == QUICK.spatial_architecture


def test_quick_rises_then_falls_to_zero() -> None:
    rates = [QUICK.learning_rate_at(step) for step in range(QUICK.steps)]
    top = QUICK.warmup_steps
    assert rates[0] == pytest.approx(QUICK.learning_rate / QUICK.warmup_steps)
    assert rates[top - 1] == rates[top] == QUICK.learning_rate
    assert (np.diff(rates[:top]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    middle = top + (QUICK.steps - top) // 2
    assert QUICK.learning_rate_at(middle) == pytest.approx(QUICK.learning_rate / 2)
    assert 0 < rates[-1] < 1e-3 * QUICK.learning_rate
    assert QUICK.learning_rate_at(QUICK.steps) == pytest.approx(0, abs=1e-12)
    assert QUICK.learning_rate_at(10 * QUICK.steps) == pytest.approx(0, abs=1e-12)


def test_a_cosine_begins_again_and_lasts_as_long_as_all_before() -> None:
    recipe = dataclasses.replace(QUICK, most_steps=5 * QUICK.steps)
    steps, top, rise = recipe.steps, recipe.learning_rate, recipe.warmup_steps
    assert recipe.ends == (steps, 2 * steps, 4 * steps) and QUICK.ends == (steps,)
    for begun, length in ((0, steps), (steps, steps), (2 * steps, 2 * steps)):
        assert recipe.learning_rate_at(begun) == pytest.approx(top / rise)
        assert recipe.learning_rate_at(begun + rise + (length - rise) // 2) == pytest.approx(
            top / 2
        )
        assert recipe.learning_rate_at(begun + length - 1) < 1e-3 * top


def test_a_cosine_without_steps_to_fall_stays_finite() -> None:
    recipe = make_recipe("quick", steps=10)  # fewer than the steps of its rise
    assert all(0 < recipe.learning_rate_at(step) <= 0.01 for step in range(10))


def test_fine_tuning_changes_steps_and_rates_alone() -> None:
    tuned = QUICK.fine_tuning()
    changed = {
        field.name
        for field in dataclasses.fields(QUICK)
        if getattr(QUICK, field.name) != getattr(tuned, field.name)
    }
    assert changed == {"steps", "learning_rate"}
    assert (tuned.steps, tuned.learning_rate) == (150, 1e-3)


def test_changes_are_made_and_none_changes_nothing() -> None:
    recipe = make_recipe("quick", batch_size=5, dropout=None, crop_size=None)
    assert recipe == dataclasses.replace(QUICK, batch_size=5)
    assert make_recipe("paper") == PAPER
    assert RECIPES["quick"] == QUICK


def test_steps_that_the_user_gives_hold_for_fine_tuning_too() -> None:
    assert make_recipe("quick", steps=7).fine_tuning().steps == 7
    assert make_recipe("quick", steps=7, fine_tuning_steps=3).fine_tuning().steps == 3


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("learning_rate", NAN),
        ("learning_rate", math.inf),
        ("learning_rate", 0.0),
        ("learning_rate", -0.1),
        ("fine_tuning_learning_rate", NAN),
        ("fine_tuning_learning_rate", -1.0),
        ("dropout", NAN),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("steps", 0),
        ("steps", -5),
        ("batch_size", 0),
        ("batch_size", -1),
        ("crop_size", 7),
        ("crop_size", -56),
        ("short_side", 0),
    ],
)
def test_values_out_of_range_are_refused(name: str, setting: str, value: float) -> None:
    with pytest.raises(UsageError, match=setting):
        make_recipe(name, **{setting: value})


def test_a_crop_larger_than_the_frames_is_refused() -> None:
    with pytest.raises(UsageError, match="crop of 65 px does not fit a short side of 64 px"):
        make_recipe("quick", crop_size=65)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'fast': use one of standard, quick, paper"):
        make_recipe("fast")


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no lr, speed; it has .*learning_rate.*weight_decay"):
        make_recipe("quick", lr=0.1, speed=3)
