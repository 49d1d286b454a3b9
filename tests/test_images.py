"""Folders of images: which are found, who trains, who validates, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip_folders import touch
from twostream.datasets import ImageSplit, LabeledImages, load_images
from twostream.types import DataError, UsageError


def plain(root: Path, **counts: int) -> Path:
    return touch(root, *(f"{c}/{c}_{i}.JPEG" for c, count in counts.items() for i in range(count)))


def found(images: LabeledImages) -> dict[str, int]:
    return {images.name(row): int(images.labels[row]) for row in range(len(images))}


def test_ilsvrcs_layout_is_taken_as_it_is(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("train/n02/n02_1.JPEG", "train/n01/n01_2.JPEG", "train/n01/n01_1.JPEG"),
        *("train/n03/a.PNG", "train/n01/notes.txt", "train/n01/.hidden.jpg", "train/n01/sub/x.jpg"),
        *("val/n03/ILSVRC2012_val_2.JPEG", "val/n01/ILSVRC2012_val_1.JPEG", "devkit/readme.txt"),
    )
    split = load_images(tmp_path)
    assert split.classes == ("n01", "n02", "n03")
    assert found(split.train) == {
        "n01/n01_1.JPEG": 0,
        "n01/n01_2.JPEG": 0,
        "n01/sub/x.jpg": 0,
        "n02/n02_1.JPEG": 1,
        "n03/a.PNG": 2,
    }
    # labels are those of the training side, though val lacks a class
    assert found(split.val) == {"n01/ILSVRC2012_val_1.JPEG": 0, "n03/ILSVRC2012_val_2.JPEG": 2}
    assert split.val.path(0) == tmp_path / "val" / "n01" / "ILSVRC2012_val_1.JPEG"
    assert any("1 classes have no image in" in note for note in split.notes)
    assert "3 classes, 5 images to train and 2 to validate" in split.describe()


def test_a_plain_folder_holds_out_a_share_of_every_class(tmp_path: Path) -> None:
    plain(tmp_path, cat=20, dog=10, eel=2, fox=1)
    split = load_images(tmp_path, val_share=0.3, seed=4)
    assert np.bincount(split.val.labels, minlength=4).tolist() == [6, 3, 1, 0]
    assert np.bincount(split.train.labels).tolist() == [14, 7, 1, 1]
    assert not found(split.train).keys() & found(split.val).keys()
    assert len(found(split.train) | found(split.val)) == 33
    assert "0.3 of each class held out, seed 4" in split.describe()
    assert split.notes == ("1 classes have one image only and are not validated",)
    again = load_images(tmp_path, val_share=0.3, seed=4)
    other = load_images(tmp_path, val_share=0.3, seed=5)
    assert found(again.val) == found(split.val) != found(other.val)
    assert again.checksum() == split.checksum() != other.checksum()


def test_by_default_a_tenth_is_held_out_and_train_alone_is_looked_into(tmp_path: Path) -> None:
    split = load_images(plain(tmp_path / "train", a=20, b=30).parent)
    assert np.bincount(split.val.labels).tolist() == [2, 3]
    # but beside other classes, train is a class
    split = load_images(plain(tmp_path, car=3, train=3))
    assert split.classes == ("car", "train")


def test_the_checksum_sees_a_moved_and_a_renamed_image(tmp_path: Path) -> None:
    def sides(train: list[bytes], val: list[bytes]) -> ImageSplit:
        images = [
            LabeledImages(tmp_path, np.array(names), np.zeros(len(names), np.int64))
            for names in (train, val)
        ]
        return ImageSplit("d", "n", ("a", "b"), *images)

    sums = [
        sides([b"a/1", b"a/2"], [b"a/3"]).checksum(),
        sides([b"a/1"], [b"a/2", b"a/3"]).checksum(),
        sides([b"a/1", b"a/4"], [b"a/3"]).checksum(),
    ]
    assert len(set(sums)) == 3


def test_odd_names_come_back(tmp_path: Path) -> None:
    names = ["grüße & co/ein bild [1] #2.jpg", "grüße & co/b.jpg", "x/1.jpg", "x/2.jpg"]
    split = load_images(touch(tmp_path, *names))
    both = found(split.train) | found(split.val)
    assert set(both) == set(names)
    assert all(split.train.path(row).is_file() for row in range(len(split.train)))


def test_what_is_left_aside_is_said(tmp_path: Path) -> None:
    touch(plain(tmp_path, a=3, b=3), "loose.jpg", "c/notes.txt")
    notes = load_images(tmp_path).notes
    assert any("1 folders" in note and note.endswith(": c") for note in notes)
    assert any("1 images" in note and "no class folder" in note for note in notes)


def test_wrong_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder of images"):
        load_images(tmp_path / "none")
    with pytest.raises(DataError, match="0 class folders with images and 0 images beside"):
        load_images(tmp_path)
    with pytest.raises(DataError, match="1 class folders"):
        load_images(plain(tmp_path / "one", a=3))
    with pytest.raises(DataError, match="none is left for validation"):
        load_images(plain(tmp_path / "single", a=1, b=1))
    unsorted = plain(tmp_path / "unsorted" / "train", a=2, b=2).parent
    touch(unsorted, "val/1.JPEG", "val/2.JPEG")
    with pytest.raises(DataError, match=r"val holds 0 class folders .*and 2 images beside.*sort"):
        load_images(unsorted)
    foreign = plain(tmp_path / "foreign" / "train", a=2, b=2).parent
    plain(foreign / "val", a=1, c=1)
    with pytest.raises(DataError, match=r"val has 1 classes that .*train lacks: c; both"):
        load_images(foreign)


@pytest.mark.parametrize("name", ["test", "Val", "validation", "vla"])
def test_a_side_under_another_name_becomes_no_class(name: str, tmp_path: Path) -> None:
    plain(tmp_path / "train", a=2, b=2)
    plain(tmp_path / name, a=1, b=1)
    with pytest.raises(DataError, match=r"train.* look like the sides.* call them train and val"):
        load_images(tmp_path)


def test_a_share_must_make_sense(tmp_path: Path) -> None:
    plain(tmp_path, a=4, b=4)
    for share in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(UsageError, match="--val-share lies between 0 and 1"):
            load_images(tmp_path, val_share=share)
    given = plain(tmp_path / "given" / "train", a=2, b=2).parent
    plain(given / "val", a=1, b=1)
    with pytest.raises(UsageError, match="has its own val folder: drop --val-share"):
        load_images(given, val_share=0.2)
