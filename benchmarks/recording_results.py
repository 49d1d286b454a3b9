"""A table of finished runs on recordings: what their time lines find, each run and all together.

    python benchmarks/recording_results.py RUN [RUN ...] --out docs/results-joined.md --note "..."

Reads what `twostream train` left in each folder; trains nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from twostream.files import read_json
from twostream.judging import compare_labels
from twostream.labels import Labels, read_labels

MEASURES = {
    "f1": ("F1 of time", "{:.3f}"),
    "kappa": ("kappa", "{:.3f}"),
    "f1@50": ("F1@50", "{:.3f}"),
    "edit": ("edit", "{:.3f}"),
    "boundary_seconds": ("boundary, s", "{:.2f}"),
    "false_bouts_an_hour": ("false bouts an hour", "{:.1f}"),
}


def together(parts: list[Labels]) -> Labels:
    """Return the labels of several runs' recordings as one."""
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    return Labels(tuple(each for part in parts for each in part.recordings), classes)


def of_run(run: Path) -> list[str]:
    """Return the cells of a run."""
    results = read_json(run / "results.json")
    found = results["recordings"]
    cells = [", ".join(Path(name).stem for name in found["recordings"])]
    cells += [_told(name, found["overall"][name]["value"]) for name in MEASURES]
    right = results["accuracy"]
    cells += [f"{100 * right[stream]:.1f}" for stream in ("spatial", "temporal", "fused")]
    cells.append(" + ".join(f"{seconds / 60:.1f}" for seconds in results["seconds"].values()))
    return cells


def of_all(runs: list[Path]) -> list[str]:
    """Return the cells of all runs' recordings, judged as one set, with intervals."""
    true = together([read_labels(run / "recordings" / "true.csv") for run in runs])
    predicted = together([read_labels(run / "recordings" / "predicted") for run in runs])
    overall = compare_labels(true, predicted).overall
    cells = [f"all {len(true.recordings)} together"]
    for name in MEASURES:
        found = overall[name]
        between = f" ({_told(name, found.low)}..{_told(name, found.high)})"
        cells.append(_told(name, found.value) + (between if found.low is not None else ""))
    return [*cells, "", "", "", ""]


def _told(name: str, value: float | None) -> str:
    return "-" if value is None else MEASURES[name][1].format(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--note", default="")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    seconds = read_json(options.runs[0] / "results.json")["seconds"]
    header = ["tested", *(title for title, _ in MEASURES.values())]
    header += ["spatial", "temporal", "fused", f"minutes: {' + '.join(seconds)}"]
    rows = [of_run(run) for run in options.runs]
    if len(rows) > 1:
        rows.append(of_all(options.runs))
    table = Table(*header)
    for cells in rows:
        table.add_row(*cells)
    Console().print(table)
    if options.out:
        lines = [header, ["---"] * len(header), *rows]
        options.out.write_text(
            "<!-- written by benchmarks/recording_results.py -->\n# Time lines of recordings\n\n"
            "F1 of time: mean over labels; F1@50: bouts found that overlap the true one by half; "
            "boundary: median error; false bouts on watched background; 95% intervals over groups "
            "of recordings in brackets. Spatial, temporal, fused: percent of the labelled "
            f"stretches, each as a clip. {options.note}\n\n"
            + "\n".join(f"| {' | '.join(line)} |" for line in lines)
            + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
