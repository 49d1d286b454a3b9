"""The command line: verbs named after the functions; everything heavy is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from twostream.cli import (
    agreement,
    convert,
    curve,
    data,
    export,
    flow,
    hub,
    predict,
    pretrain,
    reproduce,
    scores,
    serve,
    train,
    update,
)

app = typer.Typer(
    name="twostream",
    help="Recognise actions in videos by appearance (RGB) and motion (optical flow).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",  # for panels; brackets in help texts would be taken as markup
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"twostream {version('twostream')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


_MODULES = (
    *(train, update, pretrain, predict, serve, scores, curve, data, convert, agreement),
    *(export, hub, flow, reproduce),
)
for _module in _MODULES:
    for _command in _module.COMMANDS:
        app.command()(_command)
