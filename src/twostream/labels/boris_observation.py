"""What a BORIS project and the tables that BORIS exports have in common: observations.

An observation plays the videos of player 1 one after the other, beside other players' at the same
time, and counts seconds from the first one's start, plus a time offset that the user may set.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twostream.labels.gathered import Gathered
from twostream.labels.holds import file_stems, unused_name
from twostream.labels.label_text import from_comment
from twostream.labels.recordings import Bout, Labels, Recording
from twostream.types import DataError

Kind = Literal["point", "start", "stop", "state"]  # state: start or stop, in turn
NOBODY = "No focal subject"
ANNOTATOR = "annotator"  # an independent variable's name, where we write one
ANNOTATORS = (ANNOTATOR, "observer", "coder", "rater")  # and what others call it


@dataclass(frozen=True, slots=True)
class Event:
    """A row of an observation.

    Attributes:
        seconds: on the observation's clock; None: no number.
        kind: whether something begins, ends or happens.
        where: in the file, for notes.
    """

    seconds: float | None
    subject: str
    behavior: str
    modifiers: str
    comment: str
    kind: Kind
    where: str


@dataclass(frozen=True, slots=True)
class Observation:
    """The videos of an observation, and its clock.

    Attributes:
        file: that it stands in.
        name: its id.
        videos: of player 1, in the order that they are played.
        lengths: seconds of each, None where the file does not say it.
        rates: frames a second of each, likewise.
        offset: what its clock shows at the start of the first video, seconds.
        annotator: "" where nobody is named.
        named: whether a variable of its own says so.
    """

    file: Path
    name: str
    videos: tuple[str, ...]
    lengths: tuple[float | None, ...]
    rates: tuple[float | None, ...]
    offset: float
    annotator: str
    named: bool = False

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Each video with the annotator."""
        return {(video, self.annotator) for video in self.videos}

    def begin(self, found: Gathered) -> None:
        """Tell of the recordings; raises DataError where videos follow one of unknown length."""
        for video, length, rate in zip(self.videos, self.lengths, self.rates, strict=True):
            found.recording(video, seconds=length or None, fps=rate or None)
        for video, length in zip(self.videos[:-1], self.lengths, strict=False):
            if not length:
                raise DataError(
                    f"{self.file}: observation {self.name} plays several videos, and the length "
                    f"of {video} is not known: open it in BORIS with its videos, and save it"
                )

    def end(self) -> float | None:
        """Return what its clock shows at the end of the last video."""
        known = [length for length in self.lengths if length]
        return self.offset + sum(known) if len(known) == len(self.lengths) > 0 else None

    def bout(
        self,
        found: Gathered,
        where: str,
        start: float | None,
        end: float | None,
        label: str,
        *,
        subject: str,
        modifiers: str,
        comment: str,
    ) -> None:
        """Take a bout on the observation's clock: over the end of a video it is two."""
        confidence, comment = from_comment(comment)
        parts = [each.strip() for each in modifiers.split("|")]
        parts = [each for each in parts if each and each != "None"]
        comment = "; ".join(filter(None, (*(f"modifier {each}" for each in parts), comment)))

        def take(video: str, start: float | None, end: float | None) -> None:
            found.bout(
                video,
                where,
                start,
                end,
                label,
                subject=subject,
                annotator=self.annotator,
                confidence=confidence,
                comment=comment,
            )

        if start is None or end is None or end < start:
            take(self.videos[0], start, end)  # which notes why it is left out
            return
        begins = self.offset
        for i, (video, length) in enumerate(zip(self.videos, self.lengths, strict=True)):
            last = i == len(self.videos) - 1 or length is None
            ends = math.inf if last else begins + (length or 0)
            if start < ends:  # some of it lies here
                first = start if i == 0 else max(start, begins)
                take(video, _less(first, begins), _less(min(end, ends), begins))
                if end <= ends:
                    return
            begins = ends


def _less(seconds: float, shift: float) -> float:
    """Return a time on a video's own clock; what BORIS counts in milliseconds stays so."""
    return round(seconds - shift, 6) if shift else seconds


def take_events(observation: Observation, events: Iterable[Event], found: Gathered) -> None:
    """Pair the events that begin with those that end something, and take the bouts.

    Those of one behaviour, subject and modifiers belong together, as in BORIS. What never ends
    lasts until the end of the video.
    """
    begun: dict[tuple[str, str, str], list[Event]] = {}
    in_order = sorted(events, key=lambda each: each.seconds if each.seconds is not None else -1.0)
    for event in in_order:
        key = (event.behavior, event.subject, event.modifiers)
        mine = begun.setdefault(key, [])
        if event.seconds is None:
            found.odd("no time in seconds: left out", event.where)
        elif event.kind == "point":
            _take(observation, event, event, found)
        elif event.kind == "start" or (event.kind == "state" and not mine):
            mine.append(event)
        elif mine:
            _take(observation, mine.pop(0), event, found)
        else:
            found.odd(f"{event.behavior} ends that never began: left out", event.where)
    end = observation.end()
    for event in [each for mine in begun.values() for each in mine]:
        if end is None or event.seconds is None or event.seconds > end:
            found.odd(f"{event.behavior} begins and never ends: left out", event.where)
            continue
        found.odd(f"{event.behavior} begins and never ends: until the end", event.where)
        last = Event(end, event.subject, event.behavior, "", "", "stop", event.where)
        _take(observation, event, last, found)


def _take(observation: Observation, first: Event, last: Event, found: Gathered) -> None:
    comments = dict.fromkeys(filter(None, (first.comment, last.comment)))
    observation.bout(
        found,
        first.where,
        first.seconds,
        last.seconds,
        first.behavior,
        subject=first.subject,
        modifiers=first.modifiers,
        comment=" / ".join(comments),
    )


def named_annotators(
    names: Sequence[str], videos: Sequence[tuple[str, ...]], given: Sequence[str | None]
) -> list[str]:
    """Return who made each observation: as it says, or its id where another is of the same video.

    So too where several of one video are by nobody: the variable was left empty.

    >>> named_annotators(["a", "b", "c"], [("1.mp4",), ("1.mp4",), ("2.mp4",)], [None, None, None])
    ['a', 'b', '']
    """
    times, nobody = Counter[str](), Counter[str]()
    for mine, said in zip(videos, given, strict=True):
        times.update(set(mine))
        nobody.update(set(mine) if said == "" else ())
    found = []
    for name, mine, said in zip(names, videos, given, strict=True):
        several = any((times if said is None else nobody)[video] > 1 for video in mine)
        found.append(said or (name if several else ""))
    return found


def observations_of(labels: Labels) -> dict[str, tuple[Recording, str, tuple[Bout, ...]]]:
    """Return what is written of labels: id -> recording, annotator and bouts of an observation.

    There is one for each annotator of a recording, and of a recording without a bout.
    """
    found: dict[str, tuple[Recording, str, tuple[Bout, ...]]] = {}
    for stem, recording in zip(file_stems(labels), labels.recordings, strict=True):
        for annotator in sorted({bout.annotator for bout in recording.bouts} or {""}):
            name = unused_name(f"{stem} {annotator}".strip(), found)
            bouts = tuple(bout for bout in recording.bouts if bout.annotator == annotator)
            found[name] = recording, annotator, bouts
    return found
