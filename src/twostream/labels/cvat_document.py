"""Writing CVAT's XML for videos: a track of a box for each bout, from its first frame to its last.

CVAT has no label without a shape, so a small box in the corner stands for one. Subject, annotator,
confidence and comment are attributes of it; CVAT keeps those that its task declares.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from twostream.labels.label_text import FIELDS, fields_of, plain
from twostream.labels.recordings import Bout, Labels, Recording

_BOX = {"xtl": "0.00", "ytl": "0.00", "xbr": "64.00", "ybr": "64.00", "z_order": "0"}
_DATE = "2000-01-01 00:00:00+00:00"  # when it was labelled is not known


def text(labels: Labels, suffix: str) -> str:
    """Return the annotations of one recording, which CVAT imports into a task of its video."""
    (recording,) = labels.recordings
    assert recording.fps is not None
    count = None if recording.seconds is None else round(recording.seconds * recording.fps)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    meta = SubElement(root, "meta")
    used = [name for name in FIELDS if any(fields_of(bout)[name] for bout in recording.bouts)]
    _task(meta, recording, count, labels.classes, used)
    SubElement(meta, "dumped").text = _DATE
    for number, bout in enumerate(recording.bouts):
        _track(root, number, bout, recording.fps, count)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _task(
    meta: Element,
    recording: Recording,
    count: int | None,
    classes: tuple[str, ...],
    used: list[str],
) -> None:
    """Describe the task; the frame rate is our own, which CVAT passes over."""
    assert recording.fps is not None
    facts = {"id": "1", "name": _writable(recording.video)}
    if count is not None:
        facts |= {"size": str(count)}
    facts |= {"mode": "interpolation", "overlap": "0", "bugtracker": ""}
    facts |= {"created": _DATE, "updated": _DATE, "subset": "default"}
    if count is not None:
        facts |= {"start_frame": "0", "stop_frame": str(count - 1)}
    facts |= {"frame_filter": "", "fps": plain(recording.fps)}
    task = SubElement(meta, "task")
    for name, value in facts.items():
        SubElement(task, name).text = value
    labels = SubElement(task, "labels")
    for name in classes:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "type").text = "rectangle"
        attributes = SubElement(label, "attributes")
        for field in used:
            attribute = SubElement(attributes, "attribute")
            declared = {"name": field, "mutable": "False", "input_type": "text"}
            for part, value in (declared | {"default_value": "", "values": ""}).items():
                SubElement(attribute, part).text = value
    SubElement(task, "source").text = _writable(recording.video)


def _track(root: Element, number: int, bout: Bout, fps: float, count: int | None) -> None:
    """Add a bout: a box in its first frame, and one outside after its last, if there is a frame."""
    first, after = round(bout.start_seconds * fps), round(bout.end_seconds * fps)
    facts = {"id": str(number), "label": bout.label, "source": "file"}
    track = SubElement(root, "track", facts)
    frames = [(first, "0")] + ([(after, "1")] if count is None or after < count else [])
    for frame, outside in frames:
        state = {"frame": str(frame), "keyframe": "1", "outside": outside, "occluded": "0"}
        box = SubElement(track, "box", state | _BOX)
        for name, value in fields_of(bout).items():
            if value:
                SubElement(box, "attribute", {"name": name}).text = value


def _writable(text: str) -> str:
    """Return a name without what XML cannot have."""
    return "".join("\ufffd" if each < " " or each in "\ufffe\uffff" else each for each in text)
