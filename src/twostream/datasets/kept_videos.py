"""Which videos a run trains and tests on, in RUN/videos.json: written once, and used ever after.

A split is drawn from what lies in the data's folder. Were it drawn anew when clips have been added
or removed, clips that a net was trained on would be tested. So a run that goes on, and one that is
evaluated again, take the videos that it began with, and what has changed since is said.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from twostream.datasets.dataset import Dataset, SplitChoice
from twostream.files import read_json, write_json
from twostream.labels.stretch_ids import have_in_common, span_of, stored_id
from twostream.schema import from_json
from twostream.threads import ThreadPool, num_cores
from twostream.types import DataError, DatasetSplit, LabeledVideo, RunError, VideoError
from twostream.video.fingerprint import source_hash

logger = logging.getLogger(__name__)

VIDEOS_NAME = "videos.json"
NAMED = 3  # videos of each kind of change
_PART = re.compile(r", part \d+ of \d+$")  # what reading adds to the group of one recording alone


@dataclass(frozen=True)
class KeptVideos:
    """The videos that a run began with.

    Attributes:
        split: both sides; files lie where the data has them now, or where they lay then.
        hashes: video id -> ``source_hash`` of its file then; "" where it could not be read.
        others: ids of the data's videos then that stood on neither side.
        root: of the data then.
        together: class -> the labels that held at once in it then, of recordings.
    """

    split: DatasetSplit
    hashes: dict[str, str]
    others: frozenset[str]
    root: Path
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def keep_videos(run: Path, dataset: Dataset, split: DatasetSplit) -> None:
    """Write which videos a run trains and tests on, unless it is written."""
    if (run / VIDEOS_NAME).is_file():
        return
    known = {video.video_id for video in split.videos()}
    hashes = hashes_of(split.videos())
    train, test = (
        tuple(
            _Row(v.video_id, str(v.path), split.classes[v.label], v.group, hashes[v.video_id])
            for v in videos
        )
        for videos in (split.train, split.test)
    )
    say_known(KeptVideos(split, hashes, frozenset(), dataset.root), split.test)
    kept = _Written(
        split.dataset,
        split.name,
        str(dataset.root.absolute()),
        split.classes,
        split.notes,
        tuple(video.video_id for video in dataset.videos if video.video_id not in known),
        train,
        test,
        dict(dataset.together),
    )
    write_json(run / VIDEOS_NAME, asdict(kept))


def kept_videos(run: Path) -> KeptVideos | None:
    """Return what ``keep_videos`` wrote; None where a run has not begun.

    Raises:
        RunError: the file is damaged.
    """
    file = run / VIDEOS_NAME
    if not file.is_file():
        return None
    try:
        kept = from_json(_Written, read_json(file))
        sides = [
            tuple(_video(row, kept.classes) for row in rows) for rows in (kept.train, kept.test)
        ]
        hashes = {row.id: row.hash for row in (*kept.train, *kept.test)}
        split = DatasetSplit(kept.dataset, kept.split, kept.classes, sides[0], sides[1], kept.notes)
        return KeptVideos(split, hashes, frozenset(kept.others), Path(kept.root), kept.together)
    except ValueError as error:
        raise RunError(
            f"{file} is damaged ({type(error).__name__}: {error}): train again, with another --out"
        ) from error


@dataclass(frozen=True, slots=True)
class _Row:
    """A video, as RUN/videos.json has it."""

    id: str
    path: str
    label: str
    group: str | None
    hash: str


@dataclass(frozen=True, slots=True)
class _Written:
    """What RUN/videos.json holds, see ``keep_videos``."""

    dataset: str
    split: str
    root: str
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    others: tuple[str, ...]
    train: tuple[_Row, ...]
    test: tuple[_Row, ...]
    together: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _video(row: _Row, classes: Sequence[str]) -> LabeledVideo:
    return LabeledVideo(row.id, Path(row.path), classes.index(row.label), row.group)


def hashes_of(videos: Iterable[LabeledVideo]) -> dict[str, str]:
    """Return video id -> fingerprint of its file, "" where it cannot be read."""
    chosen = list(videos)
    paths = list(dict.fromkeys(video.path for video in chosen))
    with ThreadPool(num_cores(), thread_name_prefix="fingerprint") as pool:
        hashes = dict(zip(paths, pool.map(_hash, paths), strict=True))
    return {video.video_id: hashes[video.path] for video in chosen}


def _hash(path: Path) -> str:
    try:
        return source_hash(path)
    except VideoError:
        return ""


def as_begun(
    kept: KeptVideos | None, dataset: Dataset, choice: SplitChoice, *, seed: int
) -> tuple[Dataset, DatasetSplit]:
    """Return data and split as a run began with them, and say what has changed since.

    Args:
        kept: what the run began with; None: it begins now.
        dataset: as it is now.
        choice: who is tested, and
        seed: by which that is drawn, for a run that begins.
    """
    if kept is None:
        return dataset, choice.of(dataset, seed=seed)
    split = found_now(kept, dataset)
    changed = say_changes(kept, dataset)
    say_mended_sides(kept, dataset, choice)
    say_known(kept, [video for video in split.test if video.video_id in changed])
    begun = replace(dataset, classes=split.classes, together=kept.together)
    # of videos that are in no side of a given split nobody asks
    return replace(begun, videos=split.videos(), given=()), split


def found_now(kept: KeptVideos, dataset: Dataset) -> DatasetSplit:
    """Return the split that a run began with, each file where the data has it now."""
    now = {stored_id(video.video_id): video.path for video in dataset.videos}

    def placed(videos: Sequence[LabeledVideo]) -> tuple[LabeledVideo, ...]:
        return tuple(replace(v, path=now.get(stored_id(v.video_id), v.path)) for v in videos)

    split = kept.split
    return replace(split, train=placed(split.train), test=placed(split.test))


def say_changes(kept: KeptVideos, dataset: Dataset) -> frozenset[str]:
    """Warn of videos that are new, gone, of another content or class since a run began.

    Returns:
        Ids of those of another content.
    """
    begun = {video.video_id: video for video in kept.split.videos()}
    now = {video.video_id: video for video in dataset.videos}
    here = [now[video_id] for video_id in begun if video_id in now]
    hashes = hashes_of(here)

    def named(changed: Callable[[LabeledVideo], bool]) -> list[str]:
        return [video.video_id for video in here if changed(video)]

    def label(video: LabeledVideo) -> str:
        return kept.split.classes[begun[video.video_id].label]

    def of_both(video_id: str) -> bool:
        """Whether it is a stretch of a recording that is there now and was there then."""
        return stored_id(video_id) in both and span_of(video_id) is not None

    then = begun.keys() | kept.others
    both = {stored_id(each) for each in now} & {stored_id(each) for each in then}
    new = [video_id for video_id in now if video_id not in then]
    gone = [video_id for video_id in begun if video_id not in now]
    changed = named(lambda video: hashes[video.video_id] != kept.hashes[video.video_id])
    for ids, what in (
        (
            [video_id for video_id in new if not of_both(video_id)],
            "new since the run began, and left out: train again with another --out to use them",
        ),
        (
            [video_id for video_id in gone if not of_both(video_id)],
            "gone since the run began: put them back, or they count as videos that cannot be read",
        ),
        (
            [video_id for video_id in gone if of_both(video_id)] or list(filter(of_both, new)),
            "labelled otherwise than when the run began, which goes on with the labels of then: "
            "train again with another --out to use those of now",
        ),
        (
            changed,
            "of another content than when the run began: nets and scores of before are of the old",
        ),
        (
            named(lambda video: dataset.classes[video.label] != label(video)),
            "of another class than when the run began, and keep the old one: train again with "
            "another --out",
        ),
    ):
        _say(ids, what)
    return frozenset(changed)


def say_mended_sides(kept: KeptVideos, dataset: Dataset, choice: SplitChoice) -> None:
    """Warn of videos of another group, or of another side of the given split, than a run has them.

    Args:
        kept: what the run began with.
        dataset: as it is now.
        choice: who is tested; folds and chosen groups are drawn by the group alone.
    """
    groups = {video.video_id: _group(video) for video in kept.split.videos()}
    other = [v.video_id for v in dataset.videos if _group(v) != groups.get(v.video_id, _group(v))]
    stay = "and the run keeps its sides of then: train again with another --out"
    _say(other, f"of another group than when the run began, {stay}")
    if choice.fold or choice.test_groups:
        return
    given = {each.number: each for each in dataset.given}
    number = choice.split or min(given, default=1)
    if number not in given:
        if re.fullmatch(r"split \d+", kept.split.name):  # what is made here is called more
            logger.warning(f"{kept.split.name} came with the data and does not any more, {stay}")
        return
    then = _sides(kept.split.train, kept.split.test)
    now = _sides(given[number].train, given[number].test)
    known = then.keys() | kept.others
    ids = [v.video_id for v in dataset.videos if v.video_id in known]
    moved = [video_id for video_id in ids if now.get(video_id) != then.get(video_id)]
    _say(moved, f"on another side of split {number} of the data than when the run began, {stay}")


def _group(video: LabeledVideo) -> str:
    group = video.group or ""
    return group if span_of(video.video_id) is None else _PART.sub("", group)


def _sides(train: Sequence[LabeledVideo], test: Sequence[LabeledVideo]) -> dict[str, str]:
    sides = {video.video_id: "train" for video in train}
    return sides | {video.video_id: "test" for video in test}


def _say(ids: Sequence[str], what: str) -> None:
    if ids:
        more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
        count = "1 video is" if len(ids) == 1 else f"{len(ids)} videos are"
        logger.warning(f"{count} {what} ({', '.join(ids[:NAMED])}{more})")


def say_known(kept: KeptVideos | None, tested: Sequence[LabeledVideo]) -> None:
    """Warn where videos are tested that a run is trained on, whatever they are called."""
    if kept is None:
        return
    trained: dict[str, list[str]] = {}
    for video in kept.split.train:
        trained.setdefault(kept.hashes[video.video_id], []).append(video.video_id)
    trained.pop("", None)
    hashes = hashes_of(tested)
    seen = [
        video_id
        for video_id in hashes
        if any(have_in_common(video_id, other) for other in trained.get(hashes[video_id], ()))
    ]
    if seen:
        logger.warning(
            f"{len(seen)} of {len(tested)} videos to test are among those that the run was trained "
            f"on, the first is {seen[0]}: the accuracy will be too high"
        )


def data_of(kept: KeptVideos | None, asked: str) -> Path:
    """Return where a run's data lies: where it was, or as it was called, from here.

    Raises:
        DataError: at neither place.
    """
    if kept and not kept.root.exists() and not Path(asked).exists():
        raise DataError(
            f"the run's data lay at {kept.root} and is not there: put it back, or say where it is "
            "(twostream evaluate RUN DATA)"
        )
    return kept.root if kept and kept.root.exists() else Path(asked)
