"""The public functions of the main path, in plain arguments, from extract to timelines.

Each is a thin layer over the steps of a run (``run.steps``), for a split and a store of one's own.
``load_dataset``, ``fuse`` and ``export_onnx`` are the rooms' own.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from twostream.checkpoint import StreamModel, load_model, save_model
from twostream.datasets import Dataset, load_dataset, relabeled
from twostream.extraction import ExtractSummary
from twostream.extraction import extract as extract_videos
from twostream.extraction.frame_pairs import SAME_RATE
from twostream.initialise import NetSettings, Start
from twostream.prediction import Prediction, TwoStreamPredictor
from twostream.prediction.many_timelines import ManyTimelines, write_timelines
from twostream.prediction.videos import find_videos
from twostream.recipes import default_recipe, make_recipe
from twostream.run import common_rate, extract_split, score, store_for, train_stream
from twostream.run.data_settings import adapted, shared_rate
from twostream.run.mirror_images import left_to_data, tried
from twostream.run.mirror_pairs import mirror_pairs
from twostream.run.request import check_classes
from twostream.shards import Shard
from twostream.store.clips import kinds_of
from twostream.store.flow_store import SETTINGS_NAME, Codec, FlowStore, StoreSettings
from twostream.training import TrainerOptions
from twostream.types import (
    DatasetSplit,
    Progress,
    StoreError,
    Stream,
    Subset,
    TemporalInput,
    VideoScores,
    no_progress,
)

logger = logging.getLogger(__name__)

Data = DatasetSplit | Path | str


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
    shard: str | None = None,
    cluster: str | None = None,
) -> ExtractSummary:
    """Compute frames and optical flow of every video into a store; what is there is kept.

    Args:
        data: a split, a data set, or where one lies.
        store: folder of the store; made where it does not exist.
        estimator: name of the flow estimator, with a preset if wanted: "brox:fast".
        recipe: whose stored size to use.
        short_side: shorter side in pixels instead of the recipe's.
        codec: "jpeg" (8 bit, as in the paper) or "lossless".
        fps: rate that all videos are brought to; None: each keeps its own, unless they differ:
            then one that nearly all reach.
        backward: backward flow too, for bi-directional input.
        workers: threads; None: one a core.
        device: "cpu", "cuda", or "auto": a GPU where it computes this flow faster.
        shard: "i/n": the i-th of n parts; each may be done on a machine of its own.
        cluster: address of a Ray cluster that does it, or "local".

    Returns:
        What was done; videos that could not be decoded are named in ``failed``.

    Raises:
        StoreError: the store was made with other settings, or the disk refuses.
    """
    chosen = load_dataset(data) if isinstance(data, Path | str) else data
    split = chosen.whole() if isinstance(chosen, Dataset) else chosen
    wanted = make_recipe(recipe, flow=estimator).stored(
        short_side=short_side or make_recipe(recipe).short_side,
        codec=codec,
        fps=fps,
    )
    return extract_videos(
        split.videos(),
        store=store,
        settings=wanted if fps is not None else replace(wanted, fps=common_rate(split)),
        kinds=("rgb", "forward", "backward") if backward else ("rgb", "forward"),
        workers=workers,
        device=device,
        shard=None if shard is None else Shard.parse(shard),
        cluster=cluster,
    )


def train(
    data: Data,
    *,
    stream: Stream,
    out: Path | str | None = None,
    store: Path | str | None = None,
    recipe: str | None = None,
    temporal: TemporalInput | None = None,
    architecture: str | None = None,
    weights: Path | str | None = None,
    seed: int = 0,
    options: TrainerOptions | None = None,
    progress: Progress = no_progress,
    **changes: Any,
) -> StreamModel:
    """Train one stream on the training side of a split.

    ``train_run`` does the whole job, with scores, fusion, report and resumption. It alone tries
    whether mirror images hurt; here a warning names classes that look like each other's.

    Args:
        data: a split, or where a data set lies (then its own or the default split).
        stream: "spatial" or "temporal".
        out: folder for the model file, STREAM.safetensors; both streams may share it. None keeps
            the model in memory only.
        store: frames and flow, with the settings that they were extracted with; what is missing is
            extracted. None: OUT/flow, or a folder that is deleted again.
        recipe: "standard", "quick" or "paper"; None: standard where its weights are installed,
            else quick.
        temporal: the temporal stream's input; None: the paper's stack of ten fields.
        architecture: instead of the recipe's.
        weights: a weights file to start from.
        seed: decides initialisation, samples and dropout.
        options: accelerator, devices, precision.
        progress: told how far it is.
        **changes: of the recipe: ``steps=100``, ``batch_size=16``, ``flips=False``, ...

    Returns:
        The trained model, on the CPU.

    Raises:
        TwoStreamError: with one clear sentence.
    """
    split = _split(data)
    file = str(weights) if weights else None
    given = Start(weights=file) if stream == "spatial" else Start(temporal_weights=file)
    asked = make_recipe(recipe or default_recipe(architecture, file), **changes)
    asked = asked if temporal is None else asked.settled("length")
    with _store_folder(store if store or not out else Path(out) / "flow") as root:
        made = FlowStore.open(root).settings if (root / SETTINGS_NAME).is_file() else None
        fit, sees, notes = adapted(
            asked,
            temporal or TemporalInput(),
            split,
            rate=made.fps if made else shared_rate(split),
            stored_side=made.short_side if made else None,
            enlarges=not (made and made.imported),
        )
        for note in notes:
            logger.info(note)
        net = NetSettings(
            stream=stream,
            recipe=fit,
            temporal=sees,
            start=given.of(fit),
            architecture=architecture,
            seed=seed,
        )
        wanted = net.recipe.stored()
        if made:
            wanted = replace(made, enlarges=wanted.enlarges and not made.imported)
        found = extract_split(
            replace(split, test=()),
            root,
            store_for(wanted, root, split),
            kinds=net.kinds,
            smallest_side=net.recipe.smallest_side,
            progress=progress,
        )
        check_classes({video.label for video in found.split.train}, found.unusable)
        if left_to_data(net.recipe, net.kinds):
            pairs = mirror_pairs(found.split.train, found.clips.store, sees)
            tried(pairs, split.classes, None).say()
        model = train_stream(net, found, options=options, progress=progress)
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
    """Score one side of a split with one stream: the mean over positions and crops.

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
    split = _split(data)
    videos = tuple(relabeled(split.videos(subset), split.classes, spec.classes, name=split.dataset))
    with _store_folder(store) as root:
        wanted = StoreSettings.of_model(spec)
        if (root / SETTINGS_NAME).is_file():
            own = replace(wanted, fps=spec.store.get("fps"))
            wanted = own if FlowStore.open(root).settings.fps == own.fps else wanted
        found = extract_split(
            DatasetSplit(split.dataset, split.name, spec.classes, (), videos),
            root,
            wanted,
            kinds=kinds_of([spec]),
            smallest_side=spec.smallest_side,
        )
        for video in videos:
            if video.video_id not in found.unusable:
                rate = found.clips.fps(video.video_id)
                if abs(rate / spec.fps - 1) > SAME_RATE:
                    raise StoreError(
                        f"{video.video_id} is stored at {rate:g} frames/s, the model was trained "
                        f"at {spec.fps:g}: extract into another store with fps={spec.fps:g}"
                    )
        options = TrainerOptions(accelerator="gpu" if device == "cuda" else "cpu")
        return score(model, videos, found, options, skip_unreadable=skip_unreadable)


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
        video: the file, or a folder of frames.
        device: "cpu", "cuda" or "auto".

    Raises:
        VideoError: the video cannot be decoded.
    """
    if isinstance(model, Path | str):
        model = TwoStreamPredictor.load(model, device=device)
    elif not isinstance(model, TwoStreamPredictor):
        model = TwoStreamPredictor.from_models(model, device=device)
    return model.predict(video)


def timelines(
    run: Path | str,
    videos: Path | str | Sequence[Path | str],
    *,
    out: Path | str,
    device: str = "cpu",
    shard: str | None = None,
    cluster: str | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> ManyTimelines:
    """Tell what happens when in many videos; what OUT has already is kept.

    Args:
        run: a RUN folder, or an exported folder. For one video, and with trained models in memory,
            see ``TwoStreamPredictor.timeline``.
        videos: files, folders of frames, and folders of these.
        out: folder for a time line of each video and three tables of all (docs/use.md).
        device: "cpu", "cuda" or "auto".
        shard: "i/n": the i-th of n parts, without tables; each may be done on a machine of its own.
        cluster: address of a Ray cluster that does it, or "local".
        progress: told how many seconds of video are done, of those that are to be done now.
        **options: of ``TwoStreamPredictor.timeline``: ``window_seconds=1.0``, ``threshold=0.5``.

    Returns:
        What was done; videos that could not be read are named in ``failed``.

    Raises:
        RunError: OUT is in use, was begun with other models or options, or holds something else.
        UsageError: two videos have one name, or an option is wrong.
    """
    paths = [videos] if isinstance(videos, Path | str) else videos
    found = find_videos([Path(path) for path in paths])
    part = None if shard is None else Shard.parse(shard)
    return write_timelines(
        Path(run),
        found,
        Path(out),
        device=device,
        shard=part,
        cluster=cluster,
        progress=progress,
        **options,
    )


def _split(data: Data) -> DatasetSplit:
    return data if isinstance(data, DatasetSplit) else load_dataset(data).split()


@contextmanager
def _store_folder(store: Path | str | None) -> Iterator[Path]:
    if store is not None:
        yield Path(store)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "flow"
