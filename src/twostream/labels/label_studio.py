"""Label Studio's exports, JSON and JSON-MIN: tasks with annotations and predictions of media.

Regions of a `TimelineLabels` tag are frames of a video, the first of which is number 1; so are the
stretches in which a box of `VideoRectangle` is enabled. Regions of `Labels` on sound are seconds.
An annotation is what one person says of a task. Predictions count where a task has no annotation.

Label Studio counts frames at the rate that its labelling setup gives (`frameRate` of `<Video>`, 24
where it gives none), whatever the video has; an export says it only where there are boxes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_studio_tasks import LOCAL_FILES
from twostream.labels.label_studio_tasks import text as text
from twostream.labels.label_text import a_list, a_number, a_text, an_object, read_json
from twostream.labels.recordings import Labels, one_line, split_called
from twostream.labels.video_facts import rate_of
from twostream.types import VIDEO_SUFFIXES, DataError

HOLDS = Holds(
    title="Label Studio tasks",
    suffixes=(".json",),
    times="frames",
    subjects=True,
    annotators=True,
    confidences=True,
    comments=True,
    points=False,
    several=True,
    names=True,
    length=True,
    fps=True,
    groups=True,
    splits=True,
)
_MARKS = (
    *('"annotations"', '"predictions"', '"result"', '"completed_by"', '"from_name"', '"to_name"'),
    *('"annotation_id"', '"annotator"', '"was_cancelled"', '"lead_time"'),
)
_TIMELINE = ('"timelinelabels"', '"ranges"')
_SOUND = frozenset((".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus"))
_RATES = ("fps", "framerate", "frame_rate", "frameRate")  # of a task's data
_UPLOADED = re.compile(r"/data/upload/\d+/[0-9a-f]{8}-(.+)")  # a file, with a mark before its name
_OF_TEXT = ("startOffset", "timeserieslabels", "paragraphlabels", "hypertextlabels")
_ANSWERS = ("choices", "text", "number", "rating")  # to questions about a region


@dataclass(slots=True)
class _Region:
    """What has a time of its own, of all results with one id.

    Attributes:
        frames: (first, last) of stretches of it, from 1; None: no whole numbers.
        seconds: (start, end), where it counts these.
        counted: frames a second, where it says how many frames there are in how long.
    """

    labels: list[str] = field(default_factory=list)
    frames: list[tuple[int, int] | None] = field(default_factory=list)
    seconds: list[tuple[float | None, float | None]] = field(default_factory=list)
    counted: float | None = None
    subject: str = ""
    comments: list[str] = field(default_factory=list)
    score: float | None = None


def recognised(path: Path, start: str) -> bool:
    """Tell by the keys of tasks, in a list or one task."""
    has = sum(mark in start for mark in _MARKS) > 2 or all(mark in start for mark in _TIMELINE)
    return start.lstrip()[:1] in ("[", "{") and has


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read an export.

    A video that nobody has annotated, nor a model, was not watched.

    Args:
        path: the file.
        fps: frames a second, as Label Studio counted them; None: as the file says, or the video.

    Raises:
        DataError: it is no such file, or it counts frames and the rate is not known.
    """
    body = read_json(path)
    every = [
        an_object(path, f"task {number}", task)
        for number, task in enumerate(
            a_list(path, "tasks", [body] if isinstance(body, dict) else body), start=1
        )
    ]
    media = [_media(path, task) for task in every]
    if every and all(place is None for place in media):
        raise DataError(f"{path}: no task of it has a video or sound, so it has no labels in time")
    names = _names(media)
    found = Gathered(path)
    said: dict[str, bool] = {}
    for number, (task, place) in enumerate(zip(every, media, strict=True), start=1):
        where = f"task {a_text(task.get('id'))[:20] or number}"
        if place is None:
            found.odd("it has neither a video nor sound: left out", where)
            continue
        is_said = _take(path, where, task, names[place], fps, found)
        said[names[place]] = said.get(names[place], False) or is_said
    for video, is_said in said.items():
        if not is_said:
            found.watched(video, "tasks", 0.0, 0.0)
    return found.labels()


def _data(path: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Return a task's data: with JSON-MIN the task itself."""
    return an_object(path, "data", task["data"]) if "data" in task else task


def _media(path: Path, task: dict[str, Any]) -> str | None:
    """Return where a task's video lies, or else its sound: as the task says it."""
    texts = {name: value for name, value in _data(path, task).items() if isinstance(value, str)}
    if "video" in texts:
        return texts["video"]
    for suffixes in (VIDEO_SUFFIXES, _SOUND):
        for value in texts.values():
            if PurePosixPath(_path(value)).suffix.lower() in suffixes:
                return value
    return None


def _path(address: str) -> str:
    """Return the path of an address: of a file on the server's disk what it is called there."""
    if LOCAL_FILES in address:
        return unquote(address.partition(LOCAL_FILES)[2])
    try:
        return unquote(urlsplit(address).path) if "://" in address else address
    except ValueError:
        return address


def _names(media: Iterable[str | None]) -> dict[str, str]:
    """Return what recordings are called: uploaded files as before, unless two were called so."""
    called = {}
    for place in dict.fromkeys(place for place in media if place is not None):
        uploaded = _UPLOADED.search(_path(place))
        remote = "://" in place and LOCAL_FILES not in place
        called[place] = uploaded[1] if uploaded else place if remote else _path(place)
    counts = Counter(called.values())
    return {place: name if counts[name] == 1 else place for place, name in called.items()}


def _take(
    path: Path, where: str, task: dict[str, Any], video: str, fps: float | None, found: Gathered
) -> bool:
    """Take a task's annotations, or its predictions; returns whether it has any."""
    data = _data(path, task)
    annotations = [{"completed_by": task.get("annotator"), "result": _of_minimal(task)}]
    predictions: list[Any] = []
    if data is not task:
        annotations = a_list(path, where, task.get("annotations"))
        predictions = a_list(path, where, task.get("predictions"))
    annotations = [an_object(path, where, each) for each in annotations]
    kept = [each for each in annotations if not each.get("was_cancelled")]
    if len(kept) < len(annotations):
        found.odd("an annotation that was skipped: left out", where)
    if kept and predictions:
        found.odd("predictions beside an annotation: left out", where)
    said = [
        (each, _regions(path, where, each.get("result"), found))
        for each in kept or [an_object(path, where, each) for each in predictions]
    ]
    own = next((rate for name in _RATES if (rate := a_number(data.get(name)))), None)
    found.recording(
        video,
        fps=own,
        seconds=a_number(data.get("seconds")),
        group=one_line(a_text(data.get("group"))),
        split=split_called(a_text(data.get("split"))),
    )
    regions = [region for _, each in said for region in each]
    rate = _rate(path, where, video, regions, own or fps, found)
    for each, mine in said:
        for number, region in enumerate(mine, start=1):
            place = f"{where}, region {number}"
            if kept:
                who, sure = _annotator(each), None
            else:
                who = one_line(a_text(each.get("model_version")))
                sure = a_number(each.get("score")) if region.score is None else region.score
            _take_region(video, place, region, rate, who, sure, found)
    return bool(said)


def _rate(
    path: Path,
    where: str,
    video: str,
    regions: Iterable[_Region],
    known: float | None,
    found: Gathered,
) -> float | None:
    """Return how many frames a second the regions of a task count; None: they count none."""
    counting = [region for region in regions if region.frames]
    rate = next((region.counted for region in counting if region.counted), known)
    if rate is not None or not counting:
        return rate
    rate = rate_of(video, path.parent)
    found.recording(video, fps=rate)
    found.odd(
        "Label Studio counts frames as its labelling setup says, and the file does not say how: "
        f"taken are the video's {rate:.6g} a second; if the setup has another rate (24 where it "
        "names none), say it with --fps",
        where,
    )
    return rate


def _annotator(annotation: dict[str, Any]) -> str:
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    return one_line(a_text(by) or a_text(annotation.get("created_username")))


def _of_minimal(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of a task of JSON-MIN: lists of values, under the names of their tags."""
    return [
        {"from_name": name, "value": value}
        for name, values in task.items()
        if isinstance(values, list)
        for value in values
        if isinstance(value, dict)
    ]


def _regions(path: Path, where: str, result: Any, found: Gathered) -> list[_Region]:
    """Return what has a time, of results; those with one id are one."""
    together: dict[str, list[dict[str, Any]]] = {}
    for number, each in enumerate(a_list(path, where, result)):
        each = an_object(path, where, each)
        if each.get("type") != "relation":
            together.setdefault(a_text(each.get("id")) or f"#{number}", []).append(each)
    regions = []
    for results in together.values():
        region = _Region()
        for each in results:
            _add(path, where, region, each)
        if region.frames or region.seconds:
            regions.append(region)
        else:
            found.odd("a result without a time in a video: left out", where)
    return regions


def _add(path: Path, where: str, region: _Region, result: dict[str, Any]) -> None:
    """Add what a result says of its region."""
    value = an_object(path, where, result.get("value"))
    named = [n for n, labels in value.items() if n.endswith("labels") and isinstance(labels, list)]
    labels = [a_text(label) for name in named for label in value[name]]
    region.labels += [label for label in labels if label not in region.labels]
    meta = an_object(path, where, result.get("meta"))
    region.comments += _texts(meta.get("text"))
    region.subject = region.subject or a_text(meta.get("subject"))
    region.score = region.score if region.score is not None else a_number(result.get("score"))
    if not named:  # a question about it was answered
        tag = a_text(result.get("from_name"))
        told = [", ".join(_texts(value.get(answer))) for answer in _ANSWERS]
        region.comments += [f"{tag}: {each}" if tag else each for each in told if each]
    if region.frames or region.seconds:
        return  # another result has said its time
    if "ranges" in value:
        for span in a_list(path, where, value["ranges"]):
            span = an_object(path, where, span)
            first, last = _frame(span.get("start")), _frame(span.get("end"))
            region.frames.append(None if first is None or last is None else (first, last))
    elif "sequence" in value:
        count, duration = a_number(value.get("framesCount")), a_number(value.get("duration"))
        region.counted = count / duration if count and duration else None
        region.frames = _enabled(path, where, value["sequence"], _frame(count))
    elif "start" in value and not _is_text(value, named):
        region.seconds.append((a_number(value["start"]), a_number(value.get("end"))))


def _is_text(value: dict[str, Any], labels: list[str]) -> bool:
    """Tell whether a start and an end are characters, or times of a table."""
    return any(name in value for name in _OF_TEXT) or ("text" in value and bool(labels))


def _texts(value: Any) -> list[str]:
    return list(filter(None, map(a_text, value if isinstance(value, list) else [value])))


def _frame(value: Any) -> int | None:
    number = a_number(value)
    return None if number is None or number != int(number) else int(number)


def _enabled(
    path: Path, where: str, sequence: Any, count: int | None
) -> list[tuple[int, int] | None]:
    """Return the (first, last) frames in which a box is there.

    A key frame that is not enabled is the last one until the next; without one it stays.
    """
    keys = []
    for key in a_list(path, where, sequence):
        key = an_object(path, where, key)
        frame = _frame(key.get("frame"))
        if frame is None:
            return [None]
        keys.append((frame, key.get("enabled") is not False))
    keys.sort(key=lambda key: key[0])
    found: list[tuple[int, int] | None] = []
    first = None
    for frame, enabled in keys:
        first = frame if first is None else first
        if not enabled:
            found.append((first, frame))
            first = None
    if first is not None:
        found.append((first, max(count or 0, keys[-1][0])))
    return found


def _take_region(
    video: str,
    where: str,
    region: _Region,
    rate: float | None,
    annotator: str,
    confidence: float | None,
    found: Gathered,
) -> None:
    """Take the bouts of a region: one for each label and stretch."""
    spans = list(region.seconds)
    for frames in region.frames:
        if frames is None or rate is None:
            found.odd("a time that is no number of a frame: left out", where)
        elif frames[1] < frames[0]:
            found.odd("ends before it starts: left out, so its time has no label", where)
        else:
            spans.append((max(frames[0] - 1, 0) / rate, frames[1] / rate))
    for start, end in spans:
        for label in region.labels or [""]:
            found.bout(
                video,
                where,
                start,
                end,
                label,
                subject=region.subject,
                annotator=annotator,
                confidence=confidence,
                comment="; ".join(region.comments),
            )
