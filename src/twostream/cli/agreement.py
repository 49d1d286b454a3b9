"""The verb on two label files: agreement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from twostream.cli import options
from twostream.cli.console import Shown
from twostream.cli.options import own

if TYPE_CHECKING:
    from twostream.judging import Agreement
    from twostream.labels import Labels


def agreement(
    true: Path = typer.Argument(
        ..., metavar="TRUE", help="A label file, or a folder of them: what is taken for right."
    ),
    predicted: Path = typer.Argument(
        ..., metavar="PREDICTED", help="The same of a prediction, or of another person."
    ),
    csv: Path = own(None, "Write count, durations, latency and share of time here.", None, "--csv"),
    tolerance: float = own(0.5, "Seconds between point events that are the same one.", min=0.0),
    annotators: str = own(
        None, "Whose bouts of TRUE and of PREDICTED, which may be one file: a,b."
    ),
    subject: str = own(None, "Compare the bouts of this subject alone."),
    formats: str = own(
        None, "Format of both files, or of each: boris,csv; default: recognised.", None, "--from"
    ),
    fps: float = own(None, "Frames a second, where a file counts frames and does not say it."),
    as_json: options.AsJson = False,
) -> None:
    """Compare labels in time: those of a prediction with a person's, or those of two people."""
    from twostream import files
    from twostream.judging import compare_labels, of_one, time_budget
    from twostream.labels.formats import is_label_file
    from twostream.types import DataError, UsageError

    shown = Shown(as_json=as_json)
    if csv and csv.is_file() and is_label_file(csv):
        raise UsageError(f"{csv} holds labels: name another file with --csv")
    people = annotators.split(",") if annotators else [None, None]
    if len(people) != 2:
        raise UsageError(f"--annotators takes two names with a comma; got {annotators}")
    ours, theirs = _read(true, predicted, formats, fps)
    ours = of_one(ours, "TRUE", annotator=people[0], subject=subject)
    theirs = of_one(theirs, "PREDICTED", annotator=people[1], subject=subject)
    found = compare_labels(ours, theirs, tolerance_seconds=tolerance)
    for note in found.notes:
        shown.say(note)
    show_agreement(shown, found)
    if csv:
        try:
            files.write_text(csv, time_budget(ours, theirs))
        except OSError as error:
            raise DataError(f"{csv} cannot be written: {error.strerror or error}") from error
        shown.say(f"time budget: {csv}")
    shown.result(found.to_json())


def _read(
    true: Path, predicted: Path, formats: str | None, fps: float | None
) -> tuple[Labels, Labels]:
    """Read both; a file that names no video is called as itself where the other has several."""
    from twostream.labels import read_labels
    from twostream.types import UsageError

    names = formats.split(",") if formats else [None]
    if len(names) > 2:
        raise UsageError(f"--from takes one format, or two with a comma; got {formats}")
    paths = (true, predicted)
    each = [
        read_labels(path, name, fps=fps)
        for path, name in zip(paths, (names[0], names[-1]), strict=True)
    ]
    ours, theirs = each
    if len(ours.recordings) == len(theirs.recordings) == 1:  # they are compared in any case
        return ours if theirs.recordings[0].video else _named(ours, true), theirs
    return _named(ours, true), _named(theirs, predicted)


def _named(labels: Labels, path: Path) -> Labels:
    """Call a video that has no name as its label file."""
    named = tuple(replace(each, video=each.video or path.stem) for each in labels.recordings)
    return replace(labels, recordings=named)


def show_agreement(shown: Shown, found: Agreement) -> None:
    """Print every measure, a label and overall."""
    from twostream.judging.agreement import IN_WORDS

    if found.classes:
        _show_time(shown, found)
        _show_bouts(shown, found)
    if found.points:
        _show_points(shown, found)
    if found.classes:
        rows = [
            (words, _number(measure.value), _interval(measure.low, measure.high))
            for name, words in IN_WORDS.items()
            if (measure := found.overall.get(name))
        ]
        shown.table("overall", ("measure", "value", "95% interval"), rows)


def _show_time(shown: Shown, found: Agreement) -> None:
    videos = f"{len(found.recordings)} recording{'s' * (len(found.recordings) != 1)}"
    rows = [
        (
            each.label,
            f"{each.true_seconds:.1f}",
            f"{each.predicted_seconds:.1f}",
            *map(_number, (each.precision, each.recall, each.f1, each.kappa)),
        )
        for each in found.classes
    ]
    background = [_number(found.background[name]) for name in ("precision", "recall", "f1")]
    shown.table(
        f"time: {videos}, {found.watched_seconds:.1f} s watched",
        ("label", "TRUE s", "PREDICTED s", "precision", "recall", "F1", "kappa"),
        [*rows, ("(no label)", "", "", *background, "")],
    )


def _show_bouts(shown: Shown, found: Agreement) -> None:
    """Show what fits a line of 80; the rest is in the JSON."""
    rows = [
        (
            each.label,
            each.true_bouts,
            each.predicted_bouts,
            *map(_number, (each.segmental_f1[0], each.segmental_f1[-1])),
            *map(_number, (each.average_precision[2], each.boundary_seconds)),
            _number(each.false_bouts_an_hour),
        )
        for each in found.classes
    ]
    head = ("label", "TRUE", "PREDICTED", "F1@10", "F1@50", "AP@0.5", "boundary s", "false/h")
    shown.table("bouts", head, rows)


def _show_points(shown: Shown, found: Agreement) -> None:
    rows = [
        (
            each.label,
            each.true_points,
            each.predicted_points,
            *map(_number, (each.precision, each.recall, each.f1)),
            *map(_number, (each.error_seconds, each.false_an_hour)),
        )
        for each in found.points
    ]
    head = ("label", "TRUE", "PREDICTED", "precision", "recall", "F1", "error s", "false/h")
    shown.table("point events", head, rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


COMMANDS = (agreement,)
