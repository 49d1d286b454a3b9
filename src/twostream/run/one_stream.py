"""The training of one stream, from how it starts to its model."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from twostream.checkpoint import StreamModel
from twostream.files import read_json
from twostream.initialise import NetSettings, initial_model
from twostream.loader import TrainingBatches
from twostream.recipe import LITE
from twostream.run.bout_durations import count_bouts
from twostream.run.kept_weights import keep_weights
from twostream.run.steps import StoredSplit, seen_by
from twostream.training import TrainerOptions, fit, last_checkpoint, start_as_probe
from twostream.types import Progress, Stream, no_progress

FROZEN_LEARNT = 0.75  # of the last samples are right, or frozen stages are held to be in the way

logger = logging.getLogger(__name__)


def train_stream(
    net: NetSettings,
    data: StoredSplit,
    *,
    layers: str = "all",
    heads: tuple[int, ...] | None = None,
    folder: Path | None = None,
    like: Path | None = None,
    options: TrainerOptions | None = None,
    progress: Progress = no_progress,
) -> StreamModel:
    """Train one stream on the training side of a split (section 5).

    Args:
        net: which stream, and how it is made; one that starts from weights is fine-tuned.
        data: the videos and their clips.
        layers: "all", or only the "last-layer" of a net that starts from weights.
        heads: number of classes of each data set in multi-task learning.
        folder: checkpoints/STREAM/ and logs/STREAM/ are kept here; an unfinished training goes on
            from them. None keeps none.
        like: the folder of the run that this net serves: nets of its folds are trained as its own.
        options: accelerator, devices, precision.
        progress: told each few steps.

    Returns:
        The trained model, on the CPU.
    """
    options = options or TrainerOptions()
    if like and (file := net.start.file(net.stream)):
        keep_weights(like, file)
    if like and folder != like:
        whole = _aside(like, net.stream).is_dir()
        recipe = net.recipe.thawed() if whole else replace(net.recipe, thaws=False)
        net = replace(net, recipe=recipe)
    if layers != "all" or net.stream != "spatial" or not net.recipe.thaws:
        return _train(net, data, layers, heads, folder, options, progress)
    with _kept(folder) as place:
        logs, aside = place / "logs" / net.stream, _aside(place, net.stream)
        if not aside.is_dir():
            model = _train(net, data, layers, heads, place, options, progress)
            share = read_json(logs / "history.json")["learnt"]
            if share >= FROZEN_LEARNT or not model.spec.architecture.startswith(LITE):
                return model
            # in this order: logs that lie aside say that the checkpoints are of the second training
            shutil.rmtree(place / "checkpoints" / net.stream)
            logs.replace(aside)
            logger.info(
                f"{net.stream}: with its first {net.recipe.frozen_stages} stages frozen "
                f"{100 * share:.0f}% of training samples are right, so all layers are trained, anew"
            )
        thawed = replace(net, recipe=net.recipe.thawed())
        return _train(thawed, data, layers, heads, place, options, progress)


def _aside(folder: Path, stream: Stream) -> Path:
    """Return where the logs of the first training lie when a net is trained anew."""
    return folder / "logs" / f"{stream}-frozen"


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    """Give a folder, or one for the time being."""
    if folder:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def _train(
    net: NetSettings,
    data: StoredSplit,
    layers: str,
    heads: tuple[int, ...] | None,
    folder: Path | None,
    options: TrainerOptions,
    progress: Progress,
) -> StreamModel:
    """Train a stream as its recipe says; see ``train_stream``."""
    fine_tuning = net.start.fine_tunes(net.stream)
    recipe = net.recipe.of(net.stream)
    if fine_tuning:
        recipe = recipe.lasting(count_bouts(data.split.train)).fine_tuning()
    if layers != "all":  # a last layer knows its clips after more steps no better
        recipe = replace(recipe, most_steps=None)
    clips = seen_by(data.clips, net.kinds)
    model = initial_model(net, data.split, clips)
    checkpoints = folder / "checkpoints" / net.stream if folder else None
    strange = net.start.pretrained or net.start.imagenet(net.stream)  # it knows other classes
    probed = strange and net.stream in recipe.linear_probe
    if probed and not (checkpoints and last_checkpoint(checkpoints)):
        videos, device = data.split.train, options.device()
        workers = options.workers()
        start_as_probe(
            model, videos, clips, device=device, loader_workers=workers, progress=progress
        )
    batches = TrainingBatches(
        clips=clips,
        videos=data.split.train,
        temporal=net.sees,
        seed=net.seed,
        steps=recipe.ends[-1],
        batch_size=recipe.batch_size,
        crop_size=recipe.crop_size,
        segments=recipe.segments or 1,
        crop_scales=recipe.crop_scales,
        flips=recipe.flips,
        lighting=recipe.lighting,
        heads=heads,
    )
    return fit(
        model,
        batches,
        recipe,
        train=layers if fine_tuning else "all",
        options=options,
        checkpoints=checkpoints,
        logs=folder / "logs" / net.stream if folder else None,
        progress=progress,
    )
