"""`Dataset` and who trains, who tests: given splits, folds by group, chosen groups."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from twostream.types import DataError, DatasetSplit, LabeledVideo, UsageError

RECORDINGS = "recordings"
OFFICIAL = ("UCF-101", "HMDB-51")
MADE = 3  # splits, of which each tests a third, where none came with the data


@dataclass(frozen=True, slots=True)
class GivenSplit:
    """A split that came with the data.

    Attributes:
        number: 1, 2, 3 as in the official lists; 1 for train/test folders and split columns.
        notes: what a user should know of it: listed files that are missing, where val went.
        missing: listed videos that are not here, as the lists name them.
    """

    number: int
    train: tuple[LabeledVideo, ...]
    test: tuple[LabeledVideo, ...]
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled videos of one data set.

    Attributes:
        name: for tables ("weizmann", "UCF-101").
        kind: what was recognised: "class folders", "UCF-101", "HMDB-51", "CSV", "list", or
            "recordings": labels in time.
        root: the folder or file that was given.
        classes: class names; a label is an index into them.
        videos: all videos in a fixed order, those of no given split included.
        given: the splits that came with the data, by ascending number.
        notes: what was left out while reading, in sentences.
        ignored: hidden and other files that are no videos.
        list_name: of the list inside the folder that groups and splits are from; "" for none.
        together: class -> the labels that hold at once in it, of recordings.
        points: labels of theirs that are point events.
    """

    name: str
    kind: str
    root: Path
    classes: tuple[str, ...]
    videos: tuple[LabeledVideo, ...]
    given: tuple[GivenSplit, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: int = 0
    list_name: str = ""
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    points: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            have = f"only the class {self.classes[0]}" if self.classes else "no class"
            raise DataError(f"{self.root} has {have}: recognition needs at least two classes")
        ids = Counter(video.video_id for video in self.videos)
        twice = next((video_id for video_id, n in ids.items() if n > 1), None)
        if twice is not None:
            raise DataError(f"{self.root}: the video {twice} is there twice: remove one of them")

    @property
    def given_splits(self) -> tuple[int, ...]:
        """Numbers of the splits that came with the data."""
        return tuple(given.number for given in self.given)

    @property
    def groups(self) -> tuple[str, ...]:
        """All known groups, sorted."""
        return tuple(sorted({video.group for video in self.videos if video.group is not None}))

    def whole(self) -> DatasetSplit:
        """Return all videos as training videos, none to test."""
        return DatasetSplit(self.name, "whole", self.classes, self.videos, ())

    def describe(self) -> str:
        """Say in one line what was found."""
        what = f"{len(self.videos)} videos"
        if self.kind == RECORDINGS:
            files = len({video.path for video in self.videos})
            what = f"{len(self.videos)} labelled stretches of {files} recordings,"
        parts = [f"{what} of {len(self.classes)} classes"]
        if self.groups:
            parts.append(f"{len(self.groups)} groups")
        if self.given:
            numbers = ", ".join(map(str, self.given_splits))
            parts.append(f"given split{'s' if len(self.given) > 1 else ''} {numbers}")
        else:
            parts.append("no given split")
        if self.ignored:
            parts.append(f"{self.ignored} other file{'s' if self.ignored > 1 else ''} ignored")
        kind = (
            f"{self.kind}, groups and splits of {self.list_name}" if self.list_name else self.kind
        )
        return f"{self.name} ({kind}): " + ", ".join(parts)

    def refuse_empty(self) -> None:
        """Raise a DataError where there is no clip, as of a recording shorter than its gaps."""
        if not self.videos:
            short = "what is labelled is too short, or lies in gaps between blocks of time: label "
            how = short + "more" if self.kind == RECORDINGS else "add clips"
            raise DataError(f"{self.root} has nothing to train or to test: {how}")

    def split(
        self,
        number: int | None = None,
        *,
        fold: str | None = None,
        test_groups: Sequence[str] | None = None,
        seed: int = 0,
    ) -> DatasetSplit:
        """Choose training and test videos; no group ever stands on both sides of a made split.

        Without any choice: the first given split, else one made here. A made split is stratified by
        class and drawn by group where groups are known; classes are kept on both sides if that is
        possible at all, else in training.

        Args:
            number: which given split; without given splits, which of ``MADE`` ones that are made.
            fold: "i/k", fold i (from 1) of k is tested; every video is tested in exactly one fold.
            test_groups: these groups are tested, all others train.
            seed: draws the folds; the same seed gives the same split.

        Raises:
            UsageError: a choice that this data set does not have, or two choices at once.
            DataError: nothing would be left to train or to test.
        """
        if sum(choice is not None for choice in (number, fold, test_groups)) > 1:
            raise UsageError("choose one of split number, fold and test groups, not several")
        if not 0 <= seed < 2**32:
            raise UsageError(f"a seed lies between 0 and {2**32 - 1}, got {seed}")
        self.refuse_empty()
        if test_groups is not None:
            return self._by_groups(test_groups)
        if fold is not None:
            index, count = self._parse_fold(fold)
            tested = self._folds(count, seed)[index - 1]
            return self._made(f"fold {index}/{count}", tested, seed)
        if self.given:
            return self._given(self.given_splits[0] if number is None else number)
        count = max(2, min(MADE, len(self.units())))
        if number is not None and not 1 <= number <= count:
            raise UsageError(
                f"{self.name} came without splits, so {count} are made, numbered 1 to {count}; "
                f"got split {number}"
            )
        number = number or 1
        tested = self._repaired(self._folds(count, seed)[number - 1])
        if not tested:
            raise DataError(
                f"every class of {self.name} has one {'group' if self.groups else 'clip'} only, so "
                "none can be tested apart from training: add clips"
            )
        how = "by group" if self.groups else "per video"
        return self._made(f"split {number} {how}, seed {seed}", tested, seed)

    def _given(self, number: int) -> DatasetSplit:
        given = next((g for g in self.given if g.number == number), None)
        if given is None:
            have = ", ".join(map(str, self.given_splits))
            raise UsageError(f"{self.name} has split {have}; got split {number}")
        notes = [f"split {number} as given with the data", *given.notes]
        if self.kind not in OFFICIAL and (shared := groups_on_both_sides(given.train, given.test)):
            notes.append(
                f"{len(shared)} groups are on both sides of the given split, "
                f"the first is {shared[0]}: the test accuracy will be too high"
            )
        return self._checked(f"split {number}", given.train, given.test, notes)

    def _by_groups(self, test_groups: Sequence[str]) -> DatasetSplit:
        if isinstance(test_groups, str):
            test_groups = test_groups.split(",")
        names = [name for group in test_groups if (name := group.strip())]
        known = self.groups
        if not known:
            raise UsageError(
                f"{self.name} has no groups, so none can be chosen for testing: "
                "add a column group to a CSV file, or use a fold"
            )
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            listed = ", ".join(known[:40]) + (", ..." if len(known) > 40 else "")
            got = ", ".join(unknown) or "none"
            raise UsageError(f"{self.name} has the groups {listed}; got {got}")
        tested = {video.video_id for video in self.videos if video.group in names}
        return self._made(f"test groups {','.join(names)}", tested, None)

    def _parse_fold(self, fold: str) -> tuple[int, int]:
        index, slash, count = fold.partition("/")
        if not (slash and index.strip().isdecimal() and count.strip().isdecimal()):
            raise UsageError(f"a fold is written i/k, for example 1/3; got {fold}")
        i, k, units = int(index), int(count), len(self.units())
        if not 1 <= i <= k or k < 2:
            raise UsageError(f"fold i/k needs k of 2 or more and i from 1 to k, got {fold}")
        if k > units:
            what = "groups" if self.groups else "videos"
            raise UsageError(f"{self.name} has {units} {what}, too few for {k} folds")
        return i, k

    def units(self) -> dict[str, list[LabeledVideo]]:
        """Return what is moved as a whole: the groups, and each video that has none."""
        units = defaultdict(list)
        for video in self.videos:
            # A slash keeps a video's id from meeting a group of that name.
            units[f"/{video.video_id}" if video.group is None else video.group].append(video)
        return dict(units)

    def _folds(self, count: int, seed: int) -> list[set[str]]:
        """Deal the videos into `count` folds of video ids, groups whole, classes even."""
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        units = self.units()
        if len(units) < 2:
            raise DataError(
                f"{self.name}: all videos are of the one group {self.groups[0]}, so none can be "
                "tested apart from training: give more groups"
            )
        ids = [video.video_id for members in units.values() for video in members]
        labels = [video.label for members in units.values() for video in members]
        names = [name for name, members in units.items() for _ in members]
        if max(Counter(labels).values()) >= count:
            kind = StratifiedGroupKFold if self.groups else StratifiedKFold
            whole = names if self.groups else None
            with warnings.catch_warnings():
                # A class with fewer clips than folds gets a note of its own.
                warnings.filterwarnings("ignore", message="The least populated class")
                splitter = kind(count, shuffle=True, random_state=seed)
                folds = [{ids[i] for i in rows} for _, rows in splitter.split(ids, labels, whole)]
            if all(folds):
                return folds
        # Too few clips to stratify; dealing by size alone leaves no fold empty.
        order = np.random.default_rng(seed).permutation(sorted(units)).tolist()
        folds = [set() for _ in range(count)]
        for name in sorted(order, key=lambda name: -len(units[name])):
            min(folds, key=len).update(video.video_id for video in units[name])
        return folds

    def _repaired(self, tested: set[str]) -> set[str]:
        """Move whole units until each class trains, and is tested too where that is possible."""
        units = self.units()
        owners = defaultdict(list)
        for name, videos in units.items():
            for label in {video.label for video in videos}:
                owners[label].append(name)
        in_test = {name for name, videos in units.items() if videos[0].video_id in tested}

        def smallest(names: Iterable[str]) -> str | None:
            return min(names, key=lambda name: (len(units[name]), name), default=None)

        for names in owners.values():
            if in_test.issuperset(names):
                in_test.remove(smallest(names) or names[0])
        for names in owners.values():
            if not in_test.isdisjoint(names):
                continue
            spare = smallest(
                name
                for name in names
                if all(
                    any(other != name and other not in in_test for other in owners[video.label])
                    for video in units[name]
                )
            )
            if spare is not None:
                in_test.add(spare)
        return {video.video_id for name in in_test for video in units[name]}

    def _made(self, name: str, tested: set[str], seed: int | None) -> DatasetSplit:
        train = tuple(video for video in self.videos if video.video_id not in tested)
        test = tuple(video for video in self.videos if video.video_id in tested)
        how = "by group" if self.groups else "per video, since no groups are known"
        drawn = "" if seed is None else f", stratified by class, seed {seed}"
        notes = [f"who trains and who tests was decided here {how}{drawn}"]
        alone = sum(video.group is None for video in self.videos)
        if self.groups and alone:
            notes.append(f"{alone} videos have no group and were taken each by itself")
        return self._checked(name, train, test, notes)

    def _checked(
        self,
        name: str,
        train: tuple[LabeledVideo, ...],
        test: tuple[LabeledVideo, ...],
        notes: Sequence[str],
    ) -> DatasetSplit:
        """Refuse an empty side and say which classes stand on one side only."""
        for side, videos in (("train", train), ("test", test)):
            if not videos:
                raise DataError(f"{self.name}, {name}: no video is left to {side}: choose another")
        units = defaultdict(set)
        for unit, members in self.units().items():
            for video in members:
                units[video.label].add(unit)
        in_train, in_test = Counter(v.label for v in train), Counter(v.label for v in test)
        one_sided = []
        for label, cls in enumerate(self.classes):
            if in_train[label] and in_test[label]:
                continue
            count = in_train[label] + in_test[label]
            why = ""
            if count == 1:
                why = " (it has one clip)"
            elif count and len(units[label]) == 1:
                why = f" (all its {count} clips are of one group, {min(units[label])})"
            if in_train[label]:
                one_sided.append(f"class {cls} is in training only{why}: it is never tested")
            elif in_test[label]:
                one_sided.append(f"class {cls} is in the test only{why}: it cannot be learnt")
            else:
                one_sided.append(f"class {cls} has no clip in this split")
        return DatasetSplit(
            self.name, name, self.classes, train, test, (*self.notes, *notes, *one_sided)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitChoice:
    """Who is tested, as it is asked for; see ``Dataset.split``. Nothing chosen: the data's own.

    Attributes:
        split: number of a split that came with the data.
        fold: "i/k".
        test_groups: these groups.
    """

    split: int | None = None
    fold: str | None = None
    test_groups: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        return self.split is not None or bool(self.fold) or bool(self.test_groups)

    def of(self, dataset: Dataset, *, seed: int) -> DatasetSplit:
        """Return the split; raises UsageError for a choice that the data set does not have."""
        return dataset.split(self.split, fold=self.fold, test_groups=self.test_groups, seed=seed)


def groups_on_both_sides(
    train: Sequence[LabeledVideo], test: Sequence[LabeledVideo]
) -> tuple[str, ...]:
    """Return the groups that have videos in training and in the test, sorted."""
    sides = [{video.group for video in videos} - {None} for videos in (train, test)]
    return tuple(sorted(group for group in sides[0] & sides[1] if group is not None))


def relabeled(
    videos: Sequence[LabeledVideo],
    classes: Sequence[str],
    known: Sequence[str],
    *,
    name: str = "the data",
) -> list[LabeledVideo]:
    """Give videos the labels of a model's classes, by name.

    Args:
        videos: with labels that refer to ``classes``.
        classes: of the data.
        known: of the model.
        name: of the data, for the error.

    Raises:
        DataError: the data has classes that the model does not know.
    """
    labels = {each: label for label, each in enumerate(known)}
    unknown = [each for each in classes if each not in labels]
    if unknown:
        raise DataError(
            f"the model does not know {len(unknown)} classes of {name}, the first is "
            f"{unknown[0]}; it knows {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
        )
    return [
        replace(video, label=labels[classes[video.label]] if video.label >= 0 else -1)
        for video in videos
    ]
