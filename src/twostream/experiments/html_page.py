"""The Markdown document as one HTML page that needs no network, with drawings of its intervals."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from twostream.experiments.markdown_document import points
from twostream.experiments.paper_tables import TITLES
from twostream.report.templating import render

_IDS = {"The claims": "claims"} | {title: table for table, title in TITLES.items()}
_LEAST_REACH_POINTS = 10.0


def html(document: str, results: Mapping[str, Any], folder: Path) -> str:
    """Return the document as a page, with drawings of the results; figure 4 lies in ``folder``."""
    # what is linked does not travel with the page
    intro, *parts = re.sub(r"\[([^]]+)\]\([^)]*\.md\)", r"\1", document).split("\n## ")
    sections = []
    for part in parts:
        title, text = part.split("\n\n", 1)
        text, *claims = text.split("\n### ")
        after = ""  # the document's last paragraph on claims is of the first one
        if claims and results["overfitting"]:
            claims[-1], _, after = claims[-1].rstrip().rpartition("\n\n")
        sections.append(
            {
                "id": _IDS.get(title, "figure4"),
                "title": title,
                "text": _blocks(text),
                "claims": [_claim(*each) for each in zip(claims, results["claims"], strict=False)],
                "after": _blocks(after),
            }
        )
    figure, picture = results["figure4"], None
    if figure and figure["state"] == "done":
        picture = base64.b64encode((folder / figure["picture"]).read_bytes()).decode()
    return render(
        "experiments/templates/reproduction.html.j2",
        title=" and ".join(each["name"] for each in results["data"]),
        about=_blocks(intro.split("\n\n", 2)[2]),
        sections=sections,
        figure4=picture,
    )


def _claim(text: str, claim: Mapping[str, Any]) -> dict[str, Any]:
    """Return a claim's words out of the document, each comparison beside its interval."""
    _, said, compared, *note = text.split("\n\n", 3)
    words = re.split(r"^- ", compared, flags=re.MULTILINE)[1:]
    return {
        "number": claim["number"],
        "text": claim["text"],
        "verdict": claim["verdict"],
        "paper": _inline(said.removeprefix(claim["text"])),
        "comparisons": [
            (interval(comparison), _inline(sentence))
            for comparison, sentence in zip(claim["comparisons"], words, strict=False)
        ],
        "note": _blocks("".join(note)),
    }


def interval(comparison: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how a difference's interval is drawn on a line around zero; None: it has no bounds.

    Positions and lengths are shares of the line, whose middle is 0 and which reaches as far as the
    interval does, 10 points at least.
    """
    value = comparison.get("difference")
    if not value or value["low"] is None or value["high"] is None:
        return None
    reach = max(_LEAST_REACH_POINTS, abs(value["low"]), abs(value["high"])) * 1.1
    margin = comparison["margin_points"] or 0
    return {
        **{key: 0.5 + value[key] / reach / 2 for key in ("low", "mean", "high")},
        "margin": (0.5 - margin / reach / 2, margin / reach),
        "told": f"difference {points(value)} points",
        "sides": (comparison["second"], comparison["first"]),
    }


def _inline(text: str) -> Markup:
    return Markup(_renderer().renderInline(text.strip()))


def _blocks(text: str) -> Markup:
    return Markup(_renderer().render(text))


@cache
def _renderer() -> MarkdownIt:
    """Return what renders our sentences, names and notes: no HTML, links or pictures of theirs."""
    found = MarkdownIt("commonmark", {"html": False}).enable("table")
    found.disable(["link", "image", "autolink", "reference"])
    found.add_render_rule("softbreak", lambda *_: " ")
    found.add_render_rule("table_open", lambda *_: '<div class="panel scroll"><table>')
    found.add_render_rule("table_close", lambda *_: "</table></div>")
    found.add_render_rule("td_open", _cell)
    return found


def _cell(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    """Open a cell of a table: our figures stand out, and what is lacking stands back."""
    text = tokens[at + 1].content
    if re.search("[a-z]", text) and "**" not in text:
        return '<td class="lacking">'
    return '<td class="ours">' if "[" in text else "<td>"
