"""Scoring a video on 25 positions x 10 crops, against the bare net on crops that lie ready."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from gpu_tables import NOT_MEASURED, Settings, markdown, median_seconds, said
from gpu_training import autocast, spec_of
from twostream.checkpoint import StreamModel
from twostream.recipes import RECIPES
from twostream.scoring import score_stacks
from twostream.types import ModelSpec, Stream

# architecture, side of the frames, crop: those of `paper`, and of the small net at 128 px
NETS = (("cnn-m-2048", 256, 224), ("tf_efficientnet_lite0", 144, 128))
POSITIONS = 25
HEADER = [
    "net, crop",
    "stream",
    "precision",
    "videos/s",
    "bare net, videos/s",
    "of the bare net",
]


def caught_crops(
    model: StreamModel, stacks: torch.Tensor, counts: torch.Tensor
) -> list[torch.Tensor]:
    """Return the very batches of crops that scoring hands to the net, on its device."""
    caught: list[torch.Tensor] = []
    network = model.network
    hook = network.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].clone()))
    score_stacks(model, stacks, counts)
    hook.remove()
    return caught


def one_row(
    spec: ModelSpec, side: int, precision: str, settings: Settings, deadline: float
) -> list[str]:
    """Measure one net at one precision."""
    device, positions = settings.device, 3 if settings.small else POSITIONS
    model = StreamModel(spec).to(device).eval()
    length = spec.temporal.length if spec.temporal else 1
    shape = (positions, length, 2 if spec.is_flow else 3, side, side * 4 // 3)
    generator = torch.Generator().manual_seed(0)
    stacks = torch.rand(shape, generator=generator)
    counts = torch.ones(positions)

    def scored() -> torch.Tensor:
        with autocast(device, precision):
            return score_stacks(model, stacks, counts).cpu()

    @torch.inference_mode()
    def bare() -> None:
        with autocast(device, precision):
            for batch in crops:
                model.network(batch)

    crops = caught_crops(model, stacks, counts)
    rounds = 1 if settings.small else 7
    whole = 1 / median_seconds(scored, device, rounds, deadline)
    net = 1 / median_seconds(bare, device, rounds, deadline)
    return [f"{whole:.1f}", f"{net:.1f}", f"{100 * whole / net:.0f}%"]


def measure(settings: Settings, deadline: float) -> str:
    """Return the table of both nets, both streams, both precisions."""
    torch.set_float32_matmul_precision("high")
    rows = []
    streams: tuple[Stream, ...] = ("spatial", "temporal")
    for name, side, crop in NETS[:1] if settings.small else NETS:
        if settings.small:
            name, side, crop = "small-bn", 36, 32
        for stream in streams:
            spec = replace(spec_of(RECIPES["paper"], stream, crop), architecture=name, dropout=0.0)
            for precision in ("fp32", "bf16"):
                cells = [f"{name}, {crop} px", stream, precision]
                if time.perf_counter() > deadline:
                    rows.append([*cells, f"{NOT_MEASURED}: the part's time was over", "", ""])
                    continue
                try:
                    rows.append(cells + one_row(spec, side, precision, settings, deadline))
                except Exception as error:  # noqa: BLE001 - the other rows are worth having
                    rows.append([*cells, said(error), "", ""])
    return markdown(HEADER, rows)
