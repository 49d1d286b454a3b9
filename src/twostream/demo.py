"""``make demo``: the built-in data set as real video files, and the main job on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twostream.datasets import load_dataset
from twostream.prediction import Prediction, TwoStreamPredictor
from twostream.recipe import Recipe
from twostream.recipes import QUICK, STANDARD, default_recipe
from twostream.run import RunSettings, train_run
from twostream.synthetic import render_dataset
from twostream.types import Progress, RunError, no_progress

GROUPS = 15


def demo_recipe() -> Recipe:
    """Return the recipe that ``train`` would take, shortened: colours are large and far apart."""
    if default_recipe() == QUICK.name:
        return replace(QUICK, steps=150, fit_folds=2)
    return replace(
        STANDARD,
        epochs=6,
        least_steps=50,
        least_crop_size=128,
        thaws=False,
        temporal_most_steps=None,
    )


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> tuple[dict[str, Any], Path, Prediction, str]:
    """Render, extract, train, evaluate, fuse, report, and label one held-out clip.

    Args:
        out: the RUN folder; the videos go to OUT-clips beside it.
        seed: of the data set and of training.
        progress: told how far each part is.

    Returns:
        The run's results, the held-out clip, its prediction, and its true class.
    """
    clips = out.with_name(f"{out.name}-clips")
    if clips.exists() and not (clips / "ucfTrainTestlist").is_dir():
        raise RunError(f"{clips} holds something else: choose another --out")

    render_dataset(clips, seed=seed, groups=GROUPS, progress=progress)
    settings = RunSettings(data=str(clips), recipe=demo_recipe(), seed=seed)
    resume = (out / "asked.json").is_file()
    results = train_run(settings, out, resume=resume, progress=progress)
    dataset = load_dataset(clips)
    held_out = dataset.split(1).test[seed % len(dataset.split(1).test)]
    prediction = TwoStreamPredictor.load(out).predict(held_out.path)
    return results, held_out.path, prediction, dataset.classes[held_out.label]
