"""Writing an annotation file of ELAN: a tier for each subject and annotator.

There are more of them where bouts overlap, which those of a tier cannot.
"""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from twostream.labels.holds import unused_name
from twostream.labels.recordings import Bout, Labels, Span

# linguistic types, as ELAN calls the kinds of tiers
BOUTS, COMMENT, CONFIDENCE, WATCHED = "bouts", "comment", "confidence", "watched"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_DATE = "2000-01-01T00:00:00+00:00"  # when it was annotated is not known
_LANGUAGE = {
    "LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001",
    "LANG_ID": "und",
    "LANG_LABEL": "undetermined (und)",
}
_CONSTRAINTS = (
    ("Time_Subdivision", "Time subdivision of parent annotation's time interval, no time gaps"),
    ("Symbolic_Subdivision", "Symbolic subdivision of a parent annotation"),
    ("Symbolic_Association", "1-1 association with a parent annotation"),
    ("Included_In", "Time alignable annotations within the parent annotation's time interval"),
)


class _Document:
    """The elements of a file, made in any order and joined in the one that ELAN wants."""

    def __init__(self) -> None:
        self.slots: list[int] = []  # milliseconds
        self.tiers: list[Element] = []
        self._annotations = 0

    def tier(
        self, name: str, kind: str, *, participant: str = "", annotator: str = "", parent: str = ""
    ) -> Element:
        facts = {"LINGUISTIC_TYPE_REF": kind, "TIER_ID": name}
        facts |= {"PARTICIPANT": participant} if participant else {}
        facts |= {"ANNOTATOR": annotator} if annotator else {}
        facts |= {"PARENT_REF": parent} if parent else {}
        self.tiers.append(Element("TIER", facts))
        return self.tiers[-1]

    def alignable(self, tier: Element, span: Span, value: str) -> str:
        """Add an annotation between two new slots; returns its id."""
        refs = []
        for seconds in span:
            self.slots.append(round(seconds * 1000))
            refs.append(f"ts{len(self.slots)}")
        facts = {"TIME_SLOT_REF1": refs[0], "TIME_SLOT_REF2": refs[1]}
        return self._annotation(tier, "ALIGNABLE_ANNOTATION", facts, value)

    def referring(self, tier: Element, other: str, value: str) -> None:
        self._annotation(tier, "REF_ANNOTATION", {"ANNOTATION_REF": other}, value)

    def _annotation(self, tier: Element, kind: str, facts: dict[str, str], value: str) -> str:
        self._annotations += 1
        name = f"a{self._annotations}"
        made = SubElement(SubElement(tier, "ANNOTATION"), kind, {"ANNOTATION_ID": name} | facts)
        SubElement(made, "ANNOTATION_VALUE").text = value
        return name

    def text(self, video: str, classes: tuple[str, ...]) -> str:
        root = Element(
            "ANNOTATION_DOCUMENT",
            {
                "AUTHOR": "",
                "DATE": _DATE,
                "FORMAT": "3.0",
                "VERSION": "3.0",
                "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
                "xsi:noNamespaceSchemaLocation": _SCHEMA,
            },
        )
        header = SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
        if video:
            SubElement(header, "MEDIA_DESCRIPTOR", _media(video))
        last = SubElement(header, "PROPERTY", {"NAME": "lastUsedAnnotationId"})
        last.text = str(self._annotations)
        order = SubElement(root, "TIME_ORDER")
        in_order = sorted(range(len(self.slots)), key=lambda i: self.slots[i])
        for i in in_order:
            facts = {"TIME_SLOT_ID": f"ts{i + 1}", "TIME_VALUE": str(self.slots[i])}
            SubElement(order, "TIME_SLOT", facts)
        root.extend(self.tiers)
        _types(root)
        SubElement(root, "LANGUAGE", _LANGUAGE)
        for name, description in _CONSTRAINTS:
            SubElement(root, "CONSTRAINT", {"DESCRIPTION": description, "STEREOTYPE": name})
        vocabulary = SubElement(root, "CONTROLLED_VOCABULARY", {"CV_ID": "classes"})
        SubElement(vocabulary, "DESCRIPTION", {"LANG_REF": "und"})
        for i, name in enumerate(classes):
            entry = SubElement(vocabulary, "CV_ENTRY_ML", {"CVE_ID": f"cve{i}"})
            value = SubElement(entry, "CVE_VALUE", {"DESCRIPTION": "", "LANG_REF": "und"})
            value.text = name
        ElementTree.indent(root, " ")
        body = ElementTree.tostring(root, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _media(video: str) -> dict[str, str]:
    """Return what describes the video; a path is absolute, or begins in the file's folder."""
    place = video.replace("\\", "/") if PureWindowsPath(video).drive else video
    if PureWindowsPath(place).drive:
        url = {"MEDIA_URL": f"file:///{quote(place, safe='/:')}"}
    elif place.startswith("/"):
        url = {"MEDIA_URL": f"file://{quote(place)}"}
    else:
        url = {"MEDIA_URL": quote(place), "RELATIVE_MEDIA_URL": f"./{quote(place)}"}
    kind = {".mp4": "video/mp4", ".mpg": "video/mpeg", ".mpeg": "video/mpeg"}
    return url | {"MIME_TYPE": kind.get(PurePosixPath(place).suffix.lower(), "video/*")}


def _types(root: Element) -> None:
    """Declare the kinds of tiers; what refers to an annotation has no time of its own."""
    for name in (BOUTS, WATCHED, COMMENT, CONFIDENCE):
        facts = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": name}
        if name in (COMMENT, CONFIDENCE):
            facts |= {"CONSTRAINTS": "Symbolic_Association", "TIME_ALIGNABLE": "false"}
        else:
            facts["TIME_ALIGNABLE"] = "true"
        if name == BOUTS:
            facts["CONTROLLED_VOCABULARY_REF"] = "classes"
        SubElement(root, "LINGUISTIC_TYPE", facts)


def text(labels: Labels, suffix: str) -> str:
    """Return the annotation file of one recording."""
    (recording,) = labels.recordings
    made = _Document()
    tracks: dict[tuple[str, str], list[list[Bout]]] = {}
    for bout in recording.bouts:
        mine = tracks.setdefault((bout.subject, bout.annotator), [])
        free = next((each for each in mine if each[-1].end_seconds <= bout.start_seconds), None)
        if free is None:
            mine.append([bout])
        else:
            free.append(bout)
    names = set[str]()
    if not tracks:
        tracks["", ""] = [[]]  # a tier to work in
    for (subject, annotator), mine in sorted(tracks.items(), key=lambda item: item[0]):
        for bouts in mine:
            wanted = f"{subject or 'labels'}{f' by {annotator}' if annotator else ''}"
            name = unused_name(wanted, names)
            names.add(name)
            _add_track(made, name, subject, annotator, bouts)
    if recording.watched is not None:
        tier = made.tier(unused_name(WATCHED, names), WATCHED)
        for span in recording.watched:
            made.alignable(tier, span, WATCHED)
    return made.text(recording.video, labels.classes)


def _add_track(made: _Document, name: str, subject: str, annotator: str, bouts: list[Bout]) -> None:
    """Add a tier, and those that depend on it where there is something to say."""
    tier = made.tier(name, BOUTS, participant=subject, annotator=annotator)
    ids = [made.alignable(tier, (b.start_seconds, b.end_seconds), b.label) for b in bouts]
    sure = ["" if b.confidence is None else repr(b.confidence) for b in bouts]
    for kind, values in ((COMMENT, [b.comment for b in bouts]), (CONFIDENCE, sure)):
        if not any(values):
            continue
        below = made.tier(f"{kind}@{name}", kind, participant=subject, parent=name)
        for other, value in zip(ids, values, strict=True):
            if value:
                made.referring(below, other, value)
