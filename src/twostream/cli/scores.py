"""Verbs on a trained run: evaluate, fuse, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import typer

from twostream.cli import options
from twostream.cli.console import Shown, percent
from twostream.cli.options import own, split_choice, trainer_options
from twostream.cli.train import show_results


def evaluate(
    run: options.TrainedRun,
    data: Path = typer.Argument(None, metavar="[DATA]", help="Other data; default: the run's own."),
    split: options.Split = None,
    fold: options.Fold = None,
    test_groups: options.TestGroups = None,
    out: Path = own(None, "Folder for the score files.", None, "--out"),
    skip_unreadable: options.SkipUnreadable = False,
    workers: options.Workers = None,
    accelerator: options.Accelerator = "auto",
    as_json: options.AsJson = False,
) -> None:
    """Score videos with a run's models, as in its training, and write the score files."""
    from twostream.run import evaluate_run

    shown = Shown(as_json=as_json)
    with shown.progress():
        results = evaluate_run(
            run,
            str(data) if data else None,
            choice=split_choice(split, fold, test_groups),
            out=out,
            options=trainer_options(accelerator),
            workers=workers,
            skip_unreadable=skip_unreadable,
            progress=shown.step,
        )
    show_results(shown, results)


def fuse(
    scores: list[Path] = typer.Argument(..., metavar="SCORES.npz...", help="One file a stream."),
    method: Literal["average", "weighted", "svm", "log-linear"] = own(
        "average", "How scores are fused."
    ),
    weights: str = own(None, "For weighted: one a stream, with commas: 1,2."),
    fit: list[Path] = own(
        None,
        "For svm, log-linear: scores on training clips, one file a stream, in the same order.",
        None,
        "--fit",
    ),
    out: Path = own(None, "Write the fused scores here (npz).", None, "--out"),
    as_json: options.AsJson = False,
) -> None:
    """Fuse the scores of streams, matched by video id."""
    from twostream.fusion import fuse as fuse_scores
    from twostream.scoring import load_scores, save_scores
    from twostream.types import UsageError

    shown = Shown(as_json=as_json)
    for paths in (scores, fit or []):
        places = [path.resolve() for path in paths]
        if len(set(places)) < len(places):
            again = next(path for path in places if places.count(path) > 1)
            raise UsageError(f"{again} is given twice: give one file a stream")
    streams = [load_scores(path) for path in scores]
    _check_order(scores, fit or [], [each.stream for each in streams])
    try:
        shares = [float(part) for part in weights.split(",")] if weights else None
    except ValueError:
        raise UsageError(
            f"--weights takes numbers with commas, such as 1,2; got {weights}"
        ) from None
    fused = fuse_scores(
        streams,
        method=method,
        weights=shares,
        fit=[load_scores(path) for path in fit] if fit else None,
    )
    names = [each.stream for each in streams]
    if len({*names, fused.stream}) <= len(names):  # two nets of one stream: their files tell them
        names = [str(path) for path in scores]
    accuracy: dict[str, Any] = {
        name: each.accuracy()
        for name, each in zip([*names, fused.stream], [*streams, fused], strict=True)
    }
    rows = [(name, percent(value)) for name, value in accuracy.items()]
    shown.table(f"{len(fused.video_ids)} videos", ("stream", "accuracy"), rows)
    if out:
        save_scores(out, fused)
        shown.say(f"fused scores: {out}")
    shown.result({"videos": len(fused.video_ids), "method": method, "accuracy": accuracy})


def _check_order(scores: list[Path], fit: list[Path], streams: list[str]) -> None:
    """Raise a UsageError where two nets of one stream have their --fit files exchanged.

    Score files do not tell which net made them, but nets of two runs have them in two folders.
    """
    from twostream.files import ASKED
    from twostream.types import UsageError

    def run_of(path: Path) -> Path:
        above = path.resolve().parents
        return next((folder for folder in above if (folder / ASKED).is_file()), above[0])

    places, fitted = ([run_of(path) for path in paths] for paths in (scores, fit))
    if len(set(places)) < len(places) or sorted(places) != sorted(fitted):
        return
    for i, (path, place) in enumerate(zip(scores, fitted, strict=True)):
        if place != places[i] and streams.count(streams[i]) > 1:
            raise UsageError(
                f"the training scores must be of the same nets in the same order, got {fit[i]} for "
                f"{path}"
            )


def report(run: options.TrainedRun, as_json: options.AsJson = False) -> None:
    """Write RUN/report.html again: one file with everything in it."""
    from twostream.report import write_report

    shown = Shown(as_json=as_json)
    path = write_report(run)
    shown.line(f"report: {path}")
    shown.result({"report": str(path)})


COMMANDS = (evaluate, fuse, report)
