"""What the scores say: each section a pure function from a run's contents to HTML.

A section whose inputs are missing says so in one sentence instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twostream.report.charts import (
    Row,
    accuracy_chart,
    class_bars,
    clips,
    confusion_table,
    escape,
    key,
    name,
    percent,
    share_bar,
)
from twostream.report.contents import FUSIONS, NAMES, STREAMS, RunContents
from twostream.report.measures import (
    accuracy,
    agreement,
    chance,
    confusion,
    paired_p_value,
    recalls,
    top_confusions,
)
from twostream.types import VideoScores

# More classes than this are folded: the ends of the list, where a stream or fusion matters, stay.
_OPEN_CLASSES = 30


def left_out(reason: str) -> str:
    """Return the sentence that stands where a section cannot be drawn."""
    return f'<p class="left-out">Left out: {escape(reason)}.</p>'


def verdict(contents: RunContents) -> tuple[str, str]:
    """Return in plain words what the best model is, and how sure that is."""
    results = {model: accuracy(scores) for model, scores in contents.test.items()}
    n = max(result.n for result in results.values())
    if not n:
        return (
            "This split has no test clips.",
            "So nothing can be said about how well new clips are recognised.",
        )
    # among equals the simpler model is named: a stream before a fusion, the average before the SVM
    best = max(results, key=lambda model: results[model].share)
    top = results[best]
    words = {
        "spatial": "The spatial stream alone",
        "temporal": "The temporal stream alone",
        "average": "The two streams together, averaged,",
        "svm": "The two streams together, fused by the SVM,",
    }
    said = "recognise" if best in FUSIONS else "recognises"
    digits = 0 if top.n < 1000 else 1
    first = (
        f"{words[best]} {said} {top.correct:,} of {clips(top.n)} never trained on: "
        f"<strong>{percent(top.share)}</strong>, with 95% confidence between "
        f"{percent(top.low, digits)} and {percent(top.high, digits)}."
    )
    if len(results) == 1:
        return first, "Only one stream was trained, so nothing could be fused."
    others = {model: result for model, result in results.items() if model != best}
    # the question a reader has: does fusing pay, or (where a stream wins) what does it cost
    rival = max(
        [m for m in others if (m in STREAMS) == (best in FUSIONS)] or list(others),
        key=lambda model: results[model].share,
    )
    second = (
        f"{NAMES[rival]}{' alone' if rival in STREAMS else ''}: {percent(results[rival].share)}"
    )
    if results[rival].correct == top.correct:
        return first, f"{second}, just as good."
    if contents.paired:
        p = paired_p_value(contents.test[best].correct(), contents.test[rival].correct())
        ahead = top.correct - results[rival].correct
        luck = "could well be luck" if p >= 0.05 else "is hardly luck"
        shown = "p &lt; 0.001" if p < 0.001 else f"p = {p:.2g}"
        second += f". A lead of {clips(ahead)} that {luck} ({shown}, exact McNemar test)"
    return first, f"{second}."


def accuracy_section(contents: RunContents, groups: int) -> str:
    """Return headline accuracies, their intervals, and training beside test."""
    rows = [
        Row(
            model,
            NAMES[model],
            accuracy(scores),
            accuracy(contents.train[model]) if model in contents.train else None,
        )
        for model, scores in contents.test.items()
    ]
    top = max(row.test.correct for row in rows)
    cards = []
    for row in rows:
        test = row.test
        best = test.n and test.correct == top
        cards.append(
            f'<div class="card {row.model}{" best" if best else ""}"><h3>{NAMES[row.model]}'
            f"{'<em>best</em>' if best else ''}</h3>"
            f'<p class="figure">{percent(test.share if test.n else float("nan"))}</p>'
            f"<p>{test.correct:,} of {clips(test.n)}</p>"
            f'<p>95% interval <span class="nowrap">{percent(test.low)} &ndash; '
            f"{percent(test.high)}</span></p></div>"
        )
    first = next(iter(contents.test.values()))
    guess = chance(first)
    gaps = [
        f"{NAMES[row.model].lower() if row.model != 'svm' else 'SVM'} "
        f"{percent(row.train.share)} → {percent(row.test.share)}"
        for row in rows
        if row.train and row.test.n
    ]
    over = (
        f"<p><b>Over-fitting.</b> From clips the nets were trained on to test clips: "
        f"{'; '.join(gaps)}. The longer the thin line, the more was learnt by heart.</p>"
        if gaps
        else left_out("there are no scores of training clips (scores/*-train.npz)")
    )
    independent = (
        f" The test clips come from {groups} group{'' if groups == 1 else 's'} (people or takes); "
        "clips of one group resemble each other, so the true uncertainty is larger."
        if groups
        else ""
    )
    unread = len(first.unreadable)
    return (
        f'<div class="cards">{"".join(cards)}</div><div class="panel">'
        f"{accuracy_chart(rows, guess)}"
        f'<p class="legend">{key("test", "test clips")}{key("interval", "95% interval")}'
        f"{key('train', 'training clips')}"
        f"{key('chance', f'always the most frequent class, {percent(guess)}')}</p>"
        f"</div>{over}"
        f'<p class="small">n = {first_n(first)} test clips, intervals by Wilson.{independent}'
        f"{_svm_note(contents)}"
        f"{f' Counted as wrong: {clips(unread)} that could not be read.' if unread else ''}</p>"
    )


def first_n(scores: VideoScores) -> str:
    """Return the number of clips with thousands separated."""
    return f"{len(scores.video_ids):,}"


def _svm_note(contents: RunContents) -> str:
    fitted = contents.results.get("fit_scores")
    if "svm" not in contents.test or not fitted:
        return ""
    how = {
        "out-of-fold": "by nets that had not seen the clip (out of fold)",
        "in-sample": "by the nets that were trained on them (in-sample)",
    }.get(str(fitted), escape(fitted))
    return f" The SVM learnt from scores of training clips given {how}."


def fusion_section(contents: RunContents) -> str:
    """Return which clips only one stream has right, and what the fusions make of them."""
    fused = {model: contents.test[model] for model in FUSIONS if model in contents.test}
    if not all(stream in contents.test for stream in STREAMS):
        return left_out("it needs the scores of both streams, and only one is there")
    if not contents.paired:
        return left_out("the streams were not scored on the same clips")
    counts = agreement(contents.test["spatial"], contents.test["temporal"], fused)
    n = sum(counts.clips.values())
    if not n:
        return left_out("there are no test clips")

    def tile(group: str, heading: str) -> str:
        total = counts.clips[group]
        bars = "".join(
            f"<li><span>{NAMES[model]}</span>{_agreement_bar(model, rights[group], total)}"
            f"<b>{rights[group]:,}</b></li>"
            for model, rights in counts.fused.items()
        )
        return (
            f'<td class="{group}"><h3>{heading}</h3><p class="figure">{total:,}</p>'
            f'<p class="small">{percent(total / n)} of clips</p>'
            f"{f'<p class=small>fused right:</p><ul>{bars}</ul>' if total and bars else ''}</td>"
        )

    either = n - counts.clips["neither"]
    saved = " ".join(_saved(NAMES[model], counts.clips, won) for model, won in counts.fused.items())
    return (
        '<table class="agreement"><thead><tr><td></td><th scope="col">temporal right</th>'
        '<th scope="col">temporal wrong</th></tr></thead><tbody>'
        f'<tr><th scope="row"><span>spatial right</span></th>{tile("both", "Both")}'
        f"{tile('spatial', 'Spatial only')}</tr>"
        f'<tr><th scope="row"><span>spatial wrong</span></th>{tile("temporal", "Temporal only")}'
        f"{tile('neither', 'Neither')}</tr></tbody></table>"
        f"{f'<p>{saved}</p>' if saved else left_out('there are no fused scores')}"
        '<p class="small">A judge who knew for each clip which of the two streams to trust would '
        f"reach {percent(either / n)}.</p>"
    )


def _saved(label: str, total: dict[str, int], right: dict[str, int]) -> str:
    """Return in words what a fusion makes of the clips that one, neither or both streams see."""
    won = []
    if single := total["spatial"] + total["temporal"]:
        right_alone = right["spatial"] + right["temporal"]
        won.append(f"{right_alone:,} of the {single:,} that only one stream has right")
    if total["neither"]:
        won.append(f"{right['neither']:,} of the {total['neither']:,} that neither has right")
    if total["both"]:
        won.append(f"{right['both']:,} of the {total['both']:,} that both have right")
    return f"<b>{label}</b> is right on {', '.join(won)}."


def _agreement_bar(model: str, right: int, total: int) -> str:
    caption = f"{NAMES[model]}: {right} of {total} right"
    return share_bar([(f"bar {model}", right), ("none", total - right)], caption)


def class_section(contents: RunContents) -> str:
    """Return a row of bars for each class, sorted by what fusion gains over the better stream."""
    shown = [m for m in ("spatial", "temporal", contents.fusion) if m and m in contents.test]
    if len({contents.test[model].classes for model in shown}) > 1:
        return left_out("the streams were trained on different classes")
    first = contents.test[shown[0]]
    share = {model: recalls(contents.test[model]) for model in shown}
    n = confusion(first).sum(axis=1)
    both = all(stream in share for stream in STREAMS)
    lead = share["temporal"] - share["spatial"] if both else None
    gain = None
    if both and contents.fusion:
        gain = share[contents.fusion] - np.maximum(share["spatial"], share["temporal"])
    # classes without clips come last; among equal gains the larger difference of the streams first
    rank = gain if gain is not None else -share[shown[-1]]
    tie = np.abs(lead) if lead is not None else np.zeros(len(n))
    order = np.lexsort((-np.nan_to_num(tie), -np.nan_to_num(rank, nan=-9)))
    rows = [
        class_bars(
            first.classes[i],
            int(n[i]),
            {model: float(values[i]) for model, values in share.items()},
            None if gain is None else float(gain[i]),
            None if lead is None else float(lead[i]),
        )
        for i in order
    ]
    if len(rows) > _OPEN_CLASSES:
        ends = _OPEN_CLASSES // 2
        middle = rows[ends:-ends]
        rows = [
            *rows[:ends],
            f"<details><summary>{len(middle)} classes between</summary>{''.join(middle)}</details>",
            *rows[-ends:],
        ]
    means = ", ".join(
        f"{NAMES[model].lower()} {percent(float(np.nanmean(values)))}"
        for model, values in share.items()
        if not np.isnan(values).all()
    )
    width = max(9, min(26, max(len(label) for label in first.classes) + 1))
    keys = "".join(key(f"bar {model}", NAMES[model].lower()) for model in shown)
    sorting = (
        "Sorted by what fusing gains over the better stream."
        if gain is not None
        else "Hardest classes first."
    )
    return (
        f"{_who_helps(first.classes, lead)}<div class='panel'>"
        f'<p class="legend">{keys}</p><div class="classes" style="--names:{width}ch">'
        f"{''.join(rows)}</div></div>"
        f'<p class="small">{sorting} Bars and numbers: share of the class&rsquo;s test clips that '
        "are right; chips: percentage points ahead of the other stream, or of the better one. "
        f"Mean over classes: {means or 'no test clips'}.</p>"
    )


def _who_helps(classes: tuple[str, ...], lead: Any) -> str:
    if lead is None:
        return ""
    parts = []
    for stream, sign in (("temporal", 1), ("spatial", -1)):
        ahead = np.nan_to_num(sign * lead)
        count = int((ahead > 1e-9).sum())
        if count:
            most = int(ahead.argmax())
            parts.append(
                f"the <b>{stream} stream</b> is ahead in {count} "
                f"class{'' if count == 1 else 'es'}, most in {name(classes[most])} "
                f"({100 * ahead[most]:+.0f} points)"
            )
    if not parts:
        return "<p>Both streams are equally good at every class.</p>"
    sentence = "; ".join(parts)
    return f"<p>{sentence[0].upper()}{sentence[1:]}.</p>"


def confusion_section(contents: RunContents) -> str:
    """Return a confusion matrix a model, one shown at a time, and the most frequent mistakes."""
    start = contents.reference
    inputs, labels, panels = [], [], []
    for model, scores in contents.test.items():
        counts = confusion(scores)
        mistakes = "".join(
            f"<li>{name(scores.classes[i])} <span>taken for</span> {name(scores.classes[j])}"
            f"<b>{clips(c)}</b><small>{percent(s, 0)} of {name(scores.classes[i])}</small></li>"
            for i, j, c, s in top_confusions(counts)
        )
        inputs.append(
            f'<input type="radio" name="matrix" id="matrix-{model}"'
            f"{' checked' if model == start else ''}>"
        )
        labels.append(f'<label for="matrix-{model}">{NAMES[model]}</label>')
        caption = f"Confusion matrix, {NAMES[model].lower() if model != 'svm' else 'SVM'}"
        panels.append(
            f'<div class="matrix" id="panel-{model}"><div class="matrix-body">'
            f"{confusion_table(counts, scores.classes, caption)}"
            '<div class="side"><h3>Most frequent mistakes</h3>'
            f"{f'<ol class=mistakes>{mistakes}</ol>' if mistakes else '<p>None.</p>'}</div>"
            "</div></div>"
        )
    return (
        f'<div class="tabs">{"".join(inputs)}<div class="tab-bar">{"".join(labels)}</div>'
        f"{''.join(panels)}</div>"
        '<p class="small">A row is what the clips show, a column what the model said: number of '
        "clips and its share of the row. "
        f"{key('hit', 'right')} {key('miss', 'mistaken')}</p>"
    )
