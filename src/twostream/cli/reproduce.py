"""The verb that runs the paper's experiments."""

from __future__ import annotations

from pathlib import Path

import typer

from twostream.cli import options
from twostream.cli.console import Shown
from twostream.cli.options import DATA, MACHINE, METHOD, own, per_recipe, trainer_options


def reproduce(
    what: str = typer.Argument(
        "claims",
        help="table1a, table1b, slow-fusion, table2, table3, table4, figure4, claims or all.",
    ),
    data: list[str] = own(
        None,
        "Any data set; a second one plays HMDB-51's part. Without: the built-in one.",
        DATA,
        "--data",
        metavar="DATA",
    ),
    ucf101: Path = own(None, "Folder of UCF-101, for the paper's own experiments.", DATA),
    hmdb51: Path = own(None, "Folder of HMDB-51.", DATA),
    folds: int = own(
        3,
        "Folds by group, of data without official splits, or without --given-splits.",
        DATA,
        min=2,
    ),
    given_splits: bool = own(
        False,
        "Use the splits that came with --data, where there are some, instead of folds.",
        DATA,
        "--given-splits",
    ),
    out: Path = own(Path("reproduction"), "Folder of runs and results.", None, "--out"),
    seeds: int = own(1, "Number of seeds; more may be added later.", min=1),
    notes: Path = own(None, 'Text with headings "Claim 1" and so on, to stand beside the results.'),
    list_: bool = own(False, "Show all cells, their state and cost only.", None, "--list"),
    recipe: options.FromScratch = own(
        None, "Default: paper for official data, else quick.", METHOD
    ),
    flow: str = own(None, "Flow estimator instead of the recipe's.", METHOD),
    weights: str = own(
        None,
        "Weights file of the pre-trained spatial net, or imagenet: those that pip brings.",
        METHOD,
    ),
    short_side: int = own(
        None,
        per_recipe("Stored size: shorter side in pixels", "short_side", options.FromScratch),
        METHOD,
        min=8,
    ),
    crop_size: options.ScratchCropSize = None,
    steps: options.ScratchSteps = None,
    jobs: int = own(None, "Runs at the same time; default: one a CPU core.", MACHINE, min=1),
    cluster: options.ClusterText = None,
    accelerator: options.Accelerator = "auto",
    devices: options.Devices = 1,
    precision: options.Precision = "32-true",
    loader_workers: options.LoaderWorkers = None,
    as_json: options.AsJson = False,
) -> int:
    """Run the paper's experiments and check its claims; goes on where it was stopped."""
    from twostream.experiments import Study, check_what, listing
    from twostream.experiments import reproduce as run
    from twostream.experiments.reproduction import built_in_data
    from twostream.experiments.study import whole_path
    from twostream.recipes import make_recipe
    from twostream.types import UsageError

    shown = Shown(as_json=as_json)
    official = [str(path) for path in (ucf101, hmdb51) if path]
    if official and data:
        raise UsageError("give --data, or --ucf101 and --hmdb51, not both")
    if hmdb51 and not ucf101:
        raise UsageError("--hmdb51 is the second data set of the paper: give --ucf101 too")
    check_what(what)
    with shown.progress():
        paths = official or data or [built_in_data(out, shown.step)]
        study = Study(
            data=tuple(str(Path(path).resolve()) for path in paths),
            recipe=make_recipe(
                recipe or ("paper" if official else "quick"),
                flow=flow,
                steps=steps,
                short_side=short_side,
                crop_size=crop_size,
            ),
            out=out,
            weights=whole_path(weights),
            seeds=seeds,
            folds=folds,
            official=bool(official),
            given=given_splits,
        )
        if list_:
            rows = listing(study)
        else:
            results = run(
                study,
                what,
                jobs=jobs,
                cluster=cluster,
                options=trainer_options(accelerator, devices, precision, loader_workers),
                notes=notes,
                progress=shown.step,
            )
    if list_:
        _show_list(shown, rows)
        return 0
    _show(shown, results, out)
    return 1 if results["failed"] else 0


def _show_list(shown: Shown, rows: list[dict]) -> None:
    def minutes(seconds: float | None) -> str:
        return "-" if not seconds else f"{seconds / 60:.1f}"

    lines = [
        (
            row["table"],
            f"{row['row']}, {row['column']}",
            "-" if row["paper"] is None else row["paper"],
            row["state"],
            f"{row['training_crops'] / 1e6:.2f}",
            minutes(row["seconds_spent"]),
            minutes(row["seconds_left"]),
        )
        for row in rows
    ]
    columns = ("table", "cell", "paper", "state", "M crops", "min spent", "min left")
    shown.table(f"{len(rows)} cells", columns, lines, text_columns=2)
    shown.result({"cells": rows})


def _show(shown: Shown, results: dict, out: Path) -> None:
    from twostream.experiments.markdown_document import percent, points

    lines = []
    for claim in results["claims"]:
        for i, each in enumerate(claim["comparisons"]):
            difference = points(each["difference"]) if each["state"] == "done" else each["state"]
            number = f"{claim['number']}" if i == 0 else ""
            names = f"{each['first']} against {each['second']}"
            lines.append((number, names, each["kind"], difference, each["verdict"]))
    if lines:
        columns = ("claim", "comparison", "kind", "difference, points", "verdict")
        shown.table("claims", columns, lines, text_columns=2)
    cells = [
        (
            f"{cell['row']}, {cell['column']}",
            "-" if cell["paper"] is None else cell["paper"],
            percent(cell["accuracy"]) if cell["accuracy"] else cell["state"],
        )
        for cell in results["cells"]
    ]
    if cells:
        shown.table("cells, % of the test clips", ("cell", "paper", "ours"), cells)
    for folder, why in results["failed"].items():
        shown.say(f"{folder}: {why}")
    shown.line(f"page: {out / 'index.html'}")
    shown.result(results)


COMMANDS = (reproduce,)
