"""What a reader finds in a label file, made into ``Labels``: what is wrong is counted and told."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from twostream.labels.recordings import (
    MOST_SECONDS,
    Bout,
    Labels,
    Recording,
    Span,
    one_line,
    used_classes,
)
from twostream.types import DataError

SAME_NUMBER = 0.01  # part by which two lengths, or rates, of one video may differ
END_TOLERANCE_SECONDS = 0.1  # tools round a length, or count the last frame's start


@dataclass(slots=True)
class _Video:
    bouts: list[tuple[str, Bout]] = field(default_factory=list)  # with where it stands
    watched: list[Span] | None = None
    seconds: float | None = None
    fps: float | None = None
    group: str = ""
    split: str = ""


class Gathered:
    """Bouts of a file as they are read; what cannot be used is left out, counted and told.

    Args:
        file: whose they are, for the notes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._videos: dict[str, _Video] = {}
        self._odd: dict[str, list[str]] = {}  # what is wrong -> where

    def recording(self, video: str, **facts: Any) -> None:
        """Begin a recording, or add what is known of it.

        Args:
            video: its name.
            facts: seconds, fps, group, split; None and "" say nothing.

        Raises:
            DataError: two values for one of them, or one that cannot be.
        """
        known = self._videos.setdefault(video, _Video())
        for name, value in facts.items():
            before = getattr(known, name)
            if value is None or value == "":
                continue
            if name in ("seconds", "fps") and before is not None:
                same = math.isclose(value, before, rel_tol=SAME_NUMBER)
                value = max(value, before) if same else value  # tools measure it differently
            else:
                same = before in (None, "", value)
            if not same:
                raise DataError(
                    f"{self._file}: {video or 'the video'} has the {name} {before} and {value}: "
                    "keep one"
                )
            setattr(known, name, value)

    def bout(
        self,
        video: str,
        where: str,
        start: float | None,
        end: float | None,
        label: str,
        *,
        subject: str = "",
        annotator: str = "",
        confidence: float | None = None,
        comment: str = "",
    ) -> None:
        """Take a bout, or note why not.

        Args:
            video: the recording's name.
            where: in the file: "line 7".
            start, end: seconds; None: no number.
            label: and the rest, see ``Bout``; brought to one line.
        """
        self.recording(video)
        label = one_line(label)
        if start is not None and end is not None and start < 0 < end:
            self.odd("starts before 0: cut there", where)
            start = 0.0
        problem = _wrong(start, end)
        if problem is None and not label:
            problem = "no label: left out"
        if problem is not None or start is None or end is None:
            self.odd(problem or "no time", where)
            return
        if confidence is not None and not 0 <= confidence <= 1:
            self.odd("a confidence outside of 0..1: left out, the bout stays", where)
            confidence = None
        who, by = one_line(subject), one_line(annotator)
        bout = Bout(start, end, label, who, by, confidence, one_line(comment))
        self._videos[video].bouts.append((where, bout))

    def watched(self, video: str, where: str, start: float | None, end: float | None) -> None:
        """Take a stretch that was watched; one without duration says that there may be none."""
        self.recording(video)
        known = self._videos[video]
        known.watched = known.watched or []
        problem = _wrong(start, end)
        if problem is not None or start is None or end is None:
            self.odd(problem or "no time", where)
            return
        known.watched.append((start, end))

    def odd(self, what: str, where: str) -> None:
        """Note that something is wrong: "no label: left out", in "line 7"."""
        self._odd.setdefault(what, []).append(where)

    def labels(
        self, classes: Iterable[str] = (), points: Iterable[str] = (), notes: Iterable[str] = ()
    ) -> Labels:
        """Return what was gathered.

        Args:
            classes: the ethogram, where the file has one; brought to one line each. Labels that it
                lacks come after, sorted, with a note; without one it is what is used.
            points: classes of it that are point events.
            notes: more of them.

        Raises:
            DataError: a length or rate that cannot be.
        """
        if "" in self._videos and len(self._videos) > 1:
            raise DataError(f"{self._file}: some of it names no video, the rest does: name it")
        made = []
        for name, video in self._videos.items():
            bouts, watched = self._within(video)
            try:
                made.append(
                    Recording(
                        name,
                        tuple(bouts),
                        video.seconds,
                        video.fps,
                        None if watched is None else tuple(watched),
                        one_line(video.group),
                        video.split,
                    )
                )
            except ValueError as error:
                raise DataError(f"{self._file}: {name or 'the video'}: {error}") from error
        ethogram = tuple(dict.fromkeys(filter(None, map(one_line, classes))))
        unknown = [label for label in used_classes(made) if label not in set(ethogram)]
        if ethogram and unknown:
            self.odd("a label that the ethogram lacks: it is added", ", ".join(unknown[:5]))
        said = [f"{self._file}: {_sentence(what, where)}" for what, where in self._odd.items()]
        point = frozenset(map(one_line, points))
        return Labels(tuple(made), (*ethogram, *unknown), point, (*notes, *said))

    def _within(self, video: _Video) -> tuple[list[Bout], list[Span] | None]:
        """Return bouts and what is watched up to the end, and note what reaches beyond it."""
        length = video.seconds
        bouts = []
        for where, bout in video.bouts:
            if length is not None and bout.end_seconds > length:
                slack = max(END_TOLERANCE_SECONDS, 1.5 / video.fps if video.fps else 0)
                if bout.start_seconds >= length + (slack if bout.is_point else 0):
                    self.odd("begins after the end of the video: left out", where)
                    continue
                if bout.end_seconds > length + slack:
                    self.odd("ends after the end of the video: cut there", where)
                start = min(bout.start_seconds, length)
                bout = replace(bout, start_seconds=start, end_seconds=length)
            bouts.append(bout)
        if length is None or video.watched is None:
            return bouts, video.watched
        return bouts, [(start, min(end, length)) for start, end in video.watched if start < length]


def _wrong(start: float | None, end: float | None) -> str | None:
    if start is None or end is None or not math.isfinite(start + end):
        return "no time in seconds: left out"
    if end < start:
        return "ends before it starts: left out, so its time has no label"
    if start < 0:
        return "starts before 0: left out"
    return "lies beyond any video: left out" if end > MOST_SECONDS else None


def _sentence(what: str, where: list[str]) -> str:
    more = f" and {len(where) - 1} more" if len(where) > 1 else ""
    return f"{where[0]}{more}: {what}"
