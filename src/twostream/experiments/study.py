"""A study: the same nets on folds and seeds, every one a RUN folder that is made once and kept.

::

    OUT/study.json                                    data, recipe, folds, weights: what OUT is for
    OUT/flow/<data set>/                              frames and flow, shared by all runs
    OUT/runs/<data set>/<part>-seed<s>/<net>/         one run each
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.datasets import (
    READING,
    Dataset,
    SplitChoice,
    load_dataset,
    refuse_shared_videos,
)
from twostream.datasets.kept_videos import hashes_of
from twostream.experiments.nets import NETS, Fusion, Net, Target
from twostream.experiments.paired_differences import Interval, group_interval
from twostream.files import read_json, refuse_foreign, write_json
from twostream.flow import make_estimator
from twostream.fusion import fuse
from twostream.initialise import Start
from twostream.locks import locked
from twostream.models import IMAGENET, imagenet_file, read_declaration, read_weights
from twostream.recipe import Recipe
from twostream.recipes import STANDARD
from twostream.run import RunSettings
from twostream.schema import differences
from twostream.scoring import load_scores
from twostream.types import DataError, RunError, UsageError, VideoScores
from twostream.video.fingerprint import content_hash

RESULTS = ("accuracy", "train_accuracy", "seconds")  # what is read of a run's results.json


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One training of a net in NETS and its scores on the data set ``target``; a RUN folder."""

    net: str
    target: Target
    folder: Path
    settings: RunSettings

    def results(self) -> dict[str, Any] | None:
        """Return what the run wrote at its end; None where it has not finished.

        A damaged file counts as none: the run is gone through again, and trains nothing again.
        """
        try:
            found = read_json(self.folder / "results.json")
        except RunError:
            return None
        whole = all(isinstance(found.get(key), dict) for key in RESULTS)
        return found if whole else None

    @property
    def done(self) -> bool:
        """Tell whether it has finished."""
        return self.results() is not None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Which test clips are right.

    Attributes:
        units: (video id, official split or 0): a clip counts in every split that tests it.
        values: (n,) share of the seeds in which each is right.
    """

    units: tuple[tuple[str, int], ...]
    values: NDArray[np.float64]
    groups: tuple[str, ...]

    def accuracy(self) -> Interval:
        """Return the mean accuracy in per cent."""
        return group_interval(self.values, self.groups, least=0)

    def minus(self, other: Outcome) -> Interval:
        """Return the paired difference in points.

        Raises:
            RunError: the two are not of the same clips.
        """
        if self.units != other.units:
            raise RunError("two results are of different clips and cannot be compared")
        return group_interval(self.values - other.values, self.groups)


@dataclass(frozen=True)
class Study:
    """What is run, and where.

    Attributes:
        data: one or two data sets: the first and the second one's part.
        weights: file of the pre-trained spatial net, "imagenet" for those that pip brings, or None.
        folds: by group.
        official: use the splits that came with the data instead of folds: UCF-101 and HMDB-51.
        given: the same for other data, where splits came with it.
    """

    data: tuple[str, ...]
    recipe: Recipe
    out: Path
    weights: str | None = None
    seeds: int = 1
    folds: int = 3
    official: bool = False
    given: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.data) <= 2:
            raise UsageError(f"a study takes one or two data sets, got {len(self.data)}")

    @cached_property
    def datasets(self) -> tuple[Dataset, ...]:
        """The data sets."""
        return tuple(load_dataset(data) for data in self.data)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the data sets, told apart."""
        names = [dataset.name for dataset in self.datasets]
        return tuple(names) if len(set(names)) == len(names) else ("first", "second")

    def store(self, target: int) -> Path:
        """Return the folder of a data set's frames and flow."""
        return self.out / "flow" / self.names[target]

    def check(self) -> None:
        """Raise for what would make every run fail, before anything is written.

        Raises:
            UsageError: more folds than groups, or an unknown flow estimator.
            DataError: a data set that cannot be read, a fold in which one class alone would train,
                or the two share a video.
            ModelError: weights that cannot be read.
        """
        make_estimator(self.recipe.flow)
        _ = self.weights_architecture  # the weights can be read
        for target, dataset in enumerate(self.datasets):
            for choice in self._parts(target, every_split=True).values():
                for seed in range(self.seeds):
                    split = choice.of(dataset, seed=seed)
                    if len({video.label for video in split.train}) < 2:
                        raise DataError(
                            f"{self.names[target]}, {split.name}: clips of one class alone are "
                            "left to train, so nothing can be learnt: a class needs clips of two "
                            "groups at least, better of more; add some, or choose other --folds"
                        )
        refuse_shared_videos(self.datasets)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold OUT for one process, and say in OUT/study.json what it is for.

        Raises:
            RunError: OUT is of another study, is none, is in use, or cannot be written.
        """
        path = self.out / "study.json"
        refuse_foreign(self.out, "study", path.name)
        with locked(self.out, "wait, or choose another --out", "choose another --out", make=True):
            self._remember(path)
            yield

    def _remember(self, path: Path) -> None:
        asked: dict[str, Any] = {
            "data": list(self.data),
            "recipe": asdict(self.recipe),
            "weights": self.weights,
            "folds": self.folds,
            "official": self.official,
            "videos": [_checksum(dataset) for dataset in self.datasets],
            "reading": READING,
            "given": self.given,
            "contents": [hashes_of(dataset.videos) for dataset in self.datasets],
            "weights_content": None,
        }
        if self.weights and self.weights != IMAGENET:
            asked["weights_content"] = content_hash(Path(self.weights))
        if not path.is_file():
            write_json(path, asked)
            return
        before = read_json(path)
        if not all(isinstance(before.get(name), list) for name in ("data", "contents")):
            raise RunError(f"{path} is damaged, it names no data: choose another --out")
        now, then = (each.pop("contents") for each in (asked, before))
        weights = {each.pop("weights_content", None) for each in (asked, before)}
        asked = json.loads(json.dumps(asked))  # tuples become lists
        found = differences(_resolved(before), _resolved(asked))
        if found:
            raise RunError(
                f"{self.out} holds a study with other settings ({'; '.join(found)}): choose "
                "another --out, or the same settings"
            )
        if len(weights) > 1:
            raise RunError(
                f"{self.weights} is of another content than when {self.out} was begun: choose "
                "another --out, or put the old one back"
            )
        changed = [
            video_id
            for hashes, known in zip(now, then, strict=True)
            for video_id in hashes
            if hashes[video_id] != known.get(video_id)
        ]
        if changed:
            raise RunError(
                f"{len(changed)} videos are of another content than when {self.out} was begun, the "
                f"first is {changed[0]}: choose another --out, or put the old ones back"
            )

    def missing(self, net: str, target: Target) -> str | None:
        """Say what a net lacks here, None where it can be trained."""
        if len(self.data) < 2 and (target == 1 or NETS[net].how):
            return "needs a second data set"
        if NETS[net].needs_weights and not self.weights:
            return "needs --weights"
        return None

    @cached_property
    def weights_architecture(self) -> str | None:
        """The network that the weights are for; None where they name none: the recipe's."""
        if not self.weights:
            return None
        if self.weights == IMAGENET:
            imagenet_file(STANDARD.spatial_architecture)
            return STANDARD.spatial_architecture
        path = Path(self.weights)
        return read_declaration(path, read_weights(path)[1]).architecture

    def stands_in(self, nets: Sequence[str]) -> tuple[str, ...]:
        """Return the nets that are trained for those that are named.

        Without weights the spatial net of a fusion is trained from scratch; weights of the recipe's
        own network need no other net from scratch.
        """
        if not self.weights:
            lacking = len(nets) > 1
            return tuple("scratch" if lacking and NETS[n].needs_weights else n for n in nets)
        own = self.weights_architecture in (None, self.recipe.spatial_architecture)
        return tuple("scratch" if own and NETS[net].like_weights else net for net in nets)

    def runs(self, net: str, target: Target, *, every_split: bool = False) -> list[PlannedRun]:
        """Return the runs that a net needs: one a seed and part of the data."""
        place = self.out / "runs" / self.names[target]
        return [
            PlannedRun(
                net,
                target,
                place / f"{part}-seed{seed}" / net,
                self._settings(NETS[net], target, choice, seed),
            )
            for seed in range(self.seeds)
            for part, choice in self._parts(target, every_split).items()
        ]

    def _settings(self, net: Net, target: Target, choice: SplitChoice, seed: int) -> RunSettings:
        """Return what ``train_run`` is asked for."""
        recipe, others = self.recipe, [1 - target] if net.how and len(self.data) > 1 else []
        dropout = recipe.dropout if net.dropout is None else net.dropout
        named = net.like_weights or (net.needs_weights and self.weights == IMAGENET)
        return RunSettings(
            data=self.data[target],
            # as in the paper, and one size for all that shares a store
            recipe=replace(
                recipe, dropout=dropout, fit_scores="in-sample", adapts=(), imagenet=False
            ),
            streams=(net.stream,),
            temporal=net.sees,
            choice=choice,
            seed=seed,
            start=Start(weights=None if net.start == "scratch" else self.weights),
            # a weights file names its own network
            spatial_architecture=self.weights_architecture if named else None,
            train="last-layer" if net.start == "last-layer" else "all",
            temporal_architecture=recipe.slow_fusion_architecture if net.slow_fusion else None,
            store=str(self.store(target)),
            others=tuple(self.data[other] for other in others),
            other_stores=tuple(str(self.store(other)) for other in others),
            how=net.how or "multitask",
            score_train=net.fits_svm,
        )

    def uses_given(self, target: int) -> bool:
        """Whether the splits that came with a data set are used, not folds."""
        return self.official or (self.given and bool(self.datasets[target].given_splits))

    def _parts(self, target: int, every_split: bool) -> dict[str, SplitChoice]:
        """Return name -> choice of each part that is tested."""
        if self.uses_given(target):
            given = self.datasets[target].given_splits
            if 1 not in given:
                raise DataError(
                    f"{self.data[target]}: the official lists of split 1 are not there, or name "
                    "none of its videos: put the folder with the lists into it (docs/data.md says "
                    "where to get them), or use --data without --given-splits"
                )
            numbers = given if every_split else given[:1]
            return {f"split{number}": SplitChoice(split=number) for number in numbers}
        k = self.folds
        return {f"fold{i}of{k}": SplitChoice(fold=f"{i}/{k}") for i in range(1, k + 1)}

    @cached_property
    def groups(self) -> tuple[dict[str, str], ...]:
        """Of each data set, the group of every video, for the bootstrap.

        A video without a group stands for itself. In UCF-101 g01 of two classes are not the same
        people; a group of HMDB-51 is a film, whatever the class.
        """
        return tuple(
            {
                video.video_id: f"/{video.video_id}"
                if video.group is None
                else f"{video.label}/{video.group}"
                if self.official and dataset.kind == "UCF-101"
                else video.group
                for video in dataset.videos
            }
            for dataset in self.datasets
        )

    def outcome(
        self,
        nets: Sequence[str],
        fusion: Fusion | None,
        target: Target,
        *,
        every_split: bool = False,
    ) -> Outcome:
        """Return which clips a net, or two fused nets, have right."""
        nets = self.stands_in(nets)
        if fusion == "better":
            each = [self.outcome([net], None, target, every_split=every_split) for net in nets]
            return max(each, key=lambda outcome: outcome.values.mean())
        right: dict[tuple[str, int], list[bool]] = {}
        columns = [self.runs(net, target, every_split=every_split) for net in nets]
        for runs in zip(*columns, strict=True):
            test = [_scores(run, "test") for run in runs]
            scores = test[0]
            if fusion:
                fit = [_scores(run, "train") for run in runs] if fusion == "svm" else None
                scores = fuse(test, method=fusion, fit=fit, seed=runs[0].settings.seed)
            part = runs[0].settings.choice.split or 0
            for video_id, correct in zip(scores.video_ids, scores.correct(), strict=True):
                right.setdefault((video_id, part), []).append(bool(correct))
        units = tuple(sorted(right))
        values = np.array([np.mean(right[unit]) for unit in units])
        groups = self.groups[target]
        return Outcome(units, values, tuple(groups[video_id] for video_id, _ in units))


def _scores(run: PlannedRun, subset: str) -> VideoScores:
    stream = NETS[run.net].stream
    return load_scores(run.folder / "scores" / f"{stream}-{subset}.npz")


def _resolved(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the same with whole paths: from where they were named does not matter."""
    return asked | {
        "data": [str(Path(str(data)).resolve()) for data in asked["data"]],
        "weights": whole_path(asked.get("weights")),
    }


def whole_path(weights: str | None) -> str | None:
    """Return the whole path of a weights file; "imagenet" and None stay what they are."""
    return str(Path(weights).resolve()) if weights and weights != IMAGENET else weights


def _checksum(dataset: Dataset) -> int:
    """Return a number that changes with the videos, their classes and groups, and the splits."""
    listed = sorted((v.video_id, dataset.classes[v.label], v.group) for v in dataset.videos)
    given = [
        (each.number, [[v.video_id for v in side] for side in (each.train, each.test)])
        for each in dataset.given
    ]
    return zlib.crc32(repr((listed, given)).encode())
