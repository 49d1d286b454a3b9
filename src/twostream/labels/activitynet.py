"""ActivityNet's JSON, as data sets of long videos and detectors in them keep labels.

    {"version": "...", "taxonomy": [{"nodeName": "walk", "nodeId": 1, "parentId": 0, ...}],
     "database": {"v1": {"subset": "training", "duration": 12.5,
                         "annotations": [{"segment": [1.0, 2.5], "label": "walk"}]}}}

Predictions are {"results": {"v1": [{"segment": [1.0, 2.5], "label": "walk", "score": 0.9}]}}.
What is written may have both: its evaluation takes it for the truth, or for predictions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_text import a_list, a_number, a_text, an_object, read_json
from twostream.labels.recordings import Bout, Labels, one_line, split_called
from twostream.types import DataError

HOLDS = Holds(
    title="ActivityNet labels",
    suffixes=(".json",),
    confidences=True,
    classes=True,
    several=True,
    names=True,
    length=True,
    fps=True,
    splits=True,
)
_SUBSETS = {"": "", "train": "training", "val": "validation", "test": "testing"}
_POINT = "point_event"  # our own: a class of the taxonomy has no duration


def recognised(path: Path, start: str) -> bool:
    """Tell by keys that stand together nowhere else."""
    sets = (
        ('"database"', '"subset"'),
        ('"database"', '"annotations"'),
        ('"database"', '"taxonomy"'),
        ('"taxonomy"', '"nodeName"'),
        ('"results"', '"external_data"'),
        ('"results"', '"segment"'),
    )
    return start.lstrip().startswith("{") and any(all(k in start for k in keys) for keys in sets)


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read labels, predictions, or both.

    The leaves of the taxonomy are the ethogram; where there is none, labels in the order of their
    `label_id`, if all have one.
    """
    body = an_object(path, "ActivityNet's labels", read_json(path))
    if "database" not in body and "results" not in body:
        raise DataError(f"{path} has neither database nor results, so it is no ActivityNet file")
    found = Gathered(path)
    every: list[dict[str, Any]] = []
    for video, entry in an_object(path, "database", body.get("database")).items():
        where = f"video {video[:80]}"
        entry = an_object(path, where, entry)
        split = split_called(a_text(entry.get("subset")).strip())
        if split is None:
            found.odd("its subset is neither training, validation nor testing: left out", where)
        found.recording(
            video,
            seconds=a_number(entry.get("duration")),
            fps=a_number(entry.get("fps")),
            split=split,
        )
        every += _take(path, video, where, entry.get("annotations"), found)
    for video, bouts in an_object(path, "results", body.get("results")).items():
        found.recording(video)
        every += _take(path, video, f"results of {video[:80]}", bouts, found)
    classes, points = _leaves(path, body.get("taxonomy"))
    return found.labels(classes or _numbered(every), points)


def _take(
    path: Path, video: str, where: str, bouts: Any, found: Gathered
) -> Iterable[dict[str, Any]]:
    """Take the segments of a video; returns them."""
    taken = []
    for number, bout in enumerate(a_list(path, where, bouts), start=1):
        bout = an_object(path, where, bout)
        segment = bout.get("segment")
        times = segment if isinstance(segment, list) and len(segment) == 2 else (None, None)
        found.bout(
            video,
            f"{where}, segment {number}",
            a_number(times[0]),
            a_number(times[1]),
            a_text(bout.get("label")),
            confidence=a_number(bout.get("score")),
        )
        taken.append(bout)
    return taken


def _leaves(path: Path, taxonomy: Any) -> tuple[list[str], list[str]]:
    """Return the classes of a taxonomy: nodes that have a parent and are none; and the points."""
    nodes = [an_object(path, "taxonomy", node) for node in a_list(path, "taxonomy", taxonomy)]
    parents = {a_text(node.get("parentId")) for node in nodes}
    leaves = [
        node
        for node in nodes
        if node.get("parentId") is not None and a_text(node.get("nodeId")) not in parents
    ]
    points = [a_text(node.get("nodeName")) for node in leaves if node.get(_POINT) is True]
    return [a_text(node.get("nodeName")) for node in leaves], points


def _numbered(bouts: Iterable[dict[str, Any]]) -> list[str]:
    """Return labels in the order of their numbers; none where one has no number, or two."""
    numbers: dict[str, float | None] = {}
    for bout in bouts:
        label, number = one_line(a_text(bout.get("label"))), a_number(bout.get("label_id"))
        if number is None or numbers.setdefault(label, number) != number:
            return []
    if len(set(numbers.values())) < len(numbers):
        return []
    return sorted(numbers, key=lambda label: numbers[label] or 0.0)


def text(labels: Labels, suffix: str) -> str:
    """Return a file that ActivityNet's evaluation takes for the truth and for predictions.

    Bouts with a confidence are predictions, and stand in `results` alone.
    """
    database: dict[str, Any] = {}
    results: dict[str, Any] = {}
    for recording in labels.recordings:
        facts = {"subset": _SUBSETS[recording.split], "duration": recording.seconds}
        facts |= {"fps": recording.fps}
        told = [_segment(bout) for bout in recording.bouts if bout.confidence is None]
        guessed = [_segment(bout) for bout in recording.bouts if bout.confidence is not None]
        known = {name: value for name, value in facts.items() if value is not None}
        database[recording.video] = known | {"annotations": told}
        if guessed:
            results[recording.video] = guessed
    root = {"nodeName": "Root", "nodeId": 0, "parentName": None, "parentId": None}
    taxonomy = [root] + [
        {"nodeName": name, "nodeId": i, "parentName": "Root", "parentId": 0}
        | ({_POINT: True} if name in labels.points else {})
        for i, name in enumerate(labels.classes, start=1)
    ]
    body = {"version": "VERSION 1.3", "taxonomy": taxonomy, "database": database}
    if results:
        body |= {"results": results, "external_data": {"used": False, "details": ""}}
    return json.dumps(body, ensure_ascii=False) + "\n"


def _segment(bout: Bout) -> dict[str, Any]:
    said = {"segment": [bout.start_seconds, bout.end_seconds], "label": bout.label}
    return said if bout.confidence is None else said | {"score": bout.confidence}
