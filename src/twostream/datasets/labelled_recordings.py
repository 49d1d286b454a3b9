"""Recordings with labels in time as a data set: each labelled stretch is a clip of its own.

A bout is cut into pieces about as long as the windows of a time line, so that long ones do not
count as little as short ones. What was watched and has no label becomes the class "other"; what
nobody watched is never used.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from twostream.datasets.dataset import RECORDINGS, Dataset
from twostream.datasets.found_recordings import FoundRecording, first_ones, videos_of
from twostream.datasets.label_spans import Said, disputed, label_spans, shared_labels
from twostream.datasets.lists import Missing, name_of
from twostream.datasets.time_spans import length, within, without
from twostream.datasets.video_folders import given_by_side
from twostream.foreign import is_foreign
from twostream.labels import Labels, Recording, read_labels
from twostream.labels.formats import is_label_file
from twostream.labels.recordings import OTHER, Span, joined
from twostream.labels.stretch_ids import span_id
from twostream.types import VIDEO_SUFFIXES, DataError, LabeledVideo

PIECE_SECONDS = 2.0  # as the windows of a time line
SHORTEST_SECONDS = 0.2  # of a piece; what is left of a bout between others may be shorter
TOGETHER_SECONDS = 10.0  # that labels hold at once, to be learnt together
BLOCKS, GAP_SECONDS = 6, 2.0  # of a recording that stands alone

LabelSet = frozenset[str]
_OTHER: LabelSet = frozenset([OTHER])


def labels_in(place: Path) -> Labels | None:
    """Return the labels in time that lie in a place; None where there are none.

    Args:
        place: a file; or a folder in which videos and label files lie side by side, and no videos
            in folders of their own, which would be classes.
    """
    if not place.is_dir():
        return read_labels(place) if is_label_file(place) else None
    try:
        here = [each for each in place.iterdir() if not is_foreign(each.name)]
    except OSError:
        return None  # who reads the folder for clips says so
    files = [each for each in here if each.is_file()]
    others = [each for each in files if each.suffix.lower() not in VIDEO_SUFFIXES]
    folders = [each for each in here if each.is_dir()]
    if len(others) == len(files) or any(_holds_video(folder) for folder in folders):
        return None
    return read_labels(place) if any(map(is_label_file, others)) else None


def _holds_video(folder: Path) -> bool:
    names = (name for _, _, names in os.walk(folder) for name in names)
    return any(os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES for name in names)


def read_recordings(labels: Labels, place: Path, *, missing: Missing = "refuse") -> Dataset:
    """Make a data set of recordings.

    Pieces are grouped by the recording's group, or by the recording; of one recording alone by
    blocks of time with gaps in between, in which nothing is used. Labels that often hold at once
    are a class of their own; other time with several of them is left out.

    Args:
        labels: what ``labels_in`` found in
        place: the file or folder; names of videos are relative to its folder.
        missing: what becomes of videos that are not there, see ``load_dataset``.

    Raises:
        DataError: a video is missing, or nothing is labelled.
    """
    found, notes = videos_of(labels, place, missing)
    notes += _on_watched(found)
    stretches = {each.video_id: stretches_of(each.recording, each.seconds) for each in found}
    if shared := shared_labels(labels):
        stretches, note = _undisputed(found, stretches, shared)
        notes.append(note)
    names = _class_names(labels, found, stretches)
    classes = tuple(names.values())
    if not set(classes) - {OTHER}:
        raise DataError(f"{place} labels nothing in its videos: label some bouts")
    notes += _on_several(stretches, names)
    groups = {each.recording.group or each.video_id for each in found}
    if len(groups) == 1:
        all_of_one = "there is one recording, so it is"
        if len(found) > 1:
            all_of_one = f"all {len(found)} recordings are of the group {min(groups)}, so each is"
        notes.append(
            f"{all_of_one} split by {BLOCKS} blocks of time, with gaps of {GAP_SECONDS:g} s: a "
            f"test on another {'recording' if len(found) == 1 else 'group'} would say more"
        )
    videos, sides = [], defaultdict[str, list[LabeledVideo]](list)
    for each in found:
        spans = {names[of]: spans for of, spans in stretches[each.video_id].items() if of in names}
        own = _pieces(each, spans, classes, alone=len(groups) == 1)
        videos += own
        sides[each.recording.split] += own
    given, odd = given_by_side(sides)
    if given and (aside := [each.video_id for each in found if not each.recording.split]):
        odd.append(
            f"{len(aside)} of {len(found)} recordings have no split value and are on neither side: "
            f"{first_ones(aside)}"
        )
    return Dataset(
        name=name_of(place),
        kind=RECORDINGS,
        root=place,
        classes=classes,
        videos=tuple(videos),
        given=given,
        notes=(*labels.notes, *notes, *odd),
        together={name: _in_order(of, labels) for of, name in names.items() if len(of) > 1},
        points=tuple(sorted(labels.points - {OTHER})),
    )


def stretches_of(recording: Recording, seconds: float) -> dict[LabelSet, tuple[Span, ...]]:
    """Return where which labels hold at once, in seconds; "other" where none does.

    Args:
        recording: its bouts; a point event stands for a second around it.
        seconds: length of its video.

    Returns:
        Labels -> stretches, apart and ascending.
    """
    by_label = label_spans(recording.bouts, seconds)
    changes = sorted(
        (moment, begins, label)
        for label, spans in by_label.items()
        for span in spans
        for moment, begins in zip(span, (True, False), strict=True)
    )
    found = defaultdict[LabelSet, list[Span]](list)
    now = set[str]()
    for (moment, begins, label), (following, _, _) in pairwise([*changes, (seconds, False, "")]):
        (now.add if begins else now.discard)(label)
        if now and following > moment:
            found[frozenset(now - {OTHER}) or _OTHER].append((moment, following))
    watched = ((0.0, seconds),) if recording.watched is None else recording.watched
    found[_OTHER] += without(within(watched, seconds), chain.from_iterable(by_label.values()))
    return {of: joined(spans) for of, spans in found.items() if spans}


def _undisputed(
    found: Sequence[FoundRecording],
    stretches: Mapping[str, dict[LabelSet, tuple[Span, ...]]],
    shared: Mapping[tuple[str, str], frozenset[Said]],
) -> tuple[dict[str, dict[LabelSet, tuple[Span, ...]]], str]:
    """Return stretches without what annotators contradict each other about, and a note."""
    left, seconds = dict[str, dict[LabelSet, tuple[Span, ...]]](), 0.0
    for each in found:
        cut = disputed(each.recording, shared, each.seconds)
        own = {of: without(spans, cut) for of, spans in stretches[each.video_id].items()}
        left[each.video_id] = {of: spans for of, spans in own.items() if spans}
        seconds += length(cut)
    who = ", ".join(sorted({name or "nobody named" for pair in shared for name in pair}))
    return left, (
        f"several people label the same ({who}): what one of them says counts, but for "
        f"{seconds:.1f} s in which they contradict each other, which are left out"
    )


def _class_names(
    labels: Labels,
    found: Sequence[FoundRecording],
    stretches: Mapping[str, Mapping[LabelSet, Sequence[Span]]],
) -> dict[LabelSet, str]:
    """Return what is learnt and its class: each label, those that often hold at once, "other"."""
    lasting, groups = Counter[LabelSet](), defaultdict[LabelSet, set[str]](set)
    for each in found:
        for of, spans in stretches[each.video_id].items():
            lasting[of] += length(spans)  # type: ignore[assignment]
            groups[of].add(each.recording.group or each.video_id)
    enough = min(2, len({each.recording.group or each.video_id for each in found}))
    named = {frozenset([name]): name for name in labels.classes}
    several = [
        of
        for of in lasting
        if len(of) > 1 and lasting[of] >= TOGETHER_SECONDS and len(groups[of]) >= enough
    ]
    for of in sorted(several, key=lambda of: _in_order(of, labels)):
        if (name := " + ".join(_in_order(of, labels))) not in named.values():
            named[of] = name
    named.setdefault(_OTHER, OTHER)
    usable = {
        of
        for of_recording in stretches.values()
        for of, spans in of_recording.items()
        if any(end - start >= SHORTEST_SECONDS for start, end in spans)
    }
    return {of: name for of, name in named.items() if of in usable}


def _in_order(of: LabelSet, labels: Labels) -> tuple[str, ...]:
    return tuple(name for name in labels.classes if name in of)


def _on_several(
    stretches: Mapping[str, Mapping[LabelSet, Sequence[Span]]], names: Mapping[LabelSet, str]
) -> list[str]:
    """Say which labels are learnt together, and what time is left out."""
    notes = []
    seen = {name for each in stretches.values() for of in each for name in of}
    if never := sorted(seen - {name for of in names for name in of}):
        notes.append(f"never without other labels, and so not learnt: {', '.join(never)}")
    if learnt := [name for of, name in names.items() if len(of) > 1]:
        notes.append(f"labels that hold at once are classes of their own: {', '.join(learnt)}")
    lasting = [(of, length(spans)) for each in stretches.values() for of, spans in each.items()]
    left = sum(seconds for of, seconds in lasting if of not in names and len(of) > 1)
    if left > 1e-6:
        share = 100 * left / sum(seconds for _, seconds in lasting)
        notes.append(
            f"{share:.1f}% of the watched time has several labels at once, too seldom together to "
            "be learnt, and is left out"
        )
    return notes


def _pieces(
    found: FoundRecording,
    stretches: Mapping[str, Sequence[Span]],
    classes: Sequence[str],
    *,
    alone: bool,
) -> list[LabeledVideo]:
    """Cut stretches into pieces; of a recording that stands ``alone`` the gaps are left out."""
    group, videos = found.recording.group or found.video_id, []
    borders = np.arange(1, BLOCKS) * found.seconds / BLOCKS
    for number, label in enumerate(classes):
        for start, end in stretches.get(label, ()):
            count = max(1, round((end - start) / PIECE_SECONDS))
            for first, last in pairwise(np.linspace(start, end, count + 1).tolist()):
                if last - first < SHORTEST_SECONDS:
                    continue
                own = group
                if alone:
                    if any(
                        (first - GAP_SECONDS / 2 < borders) & (borders < last + GAP_SECONDS / 2)
                    ):
                        continue
                    own = f"{group}, part {1 + int((borders < first).sum())} of {BLOCKS}"
                video_id = span_id(found.video_id, first, last)
                videos.append(LabeledVideo(video_id, found.path, number, own))
    return videos


def _on_watched(found: Sequence[FoundRecording]) -> list[str]:
    """Say where bouts lie beside the watched time: the label of a row may have been forgotten."""
    odd = []
    for each in found:
        watched = each.recording.watched or ()
        spans = [(bout.start_seconds, bout.end_seconds) for bout in each.recording.bouts]
        if watched and any(length(without([span], watched)) for span in spans):
            odd.append(f"{each.video_id} ({length(watched):.1f} s)")
    if not odd:
        return []
    return [
        f"bouts lie outside of what was watched, beside which nothing else is used: in {len(odd)} "
        f"of {len(found)} recordings ({first_ones(odd)}): a "
        "row of times without a label says what was watched, is a label missing?"
    ]
