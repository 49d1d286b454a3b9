"""What lies behind the scores: hard clips, training, filters, settings; each section is pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from twostream.report.charts import (
    DASH,
    Curve,
    clips,
    curve_chart,
    escape,
    key,
    name,
    percent,
    share_bar,
)
from twostream.report.clip_pictures import ClipPicture, FilterPicture
from twostream.report.contents import NAMES, RunContents
from twostream.report.filters import DerivativeReading
from twostream.report.measures import accuracy, smooth, thin_out
from twostream.report.sections import left_out
from twostream.types import VideoScores


def clips_section(
    contents: RunContents, rows: list[int], pictures: Mapping[str, ClipPicture], wheel: str
) -> str:
    """Return a card for each hard clip: pictures, the verdicts, the best three classes."""
    scores = contents.test[contents.reference]
    if not rows:
        return left_out("there are no test clips with scores")
    shown = {row: pictures[scores.video_ids[row]] for row in rows}
    reasons = {picture.missing for picture in shown.values()}
    without = ""
    if len(reasons) == 1 and not any(p.frame or p.flow for p in shown.values()):
        # one reason for all is said once
        without = left_out(f"pictures of the clips; {reasons.pop()}")
        shown = dict.fromkeys(rows, ClipPicture())
    cards = "".join(_clip_card(contents, scores, row, shown[row]) for row in rows)
    told = {"average": "the average of both streams", "svm": "the SVM"}.get(
        contents.reference, f"the {contents.reference} stream"
    )
    legend = (
        f'<p class="small wheel"><img src="{wheel}" width="48" height="48" alt="">Colours of the '
        "flow pictures: the hue is the direction of motion, as on the wheel; white does not move, "
        "full colour is the longest motion of that picture (at least 1 px).</p>"
    )
    listed = int((~scores.correct()[rows]).sum())
    what = [f"the {clips(listed)} it got wrong with most confidence"] if listed else []
    if listed < len(rows):
        what.append("those it got right by the narrowest margin")
    return (
        f"<p>By {told}: {', then '.join(what)}.</p>{without}"
        f'<div class="clips">{cards}</div>{"" if without else legend}'
    )


def _clip_card(contents: RunContents, scores: VideoScores, row: int, picture: ClipPicture) -> str:
    video_id, label = scores.video_ids[row], int(scores.labels[row])
    values = scores.scores[row]
    ranked = np.argsort(-values, kind="stable")
    predicted = int(ranked[0])
    best, least = float(values.max()), float(min(values.min(), 0))
    right = predicted == label

    def line(k: int, rank: int | None = None) -> str:
        value = float(values[k])
        shown = percent(value) if scores.kind == "probabilities" else f"{value:.2f}"
        width = (value - least) / (best - least) if best > least else 0.0
        bar = share_bar([("hit" if k == label else "miss", width), ("none", 1 - width)], shown)
        place = f" <small>(place {rank})</small>" if rank else ""
        return f"<li><span>{name(scores.classes[k])}{place}</span>{bar}<b>{shown}</b></li>"

    top = "".join(line(int(k)) for k in ranked[:3])
    if label not in ranked[:3]:
        top += line(label, int(np.flatnonzero(ranked == label)[0]) + 1)
    figures = []
    of = f" of {picture.count}" if picture.count else ""
    if picture.frame:
        figures.append(
            f'<figure><img src="{picture.frame}" alt="frame of {escape(video_id)}">'
            f"<figcaption>frame {picture.index + 1}{of}</figcaption></figure>"
        )
    if picture.flow:
        figures.append(
            f'<figure><img src="{picture.flow}" alt="optical flow of {escape(video_id)}">'
            f"<figcaption>flow, up to {picture.longest_px:.1f} px</figcaption></figure>"
        )
    missing = (
        f"<p class=small>No picture: {escape(picture.missing)}.</p>" if picture.missing else ""
    )
    truth = f"<b>{name(scores.classes[label])}</b>"
    sentence = (
        f"{truth}, right by a narrow margin"
        if right
        else f"{truth}, taken for <b class=wrong>{name(scores.classes[predicted])}</b>"
    )
    pair = f'<div class="pair">{"".join(figures)}</div>' if figures else ""
    return (
        f'<article class="clip">{pair}{missing}'
        f"<h3>{sentence}</h3><p class='file'>{name(video_id)}</p>"
        f'<ol class="top">{top}</ol>{_other_opinions(contents, row, label)}</article>'
    )


def _other_opinions(contents: RunContents, row: int, label: int) -> str:
    if not contents.paired or len(contents.test) < 2:
        return ""
    said = []
    for model, scores in contents.test.items():
        guess = int(scores.predictions()[row])
        mark = "✓" if guess == label else "✗"
        text = name(scores.classes[guess]) if guess >= 0 else "not read"
        said.append(f'<li class="{model}"><i></i>{NAMES[model]}: {text} {mark}</li>')
    return f'<ul class="opinions">{"".join(said)}</ul>'


def training_section(contents: RunContents) -> str:
    """Return loss and accuracy over the steps of each stream."""
    history = {stream: h for stream, h in contents.history.items() if h}
    if not history:
        return left_out("there are no training logs (logs/<stream>/history.json)")
    curves: dict[str, list[Curve]] = {"loss": [], "accuracy": []}
    rows, broken = [], []
    for stream, log in history.items():
        steps = [float(row["step"]) for row in log["history"]]
        for what, found in curves.items():
            values = [float(row[what]) for row in log["history"]]
            points = thin_out(steps, values)
            if len(points) < len(values) and not np.isfinite(values).all():
                broken.append(f"{stream} {what}")
            reference = accuracy(contents.test[stream]).share if what == "accuracy" else None
            if points:
                found.append(Curve(stream, points, smooth(points), reference))
        last = log["history"][-1]
        rows.append(
            f'<tr><th scope="row"><i class="{stream}"></i>{NAMES[stream]}</th>'
            f"<td>{int(last['step']):,}</td><td>{float(last['loss']):.3f}</td>"
            f"<td>{percent(float(last['accuracy']))}</td><td>{_rate(log)}</td>"
            f"<td>{_seconds(log.get('seconds'))}</td><td>{_wait(contents, stream, log)}</td></tr>"
        )
    charts = [
        curve_chart(title, curves[what], shares=what == "accuracy", note=note)
        for what, title, note in (
            ("loss", "Loss (cross entropy)", "Bold: smoothed."),
            ("accuracy", "Accuracy on training batches", "Dashed: accuracy on test clips."),
        )
        if curves[what]
    ]
    keys = "".join(key(f"bar {stream}", NAMES[stream].lower()) for stream in history)
    warned = (
        f'<p class="note">Not a number at some steps: {", ".join(broken)}. Training diverged.</p>'
        if broken
        else ""
    )
    return (
        f'{warned}<div class="panel"><p class="legend">{keys}</p>'
        f'<div class="curves">{"".join(charts)}</div></div>'
        '<div class="scroll"><table class="plain"><thead><tr><th></th><th scope="col">steps</th>'
        '<th scope="col">last loss</th><th scope="col">last batches right</th>'
        '<th scope="col">learning rate</th><th scope="col">time</th>'
        f'<th scope="col">waited for data</th></tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )


def _rate(log: dict[str, Any]) -> str:
    rates = [float(row["learning_rate"]) for row in log["history"] if "learning_rate" in row]
    return f"{max(rates):.2g} → {rates[-1]:.2g}" if rates else DASH


def _seconds(value: Any) -> str:
    if not isinstance(value, int | float):
        return DASH
    if value < 120:
        return f"{value:.1f} s"
    if value < 7200:
        return f"{value / 60:.1f} min"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours} h {minutes} min"


def _wait(contents: RunContents, stream: str, log: dict[str, Any]) -> str:
    wait = contents.results.get("loader_wait")
    if isinstance(wait, dict) and isinstance(wait.get(stream), int | float):
        return percent(float(wait[stream]))
    waited, total = log.get("loader_wait_seconds"), log.get("seconds")
    if isinstance(waited, int | float) and isinstance(total, int | float) and total:
        return percent(waited / total)
    return DASH


def filter_section(filters: Mapping[str, FilterPicture | str]) -> str:
    """Return the first layer of each stream, or why it cannot be shown."""
    parts = []
    for stream, picture in filters.items():
        heading = f'<h3><i class="{stream}"></i>{NAMES[stream]}</h3>'
        if isinstance(picture, str):
            parts.append(heading + left_out(picture))
            continue
        images = "".join(
            f'<img class="filters" src="{uri}" width="{width}" alt="first-layer filters, '
            f'{stream} stream">'
            for uri, width in picture.images
        )
        height, width = picture.side
        which = (
            f"All {picture.total}"
            if picture.shown == picture.total
            else f"The {picture.shown} largest of {picture.total}"
        )
        what = f"{which} filters of {width} &times; {height} px"
        if picture.reading:
            told = (
                f"{what}, a column each, in the order of the table below. Rows: x "
                "of the first field, y of the first field, x of the second, and so on, as in the "
                "paper's figure 4. Zero is mid-grey, positive brighter, negative darker; each "
                "filter is scaled to its own largest weight."
            )
        else:
            told = (
                f"{what}, largest first, each scaled to its own largest weight; "
                f"{picture.columns or 'grey is zero'}."
            )
        parts.append(
            f'{heading}<div class="panel filter-blocks">{images}</div><p class="small">{told}</p>'
        )
        if picture.reading:
            parts.append(_derivatives(picture.reading))
    return "".join(parts)


_MEANING = {
    "temporal derivative": "weights change over the fields, and sum to about zero",
    "spatial derivative": "weights change inside the tiles, and sum to about zero",
    "both": "the two together",
    "neither": "averages of the flow, or no pattern that stands out of noise",
}


def _derivatives(reading: DerivativeReading) -> str:
    """Return how many filters read as which derivative, and where the energy is."""
    rows = "".join(
        f'<tr><th scope="row">{kind}</th><td>{count}</td><td>{_MEANING[kind]}</td></tr>'
        for kind, count in reading.counts().items()
    )
    average, temporal, spatial, both = (
        f"{percent(float(share))} ({percent(float(noise))})"
        for share, noise in zip(reading.mean_shares(), reading.chance, strict=True)
    )
    return (
        '<div class="scroll"><table class="plain wide"><thead><tr><th scope="col">reads as</th>'
        '<th scope="col">filters</th><th scope="col">which means</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f'<p class="small">Share of the squared weights, mean of the filters: {temporal} changes '
        f"over time alone, {spatial} in space alone, {both} in both at once, {average} is one "
        "weight everywhere. In brackets: weights of pure noise, which training starts from.</p>"
    )


def notes_section(contents: RunContents) -> str:
    """Return what a reader must know before the figures: the split's notes, what went wrong."""
    notes = contents.settings.get("notes")
    sentences = [str(note) for note in notes] if isinstance(notes, list) else []
    sentences += list(contents.problems)
    sentences += _disagreements(contents)
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<aside class="notes"><h2>Notes</h2><ul>{items}</ul></aside>' if items else ""


def _disagreements(contents: RunContents) -> list[str]:
    """Name accuracies in results.json that are not those of the score files beside it."""
    told = contents.results.get("accuracy")
    if not isinstance(told, dict):
        return []
    return [
        f"results.json says {percent(float(told[model]))} for {NAMES[model]}, its score file "
        f"{percent(scores.accuracy())}: this report follows the score file"
        for model, scores in contents.test.items()
        if isinstance(told.get(model), int | float) and abs(told[model] - scores.accuracy()) > 1e-4
    ]


def unreadable_section(contents: RunContents) -> str:
    """Return every video that could not be read, with the reason."""
    known = contents.results.get("unreadable")
    reasons = {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}
    tested: set[str] = set()
    for scores in (*contents.test.values(), *contents.train.values()):
        reasons.update(scores.unreadable)
    for scores in contents.test.values():
        tested.update(scores.unreadable)
    if not reasons:
        return "<p>Every video could be read.</p>"
    rows = "".join(
        f'<tr><th scope="row">{name(video_id)}</th><td>{escape(why)}</td>'
        f"<td>{'test: counted as wrong' if video_id in tested else 'left out'}</td></tr>"
        for video_id, why in sorted(reasons.items())
    )
    return (
        f"<p>{clips(len(reasons))} could not be read.</p>"
        '<div class="scroll"><table class="plain wide"><thead><tr><th scope="col">video</th>'
        '<th scope="col">why</th><th scope="col">what became of it</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def settings_section(contents: RunContents) -> str:
    """Return how the run was made: command, settings by topic, versions, where the time went."""
    settings = contents.settings
    if not settings:
        return left_out("settings.json is missing or cannot be read")
    topics = [
        (key.replace("_", " "), value)
        for key, value in settings.items()
        if isinstance(value, dict) and value
    ]
    single = {
        key: value
        for key, value in settings.items()
        if not isinstance(value, dict) and key not in ("notes", "command")
    }
    # the longest list last, where it leaves no hole in the columns
    topics.sort(key=lambda topic: len(topic[1]))
    groups = [("run", {"folder": str(contents.run), **single}), *topics]
    command = settings.get("command")
    shown = f"<pre><code>{escape(command)}</code></pre>" if command else ""
    body = "".join(
        f"<div class=topic><h3>{escape(title)}</h3><dl>{_definitions(values)}</dl></div>"
        for title, values in groups
    )
    return f'{shown}{_time_bar(contents)}<div class="topics">{body}</div>'


def _definitions(values: Mapping[str, Any]) -> str:
    return "".join(
        f"<div><dt>{escape(str(key).replace('_', ' '))}</dt><dd>{escape(_value(value))}</dd></div>"
        for key, value in values.items()
    )


def _value(value: Any) -> str:
    """Return a setting as people write it."""
    if value is None or value == [] or value == {}:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{str(k).replace('_', ' ')} {_value(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _time_bar(contents: RunContents) -> str:
    seconds = contents.results.get("seconds")
    if not isinstance(seconds, dict):
        return ""
    parts = [(str(k), float(v)) for k, v in seconds.items() if isinstance(v, int | float)]
    if not parts:
        return ""
    total = sum(value for _, value in parts)
    told = "".join(
        key(f"part{i % 4}", f"{escape(what)} {_seconds(v)}") for i, (what, v) in enumerate(parts)
    )
    bar = share_bar([(f"part{i % 4}", v) for i, (_, v) in enumerate(parts)], "where the time went")
    return f'<div class="panel"><p class="legend"><b>{_seconds(total)}</b> {told}</p>{bar}</div>'
