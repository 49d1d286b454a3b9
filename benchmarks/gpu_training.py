"""Training and its ceiling: steps/s from a store against a batch that lies in the GPU's memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gpu_tables import (
    NOT_MEASURED,
    Settings,
    make_store,
    markdown,
    median_seconds,
    said,
    synchronize,
)
from twostream.checkpoint import StreamModel
from twostream.loader import TrainingBatches
from twostream.recipe import Recipe
from twostream.recipes import RECIPES
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore
from twostream.training import TrainerOptions, fit
from twostream.types import LabeledVideo, ModelSpec, Stream, TemporalInput

PEAK_FLOPS = 989e12  # dense bf16 of an H100 SXM and an H200
CLASSES = 101
HEADER = [
    "recipe, stream",
    "net, batch",
    "precision",
    "in memory, steps/s",
    "TFLOP/s",
    "of the peak",
    "from the store, steps/s",
    "of in memory",
]


class TimeUpError(Exception):
    """The part's time is over; raised out of a training."""


def spec_of(recipe: Recipe, stream: Stream, crop_size: int | None = None) -> ModelSpec:
    """Return a stream's net of a recipe, for stores of UCF-101's number of classes."""
    temporal = TemporalInput() if stream == "temporal" else None
    recipe = recipe.of(stream)
    return ModelSpec(
        stream=stream,
        architecture=recipe.architecture(stream),
        classes=tuple(f"class {i}" for i in range(CLASSES)),
        temporal=temporal,
        crop_size=crop_size or recipe.crop_size,
        mean=(0.0,) if temporal else (0.45,),
        std=(2.0,) if temporal else (0.25,),
        dropout=recipe.dropout,
        flips=True,
        test_positions=25,
        store={},
        fps=25.0,
    )


def autocast(device: str, precision: str) -> AbstractContextManager[object]:
    """Return bf16 where it is asked for; convolutions in fp32 use TF32."""
    if precision == "bf16":
        return torch.autocast(device, torch.bfloat16)
    return nullcontext()


def random_crops(spec: ModelSpec, count: int, device: str) -> torch.Tensor:
    """Return (count, length, c, size, size) numbers of the size of a flow or a picture."""
    length = spec.temporal.length if spec.temporal else 1
    shape = (count, length, 2 if spec.is_flow else 3, spec.crop_size, spec.crop_size)
    return torch.randn(shape, device=device) if spec.is_flow else torch.rand(shape, device=device)


def one_step(
    spec: ModelSpec, recipe: Recipe, device: str, precision: str
) -> Callable[[], torch.Tensor]:
    """Return a whole training step on a batch that lies in the device's memory."""
    model = StreamModel(spec).to(device).train()
    count = recipe.batch_size * (recipe.segments or 1)
    crops = random_crops(spec, count, device)
    labels = torch.randint(0, CLASSES, (count,), device=device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1e-3, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with autocast(device, precision):
            loss = nn.functional.cross_entropy(model(crops).float(), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def flops_per_sample(spec: ModelSpec, device: str) -> float:
    """Return the floating-point operations of a sample's way forth and back."""
    model = StreamModel(spec).to(device).train()
    crops, labels = random_crops(spec, 2, device), torch.zeros(2, dtype=torch.long, device=device)
    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(model(crops), labels).backward()
    return counter.get_total_flops() / 2


def rate_in_memory(
    spec: ModelSpec, recipe: Recipe, settings: Settings, precision: str, deadline: float
) -> float:
    """Return steps/s on one batch that lies in the device's memory."""
    step = one_step(spec, recipe, settings.device, precision)
    together = 2 if settings.small else 10
    for _ in range(together):
        step()

    def several() -> None:
        for _ in range(together):
            step()

    return together / median_seconds(several, settings.device, 3, deadline)


def rate_from_store(
    spec: ModelSpec,
    recipe: Recipe,
    stored: tuple[FlowStore, list[LabeledVideo]],
    settings: Settings,
    precision: str,
    deadline: float,
) -> float:
    """Return steps/s of the package's own training from a store.

    The clock starts after the first half: until then workers start and clips are decoded once.
    """
    store, videos = stored
    steps = 20 if settings.small else 60
    data = TrainingBatches(
        clips=ClipCache(store, ("forward",) if spec.is_flow else ("rgb",)),
        videos=videos,
        temporal=spec.temporal,
        seed=0,
        steps=steps,
        batch_size=recipe.batch_size,
        crop_size=spec.crop_size,
        segments=recipe.segments or 1,
        crop_scales=recipe.crop_scales,
        flips=True,
        lighting=recipe.lighting,
    )
    ticks: list[tuple[float, float]] = []

    def tick(task: str, done: float, total: float, detail: str = "") -> None:
        synchronize(settings.device)
        ticks.append((done, time.perf_counter()))
        if time.perf_counter() > deadline:
            raise TimeUpError

    options = TrainerOptions(
        accelerator="cpu" if settings.small else "gpu",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        loader_workers=0 if settings.small else None,
    )
    with suppress(TimeUpError):
        fit(StreamModel(spec), data, replace(recipe, steps=steps), options=options, progress=tick)
    if len(ticks) < 2:
        raise TimeoutError("fewer than 20 steps were done in time")
    (before, started), (after, ended) = ticks[min((len(ticks) - 1) // 2, 2)], ticks[-1]
    return (after - before) / (ended - started)


def measure(settings: Settings, deadline: float) -> str:
    """Return the table of both streams of the recipes."""
    torch.set_float32_matmul_precision("high")
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("paper", "standard"):
            if name not in RECIPES:
                rows.append([name, NOT_MEASURED, *[""] * (len(HEADER) - 2)])
                continue
            recipe = RECIPES[name]
            if settings.small:
                recipe = replace(
                    recipe,
                    spatial_architecture="small-bn",
                    temporal_architecture="small-bn",
                    batch_size=4,
                    short_side=32,
                    crop_size=32,
                    temporal_crop_size=None,
                )
            side = recipe.short_side
            clips, frames = (4, 14) if settings.small else (16, 24)
            stored = make_store(
                Path(folder, name), clips=clips, frames=frames, height=side, width=side * 4 // 3
            )
            for stream in ("spatial", "temporal"):
                for precision in ("fp32", "bf16"):
                    given = (recipe, stream, stored, precision, settings, deadline)
                    rows.append(one_row(*given))
    return markdown(HEADER, rows)


def one_row(
    recipe: Recipe,
    stream: Stream,
    stored: tuple[FlowStore, list[LabeledVideo]],
    precision: str,
    settings: Settings,
    deadline: float,
) -> list[str]:
    """Measure one net at one precision; what fails or comes too late is said in its cell."""
    spec = spec_of(recipe, stream)
    samples = recipe.batch_size * (recipe.segments or 1)
    cells = [f"{recipe.name}, {stream}", f"{spec.architecture}, {samples}", precision]
    if time.perf_counter() > deadline:
        return cells + [f"{NOT_MEASURED}: the part's time was over", *[""] * 4]
    try:
        memory = rate_in_memory(spec, recipe, settings, precision, deadline)
        flops = memory * samples * flops_per_sample(spec, settings.device)
        cells += [f"{memory:.2f}", f"{flops / 1e12:.1f}", f"{100 * flops / PEAK_FLOPS:.1f}%"]
    except Exception as error:  # noqa: BLE001 - the other rows are worth having
        return cells + [said(error), *[""] * 4]
    finally:
        if settings.device == "cuda":
            torch.cuda.empty_cache()
    if precision == "fp32" and not settings.small:
        return cells + [NOT_MEASURED, ""]  # bf16 asks more of the store
    own = min(deadline, time.perf_counter() + 18)
    try:
        rate = rate_from_store(spec, recipe, stored, settings, precision, own)
    except Exception as error:  # noqa: BLE001
        return cells + [said(error), ""]
    return cells + [f"{rate:.2f}", f"{100 * rate / memory:.1f}%"]
