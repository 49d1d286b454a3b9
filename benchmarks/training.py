"""What data costs: training and evaluation with real clips against tensors already in memory.

    python benchmarks/training.py DATA [--rounds 5] [--steps 40] [--recipe quick]

Both sides run the same Lightning loop, or the same network on the same crops; they alternate, and
the table gives medians over the rounds and the median of the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from twostream.checkpoint import ModelSpec, StreamModel
from twostream.datasets import load_dataset
from twostream.extraction import extract
from twostream.loader import TrainingBatches
from twostream.recipes import make_recipe
from twostream.scoring import evaluate, score_stacks
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.training import TrainerOptions, fit
from twostream.types import TemporalInput

CPU = TrainerOptions(accelerator="cpu")


@dataclass(frozen=True)
class MemoryBatches(TrainingBatches):
    """The same batch at every step, made before the clock starts."""

    batch: dict | None = None

    def __getitem__(self, step: int) -> dict:
        return self.batch


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--videos", type=int, default=12)
    options = parser.parse_args()
    recipe = make_recipe("quick", steps=options.steps)
    split = load_dataset(options.data).split()
    table = Table("what", "in memory", "real data", "share of the rate", title="loader cost")
    with tempfile.TemporaryDirectory() as folder:
        settings = StoreSettings(short_side=recipe.short_side)
        extract(split.videos(), store=Path(folder), settings=settings)
        store = FlowStore.open(folder)
        for stream, temporal in (("spatial", None), ("temporal", TemporalInput())):
            clips = ClipCache(store, ("rgb",) if temporal is None else ("forward",))
            spec = ModelSpec(
                stream=stream,
                architecture=recipe.architecture(stream),
                classes=split.classes,
                temporal=temporal,
                crop_size=recipe.crop_size,
                mean=(0.0,),
                std=(0.5,),
                dropout=0.0,
                flips=True,
                test_positions=25,
                store={},
                fps=25.0,
            )
            data = TrainingBatches(
                clips=clips,
                videos=split.train,
                temporal=temporal,
                seed=0,
                steps=options.steps,
                batch_size=recipe.batch_size,
                crop_size=recipe.crop_size,
                flips=True,
                lighting=recipe.lighting,
            )
            # every clip once, so that no side pays for the first reading of a file
            for video in split.videos():
                _ = clips[video.video_id]
            ready = [MemoryBatches(**_fields(data), batch=data[0]), data]
            fit(StreamModel(spec), replace(data, steps=3), recipe, options=CPU)
            times: list[list[float]] = [[], []]
            for _ in range(options.rounds):
                for side, batches in enumerate(ready):
                    model = StreamModel(spec)
                    times[side].append(
                        seconds(lambda m=model, b=batches: fit(m, b, recipe, options=CPU))
                    )
            _row(table, f"train {stream}, steps/s", times, options.steps)

            model = StreamModel(spec).eval()
            videos = split.test[: options.videos]
            samples = [clips[video.video_id].samples(temporal, 25) for video in videos]
            crops = [_crops(model, *sample) for sample in samples]
            sides = [
                lambda c=crops, m=model: [_forward(m, part) for video in c for part in video],
                lambda v=videos, m=model, k=clips: evaluate(m, v, k),
            ]
            times = [[], []]
            for _ in range(options.rounds):
                for side, work in enumerate(sides):
                    times[side].append(seconds(work))
            _row(table, f"evaluate {stream}, videos/s", times, len(videos))
    Console().print(table)


@torch.inference_mode()
def _forward(model: StreamModel, crops: torch.Tensor) -> torch.Tensor:
    return model.network(crops)


def _crops(model: StreamModel, stacks: torch.Tensor, counts: torch.Tensor) -> list[torch.Tensor]:
    """Catch the very batches of crops that scoring hands to the network."""
    caught: list[torch.Tensor] = []
    network = model.network
    hook = network.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].clone()))
    score_stacks(model, stacks, counts)
    hook.remove()
    return caught


def _fields(data: TrainingBatches) -> dict:
    return {field.name: getattr(data, field.name) for field in fields(data) if field.init}


def _row(table: Table, what: str, times: list[list[float]], count: int) -> None:
    ratios = [memory / real for memory, real in zip(*times, strict=True)]
    rates = [count / statistics.median(side) for side in times]
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    table.add_row(what, f"{rates[0]:.2f}", f"{rates[1]:.2f}", ratio)


if __name__ == "__main__":
    main()
