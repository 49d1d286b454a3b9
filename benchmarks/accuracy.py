"""Accuracy of the ``quick`` recipe over folds and seeds, from scratch and from given weights.

    python benchmarks/accuracy.py CLIPS.csv --folds "a,b,c;d,e,f;g,h,i" --seeds 3 \
        --weights FILE --work DIR --out docs/results.md

Every fold is a set of groups that is tested; the settings are the recipe's, the same for all. Runs
are kept in DIR and a killed benchmark goes on where it was. Both spatial nets share the temporal
net of their fold and seed. Scores are averaged over positions and crops as in section 5.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from twostream.datasets import SplitChoice
from twostream.fusion import fuse
from twostream.initialise import Start
from twostream.recipes import make_recipe
from twostream.run import RunSettings, train_run
from twostream.scoring import load_scores


def one_run(settings: RunSettings, folder: Path) -> dict:
    """Train one fold and seed, or take the finished run."""
    if (folder / "results.json").is_file():
        return json.loads((folder / "results.json").read_text())
    started = time.perf_counter()
    results = train_run(settings, folder, resume=True)
    print(f"{folder.name}: {results['accuracy']} {time.perf_counter() - started:.0f} s", flush=True)
    return results


def mean_and_spread(values: list[float]) -> str:
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} (sd {spread:.3f}, lowest {min(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--folds", required=True, help="groups with commas, folds with semicolons")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weights")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folds = [tuple(fold.split(",")) for fold in options.folds.split(";")]
    # the SVM is not measured here, so no nets are trained for its scores
    recipe = make_recipe("quick", fit_scores="in-sample")
    rows: dict[str, list[float]] = {}
    worst_loss = 0
    for seed in range(options.seeds):
        for number, fold in enumerate(folds, start=1):
            settings = RunSettings(
                data=options.data,
                recipe=recipe,
                choice=SplitChoice(test_groups=fold),
                seed=seed,
                store=str(options.work / "store"),
            )
            folder = options.work / f"scratch-fold{number}-seed{seed}"
            results = one_run(settings, folder)
            for stream in ("spatial", "temporal", "average"):
                rows.setdefault(f"{stream}, from scratch", []).append(results["accuracy"][stream])
            if not options.weights:
                continue
            started = replace(settings, streams=("spatial",), start=Start(weights=options.weights))
            other = options.work / f"weights-fold{number}-seed{seed}"
            spatial = one_run(started, other)["accuracy"]["spatial"]
            paths = [other / "scores/spatial-test.npz", folder / "scores/temporal-test.npz"]
            fused = fuse([load_scores(path) for path in paths], method="average")
            rows.setdefault("spatial, from weights", []).append(spatial)
            rows.setdefault("average, from weights", []).append(fused.accuracy())
            better = max(spatial, results["accuracy"]["temporal"])
            worst_loss = max(worst_loss, round((better - fused.accuracy()) * len(fused.video_ids)))
    lines = [
        f"Data: {Path(options.data).parent.name}, {len(folds)} folds by group x {options.seeds} "
        f"seeds, recipe quick, {platform.machine()}, {platform.python_version()}.",
        "",
        "| stream | mean accuracy over folds and seeds |",
        "|---|---|",
        *(f"| {name} | {mean_and_spread(values)} |" for name, values in rows.items()),
        "",
        f"With weights, averaging loses at most {worst_loss} clips to the better stream in a run.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        title = "# Results on real clips"
        options.out.write_text(f"<!-- written by benchmarks/accuracy.py -->\n{title}\n\n{text}")


if __name__ == "__main__":
    main()
