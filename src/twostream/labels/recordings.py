"""What label files say: recordings, and bouts of behaviour in them.

A *recording* is a video with labels in time. A *bout* is one stretch of one label (ethology's
word); a point event is a bout that ends where it starts. *Watched* is the time that an annotator
looked at: outside of it the absence of a label says nothing. An *ethogram* is the list of classes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from twostream.schema import check_number

Span = tuple[float, float]
Split = Literal["", "train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
_SIDES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
OTHER = "other"  # what nets call watched time without a label, as a class of its own
NONE_LABEL = "none of these"  # what a time line calls time whose best score is too low,
UNSEEN_LABEL = "no frames"  # and where the video has no frames
MOST_SECONDS = 1e7  # 115 days: what lies beyond is a mistake
# Times are kept to the nanosecond: what begins at 1.6 + 0.1 touches what ends at 1.7.
DIGITS = 9


@dataclass(frozen=True, slots=True)
class Bout:
    """One stretch of one label.

    Attributes:
        start_seconds: from 0 up, as the reader of videos counts: 0 is the first frame, or the
            sound where that begins earlier. It rounds its times itself, to the nanosecond.
        end_seconds: not before the start; equal: a point event.
        label: one line, not empty.
        subject: who does it; "" where nobody is named.
        annotator: who says so; likewise.
        confidence: of a prediction, in 0..1; None: a person's label.
        comment: one line, or "".

    Raises:
        ValueError: a value is not as said.
    """

    start_seconds: float
    end_seconds: float
    label: str
    subject: str = ""
    annotator: str = ""
    confidence: float | None = None
    comment: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start_seconds <= self.end_seconds <= MOST_SECONDS:
            raise ValueError(f"a bout cannot last from {self.start_seconds} to {self.end_seconds}")
        if not self.label:
            raise ValueError("a bout needs a label")
        for text in (self.label, self.subject, self.annotator, self.comment):
            if text != one_line(text):
                raise ValueError(f"texts of a bout are one line, got {text!r}")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"a confidence lies in 0..1, got {self.confidence}")
        object.__setattr__(self, "start_seconds", round(self.start_seconds, DIGITS))
        object.__setattr__(self, "end_seconds", round(self.end_seconds, DIGITS))

    @property
    def is_point(self) -> bool:
        """Whether it has no duration."""
        return self.start_seconds == self.end_seconds

    @property
    def order(self) -> tuple[float, float, str, str, str, float, str]:
        """What bouts are sorted by: start, end, label, then the rest."""
        sure = -1.0 if self.confidence is None else self.confidence
        who = (self.subject, self.annotator)
        return (self.start_seconds, self.end_seconds, self.label, *who, sure, self.comment)


@dataclass(frozen=True, slots=True)
class Recording:
    """A video with labels in time.

    Attributes:
        video: as the label file names it; "" where it names none.
        bouts: sorted, each once; it does so itself.
        seconds: length of the video, where the file says it; no bout ends later.
        fps: frames a second, where the file says it.
        watched: (start, end) in seconds, ascending and apart; it sorts and joins them. None: all.
        group: recordings of one group (an animal, a person) never stand on both sides of a split.
        split: "train", "val", "test", or "".

    Raises:
        ValueError: a value is not as said.
    """

    video: str
    bouts: tuple[Bout, ...]
    seconds: float | None = None
    fps: float | None = None
    watched: tuple[Span, ...] | None = None
    group: str = ""
    split: str = ""

    def __post_init__(self) -> None:
        in_order = tuple(sorted(set(self.bouts), key=lambda bout: bout.order))
        object.__setattr__(self, "bouts", in_order)  # it is frozen for everybody else
        if self.watched is not None:
            object.__setattr__(self, "watched", joined(self.watched))
        if self.seconds is not None and not 0 <= self.seconds <= MOST_SECONDS:
            raise ValueError(f"a recording cannot last {self.seconds} seconds")
        if self.seconds is not None:
            object.__setattr__(self, "seconds", round(self.seconds, DIGITS))
        if self.fps is not None:
            check_number("fps", self.fps)
        if self.split not in SPLITS:
            raise ValueError(f"split must be train, val or test, got {self.split!r}")
        if self.group != one_line(self.group):
            raise ValueError(f"a group is one line, got {self.group!r}")
        ends = [b.end_seconds for b in self.bouts] + [end for _, end in self.watched or ()]
        if self.seconds is not None and max(ends, default=0) > self.seconds:
            raise ValueError(f"it ends at {self.seconds} s, a bout or what is watched later")


@dataclass(frozen=True, slots=True)
class Labels:
    """All that a label file, or a folder of them, says.

    Attributes:
        recordings: one for each video, in the file's order.
        classes: the ethogram in its order, classes without a bout too.
        points: classes that are point events. Of a class that has bouts these tell: it is here if
            none of them lasts, whatever was given.
        notes: a sentence for each thing that reading mended or left out; not compared.

    Raises:
        ValueError: a video or class stands twice, one of several recordings has no name, or a
            label is none of the classes.
    """

    recordings: tuple[Recording, ...]
    classes: tuple[str, ...]
    points: frozenset[str] = frozenset()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        videos = [recording.video for recording in self.recordings]
        for names, what in ((videos, "video"), (self.classes, "class")):
            if len(set(names)) < len(names):
                raise ValueError(f"a {what} stands twice")
        if "" in videos and len(videos) > 1:
            raise ValueError("a recording beside others needs a name")
        bouts = [bout for recording in self.recordings for bout in recording.bouts]
        used = {bout.label for bout in bouts}
        if unknown := sorted(used - set(self.classes)):
            raise ValueError(f"{unknown[0]!r} is none of the classes")
        lasting = {bout.label for bout in bouts if not bout.is_point}
        unused = frozenset(self.points) & (set(self.classes) - used)
        object.__setattr__(self, "points", unused | (used - lasting))


def one_line(text: str) -> str:
    """Return a text on one line, without what XML and terminals do not take.

    >>> one_line("  grooms \\t the\\nother\\x07 ")
    'grooms the other'
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    plain = text.encode("utf-8", "replace").decode("utf-8")
    plain = "".join(" " if each < " " or "\x7f" <= each <= "\x9f" else each for each in plain)
    return " ".join(plain.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd").split())


def split_called(name: str) -> str | None:
    """Return the split that a word means, "" for none; None where it is no split.

    >>> split_called("Validation"), split_called("test"), split_called("fold 3")
    ('val', 'test', None)
    """
    split = _SIDES.get(name.lower(), name.lower())
    return split if split in SPLITS else None


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans in order, those that touch or overlap joined, those without duration left out.

    Times are rounded to the nanosecond.

    Raises:
        ValueError: a span is not finite, begins before 0, or ends before it begins.

    >>> joined([(4, 5), (0, 2), (1, 3), (3, 3.5), (9, 9)])
    ((0, 3.5), (4, 5))
    """
    found: list[Span] = []
    for start, end in sorted(spans):
        if not 0 <= start <= end <= MOST_SECONDS or math.isnan(start + end):
            raise ValueError(f"no span of time: {start} to {end}")
        start, end = round(start, DIGITS), round(end, DIGITS)
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif start < end:
            found.append((start, end))
    return tuple(found)


def used_classes(recordings: Iterable[Recording]) -> tuple[str, ...]:
    """Return the labels of all bouts in order: an ethogram for want of one."""
    return in_order({bout.label for recording in recordings for bout in recording.bouts})


def in_order(labels: Collection[str]) -> tuple[str, ...]:
    """Return labels sorted, by their value where all of them are numbers.

    >>> in_order(["10", "9"]), in_order(["10", "9", "a"])
    (('9', '10'), ('10', '9', 'a'))
    """
    numbers = all(label.isdecimal() for label in labels)
    return tuple(sorted(labels, key=lambda label: (int(label) if numbers else 0, label)))
