"""Folders that systems, NAS boxes and people put beside clips: no classes, no clips, no refusal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clip_folders import touch
from twostream.datasets import load_dataset, load_images, unlabeled_videos
from twostream.files import refuse_foreign
from twostream.interchange import find_flow
from twostream.prediction.videos import find_videos
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import DataError, RunError


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """A folder beside which no other test leaves official lists, which are looked for there."""
    folder = tmp_path / "alone"
    folder.mkdir()
    return folder


CLIPS = {"run/a.avi", "run/b.avi", "walk/a.avi", "walk/b.avi"}
FOREIGN = (
    "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@Recycle",
    "__MACOSX", ".AppleDouble", ".Trash-1000", "#snapshot", "RECYCLER",
    "RECYCLED", "$Recycle.Bin", "@tmp", "@Recently-Snapshot", "@SynologyDrive", "@appstore",
)  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_a_system_keeps_is_neither_clip_nor_class(tmp_path: Path, name: str) -> None:
    touch(tmp_path, *CLIPS, f"{name}/old.avi", f"walk/{name}/a.avi/SYNOPHOTO_FILM_M.mp4")
    data = load_dataset(tmp_path)
    assert data.classes == ("run", "walk")
    assert {video.video_id for video in data.videos} == CLIPS
    hidden = name.startswith(".") or name == "__MACOSX"
    assert any(name in note for note in data.notes) != hidden
    assert {path.as_posix() for path in find_videos([tmp_path]).values()} == CLIPS


def test_an_unreadable_folder_of_the_system_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, *CLIPS, "lost+found/x")
    scandir = os.scandir

    def refusing(path: Path):
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    assert load_dataset(tmp_path).classes == ("run", "walk")


@pytest.mark.parametrize("name", ["annotations", "jump"])
def test_a_folder_without_a_video_is_a_note(tmp_path: Path, name: str) -> None:
    touch(tmp_path, *CLIPS, f"{name}/readme.txt")
    data = load_dataset(tmp_path)
    assert data.classes == ("run", "walk")
    assert f"1 folder holds no video and is left out: {name}" in data.notes
    touch(tmp_path, "x/readme.txt")
    assert any("2 folders hold no video" in note for note in load_dataset(tmp_path).notes)


def test_what_lies_beside_the_clips_is_no_class(tmp_path: Path) -> None:
    touch(tmp_path, *(f"videos/{name}" for name in CLIPS), "annotations/a.xml", "lost+found/x")
    assert load_dataset(tmp_path).classes == ("run", "walk")


@pytest.mark.parametrize(
    ("above", "beside"),
    [("data", "thumbs"), ("my_clips", "flow"), ("UCF-101", "features"), ("x", "thumbnails")],
)
def test_a_folder_without_a_video_beside_the_class_folders_is_a_note(
    tmp_path: Path, above: str, beside: str
) -> None:
    touch(tmp_path, *(f"{above}/{name}" for name in CLIPS), f"{beside}/a.jpg")
    data = load_dataset(tmp_path)
    assert data.classes == ("run", "walk")
    assert data.notes == (f"1 folder holds no video and is left out: {beside}",)


def test_one_class_and_empty_ones_are_still_refused(tmp_path: Path) -> None:
    touch(tmp_path, "walk/fast/a.avi", "walk/slowly/a.avi", "run/readme.txt")
    with pytest.raises(
        DataError, match=r"only the class walk, since no video lies in run.*; if the fold"
    ):
        load_dataset(tmp_path)


def test_a_class_may_begin_with_such_a_sign(tmp_path: Path) -> None:
    touch(tmp_path, "#1 run/a.avi", "$5 walk/a.avi", "#20/a.avi")
    assert load_dataset(tmp_path).classes == ("#1 run", "#20", "$5 walk")


@pytest.mark.parametrize("name", ["recycled", "Recycler", "@home", "@work 2", "@"])
def test_a_class_may_be_called_nearly_as_what_a_system_makes(tmp_path: Path, name: str) -> None:
    touch(tmp_path, *CLIPS, f"{name}/a.avi")
    data = load_dataset(tmp_path)
    assert set(data.classes) == {name, "run", "walk"} and data.notes == ()
    assert len(find_videos([tmp_path])) == 5


def test_images_and_flow_pass_them_too(tmp_path: Path) -> None:
    images = touch(
        tmp_path / "images",
        *(f"{c}/{i}.jpg" for c in "ab" for i in range(3)),
        "@eaDir/x/SYNOPHOTO_THUMB_M.jpg",
        "a/@eaDir/0.jpg/SYNOPHOTO_THUMB_M.jpg",
    )
    split = load_images(images)
    assert (split.classes, len(split.train) + len(split.val)) == (("a", "b"), 6)
    flow = touch(tmp_path / "flow", *(f"v/flow_{axis}_00001.jpg" for axis in "xy"))
    touch(flow, "@eaDir/v/flow_x_00001.jpg", "v/@eaDir/flow_x_00001.jpg")
    assert [video.name for video in find_flow(flow)] == ["v"]
    assert len(find_flow(flow)[0].places) == 1


def test_a_flat_folder_is_flat_beside_them(tmp_path: Path) -> None:
    touch(tmp_path, "a.avi", "@eaDir/a.avi/SYNOPHOTO_FILM_M.mp4")
    assert [video.video_id for video in unlabeled_videos(tmp_path)] == ["a.avi"]


def test_a_new_disk_is_an_empty_folder(tmp_path: Path) -> None:
    """ext4 keeps lost+found in it, a NAS its own."""
    for name in ("lost+found", "@eaDir"):
        (tmp_path / name).mkdir()
    refuse_foreign(tmp_path)
    FlowStore.create(tmp_path, StoreSettings())
    assert (tmp_path / "store.json").is_file()
    with pytest.raises(RunError, match="holds something else"):
        refuse_foreign(tmp_path)
