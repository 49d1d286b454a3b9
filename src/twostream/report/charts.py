"""Charts as inline SVG and HTML: pure functions from numbers to markup, no script, no network.

Horizontal positions are percentages, so a chart fills a phone as well as a wide screen without
its letters being stretched.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twostream.report.measures import Accuracy

Points = Sequence[tuple[float, float]]
# Largest number of classes whose confusion matrix is a table with numbers in its cells.
TABLE_CLASSES = 24
_CELL_PX = 9
DASH = "\N{EN DASH}"
# Control characters, and the lone surrogates that file names come with where they are not UTF-8:
# no HTML file can hold them.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def escape(text: object) -> str:
    """Return text that is safe inside HTML and attributes, whatever a class or file is called."""
    return html.escape(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(text)))


def name(text: object) -> str:
    """Return a user's name for something, kept apart from our text's direction (Arabic names)."""
    return f"<bdi>{escape(text)}</bdi>"


def percent(share: float, digits: int = 1) -> str:
    """Return a share of 0..1 in per cent; a dash for NaN.

    >>> percent(0.93023), percent(1.0), percent(1.0, 0)
    ('93.0%', '100.0%', '100%')
    """
    return DASH if math.isnan(share) else f"{100 * share:.{digits}f}%"


def clips(count: int) -> str:
    """Return "1 clip", "2 clips"."""
    return f"{count:,} clip{'' if count == 1 else 's'}"


def key(kind: str, meaning: str) -> str:
    """Return one entry of a legend: a mark and what it means (HTML), kept on one line."""
    return f'<span class="entry"><span class="key {kind}"></span>{meaning}</span>'


@dataclass(frozen=True, slots=True)
class Row:
    """One model's line in ``accuracy_chart``: test accuracy, and that on training clips."""

    model: str
    label: str
    test: Accuracy
    train: Accuracy | None


def accuracy_chart(rows: Sequence[Row], chance: float) -> str:
    """Return test accuracies with their intervals, training accuracies and the chance line."""
    parts = [_axis()]
    for row in rows:
        test, train = row.test, row.train
        told = f"{row.label}: {percent(test.share)} of {clips(test.n)}, 95% interval "
        told += f"{percent(test.low)} to {percent(test.high)}"
        marks = [f'<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="36"/>' for x in _TICKS]
        marks.append(f'<line class="chance" x1="{_at(chance)}" x2="{_at(chance)}" y1="0" y2="36"/>')
        if train:
            told += f"; {percent(train.share)} on training clips"
            marks.append(
                f'<line class="gap" x1="{_at(test.share)}" x2="{_at(train.share)}" y1="18" '
                'y2="18"/>'
            )
        marks.append(
            f'<rect class="interval" x="{_at(test.low)}" width="{_at(test.high - test.low)}" '
            'y="12" height="12" rx="6"/>'
        )
        if train:
            marks.append(f'<circle class="train" cx="{_at(train.share)}" cy="18" r="6"/>')
        marks.append(f'<circle class="test" cx="{_at(test.share)}" cy="18" r="6"/>')
        parts.append(
            f'<div class="track-row"><div class="track-label">{escape(row.label)}</div>'
            f'<svg class="track {row.model}" height="36" role="img" aria-label="{escape(told)}">'
            f"<title>{escape(told)}</title>{''.join(marks)}</svg>"
            f'<div class="track-value">{percent(test.share)}</div></div>'
        )
    return f'<div class="tracks">{"".join(parts)}</div>'


_TICKS = (0, 25, 50, 75, 100)


def _axis() -> str:
    ticks = "".join(f'<span style="left:{x}%">{x}%</span>' for x in _TICKS)
    return f'<div class="track-row"><div class="axis" aria-hidden="true">{ticks}</div></div>'


def _at(share: float) -> str:
    return f"{100 * share:.2f}%"


def class_bars(
    label: str, n: int, recalls: Mapping[str, float], gain: float | None, lead: float | None
) -> str:
    """Return one class's row: a bar a model, the numbers, who helps.

    Args:
        label: class name.
        n: test clips of the class.
        recalls: model -> share of them that is right, NaN without clips.
        gain: fused minus better stream, in 0..1; None where there is no fusion.
        lead: temporal minus spatial, in 0..1; None with one stream.
    """
    height = 9 * len(recalls)
    bars = "".join(
        f'<rect class="rail" width="100%" y="{9 * i + 1}" height="7" rx="2"/>'
        f'<rect class="bar {model}" width="{_at(0 if math.isnan(share) else share)}" '
        f'y="{9 * i + 1}" height="7" rx="2"/>'
        for i, (model, share) in enumerate(recalls.items())
    )
    told = ", ".join(f"{model} {percent(share, 0)}" for model, share in recalls.items())
    numbers = "".join(
        f'<span class="{model}" title="{model}">{percent(share, 0)}</span>'
        for model, share in recalls.items()
    )
    chips = []
    if gain is not None and not math.isnan(gain):
        chips.append(_points_chip("fusion", gain))
    if lead is not None and not math.isnan(lead):
        ahead = "temporal" if lead > 0 else "spatial"
        chips.append(_points_chip(ahead, abs(lead)))
    return (
        f'<div class="class-row"><div class="class-name" title="{escape(label)}">{name(label)}'
        f"<small>{clips(n) if n else 'no test clips'}</small></div>"
        f'<svg class="bars" height="{height}" role="img" aria-label="{escape(label)}: '
        f'{escape(told)}">{bars}</svg><div class="numbers">{numbers}</div>'
        f'<div class="chips">{"".join(chips)}</div></div>'
    )


def _points_chip(who: str, points: float) -> str:
    if not round(100 * points):
        return ""
    kind = "loss" if points < 0 else who
    sign = "&minus;" if points < 0 else "+"
    return f'<span class="chip {kind}">{who} {sign}{abs(100 * points):.0f}</span>'


def confusion_table(counts: NDArray[np.int64], classes: Sequence[str], caption: str) -> str:
    """Return a confusion matrix: a table for few classes, a map of small cells for many.

    Args:
        counts: (k, k + 1), row true class, last column clips that could not be read.
        classes: k names.
        caption: what this is, for screen readers.
    """
    if len(classes) > TABLE_CLASSES:
        return _confusion_map(counts, classes, caption)
    columns = list(classes) + (["not read"] if counts[:, -1].any() else [])
    head = "".join(f'<th scope="col"><span>{name(c)}</span></th>' for c in columns)
    body = []
    for i, label in enumerate(classes):
        n = int(counts[i].sum())
        cells = "".join(_cell(i, j, counts, classes) for j in range(len(columns)))
        note = "" if n else ' class="empty"'
        body.append(f'<tr{note}><th scope="row">{name(label)} <small>{n}</small></th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="confusion"><caption>{escape(caption)}</caption>'
        f"<thead><tr><td>true ↓ said →</td>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _told(i: int, j: int, counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    count, n = int(counts[i, j]), int(counts[i].sum())
    if j == len(classes):
        verdict = "could not be read"
    else:
        verdict = "recognised" if i == j else f"taken for {classes[j]}"
    return f"{classes[i]} {verdict}: {count} of {n} ({percent(count / n)})"


def _cell(i: int, j: int, counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    count, n = int(counts[i, j]), int(counts[i].sum())
    if not count:
        return '<td class="zero"></td>' if i != j else '<td class="zero diagonal"></td>'
    share = count / n
    kind = "hit" if i == j else "miss"
    # where letters must change colour to stay readable, on a dark and on a light page
    kind += " strong" if _strength(share) >= 0.66 else ""
    kind += " full" if _strength(share) >= 0.85 else ""
    return (
        f'<td class="{kind}" style="--v:{_strength(share):.2f}" '
        f'title="{escape(_told(i, j, counts, classes))}">{count}'
        f"<small>{percent(share, 0)}</small></td>"
    )


def _strength(share: float) -> float:
    """Return the opacity of a cell: even one clip of many must be visible."""
    return 0.14 + 0.86 * share


def _confusion_map(counts: NDArray[np.int64], classes: Sequence[str], caption: str) -> str:
    columns = len(classes) + int(counts[:, -1].any())
    longest = min(24, max(len(label) for label in classes))
    margin = round(longest * _CELL_PX * 0.56) + 10
    size = _CELL_PX * len(classes)
    width, height = margin + _CELL_PX * columns + 2, margin + size + 2
    parts = [
        f'<rect class="plate" x="{margin}" y="{margin}" width="{_CELL_PX * columns}" '
        f'height="{size}"/>'
    ]
    parts += [
        f'<line class="grid" x1="{margin}" x2="{margin + _CELL_PX * columns}" y1="{at}" y2="{at}"/>'
        f'<line class="grid" y1="{margin}" y2="{margin + size}" x1="{at}" x2="{at}"/>'
        for at in range(margin, margin + size + 1, 5 * _CELL_PX)
    ]
    for i, label in enumerate([*classes, "not read"][:columns]):
        short = label if len(label) <= longest else label[: longest - 1] + "…"
        at = margin + _CELL_PX * i + _CELL_PX * 0.8
        title = f"<title>{escape(label)}</title>"
        if i < len(classes):
            parts.append(f'<text x="{margin - 4}" y="{at}">{title}{escape(short)}</text>')
        parts.append(
            f'<text class="column" transform="translate({at} {margin - 4}) rotate(-90)">'
            f"{title}{escape(short)}</text>"
        )
    for i, j in np.argwhere(counts[:, :columns]).tolist():
        share = counts[i, j] / counts[i].sum()
        parts.append(
            f'<rect class="{"hit" if i == j else "miss"}" style="--v:{_strength(share):.2f}" '
            f'x="{margin + _CELL_PX * j}" y="{margin + _CELL_PX * i}" width="{_CELL_PX}" '
            f'height="{_CELL_PX}"><title>{escape(_told(i, j, counts, classes))}</title></rect>'
        )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<svg class="confusion-map" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(caption)}; the most frequent mistakes are listed below">'
        f"{''.join(parts)}</svg></div>"
    )


@dataclass(frozen=True, slots=True)
class Curve:
    """A line in ``curve_chart``.

    Attributes:
        model: decides its colour.
        points: (x, y) as measured, thinned out; drawn faintly.
        trend: smoothed, drawn boldly.
        reference: a level to compare with (the accuracy on test clips), or None.
    """

    model: str
    points: Points
    trend: Points
    reference: float | None = None


def curve_chart(title: str, curves: Sequence[Curve], *, shares: bool, note: str = "") -> str:
    """Return curves over training steps.

    Args:
        title: what is drawn.
        curves: at least one with points.
        shares: y runs over 0..100 %, else from 0 to a round number above all trends.
        note: shown below.
    """
    xs = [x for curve in curves for x, _ in curve.points]
    last = max([*xs, 1])
    highest = max([y for curve in curves for _, y in curve.trend] + [1e-9])
    step = 0.25 if shares else _nice_step(highest)
    top = 1.0 if shares else step * math.ceil(highest / step - 1e-9)
    ticks = [step * i for i in range(round(top / step) + 1)]
    parts = [
        f'<line class="grid" x1="0" x2="100" y1="{100 - 100 * y / top:.2f}" '
        f'y2="{100 - 100 * y / top:.2f}"/>'
        for y in ticks
    ]
    for curve in curves:
        for kind, points in (("raw", curve.points), ("trend", curve.trend)):
            path = " ".join(
                f"{100 * x / last:.2f},{100 - 100 * min(y, top) / top:.2f}" for x, y in points
            )
            parts.append(f'<polyline class="{kind} {curve.model}" points="{path}"/>')
        if curve.reference is not None:
            y = f"{100 - 100 * curve.reference / top:.2f}"
            parts.append(
                f'<line class="reference {curve.model}" x1="0" x2="100" y1="{y}" y2="{y}"/>'
            )
    labels = "".join(
        f'<span style="bottom:{100 * y / top:.1f}%">'
        f"{percent(y, 0) if shares else f'{y:.3g}'}</span>"
        for y in ticks
    )
    return (
        f'<figure class="curve"><h3>{escape(title)}</h3><div class="plot">'
        f'<div class="y-axis" aria-hidden="true">{labels}</div>'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)} over {last:,.0f} steps">{"".join(parts)}</svg>'
        f'<div class="x-axis" aria-hidden="true"><span>0</span><span>{last / 2:,.0f}</span>'
        f"<span>{last:,.0f} steps</span></div></div>"
        f"<figcaption>{note}</figcaption></figure>"
    )


def _nice_step(highest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that three to six steps reach ``highest``."""
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if rough <= power * factor * 1.0001)


def share_bar(parts: Sequence[tuple[str, float]], caption: str) -> str:
    """Return one bar whose parts (css class, amount) fill its width in proportion."""
    total = sum(amount for _, amount in parts) or 1.0
    start, rects = 0.0, []
    for kind, amount in parts:
        rects.append(
            f'<rect class="{kind}" x="{_at(start / total)}" width="{_at(amount / total)}" '
            'y="0" height="10"/>'
        )
        start += amount
    return (
        f'<svg class="share" height="10" role="img" aria-label="{escape(caption)}">'
        f'<rect class="rail" width="100%" height="10"/>{"".join(rects)}</svg>'
    )
