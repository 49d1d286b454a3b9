"""CVAT's XML (version 1.1): "CVAT for video", and "CVAT for images" of a video's frames.

A track is an object; its shapes say in which frames it is seen (`outside="0"`) and from which on it
is not. Between two shapes it goes on as the earlier one says. Images have shapes and tags of their
own; frames in a row with one label are a bout. Frames are numbered in the video, from 0, whatever
part of it the task takes.

A label is what is done, unless it has an attribute "action" or the like: then that is, and the
label is who does it. How many frames a second has is not in CVAT's files: it is told, or read from
the video.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from twostream.labels.cvat_document import text as text
from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_text import FIELDS, number, read_xml
from twostream.labels.recordings import Labels, one_line
from twostream.labels.video_facts import find_video, length_of, rate_of
from twostream.types import DataError

HOLDS = Holds(
    title="CVAT video annotations",
    suffixes=(".xml",),
    times="frames",
    subjects=True,
    annotators=True,
    confidences=True,
    comments=True,
    points=False,
    classes=True,
    names=True,
    length=True,
    fps=True,
)
_ACTIONS = ("action", "activity", "behavior", "behaviour")
_NOTHING = "__undefined__"  # as CVAT's documentation calls a value that is not set
_STEP = re.compile(r"\s*step\s*=\s*(\d{1,6})\s*")
_MOST_FRAME = 10**9
SAME_END_SECONDS = 1.0  # by which containers and counts of frames differ


@dataclass(frozen=True, slots=True)
class _Task:
    """A task, or a job of one.

    Attributes:
        name: its id.
        video: file name; "" where it says none.
        first: the first frame of the video that it takes; each ``step``-th follows.
        after: the frame after its last; None: it does not say.
        shift: what a project's frame numbers are larger by.
        fps: of the video.
        length: of the video in seconds; None: it is not there or does not say.
    """

    name: str
    video: str
    annotator: str
    first: int
    step: int
    after: int | None
    shift: int
    fps: float
    length: float | None

    def seconds(self, frame: int) -> float:
        """Return the time of a frame, by its number in the file."""
        return (frame - self.shift) / self.fps

    @property
    def is_part(self) -> bool:
        """Whether it takes a part of its video."""
        if self.after is None:
            return False
        longer = self.length is not None and self.length > self.after / self.fps + SAME_END_SECONDS
        return self.first > 0 or longer

    @property
    def end(self) -> int | None:
        """The number of the frame where a track ends that goes on: the task's, or the video's."""
        if self.after is not None:
            return self.after + self.shift
        return None if self.length is None else round(self.length * self.fps) + self.shift


@dataclass(slots=True)
class _Seen:
    """What an object is seen as over some frames."""

    first: int
    after: int
    label: str
    fields: Mapping[str, str]
    comments: dict[str, None] = field(default_factory=dict)


def recognised(path: Path, start: str) -> bool:
    """Tell by the document's element, and one that follows."""
    marks = ("<version>1.", "<task>", "<job>", "<project>", "<track ", "<image ")
    return "<annotations" in start and any(mark in start for mark in marks)


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read annotations of a task, a job or a project.

    A task that takes a part of the video: the rest was not watched.

    Args:
        path: the file.
        fps: frames a second; None: those of the video, which lies beside it.

    Raises:
        DataError: it is no such file, or the rate is not known.
    """
    root = read_xml(path)
    version = root.findtext("version", "1.1").strip()
    if root.tag != "annotations":
        raise DataError(f"{path} is no annotation file of CVAT: it is a {root.tag[:60]}")
    if not version.startswith("1."):
        raise DataError(f"{path} is of version {version[:20]} of CVAT's format, expected 1.1")
    found = Gathered(path)
    tasks = _tasks(path, root, fps)
    _begin(tasks.values(), found)
    actions, classes = _declared(root)
    kinds = {"track": _of_track, "image": _of_image}
    frames: dict[str, list[_Seen]] = {}
    only = next(iter(tasks.values())) if len(tasks) == 1 else None
    for place, element in enumerate(root):
        if element.tag not in kinds:
            continue
        where = f"{element.tag} {element.get('id', str(place))[:20]}"
        task = tasks.get(element.get("task_id", ""), only)
        if task is None:
            found.odd("it belongs to no task of the file: left out", where)
            continue
        seen = kinds[element.tag](task, where, element, actions, found)
        if element.tag == "image":
            frames.setdefault(task.name, []).extend(seen)
        else:
            _take(task, where, _in_a_row(seen), found)
    for name, seen in frames.items():
        _take(tasks[name], "images", _in_a_row(seen), found)
    return found.labels(classes)


def _tasks(path: Path, root: Element, fps: float | None) -> dict[str, _Task]:
    """Return the tasks by their ids; one that knows nothing where nothing is said."""
    meta = root.find("meta")
    meta = Element("meta") if meta is None else meta
    several = meta.findall("project/tasks/task")
    found: dict[str, _Task] = {}
    shift, subset = 0, None
    for node in several or meta.findall("task") or meta.findall("job") or [Element("task")]:
        filtered = _STEP.fullmatch(node.findtext("frame_filter", ""))
        step = max(1, int(filtered[1])) if filtered else 1
        first = _whole(node.findtext("start_frame")) or 0
        last, size = _whole(node.findtext("stop_frame")), _whole(node.findtext("size"))
        video = node.findtext("source") or meta.findtext("source") or ""
        if several and node.findtext("subset") != subset:  # a project numbers on within a subset
            shift, subset = 0, node.findtext("subset")
        after = None if last is None else last + 1
        if last is None and size is not None:
            after = first + size * step
        beside = video or (path.stem if find_video(path.stem, path.parent) else "")
        task = _Task(
            node.findtext("id", ""),
            video,
            one_line(node.findtext("assignee/username", "")),
            first,
            step,
            after,
            shift,
            number(node.findtext("fps", "")) or fps or rate_of(beside, path.parent),
            length_of(beside, path.parent),
        )
        if task.name in found:
            raise DataError(f"{path}: two tasks have the id {task.name[:20]!r}")
        found[task.name] = task
        shift += first + step * (size or 0) if several else 0
    return found


def _whole(text_: str | None) -> int | None:
    value = number(text_ or "")
    if value is None or value != int(value) or abs(value) > _MOST_FRAME:
        return None
    return int(value)


def _begin(tasks: Iterable[_Task], found: Gathered) -> None:
    """Begin the recordings: how long they are, or what of them was watched."""
    in_parts = {task.video for task in tasks if task.is_part}
    for task in tasks:
        found.recording(task.video, fps=task.fps)
        if task.after is None:
            continue
        start, end = task.first / task.fps, max(0, task.after) / task.fps
        if task.video in in_parts:
            found.watched(task.video, f"task {task.name[:20]}", start, end)
        else:
            found.recording(task.video, seconds=end)


def _declared(root: Element) -> tuple[dict[str, str], list[str]]:
    """Return label -> its attribute that is the action, and the classes."""
    actions, classes = {}, list[str]()
    for label in root.iterfind("meta/*/labels/label"):
        name = label.findtext("name", "")
        if label.findtext("parent"):
            continue  # a part of a skeleton
        attributes = {
            each.findtext("name", ""): each.findtext("values", "")
            for each in label.iterfind("attributes/attribute")
        }
        action = next((each for each in attributes if each.lower() in _ACTIONS), None)
        if action is None:
            classes.append(name)
        else:
            actions[name] = action
            classes += [each for each in attributes[action].split("\n") if each != _NOTHING]
    return actions, classes


def _said(
    element: Element, label: str, actions: Mapping[str, str]
) -> tuple[str, dict[str, str], dict[str, None]]:
    """Return a shape's label, its subject, annotator and confidence, and its comments."""
    values = {
        each.get("name", ""): one_line(each.text or "") for each in element.iterfind("attribute")
    }
    action = actions.get(label) or next((n for n in values if n.lower() in _ACTIONS), None)
    fields = {name: values.get(name, "") for name in FIELDS if name != "comment"}
    comments = {values["comment"]: None} if values.get("comment") else {}
    for name, value in values.items():
        if name not in FIELDS and name != action and value:
            comments[f"{name}: {value}"] = None
    if action is None:
        return label, fields, comments
    fields["subject"] = fields["subject"] or label
    value = values.get(action, "")
    return "" if value == _NOTHING else value, fields, comments


def _of_track(
    task: _Task, where: str, track: Element, actions: Mapping[str, str], found: Gathered
) -> list[_Seen]:
    """Return what a track shows, one after the other."""
    shapes = []
    for shape in track:
        frame = _whole(shape.get("frame"))
        if frame is None:
            found.odd("a shape without a frame number: left out", where)
            continue
        shapes.append((frame, shape))
    shapes.sort(key=lambda each: each[0])
    if shapes and task.end is None and not _outside(shapes[-1][1]):
        found.odd("it has no end, nor the task: it ends with its last shape", where)
    seen: list[_Seen] = []
    for place, (frame, shape) in enumerate(shapes):
        last = place + 1 == len(shapes)
        after = max(task.end or 0, frame + task.step) if last else shapes[place + 1][0]
        if _outside(shape) or after == frame:
            continue
        seen.append(_Seen(frame, after, *_said(shape, track.get("label", ""), actions)))
    return seen


def _outside(shape: Element) -> bool:
    """Tell whether a shape is not seen; a skeleton is not when none of its points is."""
    points = [each for each in shape if each.get("outside") is not None]
    states = points if shape.get("outside") is None and points else [shape]
    return all(each.get("outside", "0").lower() in ("1", "true") for each in states)


def _of_image(
    task: _Task, where: str, image: Element, actions: Mapping[str, str], found: Gathered
) -> list[_Seen]:
    """Return what the shapes and tags of an image show."""
    frame = _whole(image.get("id"))
    if frame is None:
        found.odd("an image without a frame number: left out", where)
        return []
    return [
        _Seen(frame, frame + task.step, *_said(each, each.get("label", ""), actions))
        for each in image
        if each.get("label") is not None
    ]


def _in_a_row(seen: Iterable[_Seen]) -> Sequence[_Seen]:
    """Join what consecutive frames show alike; two of a kind in one frame are one."""
    rows: dict[tuple[str, ...], list[_Seen]] = {}
    for each in sorted(seen, key=lambda each: each.first):
        mine = rows.setdefault((each.label, *each.fields.values()), [])
        if mine and each.first <= mine[-1].after:
            mine[-1].after = max(mine[-1].after, each.after)
            mine[-1].comments |= each.comments
        else:
            mine.append(each)
    return [each for mine in rows.values() for each in mine]


def _take(task: _Task, where: str, seen: Iterable[_Seen], found: Gathered) -> None:
    for each in seen:
        found.bout(
            task.video,
            f"{where}, frame {each.first}",
            task.seconds(each.first),
            task.seconds(each.after),
            each.label,
            subject=each.fields["subject"],
            annotator=each.fields["annotator"] or task.annotator,
            confidence=number(each.fields["confidence"]),
            comment="; ".join(each.comments),
        )
