"""Section 5 where it happens: the paper's figures in the optimizer, the batches and the nets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from twostream.checkpoint import StreamModel
from twostream.initialise import Start
from twostream.loader import TrainingBatches
from twostream.recipe import Recipe
from twostream.recipes import PAPER
from twostream.run import RunSettings, one_stream, request, train_run
from twostream.store.clips import Clip
from twostream.training import StreamTraining, TrainerOptions, fit
from twostream.types import LabeledVideo, TemporalInput
from twostream.video import VideoWriter
from untrained import make_spec

HEIGHT, WIDTH = 256, 340  # a video of 4:3 whose smaller side is 256
FIELDS = 40
VIDEOS = [LabeledVideo(name, Path(name), i % 2) for i, name in enumerate("abcd")]


class MarkedClip(Clip):
    """Its planes tell position, row and column of every pixel; x of the flow is the column."""

    height, width = HEIGHT, WIDTH

    def num_positions(self, temporal: TemporalInput | None) -> int:
        return FIELDS + 1 if temporal is None else FIELDS - temporal.length + 1

    def stack(self, temporal: TemporalInput | None, position: int) -> np.ndarray:
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float32)
        if temporal is None:
            return np.stack([columns, rows, np.full_like(rows, position)])[None]
        stack = np.stack([columns + 1, rows + 1000 * position])
        return np.broadcast_to(stack, (temporal.length, *stack.shape))


class MarkedClips(dict):
    """Stands for ``ClipCache``."""

    def __init__(self, clip: type[Clip] = MarkedClip) -> None:
        super().__init__({video.video_id: clip({}) for video in VIDEOS})


class SmallClip(MarkedClip):
    height, width = 16, 16


def batches(recipe: Recipe = PAPER, clips: MarkedClips | None = None, **changes: Any) -> Any:
    values: dict = {
        "clips": clips or MarkedClips(),
        "videos": VIDEOS,
        "temporal": None,
        "seed": 3,
        "steps": recipe.steps,
        "batch_size": recipe.batch_size,
        "crop_size": recipe.crop_size,
        "flips": recipe.flips,
        "lighting": recipe.lighting,
    }
    return TrainingBatches(**{**values, **changes})


def small_model() -> StreamModel:
    small = {"crop_size": 16, "mean": (0.0,), "std": (100.0,)}
    return StreamModel(make_spec(None, classes=("jump", "walk"), **small))


# --- the optimizer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "steps", "changes"),
    [
        (PAPER, 80_000, {0: 1e-2, 50_000: 1e-3, 70_000: 1e-4}),
        (PAPER.fine_tuning(), 20_000, {0: 1e-2, 14_000: 1e-3}),
    ],
    ids=["from scratch", "fine-tuning"],
)
def test_the_optimizers_rate_at_every_step(
    recipe: Recipe, steps: int, changes: dict[int, float]
) -> None:
    """All steps of the real optimizer and its schedule, without gradients."""
    training = StreamTraining(small_model(), batches(recipe), recipe)
    configured = training.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]
    assert (type(optimizer), schedule["interval"]) == (torch.optim.SGD, "step")
    rates = []
    for _ in range(recipe.steps):
        (rate,) = {group["lr"] for group in optimizer.param_groups}
        rates.append(rate)
        optimizer.step()
        schedule["scheduler"].step()
    assert len(rates) == steps
    turns = [0, *(1 + np.flatnonzero(np.diff(rates)))]
    assert turns == list(changes)
    np.testing.assert_allclose([rates[turn] for turn in turns], list(changes.values()), rtol=1e-12)


@pytest.mark.timeout(120)  # one that does not stop, stops nowhere
def test_fit_follows_the_schedule_step_by_step_and_stops_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lightning's own loop over the paper's recipe with its times divided by ten thousand."""
    taken: list[dict[str, Any]] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            names = ("lr", "momentum", "weight_decay", "nesterov", "dampening")
            taken.extend({name: group[name] for name in names} for group in self.param_groups)
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "SGD", Watched)
    recipe = replace(PAPER, steps=8, boundaries=(5, 7), batch_size=2, crop_size=16, short_side=16)
    fit(
        small_model(),
        batches(recipe, MarkedClips(SmallClip)),
        recipe,
        options=TrainerOptions(accelerator="cpu"),
    )
    np.testing.assert_allclose([step["lr"] for step in taken], [1e-2] * 5 + [1e-3] * 2 + [1e-4])
    for step in taken:
        assert (step["momentum"], step["weight_decay"]) == (0.9, 5e-4)
        assert (step["nesterov"], step["dampening"]) == (False, 0)


# --- what train_run hands to the training -------------------------------------------------------


class StoppedError(Exception):
    """Raised where training would begin."""


@pytest.fixture(scope="module")
def clips_of_224_px(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    texture = np.random.default_rng(0).integers(0, 255, (224, 228, 3), np.uint8)
    for name in ("train/run/a", "train/walk/b", "test/run/c", "test/walk/d"):
        path = root / f"{name}.avi"
        path.parent.mkdir(parents=True)
        with VideoWriter(path, fps=25, width=228, height=224) as writer:
            for i in range(11):
                writer.write(np.roll(texture, i, axis=1))
    return root


def handed_over(
    monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, **settings: Any
) -> tuple[StreamModel, TrainingBatches, Recipe]:
    """Run the job up to its first training; nets are shapes without memory."""
    caught: list[Any] = []

    def stop(model: StreamModel, data: TrainingBatches, recipe: Recipe, **_: Any) -> None:
        caught.extend((model, data, recipe))
        raise StoppedError

    monkeypatch.setattr(one_stream, "fit", stop)
    with torch.device("meta"), pytest.raises(StoppedError):
        train_run(RunSettings(data=str(data), recipe=PAPER, **settings), out)
    return tuple(caught)


@pytest.mark.parametrize(("stream", "channels"), [("spatial", 3), ("temporal", 20)])
def test_a_run_trains_the_papers_net_on_the_papers_batches(
    stream: Any,
    channels: int,
    clips_of_224_px: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, data, recipe = handed_over(
        monkeypatch, clips_of_224_px, tmp_path / "run", streams=(stream,)
    )
    assert (recipe.steps, data.steps) == (80_000, 80_000)
    assert (data.batch_size, data.crop_size, data.flips, data.lighting) == (256, 224, True, 0.1)
    assert (model.spec.test_positions, model.spec.flips) == (25, True)
    first = next(layer for layer in model.network.modules() if isinstance(layer, nn.Conv2d))
    assert first.weight.shape == (96, channels, 7, 7)
    normalised = [m for m in model.network.modules() if isinstance(m, nn.LocalResponseNorm)]
    assert len(normalised) == (2 if stream == "spatial" else 1)

    # dropout of 0.9 sees the outputs of full6 and of full7, and nothing else
    seen: list[tuple[int, float]] = []
    for layer in model.network.modules():
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(lambda m, x, _: seen.append((x[0].shape[1], m.p)))
    model.network.train()(torch.empty(1, channels, 224, 224, device="meta"))
    assert seen == [(4096, 0.9), (2048, 0.9)]


def test_a_run_that_starts_from_weights_fine_tunes(
    clips_of_224_px: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_stream, "initial_model", lambda *_, **__: small_model())
    monkeypatch.setattr(request, "check_network", lambda *_: None)  # it would ask the hub
    _, data, recipe = handed_over(
        monkeypatch,
        clips_of_224_px,
        tmp_path / "run",
        streams=("spatial",),
        start=Start(pretrained=True),
        spatial_architecture="resnet18",
    )
    assert (data.steps, recipe.steps, recipe.boundaries) == (20_000, 20_000, (14_000,))
    assert (recipe.learning_rate, data.batch_size) == (1e-2, 256)


# --- a training sample --------------------------------------------------------------------------


def uniform(values: np.ndarray, num: int, bins: int) -> bool:
    """Whether values in range(num) pass as uniform, in equal bins, at the 0.1 % level."""
    assert num % bins == 0 and values.min() >= 0 and values.max() < num
    return chisquare(np.bincount(values // (num // bins), minlength=bins)).pvalue > 1e-3


def test_a_batch_has_random_frames_random_crops_of_the_whole_frame_and_flips() -> None:
    temporal = TemporalInput(length=1)
    data = batches(temporal=temporal, batch_size=512, steps=2)
    crops = torch.cat([data[step]["crops"] for step in range(2)]).numpy()[:, 0, 0]
    assert crops.shape == (1024, 2, 224, 224)
    mirrored = crops[:, 0, 0, 0] < 0  # x is the column, and a mirror image negates it
    left = np.where(mirrored, -crops[:, 0, 0, -1], crops[:, 0, 0, 0]).astype(int) - 1
    position, top = np.divmod(crops[:, 1, 0, 0].astype(int), 1000)
    assert (np.diff(crops[:, 0], axis=-1) == 1).all()  # so the negated columns run backwards
    assert uniform(position, FIELDS, 10)
    assert uniform(top, HEIGHT - 224 + 1, 11) and uniform(left, WIDTH - 224 + 1, 9)
    # a crop of the square centre would lie here alone
    assert not uniform(left[(left >= 42) & (left <= 74)], WIDTH - 224 + 1, 9)
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(mirrored))


def test_the_jitter_is_drawn_for_each_picture() -> None:
    clips = MarkedClips(SmallClip)
    colours = [
        batches(clips=clips, crop_size=16, batch_size=64, flips=False, lighting=lighting)[0][
            "crops"
        ][:, 0, 0, :, 0, 0]
        for lighting in (PAPER.lighting, 0.0)
    ]
    noise = (colours[0] - colours[1]).double()
    assert len(torch.unique(noise[:, 1])) > 50
    # deviation 0.1 times Krizhevsky's eigenvalues 0.2175, 0.0188, 0.0045
    wanted = 0.1 * np.sqrt(0.2175**2 + 0.0188**2 + 0.0045**2)
    assert 0.7 * wanted < noise.square().sum(1).mean().sqrt() < 1.4 * wanted
