"""A BORIS project with other labels: what we do not read of it stays as BORIS wrote it.

Observations whose labels are the same stay as they are. Of the others the events are new; name,
date, description and variables stay, where the observation plays one video.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twostream.labels.recordings import Labels

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """What an observation is about.

    Attributes:
        videos: that it plays one after the other.
        annotator: who made it; "" for nobody.
        named: whether a variable of its own says so.
    """

    videos: tuple[str, ...]
    annotator: str
    named: bool


Told = Mapping[str, Observed]
# what of an observation goes by the clock that its events are on
_CLOCK = {
    "time offset": 0.0,
    "media_creation_date_as_offset": False,
    "observation time interval": [0, 0],
}


def merged(project: Json, made: Json, old: Told, new: Told, changed: set[str]) -> Json:
    """Return a project with new labels.

    Args:
        project: as it was read.
        made: one that has the new labels and nothing else.
        old, new: observation of ``project``, of ``made`` -> what it is about.
        changed: videos whose labels are not those of the project.
    """
    while more := {v for of in old.values() if changed & {*of.videos} for v in of.videos} - changed:
        changed = changed | more  # an observation of several videos is made anew whole
    bodies: Json = project["observations"]
    kept = {name: bodies[name] for name, of in old.items() if not changed & {*of.videos}}
    free = [name for name, of in old.items() if name not in kept and len(of.videos) == 1]
    for name, of in new.items():
        if not changed & {*of.videos}:
            continue
        body = made["observations"][name]
        mine = [each for each in free if old[each].videos == of.videos]
        same = [each for each in mine if old[each].annotator == of.annotator]
        known = next(iter(same), mine[0] if len(mine) == 1 and not of.annotator else None)
        if known is None:
            kept[_unused(name, {*kept, *old})] = body
        else:
            free.remove(known)
            kept[known] = _with_events(bodies[known], body, named=old[known].named)
    places = {name: number for number, name in enumerate(old)}  # new ones come last
    order = sorted(kept, key=lambda name: places.get(name, len(places)))
    variables = project.get("independent_variables") or {}
    labelled = {row.get("label") for row in variables.values()}
    used = {each for body in kept.values() for each in body.get("independent_variables") or {}}
    extra = [
        row for row in made["independent_variables"].values() if row["label"] in used - labelled
    ]
    return {
        **project,
        "behaviors_conf": _ethogram(project["behaviors_conf"], made["behaviors_conf"]),
        "subjects_conf": _subjects(project.get("subjects_conf") or {}, made["subjects_conf"]),
        "observations": {name: kept[name] for name in order},
        **({"independent_variables": _numbered([*variables.values(), *extra])} if extra else {}),
    }


def _with_events(old: Json, made: Json, *, named: bool) -> Json:
    """Return an observation with the events of another; it keeps who made it, where it says so."""
    values = old.get("independent_variables") or {}
    return {
        **old,
        **_CLOCK,
        "events": made["events"],
        "independent_variables": values if named else made["independent_variables"] | values,
    }


def changed_videos(before: Labels, after: Labels) -> set[str]:
    """Return the videos of which two say something else, or one nothing."""
    one, other = (
        {each.video: each.bouts for each in labels.recordings} for labels in (before, after)
    )
    return {video for video in {*one, *other} if one.get(video) != other.get(video)}


def _ethogram(old: Json, made: Json) -> Json:
    known: dict[str, Json] = {row.get("code", ""): row for row in old.values()}
    rows, new = list[Json](), list[Json](made.values())
    for row in new:
        before = known.get(row["code"], row)
        same = _is_point(before) == _is_point(row)
        rows.append({**before, "type": before["type"] if same else row["type"]})
    return _numbered(rows)


def _is_point(row: Json) -> bool:
    return str(row.get("type")).lower().startswith("point")


def _subjects(old: Json, made: Json) -> Json:
    known = {row.get("name") for row in old.values()}
    return _numbered([*old.values(), *(r for r in made.values() if r["name"] not in known)])


def _numbered(rows: list[Json]) -> Json:
    return {str(number): row for number, row in enumerate(rows)}


def _unused(name: str, taken: set[str]) -> str:
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name} ({count})"
    return unique
