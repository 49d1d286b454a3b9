"""What weights files say of the colours that their network expects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twostream.models import IMAGENET_MEAN, IMAGENET_STD, Declaration, read_declaration
from twostream.types import ModelError


def declared(folder: Path, beside: object = None, **metadata: str) -> Declaration:
    path = folder / "w.pth"
    if beside is not None:
        text = beside if isinstance(beside, str) else json.dumps(beside)
        (folder / "w.pth.json").write_text(text)
    return read_declaration(path, metadata)


def test_a_silent_file_is_of_imagenet(tmp_path: Path) -> None:
    found = declared(tmp_path)
    assert found == Declaration()
    assert (found.architecture, found.mean, found.std) == (None, IMAGENET_MEAN, IMAGENET_STD)


def test_imagenets_statistics_take_the_files_order_and_scale(tmp_path: Path) -> None:
    found = declared(tmp_path, channel_order="BGR", value_range="255")
    assert (found.channel_order, found.value_range) == ("bgr", 255)
    assert found.mean == pytest.approx((0.406 * 255, 0.456 * 255, 0.485 * 255))
    assert found.std == pytest.approx((0.225 * 255, 0.224 * 255, 0.229 * 255))


def test_a_mean_alone_is_all_that_is_done(tmp_path: Path) -> None:
    found = declared(tmp_path, {"mean": [104, 117, 123], "value_range": 255.0})
    assert (found.mean, found.std) == ((104, 117, 123), (1, 1, 1))


def test_the_file_beside_goes_before_the_metadata(tmp_path: Path) -> None:
    beside = {"architecture": "timm resnet18", "mean": "0.1, 0.2, 0.3", "std": [1, 2, 3]}
    found = declared(tmp_path, beside, mean="9,9,9", channel_order="bgr", architecture="vgg16")
    assert (found.architecture, found.channel_order) == ("resnet18", "bgr")
    assert (found.mean, found.std) == ((0.1, 0.2, 0.3), (1, 2, 3))


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({"mean": [1, 2]}, r"mean is \[1, 2\], expected three numbers, such"),
        ({"mean": ""}, "mean is '', expected three numbers"),
        ({"mean": [1, 2, None]}, "expected three numbers"),
        ({"std": [1, 0, 1]}, "std .*three numbers above 0"),
        ({"std": "nan,1,1"}, "std .*three numbers above 0"),
        ({"channel_order": "grb"}, "channel_order is 'grb', expected rgb or bgr"),
        ({"value_range": 256}, "value_range is 256, expected 1 or 255"),
        ({"chanel_order": "bgr"}, "has chanel_order: expected an object with architecture"),
        ([1], "has no object: expected an object"),
        ("{", "cannot be read"),
    ],
)
def test_what_the_user_wrote_must_be_understood(tmp_path: Path, beside: object, words: str) -> None:
    with pytest.raises(ModelError, match=words) as error:
        declared(tmp_path, beside)
    assert "w.pth" in str(error.value) and "\n" not in str(error.value)


def test_an_order_or_scale_that_nobody_knows_is_refused_anywhere(tmp_path: Path) -> None:
    for said in ({"channel_order": "yuv"}, {"value_range": "100"}):
        with pytest.raises(ModelError, match="expected"):
            declared(tmp_path, **said)


def test_a_mean_in_the_metadata_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    found = declared(tmp_path, mean="127", std="0,0,0")
    assert (found.mean, found.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert len(found.notes) == 2 and "w.pth: its mean '127' is not three numbers" in found.notes[0]
