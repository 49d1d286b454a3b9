"""The verbs that share a run: push, pull."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from twostream.cli import options
from twostream.cli.console import Shown
from twostream.cli.options import own


def push(
    run: options.TrainedRun,
    target: str = typer.Argument(
        ..., metavar="TARGET", help="user/name on the Hugging Face Hub, or a folder (file:FOLDER)."
    ),
    force: bool = own(False, "Replace a run that is there.", None, "--force"),
    private: bool = own(False, "Make a private repository.", None, "--private"),
    license_id: str = own(
        None, "For the card, as the Hub names it: mit, cc-by-4.0.", None, "--license", metavar="ID"
    ),
    as_json: options.AsJson = False,
) -> None:
    """Share a run: model files, card, results and settings; no clips, no flow.

    Of paths the last part stays; names of recordings travel.
    """
    from twostream.hub import push as push_run

    shown = Shown(as_json=as_json)
    told = push_run(run, target, force=force, private=private, license_id=license_id)
    _show(shown, f"pushed to {told['target']}", told)


def pull(
    source: str = typer.Argument(
        ..., metavar="SOURCE", help="user/name on the Hugging Face Hub, or a pushed folder."
    ),
    out: Path = own(..., "The folder to make.", None, "--out", metavar="RUN"),
    revision: str = own(None, "Branch, tag or commit on the Hub."),
    force: bool = own(False, "Replace a pulled run that is there.", None, "--force"),
    as_json: options.AsJson = False,
) -> None:
    """Fetch a shared run, ready for `twostream predict`."""
    from twostream.hub import pull as pull_run

    shown = Shown(as_json=as_json)
    told = pull_run(source, out, revision=revision, force=force)
    _show(shown, f"{told['source']} is in {out}", told)


def _show(shown: Shown, title: str, told: dict[str, Any]) -> None:
    rows = [(name, f"{size / 1e6:.2f}") for name, size in told["files"].items()]
    shown.table(title, ("file", "MB"), rows)
    shown.result(told)


COMMANDS = (push, pull)
