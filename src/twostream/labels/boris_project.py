"""BORIS projects (.boris, packed .boris.gz): JSON with an ethogram and observations of events.

An event is a row [time, subject, behaviour code, modifiers, comment] and, since version 8.11, the
frame. A "Point event" is one row; a "State event" two, which begin and end it. Read are projects of
the versions 4 to 9 ("project_format_version" up to 7.0, which BORIS 7 to 9 write).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twostream.labels.boris_merge import can_merge, merged, same_pairs
from twostream.labels.boris_observation import (
    ANNOTATOR,
    ANNOTATORS,
    NOBODY,
    Event,
    Kind,
    Observation,
    named_annotators,
    observations_of,
    take_events,
)
from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds, kept
from twostream.labels.label_text import (
    a_list,
    a_number,
    a_text,
    an_object,
    read_json,
    with_confidence,
)
from twostream.labels.recordings import Bout, Labels, Recording, one_line
from twostream.types import DataError

PACKED = ".boris.gz"  # BORIS writes it since 7.9.15
HOLDS = Holds(
    title="BORIS project",
    suffixes=(".boris", PACKED),
    times="milliseconds",
    subjects=True,
    annotators=True,
    confidences=True,
    comments=True,
    overlaps=False,
    classes=True,
    several=True,
    names=True,
    length=True,
    fps=True,
)
_DATE = "2000-01-01T00:00:00"  # of an observation: the day that it was made is not known
_WHO = {"label": ANNOTATOR, "description": "who says so", "type": "text"}  # a variable
_WHO |= {"default value": "", "possible values": ""}


def recognised(path: Path, start: str) -> bool:
    """Tell by the suffix, or by keys that only a project has."""
    marks = ('"behaviors_conf"', '"subjects_conf"', '"project_format_version"', '"observations"')
    has = sum(mark in start for mark in marks)
    named = path.name.lower().endswith(HOLDS.suffixes)
    return start.lstrip().startswith("{") and (named or has > 1)


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read a project: every observation, on the clock of its videos.

    Two observations of one video are two annotators. An observation without a video (live) is
    called as it is. A "limit to a time interval" is what was watched.
    """
    return _labels(path, _parsed(path))


def _parsed(path: Path) -> dict[str, Any]:
    project = an_object(path, "a project", read_json(path))
    if "behaviors_conf" not in project or "observations" not in project:
        raise DataError(f"{path} is no BORIS project: it has no behaviors_conf and observations")
    return project


def _labels(path: Path, project: dict[str, Any]) -> Labels:
    kinds = _ethogram(path, project)
    found = Gathered(path)
    observed = _observed(path, project)
    bodies = {name: an_object(path, name, project["observations"][name]) for name in observed}
    # who looked at all of a video makes what the others say count beyond their stretches too
    whole = [name for name, body in bodies.items() if _interval(path, body) == (0, 0)]
    in_full = {video for name in whole for video in observed[name].videos}
    for name, body in bodies.items():
        observation = observed[name]
        if observation.videos != ("",) and not _videos(path, body):
            found.odd("it has no video, and is called as it is", f"observation {name}")
        observation.begin(found)
        _watched(_interval(path, body), observation, in_full, found)
        players = an_object(path, "file", body.get("file") or None)
        if any(files for player, files in players.items() if player != "1"):
            said = "other players show the same time: the labels are for player 1's video"
            found.odd(said, f"observation {name}")
        take_events(observation, _events(path, name, body, kinds, found), found)
    points = [code for code, kind in kinds.items() if kind == "point"]
    return found.labels(kinds, points)


def _observed(path: Path, project: dict[str, Any]) -> dict[str, Observation]:
    """Return the observations by their ids."""
    observations = an_object(path, "observations", project["observations"])
    bodies = [an_object(path, name, body) for name, body in observations.items()]
    given = [_annotator(path, project, body) for body in bodies]
    videos = [_videos(path, body) for body in bodies]
    unnamed = not any(videos) and all(body.get("type") == "MEDIA" for body in bodies)
    called = [
        mine or ("" if unnamed else one_line(name),)
        for name, mine in zip(observations, videos, strict=True)
    ]
    annotators = named_annotators(list(observations), called, given)
    found = {}
    for name, body, mine, annotator, said in zip(
        observations, bodies, called, annotators, given, strict=True
    ):
        media = an_object(path, "media_info", body.get("media_info"))
        lengths = an_object(path, "length", media.get("length"))
        rates = an_object(path, "fps", media.get("fps"))
        found[name] = Observation(
            path,
            name,
            mine,
            tuple(a_number(lengths.get(video)) for video in mine),
            tuple(a_number(rates.get(video)) for video in mine),
            _offset(path, body, media, mine),
            annotator,
            bool(said),
        )
    return found


def _ethogram(path: Path, project: dict[str, Any]) -> dict[str, Kind]:
    """Return "point" or "state" of each behaviour, in the ethogram's order."""
    conf = an_object(path, "behaviors_conf", project["behaviors_conf"])
    rows = sorted(conf.items(), key=lambda item: (a_number(item[0]) or 0.0, item[0]))
    kinds: dict[str, Kind] = {}
    for _, row in rows:
        row = an_object(path, "a behaviour", row)
        is_point = a_text(row.get("type")).lower().startswith("point")
        if code := a_text(row.get("code")):
            kinds[code] = "point" if is_point else "state"
    return kinds


def _annotator(path: Path, project: dict[str, Any], body: dict[str, Any]) -> str | None:
    """Return who an observation says made it; None where no variable is about that."""
    values = an_object(path, "independent_variables", body.get("independent_variables"))
    for name, value in values.items():
        if name.lower() in ANNOTATORS:
            return one_line(a_text(value))
    return None


def _videos(path: Path, body: dict[str, Any]) -> tuple[str, ...]:
    """Return the videos that player 1 plays, one after the other."""
    if not body.get("file"):  # none, or a list, of live observations
        return ()
    players = an_object(path, "file", body["file"])
    return tuple(filter(None, map(a_text, a_list(path, "file", players.get("1")))))


def _offset(
    path: Path, body: dict[str, Any], media: dict[str, Any], videos: tuple[str, ...]
) -> float:
    """Return what the clock shows when the first video starts."""
    offset = a_number(body.get("time offset")) or 0.0
    if body.get("media_creation_date_as_offset"):
        made = an_object(path, "media_creation_time", media.get("media_creation_time"))
        offset += a_number(made.get(videos[0])) or 0.0
    return offset


def _interval(path: Path, body: dict[str, Any]) -> tuple[float, float]:
    """Return where an observation begins and ends, in seconds; (0, 0): it is of all."""
    interval = a_list(path, "observation time interval", body.get("observation time interval"))
    start, end = ([a_number(each) or 0.0 for each in interval] + [0.0, 0.0])[:2]
    return start, end


def _watched(
    interval: tuple[float, float], observation: Observation, in_full: set[str], found: Gathered
) -> None:
    start, end = interval
    if not start and not end:
        return
    length = observation.lengths[0]
    if len(observation.videos) > 1 or (not end and not length):
        found.odd("its time interval is not used", f"observation {observation.name}")
        return
    if observation.videos[0] in in_full:
        found.odd(
            "its time interval is not used: another observation is of the whole video",
            f"observation {observation.name}",
        )
        return
    found.watched(observation.videos[0], f"observation {observation.name}", start, end or length)


def _events(
    path: Path, name: str, body: dict[str, Any], kinds: dict[str, Kind], found: Gathered
) -> list[Event]:
    events = []
    for number, row in enumerate(a_list(path, "events", body.get("events")), start=1):
        where = f"observation {name}, event {number}"
        cells = a_list(path, where, row)
        if len(cells) < 3:
            raise DataError(f"{path}, {where}: expected time, subject and behaviour, got {cells}")
        subject, code, modifiers, comment = (a_text(cell) for cell in (*cells[1:5], "", "")[:4])
        if code not in kinds:
            found.odd(
                f"{code or 'no behaviour'} is not in the ethogram, so whether it lasts is not "
                "known: left out",
                where,
            )
            continue
        subject = "" if subject == NOBODY else subject
        kind = kinds[code]
        events.append(Event(a_number(cells[0]), subject, code, modifiers, comment, kind, where))
    return events


def text(labels: Labels, suffix: str) -> str | bytes:
    """Return a project that BORIS 7 to 9 opens: an observation for each video and annotator."""
    return _packed(_project(labels), suffix)


def text_with(path: Path, labels: Labels, suffix: str = ".boris") -> str | bytes:
    """Return the project that lies there with other labels, see ``boris_merge``.

    Where it is of a kind that would then say anything else, it is made anew.

    Raises:
        DataError: there is no such project.
    """
    held = kept(labels, HOLDS)
    project, made = _parsed(path), _project(held)
    if can_merge(project):
        old, new = _observed(path, project), _observed(path, made)
        same = same_pairs(_labels(path, project), labels)
        found = merged(project, made, old, new, same)
        if _says(_labels(path, found)) == _says(held):
            return _packed(found, suffix)
    return _packed(made, suffix)


def _says(labels: Labels) -> tuple[object, ...]:
    by_video = {recording.video: recording for recording in labels.recordings}
    return by_video, labels.points, frozenset(labels.classes)


def _packed(project: dict[str, Any], suffix: str) -> str | bytes:
    text = json.dumps(project, indent=1) + "\n"  # ASCII: BORIS reads it as its system has it
    return gzip.compress(text.encode(), mtime=0) if suffix == PACKED else text


def _project(labels: Labels) -> dict[str, Any]:
    observed = observations_of(labels)
    who = any(annotator for _, annotator, _ in observed.values())
    observations = {}
    for name, (recording, annotator, bouts) in observed.items():
        observations[name] = _observation(recording, bouts, labels.points)
        if who:
            observations[name]["independent_variables"] = {ANNOTATOR: annotator}
    subjects = sorted({bout.subject for *_, bouts in observed.values() for bout in bouts} - {""})
    return {
        "time_format": "hh:mm:ss",
        "project_date": _DATE,
        "project_name": "",
        "project_description": "",
        "project_format_version": "7.0",
        "subjects_conf": {
            str(i): {"key": "", "name": name, "description": ""} for i, name in enumerate(subjects)
        },
        "independent_variables": {"0": _WHO} if who else {},
        "behaviors_conf": {
            str(i): _behaviour(name, name in labels.points) for i, name in enumerate(labels.classes)
        },
        "behavioral_categories": [],
        "behaviors_coding_map": [],
        "coding_map": {},
        "converters": {},
        "observations": observations,
    }


def _behaviour(name: str, is_point: bool) -> dict[str, Any]:
    return {
        "type": "Point event" if is_point else "State event",
        "key": "",
        "code": name,
        "description": "",
        "color": "",
        "category": "",
        "modifiers": "",
        "excluded": "",
        "coding map": "",
    }


def _observation(
    recording: Recording, bouts: Iterable[Bout], points: frozenset[str]
) -> dict[str, Any]:
    events: list[list[Any]] = []
    for bout in bouts:
        comment = with_confidence(bout.comment, bout.confidence)
        events.append([bout.start_seconds, bout.subject, bout.label, "", comment])
        if bout.label not in points:
            events.append([bout.end_seconds, bout.subject, bout.label, "", ""])
    events.sort(key=lambda event: event[0])  # of equal times the earlier bout's stay first
    video, length, fps = recording.video, recording.seconds, recording.fps
    has = {"hasVideo": {video: True}, "hasAudio": {video: False}} if video else {}
    return {
        "file": {"1": [video] if video else []},
        "type": "MEDIA",
        "date": _DATE,
        "description": "",
        "time offset": 0.0,
        "events": events,
        "observation time interval": [0, 0],
        "independent_variables": {},
        "close_behaviors_between_videos": False,
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "media_info": {
            "length": {} if length is None else {video: length},
            "fps": {} if fps is None else {video: fps},
            **has,
            "offset": {"1": 0.0},
        },
    }
