"""The same results as one HTML page that needs no network."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twostream.experiments.markdown_document import (
    about,
    figure4_sentence,
    how_to_read,
    overfitting_sentence,
    percent,
    points,
    sentence,
)
from twostream.experiments.paper_tables import TITLES
from twostream.report.charts import escape
from twostream.report.style import STYLE

_STYLE = """
table.results{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
.results th,.results td{padding:7px 10px;border-top:1px solid var(--line);text-align:left;
vertical-align:top}
.results thead th{color:var(--muted);font-weight:600;border-top:0}
.results td.lacking{color:var(--muted)}
.chip{display:inline-block;padding:2px 12px;border-radius:99px;font-size:.85rem;font-weight:700;
color:var(--surface);background:var(--muted)}
.chip.confirmed{background:var(--average)}.chip.refuted{background:var(--loss)}
.claim{padding:clamp(14px,2.5vw,24px)}
.claim h3{display:flex;gap:12px;align-items:center;font-size:1.1rem}
.claim svg{width:100%;height:40px;margin:.4em 0;overflow:visible}
.claim .now{stroke:var(--temporal);stroke-width:7;stroke-linecap:round;opacity:.35}
.claim circle{fill:var(--temporal)}
.claim .zero{stroke:var(--ink);stroke-width:1.5}
.claim .within{fill:var(--rail)}
.claim text{fill:var(--muted);font-size:11px}
.scroll{overflow-x:auto}
img.filters{max-width:100%;image-rendering:pixelated;border-radius:8px}
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_LEAST_REACH_POINTS = 10.0


def html(results: Mapping[str, Any], notes: Mapping[int, str], folder: Path) -> str:
    """Return the page.

    Args:
        results: what ``reproduce`` wrote to results.json.
        notes: number of a claim -> what explains its result.
        folder: where the picture of figure 4 lies.
    """
    sections = []
    if results["claims"]:
        cards = "".join(_claim(claim, notes.get(claim["number"])) for claim in results["claims"])
        after = f"<p>{escape(overfitting_sentence(results))}</p>" if results["overfitting"] else ""
        sections.append(
            f"<section id=claims><h2>The claims</h2><p>{_text(how_to_read())}</p>{cards}{after}"
            "</section>"
        )
    for table, title in TITLES.items():
        cells = [cell for cell in results["cells"] if cell["table"] == table]
        if cells:
            sections.append(
                f"<section id={table}><h2>{escape(title)}</h2>"
                f'<div class="panel scroll">{_table(cells)}</div></section>'
            )
    figure = results["figure4"]
    if figure and figure["state"] == "done":
        picture = base64.b64encode((folder / figure["picture"]).read_bytes()).decode()
        sections.append(
            "<section id=figure4><h2>Figure 4: the first layer of the temporal net</h2>"
            f'<div class="panel scroll"><img class="filters" src="data:image/png;base64,{picture}" '
            'alt="One column a filter, one row a channel: x and y of each field in turn">'
            f"</div><p>{_text(figure4_sentence(figure))}</p></section>"
        )
    title = " and ".join(each["name"] for each in results["data"])
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} &ndash; twostream reproduce</title>"
        f"<style>{STYLE}{_STYLE}</style></head>"
        '<body><header><p class="eyebrow">twostream reproduce</p>'
        f"<h1>{escape(title)}</h1><p class='second'>{_text(about(results))}</p></header>"
        f"<main>{''.join(sections)}</main><footer>Experiments of Simonyan and Zisserman (2014). "
        "All figures are from results.json.</footer></body></html>\n"
    )


def _claim(claim: Mapping[str, Any], note: str | None) -> str:
    charts = "".join(
        f"{_difference(each)}<p class=small>{_text(sentence(each))}</p>"
        for each in claim["comparisons"]
    )
    explained = f"<p>{_text(note)}</p>" if note else ""
    return (
        f'<div class="panel claim"><h3>{claim["number"]}. {escape(claim["text"])} '
        f'<span class="chip {claim["verdict"].split()[0]}">{escape(claim["verdict"])}</span></h3>'
        f"<p class=small>The paper: {escape(claim['paper'])}</p>{charts}{explained}</div>"
    )


def _difference(comparison: Mapping[str, Any]) -> str:
    """Draw the interval of a difference on a line around zero."""
    value = comparison.get("difference")
    if not value or value["low"] is None or value["high"] is None:
        return ""
    reach = max(_LEAST_REACH_POINTS, abs(value["low"]), abs(value["high"])) * 1.1

    def at(x: float) -> str:
        return f"{50 + 50 * x / reach:.2f}%"

    margin = comparison["margin_points"]
    within = (
        f'<rect class="within" x="{at(-margin)}" y="2" width="{100 * margin / reach:.2f}%" '
        'height="22"/>'
        if margin
        else ""
    )
    told = escape(f"difference {points(value)} points")
    return (
        f'<svg role="img" aria-label="{told}"><title>{told}</title>{within}'
        f'<line class="grid" x1="0" x2="100%" y1="13" y2="13"/>'
        f'<line class="zero" x1="50%" x2="50%" y1="2" y2="24"/>'
        f'<line class="now" x1="{at(value["low"])}" x2="{at(value["high"])}" y1="13" y2="13"/>'
        f'<circle cx="{at(value["mean"])}" cy="13" r="5"/>'
        f'<text x="0" y="38">{escape(comparison["second"])} is ahead</text>'
        f'<text x="100%" y="38" text-anchor="end">{escape(comparison["first"])} is ahead</text>'
        "</svg>"
    )


def _table(cells: list[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(cell["column"] for cell in cells))
    at = {(cell["row"], cell["column"]): cell for cell in cells}
    heads = "".join(f"<th>{escape(column)}: paper</th><th>ours</th>" for column in columns)
    body = []
    for row in dict.fromkeys(cell["row"] for cell in cells):
        shown = []
        for column in columns:
            cell = at.get((row, column))
            paper = cell["paper"] if cell else None
            shown.append(f"<td>{'-' if paper is None else f'{paper:.1f}'}</td>")
            if cell is None:
                shown.append("<td>-</td>")
            elif cell["accuracy"]:
                shown.append(f"<td><b>{escape(percent(cell['accuracy']))}</b></td>")
            else:
                shown.append(f'<td class="lacking">{escape(cell["state"])}</td>')
        body.append(f"<tr><th>{escape(row)}</th>{''.join(shown)}</tr>")
    return (
        f'<table class="results"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _text(markdown: str) -> str:
    """Turn the few marks that our sentences use into HTML."""
    text = "</p><p>".join(escape(" ".join(part.split())) for part in markdown.split("\n\n"))
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"\*(.+?)\*", r"<i>\1</i>", text)
    text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
    return re.sub(r"\[(.+?)\]\([^)]*\.md\)", r"\1", text)
