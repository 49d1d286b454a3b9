"""ELAN's files: tiers that overlap, divide, refer to each other; slots without a time; media."""

from __future__ import annotations

from pathlib import Path

import pytest

from twostream.labels import Bout, Labels, Recording, read_labels, write_labels
from twostream.types import DataError

TYPES = """
 <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
 <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="coded" TIME_ALIGNABLE="true"
  CONTROLLED_VOCABULARY_REF="acts"/>
 <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="parts" TIME_ALIGNABLE="false"
  CONSTRAINTS="Symbolic_Subdivision" CONTROLLED_VOCABULARY_REF="hands"/>
 <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="free" TIME_ALIGNABLE="false"
  CONSTRAINTS="Symbolic_Association"/>
 <CONTROLLED_VOCABULARY CV_ID="acts">
  <CV_ENTRY_ML CVE_ID="c1"><CVE_VALUE DESCRIPTION="" LANG_REF="und">reach</CVE_VALUE></CV_ENTRY_ML>
  <CV_ENTRY_ML CVE_ID="c2"><CVE_VALUE DESCRIPTION="" LANG_REF="und">wave</CVE_VALUE></CV_ENTRY_ML>
 </CONTROLLED_VOCABULARY>
 <CONTROLLED_VOCABULARY CV_ID="hands">
  <CV_ENTRY DESCRIPTION="">left</CV_ENTRY><CV_ENTRY DESCRIPTION="">right</CV_ENTRY>
 </CONTROLLED_VOCABULARY>
"""
MEDIA = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/my%20films/a.mp4" MIME_TYPE="video/mp4"/>'
SLOTS = {"ts1": 1000, "ts2": 4000, "ts3": 2500, "ts4": 5250, "ts5": None, "ts6": None}


def alignable(number: int, start: str, end: str, value: str) -> str:
    return (
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" TIME_SLOT_REF1="{start}" '
        f'TIME_SLOT_REF2="{end}"><ANNOTATION_VALUE>{value}</ANNOTATION_VALUE>'
        "</ALIGNABLE_ANNOTATION></ANNOTATION>"
    )


def referring(number: int, parent: str, value: str, before: str = "") -> str:
    follows = f' PREVIOUS_ANNOTATION="{before}"' if before else ""
    return (
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a{number}" ANNOTATION_REF="{parent}"{follows}>'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
    )


def tier(name: str, kind: str, *annotations: str, **facts: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in facts.items())
    inside = "".join(annotations)
    return f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="{kind}"{more}>{inside}</TIER>'


def write(path: Path, *tiers: str, media: str = MEDIA, units: str = "milliseconds") -> Path:
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{name}"'
        + (f' TIME_VALUE="{value}"/>' if value is not None else "/>")
        for name, value in SLOTS.items()
    )
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="" FORMAT="3.0">'
        f'<HEADER MEDIA_FILE="" TIME_UNITS="{units}">{media}</HEADER>'
        f"<TIME_ORDER>{slots}</TIME_ORDER>{''.join(tiers)}{TYPES}</ANNOTATION_DOCUMENT>"
    )
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.eaf"


def test_tiers_are_tracks_that_may_overlap(path: Path) -> None:
    write(
        path,
        tier(
            "Ann", "coded", alignable(1, "ts1", "ts2", "reach"), PARTICIPANT="Ann", ANNOTATOR="EK"
        ),
        tier("Bob", "coded", alignable(2, "ts3", "ts4", " reach\n"), PARTICIPANT="Bob"),
    )
    labels = read_labels(path)
    bouts = (Bout(1, 4, "reach", "Ann", "EK"), Bout(2.5, 5.25, "reach", "Bob"))
    assert labels == Labels((Recording("C:/my films/a.mp4", bouts),), ("reach", "wave"))
    assert labels.notes == ()


def test_tiers_without_a_participant_are_told_apart_by_name(path: Path) -> None:
    write(
        path,
        tier("Ann", "coded", alignable(1, "ts1", "ts2", "reach")),
        tier(
            "Bob", "coded", alignable(2, "ts3", "ts4", "reach"), alignable(3, "ts1", "ts3", "hop")
        ),
        tier("gaze", "default-lt", alignable(4, "ts3", "ts4", "")),
    )
    labels = read_labels(path)
    assert labels.recordings[0].bouts == (
        Bout(1, 2.5, "hop", "Bob"),
        Bout(1, 4, "reach", "Ann"),
        Bout(2.5, 5.25, "gaze"),
        Bout(2.5, 5.25, "reach", "Bob"),
    )
    assert labels.classes == ("reach", "wave", "gaze", "hop")
    assert "the tiers Ann, Bob have labels in common and no participant" in labels.notes[0]
    assert labels.notes[1].endswith("hop: a label that the ethogram lacks: it is added")


def test_slots_without_a_time_and_references_divide_what_they_lie_in(path: Path) -> None:
    write(
        path,
        tier(
            "acts",
            "coded",
            alignable(1, "ts1", "ts5", "reach"),
            alignable(2, "ts5", "ts6", "wave"),
            alignable(3, "ts6", "ts2", "reach"),
        ),
        tier("hands", "parts", referring(5, "a2", "right", "a4"), referring(4, "a2", "left")),
        tier("remarks", "free", referring(6, "a2", "at Bob")),
        tier("more", "free", referring(7, "a99", "nothing")),
    )
    labels = read_labels(path)
    assert labels.recordings[0].bouts == (
        Bout(1, 2, "reach"),
        Bout(2, 2.5, "left"),
        Bout(2, 3, "wave", comment="remarks: at Bob"),
        Bout(2.5, 3, "right"),
        Bout(3, 4, "reach"),
    )
    assert labels.classes == ("reach", "wave", "left", "right")


def test_media_offsets_frames_and_lost_slots(path: Path) -> None:
    sound = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/a.wav" MIME_TYPE="audio/x-wav"/>'
    late = '<MEDIA_DESCRIPTOR MEDIA_URL="../b%25.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="500"/>'
    one = tier("t", "coded", alignable(1, "ts1", "ts2", "wave"), alignable(2, "ts5", "ts6", "wave"))
    labels = read_labels(write(path, one, media=sound + late + MEDIA))
    assert labels.recordings[0] == Recording("../b%.mp4", (Bout(1.5, 4.5, "wave"),))
    assert labels.notes == (
        f"{path}: header: several videos show the same time: the labels are for ../b%.mp4",
        f"{path}: tier t, annotation a2: no time in seconds: left out",
    )
    with pytest.raises(DataError, match="counts time in PAL-frames, expected milliseconds"):
        read_labels(write(path, one, units="PAL-frames"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<ANNOTATION_DOCUMENT>", "is not readable as XML"),
        ("<html/>", "is no annotation file of ELAN: it is a html"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><ANNOTATION_DOCUMENT/>', "declares a document type"),
    ],
)
def test_what_is_no_annotation_file_is_one_sentence(path: Path, text: str, words: str) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_labels(path, "elan")


def test_overlapping_bouts_are_written_to_tiers_of_their_own(path: Path) -> None:
    bouts = (Bout(0, 2, "reach", "Ann"), Bout(1, 3, "wave", "Ann"), Bout(2, 4, "reach", "Ann"))
    write_labels(Labels((Recording("/films/a b.mp4", bouts),), ("reach", "wave")), path)
    text = path.read_text()
    assert text.count('PARTICIPANT="Ann"') == 2 and text.count("<TIER ") == 2
    assert 'MEDIA_URL="file:///films/a%20b.mp4"' in text
