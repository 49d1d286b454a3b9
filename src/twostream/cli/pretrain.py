"""The verb that trains on images: pretrain."""

from __future__ import annotations

from pathlib import Path

import typer

from twostream.cli.console import Shown, percent
from twostream.cli.options import Accelerator, AsJson, Devices, LoaderWorkers, Precision


def pretrain(
    images: Path = typer.Argument(
        ...,
        metavar="IMAGES",
        help="A folder with train/<class> and val/<class> (ILSVRC-2012), or of class folders.",
    ),
    out: Path = typer.Option(..., "--out", help="The model file to write, FILE.safetensors."),
    recipe: str = typer.Option("paper", help="paper (CNN-M-2048, wants a GPU) or quick."),
    val_share: float = typer.Option(
        None, help="Share of each class to validate on, where IMAGES has no val; default 0.1."
    ),
    arch: str = typer.Option(None, help="The net: cnn-m-2048, squeezenet1_0 or a timm name."),
    steps: int = typer.Option(None, help="SGD steps."),
    batch_size: int = typer.Option(None, help="Global batch, over all devices."),
    short_side: int = typer.Option(None, help="Every image's shorter side in pixels."),
    crop_size: int = typer.Option(None, help="Side of the crops in pixels."),
    seed: int = typer.Option(0, min=0, help="Decides initialisation, samples and who validates."),
    resume: bool = typer.Option(False, "--resume", help="Continue a training that was stopped."),
    loader_workers: LoaderWorkers = None,
    accelerator: Accelerator = "auto",
    devices: Devices = 1,
    precision: Precision = "32-true",
    as_json: AsJson = False,
) -> int:
    """Train a spatial net on images (ImageNet), for `train --weights FILE` to start from."""
    from twostream.pretraining import pretrain as run
    from twostream.pretraining import pretraining_recipe
    from twostream.training import TrainerOptions

    shown = Shown(as_json=as_json)
    with shown.progress():
        results = run(
            images,
            out,
            recipe=pretraining_recipe(
                recipe,
                spatial_architecture=arch,
                steps=steps,
                batch_size=batch_size,
                short_side=short_side,
                crop_size=crop_size,
            ),
            val_share=val_share,
            seed=seed,
            resume=resume,
            options=TrainerOptions(
                accelerator=accelerator,
                devices=devices,
                precision=precision,
                loader_workers=loader_workers,
            ),
            progress=shown.step,
        )
    title = f"{results['images']} images, {results['classes']} classes, {results['steps']} steps"
    # among five classes the right one is always among the best five
    top5 = results["top5"] if results["classes"] > 5 else None
    row = ("validation, ten crops", percent(results["top1"]), percent(top5))
    shown.table(title, ("", "top-1", "top-5"), [row])
    shown.out.print(f"model file: {results['out']}", soft_wrap=True)
    shown.result(results)
    return 0


COMMANDS = (pretrain,)
