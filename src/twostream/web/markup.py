"""The HTML of a result: label, why, time line, pictures and score bars. Every name is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from twostream.prediction import Prediction, Timeline
from twostream.prediction.timeline import SMOOTH_SECONDS
from twostream.types import Stream
from twostream.web.explain import SEES, which_decided

BARS = 6
_LEGEND = {"together": f"together, over {SMOOTH_SECONDS:g} s"}
_GOLDEN_ANGLE = 137.508  # hues of neighbouring classes lie far apart


def headline(prediction: Prediction, name: str, warning: str | None) -> str:
    """Return the label of a whole video, how sure it is, and why."""
    (label, score), *_ = prediction.top(1)
    why = which_decided(prediction.classes, prediction.scores, prediction.streams)
    note = f'<p class="ts-note">{escape(warning)}</p>' if warning else ""
    return (
        f'<section class="ts-card ts-head"><p class="ts-small">{escape(name)}, '
        f"{clock(prediction.end_seconds)}</p>"
        f'<h2 id="ts-label">{escape(label)} <b>{score:.0%}</b></h2>'
        f'<p id="ts-why">{escape(why)}</p>{note}</section>'
    )


def track(timeline: Timeline, at_seconds: float) -> str:
    """Return the time line: a row of segments, a row a stream, and a handle at a moment."""
    seconds = timeline.seconds
    rows = [
        "".join(
            _block(
                s.start_seconds / seconds,
                s.end_seconds / seconds,
                None if s.label is None else timeline.classes.index(s.label),
                s.title,
                f"{s.title}, {s.score:.0%}, {clock(s.start_seconds)} to {clock(s.end_seconds)}",
            )
            for s in timeline.segments
        )
    ]
    names = ["together"]
    edges = [0.0, *((timeline.times[:-1] + timeline.times[1:]) / 2).tolist(), seconds]
    for stream, scores in timeline.streams.items():
        names.append(SEES[stream])
        rows.append(
            "".join(
                _block(
                    edges[i] / seconds,
                    edges[i + 1] / seconds,
                    int(row.argmax()),
                    "",
                    f"{SEES[stream]}: {timeline.classes[int(row.argmax())]}, {row.max():.0%}",
                )
                for i, row in enumerate(scores)
            )
        )
    lines = "".join(
        f'<div class="ts-row{" ts-thin" if i else ""}"><span>{name}</span><div>{blocks}</div></div>'
        for i, (name, blocks) in enumerate(zip(names, rows, strict=True))
    )
    return (
        '<section class="ts-card"><h3>When</h3>'
        f'<div class="ts-track" role="slider" tabindex="0" aria-label="moment" aria-valuemin="0" '
        f'aria-valuemax="{seconds:.2f}" aria-valuenow="{at_seconds:.2f}" '
        f'style="--at:{at_seconds / seconds:.4f}" data-seconds="{seconds:.4f}">'
        f'{lines}<i class="ts-hand"></i></div>'
        '<p class="ts-ends"><span>0 s</span><span>click, or use the arrow keys</span>'
        f"<span>{seconds:.1f} s</span></p></section>"
    )


def moment(
    seconds: float,
    pictures: Mapping[str, str],
    notes: list[str],
    classes: tuple[str, ...],
    fused: NDArray[np.float32],
    streams: Mapping[Stream, NDArray[np.float32]],
) -> str:
    """Return what is seen at a moment and what the streams say of it.

    Args:
        seconds: the moment.
        pictures: caption -> data URI.
        notes: sentences below the pictures.
        classes: k names.
        fused: (k,) probabilities, smoothed over time.
        streams: stream -> (k,) probabilities of the window around the moment.
    """
    figures = "".join(
        f'<figure><img src="{uri}" alt="{escape(text)}"><figcaption>{escape(text)}</figcaption>'
        "</figure>"
        for text, uri in pictures.items()
    )
    said = "".join(f'<p class="ts-note">{escape(note)}</p>' for note in notes)
    why = which_decided(classes, fused, streams)
    return (
        f'<section class="ts-card" id="ts-moment" data-seconds="{seconds:.3f}">'
        f"<h3>At {seconds:.2f} s: {escape(classes[int(fused.argmax())])}</h3>"
        f'<div class="ts-pictures">{figures}</div><p>{escape(why)}</p>{said}'
        f"{bars(classes, fused, streams)}</section>"
    )


def bars(
    classes: tuple[str, ...],
    fused: NDArray[np.float32],
    streams: Mapping[Stream, NDArray[np.float32]],
) -> str:
    """Return score bars of the best classes: each stream's and fused."""
    parts = {"together": fused, **{SEES[name]: scores for name, scores in streams.items()}}
    legend = "".join(f'<span class="ts-{name}">{_LEGEND.get(name, name)}</span>' for name in parts)
    best = np.argsort(-fused, kind="stable")[:BARS]
    rows = "".join(
        f'<div class="ts-class"><span style="--hue:{hue(int(k))}">{escape(classes[k])}</span><div>'
        + "".join(
            f'<div class="ts-bar ts-{name}" title="{name}: {scores[k]:.1%}">'
            f'<i style="width:{100 * float(scores[k]):.1f}%"></i><b>{scores[k]:.0%}</b></div>'
            for name, scores in parts.items()
        )
        + "</div></div>"
        for k in best
    )
    more = len(classes) - len(best)
    words = f"{more} more {'class scores' if more == 1 else 'classes score'} less."
    rest = f'<p class="ts-small">{words}</p>' if more > 0 else ""
    return f'<div class="ts-bars"><p class="ts-legend">{legend}</p>{rows}{rest}</div>'


def problem(sentence: str) -> str:
    """Return what went wrong."""
    return (
        f'<section class="ts-card ts-problem" role="alert"><h3>No result</h3>'
        f'<p id="ts-problem">{escape(sentence)}</p></section>'
    )


def hue(index: int) -> int:
    """Return a class's hue in degrees."""
    return round(210 + index * _GOLDEN_ANGLE) % 360


def clock(seconds: float) -> str:
    """Return a time for people.

    >>> clock(3.25), clock(75)
    ('3.2 s', '1:15')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{math.floor(seconds / 60)}:{math.floor(seconds % 60):02d}"


def _block(start: float, end: float, label: int | None, text: str, tip: str) -> str:
    colour = "ts-none" if label is None else "ts-some"
    return (
        f'<b class="{colour}" style="left:{100 * start:.3f}%;width:{100 * (end - start):.3f}%;'
        f'--hue:{hue(label or 0)}" title="{escape(tip)}">{escape(text)}</b>'
    )
