"""The whole pre-training for one command: read, check, train, save, validate."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from twostream.checkpoint import StreamModel, load_model, save_model
from twostream.datasets import ImageSplit, LabeledImages, load_images
from twostream.files import ASKED, claimed, read_json, refuse_foreign, write_json
from twostream.initialise import untrained_model
from twostream.loader import batches
from twostream.pretraining.image_batches import ImageBatches, ScoringImages, unreadable_images
from twostream.recipe import Recipe
from twostream.recipes import make_recipe
from twostream.scoring import score_stacks
from twostream.store.flow_store import StoreSettings
from twostream.training import TrainerOptions, check_batch, fit
from twostream.types import DataError, Progress, RunError, UsageError, no_progress

logger = logging.getLogger(__name__)
# Chatfield et al. 2014, whose net this is. The 0.9 of ``paper`` is for a few thousand videos.
PAPER_DROPOUT = 0.5


def pretraining_recipe(name: str, **changes: Any) -> Recipe:
    """Return a recipe for images; ``paper`` has dropout 0.5, all else is as for videos."""
    if name == "paper" and changes.get("dropout") is None:
        changes["dropout"] = PAPER_DROPOUT
    return make_recipe(name, **changes)


def pretrain(
    images: Path,
    out: Path,
    *,
    recipe: Recipe,
    val_share: float | None = None,
    seed: int = 0,
    resume: bool = False,
    options: TrainerOptions | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train ``recipe.spatial_architecture`` from scratch on a folder of image classes.

    Args:
        images: see ``load_images``.
        out: the model file to write; checkpoints and logs go to OUT-training/ beside it.
        recipe: see ``pretraining_recipe``.
        val_share: share of each class to validate on where the data have no val folder.
        seed: of initialisation, batches and held-out images.
        resume: continue what was stopped.
        options: accelerator, devices, precision, loader processes.
        progress: told how far each part is.

    Returns:
        What ``--json`` prints: images and classes (numbers), top1 and top5 on the validation images
        (0..1, mean of ten crops), steps, seconds of this call, out.

    Raises:
        TwoStreamError: with one clear sentence; nothing finished is lost.
    """
    start = time.perf_counter()
    if out.suffix != ".safetensors":
        raise UsageError(f"--out takes a model file to write, FILE.safetensors, got {out}")
    options = options or TrainerOptions()
    options.check()
    check_batch((recipe.batch_size,), options.processes)
    images = images.resolve()
    split = load_images(images, val_share=val_share, seed=seed)
    for sentence in (split.describe(), *split.notes):
        logger.info(sentence)
    asked = {
        "images": str(images),
        "split": split.name,
        "checksum of the image names": split.checksum(),
        "seed": seed,
        "recipe": asdict(recipe),
    }
    folder = out.with_name(f"{out.stem}-training")
    _refuse_overwriting(out, folder, resume=resume)
    # before the folder is claimed and a million images are looked at: its name may be wrong
    model = None if out.is_file() else _untrained(split, recipe, seed)
    with claimed(folder, asked, resume=resume, what="training"):
        split = _readable(split, folder / "unreadable.json", progress)
        if model is None:
            model = load_model(out)
        else:
            _train(model, split, recipe, seed, folder, options, progress)
            save_model(out, model)
        top1, top5 = validate(model, split.val, recipe.short_side, options, progress)
    return {
        "images": len(split.train) + len(split.val),
        "classes": len(split.classes),
        "top1": top1,
        "top5": top5,
        "steps": recipe.steps,
        "seconds": round(time.perf_counter() - start, 2),
        "out": str(out),
    }


def _untrained(split: ImageSplit, recipe: Recipe, seed: int) -> StreamModel:
    # an image has no flow and no rate; with the defaults the file is one as any other
    store = StoreSettings(short_side=recipe.short_side)
    model = untrained_model("spatial", split.classes, recipe=recipe, store=store, seed=seed)
    model.spec = replace(model.spec, dataset=split.dataset, split=split.name)
    return model


def _train(
    model: StreamModel,
    split: ImageSplit,
    recipe: Recipe,
    seed: int,
    folder: Path,
    options: TrainerOptions,
    progress: Progress,
) -> None:
    data = ImageBatches(
        images=split.train,
        seed=seed,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        short_side=recipe.short_side,
        crop_size=recipe.crop_size,
        flips=recipe.flips,
        lighting=recipe.lighting,
    )
    fit(
        model,
        data,
        recipe,
        options=options,
        checkpoints=folder / "checkpoints",
        logs=folder / "logs",
        progress=progress,
    )


def validate(
    model: StreamModel,
    images: LabeledImages,
    short_side: int,
    options: TrainerOptions,
    progress: Progress = no_progress,
) -> tuple[float, float]:
    """Return the shares of images whose class is the best, and among the best five (0..1).

    Ten crops an image, their softmax scores averaged (Krizhevsky et al. 2012).
    """
    model = model.to(options.device()).eval()
    top = min(5, len(model.spec.classes))
    best = fives = 0
    loader = batches(
        ScoringImages(images, short_side), range(len(images)), workers=options.workers()
    )
    for done, item in enumerate(loader, start=1):
        found = score_stacks(model, item["stacks"], torch.ones(1)).topk(top).indices.tolist()
        label = int(images.labels[int(item["row"])])
        best += found[0] == label
        fives += label in found
        progress("validate", done, len(images))
    return best / len(images), fives / len(images)


def _readable(split: ImageSplit, known: Path, progress: Progress) -> ImageSplit:
    """Leave out the images that cannot be decoded, and name them; looked for once a training.

    Before anything is trained, so that the list is whole and a batch depends on nothing else.
    """
    if known.is_file():
        unreadable = read_json(known)
    else:
        unreadable = unreadable_images(split.train, split.val, progress=progress)
        write_json(known, unreadable)
    for sentence in unreadable.values():
        logger.warning(f"left out: {sentence}")
    sides = []
    for side in (split.train, split.val):
        rows = [i for i in range(len(side)) if str(side.path(i)) not in unreadable]
        sides.append(side.select(rows) if len(rows) < len(side) else side)
    train, val = sides
    lost = set(range(len(split.classes))) - set(train.labels.tolist())
    if lost or not len(val):
        what = f"the class {split.classes[min(lost)]}" if lost else "validation"
        raise DataError(
            f"no readable image is left for {what}: {len(unreadable)} images cannot be decoded, "
            "named above"
        )
    if unreadable:
        logger.warning(f"{len(unreadable)} images cannot be decoded and are left out, named above")
    return replace(split, train=train, val=val)


def _refuse_overwriting(out: Path, folder: Path, *, resume: bool) -> None:
    """Raise a RunError where the model file is there and this call must not take it as its own."""
    refuse_foreign(folder, "training")
    ours = (folder / ASKED).is_file()
    if out.exists() and not (ours and resume):
        how = "add --resume to continue" if ours else "it was not made by pretrain here"
        raise RunError(f"{out} is there and is not overwritten ({how}): choose another --out")
