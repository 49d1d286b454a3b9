"""Subtitles as labels: what SubRip (.srt) and WebVTT (.vtt) have in common.

A cue is a bout. The share behind a caption, "walk (90%)", as `predict --timeline --srt` writes it,
is its confidence; what it calls time without a bout is none.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from twostream.labels.gathered import Gathered
from twostream.labels.label_text import read_text, seconds
from twostream.labels.recordings import NONE_LABEL, OTHER, UNSEEN_LABEL, Labels
from twostream.types import DataError

ARROW = "-->"
_SHARE = re.compile(r"(.+) \((\d{1,3}(?:\.\d+)?)%\)")
_TIMES = re.compile(r"\s*(?:\d+:)?\d\d:\d\d[.,]\d+\s+-->")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]*>|</>")
_PAIR = re.compile(r"<(b|i|u|font)(?:\s[^<>]*)?>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_PLACE = re.compile(r"^\{\\[^{}\n]*\}")  # of a caption, as SubRip files borrow it from .ass


def cues(path: Path) -> Iterator[tuple[int, float, float, str]]:
    """Yield (line, start and end in seconds, text with its tags) of each cue.

    Raises:
        DataError: a line with an arrow that has no times on its sides.
    """
    lines = read_text(path).split("\n")
    i = 0
    while i < len(lines):
        if ARROW not in lines[i] or not (lines[i][:1].strip() or _TIMES.match(lines[i])):
            i += 1
            continue
        begin, _, rest = lines[i].partition(ARROW)
        start, end = seconds(begin), seconds((rest.split() or [""])[0])
        if start is None or end is None:
            raise DataError(
                f"{path}, line {i + 1}: expected two times, hh:mm:ss and milliseconds, around the "
                f"arrow, got {lines[i][:60]!r}"
            )
        first, i = i + 1, i + 1
        text = []
        while i < len(lines) and lines[i].strip():
            if _TIMES.match(lines[i]):
                raise DataError(f"{path}, line {i + 1}: no empty line stands before this cue")
            text.append(lines[i])
            i += 1
        yield first, start, end, "\n".join(text)


def read_cues(path: Path, *, web: bool) -> Labels:
    """Return the labels of subtitles; they name no video.

    Args:
        path: the file.
        web: WebVTT, where &amp; stands for & and <v Ann> says who speaks: the subject.
    """
    found = Gathered(path)
    found.recording("")
    for line, start, end, text in cues(path):
        subject = ""
        if web:
            if voice := re.match(r"<v(?:\.[^\s>]*)?\s+([^>]*)>", text):
                subject = html.unescape(voice[1])
            text = html.unescape(_TAG.sub("", text))
        else:
            text = _plain(text)
        label, confidence = _said(text)
        if text.strip() and not label:
            continue  # of a time line: no bout
        found.bout("", f"line {line}", start, end, label, subject=subject, confidence=confidence)
    return found.labels()


def _plain(text: str) -> str:
    """Return a SubRip caption without its tags."""
    return _PAIR.sub(r"\2", _PLACE.sub("", text))


def _said(text: str) -> tuple[str, float | None]:
    """Return the label and confidence of a caption; no label for time without a bout."""
    label, confidence = " ".join(text.split()), None
    if (share := _SHARE.fullmatch(label)) and float(share[2]) <= 100:
        label, confidence = share[1], float(Decimal(share[2]) / 100)
    if label == UNSEEN_LABEL or (confidence is not None and label in (OTHER, NONE_LABEL)):
        return "", None
    return label, confidence


def read_back(label: str, confidence: float | None, *, web: bool) -> tuple[str, float | None]:
    """Return the label and confidence that are read of a caption with these.

    >>> read_back("light (50%)", None, web=True), read_back("<b>go</b>", 0.5, web=False)
    (('light', 0.5), ('go', 0.5))
    """
    while label:
        text = caption(label, confidence) if web else _plain(caption(label, confidence))
        if not web and _TIMES.match(text):  # it would begin a cue
            text = text.replace(ARROW, "->")
        if (said := _said(text)) == (label, confidence):
            break
        label, confidence = said  # what is written then may be read otherwise again
    return label, confidence


def clock(seconds: float, point: str) -> str:
    """Return hh:mm:ss and milliseconds after ``point``.

    >>> clock(3661.5, ",")
    '01:01:01,500'
    """
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    rest, milliseconds = divmod(milliseconds, 1000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}{point}{milliseconds:03d}"


def caption(label: str, confidence: float | None) -> str:
    """Return the label, and the confidence as a share.

    >>> caption("walk", 0.9), caption("walk", None), caption("walk", 0.123456)
    ('walk (90%)', 'walk', 'walk (12.3456%)')
    """
    if confidence is None:
        return label
    share = f"{Decimal(repr(float(confidence))) * 100:f}"
    return f"{label} ({share.rstrip('0').rstrip('.') if '.' in share else share}%)"
