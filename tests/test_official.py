"""The official layouts, whole: every name of UCF-101 and HMDB-51 is a small video that decodes.

The archives themselves are not needed: the official lists hold all names, and each name is a link
to one video made here.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from frame_images import write_video
from twostream.datasets import Dataset, SplitChoice, groups_on_both_sides, load_dataset
from twostream.extraction import extract
from twostream.recipes import make_recipe
from twostream.run import RunSettings, train_run
from twostream.scoring import load_scores
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import LabeledVideo

SPLITS = (1, 2, 3)
FRAMES, HEIGHT, WIDTH = 3, 24, 32
UNUSUAL = re.compile(r"[^\w.-]")


def make_video(path: Path, *, frames: int, height: int, width: int, seed: int = 0) -> Path:
    """Write a texture that drifts."""
    texture = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    drifts = (np.roll(texture, (seed % 2) * i, axis=i % 2) for i in range(frames))
    return write_video(path, drifts)


def link_under(root: Path, video: Path, names: Iterable[str]) -> None:
    """Give a video many names: hard links, copies where there can be none."""
    folders = set()
    for name in names:
        path = root / name
        if path.parent not in folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.add(path.parent)
        try:
            os.link(video, path)
        except OSError:
            shutil.copyfile(video, path)


def ucf_names(lists: Path) -> set[str]:
    """Return Class/file.avi of all official videos."""
    lines = [line for path in lists.glob("t*list0?.txt") for line in path.read_text().splitlines()]
    return {line.split()[0] for line in lines if line.strip()}


def hmdb_sides(lists: Path, split: int) -> dict[str, int]:
    """Return class/file.avi -> 0, 1 or 2 of an official split."""
    sides = {}
    for path in lists.glob(f"*_test_split{split}.txt"):
        cls = path.name.removesuffix(f"_test_split{split}.txt")
        for line in path.read_text().splitlines():
            if line.strip():
                name, side = line.split()
                sides[f"{cls}/{name}"] = int(side)
    return sides


@pytest.fixture(scope="module")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "small.avi"
    return make_video(path, frames=FRAMES, height=HEIGHT, width=WIDTH)


@pytest.fixture(scope="module")
def ucf(shared_data: Path, small_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UCF-101 as its archives unpack: the lists lie beside the class folders' folder."""
    root = tmp_path_factory.mktemp("ucf")
    lists = shared_data / "splits" / "ucf101"
    link_under(root / "UCF-101", small_video, ucf_names(lists))
    shutil.copytree(lists, root / "ucfTrainTestlist")
    return root


@pytest.fixture(scope="module")
def hmdb(shared_data: Path, small_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HMDB-51, each class archive unpacked into a folder of its own: class/class/file.avi."""
    root = tmp_path_factory.mktemp("hmdb")
    lists = shared_data / "splits" / "hmdb51"
    names = (f"{name.partition('/')[0]}/{name}" for name in hmdb_sides(lists, 1))
    link_under(root, small_video, names)
    shutil.copytree(lists, root / "testTrainMulti_7030_splits")
    return root


@pytest.fixture(scope="module")
def ucf_data(ucf: Path) -> Dataset:
    return load_dataset(ucf)


@pytest.fixture(scope="module")
def hmdb_data(hmdb: Path) -> Dataset:
    return load_dataset(hmdb)


def ids(videos: Iterable[LabeledVideo]) -> list[str]:
    return [video.video_id for video in videos]


# --- UCF-101 ------------------------------------------------------------------------------------


def test_ucf101_has_every_official_name_in_the_official_splits(ucf: Path) -> None:
    started = time.process_time()  # whatever else this machine does
    data = load_dataset(ucf)
    assert time.process_time() - started < 2
    assert (data.kind, data.name, data.given_splits) == ("UCF-101", "UCF-101", SPLITS)
    assert data.notes == ()
    lists = ucf / "ucfTrainTestlist"
    assert len(data.videos) == 13_320
    assert set(ids(data.videos)) == ucf_names(lists)
    assert all(video.path.is_file() for video in data.videos)
    counts = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
    for number in SPLITS:
        split = data.split(number)
        assert (len(split.train), len(split.test)) == counts[number]
        assert len(split.notes) == 1  # nothing was left out
        for side, videos in (("train", split.train), ("test", split.test)):
            lines = (lists / f"{side}list0{number}.txt").read_text().split("\n")
            assert ids(videos) == [line.split()[0] for line in lines if line.strip()]
        assert sorted(ids(split.train) + ids(split.test)) == sorted(ids(data.videos))
        assert {video.label for video in split.train} == set(range(101))
        assert {video.label for video in split.test} == set(range(101))
    tested = [video_id for number in SPLITS for video_id in ids(data.split(number).test)]
    assert max(Counter(tested).values()) == 1


def test_ucf101_labels_are_those_of_the_lists_less_one(ucf: Path, ucf_data: Dataset) -> None:
    data = ucf_data
    lists = ucf / "ucfTrainTestlist"
    lines = (lists / "classInd.txt").read_text().split("\n")
    official = dict(line.split() for line in lines if line.strip())
    assert {str(i + 1): name for i, name in enumerate(data.classes)} == official
    labels = {video.video_id: video.label for video in data.videos}
    for number in SPLITS:
        for line in (lists / f"trainlist0{number}.txt").read_text().split("\n"):
            if line.strip():
                name, label = line.split()
                assert labels[name] == int(label) - 1


def test_ucf101s_folder_names_the_class(ucf_data: Dataset) -> None:
    data = ucf_data
    assert len(data.classes) == 101  # 102 if the files named them
    handstands = [v for v in data.videos if "HandStandPushups" in v.path.name]
    assert len(handstands) > 100
    assert {data.classes[v.label] for v in handstands} == {"HandstandPushups"}
    assert all(v.video_id.startswith("HandstandPushups/v_HandStand") for v in handstands)
    assert all(v.path.parent.name == data.classes[v.label] for v in data.videos)


def test_no_group_of_ucf101_stands_on_both_sides(ucf_data: Dataset) -> None:
    data = ucf_data
    assert data.groups == tuple(f"g{number:02}" for number in range(1, 26))
    assert all(f"_{video.group}_c" in video.path.name for video in data.videos)
    for number, tested in zip(SPLITS, (range(1, 8), range(8, 15), range(15, 22)), strict=True):
        split = data.split(number)
        assert groups_on_both_sides(split.train, split.test) == ()
        assert {video.group for video in split.test} == {f"g{g:02}" for g in tested}


def test_ucf101_is_the_same_from_the_folder_of_class_folders(ucf: Path, ucf_data: Dataset) -> None:
    inner = load_dataset(ucf / "UCF-101")
    assert inner.kind == "UCF-101"
    assert (inner.videos, inner.given) == (ucf_data.videos, ucf_data.given)


# --- HMDB-51 ------------------------------------------------------------------------------------


def test_hmdb51_has_every_official_name_in_the_official_splits(
    hmdb: Path, hmdb_data: Dataset
) -> None:
    data = hmdb_data
    assert (data.kind, data.name, data.given_splits) == ("HMDB-51", "HMDB-51", SPLITS)
    lists = hmdb / "testTrainMulti_7030_splits"
    assert (len(data.videos), len(data.classes)) == (6766, 51)
    assert data.classes == tuple(sorted(data.classes))
    assert all(video.path.is_file() for video in data.videos)
    assert all(video.video_id.split("/")[0] == data.classes[video.label] for video in data.videos)
    for number in SPLITS:
        sides = hmdb_sides(lists, number)
        assert set(ids(data.videos)) == set(sides)
        split = data.split(number)
        assert (len(split.train), len(split.test)) == (3570, 1530)
        assert set(ids(split.train)) == {name for name, side in sides.items() if side == 1}
        assert set(ids(split.test)) == {name for name, side in sides.items() if side == 2}
        assert set(Counter(v.label for v in split.train).values()) == {70}
        assert set(Counter(v.label for v in split.test).values()) == {30}
        assert len(split.notes) == 1


def test_hmdb51s_groups_are_the_sources(hmdb_data: Dataset) -> None:
    data = hmdb_data
    for video in data.videos:
        source = "_".join(video.path.stem.split("_")[:-6])  # six tags follow the class
        assert video.group == source.removesuffix(f"_{data.classes[video.label]}")
    by_id = {video.video_id: video for video in data.videos}
    assert by_id["clap/#20_Rhythm_clap_u_nm_np1_le_goo_4.avi"].group == "#20_Rhythm"
    bracket = "Brushing_Her_Hair__[_NEW_AUDIO_]_UPDATED!!!!_brush_hair_h_cm_np1_fr_goo_0.avi"
    assert by_id[f"brush_hair/{bracket}"].group == "Brushing_Her_Hair__[_NEW_AUDIO_]_UPDATED!!!!"


def test_without_lists_hmdb_names_still_give_groups(hmdb: Path, tmp_path: Path) -> None:
    for cls in ("clap", "wave", "brush_hair"):
        (tmp_path / cls).symlink_to(hmdb / cls)
    data = load_dataset(tmp_path)
    assert data.kind == "class folders"
    assert "#20_Rhythm" in data.groups
    split = data.split()
    assert groups_on_both_sides(split.train, split.test) == ()
    assert sorted(ids(split.train) + ids(split.test)) == sorted(ids(data.videos))


# --- extraction ---------------------------------------------------------------------------------


def assert_all_are_stored(videos: Sequence[LabeledVideo], folder: Path) -> None:
    """Extract, and find every video again under its own name, with its frames and fields."""
    summary = extract(videos, store=folder, settings=StoreSettings(short_side=None))
    assert summary.failed == {} and summary.warnings == {}
    assert (summary.done, summary.pairs) == (len(videos), len(videos) * (FRAMES - 1))
    store = FlowStore.open(folder)
    assert len(list(store.paths())) == 2 * len(videos)  # no two names share a file
    for video in videos:
        rgb, forward = (store.clip(video.video_id, kind) for kind in ("rgb", "forward"))
        assert (len(rgb), len(forward)) == (FRAMES, FRAMES - 1)
        assert rgb.header.video_id == forward.header.video_id == video.video_id
        assert rgb.header.source_name == video.path.name
    last = videos[-1].video_id
    assert store.clip(last, "rgb").frames().shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert store.clip(last, "forward").fields().shape == (FRAMES - 1, 2, HEIGHT, WIDTH)
    again = extract(videos, store=folder, settings=StoreSettings(short_side=None))
    assert (again.done, again.skipped) == (0, len(videos))


def test_ucf101_is_extracted_under_its_names(ucf_data: Dataset, tmp_path: Path) -> None:
    assert_all_are_stored(ucf_data.videos[::100], tmp_path / "store")


def test_hmdb51_is_extracted_under_its_names(hmdb_data: Dataset, tmp_path: Path) -> None:
    """Every 100th, and each second name with brackets, #, !, ;, @, &, + or ~."""
    videos = hmdb_data.videos
    unusual = [video for video in videos if UNUSUAL.search(video.path.name)]
    assert len(unusual) == 536
    unusual = unusual[::2]
    assert set("[]()#!;@&+~") <= set("".join(video.path.name for video in unusual))
    assert_all_are_stored(sorted({*videos[::100], *unusual}, key=str), tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["ucf", "hmdb"])
def test_all_names_are_extracted(
    layout: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    videos = request.getfixturevalue(f"{layout}_data").videos
    assert_all_are_stored(videos, tmp_path / "store")


# --- the paper's pipeline -----------------------------------------------------------------------


PAIRS = {
    # with HandStandPushups in the files' names; with brackets, #, ! and & in them
    "ucf101": ("HandstandPushups", "Archery"),
    "hmdb51": ("brush_hair", "clap"),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", PAIRS)
def test_the_papers_pipeline_runs_on_two_classes(
    layout: str, shared_data: Path, tmp_path: Path, said: list[str]
) -> None:
    """Recipe paper, its net, its inputs and its SVM; few steps and small pictures."""
    lists = shared_data / "splits" / layout
    names = ucf_names(lists) if layout == "ucf101" else set(hmdb_sides(lists, 1))
    root = tmp_path / "data"
    shutil.copytree(lists, root / "lists")
    for seed, cls in enumerate(PAIRS[layout]):
        video = make_video(tmp_path / f"{cls}.avi", frames=12, height=48, width=64, seed=seed)
        link_under(root, video, (name for name in names if name.startswith(f"{cls}/")))
    changes = {"steps": 3, "batch_size": 4, "short_side": 48, "crop_size": 48, "test_positions": 2}
    recipe = make_recipe("paper", **changes)
    settings = RunSettings(data=str(root), recipe=recipe, choice=SplitChoice(split=1))
    results = train_run(settings, tmp_path / "run")
    split = load_dataset(root).split(1)
    assert (results["split"], results["fit_scores"]) == ("split 1", "in-sample")
    assert results["unreadable"] == {}
    assert (results["train_videos"], results["test_videos"]) == (len(split.train), len(split.test))
    assert set(results["classes"]) == set(PAIRS[layout])
    assert any("official lists of split 1 name are not here" in line for line in said)
    official = {
        name
        for name in names
        if name.startswith(tuple(f"{cls}/" for cls in PAIRS[layout]))
        and (
            name in (lists / "testlist01.txt").read_text()
            if layout == "ucf101"
            else hmdb_sides(lists, 1)[name] == 2
        )
    }
    for stream in ("spatial", "temporal", "average", "svm"):
        scores = load_scores(tmp_path / "run" / "scores" / f"{stream}-test.npz")
        assert set(scores.video_ids) == official
        classes = [scores.classes[label] for label in scores.labels]
        assert classes == [video_id.split("/")[0] for video_id in scores.video_ids]
    assert (tmp_path / "run" / "report.html").is_file()
