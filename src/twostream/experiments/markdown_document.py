"""The tables and claims as Markdown, from results.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twostream.experiments.paper_tables import TITLES
from twostream.report.templating import render


def markdown(results: Mapping[str, Any], notes: Mapping[int, str]) -> str:
    """Return what ``reproduce`` wrote as a document; notes on a claim go by its number."""
    tables = [_table(title, results["cells"], name) for name, title in TITLES.items()]
    return render(
        "experiments/templates/reproduction.md.j2",
        **results,
        notes=notes,
        tables=[table for table in tables if table["rows"]],
        lost=[
            f"{video_id} ({why})"
            for problems in results["unreadable"].values()
            for video_id, why in problems.items()
        ],
        percent=percent,
        points=points,
    )


def _table(title: str, cells: list[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return a table's columns and rows: label -> the paper's and our figure of each column."""
    cells = [cell for cell in cells if cell["table"] == name]
    columns = list(dict.fromkeys(cell["column"] for cell in cells))
    rows = {cell["row"]: ["-", "-"] * len(columns) for cell in cells}
    for cell in cells:
        at = 2 * columns.index(cell["column"])
        paper = "-" if cell["paper"] is None else f"{cell['paper']:.1f}"
        ours = percent(cell["accuracy"]) if cell["accuracy"] else cell["state"]
        rows[cell["row"]][at : at + 2] = paper, ours
    return {"title": title, "columns": columns, "rows": rows}


def percent(value: Mapping[str, Any]) -> str:
    """Return "92.8 [86.1, 98.0]"."""
    low, high = ("?" if value[key] is None else f"{value[key]:.1f}" for key in ("low", "high"))
    return f"{value['mean']:.1f} [{low}, {high}]"


def points(value: Mapping[str, Any]) -> str:
    """Return "+4.8 [+1.2, +8.9]"."""
    low = "-∞" if value["low"] is None else f"{value['low']:+.1f}"
    high = "+∞" if value["high"] is None else f"{value['high']:+.1f}"
    return f"{value['mean']:+.1f} [{low}, {high}]"
