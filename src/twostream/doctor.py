"""The doctor: decodes every video of a data set and lists what will give trouble, a line each."""

from __future__ import annotations

import statistics
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from twostream.datasets import (
    NOTED,
    RECORDINGS,
    Dataset,
    groups_on_both_sides,
    is_one_video,
    labels_in,
    load_dataset,
    of_equal_size,
    unlabeled_videos,
)
from twostream.extraction.pauses import PauseWatch, pause_warning
from twostream.labels.stretch_ids import span_of, stored_id
from twostream.threads import work_through
from twostream.types import (
    DataError,
    LabeledVideo,
    Progress,
    UsageError,
    VideoError,
    no_progress,
)
from twostream.video import FrameFolder, VideoReader, open_reader
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


@dataclass(frozen=True, slots=True)
class _Read:
    """What lies in a place, before it is decoded; `videos` has those without classes too."""

    videos: tuple[LabeledVideo, ...]
    description: str
    data: Dataset | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def files(self) -> dict[Path, str]:
        """Return each file once, with its id; labels in time have many stretches of it."""
        recordings = self.data is not None and self.data.kind == RECORDINGS
        named: dict[Path, str] = {}
        for video in self.videos:
            named.setdefault(
                video.path, stored_id(video.video_id) if recordings else video.video_id
            )
        return named


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
    read = _read(target)
    files, data = read.files, read.data
    stop, begun = threading.Event(), [""]  # an interrupted run does not decode the rest

    def check(path: Path) -> _Checked:
        begun[0] = files[path]
        return _check(path, stack_length, stop)

    results, failed = work_through(
        check,
        {video_id: path for path, video_id in files.items()},
        stop=stop,
        tell=lambda ended: progress("decode", ended, len(files), begun[0]),
        workers=workers,
    )
    checked = {
        path: results.get(video_id) or _Checked(problems=(("unreadable", failed[video_id]),))
        for path, video_id in files.items()
    }
    problems = [
        Problem(str(path), kind, detail)
        for path, result in checked.items()
        for kind, detail in result.problems
    ]
    problems += _duplicates(read)
    problems += _mixed_rates(target, tuple(checked.values()))
    problems += read.problems
    if data is not None:
        found = chain(_class_problems(data, checked, min_clips), _split_problems(data))
        problems += [Problem(str(data.root), kind, detail) for kind, detail in found]
    return DoctorReport(len(files), tuple(problems), read.description)


def _read(target: Path) -> _Read:
    """Find the videos of a data set, of a folder without classes, or one; raises DataError."""
    if is_one_video(target):
        return _Read((LabeledVideo(target.name, target, -1),), f"{target}: one video")
    loose = unlabeled_videos(target) if target.is_dir() else ()
    wrong: tuple[Problem, ...] = ()
    try:
        if not loose or labels_in(target):
            data = load_dataset(target, missing="keep")
            known = {path.resolve() for path in {video.path for video in data.videos}}
            beside = tuple(video for video in loose if video.path.resolve() not in known)
            return _Read((*data.videos, *beside), data.describe(), data)
    except DataError as error:
        if not loose:
            raise
        wrong = (Problem(str(target), "labels", str(error)),)
    return _Read(loose, f"{target}: {len(loose)} videos without classes", problems=wrong)


def _check(path: Path, stack_length: int, stop: threading.Event) -> _Checked:
    problems = []
    try:
        with open_reader(path, short_side=DECODED_SIDE_PX) as reader:
            pauses = _pauses(reader, stop)
            if stop.is_set():
                return _Checked()
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


def _pauses(reader: VideoReader | FrameFolder, stop: threading.Event) -> list[tuple[float, float]]:
    """Read a video; returns the times of which it has no frames."""
    watch, pauses, last = PauseWatch(reader.info.fps), [], 0.0
    for frame in reader:
        if stop.is_set():
            break
        late = reader.frames_read == 1 and frame.pts_seconds > 0
        if watch.ends_at(frame.pts_seconds) or late:
            pauses.append((last, frame.pts_seconds))
        last = frame.pts_seconds + 1 / reader.info.fps
    if watch.lasts_at(reader.end_seconds):
        pauses.append((last, reader.end_seconds))
    return pauses


def _duplicates(read: _Read) -> Iterator[Problem]:
    """Find files of the same bytes; only those of the same size are read."""
    of_file = defaultdict[Path, list[LabeledVideo]](list)
    for video in read.videos:
        of_file[video.path].append(video)
    files = list(of_file)
    for rows in of_equal_size(files):
        first: dict[str, Path] = {}
        for path in (files[row] for row in rows):
            try:
                content = content_hash(path)
            except VideoError:
                continue  # named as unreadable
            known = first.setdefault(content, path)
            if known != path:
                detail = f"the same bytes as {known}"
                if read.data is not None:
                    detail += _how_they_differ(of_file[path], of_file[known], read.data)
                yield Problem(str(path), "duplicate", detail)


def _how_they_differ(
    videos: Sequence[LabeledVideo], known: Sequence[LabeledVideo], data: Dataset
) -> str:
    """Say what is said otherwise of two files of the same bytes; stretches are many of one."""
    detail = ""
    if videos[0].label < 0 or known[0].label < 0:
        return detail  # a video that lies beside labels of others
    labels, others = (
        {(span_of(video.video_id), video.label) for video in side} for side in (videos, known)
    )
    if labels != others:
        if data.kind == RECORDINGS:
            detail += ", but labelled otherwise"
        else:
            one, other = data.classes[videos[0].label], data.classes[known[0].label]
            detail += f", but of class {one} instead of {other}"
    leaks = [
        str(given.number)
        for given in data.given
        if (_any_in(videos, given.train) and _any_in(known, given.test))
        or (_any_in(videos, given.test) and _any_in(known, given.train))
    ]
    if leaks:
        detail += f", on both sides of split {', '.join(leaks)}"
    elif not data.given and videos[0].group != known[0].group:
        detail += f", but of group {videos[0].group} instead of {known[0].group}"
    return detail


def _any_in(videos: Sequence[LabeledVideo], side: Sequence[LabeledVideo]) -> bool:
    return any(video in side for video in videos)


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
    data: Dataset, checked: Mapping[Path, _Checked], min_clips: int
) -> Iterator[tuple[str, str]]:
    usable: Counter[int] = Counter()
    groups = defaultdict(set)
    for video in data.videos:
        # A video without a group is one by itself.
        groups[video.label].add(video.group or video.video_id)
        usable[video.label] += checked[video.path].frames > 0
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
