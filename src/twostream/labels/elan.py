"""ELAN's annotation files (.eaf): XML with tiers, whose annotations lie between slots of time.

A tier is a track. Its PARTICIPANT is the subject and its ANNOTATOR the annotator of what it holds.
An annotation's value is the label; where it is empty the tier's name is, as of those who make a
tier for each behaviour. Slots without a time divide what lies between their neighbours equally, as
ELAN draws them. An annotation that refers to another has its time; it is a bout where its tier has
a controlled vocabulary, and else a comment on the other one.

The standard library's parser does: pympi-ling would add the objects of an editor, and a dependency.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from twostream.labels.elan_document import BOUTS, COMMENT, CONFIDENCE, WATCHED
from twostream.labels.elan_document import text as text
from twostream.labels.gathered import Gathered
from twostream.labels.holds import Holds
from twostream.labels.label_text import number, read_xml
from twostream.labels.recordings import Labels, one_line
from twostream.types import VIDEO_SUFFIXES, DataError

HOLDS = Holds(
    title="ELAN annotations",
    suffixes=(".eaf",),
    times="milliseconds",
    subjects=True,
    annotators=True,
    confidences=True,
    comments=True,
    points=False,
    watched=True,
    classes=True,
    names=True,
)
_VIDEO_TYPE = "video"


@dataclass(slots=True)
class _Annotation:
    """One of them; ``start`` and ``end`` in seconds once they are known."""

    name: str
    value: str
    refers_to: str = ""
    before: str = ""  # the sibling that it follows
    start: float | None = None
    end: float | None = None
    comments: list[str] = field(default_factory=list)
    confidence: float | None = None


@dataclass(slots=True)
class _Tier:
    name: str
    kind: str
    participant: str
    annotator: str
    vocabulary: tuple[str, ...]
    annotations: list[_Annotation]
    depends: bool


def recognised(path: Path, start: str) -> bool:
    """Tell by the document's element."""
    return "<ANNOTATION_DOCUMENT" in start


def read(path: Path, *, fps: float | None = None) -> Labels:
    """Read an annotation file.

    Raises:
        DataError: it is no such file, or an element lacks what it must have.
    """
    root = read_xml(path)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DataError(f"{path} is no annotation file of ELAN: it is a {root.tag[:60]}")
    found = Gathered(path)
    video, shift = _media(path, root, found)
    found.recording(video)
    tiers = _tiers(path, root, _slots(path, root, shift))
    known = {each.name: each for tier in tiers for each in tier.annotations}
    _place_references(tiers, known)
    classes: list[str] = []
    notes: list[str] = []
    for tier in tiers:
        notes += _as_comments(path, tier, known)
    for tier in tiers:
        if tier.kind == WATCHED:
            found.watched(video, f"tier {tier.name}", 0.0, 0.0)
            for each in tier.annotations:
                found.watched(video, f"annotation {each.name}", each.start, each.end)
        elif _has_bouts(tier):
            classes += tier.vocabulary or sorted(
                {each.value or tier.name for each in tier.annotations}
            )
    shared = _sharing(tiers)
    if shared:
        notes.append(
            f"{path}: the tiers {', '.join(shared)} have labels in common and no participant: each "
            "tier's name is taken for its subject"
        )
    for tier in filter(_has_bouts, tiers):
        subject = tier.participant or (tier.name if tier.name in shared else "")
        for each in tier.annotations:
            found.bout(
                video,
                f"tier {tier.name}, annotation {each.name}",
                each.start,
                each.end,
                each.value or tier.name,
                subject=subject,
                annotator=tier.annotator,
                confidence=each.confidence,
                comment="; ".join(each.comments),
            )
    return found.labels(classes, notes=notes)


def _media(path: Path, root: Element, found: Gathered) -> tuple[str, float]:
    """Return the video's name, and the seconds of it that the file's time 0 lies at."""
    media = list(root.iterfind("HEADER/MEDIA_DESCRIPTOR"))
    urls = [unquote(_url(each)) for each in media]
    is_video = [
        each.get("MIME_TYPE", "").startswith(_VIDEO_TYPE)
        or Path(url).suffix.lower() in VIDEO_SUFFIXES
        for each, url in zip(media, urls, strict=True)
    ]
    if not media:
        return "", 0.0
    first = is_video.index(True) if any(is_video) else 0
    if sum(is_video) > 1:
        found.odd(f"several videos show the same time: the labels are for {urls[first]}", "header")
    return urls[first], (number(media[first].get("TIME_ORIGIN", "0")) or 0.0) / 1000


def _url(media: Element) -> str:
    """Return the path that a media file has, of its URL: file:///C:/a.mp4 is C:/a.mp4."""
    url = media.get("MEDIA_URL") or media.get("RELATIVE_MEDIA_URL") or ""
    if not url.startswith("file:"):
        return url
    place = url.removeprefix("file:").removeprefix("//")
    has_drive = len(place) > 2 and place[0] == "/" and place[2] == ":"
    return place[1:] if has_drive else place


def _slots(path: Path, root: Element, shift: float) -> dict[str, float | None]:
    """Return slot -> seconds of the video; None where it has no time of its own."""
    header = root.find("HEADER")
    unit = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if unit != "milliseconds":
        raise DataError(f"{path} counts time in {unit[:40]}, expected milliseconds")
    found: dict[str, float | None] = {}
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        value = number(slot.get("TIME_VALUE", ""))
        if value is not None:
            value = value / 1000 + shift if shift else value / 1000  # exact: the nearest number
        found[slot.get("TIME_SLOT_ID", "")] = value
    return found


def _tiers(path: Path, root: Element, slots: dict[str, float | None]) -> list[_Tier]:
    kinds = {each.get("LINGUISTIC_TYPE_ID", ""): each for each in root.iterfind("LINGUISTIC_TYPE")}
    vocabularies = {
        each.get("CV_ID", ""): tuple(_entries(each))
        for each in root.iterfind("CONTROLLED_VOCABULARY")
    }
    tiers = []
    for tier in root.iterfind("TIER"):
        kind = tier.get("LINGUISTIC_TYPE_REF", "")
        vocabulary = "" if kind not in kinds else kinds[kind].get("CONTROLLED_VOCABULARY_REF", "")
        annotations = []
        between: list[tuple[str, str]] = []
        for wrapper in tier.iterfind("ANNOTATION"):
            for each in wrapper:
                value = one_line(each.findtext("ANNOTATION_VALUE") or "")
                made = _Annotation(
                    each.get("ANNOTATION_ID", ""),
                    value,
                    each.get("ANNOTATION_REF", ""),
                    each.get("PREVIOUS_ANNOTATION", ""),
                )
                annotations.append(made)
                ends = (each.get("TIME_SLOT_REF1", ""), each.get("TIME_SLOT_REF2", ""))
                between.append(ends if not made.refers_to else ("", ""))
        times = _interpolated(slots, [ends for ends in between if ends != ("", "")])
        for made, (start, end) in zip(annotations, between, strict=True):
            made.start, made.end = times.get(start), times.get(end)
        tiers.append(
            _Tier(
                tier.get("TIER_ID", ""),
                kind,
                one_line(tier.get("PARTICIPANT", "")),
                one_line(tier.get("ANNOTATOR", "")),
                vocabularies.get(vocabulary, ()),
                annotations,
                any(each.refers_to for each in annotations),
            )
        )
    return tiers


def _entries(vocabulary: Element) -> Iterable[str]:
    """Yield the values of a controlled vocabulary, of files before and since version 2.8."""
    for entry in vocabulary:
        if entry.tag == "CV_ENTRY":
            yield one_line(entry.text or "")
        elif entry.tag == "CV_ENTRY_ML":
            yield one_line(entry.findtext("CVE_VALUE") or "")


def _interpolated(
    slots: dict[str, float | None], between: list[tuple[str, str]]
) -> dict[str, float | None]:
    """Return the times of the slots of a tier: those without one divide a chain equally.

    >>> slots = {"a": 0.0, "b": None, "c": None, "d": 3.0}
    >>> _interpolated(slots, [("a", "b"), ("b", "c"), ("c", "d")])
    {'a': 0.0, 'b': 1.0, 'c': 2.0, 'd': 3.0}
    """
    following = dict(between)
    times = {slot: slots.get(slot) for ends in between for slot in ends}
    for first, after in between:
        chain, seen = [first], {first}
        while times.get(chain[0]) is not None and after not in seen:
            chain.append(after)
            seen.add(after)
            if times.get(after) is not None or after not in following:
                break
            after = following[after]
        start, end = times.get(chain[0]), times.get(chain[-1])
        if len(chain) > 2 and start is not None and end is not None:
            step = (end - start) / (len(chain) - 1)
            times |= {slot: start + i * step for i, slot in enumerate(chain[1:-1], start=1)}
    return times


def _place_references(tiers: list[_Tier], known: dict[str, _Annotation]) -> None:
    """Give annotations that refer to others their time, or an equal share of it.

    What is not placed after as many rounds as there are tiers refers to nothing, or in a circle.
    """
    for _ in tiers:
        for tier in tiers:
            _divide([each for each in tier.annotations if each.refers_to], known)


def _divide(annotations: list[_Annotation], known: dict[str, _Annotation]) -> None:
    """Divide each parent's time by its children in one tier, in the order of their chain."""
    children: dict[str, list[_Annotation]] = {}
    for each in annotations:
        children.setdefault(each.refers_to, []).append(each)
    for name, mine in children.items():
        parent = known.get(name)
        if parent is None or parent.start is None or parent.end is None:
            continue
        follows = {each.before: each for each in mine}
        in_order = [follows[""]] if "" in follows else mine[:1]
        while len(in_order) < len(mine) and in_order[-1].name in follows:
            in_order.append(follows[in_order[-1].name])
        if len(in_order) < len(mine):  # no chain: they are beside each other
            for each in mine:
                each.start, each.end = parent.start, parent.end
            continue
        step = (parent.end - parent.start) / len(in_order)
        for i, each in enumerate(in_order):
            last = i == len(in_order) - 1
            each.start = parent.start + i * step
            each.end = parent.end if last else parent.start + (i + 1) * step


def _has_bouts(tier: _Tier) -> bool:
    if tier.kind in (WATCHED, COMMENT, CONFIDENCE):
        return False
    return not tier.depends or bool(tier.vocabulary)


def _as_comments(path: Path, tier: _Tier, known: dict[str, _Annotation]) -> list[str]:
    """Hang the values of a tier that depends on another on what they refer to."""
    if tier.kind == WATCHED or _has_bouts(tier):
        return []
    ours = tier.kind in (COMMENT, CONFIDENCE)
    for each in tier.annotations:
        parent = known.get(each.refers_to)
        if parent is None or not each.value:
            continue
        if tier.kind == CONFIDENCE:
            parent.confidence = number(each.value)
        else:
            parent.comments.append(each.value if ours else f"{tier.name}: {each.value}")
    if ours or not tier.annotations:
        return []
    return [f"{path}: the tier {tier.name} depends on another: its values are comments"]


def _sharing(tiers: list[_Tier]) -> list[str]:
    """Return tiers without a participant that have labels in common: tracks to tell apart."""
    values = {
        tier.name: {each.value for each in tier.annotations} - {""}
        for tier in tiers
        if _has_bouts(tier) and not tier.participant and tier.kind != BOUTS
    }
    return [
        name
        for name, mine in values.items()
        if any(mine & others for other, others in values.items() if other != name)
    ]
