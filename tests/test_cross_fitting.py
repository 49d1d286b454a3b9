"""Which training clips are held out for fusion, and how many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from twostream.datasets import Dataset
from twostream.fusion import evidence
from twostream.recipes import QUICK, STANDARD
from twostream.run import RunSettings
from twostream.run.cross_fitting import (
    another_fold,
    crossfit_file,
    fold_folder,
    held_out_of,
    inner_folds,
    shown_over_fitting,
)
from twostream.scoring import save_scores
from twostream.types import DatasetSplit, LabeledVideo, VideoScores


def test_held_out_folds_are_as_many_as_fusion_needs() -> None:
    def folds(
        count: int,
        lost: frozenset[str] | set[str] = frozenset(),
        group_of: Callable[[int], int] = lambda i: i % 20,
        of: dict[str, range] | None = None,
        **changes: Any,
    ) -> list[Any]:
        videos = tuple(
            LabeledVideo(f"{i}", Path(f"{i}.mp4"), i % 2, f"g{group_of(i)}") for i in range(count)
        )
        if of:
            named = {i: name for name, members in of.items() for i in members}
            videos = tuple(replace(video, group=named.get(i)) for i, video in enumerate(videos))
        dataset = Dataset("some", "CSV", Path("some.csv"), ("a", "b"), videos)
        settings = RunSettings(data="some", recipe=replace(STANDARD, imagenet=False, **changes))
        split = SimpleNamespace(train=videos)
        own = SimpleNamespace(train=tuple(v for v in videos if v.video_id not in lost))
        return inner_folds(settings, dataset, split, own)  # type: ignore[arg-type]

    assert len(folds(200)) == 1
    whole = folds(200, fit_scores="out-of-fold")
    lost = {fold.test[0].video_id for fold in whole[:2]}
    for before, after in zip(whole, folds(200, lost=lost, fit_scores="out-of-fold"), strict=True):
        for side in ("train", "test"):  # nobody else changes folds
            ids = [v.video_id for v in before.videos(side) if v.video_id not in lost]
            assert ids == [video.video_id for video in after.videos(side)]
    assert len(folds(60)) == 1 and len(folds(60, fit_clips=25)) == 2
    assert len(folds(40)) == 2 and len(folds(20)) == 3 and len(folds(12)) == 4
    # one group is named, and all other clips stand for themselves
    partly = folds(40, of={"one": range(3)}, fit_scores="out-of-fold")
    assert len(partly) == 4 and all(
        {"0", "1", "2"} & ids in ({"0", "1", "2"}, set())
        for ids in ({video.video_id for video in fold.test} for fold in partly)
    )
    uneven: Any = {"group_of": lambda i: i * i % 11}
    drawn = folds(46, **uneven, fit_scores="out-of-fold")
    assert [len(fold.test) for fold in drawn] == [13, 16, 9, 8]
    assert [fold_folder(fold) for fold in folds(46, **uneven)] == ["fold-2"]  # alone enough
    four: Any = {"group_of": lambda i: i // 2 % 4}  # one group a fold
    assert len(folds(200, **four)) == 2 and len(folds(200, **four, fit_groups=1)) == 1
    assert len(folds(200, **four, fit_groups=3)) == 3 and len(folds(200, **four, fit_groups=9)) == 4
    assert len(folds(200, fit_scores="out-of-fold")) == 4
    assert folds(200, fit_scores="in-sample") == []
    (fold,) = folds(200)
    assert not {video.group for video in fold.train} & {video.group for video in fold.test}


def test_a_hundred_training_clips_show_over_fitting() -> None:
    videos = tuple(LabeledVideo(f"{i}", Path(f"{i}.mp4"), i // 125) for i in range(250))
    split = DatasetSplit("some", "split 1", ("a", "b"), videos, videos[:1])
    settings = RunSettings(data="some", recipe=replace(STANDARD, imagenet=False))
    shown = shown_over_fitting(settings, split)
    assert len({video.video_id for video in shown}) == 100
    assert sum(video.label for video in shown) == 50  # evenly from the list
    assert shown_over_fitting(RunSettings(data="some", recipe=QUICK), split) == videos


def test_more_clips_are_held_out_where_they_do_not_tell_the_streams_apart(tmp_path: Path) -> None:
    videos = [LabeledVideo(f"{i}", Path(f"{i}.mp4"), i % 2) for i in range(80)]
    parts = [videos[:40], videos[40:60], videos[60:]]
    drawn = [
        DatasetSplit("some", f"fold {i}/3", ("a", "b"), (*videos,), tuple(part))
        for i, part in enumerate(parts, start=1)
    ]

    def scores(stream: str, right: int) -> VideoScores:
        """Of the first fold, 0.8 for the class on so many of the 40 clips, and else 0.2."""
        labels = np.array([video.label for video in parts[0]])
        true = np.where(np.arange(40) < right, 0.8, 0.2)
        both = np.stack([np.where(labels == k, true, 1 - true) for k in (0, 1)], axis=1)
        ids = tuple(video.video_id for video in parts[0])
        return VideoScores(ids, labels, ("a", "b"), both.astype(np.float32), stream=stream)

    alike = [scores("spatial", 24), scores("temporal", 24)]
    assert evidence(alike) == pytest.approx(0, abs=0.1)
    assert another_fold(tmp_path, alike, drawn, drawn[:1]) == drawn[1:2]
    assert another_fold(tmp_path, alike, drawn, drawn[:2]) == drawn[2:]
    assert another_fold(tmp_path, alike, drawn, drawn) == []
    # 36 of 40 right, against a coin: 40 (log 2 + .9 log .9 + .1 log .1) nats
    apart = [scores("spatial", 36), scores("temporal", 20)]
    assert evidence(apart) == pytest.approx(14.7, abs=0.5)
    assert another_fold(tmp_path, apart, drawn, drawn[:1]) == []
    (tmp_path / "scores").mkdir()
    for each in alike:  # a finished run stays as it is, with one fold or more
        save_scores(crossfit_file(tmp_path, each.stream), each)
    assert held_out_of(tmp_path, drawn, drawn[1:2]) == [drawn[1], drawn[0]]
    assert another_fold(tmp_path, alike, drawn, drawn[:1]) == []
    assert another_fold(tmp_path, alike, drawn, drawn[1:2]) == drawn[:1]
    few = alike[0].select([str(i) for i in range(20)])  # half of a fold: of one drawn otherwise
    save_scores(crossfit_file(tmp_path, "spatial"), few)
    assert held_out_of(tmp_path, drawn, drawn[1:2]) == drawn[1:2]
