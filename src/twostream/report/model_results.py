"""What the scores of a run's models say: plain values for the first sections of the report.

A section whose inputs are missing is the reason instead, a string.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.report.charts import confusion_matrix
from twostream.report.measures import (
    Calibration,
    accuracy,
    agreement,
    calibration,
    chance,
    confusion,
    paired_p_value,
    recalls,
    top_confusions,
)
from twostream.report.run_contents import FUSIONS, NAMES, RunContents
from twostream.types import STREAMS

# More classes than this are folded: the ends of the list, where a stream or fusion matters, stay.
_OPEN_CLASSES = 30
MINUS = "\N{MINUS SIGN}"


def verdict(contents: RunContents) -> dict[str, Any]:
    """Return how well the run's answer does and whom it is compared with, for a sentence.

    The answer is what predict answers with, not the best model: that one is chosen by the test
    clips, which flatter it.

    Returns:
        answer: a model; None without clips.
        accuracies: of each model.
        rival: the model to compare it with; None where there is no other.
        better: whether the rival is the best model, and better than the answer.
        p: of an exact McNemar test of the two; None where they were not scored on the same clips.
    """
    results = {model: accuracy(scores) for model, scores in contents.test.items()}
    answer = contents.reference
    if not results[answer].n:
        return {"answer": None, "accuracies": results, "rival": None, "better": False, "p": None}

    def share(model: str) -> float:
        return results[model].share

    # among equals a stream is named before a fusion
    others = [model for model in (*STREAMS, *FUSIONS) if model in results and model != answer]
    rival = max(others, key=share, default=None)
    better = rival is not None and share(rival) > share(answer)
    if not better:  # the question a reader has: does fusing pay
        streams = [model for model in others if model in STREAMS]
        rival = max(streams or others, key=share, default=None)
    p = None
    if rival and contents.paired:
        p = paired_p_value(contents.test[answer].correct(), contents.test[rival].correct())
    return {"answer": answer, "accuracies": results, "rival": rival, "better": better, "p": p}


def accuracies(contents: RunContents, groups: int) -> dict[str, Any]:
    """Return each model's accuracy, and what it rests on; ``groups`` of test clips, 0: unknown."""
    models: list[dict[str, Any]] = [
        {
            "name": model,
            "label": NAMES[model],
            "test": accuracy(scores),
            "train": accuracy(contents.train[model]) if model in contents.train else None,
        }
        for model, scores in contents.test.items()
    ]
    first = next(iter(contents.test.values()))
    return {
        "models": models,
        "most": max(row["test"].correct for row in models),
        "chance": chance(first),
        "n": len(first.video_ids),
        "groups": groups,
        "svm_fit": contents.results.get("fit_scores") if "svm" in contents.test else None,
        "unreadable": len(first.unreadable),
    }


def calibrations(contents: RunContents) -> dict[str, Any] | str:
    """Return how far each model's scores are chances, streams as ``predict`` shows them too.

    Returns:
        models: name, label, as scored, and shown: at the stream's own temperature, where the run
            has learnt one; otherwise the same.
        answer: the model that predict answers with.
    """
    rows = []
    for model, scores in contents.test.items():
        if (scored := calibration(scores)) is None:
            continue
        rows.append(
            {
                "name": model,
                "label": NAMES[model],
                "scored": scored,
                "shown": _at_own_temperature(contents, model) or scored,
            }
        )
    if not rows:
        return "there are no test clips with scores that are probabilities"
    return {"models": rows, "answer": contents.reference}


def _at_own_temperature(contents: RunContents, model: str) -> Calibration | None:
    learnt, scores = contents.learnt, contents.test[model]
    if learnt is None or model not in learnt.streams or learnt.classes != scores.classes:
        return None
    return calibration(replace(scores, scores=learnt.calibrated(model, scores.scores)))


def fusion_gains(contents: RunContents) -> dict[str, Any] | str:
    """Return which clips only one stream has right, and what the fusions make of them."""
    if not all(stream in contents.test for stream in STREAMS):
        return "it needs the scores of both streams, and only one is there"
    if not contents.paired:
        return "the streams were not scored on the same clips"
    fused = {model: contents.test[model] for model in FUSIONS if model in contents.test}
    counts = agreement(contents.test["spatial"], contents.test["temporal"], fused)
    return counts if sum(counts["clips"].values()) else "there are no test clips"


def class_recalls(contents: RunContents) -> dict[str, Any] | str:
    """Return the recalls of each class, sorted by what fusion gains over the better stream."""
    shown = [m for m in ("spatial", "temporal", contents.fusion) if m and m in contents.test]
    if len({contents.test[model].classes for model in shown}) > 1:
        return "the streams were trained on different classes"
    first = contents.test[shown[0]]
    share = {model: recalls(contents.test[model]) for model in shown}
    n = confusion(first).sum(axis=1)
    lead = gain = None
    if all(stream in share for stream in STREAMS):
        lead = share["temporal"] - share["spatial"]
        if contents.fusion:
            gain = share[contents.fusion] - np.maximum(share["spatial"], share["temporal"])
    # classes without clips come last; among equal gains the larger difference of the streams first
    rank = gain if gain is not None else -share[shown[-1]]
    tie = np.abs(lead) if lead is not None else np.zeros(len(n))
    order = np.lexsort((-np.nan_to_num(tie), -np.nan_to_num(rank, nan=-9)))
    rows = [
        {
            "label": first.classes[i],
            "n": int(n[i]),
            "recalls": {model: float(values[i]) for model, values in share.items()},
            "chips": _chips(gain, lead, i),
        }
        for i in order
    ]
    end = _OPEN_CLASSES // 2
    folded = [rows[:end], rows[end:-end], rows[-end:]]
    return {
        "parts": folded if len(rows) > _OPEN_CLASSES else [rows],
        "ahead": None if lead is None else _ahead(first.classes, lead),
        "sorted_by_gain": gain is not None,
        "models": shown,
        "means": {
            model: float(np.nanmean(values))
            for model, values in share.items()
            if not np.isnan(values).all()
        },
        "width": max(9, min(26, max(len(label) for label in first.classes) + 1)),
    }


def _chips(
    gain: NDArray[np.float64] | None, lead: NDArray[np.float64] | None, row: int
) -> list[tuple[str, str]]:
    """Return (css class, words): points of fusion over the better stream, and between streams."""
    found = []
    if gain is not None:
        found.append(("loss" if gain[row] < 0 else "fusion", "fusion", gain[row]))
    if lead is not None:
        ahead = "temporal" if lead[row] > 0 else "spatial"
        found.append((ahead, ahead, abs(lead[row])))
    return [
        (kind, f"{who} {MINUS if points < 0 else '+'}{abs(100 * points):.0f}")
        for kind, who, points in found
        if np.isfinite(points) and round(100 * points)
    ]


def _ahead(
    classes: tuple[str, ...], lead: NDArray[np.float64]
) -> list[tuple[str, int, str, float]]:
    """Return (stream, classes it is ahead in, the class where most, by how much in 0..1)."""
    found = []
    for stream, sign in (("temporal", 1), ("spatial", -1)):
        ahead = np.nan_to_num(sign * lead)
        if count := int((ahead > 1e-9).sum()):
            most = int(ahead.argmax())
            found.append((stream, count, classes[most], float(ahead[most])))
    return found


def confusions(contents: RunContents) -> list[dict[str, Any]]:
    """Return each model's confusion matrix and most frequent mistakes."""
    found = []
    for model, scores in contents.test.items():
        counts = confusion(scores)
        found.append(
            confusion_matrix(counts, scores.classes)
            | {
                "name": model,
                "label": NAMES[model],
                "shown": model == contents.reference,
                "mistakes": [
                    (scores.classes[i], scores.classes[j], count, share)
                    for i, j, count, share in top_confusions(counts)
                ],
            }
        )
    return found
