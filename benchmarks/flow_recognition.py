"""What each flow estimator is worth for recognition: the temporal stream, at equal training.

    python benchmarks/flow_recognition.py CLIPS.csv --work DIR --seeds 3 \\
        --out docs/flow-recognition.md

Every method gets the same folds by group (or one split that comes with the data: --split), seeds,
network and steps. A clip's value is the share of seeds that were right about it; means and 95%
intervals are over the clips, by draws of whole groups, and differences to the first method are
paired by clip. Pairs per CPU second are of extraction at the stored size: decoding, flow, storing;
the methods take turns and the fastest round counts. A method may name a preset, as in
brox:accurate. Runs are kept in DIR: a killed benchmark goes on, and more seeds add to what is
there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twostream.datasets import SplitChoice, load_dataset
from twostream.experiments.paired_differences import Interval, group_interval
from twostream.extraction import extract
from twostream.flow import make_estimator
from twostream.recipe import Recipe
from twostream.recipes import RECIPES, make_recipe
from twostream.run import RunSettings, train_run
from twostream.scoring import load_scores
from twostream.types import LabeledVideo

RATE_CLIPS, RATE_ROUNDS = 8, 3


def rates(
    videos: Sequence[LabeledVideo], methods: Sequence[str], recipe: str, work: Path
) -> dict[str, float]:
    """Return pairs per CPU second of each method, measured once and kept."""
    kept = work / "rates.json"
    known: dict[str, float] = json.loads(kept.read_text()) if kept.is_file() else {}
    if set(methods) <= set(known):
        return known
    fastest = dict.fromkeys(methods, 0.0)
    for _ in range(RATE_ROUNDS):
        for method in methods:
            estimator = make_estimator(method)
            estimator(*np.random.default_rng(0).integers(0, 256, (2, 64, 80), np.uint8))  # compile
            with tempfile.TemporaryDirectory() as store:
                started = time.process_time()
                pairs = extract(
                    videos[:: max(1, len(videos) // RATE_CLIPS)],
                    store=store,
                    settings=recipe_of(recipe, method).stored(),
                    kinds=("forward",),
                    workers=1,
                    device="cpu",
                ).pairs
                rate = pairs / (time.process_time() - started)
            fastest[method] = max(fastest[method], rate)
    kept.write_text(json.dumps(fastest))
    return fastest


def recipe_of(name: str, method: str) -> Recipe:
    return make_recipe(name, flow=method, fit_scores="in-sample")


def train_one(
    data: str, recipe: Recipe, choice: SplitChoice, seed: int, base: Path, name: str
) -> Path:
    """Train and test the temporal stream; returns its folder. A finished one costs nothing."""
    folder = base / f"{name}-seed{seed}"
    settings = RunSettings(
        data=data,
        recipe=recipe,
        streams=("temporal",),
        choice=choice,
        seed=seed,
        store=str(base / "store"),
        score_train=False,
    )
    if not (folder / "results.json").is_file():
        train_run(settings, folder, resume=True)
    return folder


def values_of(folders: Sequence[Path]) -> dict[str, float]:
    """Return the share of the folders' test scores that were right about each clip."""
    right: dict[str, list[bool]] = {}
    for folder in folders:
        scores = load_scores(folder / "scores" / "temporal-test.npz")
        for video_id, correct in zip(scores.video_ids, scores.correct(), strict=True):
            right.setdefault(video_id, []).append(bool(correct))
    return {video_id: float(np.mean(values)) for video_id, values in right.items()}


def table(done: dict[str, list[Path]], groups: dict[str, str], rate: dict[str, float]) -> list[str]:
    first = next(iter(done))
    base = values_of(done[first])
    lines = [
        f"| flow | runs | accuracy, % (95% interval) | difference to {first}, points | pairs per "
        "CPU second |",
        "|---|---|---|---|---|",
    ]
    for method, folders in done.items():
        values = values_of(folders)
        ids = sorted(values.keys() & base.keys())
        own = np.array([values[video_id] for video_id in ids])
        other = np.array([base[video_id] for video_id in ids])
        of_groups = [groups[video_id] for video_id in ids]
        difference = "-" if method == first else shown(group_interval(own - other, of_groups), "+")
        lines.append(
            f"| {method} | {len(folders)} | {shown(group_interval(own, of_groups))} | {difference} "
            f"| {rate[method]:.0f} |"
        )
    return lines


def shown(interval: Interval, sign: str = "") -> str:
    return " ".join(
        (
            f"{interval.mean:{sign}.1f}",
            f"[{interval.low:{sign}.1f}, {interval.high:{sign}.1f}]",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--methods", default="dis,farneback,tvl1,brox,dis-brox")
    parser.add_argument("--recipe", default="quick", choices=RECIPES)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--split", type=int, help="that came with the data, instead of folds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    dataset = load_dataset(options.data)
    groups = {video.video_id: video.group or video.video_id for video in dataset.videos}
    methods = options.methods.split(",")
    options.work.mkdir(parents=True, exist_ok=True)
    rate = rates(dataset.videos, methods, options.recipe, options.work)
    choices = {
        f"fold{fold}": SplitChoice(fold=f"{fold}/{options.folds}")
        for fold in range(1, options.folds + 1)
    }
    if options.split:
        choices = {f"split{options.split}": SplitChoice(split=options.split)}
    todo = [
        (method, name, seed)
        for seed in range(options.seeds)
        for method in methods
        for name in choices
    ]
    done: dict[str, list[Path]] = {method: [] for method in methods}
    spent: list[float] = []
    for i, (method, name, seed) in enumerate(todo):
        started = time.monotonic()
        recipe, base = recipe_of(options.recipe, method), options.work / method.replace(":", "-")
        done[method].append(
            train_one(options.data, recipe, choices[name], seed, base.resolve(), name)
        )
        if (seconds := time.monotonic() - started) > 1:  # those that were there take no time
            spent.append(seconds)
        left = (len(todo) - i - 1) * (sum(spent) / len(spent) if spent else 0) / 60
        print(
            f"{i + 1}/{len(todo)}: {method}, {name}, seed {seed}; {left:.0f} min left",
            flush=True,
        )
        if (method, name) == (methods[-1], [*choices][-1]):
            text = "\n".join(
                [
                    f"Data: {dataset.name}, {len(groups)} clips in {len(set(groups.values()))} "
                    f"groups, {', '.join(choices)}, {seed + 1} seed(s), recipe {options.recipe}, "
                    "temporal stream.",
                    "",
                    *table(done, groups, rate),
                ]
            )
            print(text, flush=True)
            if options.out:
                options.out.write_text(
                    "<!-- written by benchmarks/flow_recognition.py -->\n"
                    f"# Flow estimators and recognition\n\n{text}\n"
                )


if __name__ == "__main__":
    main()
