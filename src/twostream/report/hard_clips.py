"""The hardest clips: what each model took them for, beside their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twostream.report.clip_pictures import ClipPicture
from twostream.report.run_contents import RunContents
from twostream.report.wording import percent
from twostream.types import VideoScores


def hard_clips(
    contents: RunContents, rows: list[int], pictures: Mapping[str, ClipPicture]
) -> dict[str, Any] | str:
    """Return a card for each hard clip, a row of the reference's scores, or why there is none."""
    scores = contents.test[contents.reference]
    if not rows:
        return "there are no test clips with scores"
    shown = [pictures[scores.video_ids[row]] for row in rows]
    reasons = {picture.missing for picture in shown}
    no_pictures = ""
    if len(reasons) == 1 and not any(picture.frame or picture.flow for picture in shown):
        # one reason for all is said once
        no_pictures, shown = reasons.pop(), [ClipPicture()] * len(rows)
    return {
        "judge": contents.reference,
        "wrong": int((~scores.correct()[rows]).sum()),
        "no_pictures": no_pictures,
        "cards": [_card(scores, row, picture) for row, picture in zip(rows, shown, strict=True)],
    }


def _card(scores: VideoScores, row: int, picture: ClipPicture) -> dict[str, Any]:
    values, label = scores.scores[row], int(scores.labels[row])
    ranked = np.argsort(-values, kind="stable").tolist()
    best, least = float(values.max()), float(min(values.min(), 0))

    def line(k: int) -> dict[str, Any]:
        value = float(values[k])
        shown = percent(value) if scores.kind == "probabilities" else f"{value:.2f}"
        width = (value - least) / (best - least) if best > least else 0.0
        parts = [("hit" if k == label else "miss", width), ("none", 1 - width)]
        place = ranked.index(k) + 1
        return {"label": scores.classes[k], "place": place, "shown": shown, "parts": parts}

    return {
        "row": row,
        "picture": picture,
        "file": scores.video_ids[row],
        "truth": scores.classes[label],
        "taken_for": None if ranked[0] == label else scores.classes[ranked[0]],
        "top": [line(k) for k in dict.fromkeys([*ranked[:3], label])],
    }
