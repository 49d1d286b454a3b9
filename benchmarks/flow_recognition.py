"""What each flow estimator is worth for recognition: the temporal stream, at equal training.

    python benchmarks/flow_recognition.py CLIPS.csv --methods dis,brox,dis-brox --work DIR \
        --out docs/flow-recognition.md

Every method gets the same folds by group, seeds, network and steps; accuracies are of all clips,
each tested once a seed, with the 95% interval over groups. The pairs/s are of this extraction, one
worker, frames of the stored size. Runs are kept in DIR and a killed benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from twostream.datasets import load_dataset
from twostream.evaluate import load_scores
from twostream.experiments.statistics import group_interval
from twostream.extract import extract
from twostream.flow import make_estimator
from twostream.flow.store import StoreSettings
from twostream.recipes import QUICK
from twostream.run import RunSettings, train_run


def pairs_per_second(data: str, method: str, work: Path) -> float:
    """Extract all clips with one worker, once; return the rate."""
    kept = work / f"{method}-rate.json"
    if not kept.is_file():
        estimator = make_estimator(method)
        settings = StoreSettings(
            flow=method, parameters=dict(estimator.parameters), short_side=QUICK.short_side
        )
        estimator(np.zeros((64, 80), np.uint8), np.zeros((64, 80), np.uint8))  # compile first
        videos = load_dataset(data).videos
        summary = extract(
            videos, store=work / method / "store", settings=settings, kinds=("forward",), workers=1
        )
        kept.write_text(json.dumps(summary.pairs_per_second))
    return json.loads(kept.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--methods", default="dis,farneback,tvl1,brox,dis-brox")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    groups = {
        video.video_id: video.group or video.video_id for video in load_dataset(options.data).videos
    }
    lines = [
        f"Data: {load_dataset(options.data).name}, {options.folds} folds by group, "
        f"{options.seeds} seed(s), recipe quick, temporal stream, stacks of 10 fields.",
        "",
        "| flow | accuracy, % (95% interval over groups) | pairs/s, one worker, with decoding and "
        "storing |",
        "|---|---|---|",
    ]
    for method in options.methods.split(","):
        (options.work / method).mkdir(parents=True, exist_ok=True)
        rate = pairs_per_second(options.data, method, options.work)
        right: dict[str, list[bool]] = {}
        for seed in range(options.seeds):
            for fold in range(1, options.folds + 1):
                settings = RunSettings(
                    data=options.data,
                    recipe=replace(QUICK, flow=method, fit_scores="in-sample"),
                    streams=("temporal",),
                    fold=f"{fold}/{options.folds}",
                    seed=seed,
                    store=str(options.work / method / "store"),
                    score_train=False,
                )
                folder = options.work / method / f"fold{fold}-seed{seed}"
                if not (folder / "results.json").is_file():
                    train_run(settings, folder, resume=True, say=lambda message: None)
                scores = load_scores(folder / "scores" / "temporal-test.npz")
                for video_id, correct in zip(scores.video_ids, scores.correct(), strict=True):
                    right.setdefault(video_id, []).append(bool(correct))
        ids = sorted(right)
        values = np.array([np.mean(right[video_id]) for video_id in ids])
        found = group_interval(values, [groups[video_id] for video_id in ids])
        lines.append(
            f"| {method} | {found.mean:.1f} [{found.low:.1f}, {found.high:.1f}] | {rate:.0f} |"
        )
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    if options.out:
        title = "# Flow estimators and recognition"
        options.out.write_text(
            f"<!-- written by benchmarks/flow_recognition.py -->\n{title}\n\n{text}"
        )


if __name__ == "__main__":
    main()
