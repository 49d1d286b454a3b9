"""Pre-training on images: what a batch holds, that it learns, resumes, and starts other nets."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from twostream.__main__ import run
from twostream.checkpoint import load_model
from twostream.datasets import load_images
from twostream.models import IMAGENET_MEAN
from twostream.pretraining import pretrain, pretraining_recipe, validate
from twostream.pretraining.image_batches import (
    ImageBatches,
    ScoringImages,
    read_image,
    unreadable_images,
)
from twostream.recipes import PAPER, QUICK
from twostream.scoring import score_stacks
from twostream.training import TrainerOptions
from twostream.types import DataError, RunError, UsageError

CPU = TrainerOptions(accelerator="cpu")
SHORT = {"steps": 12, "batch_size": 8, "short_side": 40, "crop_size": 32}


def texture(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Rows, columns or checks of random size, colours and place: (h, w, 3) uint8."""
    height, width = rng.integers(60, 120, 2)
    y, x = np.mgrid[:height, :width] + rng.integers(0, 9)
    period = int(rng.integers(4, 7))
    rows, columns = y // period % 2, x // period % 2
    on = {"rows": rows, "columns": columns, "checks": (rows + columns) % 2}[kind][..., None]
    dark, light = rng.integers(0, 110, 3), rng.integers(145, 256, 3)
    noisy = np.where(on == 1, light, dark) + rng.integers(-9, 10, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes with eight textures each to train on and four to validate."""
    root = tmp_path_factory.mktemp("images") / "textures"
    rng = np.random.default_rng(0)
    for kind in ("rows", "columns", "checks"):
        for i in range(12):
            path = root / ("train" if i < 8 else "val") / kind / f"{kind} {i}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".jpg", texture(kind, rng))[1].tobytes())
    return root


def quick(**changes: object) -> dict:
    return {"recipe": pretraining_recipe("quick", **{**SHORT, **changes}), "options": CPU}


# Reading


def write(path: Path, rgb: np.ndarray) -> Path:
    cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def test_the_shorter_side_is_brought_to_size_up_and_down(tmp_path: Path) -> None:
    for height, width, wanted in (
        (60, 90, (40, 60)),
        (30, 20, (60, 40)),  # enlarged, unlike a video's frames
        (40, 47, (40, 47)),
        (1, 3, (40, 120)),
    ):
        path = write(tmp_path / "x.png", np.full((height, width, 3), (250, 100, 10), np.uint8))
        rgb = read_image(path, short_side=40)
        assert rgb.shape == (*wanted, 3) and rgb.dtype == np.uint8
        assert rgb[0, 0].tolist() == [250, 100, 10]  # RGB, not OpenCV's BGR


@pytest.mark.parametrize("kind", ["grey", "alpha", "16 bit"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, kind: str) -> None:
    picture = {
        "grey": np.full((8, 9), 77, np.uint8),
        "alpha": np.full((8, 9, 4), 77, np.uint8),
        "16 bit": np.full((8, 9, 3), 77 * 257, np.uint16),
    }[kind]
    cv2.imwrite(str(tmp_path / "x.png"), picture)
    rgb = read_image(tmp_path / "x.png", short_side=8)
    assert rgb.shape == (8, 9, 3) and rgb[0, 0].tolist() == [77, 77, 77]


def test_images_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    whole = cv2.imencode(".jpg", texture("rows", np.random.default_rng(0)))[1].tobytes()
    for content, words in (
        (b"", "it is empty"),
        (b"text" * 30, "damaged, or no image"),
        (whole[: len(whole) // 2], "damaged, or no image"),
    ):
        path = tmp_path / "x.jpg"
        path.write_bytes(content)
        for side in (None, 40):
            with pytest.raises(DataError, match=rf"x\.jpg cannot be decoded: .*{words}"):
                read_image(path, short_side=side)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_image(tmp_path / "none.jpg", short_side=40)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="no file on disk"):
        read_image(tmp_path / "pipe.jpg", short_side=40)


# Batches


@pytest.fixture
def data(images: Path) -> ImageBatches:
    return ImageBatches(
        images=load_images(images).train,
        seed=3,
        steps=9,
        batch_size=10,
        short_side=40,
        crop_size=32,
        flips=True,
        lighting=0.1,
    )


def test_a_batch_is_a_function_of_seed_and_step(data: ImageBatches) -> None:
    batch = data[4]
    assert batch["crops"].shape == (10, 1, 1, 3, 32, 32) and batch["crops"].dtype == torch.float32
    assert torch.equal(batch["crops"], replace(data, steps=99)[4]["crops"])
    assert not torch.equal(batch["crops"], data[5]["crops"])
    assert not torch.equal(batch["crops"], replace(data, seed=4)[4]["crops"])
    parts = [data.share(rank, 2)[4] for rank in range(2)]
    for key, value in batch.items():
        assert torch.equal(torch.stack([part[key] for part in parts], 1).flatten(0, 1), value)


def test_samples_are_crops_of_their_image_mirrored_and_lit(data: ImageBatches) -> None:
    """Each crop is found again in its image, as it is or mirrored, but for one colour added."""
    from twostream.sampling import epoch_batch

    batch = data[1]
    rows = epoch_batch(len(data.images), seed=3, step=1, batch_size=10)
    assert batch["labels"].tolist() == data.images.labels[rows].tolist()
    places, mirrored, shifts = set(), set(), set()
    for crop, row in zip(batch["crops"][:, 0].numpy(), rows, strict=True):
        whole = read_image(data.images.path(row), short_side=40).astype(np.float32) / 255
        best = (np.inf, None)
        for flipped in (False, True):
            found = crop[0].transpose(1, 2, 0)[:, ::-1] if flipped else crop[0].transpose(1, 2, 0)
            for top in range(whole.shape[0] - 31):
                for left in range(whole.shape[1] - 31):
                    rest = found - whole[top : top + 32, left : left + 32]
                    spread = float(rest.std(axis=(0, 1)).max())
                    if spread < best[0]:
                        shift = rest.mean(axis=(0, 1)).round(4)
                        best = (spread, (top, left, flipped, tuple(shift.tolist())))
        assert best[0] < 1e-5 and best[1] is not None
        places.add(best[1][:2])
        mirrored.add(best[1][2])
        shifts.add(best[1][3])
    assert len(places) > 5 and mirrored == {True, False} and len(shifts) == 10
    plain = replace(data, flips=False, lighting=0.0)[1]["crops"][:, 0]
    assert plain.min() >= 0 and plain.max() <= 1


def test_every_image_comes_once_an_epoch(data: ImageBatches) -> None:
    labels = torch.cat([replace(data, batch_size=8)[step]["labels"] for step in range(3)])
    assert labels.bincount().tolist() == [8, 8, 8]


def test_loader_processes_change_nothing(data: ImageBatches) -> None:
    from twostream.loader import batches

    for workers in (0, 2):
        crops = [batch["crops"] for batch in batches(data, [2, 0], workers=workers)]
        assert torch.equal(crops[0], data[2]["crops"]) and torch.equal(crops[1], data[0]["crops"])


# The job


def test_paper_is_section_5_with_the_nets_own_dropout() -> None:
    assert pretraining_recipe("paper") == replace(PAPER, dropout=0.5)
    assert pretraining_recipe("quick") == QUICK
    changed = pretraining_recipe("paper", dropout=0.2, spatial_architecture="resnet18")
    assert (changed.dropout, changed.architecture("spatial")) == (0.2, "resnet18")


def test_the_paper_net_trains_and_is_a_model_file(images: Path, tmp_path: Path) -> None:
    sizes = {"steps": 1, "batch_size": 2, "short_side": 48, "crop_size": 41}
    recipe = pretraining_recipe("paper", **sizes)
    out = tmp_path / "net.safetensors"
    results = pretrain(images, out, recipe=recipe, options=CPU)
    assert (results["images"], results["classes"], results["steps"]) == (36, 3, 1)
    spec = load_model(out).spec
    assert (spec.stream, spec.architecture, spec.dropout) == ("spatial", "cnn-m-2048", 0.5)
    assert (spec.classes, spec.crop_size) == (("checks", "columns", "rows"), 41)
    assert (spec.mean, spec.recipe, spec.dataset) == (IMAGENET_MEAN, "paper", "textures")


def test_the_command_line_trains_and_train_starts_from_its_file(
    images: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The main path by the command line, with another net than the recipe's."""
    out = tmp_path / "deep" / "net.safetensors"
    common = ["--recipe", "quick", "--arch", "mobilenetv3_small_050", "--accelerator", "cpu"]
    command = ["pretrain", str(images), "--out", str(out), "--steps", "3", *common, "--json"]
    assert run(command) == 0
    results = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert set(results) == {"images", "classes", "top1", "top5", "steps", "seconds", "out"}
    assert results["top5"] == 1.0 and results["out"] == str(out)
    folder = tmp_path / "run"
    fine = ["train", str(tiny_data), "--out", str(folder), "--stream", "spatial", "--steps", "1"]
    assert run([*fine, "--weights", str(out), "--json"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "spatial: mobilenetv3_small_050 from net.safetensors" in said
    assert "missing" not in said and said.count("mis-shaped") == 2 and "classifier.weight" in said
    assert load_model(folder / "spatial.safetensors").spec.architecture == "mobilenetv3_small_050"


def test_it_learns_textures(images: Path, tmp_path: Path) -> None:
    values = quick(steps=60, batch_size=12, short_side=64, crop_size=56)
    results = pretrain(images, tmp_path / "net.safetensors", **values)
    assert results["top1"] >= 0.75  # chance is a third
    again = load_model(tmp_path / "net.safetensors")
    assert validate(again, load_images(images).val, 64, CPU) == (results["top1"], 1.0)


def test_validation_counts_ten_crops_and_ranks(images: Path, tmp_path: Path) -> None:
    pretrain(images, tmp_path / "net.safetensors", **quick(steps=2))
    model = load_model(tmp_path / "net.safetensors")
    val = load_images(images).val
    right = []
    for row in range(len(val)):
        item = ScoringImages(val, 40)[row]
        assert item["row"] == row and item["stacks"].shape[:3] == (1, 1, 3)
        scores = score_stacks(model, item["stacks"], torch.ones(1))
        right.append(int(scores.argmax()) == val.labels[row])
    assert validate(model, val, 40, CPU)[0] == pytest.approx(np.mean(right))
    # a net that always answers the last of many classes
    many = replace(model.spec, classes=tuple("abcdefgh"))
    model.spec = many

    class Last(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.arange(8.0).repeat(len(x), 1)

    model.network = Last()
    labels = np.array([7, 7, 3, 2] * 3)
    assert validate(model, replace(val, labels=labels), 40, CPU) == (0.5, 0.75)


def test_a_resumed_training_equals_an_uninterrupted_one(images: Path, tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole.safetensors", tmp_path / "resumed.safetensors"
    values = quick(steps=20)
    expected = pretrain(images, whole, **values)

    class KilledError(Exception):
        pass

    def kill(task: str, step: int, *rest: object) -> None:
        if task.startswith("train"):
            raise KilledError

    with pytest.raises(KilledError):
        pretrain(images, resumed, **values, progress=kill)
    assert not resumed.exists()
    with pytest.raises(RunError, match="unfinished training: add --resume"):
        pretrain(images, resumed, **values)
    with pytest.raises(RunError, match=r"other settings .seed: 0 -> 1.: resume with the same"):
        pretrain(images, resumed, **values, seed=1, resume=True)
    found = pretrain(images, resumed, **values, resume=True)
    first, second = load_file(whole), load_file(resumed)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert found["top1"] == expected["top1"]


def test_nothing_is_overwritten(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.safetensors"
    values = quick(steps=2)
    first = pretrain(images, out, **values)
    before = out.read_bytes()
    with pytest.raises(RunError, match=r"net\.safetensors is there .*add --resume"):
        pretrain(images, out, **values)
    again = pretrain(images, out, **values, resume=True)  # finished: only validates
    assert out.read_bytes() == before and again["top1"] == first["top1"]
    foreign = tmp_path / "mine.safetensors"
    foreign.write_text("mine")
    for resume in (False, True):
        with pytest.raises(RunError, match="it was not made by pretrain here"):
            pretrain(images, foreign, **values, resume=resume)
    assert foreign.read_text() == "mine"
    (tmp_path / "other-training").mkdir()
    (tmp_path / "other-training" / "notes.txt").touch()
    with pytest.raises(RunError, match="other-training holds something else"):
        pretrain(images, tmp_path / "other.safetensors", **values)
    with pytest.raises(UsageError, match=r"FILE\.safetensors, got .*net\.pth"):
        pretrain(images, tmp_path / "net.pth", **values)


@pytest.fixture
def damaged(tmp_path: Path, images: Path) -> Path:
    """A copy with a text in place of a training and of a validation image."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(images, copy)
    (copy / "train" / "rows" / "rows 1.JPEG").write_text("text")
    (copy / "val" / "rows" / "rows 9.JPEG").write_bytes(b"")
    return copy


def test_unreadable_images_are_named_and_left_out(
    damaged: Path, tmp_path: Path, said: list[str]
) -> None:
    told: list[tuple[object, ...]] = []
    train = load_images(damaged).train
    found = unreadable_images(train, progress=lambda *news: told.append(news))
    assert list(found) == [str(damaged / "train" / "rows" / "rows 1.JPEG")]
    assert told == [("check images", 24, 24)]
    values = quick(steps=2, batch_size=23)
    results = pretrain(damaged, tmp_path / "net.safetensors", **values)
    assert results["images"] == 34
    text = " ".join(said)
    assert "rows 1.JPEG cannot be decoded" in text and "rows 9.JPEG cannot be decoded" in text
    assert "2 images cannot be decoded and are left out, named above" in text
    # they are named again, and not looked for again, when it goes on
    said.clear()
    tasks: set[str] = set()
    values["progress"] = lambda task, *rest: tasks.add(task)
    pretrain(damaged, tmp_path / "net.safetensors", **values, resume=True)
    assert "rows 1.JPEG cannot be decoded" in " ".join(said)
    assert tasks == {"validate"}
    (damaged / "val" / "rows" / "rows 9.JPEG").unlink()
    with pytest.raises(
        RunError, match=r"other settings \(checksum of the image names: \d+ -> \d+\)"
    ):
        pretrain(damaged, tmp_path / "net.safetensors", **values, resume=True)


def test_a_class_without_a_readable_image_is_refused(damaged: Path, tmp_path: Path) -> None:
    for path in (damaged / "train" / "columns").iterdir():
        path.write_text("text")
    with pytest.raises(DataError, match="no readable image is left for the class columns"):
        pretrain(damaged, tmp_path / "net.safetensors", **quick())


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_goes_bad_meanwhile_is_one_sentence(
    damaged: Path, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "twostream.pretraining.image_training.unreadable_images", lambda *_, **__: {}
    )
    values = quick(steps=2, batch_size=24)
    values["options"] = replace(CPU, loader_workers=workers)
    with pytest.raises(DataError, match=r"^\S*rows 1\.JPEG cannot be decoded") as error:
        pretrain(damaged, tmp_path / "net.safetensors", **values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "words", "options"),
    [
        (2, "does not fit a short side", ("--crop-size", "300")),
        (2, "is not one of 'quick', 'paper'", ("--recipe", "gourmet")),
        (2, "its own val folder", ("--val-share", "0.5")),
        (2, "FILE.safetensors", ("--out", "no-such/net.bin")),
        (2, "--val-share", ("--val-share", "nan")),
        (2, "is not one of 'auto', 'cpu', 'gpu'", ("--accelerator", "abacus")),
        (2, "cannot be split over 2 devices", ("--batch-size", "7", "--devices", "2")),
        (1, "unknown architecture", ("--arch", "transformer-9000")),
    ],
)
def test_wrong_options_get_one_sentence(
    status: int,
    words: str,
    options: tuple[str, ...],
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "net.safetensors"
    assert run(["pretrain", str(images), "--out", str(out), *options]) == status
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err and words in " ".join(captured.err.split())
    assert not list(tmp_path.iterdir())  # nothing is in the way of the command put right
