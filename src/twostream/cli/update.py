"""The verb that brings new labels into a run's answers: update."""

from __future__ import annotations

from pathlib import Path

import typer

from twostream.cli import options
from twostream.cli.console import Shown, percent
from twostream.cli.options import NETWORK, own, trainer_options


def update(
    labels: Path = typer.Argument(
        ..., metavar="LABELS", help="A label file, or a folder of videos with label files."
    ),
    out: Path = own(..., "Folder of the new run.", None, "--out"),
    run: Path = own(
        None, "The run whose networks stay; default: those that train starts from.", NETWORK
    ),
    kept: Path = own(
        None,
        "Folder of frames, flow and what networks make of them; default: that of RUN, or OUT.",
        options.MACHINE,
    ),
    accelerator: options.Accelerator = "auto",
    as_json: options.AsJson = False,
) -> None:
    """Give networks new last layers, from labels with a start and an end: in seconds."""
    from twostream.recipes import STANDARD
    from twostream.run import RunSettings
    from twostream.run.quick_update import UpdatePlace, kept_of, store_in, update_run

    shown = Shown(as_json=as_json)
    known = kept or (kept_of(run) if run else None) or out
    store = store_in(known, STANDARD.name, labels)
    settings = RunSettings(data=str(labels), recipe=STANDARD, store=str(store))
    device = trainer_options(accelerator).device()
    place = UpdatePlace(labels=labels, runs=known, base=run, settings=settings, device=device)
    with shown.progress():
        found = update_run(place, out, progress=shown.step)
    title = f"{found['stretches']} labelled stretches are learnt from"
    if found["folds"]:
        title += f", {found['tested']} of them tested by last layers that did not see them"
        title += ", nor their video" if found["apart"] else ""
    rows = [(stream, percent(value)) for stream, value in found["accuracy"].items()]
    shown.table(title, ("stream", "right"), rows)
    if found["folds"] and found["untested"]:
        names = ", ".join(found["untested"])
        shown.line(f"not tested, for they are labelled in one recording alone: {names}")
    shown.line(f"run: {out}")
    shown.result(found)


COMMANDS = (update,)
