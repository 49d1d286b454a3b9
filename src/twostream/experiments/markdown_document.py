"""The tables and claims as Markdown, from results.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twostream.experiments.paper_tables import TITLES

MOST_NAMED = 20


def markdown(results: Mapping[str, Any], notes: Mapping[int, str]) -> str:
    """Return the document.

    Args:
        results: what ``reproduce`` wrote.
        notes: number of a claim -> what explains its result.
    """
    data = " and ".join(each["name"] for each in results["data"])
    parts = ["<!-- written by twostream reproduce -->", f"# Reproduction on {data}", about(results)]
    if results["claims"]:
        parts += ["## The claims", how_to_read(), _verdicts(results)]
        parts += [_claim(claim, notes.get(claim["number"])) for claim in results["claims"]]
        if results["overfitting"]:
            parts.append(overfitting_sentence(results))
    for table, title in TITLES.items():
        cells = [cell for cell in results["cells"] if cell["table"] == table]
        if cells:
            parts += [f"## {title}", _table(cells)]
    if results["figure4"] and results["figure4"]["state"] == "done":
        parts += ["## Figure 4: what the first layer of the temporal net learnt"]
        parts.append(figure4_sentence(results["figure4"]))
    return "\n\n".join(parts) + "\n"


def about(results: Mapping[str, Any]) -> str:
    """Say on what data, how and where."""
    data = " and ".join(
        f"{each['name']} ({each['videos']} videos, {each['classes']} classes, "
        f"{each['groups']} groups)"
        for each in results["data"]
    )
    machine, seconds = results["machine"], results["seconds"]
    folds = f"{results['folds']} folds by group" if results["folds"] else _splits(results)
    weights = results["weights"] or "none: two-stream rows use a spatial net from scratch"
    place = machine["gpu"] or f"{machine['cores']} cores of {machine['processor']}"
    return (
        f"Data: {data}. Recipe `{results['recipe']}` ({results['steps']} steps), flow "
        f"`{results['flow']}`, {folds}, {results['seeds']} seed(s), pre-trained weights: "
        f"{weights}. The runs took {seconds['all_runs'] / 60:.0f} process minutes, without what "
        f"was lost where one was stopped, on {place}, torch {machine['torch']}, twostream "
        f"{machine['twostream']}.{_unreadable(results)}\n\n"
        "Accuracies are in per cent of the test clips, with 95% intervals in brackets (bootstrap "
        "over groups, widened where they are few; see [method.md](method.md)). The paper's "
        "figures are of UCF-101 and HMDB-51 and stand beside ours for orientation: on other data "
        "only the differences can be compared."
    )


def _splits(results: Mapping[str, Any]) -> str:
    """Name the official splits that are there: lists may be missing."""
    each = (f"{data['name']} {', '.join(map(str, data['splits']))}" for data in results["data"])
    return f"official splits ({'; '.join(each)})"


def _unreadable(results: Mapping[str, Any]) -> str:
    """Name the videos that no run could use."""
    named = [
        f"{video_id} ({why})"
        for problems in results["unreadable"].values()
        for video_id, why in problems.items()
    ]
    if not named:
        return ""
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return (
        f" {len(named)} videos cannot be read; those among the test clips count as wrong: "
        f"{', '.join(named[:MOST_NAMED])}{more}."
    )


def how_to_read() -> str:
    """Say what a verdict means."""
    return (
        "Each comparison is paired: the same test clips, the same folds and seeds. *Better* is "
        "confirmed if the interval of the difference lies above 0 and refuted if below; *similar* "
        "is confirmed if it lies inside ±5 points and refuted if wholly outside; anything else is "
        "undecided at this sample size. The first comparison of a claim decides; it and the "
        "margins were fixed in the code before anything was run."
    )


def _verdicts(results: Mapping[str, Any]) -> str:
    lines = ["| claim | verdict | difference, points | clips / groups |", "|---|---|---|---|"]
    for claim in results["claims"]:
        main = claim["comparisons"][0]
        difference = main.get("difference")
        size = f"{difference['clips']} / {difference['groups']}" if difference else "-"
        shown = points(difference) if difference else main["state"]
        lines.append(
            f"| {claim['number']}. {claim['text']} | **{claim['verdict']}** | {shown} | {size} |"
        )
    return "\n".join(lines)


def _claim(claim: Mapping[str, Any], note: str | None) -> str:
    lines = [f"### Claim {claim['number']}: {claim['verdict']}", "", claim["text"]]
    lines += [f"The paper: {claim['paper']}.", ""]
    lines += [f"- {sentence(comparison)}" for comparison in claim["comparisons"]]
    if note:
        lines += ["", note]
    return "\n".join(lines)


def sentence(comparison: Mapping[str, Any]) -> str:
    """Return one comparison in words."""
    names = f"{comparison['first']} against {comparison['second']}"
    if comparison["state"] != "done":
        return f"{names}: not run ({comparison['state']})."
    difference = comparison["difference"]
    text = (
        f"{names}, on {comparison['data']}: {percent(comparison['first_accuracy'])} and "
        f"{percent(comparison['second_accuracy'])}, difference {points(difference)} points "
        f"({difference['clips']} clips of {difference['groups']} groups). "
        f"*{comparison['kind'].capitalize()}*: **{comparison['verdict']}**."
    )
    if comparison["verdict"] == "undecided":
        needed = comparison["clips_to_decide"]
        text += (
            f" About {needed:,} clips would decide, were the difference to stay as it is."
            if needed
            else " A single group says nothing of others: it takes clips of more groups."
            if difference["low"] is None
            else " No number of clips would decide a difference on the line itself."
        )
    return text


def overfitting_sentence(results: Mapping[str, Any]) -> str:
    """Say how far training and test clips are apart from scratch."""
    values = results["overfitting"]
    return (
        f"Over-fitting from scratch (claim 1): the spatial net has {values['train']:.1f}% of its "
        f"training clips right and {values['test']:.1f}% of the test clips."
    )


def _table(cells: list[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(cell["column"] for cell in cells))
    rows = list(dict.fromkeys(cell["row"] for cell in cells))
    at = {(cell["row"], cell["column"]): cell for cell in cells}
    heads = [head for column in columns for head in (f"paper, {column}", f"ours, {column}")]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for row in rows:
        shown = []
        for column in columns:
            cell = at.get((row, column))
            if cell is None:
                shown += ["-", "-"]
                continue
            shown.append("-" if cell["paper"] is None else f"{cell['paper']:.1f}")
            shown.append(percent(cell["accuracy"]) if cell["accuracy"] else cell["state"])
        lines.append(f"| {row} | {' | '.join(shown)} |")
    return "\n".join(lines)


def figure4_sentence(figure: Mapping[str, Any]) -> str:
    """Say how the filters of the first layer read."""
    counts = ", ".join(f"{count} {kind}" for kind, count in figure["filters"].items())
    energy = ", ".join(
        f"{part} {100 * share:.1f}% (noise {100 * figure['energy_of_noise'][part]:.1f}%)"
        for part, share in figure["energy"].items()
    )
    return (
        f"Of the first-layer filters of {figure['nets']} nets: {counts}. Mean energy by part: "
        f"{energy}. How filters are read is in [method.md](method.md)."
    )


def percent(value: Mapping[str, Any]) -> str:
    """Return "92.8 [86.1, 98.0]"."""
    return f"{value['mean']:.1f} [{_bound(value['low'])}, {_bound(value['high'])}]"


def points(value: Mapping[str, Any]) -> str:
    """Return "+4.8 [+1.2, +8.9]"."""
    low, high = (
        ("-∞", "+∞")[i] if b is None else f"{b:+.1f}"
        for i, b in enumerate((value["low"], value["high"]))
    )
    return f"{value['mean']:+.1f} [{low}, {high}]"


def _bound(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"
