"""The verbs that share a run: push, pull."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from twostream.cli.console import Shown
from twostream.cli.options import AsJson


def push(
    run: Path = typer.Argument(..., metavar="RUN", help="A finished RUN folder."),
    target: str = typer.Argument(
        ..., metavar="TARGET", help="user/name on the Hugging Face Hub, or a folder (file:FOLDER)."
    ),
    force: bool = typer.Option(False, "--force", help="Replace a run that is there."),
    private: bool = typer.Option(False, "--private", help="Make a private repository."),
    license_id: str = typer.Option(
        None, "--license", metavar="ID", help="For the card, as the Hub names it: mit, cc-by-4.0."
    ),
    as_json: AsJson = False,
) -> int:
    """Share a run: model files, card, results and settings; no clips, no flow, no paths."""
    from twostream.hub import push as push_run

    shown = Shown(as_json=as_json)
    told = push_run(run, target, force=force, private=private, license_id=license_id)
    _show(shown, f"pushed to {told['target']}", told)
    return 0


def pull(
    source: str = typer.Argument(
        ..., metavar="SOURCE", help="user/name on the Hugging Face Hub, or a pushed folder."
    ),
    out: Path = typer.Option(..., "--out", metavar="RUN", help="The folder to make."),
    revision: str = typer.Option(None, help="Branch, tag or commit on the Hub."),
    force: bool = typer.Option(False, "--force", help="Replace a pulled run that is there."),
    as_json: AsJson = False,
) -> int:
    """Fetch a shared run, ready for `twostream predict`."""
    from twostream.hub import pull as pull_run

    shown = Shown(as_json=as_json)
    told = pull_run(source, out, revision=revision, force=force)
    _show(shown, f"{told['source']} is in {out}", told)
    return 0


def _show(shown: Shown, title: str, told: dict[str, Any]) -> None:
    rows = [(name, f"{size / 1e6:.2f}") for name, size in told["files"].items()]
    shown.table(title, ("file", "MB"), rows)
    shown.result(told)


COMMANDS = (push, pull)
