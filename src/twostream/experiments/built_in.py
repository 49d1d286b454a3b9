"""The built-in data set as material for experiments."""

from __future__ import annotations

from pathlib import Path

from twostream.synthetic import render_dataset
from twostream.types import Progress

GROUPS = 24
NAME = "built-in"


def built_in_data(out: Path, progress: Progress) -> str:
    """Render the built-in data set beside OUT, once; return its folder."""
    folder = out.with_name(f"{out.name}-clips") / NAME
    if not (folder.parent / "complete").is_file():
        render_dataset(folder, groups=GROUPS, progress=progress)
        (folder.parent / "complete").touch()
    return str(folder)
