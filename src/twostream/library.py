"""The public functions of the main path, in plain arguments: extract, train, evaluate, predict.

Each is a thin layer over the room of its name. The rooms take stores, recipes and samples apart;
these put them together. ``load_dataset``, ``fuse`` and ``export_onnx`` are the rooms' own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from twostream.checkpoint import StreamModel, load_model, save_model
from twostream.datasets import Dataset, load_dataset, relabeled
from twostream.extraction import ExtractSummary
from twostream.extraction import extract as extract_videos
from twostream.flow import make_estimator
from twostream.initialise import Start, initial_model
from twostream.loader import TrainingBatches
from twostream.prediction import Prediction, TwoStreamPredictor
from twostream.prediction.predictor import stored_as
from twostream.recipes import make_recipe
from twostream.run.data_stores import common_rate, training_rate, without
from twostream.run.evaluation_run import extract_videos as extract_usable
from twostream.scoring import evaluate as evaluate_videos
from twostream.store.clips import ClipCache, kinds_of
from twostream.store.flow_store import Codec, FlowStore, Kind, StoreSettings
from twostream.training import Progress, TrainerOptions, fit
from twostream.types import (
    DataError,
    DatasetSplit,
    StoreError,
    Stream,
    Subset,
    TemporalInput,
    VideoScores,
)

Data = DatasetSplit | Path | str
SAME_RATE = 0.02


def extract(
    data: Data | Dataset,
    *,
    store: Path | str,
    estimator: str = "dis",
    recipe: str = "quick",
    short_side: int | None = None,
    codec: Codec = "jpeg",
    fps: float | None = None,
    backward: bool = False,
    workers: int | None = None,
    device: str = "auto",
) -> ExtractSummary:
    """Compute frames and optical flow of every video into a store; what is there is kept.

    Args:
        data: a split, a data set, or where one lies.
        store: folder of the store; made where it does not exist.
        estimator: name of the flow estimator, with a preset if wanted: "brox:fast".
        recipe: whose stored size to use.
        short_side: shorter side in pixels instead of the recipe's; frames only ever shrink.
        codec: "jpeg" (8 bit, as in the paper) or "lossless".
        fps: rate that all videos are brought to; None: each keeps its own, unless they differ:
            then the commonest.
        backward: backward flow too, for bi-directional input.
        workers: threads; None: one a core.
        device: "cpu", "cuda", or "auto": a GPU where it computes this flow faster.

    Returns:
        What was done; videos that could not be decoded are named in ``failed``.

    Raises:
        StoreError: the store was made with other settings, or the disk refuses.
    """
    chosen = load_dataset(data) if isinstance(data, Path | str) else data
    videos = chosen.videos if isinstance(chosen, Dataset) else chosen.videos()
    made = make_estimator(estimator)
    settings = StoreSettings(
        flow=made.name,
        parameters=dict(made.parameters),
        short_side=short_side or make_recipe(recipe).short_side,
        codec=codec,
        fps=fps if fps is not None else common_rate(videos, lambda message: None),
    )
    return extract_videos(
        videos,
        store=store,
        settings=settings,
        kinds=("rgb", "forward", "backward") if backward else ("rgb", "forward"),
        workers=workers,
        device=device,
    )


def train(
    data: Data,
    *,
    stream: Stream,
    out: Path | str | None = None,
    store: Path | str | None = None,
    recipe: str = "quick",
    temporal: TemporalInput | None = None,
    architecture: str | None = None,
    weights: Path | str | None = None,
    seed: int = 0,
    options: TrainerOptions | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> StreamModel:
    """Train one stream on the training side of a split.

    ``train_run`` does the whole job, with scores, fusion, report and resumption.

    Args:
        data: a split, or where a data set lies (then its own or the default split).
        stream: "spatial" or "temporal".
        out: folder for the model file, STREAM.safetensors; both streams may share it. None keeps
            the model in memory only.
        store: frames and flow, with the settings that they were extracted with; what is missing is
            extracted. None: OUT/flow, or a folder that is deleted again.
        recipe: "quick" or "paper".
        temporal: the temporal stream's input; None: the paper's stack of ten fields.
        architecture: instead of the recipe's.
        weights: a weights file to start from.
        seed: decides initialisation, samples and dropout.
        options: accelerator, devices, precision.
        progress: called as (task, step, steps, detail).
        **changes: of the recipe: ``steps=100``, ``batch_size=16``, ``flips=False``, ...

    Returns:
        The trained model, on the CPU.

    Raises:
        TwoStreamError: with one clear sentence.
    """
    split = load_dataset(data).split() if isinstance(data, Path | str) else data
    chosen = make_recipe(recipe, **changes)
    temporal = temporal or TemporalInput()
    sees = temporal if stream == "temporal" else None
    with ExitStack() as stack:
        root = _store_folder(stack, store if store or not out else Path(out) / "flow")
        if (root / "store.json").is_file():
            settings = FlowStore.open(root).settings
        else:
            estimator = make_estimator(chosen.flow)
            settings = StoreSettings(
                flow=estimator.name,
                parameters=dict(estimator.parameters),
                short_side=chosen.short_side,
                fps=common_rate(split.videos(), lambda message: None),
            )
        flow = sees is not None and not sees.rgb
        kinds: tuple[Kind, ...] = sees.directions if sees and flow else ("rgb",)
        made, unusable = extract_usable(
            split.train,
            root,
            settings,
            kinds=kinds,
            crop_size=chosen.crop_size,
            workers=None,
            progress=progress,
            say=lambda message: None,
        )
        usable = replace(split, train=without(split.train, unusable))
        if len({video.label for video in usable.train}) < 2:
            why = next(iter(unusable.values()), "there are no others")
            raise DataError(
                f"training needs clips of at least two classes: {len(unusable)} videos cannot be "
                f"used, the first because {why}"
            )
        clips = ClipCache(made, kinds)
        file = str(weights) if weights else None
        model = initial_model(
            stream,
            start=Start(weights=file) if stream == "spatial" else Start(temporal_weights=file),
            recipe=chosen,
            architecture=architecture,
            temporal=temporal,
            split=usable,
            clips=clips,
            store=asdict(made.settings),
            fps=training_rate(clips, usable.train),
            seed=seed,
            say=lambda message: None,
        )
        if file:
            chosen = chosen.fine_tuning()
        batches = TrainingBatches(
            clips=clips,
            videos=usable.train,
            temporal=sees,
            seed=seed,
            steps=chosen.steps,
            batch_size=chosen.batch_size,
            crop_size=chosen.crop_size,
            flips=chosen.flips,
            lighting=chosen.lighting,
        )
        model = fit(model, batches, chosen, options=options, progress=progress)
    if out is not None:
        save_model(Path(out) / f"{stream}.safetensors", model)
    return model


def evaluate(
    model: StreamModel | Path | str,
    data: Data,
    *,
    subset: Subset = "test",
    store: Path | str | None = None,
    device: str = "cpu",
    skip_unreadable: bool = False,
) -> VideoScores:
    """Score one side of a split with one stream: 25 positions x 10 crops, averaged (section 5).

    Args:
        model: the stream, or its model file.
        data: a split, or where a data set lies (then its own or the default split).
        subset: "test" or "train".
        store: frames and flow, made with the model's settings; what is missing is extracted. None:
            a folder that is deleted again.
        device: where the network runs.
        skip_unreadable: leave videos out that cannot be read instead of counting them as wrong.

    Raises:
        StoreError: the store was made with other settings than the model's.
        DataError: the data has classes that the model does not know.
    """
    if not isinstance(model, StreamModel):
        model = load_model(Path(model))
    spec = model.spec
    split = load_dataset(data).split() if isinstance(data, Path | str) else data
    videos = relabeled(split.videos(subset), split.classes, spec.classes, name=split.dataset)
    with ExitStack() as stack:
        root = _store_folder(stack, store)
        settings = stored_as(spec)
        if (root / "store.json").is_file():
            own = StoreSettings(**spec.store)
            settings = own if FlowStore.open(root).settings.fps == own.fps else settings
        made, unusable = extract_usable(
            videos,
            root,
            settings,
            kinds=kinds_of([spec]),
            crop_size=spec.crop_size,
            workers=None,
            progress=None,
            say=lambda message: None,
        )
        clips = ClipCache(made, kinds_of([spec]))
        for video in videos:
            if video.video_id not in unusable:
                rate = clips.fps(video.video_id)
                if abs(rate / spec.fps - 1) > SAME_RATE:
                    raise StoreError(
                        f"{video.video_id} is stored at {rate:g} frames/s, the model was trained "
                        f"at {spec.fps:g}: extract into another store with fps={spec.fps:g}"
                    )
        return evaluate_videos(
            model,
            videos,
            clips,
            device=device,
            skip_unreadable=skip_unreadable,
            unreadable=unusable,
        )


def predict(
    model: TwoStreamPredictor | Sequence[StreamModel] | Path | str,
    video: Path | str,
    *,
    device: str = "cpu",
) -> Prediction:
    """Label one video.

    Args:
        model: a RUN folder, an exported folder, trained models, or a predictor. For many videos
            make a ``TwoStreamPredictor`` once.
        video: the file.
        device: "cpu", "cuda" or "auto".

    Raises:
        VideoError: the video cannot be decoded.
    """
    if isinstance(model, Path | str):
        model = TwoStreamPredictor.load(model, device=device)
    elif not isinstance(model, TwoStreamPredictor):
        model = TwoStreamPredictor.from_models(model, device=device)
    return model.predict(video)


def _store_folder(stack: ExitStack, store: Path | str | None) -> Path:
    if store is not None:
        return Path(store)
    return Path(stack.enter_context(tempfile.TemporaryDirectory())) / "flow"
