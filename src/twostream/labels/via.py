"""VIA 3 projects (.json): the VGG Image Annotator's, whose temporal segments are bouts.

A project has files, views (what is looked at together) and metadata: pieces with a time `z` in
seconds, maybe a region `xy`, and values of attributes. A piece with two times and no region is a
temporal segment. Read are projects of the formats 3.1.0 and 3.1.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_text import (
    FIELDS,
    a_list,
    a_number,
    a_text,
    an_object,
    fields_of,
    read_json,
)
from twostream.labels.recordings import Labels, one_line
from twostream.types import DataError

HOLDS = Holds(
    title="VIA 3 project",
    suffixes=(".json",),
    subjects=True,
    annotators=True,
    confidences=True,
    comments=True,
    classes=True,
    several=True,
    names=True,
)
_PARTS = ("project", "attribute", "file", "view", "metadata")
_MARKS = ('"data_format_version"', '"loc_prefix"', '"fid_list"', '"anchor_id"', '"vid_list"')
_OLD_MARKS = ('"_via_settings"', '"_via_img_metadata"', '"_via_attributes"')
_OF_SEGMENTS = ("FILE1_Z2_XY0", "FILE1_Z1_XY0")  # attributes of times without a region
_LABELS = ("label", "activity", "action", "behavior", "behaviour", "class", "event")
_POINTS = "point_events"  # our own: options of the label that have no duration
_TEXT, _CHECKBOX, _SELECT = 1, 2, 4  # kinds of attributes
_VIDEO, _AUDIO = 4, 8  # kinds of files
_LOCAL, _WEB, _INLINE = 1, 2, 4  # where a file is


@dataclass(frozen=True, slots=True)
class _Attribute:
    name: str
    kind: int
    options: Mapping[str, str]  # id -> value
    points: frozenset[str]

    def values(self, value: Any) -> list[str]:
        """Return what a piece has of it: several of a checkbox; options by their ids."""
        said = one_line(a_text(value))
        parts = [part.strip() for part in said.split(",")] if self.kind == _CHECKBOX else [said]
        return [self.options.get(part, part) for part in parts if part]


def recognised(path: Path, start: str) -> bool:
    """Tell by two of a project's keys; those of VIA 2 too, which reading refuses."""
    marks = max(sum(mark in start for mark in marks) for marks in (_MARKS, _OLD_MARKS))
    return start.lstrip().startswith("{") and marks > 1


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read the temporal segments of a project.

    The attribute of segments that is called as a label is, or else the first, is the label.
    "subject", "annotator", "confidence" and "comment" are these, others comments.
    """
    project = an_object(path, "a project", read_json(path))
    if any(mark.strip('"') in project for mark in _OLD_MARKS):
        raise DataError(
            f"{path} is a project of VIA 2, which labels pictures and has no times: label the "
            "video in VIA 3"
        )
    if missing := [part for part in _PARTS if part not in project]:
        raise DataError(f"{path} is no project of VIA 3: it has no {missing[0]}")
    about = an_object(path, "project", project["project"])
    version = a_text(about.get("data_format_version"))
    if version and not version.startswith("3."):
        raise DataError(f"{path} is of the format {version[:20]} of VIA, expected 3.1")
    found = Gathered(path)
    views = _views(path, project, found)
    for video in dict.fromkeys(views.values()):
        if video is not None:
            found.recording(video)
    attributes = _attributes(path, project)
    label, notes = _label(path, attributes)
    for name, piece in an_object(path, "metadata", project["metadata"]).items():
        _take(path, f"segment {name[:40]}", piece, views, attributes, label, found)
    if label is None:
        return found.labels()
    of_label = attributes[label]
    return found.labels(of_label.options.values(), of_label.points, notes)


def _views(path: Path, project: dict[str, Any], found: Gathered) -> dict[str, str | None]:
    """Return the video that each view shows; None where it shows none."""
    files = an_object(path, "file", project["file"])
    config = an_object(path, "config", project.get("config"))
    of_files = an_object(path, "config of files", config.get("file"))
    places = an_object(path, "loc_prefix", of_files.get("loc_prefix"))
    views: dict[str, str | None] = {}
    for name, view in an_object(path, "view", project["view"]).items():
        shown = a_list(path, "fid_list", an_object(path, "a view", view).get("fid_list"))
        bodies = [an_object(path, "a file", files.get(a_text(each))) for each in shown]
        timed = [each for each in bodies if each.get("type") in (_VIDEO, _AUDIO)]
        views[name] = _video(timed[0], places) if timed else None
        if len(timed) > 1:
            found.odd(f"it shows several videos: the labels are for {views[name]}", f"view {name}")
    return views


def _video(file: dict[str, Any], places: dict[str, Any]) -> str:
    place = file.get("loc")
    if place in (_LOCAL, _INLINE) or not a_text(file.get("src")):
        return a_text(file.get("fname"))
    return a_text(places.get(str(place))) + a_text(file.get("src"))


def _attributes(path: Path, project: dict[str, Any]) -> dict[str, _Attribute]:
    """Return the attributes of segments, by their ids."""
    found = {}
    for name, body in an_object(path, "attribute", project["attribute"]).items():
        body = an_object(path, "an attribute", body)
        if body.get("anchor_id", _OF_SEGMENTS[0]) not in _OF_SEGMENTS:
            continue
        options = {
            key: one_line(a_text(value))
            for key, value in an_object(path, "options", body.get("options") or None).items()
        }
        points = map(a_text, a_list(path, _POINTS, body.get(_POINTS)))
        found[name] = _Attribute(
            one_line(a_text(body.get("aname"))),
            int(a_number(body.get("type")) or _TEXT),
            options,
            frozenset(options[key] for key in points if key in options),
        )
    return found


def _label(path: Path, attributes: Mapping[str, _Attribute]) -> tuple[str | None, list[str]]:
    """Return the id of the attribute that is the label, and a note where others may be, too."""
    free = [each for each in attributes if attributes[each].name.lower() not in FIELDS]
    if not free:
        return None, []
    called = [each for each in free if attributes[each].name.lower() in _LABELS]
    label = min(called, key=lambda each: _LABELS.index(attributes[each].name.lower()), default="")
    label = label or free[0]
    others = [attributes[each].name for each in free if each != label]
    if not others:
        return label, []
    taken, left = attributes[label].name, ", ".join(others)
    return label, [f"{path}: {taken} is taken for the label, {left} for comments"]


def _take(
    path: Path,
    where: str,
    piece: Any,
    views: Mapping[str, str | None],
    attributes: Mapping[str, _Attribute],
    label: str | None,
    found: Gathered,
) -> None:
    """Take a piece of metadata if it is a segment, or note why not."""
    piece = an_object(path, where, piece)
    times = a_list(path, where, piece.get("z"))
    video = views.get(a_text(piece.get("vid")))
    if not times or (video is None and a_text(piece.get("vid")) in views):
        return  # about a file, or of pictures
    if video is None:
        found.odd("it belongs to no video: left out", where)
        return
    if piece.get("xy"):
        found.odd("a region of a picture, which has no duration: left out", where)
        return
    if len(times) > 2:
        found.odd(f"it has {len(times)} times, not a start and an end: left out", where)
        return
    values = an_object(path, where, piece.get("av") or None)
    said = {key: each.values(values.get(key)) for key, each in attributes.items()}
    fields = {each.name.lower(): ", ".join(said[key]) for key, each in attributes.items()}
    more = [
        f"{each.name}: {', '.join(said[key])}"
        for key, each in attributes.items()
        if said[key] and key != label and each.name.lower() not in FIELDS
    ]
    for name in (said[label] if label is not None else []) or [""]:
        found.bout(
            video,
            where,
            a_number(times[0]),
            a_number(times[-1]),
            name,
            subject=fields.get("subject", ""),
            annotator=fields.get("annotator", ""),
            confidence=a_number(fields.get("confidence")),
            comment="; ".join(filter(None, (fields.get("comment", ""), *more))),
        )


def text(labels: Labels, suffix: str) -> str:
    """Return a project that VIA 3 opens: a view for each video."""
    options = {name: str(i) for i, name in enumerate(labels.classes, start=1)}
    attributes: dict[str, dict[str, Any]] = {
        "1": _attribute("label", _SELECT, {key: name for name, key in options.items()})
    }
    points = [key for name, key in options.items() if name in labels.points]
    if points:
        attributes["1"][_POINTS] = points
    bouts = [bout for recording in labels.recordings for bout in recording.bouts]
    used = [name for name in FIELDS if any(fields_of(bout)[name] for bout in bouts)]
    keys = {name: str(i) for i, name in enumerate(used, start=2)}
    attributes |= {key: _attribute(name, _TEXT, {}) for name, key in keys.items()}
    files, views, metadata = {}, {}, {}
    for number, recording in enumerate(labels.recordings, start=1):
        view = str(number)
        files[view] = _file(view, recording.video)
        views[view] = {"fid_list": [view]}
        for i, bout in enumerate(recording.bouts, start=1):
            values = {keys[name]: said for name, said in fields_of(bout).items() if said}
            metadata[f"{view}_{i:08d}"] = {
                "vid": view,
                "flg": 0,
                "z": [bout.start_seconds, bout.end_seconds],
                "xy": [],
                "av": {"1": options[bout.label]} | values,
            }
    project = {
        "project": _about(list(views)),
        "config": {
            "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
            "ui": {
                "file_content_align": "center",
                "file_metadata_editor_visible": True,
                "spatial_metadata_editor_visible": False,
                "temporal_segment_metadata_editor_visible": True,
                "spatial_region_label_attribute_id": "",
                "gtimeline_visible_row_count": "4",
            },
        },
        "attribute": attributes,
        "file": files,
        "metadata": metadata,
        "view": views,
    }
    return json.dumps(project, ensure_ascii=False) + "\n"


def _about(views: Sequence[str]) -> dict[str, Any]:
    """Return what a project says of itself; the marks stand for one that no server keeps."""
    return {
        "pid": "__VIA_PROJECT_ID__",
        "rev": "__VIA_PROJECT_REV_ID__",
        "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
        "pname": "twostream",
        "creator": "twostream",
        "created": 0,  # when it was labelled is not known
        "data_format_version": "3.1.1",
        "vid_list": list(views),
    }


def _attribute(name: str, kind: int, options: dict[str, str]) -> dict[str, Any]:
    return {
        "aname": name,
        "anchor_id": _OF_SEGMENTS[0],
        "type": kind,
        "desc": "",
        "options": options,
        "default_option_id": "",
    }


def _file(number: str, video: str) -> dict[str, Any]:
    """Return a file's entry: one that VIA asks the user for, or one of the web."""
    web = video.startswith(("http://", "https://"))
    place = {"loc": _WEB if web else _LOCAL, "src": video if web else ""}
    return {"fid": number, "fname": video, "type": _VIDEO} | place
