"""The verb convert: a label file in another format."""

from __future__ import annotations

from pathlib import Path

import typer

from twostream.cli import options
from twostream.cli.console import Shown
from twostream.cli.options import own

# the names in labels.FORMATS, which would import PyAV for every --help
FORMAT = (
    "csv, boris, boris-tabular, boris-aggregated, elan, via, cvat, label-studio, activitynet, "
    "create-ml, frames, feral, srt, vtt, audacity"
)


def convert(
    source: Path = typer.Argument(
        ..., metavar="LABELS", help="A label file, or a folder of them, one a video."
    ),
    to: str = own(..., f"The format to write: {FORMAT}.", None, "--to"),
    out: Path = own(
        None,
        "What to write, a folder where each video has a file of its own; default: LABELS with "
        "another suffix.",
        None,
        "--out",
    ),
    given: str = own(None, "Format of LABELS; default: it is recognised.", None, "--from"),
    fps: float = own(
        None, "Frames a second, where files count frames and neither they nor a video says it."
    ),
    as_json: options.AsJson = False,
) -> None:
    """Write labels in another format, and say what it cannot hold.

    Formats are recognised by what stands in a file, and described in docs/labels.md.
    """
    from twostream.labels import read_labels, write_labels
    from twostream.labels.formats import format_named
    from twostream.labels.holds import file_stems
    from twostream.labels.video_facts import with_rates
    from twostream.schema import check_number
    from twostream.types import UsageError

    holds = format_named(to).HOLDS
    if fps is not None:
        try:
            check_number("fps", fps)
        except ValueError as error:
            raise UsageError(f"--{error}") from error
    shown = Shown(as_json=as_json)
    labels = read_labels(source, given, fps=fps)
    for note in labels.notes:
        shown.say(note)
    told = [each for each in labels.recordings if fps and each.fps and abs(each.fps - fps) > 1e-6]
    if told:
        shown.say(
            f"--fps {fps:g} is for recordings whose rate is not known: {len(told)} of "
            f"{len(labels.recordings)} are of the rate in LABELS ({told[0].fps:g} frames/s)"
        )
    apart = not holds.several and len(labels.recordings) > 1
    target = out or _beside(source, "" if apart else holds.suffixes[0], to)
    if target.resolve() == source.resolve():
        raise UsageError(f"{target} is what is read: name another --out")
    if out is None and target.exists():
        raise UsageError(f"{target} is there already: name it, or another place, with --out")
    stems = file_stems(labels) if apart else []
    if there := [each for s in stems if (each := target / f"{s}{holds.suffixes[0]}").exists()]:
        raise UsageError(f"{there[0]} is there already: name another folder with --out")
    if holds.times == "frames":
        labels = with_rates(labels, source if source.is_dir() else source.parent, fps=fps)
    lost = write_labels(labels, target, to)
    for sentence in lost:
        shown.say(f"lost: {sentence}")
    bouts = sum(len(recording.bouts) for recording in labels.recordings)
    counts = {
        "recordings": len(labels.recordings),
        "bouts": bouts,
        "classes": len(labels.classes),
    }
    shown.table(f"{target}: {holds.title}", tuple(counts), [tuple(counts.values())])
    shown.result({"out": str(target), **counts, "notes": labels.notes, "lost": lost})


def _beside(source: Path, suffix: str, to: str) -> Path:
    """Return the default target; called after the format too where the suffix alone won't do."""
    if source.is_dir() or not suffix or source.suffix.lower() == suffix:
        return source.with_name(f"{source.stem}-{to}{suffix}")
    return source.with_suffix(suffix)


COMMANDS = (convert,)
