"""The doctor: decodes every video of a data set and lists what will give trouble, a line each."""

from __future__ import annotations

import statistics
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from twostream.datasets import (
    NOTED,
    Dataset,
    groups_on_both_sides,
    is_one_video,
    load_dataset,
    of_equal_size,
    unlabeled_videos,
)
from twostream.extraction.pauses import PauseWatch, pause_warning
from twostream.threads import work_through
from twostream.types import (
    LabeledVideo,
    Progress,
    UsageError,
    VideoError,
    no_progress,
)
from twostream.video import open_reader
from twostream.video.fingerprint import content_hash

DECODED_SIDE_PX = 16  # nobody looks at the pictures, so they are made small
# A model sees displacements per frame; rates that differ by less than this change little.
SAME_RATE = 0.1
NAMED = 3  # of many, so many are named


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that will give trouble.

    Attributes:
        path: the file, or the data set where it is about more than one file.
        problem: which kind, in two or three words ("unreadable", "too short").
        detail: what was found and what to do.
    """

    path: str
    problem: str
    detail: str


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """What the doctor found.

    Attributes:
        videos: number of videos that were decoded.
        problems: in the order of the videos, then those of the whole data set.
        description: one line on what was examined.
    """

    videos: int
    problems: tuple[Problem, ...]
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return {"videos": count, "problems": [{"path", "problem", "detail"}]}."""
        return {"videos": self.videos, "problems": [asdict(problem) for problem in self.problems]}


@dataclass(frozen=True, slots=True)
class _Checked:
    """One video, decoded to its end."""

    frames: int = 0
    fps: float | None = None  # None: nothing tells it
    problems: tuple[tuple[str, str], ...] = ()


def examine(
    target: Path | str,
    *,
    stack_length: int = 10,
    min_clips: int = 5,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> DoctorReport:
    """Decode all videos of a data set, of a folder without classes, or one video; list problems.

    Args:
        target: anything `load_dataset` takes, a folder of videos, or one video.
        stack_length: L; a video needs one frame more to fill a stack of flow.
        min_clips: a class with fewer usable clips is named.
        workers: number of threads; None uses every core.
        progress: told in the calling thread, several times a second; the detail is a video that is
            being decoded.

    Returns:
        Problems in a fixed order, whatever the number of workers.

    Raises:
        DataError: nothing there can be read as a data set.
        UsageError: a length or number below 1.
    """
    if stack_length < 1 or min_clips < 1 or (workers is not None and workers < 1):
        raise UsageError(
            "stack length, fewest clips and workers must be at least 1, got "
            f"{stack_length}, {min_clips} and {workers}"
        )
    target = Path(target)
    data: Dataset | None = None
    if is_one_video(target):
        videos: tuple[LabeledVideo, ...] = (LabeledVideo(target.name, target, -1),)
        description = f"{target}: one video"
    elif target.is_dir() and (videos := unlabeled_videos(target)):
        description = f"{target}: {len(videos)} videos without classes"
    else:
        data = load_dataset(target, missing="keep")
        videos = data.videos
        description = data.describe()
    stop, begun = threading.Event(), [""]  # an interrupted run does not decode the rest

    def check(video: LabeledVideo) -> _Checked:
        begun[0] = video.video_id
        return _check(video.path, stack_length, stop)

    results, failed = work_through(
        check,
        {video.video_id: video for video in videos},
        stop=stop,
        tell=lambda ended: progress("decode", ended, len(videos), begun[0]),
        workers=workers,
    )
    checked = [
        results.get(video.video_id) or _Checked(problems=(("unreadable", failed[video.video_id]),))
        for video in videos
    ]
    problems = [
        Problem(str(video.path), kind, detail)
        for video, result in zip(videos, checked, strict=True)
        for kind, detail in result.problems
    ]
    problems += _duplicates(videos, data)
    problems += _mixed_rates(target, checked)
    if data is not None:
        found = chain(_class_problems(data, checked, min_clips), _split_problems(data))
        problems += [Problem(str(data.root), kind, detail) for kind, detail in found]
    return DoctorReport(len(videos), tuple(problems), description)


def _check(path: Path, stack_length: int, stop: threading.Event) -> _Checked:
    problems = []
    try:
        with open_reader(path, short_side=DECODED_SIDE_PX) as reader:
            watch, pauses, last = PauseWatch(reader.info.fps), [], 0.0
            for frame in reader:
                if stop.is_set():
                    return _Checked()
                if watch.ends_at(frame.pts_seconds):
                    pauses.append((last, frame.pts_seconds))
                last = frame.pts_seconds + 1 / reader.info.fps
            frames, info, warning = reader.frames_read, reader.info, reader.warning
            varies, lost = reader.variable_frame_rate, reader.packets_lost
    except VideoError as error:
        return _Checked(problems=(("unreadable", error.cause),))
    if warning:
        kind = "damaged" if lost else "truncated"
        problems.append((kind, warning.removeprefix(f"{path}: ")))
    if frames <= stack_length:
        problems.append(
            (
                "too short",
                f"{frames} frame{'s' if frames > 1 else ''}, but a stack of length {stack_length} "
                f"needs {stack_length + 1}: its last flow is repeated",
            )
        )
    if info.rotation or info.mirrored:
        turned = f"turned {info.rotation} degrees clockwise" if info.rotation else ""
        mirrored = "mirrored, left to right," if info.mirrored else ""
        how = " and ".join(filter(None, (turned, mirrored)))
        problems.append(("rotated", f"it is {how} when read"))
    if paused := pause_warning(path, pauses):
        problems.append(("pause", paused.removeprefix(f"{path}: ")))
    if varies:
        problems.append(
            (
                "variable frame rate",
                f"its frames are not evenly spaced around {info.fps:.4g} frames/s: by their times "
                "they are brought to an even rate, some repeated or left out",
            )
        )
    return _Checked(frames, info.fps if info.fps_told else None, tuple(problems))


def _duplicates(videos: Sequence[LabeledVideo], data: Dataset | None) -> Iterator[Problem]:
    """Find videos of the same bytes; only those of the same size are read."""
    for rows in of_equal_size([video.path for video in videos]):
        first: dict[str, LabeledVideo] = {}
        for video in (videos[row] for row in rows):
            try:
                content = content_hash(video.path)
            except VideoError:
                continue  # named as unreadable
            known = first.setdefault(content, video)
            if known is not video:
                yield _duplicate(video, known, data)


def _duplicate(video: LabeledVideo, known: LabeledVideo, data: Dataset | None) -> Problem:
    detail = f"the same bytes as {known.path}"
    if data is not None:
        if video.label != known.label:
            one, other = data.classes[video.label], data.classes[known.label]
            detail += f", but of class {one} instead of {other}"
        leaks = [
            str(given.number)
            for given in data.given
            if (video in given.train and known in given.test)
            or (video in given.test and known in given.train)
        ]
        if leaks:
            detail += f", on both sides of split {', '.join(leaks)}"
        elif not data.given and video.group != known.group:
            detail += f", but of group {video.group} instead of {known.group}"
    return Problem(str(video.path), "duplicate", detail)


def _mixed_rates(target: Path, checked: Sequence[_Checked]) -> Iterator[Problem]:
    rates = [result.fps for result in checked if result.frames > 1 and result.fps]
    if not rates:
        return
    usual = statistics.mode(round(rate, 2) for rate in rates)
    odd = sum(abs(rate / usual - 1) > SAME_RATE for rate in rates)
    if odd:
        yield Problem(
            str(target),
            "mixed frame rates",
            f"{odd} of {len(rates)} videos are not near the usual {usual:g} frames/s (from "
            f"{min(rates):.4g} to {max(rates):.4g}), so the same motion gives another flow: "
            "extract at one rate",
        )


def _class_problems(
    data: Dataset, checked: Sequence[_Checked], min_clips: int
) -> Iterator[tuple[str, str]]:
    usable: Counter[int] = Counter()
    groups = defaultdict(set)
    for video, result in zip(data.videos, checked, strict=True):
        # A video without a group is one by itself.
        groups[video.label].add(video.group or video.video_id)
        usable[video.label] += result.frames > 0
    for label, name in enumerate(data.classes):
        if usable[label] < min_clips:
            yield (
                "class with too few clips",
                f"class {name} has {usable[label]} readable, at least {min_clips} are needed to "
                "train and test it",
            )
        elif len(groups[label]) == 1 and not data.given:
            yield (
                "class of one group",
                f"all clips of class {name} are of group {groups[label].pop()}, so it cannot be "
                "trained and tested: add clips of other groups",
            )


def _split_problems(data: Dataset) -> Iterator[tuple[str, str]]:
    """Name what is wrong with the given splits, and what reading left out."""
    for given in data.given:
        shared = groups_on_both_sides(given.train, given.test)
        if shared:
            found = f"{_some(shared, 'groups')} in training and in the test"
            yield "groups on both sides", f"split {given.number}: {found}"
        if given.missing:
            found = f"its lists name {_some(given.missing, 'videos')} that are not here"
            yield "missing videos", f"split {given.number}: {found}"
        trained, tested = ({video.label for video in side} for side in (given.train, given.test))
        for side, only in (("training", trained - tested), ("the test", tested - trained)):
            names = [data.classes[label] for label in sorted(only)]
            if names:
                found = f"{_some(names, 'classes')} in {side} only"
                yield "class on one side", f"split {given.number}: {found}"
    for note in data.notes:
        if note.startswith(NOTED):
            yield "folders of frames", note.removeprefix(NOTED)
        else:
            yield "left out", note


def _some(names: Sequence[str], what: str) -> str:
    more = ", ..." if len(names) > NAMED else ""
    return f"{len(names)} {what} ({', '.join(names[:NAMED])}{more})"
