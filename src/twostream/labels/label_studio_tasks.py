"""Writing Label Studio's tasks: regions of a `TimelineLabels` tag for each video.

Its labelling setup is the one of its template "Video Frame Classification": tags that are called
"videoLabels" and "video". The frame rate stands in the task's data, where the setup takes it with
`<Video name="video" value="$video" frameRate="$fps"/>`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from twostream.labels.recordings import Bout, Labels, Recording

LOCAL_FILES = "/data/local-files/?d="  # how Label Studio names files of the disk that it serves


def text(labels: Labels, suffix: str) -> str:
    """Return tasks that Label Studio imports: one a video, two where both people and a model said.

    A person's bouts are annotations, one for each annotator. Bouts with a confidence are
    predictions; a task of their own, as an annotated task has done with its predictions.
    """
    found: list[dict[str, Any]] = []
    for recording in labels.recordings:
        told = [bout for bout in recording.bouts if bout.confidence is None]
        guessed = [bout for bout in recording.bouts if bout.confidence is not None]
        if told or not guessed:
            by = _by_annotator(told) or {"": []}
            annotations = [_annotation(name, bouts, recording) for name, bouts in by.items()]
            found.append(_task(len(found) + 1, recording, {"annotations": annotations}))
        if guessed:
            predictions = [
                _prediction(name, bouts, recording)
                for name, bouts in _by_annotator(guessed).items()
            ]
            found.append(_task(len(found) + 1, recording, {"predictions": predictions}))
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _by_annotator(bouts: Iterable[Bout]) -> dict[str, list[Bout]]:
    found: dict[str, list[Bout]] = {}
    for bout in bouts:
        found.setdefault(bout.annotator, []).append(bout)
    return dict(sorted(found.items()))


def _task(number: int, recording: Recording, said: dict[str, Any]) -> dict[str, Any]:
    video = recording.video
    remote = "://" in video or not video
    facts = {
        "video": video if remote else LOCAL_FILES + quote(video),
        "fps": recording.fps,
        "seconds": recording.seconds,
        "group": recording.group or None,
        "split": recording.split or None,
    }
    data = {name: value for name, value in facts.items() if value is not None}
    return {"id": number, "data": data, "annotations": [], "predictions": []} | said


def _annotation(annotator: str, bouts: list[Bout], recording: Recording) -> dict[str, Any]:
    """Return an annotation; Label Studio knows people by their addresses, and refuses others."""
    known = {"completed_by": {"email": annotator}} if "@" in annotator else {}
    named = {"created_username": annotator} if annotator and not known else {}
    regions = [_region(number, bout, recording) for number, bout in enumerate(bouts, start=1)]
    return known | named | {"was_cancelled": False, "ground_truth": False, "result": regions}


def _prediction(model: str, bouts: list[Bout], recording: Recording) -> dict[str, Any]:
    regions = [
        _region(number, bout, recording) | {"score": bout.confidence}
        for number, bout in enumerate(bouts, start=1)
    ]
    mean = sum(bout.confidence or 0.0 for bout in bouts) / len(bouts)
    return {"model_version": model, "score": mean, "result": regions}


def _region(number: int, bout: Bout, recording: Recording) -> dict[str, Any]:
    """Return a stretch of frames: the first is number 1, the last is one of it."""
    assert recording.fps is not None
    first, after = (round(t * recording.fps) for t in (bout.start_seconds, bout.end_seconds))
    meta: dict[str, Any] = {"text": [bout.comment]} if bout.comment else {}
    meta |= {"subject": bout.subject} if bout.subject else {}
    return {
        "id": f"bout{number}",
        "from_name": "videoLabels",
        "to_name": "video",
        "type": "timelinelabels",
        "origin": "manual" if bout.confidence is None else "prediction",
        "value": {
            "ranges": [{"start": first + 1, "end": after}],
            "timelinelabels": [bout.label],
        },
    } | ({"meta": meta} if meta else {})
