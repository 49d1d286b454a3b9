"""The verb that trains on images: pretrain."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer

from twostream.cli import options
from twostream.cli.console import Shown, percent
from twostream.cli.options import (
    DATA,
    METHOD,
    NETWORK,
    TRAINING,
    FromScratch,
    own,
    per_recipe,
    trainer_options,
)


def pretrain(
    images: Path = typer.Argument(
        ...,
        metavar="IMAGES",
        help="A folder with train/<class> and val/<class> (ILSVRC-2012), or of class folders.",
    ),
    out: Path = own(..., "The model file to write, FILE.safetensors.", None, "--out"),
    recipe: options.FromScratch = own("paper", "paper (CNN-M-2048, wants a GPU) or quick."),
    val_share: float = own(
        None, "Share of each class to validate on, where IMAGES has no val; default 0.1.", DATA
    ),
    arch: str = own(None, "The net: cnn-m-2048, squeezenet1_0 or a timm name.", NETWORK),
    short_side: int = own(
        None, per_recipe("Every image's shorter side in pixels", "short_side", FromScratch), METHOD
    ),
    crop_size: options.ScratchCropSize = None,
    steps: options.ScratchSteps = None,
    batch_size: int = own(
        None, per_recipe("Global batch, over all devices", "batch_size", FromScratch), TRAINING
    ),
    seed: options.Seed = 0,
    resume: options.Resume = False,
    loader_workers: options.LoaderWorkers = None,
    accelerator: options.Accelerator = "auto",
    devices: options.Devices = 1,
    nodes: options.Nodes = 1,
    precision: options.Precision = "32-true",
    as_json: options.AsJson = False,
) -> None:
    """Train a spatial net on images (ImageNet), for `train --weights FILE` to start from."""
    from twostream.pretraining import pretrain as run
    from twostream.pretraining import pretraining_recipe
    from twostream.training import begun_again, led, take_part

    shown = Shown(as_json=as_json)
    chosen = pretraining_recipe(
        recipe,
        spatial_architecture=arch,
        steps=steps,
        batch_size=batch_size,
        short_side=short_side,
        crop_size=crop_size,
    )
    machine = trainer_options(accelerator, devices, precision, loader_workers, nodes)
    with shown.progress():
        job = partial(run, images, out, recipe=chosen, val_share=val_share, seed=seed)
        job = partial(job, resume=resume or begun_again(), options=machine, progress=shown.step)
        results = led(machine, job, take_part)
    if results is None:
        return
    title = f"{results['images']} images, {results['classes']} classes, {results['steps']} steps"
    # among five classes the right one is always among the best five
    top5 = results["top5"] if results["classes"] > 5 else None
    row = ("validation, ten crops", percent(results["top1"]), percent(top5))
    shown.table(title, ("", "top-1", "top-5"), [row])
    shown.line(f"model file: {results['out']}")
    shown.result(results)


COMMANDS = (pretrain,)
