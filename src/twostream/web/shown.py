"""What the page shows of a video and of its moments, as plain values for its script."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.display.colours import flow_picture
from twostream.prediction import Prediction, Timeline
from twostream.web.analysis import Analysis, Moment
from twostream.web.explain import SEES, which_decided
from twostream.web.pictures import fitted_uri, heat

BEST = 6  # classes whose scores are shown
NO_SALIENCY = "Where the networks looked needs the run itself: an export has no gradients."


def video_shown(analysis: Analysis, prediction: Prediction, timeline: Timeline) -> dict[str, Any]:
    """Return the label of a whole video, how sure it is and why, and the rows of its time line."""
    classes = timeline.classes

    def block(
        start: float, end: float, number: int | None, label: str, score: float | None
    ) -> dict[str, Any]:
        return {"start": start, "end": end, "class": number, "label": label, "score": score}

    numbers: dict[str | None, int] = {name: k for k, name in enumerate(classes)}
    segments = [
        block(s.start_seconds, s.end_seconds, numbers.get(s.label), s.title, s.score)
        for s in timeline.segments
    ]
    rows = [{"name": "together", "blocks": segments}]
    spans = timeline.spans()
    for stream, scores in timeline.streams.items():
        best, top = scores.argmax(axis=1).tolist(), scores.max(axis=1).tolist()
        blocks = [block(*spans[i], k, classes[k], top[i]) for i, k in enumerate(best)]
        rows.append({"name": SEES[stream], "blocks": blocks})
    (label, score), *_ = prediction.top(1)
    return {
        "name": analysis.name,
        "seconds": timeline.seconds,
        "label": label,
        "score": score,
        "why": which_decided(classes, prediction.scores, prediction.streams),
        "warning": analysis.warning,
        "rows": rows,
    }


def moment_shown(analysis: Analysis, timeline: Timeline, seconds: float) -> dict[str, Any]:
    """Return frame, flow, where each stream looked, and the scores around a moment."""
    moment = analysis.moment(seconds)
    row = int(np.abs(timeline.times - moment.seconds).argmin())
    fused = timeline.scores[row]
    streams = {name: scores[row] for name, scores in timeline.streams.items()}
    best = np.argsort(-fused, kind="stable")[:BEST].tolist()
    pictures = {"frame": moment.frame}
    if moment.field is not None:
        pictures["flow: colour is direction"] = flow_picture(moment.field)[0]
    gradients = all(hasattr(stream, "model") for stream in analysis.predictor.streams.values())
    if gradients:
        pictures |= _looked(analysis, moment, best[0])
    parts = {"together": fused, **{SEES[name]: scores for name, scores in streams.items()}}
    shown = [
        {
            "class": k,
            "label": timeline.classes[k],
            "scores": {part: float(scores[k]) for part, scores in parts.items()},
        }
        for k in best
    ]
    return {
        "seconds": moment.seconds,
        "why": which_decided(timeline.classes, fused, streams),
        "note": None if gradients else NO_SALIENCY,
        "pictures": {caption: fitted_uri(picture) for caption, picture in pictures.items()},
        "smooth_seconds": analysis.predictor.windows.smooth_seconds,
        "classes": shown,
        "others": len(timeline.classes) - len(shown),
    }


def _looked(analysis: Analysis, moment: Moment, label: int) -> dict[str, NDArray[np.uint8]]:
    """Return caption -> picture of where each stream looked for a class."""
    from twostream.prediction.saliency import saliency

    pictures = {}
    for name, stack in sorted(moment.stacks.items()):  # the spatial stream first
        stream: Any = analysis.predictor.streams[name]
        looked = saliency(stream.model, stack, label)
        pictures[f"where {SEES[name]} looked"] = heat(moment.frame, looked)
    return pictures
