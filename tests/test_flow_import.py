"""Imported flow meets a data set: names, training, images that were replaced."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_layouts import (
    COUNT,
    LAYOUTS,
    TOLERANCE_PX,
    brought_in,
    failure,
    feichtenhofer,
    fields,
    gpu_flow_inside,
    pictures,
)
from twostream.__main__ import run
from twostream.datasets import Dataset
from twostream.interchange import find_flow, import_flow, import_settings, match_names
from twostream.interchange.classic import decode_classic
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import LabeledVideo, StoreError, UsageError


def dataset(ids: dict[str, str]) -> Dataset:
    """A data set of these ids, each with its class."""
    classes = tuple(sorted(set(ids.values())))
    videos = tuple(
        LabeledVideo(video_id, Path("nowhere") / video_id, classes.index(name))
        for video_id, name in ids.items()
    )
    return Dataset("data", "list", Path("nowhere"), classes, videos)


class TestNames:
    UCF = dataset(
        {
            "Archery/v_Archery_g01_c01.avi": "Archery",
            "HandstandPushups/v_HandStandPushups_g01_c01.avi": "HandstandPushups",
            "walk/a.b [1]#.mp4": "walk",
            "walk/same.mp4": "walk",
            "Archery/same.mp4": "Archery",
        }
    )

    @pytest.mark.parametrize(
        ("folder", "video_id"),
        [
            ("v_Archery_g01_c01", "Archery/v_Archery_g01_c01.avi"),
            ("Archery/v_Archery_g01_c01", "Archery/v_Archery_g01_c01.avi"),
            ("flow/all/v_Archery_g01_c01.avi", "Archery/v_Archery_g01_c01.avi"),
            ("v_HandstandPushups_g01_c01", "HandstandPushups/v_HandStandPushups_g01_c01.avi"),
            ("a.b [1]#", "walk/a.b [1]#.mp4"),
            ("walk/same", "walk/same.mp4"),
            ("tvl1/Archery/same", "Archery/same.mp4"),
        ],
    )
    def test_matched(self, folder: str, video_id: str) -> None:
        found = match_names([folder], self.UCF)
        assert found.videos[folder].video_id == video_id
        assert len(found.without) == 4 and not found.unmatched

    @pytest.mark.parametrize(
        ("folder", "why"),
        [
            ("same", "2 videos are called so"),
            ("v_Archery_g01_c02", "no video is called so"),
            ("walk/v_Archery_g01_c01", "folder of another class"),
            ("Archery", "no video is called so"),
        ],
    )
    def test_unmatched(self, folder: str, why: str) -> None:
        assert why in match_names([folder], self.UCF).unmatched[folder]

    def test_two_folders_of_one_video(self) -> None:
        found = match_names(["v_Archery_g01_c01", "b/v_Archery_g01_c01"], self.UCF)
        assert list(found.videos) == ["v_Archery_g01_c01"]
        assert "has the flow of v_Archery_g01_c01 already" in found.unmatched["b/v_Archery_g01_c01"]

    def test_capitals_tell_apart_where_they_must(self) -> None:
        both = dataset({"a/X.avi": "a", "b/x.avi": "b"})
        assert match_names(["x"], both).videos["x"].video_id == "b/x.avi"


class TestTraining:
    def test_train_takes_an_imported_store(
        self, few_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Import with DATA, train and evaluate; one video has no flow, another no frames."""
        folder, store, out = tmp_path / "flow", tmp_path / "s", tmp_path / "run"
        clips = sorted(few_data.glob("*/*.avi"))
        for i, clip in enumerate(clips[1:]):
            frames = pictures(9 if i else 0, 72, 96)
            LAYOUTS["tsn"][1](folder, clip.stem, fields(8, i, 72, 96), frames)
        LAYOUTS["tsn"][1](folder, "stranger", fields(2), pictures(3))
        command = ["import-flow", str(folder), "--store", str(store), "--data", str(few_data)]
        assert run([*command, "--json"]) == 0
        captured = capsys.readouterr()
        result = json.loads(captured.out.splitlines()[-1])
        assert result["done"] == len(clips) - 1
        assert result["unmatched"] == {"stranger": "no video is called so"}
        missing = clips[0].relative_to(few_data).as_posix()
        assert result["without_flow"] == [missing]
        assert f"{len(clips) - 1} of {len(clips)} folders stand for" in captured.err
        opened = FlowStore.open(store)
        header = opened.clip(clips[1].relative_to(few_data).as_posix(), "forward").header
        assert header.fps == 25 and header.source_hash

        before = {p: p.stat().st_mtime_ns for p in store.glob("forward/**/*.clip")}
        options = ["--store", str(store), "--steps", "2", "--crop-size", "48", "--json"]
        options += ["--recipe", "quick", "--fit-scores", "in-sample"]
        assert run(["train", str(few_data), "--out", str(out), *options]) == 0
        captured = capsys.readouterr()
        unreadable = json.loads(captured.out.splitlines()[-1])["unreadable"]
        assert list(unreadable) == [missing] and "run twostream import-flow" in unreadable[missing]
        assert "holds imported flow" in captured.err
        assert {p: p.stat().st_mtime_ns for p in store.glob("forward/**/*.clip")} == before
        assert opened.has(clips[1].relative_to(few_data).as_posix(), "rgb")  # decoded now
        assert run(["evaluate", str(out), "--json"]) == 0
        capsys.readouterr()
        assert run(["predict", str(out), str(clips[3])]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "flow was imported and no estimator here makes it" in said

    def test_a_changed_video_is_not_taken_for_its_flow(self, tmp_path: Path) -> None:
        from twostream.extraction import extract

        video = tmp_path / "a.avi"
        video.write_bytes(b"one")
        LAYOUTS["tsn"][1](tmp_path / "in", "a", fields(), pictures(COUNT + 1))
        labeled = LabeledVideo("x/a.avi", video, 0)
        settings = import_settings(bound_px=20)
        store = tmp_path / "s"
        import_flow(
            find_flow(tmp_path / "in"), store=store, settings=settings, matched={"a": labeled}
        )
        assert extract([labeled], store=store, settings=settings).skipped == 1
        video.write_bytes(b"two")
        (why,) = extract([labeled], store=store, settings=settings).failed.values()
        assert "of another version of this file" in why
        with pytest.raises(StoreError, match="made with other settings"):
            extract([labeled], store=store, settings=StoreSettings())

    def test_without_data_the_names_are_the_ids(self, tmp_path: Path) -> None:
        from twostream.extraction import extract

        LAYOUTS["tsn"][1](tmp_path / "in", "x/a", fields(), pictures(COUNT + 1))
        brought_in(tmp_path / "in", tmp_path / "s")
        video = tmp_path / "a.avi"
        video.write_bytes(b"whatever it is")
        settings = import_settings(bound_px=20)
        labeled = LabeledVideo("x/a", video, 0)
        assert extract([labeled], store=tmp_path / "s", settings=settings).skipped == 1

    def test_wrong_options_and_data(
        self, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        LAYOUTS["tsn"][1](tmp_path / "in", "stranger", fields(), pictures(COUNT + 1))
        command = ["import-flow", str(tmp_path / "in"), "--store", str(tmp_path / "s")]
        assert run([*command, "--data", str(tiny_data)]) == 1
        assert "no folder of" in capsys.readouterr().err
        assert run([*command, "--fps", "nan"]) == UsageError.exit_status
        assert run([*command, "--bound", "0"]) == 2
        assert run([*command, "--codec", "mp3"]) == 2
        assert not (tmp_path / "s").exists()


def test_videos_and_classes_called_like_an_axis(tmp_path: Path) -> None:
    for name in ("v", "x", "walk/y"):
        feichtenhofer(tmp_path, name, fields(2), pictures(3))
    videos = {video.name: video for video in find_flow(tmp_path)}
    assert set(videos) == {"v", "x", "walk/y"}
    for video in videos.values():
        assert [place.part for place in video.places].count("rgb") == 1
    shutil.rmtree(tmp_path / "tvl1_flow" / "v" / "x")
    assert failure(tmp_path, tmp_path / "s") == "flow x 1 has no flow y 1"
    gpu_flow_inside(tmp_path / "g", "a", fields(2), pictures(0))
    gpu_flow_inside(tmp_path / "g", "b", fields(2), pictures(0))
    shutil.rmtree(tmp_path / "g" / "b" / "y")
    assert failure(tmp_path / "g", tmp_path / "s") == "flow x 0 has no flow y 0"


def replaced_by_an_older_one(path: Path, image: np.ndarray) -> None:
    """As `cp -p old/* .` does: in place, the folder's time stays, and the file's is years back."""
    folder = path.parent.stat()
    with open(path, "wb") as file:
        file.write(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
    os.utime(path, (1e9, 1e9))
    os.utime(path.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))


@pytest.mark.parametrize("made", ["now", "in the future"])
def test_images_that_were_replaced_by_older_ones_are_imported_again(
    tmp_path: Path, made: str
) -> None:
    write = LAYOUTS["tsn"][1]
    write(tmp_path / "in", "v", fields(2), pictures(3))
    brought_in(tmp_path / "in", tmp_path / "s")
    if made == "in the future":
        for path in FlowStore.open(tmp_path / "s").paths():
            os.utime(path, (4e9, 4e9))
    other = np.full((40, 56), 200, np.uint8)
    replaced_by_an_older_one(tmp_path / "in" / "v" / "flow_x_00002.jpg", other)
    store = brought_in(tmp_path / "in", tmp_path / "s")
    got = store.clip("v", "forward").fields()[1, 0]
    assert np.abs(got - decode_classic(other, -20, 20)).max() < TOLERANCE_PX
    again = import_flow(
        find_flow(tmp_path / "in"), store=tmp_path / "s", settings=import_settings(bound_px=20)
    )
    assert (again.done, again.skipped) == (0, 1)


def test_what_was_imported_of_other_images_goes(tmp_path: Path) -> None:
    """Frames of before would be looked at beside flow of another clip."""
    write = LAYOUTS["tsn"][1]
    write(tmp_path / "in", "v", fields(2), pictures(3))
    store = brought_in(tmp_path / "in", tmp_path / "s")
    assert store.path("v", "rgb").is_file()
    for image in list((tmp_path / "in").rglob("*.jpg")):
        image.unlink()
    write(tmp_path / "in", "v", fields(2, 5), pictures(0))
    store = brought_in(tmp_path / "in", tmp_path / "s")
    assert not store.path("v", "rgb").is_file()
    assert np.abs(store.clip("v", "forward").fields() - fields(2, 5)).max() < TOLERANCE_PX
