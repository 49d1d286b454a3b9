"""Pictures of clips and of first-layer filters."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from invented_run import CLASSES, Page, copy_run, read, tiny_model, write_run, write_store
from twostream.checkpoint import StreamModel, save_model
from twostream.models import first_convolution
from twostream.report import write_report
from twostream.report.filter_pictures import filter_picture
from twostream.types import LabeledVideo, ModelError, TemporalInput
from twostream.video import VideoWriter


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("report") / "RUN")


@pytest.fixture
def run(complete: Path, tmp_path: Path) -> Path:
    return copy_run(complete, tmp_path / "RUN")


def test_pictures_come_from_the_videos_where_the_store_is_gone(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "flow")
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (64, 160, 3), np.uint8), (0, 0), 2)
    path = tmp_path / "clip6.avi"
    with VideoWriter(path, fps=25, width=96, height=64) as writer:
        for i in range(9):
            writer.write(np.ascontiguousarray(texture[:, 40 - 2 * i : 136 - 2 * i]))
    videos = {"clip6.avi": LabeledVideo("clip6.avi", path, 2, "anna")}
    report = write_report(run, videos=videos)
    page = Page(report)
    (frame,) = page.images("frame of")
    (flow,) = page.images("optical flow of")
    assert frame.shape == flow.shape == (64, 96, 3)
    assert np.abs(frame.astype(int) - texture[:, 32:128]).mean() < 12  # the 5th of 9 frames
    red, green, blue = np.median(flow, axis=(0, 1))
    assert red > 200 and green < 120 and blue < 120  # the texture moves to the right
    assert "up to 2." in page.text("clips", "article")
    assert "The test clips come from 1 group (people or takes)" in page.text("accuracy")
    assert "No picture: the store of frames and flow is not at" in page.text("clips")


def test_a_moved_run_finds_its_store(run: Path) -> None:
    settings = json.loads((run / "settings.json").read_text())
    settings["store"]["root"] = "/somewhere/else/flow"
    (run / "settings.json").write_text(json.dumps(settings))
    assert len(read(run).images("frame of")) == 6


def test_a_shared_store_shows_no_other_video_of_the_same_name(run: Path) -> None:
    ids = [f"clip{i}.avi" for i in range(9)]
    shutil.rmtree(run / "flow")
    write_store(run / "flow", ids, source_hash="of another data set")
    for fingerprint, pictures in (("of another data set", 6), ("begun with", 0)):
        rows = [[each, each, "walk", None, fingerprint] for each in ids]
        kept: dict = {"dataset": "d", "split": "s", "root": "d", "classes": ["walk"]}
        kept |= {"notes": [], "others": [], "train": []}
        names = ("id", "path", "label", "group", "hash")
        kept["test"] = [dict(zip(names, row, strict=True)) for row in rows]
        (run / "videos.json").write_text(json.dumps(kept))
        page = read(run)
        assert len(page.images("frame of")) == len(page.images("optical flow of")) == pictures
    assert "holds another video of this name" in page.text("clips")


def decoded(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.split(",", 1)[1])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA).astype(int)


def test_spatial_filters_are_colour_pictures_largest_first(tmp_path: Path) -> None:
    model = tiny_model("spatial", CLASSES)
    weight = first_convolution(model.network).weight
    with torch.no_grad():
        weight *= 1e-3
        weight[40, 0] = 1.0  # red, and the largest
        weight[40, 1:] = -1.0
        weight[7] = 0.0
        weight[7, 2] = 0.5  # blue
    save_model(tmp_path / "spatial.safetensors", model)
    picture = filter_picture(tmp_path / "spatial.safetensors")
    assert (picture.shown, picture.total, picture.side) == (96, 96, (7, 7))
    image = decoded(picture.images[0][0])
    assert image.shape == (6 * 8 - 1, 16 * 8 - 1, 4)
    assert picture.images[0][1] == 5 * image.shape[1]  # shown with 5 px a weight
    assert image[3, 3].tolist() == [255, 0, 0, 255]
    assert image[3, 8 + 3].tolist() == [128, 128, 255, 255]
    assert image[3, 7, 3] == 0  # between tiles


def test_temporal_filters_are_figure_4_with_their_reading(tmp_path: Path) -> None:
    model = tiny_model("temporal", CLASSES, TemporalInput(length=3))
    weight = first_convolution(model.network).weight
    with torch.no_grad():
        torch.nn.init.normal_(weight, std=1e-3)
        weight[5] = 0.0
        weight[5, [0, 2], :] = torch.tensor([1.0, -1.0]).view(2, 1, 1)  # x, field 1 less field 2
        weight[60] = 0.0
        weight[60, :, :3] = -2.0  # the upper edge less the lower one, in all fields
        weight[60, :, 4:] = 2.0
    save_model(tmp_path / "temporal.safetensors", model)
    picture = filter_picture(tmp_path / "temporal.safetensors")
    assert (picture.shown, picture.total, picture.side) == (96, 96, (7, 7))
    assert picture.reading is not None
    assert picture.reading.kinds[5] == "temporal derivative"
    assert picture.reading.kinds[60] == "spatial derivative"
    assert picture.reading.counts()["neither"] >= 90
    first, second = (decoded(uri) for uri, _ in picture.images)
    assert first.shape == second.shape
    assert [width for _, width in picture.images] == [first.shape[1], second.shape[1]]
    pixel = (first.shape[1] + 2) // 48 // 7  # screen pixels a weight
    tile, column = 7 * pixel + 1, 7 * pixel + 2
    assert first.shape[0] == 6 * tile - 1

    def centre(channel: int, place: int, row: int = 3) -> list[int]:
        return first[channel * tile + row * pixel, place * column + 3 * pixel, :3].tolist()

    # the temporal derivative comes first, though the spatial one is larger
    assert [centre(channel, 0) for channel in range(6)] == [
        *([255] * 3, [128] * 3, [1] * 3),
        *([128] * 3, [128] * 3, [128] * 3),
    ]
    assert all(centre(channel, 1, row=1) == [1] * 3 for channel in range(6))
    assert all(centre(channel, 1, row=5) == [255] * 3 for channel in range(6))


def test_the_report_counts_derivatives(run: Path) -> None:
    model = tiny_model("temporal", CLASSES, TemporalInput(length=4))
    weight = first_convolution(model.network).weight
    with torch.no_grad():
        weight.zero_()
        weight[:7, [0, 2], :] = 1.0
        weight[:7, [4, 6], :] = -1.0
        weight[7:10, :, 0] = 1.0
        weight[7:10, :, 6] = -1.0
        weight[10:40] = 1.0
    save_model(run / "temporal.safetensors", model)
    said = read(run).text("filters")
    assert "temporal derivative 7 weights change over the fields" in said
    assert "spatial derivative 3 weights change inside" in said
    assert "both 0 the two" in said
    assert "neither 86 averages" in said
    # of the 40 filters that are not zero; in brackets 3, 48, 144 and 1 of 4 * 7 * 7 numbers
    assert "17.5% (1.5%) changes over time alone, 7.5% (24.5%) in space alone" in said
    assert "0.0% (73.5%) in both at once, 75.0% (0.5%) is one weight everywhere" in said


def test_backward_fields_are_read_with_the_opposite_sign(tmp_path: Path) -> None:
    readings = []
    for bidirectional in (False, True):
        temporal = TemporalInput(length=4, bidirectional=bidirectional)
        model = tiny_model("temporal", CLASSES, temporal)
        with torch.no_grad():
            weight = first_convolution(model.network).weight
            weight[:, :4] = 1.0
            weight[:, 4:] = -1.0
        save_model(tmp_path / "temporal.safetensors", model)
        reading = filter_picture(tmp_path / "temporal.safetensors").reading
        assert reading is not None
        readings.append(reading.counts())
    assert readings[0]["temporal derivative"] == readings[1]["neither"] == 96


def test_diverged_filters_are_said_in_one_sentence(run: Path) -> None:
    model = tiny_model("temporal", CLASSES, TemporalInput(length=4))
    with torch.no_grad():
        first_convolution(model.network).weight[3] = torch.nan
    save_model(run / "temporal.safetensors", model)
    assert "is not finite" in read(run).text("filters")


def test_rgb_stacks_have_a_row_a_filter_and_a_column_a_frame(tmp_path: Path) -> None:
    model = tiny_model("temporal", CLASSES, TemporalInput(length=4, rgb=True))
    with torch.no_grad():
        weight = first_convolution(model.network).weight
        weight *= 1e-3
        weight[5, 3 * 2] = 1.0  # red of the third frame
    save_model(tmp_path / "temporal.safetensors", model)
    picture = filter_picture(tmp_path / "temporal.safetensors")
    assert picture.columns == "rows: filters; columns: the 4 frames in order"
    image = decoded(picture.images[0][0])
    row = [image[3, 8 * column + 3, :3].tolist() for column in range(4)]
    assert row[2][0] == 255
    assert all(abs(value - 128) < 5 for value in row[2][1:])
    assert all(abs(value - 128) < 5 for i in (0, 1, 3) for value in row[i])
    differences = TemporalInput(length=4, rgb=True, differences=True)
    save_model(tmp_path / "differences.safetensors", tiny_model("temporal", CLASSES, differences))
    told = filter_picture(tmp_path / "differences.safetensors").columns
    assert told == "rows: filters; columns: the 3 differences in order"


def test_slow_fusions_filters_have_a_column_a_frame_that_they_span(tmp_path: Path) -> None:
    small = tiny_model("temporal", CLASSES, TemporalInput(length=11, rgb=True))
    model = StreamModel(replace(small.spec, architecture="slow-fusion-small"))
    with torch.no_grad():
        weight = first_convolution(model.network).weight  # 24, 3, 5, 5, 5
        weight *= 1e-3
        weight[9, 2, 4] = 1.0  # blue of the last of five frames
    save_model(tmp_path / "temporal.safetensors", model)
    picture = filter_picture(tmp_path / "temporal.safetensors")
    assert (picture.shown, picture.side) == (24, (5, 5))
    assert "the 5 frames that a filter spans in order" in picture.columns
    image = decoded(picture.images[0][0])
    assert image.shape == (24 * 6 - 1, 5 * 6 - 1, 4)
    row = [image[2, 6 * column + 2, :3].tolist() for column in range(5)]
    assert row[4] == [128, 128, 255]
    assert all(abs(value - 128) < 5 for i in range(4) for value in row[i])


def test_a_file_without_filters_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model file"):
        filter_picture(tmp_path / "spatial.safetensors")
