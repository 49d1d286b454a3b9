"""A BORIS project with other labels: what we do not read of it stays as BORIS wrote it.

Observations whose labels are the same stay as they are. Of the others that play one video the
events are new; name, date, description and variables stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twostream.labels.boris_observation import Observation
from twostream.labels.holds import unused_name
from twostream.labels.recordings import Labels

Json = dict[str, Any]
Pair = tuple[str, str]  # video and annotator
# events of ours count from the first frame
_OUR_CLOCK = {
    "time offset": 0.0,
    "media_creation_date_as_offset": False,
    "observation time interval": [0, 0],
}


def can_merge(project: Json) -> bool:
    """Tell whether the parts of a project are what they are in BORIS 7 to 9."""
    tables = [
        project.get(name) or {}
        for name in ("behaviors_conf", "observations", "subjects_conf", "independent_variables")
    ]
    return all(
        isinstance(table, dict) and all(isinstance(row, dict) for row in table.values())
        for table in tables
    )


def merged(
    project: Json,
    made: Json,
    old: Mapping[str, Observation],
    new: Mapping[str, Observation],
    same: set[Pair],
) -> Json:
    """Return a project with new labels.

    Args:
        project: as it was read.
        made: one that has the new labels and nothing else, each observation of one video.
        old, new: observation of ``project``, of ``made`` -> what it is about.
        same: videos and annotators whose labels are the same in both.
    """
    bodies: Json = project["observations"] or {}
    as_before = {name for name, of in old.items() if of.pairs <= same}
    done = {pair for name in as_before for pair in old[name].pairs}
    videos = {video for of in new.values() for video in of.videos}
    others = [
        name
        for name, of in old.items()
        if name not in as_before and len(of.videos) == 1 and of.videos[0] in videos
    ]
    found = {name: bodies[name] for name in as_before}
    # of others only the events go; one that has its video's new ones gets them
    found |= {name: {**bodies[name], **_OUR_CLOCK, "events": []} for name in others}
    for name, of in new.items():
        body = made["observations"][name]
        if of.pairs <= done or (
            not body["events"] and any(old[n].videos == of.videos for n in others)
        ):
            continue
        if known := next((each for each in others if old[each].pairs == of.pairs), None):
            found[known] = _with_events(bodies[known], body, named=old[known].named)
        else:
            found[unused_name(name, {*found, *old})] = body
    places = {name: number for number, name in enumerate(old)}  # new ones come last
    order = sorted(found, key=lambda name: places.get(name, len(places)))
    return {
        **project,
        "behaviors_conf": _ethogram(project["behaviors_conf"] or {}, made["behaviors_conf"]),
        "subjects_conf": _subjects(project.get("subjects_conf") or {}, made["subjects_conf"]),
        "observations": {name: found[name] for name in order},
        **_variables(project, made, found),
    }


def same_pairs(before: Labels, after: Labels) -> set[Pair]:
    """Return the videos and annotators of which two say the same."""
    one, other = (
        {
            (each.video, name): [bout for bout in each.bouts if bout.annotator == name]
            for each in labels.recordings
            for name in {"", *(bout.annotator for bout in each.bouts)}
        }
        for labels in (before, after)
    )
    return {pair for pair in one if one[pair] == other.get(pair)}


def _with_events(old: Json, made: Json, *, named: bool) -> Json:
    """Return an observation with the events of another; it keeps who made it, where it says so."""
    values, media = old.get("independent_variables") or {}, old.get("media_info") or {}
    lengths = {**(media.get("length") or {}), **made["media_info"]["length"]}
    return {
        **old,
        **_OUR_CLOCK,
        "events": made["events"],
        "media_info": {**media, "length": lengths},
        "independent_variables": values if named else made["independent_variables"] | values,
    }


def _ethogram(old: Json, made: Json) -> Json:
    """Return the rows of the new classes; of a known one, or one called otherwise, the old row."""
    before, after = list[Json](old.values()), list[Json](made.values())
    known = {row.get("code"): row for row in before}
    if len(before) == len(after):
        codes = {row["code"] for row in after}
        known |= {
            new["code"]: row
            for row, new in zip(before, after, strict=True)
            if row.get("code") not in codes and new["code"] not in known
        }
    rows = []
    for row in after:
        mine = known.get(row["code"], row)
        kind = mine if _is_point(mine) == _is_point(row) else row
        rows.append({**mine, "code": row["code"], "type": kind.get("type", row["type"])})
    return _counted(rows)


def _is_point(row: Json) -> bool:
    return str(row.get("type")).lower().startswith("point")


def _subjects(old: Json, made: Json) -> Json:
    known = {row.get("name") for row in old.values()}
    return _counted([*old.values(), *(r for r in made.values() if r["name"] not in known)])


def _variables(project: Json, made: Json, observations: Json) -> Json:
    """Return the independent variables, with those of ours that observations have."""
    old = project.get("independent_variables") or {}
    known = {row.get("label") for row in old.values()}
    used = {
        name for body in observations.values() for name in body.get("independent_variables") or {}
    }
    new = [r for r in made["independent_variables"].values() if r["label"] in used - known]
    return {"independent_variables": _counted([*old.values(), *new])} if new else {}


def _counted(rows: list[Json]) -> Json:
    return {str(number): row for number, row in enumerate(rows)}
