"""The verb on how much more clips would bring: curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twostream.cli import options
from twostream.cli.console import Shown, percent
from twostream.cli.options import own, trainer_options

if TYPE_CHECKING:
    from collections.abc import Sequence


def curve(
    run: options.TrainedRun,
    clips: str = own(
        None,
        "Train on so many clips of each class, with commas: 2,5,10; default: a quarter and half.",
        options.DATA,
    ),
    workers: options.Workers = None,
    loader_workers: options.LoaderWorkers = None,
    accelerator: options.Accelerator = "auto",
    devices: options.Devices = 1,
    precision: options.Precision = "32-true",
    as_json: options.AsJson = False,
) -> None:
    """Train RUN's recipe on parts of its clips, and say what more clips would bring."""
    from twostream.report.more_clips import gains_in_words, needs_in_words
    from twostream.run import curve_run

    shown = Shown(as_json=as_json)
    sizes = {"sizes": _numbers(clips)} if clips else {}
    machine = trainer_options(accelerator, devices, precision, loader_workers)
    with shown.progress():
        found = curve_run(run, **sizes, options=machine, workers=workers, progress=shown.step)
    models = found["models"]
    rows = [
        (
            f"{point['clips_a_class']:.1f}",
            *(percent(m["accuracy"][i]["value"]) for m in models.values()),
        )
        for i, point in enumerate(found["points"])
    ]
    shown.table(f"{found['held_out']} held-out clips", ("clips a class", *models), rows)
    shown.line(gains_in_words(found))
    shown.line(needs_in_words(found))
    shown.line(f"report: {run / 'report.html'}")
    shown.result(found)


def _numbers(text: str) -> Sequence[int]:
    """Return --clips 2,5,10 as numbers."""
    from twostream.types import UsageError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--clips takes whole numbers with commas, such as 2,5,10; got {text}"
        ) from None


COMMANDS = (curve,)
