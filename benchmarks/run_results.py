"""A table of finished runs: accuracy of each stream and fusion, calibration, time.

    python benchmarks/run_results.py RUN [RUN ...] --out docs/results-jhmdb.md --note "..."

Reads what `twostream train` left in each folder; trains nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from twostream.files import read_json
from twostream.report.measures import calibration, confidence_interval
from twostream.run.cross_fitting import joined
from twostream.scoring import load_scores

STREAMS = ("spatial", "temporal", "average", "svm", "fused")


def row(run: Path) -> tuple[list[str], dict[str, float]]:
    """Return the cells of a run, and its accuracies in percent."""
    results, settings = read_json(run / "results.json"), read_json(run / "settings.json")
    cells = [f"{settings['recipe']['name']}, {settings['split']}, seed {settings['seed']}"]
    cells.append(f"{results['train_videos']} / {results['test_videos']}")
    found = {}
    for stream in STREAMS:
        scores = load_scores(run / "scores" / f"{stream}-test.npz")
        right, n = int(scores.correct().sum()), len(scores.video_ids)
        low, high = (100 * each for each in confidence_interval(right, n))
        found[stream] = 100 * right / n
        cells.append(f"{found[stream]:.1f} ({low:.0f}..{high:.0f})")
    cells.append(calibrated([run]))
    trained = results["train_accuracy"]
    cells.append(" / ".join(f"{100 * trained[stream]:.0f}" for stream in STREAMS[:2]))
    cells.append(" + ".join(f"{s / 60:.1f}" for s in results["seconds"].values()))
    return cells, found


def calibrated(runs: list[Path]) -> str:
    """Return the calibration error of the fused scores of all these runs' test clips together."""
    parts = []
    for i, run in enumerate(runs):
        scores = load_scores(run / "scores" / "fused-test.npz")
        # official splits may test a clip twice, by other nets
        ids = tuple(f"{i}/{video_id}" for video_id in scores.video_ids)
        unreadable = {f"{i}/{video_id}": why for video_id, why in scores.unreadable.items()}
        parts.append(replace(scores, video_ids=ids, unreadable=unreadable))
    measured = calibration(joined(parts))
    return f"{measured.error:.3f} (by chance {measured.by_chance:.3f})" if measured else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--note", default="")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    seconds = read_json(options.runs[0] / "results.json")["seconds"]
    header = ["recipe, split", "train / test", *STREAMS, "ECE of fused", "training clips, s / t"]
    header.append(f"minutes: {' + '.join(seconds)}")
    rows, all_found = [], []
    for run in options.runs:
        cells, found = row(run)
        rows.append(cells)
        all_found.append(found)
    recipes = [read_json(run / "settings.json")["recipe"]["name"] for run in options.runs]
    if len(rows) > 1 and len(set(recipes)) == 1:
        means = {key: np.mean([found[key] for found in all_found]) for key in all_found[0]}
        accuracies = [f"{means[stream]:.1f}" for stream in STREAMS]
        rows.append(
            ["mean; ECE of all together", "", *accuracies, calibrated(options.runs), "", ""]
        )
    table = Table(*header)
    for cells in rows:
        table.add_row(*cells)
    Console().print(table)
    if options.out:
        settings = read_json(options.runs[0] / "settings.json")
        lines = [header, ["---"] * len(header), *rows]
        options.out.write_text(
            "<!-- written by benchmarks/run_results.py -->\n"
            f"# {settings['dataset']}, recipe {', '.join(dict.fromkeys(recipes))}\n\n"
            "Percent of the test clips, with 95% intervals by Wilson. ECE: expected calibration "
            "error; by chance: that of a model whose scores are the chances of being right. "
            f"{options.note}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
