"""Options that several verbs have, each written once."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
LoaderWorkers = Annotated[
    int | None, typer.Option("--loader-workers", min=0, help="Processes that make batches.")
]
Accelerator = Annotated[
    str, typer.Option("--accelerator", help="cpu, gpu or auto (the Trainer's option).")
]
Devices = Annotated[int, typer.Option("--devices", min=1, help="Number of devices.")]
Precision = Annotated[str, typer.Option("--precision", help="32-true, 16-mixed or bf16-mixed.")]


def groups_of(names: str | None) -> tuple[str, ...] | None:
    """Return the groups of --test-groups a,b,c."""
    return tuple(names.split(",")) if names else None
