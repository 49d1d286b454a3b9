"""What people have labelled since, in the answers within seconds: the networks stay as they are.

``probed_run`` makes the last layers; here is what it stands on: the networks of a RUN, or those
that a training would start from, and what they make of each video, which is kept.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from twostream.checkpoint import StreamModel
from twostream.datasets import RECORDINGS, Dataset, labels_in, load_dataset
from twostream.datasets.kept_videos import KeptVideos, kept_videos, say_known
from twostream.extraction import extract
from twostream.files import ASKED, PROBED, filled, read_json, write_json
from twostream.foreign import is_foreign
from twostream.initialise import initial_model
from twostream.labels.stretch_ids import stored_id
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.answering_files import MODELS
from twostream.prediction.contract import is_exported
from twostream.prediction.model_files import load_models
from twostream.prediction.stored_timeline import FEATURES, stored_clip
from twostream.prediction.video_features import VideoFeatures, kept_features, last_layer
from twostream.run.data_settings import shared_rate
from twostream.run.probed_run import probe_run
from twostream.run.settings import RunSettings
from twostream.run.steps import extract_split, store_for
from twostream.run.training_run import fitted
from twostream.store.clips import Clip, kinds_of
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import (
    DataError,
    LabeledVideo,
    Progress,
    RunError,
    StoreError,
    UsageError,
    VideoError,
    no_progress,
)

logger = logging.getLogger(__name__)

STORE = "flow-"  # begins the names of stores there


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePlace:
    """Where an update finds things and leaves them.

    Attributes:
        labels: label files beside their videos, or one, as ``train`` takes them.
        runs: folder in which frames, flow and features are kept.
        base: the RUN whose networks are used; None: those that a training starts from.
        settings: how a training would be; of ``labels``.
        device: where networks run.
    """

    labels: Path
    runs: Path
    base: Path | None
    settings: RunSettings
    device: str = "cpu"


def store_in(runs: Path, recipe: str, labels: Path) -> Path:
    """Return the folder there of frames and flow for trainings of these labels.

    Videos of several frame rates are brought to one, which the store of those before them is not.

    Raises:
        DataError: the labels cannot be used.
    """
    dataset = load_dataset(str(labels), missing="leave out")
    rate = shared_rate(dataset.whole())
    return runs / f"{STORE}{recipe}{f'-{rate:g}' if rate else ''}"


def kept_of(run: Path) -> Path | None:
    """Return where an update keeps what it knows of videos; None: the run is of no update."""
    found = read_json(run / PROBED).get("kept") if (run / PROBED).is_file() else None
    return Path(found) if isinstance(found, str) else None


def trained_on(run: Path | None) -> KeptVideos | None:
    """Return what a run's networks were trained on, of an update those of the run it began with.

    Raises:
        RunError: what the run says of it is damaged.
    """
    passed = set[Path]()
    while run and (run / PROBED).is_file() and run not in passed:
        passed.add(run)
        base = read_json(run / PROBED).get("base")
        run = Path(base) if isinstance(base, str) else None
    return kept_videos(run) if run else None


def _training_side(dataset: Dataset) -> Dataset:
    """Return the data without what a split that is given with them does not train on."""
    if not dataset.given:
        return dataset
    train = dataset.given[0].train
    ids = {video.video_id for video in train}
    aside = {stored_id(v.video_id): None for v in dataset.videos if v.video_id not in ids}
    names = ", ".join([*aside][:3]) + (", ..." if len(aside) > 3 else "")
    logger.info(
        f"the labels give a split: {len(train)} labelled stretches, those that train, are learnt "
        f"from; {len(dataset.videos) - len(train)} others are not ({names})"
    )
    return replace(dataset, videos=train, given=())


def update_run(
    place: UpdatePlace,
    out: Path,
    videos: Mapping[str, Path] | None = None,
    *,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write a RUN whose last layers know the labels as they are now.

    Args:
        place: where everything is.
        out: the RUN.
        videos: video id -> file, of all that are looked at, labelled or not; None: the labelled.
        progress: told how far each part is; may raise.

    Where the labels give a split, its training side alone is learnt from.

    Returns:
        What ``probe_run`` does; in RUN/probed.json too, with what the run was made of.

    Raises:
        RunError: the folder holds a run already, or something else.
        DataError: the labels cannot be used.
        UsageError: there is no network that has learnt anything, or an exported one.
        ModelError: a network that does not end with one full layer.
    """
    _refuse_taken(out)
    dataset = load_dataset(str(place.labels), missing="leave out")
    labels = labels_in(place.labels)
    if dataset.kind != RECORDINGS or labels is None:
        raise DataError(f"{place.labels} has no labels with a start and an end: use train instead")
    for note in dataset.notes:
        logger.info(note)
    dataset = _training_side(dataset)
    dataset.refuse_empty()
    if place.base and is_exported(place.base):
        raise UsageError(
            f"{place.base} is an export, which gives its answers alone: serve the RUN that it was "
            "made from, or train on the labels"
        )
    trained = trained_on(place.base)
    models = load_models(place.base) if place.base else starting_models(place, dataset, progress)
    for model in models:
        last_layer(model)  # said before videos are looked at
    labelled = {stored_id(video.video_id): video.path for video in dataset.videos}
    # a link to its folder calls a video something else: each is looked at once, as labels call it
    known = {os.path.realpath(path) for path in labelled.values()}
    others = (videos or {}).items()
    more = {name: path for name, path in others if os.path.realpath(path) not in known}
    features = FeaturesOf(place, models, {**more, **labelled}, progress)
    for video_id in more:
        features.get(video_id)  # made, for what is predicted of it
    base = str(place.base.resolve()) if place.base else None
    with filled(out, PROBED, MODELS) as stage:
        said = probe_run(models, dataset, labels, features, stage, progress=progress)
        kept = str(place.runs.resolve())
        write_json(stage / PROBED, {**said, "base": base, "kept": kept})
    if said["folds"]:  # last layers have not seen what tests them, and networks may have
        say_known(trained, dataset.videos)
    return said


def _refuse_taken(out: Path) -> None:
    """Raise RunError where a folder holds more than what an update that was stopped keeps there."""
    if not out.exists():
        return
    if not out.is_dir():
        raise RunError(f"{out} is a file: --out needs a folder")
    names = {path.name for path in out.iterdir() if not is_foreign(path.name)}
    if names & {ASKED, PROBED, *MODELS}:
        raise RunError(f"{out} holds a run: choose another --out")
    if other := {name for name in names - {FEATURES} if not name.startswith(STORE)}:
        raise RunError(f"{out} holds something else ({min(other)}): choose another --out")


def starting_models(place: UpdatePlace, dataset: Dataset, progress: Progress) -> list[StreamModel]:
    """Return the networks that a training of these labels starts from.

    Raises:
        UsageError: they start from nothing.
    """
    settings = place.settings
    if not all(settings.start.fine_tunes(stream) for stream in settings.streams):
        raise UsageError(
            f"networks of the recipe {settings.recipe.name} start from nothing, so that new last "
            "layers would say nothing: train first"
        )
    split = dataset.whole()
    settings, _ = fitted(settings, split, place.runs)
    root = settings.store_folder(place.runs)
    own = extract_split(
        split,
        root,
        store_for(settings.stored, root, split),
        kinds=settings.kinds(),
        smallest_side=settings.recipe.smallest_side,
        device=place.device,
        progress=progress,
    )
    nets = [settings.net(stream) for stream in settings.streams]
    return [initial_model(net, own.split, own.clips) for net in nets]


class FeaturesOf(Mapping[str, VideoFeatures]):
    """Video id -> what networks make of it, made or read each time that it is asked for.

    Videos that cannot be read are named, and are not among them.

    Args:
        place: where frames, flow and features are kept; videos that are not stored are extracted.
        models: the networks.
        videos: video id -> file.
        progress: told how far each part is.
    """

    def __init__(
        self,
        place: UpdatePlace,
        models: Sequence[StreamModel],
        videos: Mapping[str, Path],
        progress: Progress,
    ) -> None:
        self._predictor = TwoStreamPredictor.from_models(models, device=place.device)
        self._kept, self._progress = place.runs / FEATURES, progress
        self._stores = sorted(each for each in place.runs.glob(f"{STORE}*") if each.is_dir())
        if place.base:
            self._stores.append(place.base / "flow")
        self._videos = dict(videos)
        missing = list[LabeledVideo]()
        for video_id, path in videos.items():
            try:
                if self._clip(video_id, path) is None:
                    missing.append(LabeledVideo(video_id, path, -1, None))
            except VideoError as error:
                self._leave_out(video_id, str(error))
        if missing:
            settings = StoreSettings.of_model(self._predictor.spec).complete()
            own = _own_store(self._stores, settings, place.runs)
            kinds = kinds_of(model.spec for model in models)
            summary = extract(missing, store=own, settings=settings, kinds=kinds, progress=progress)
            self._stores.append(own)
            for video_id, why in summary.failed.items():
                self._leave_out(video_id, why)

    def _clip(self, video_id: str, path: Path) -> Clip | None:
        return stored_clip(self._predictor, self._stores, path, video_id=video_id)

    def _leave_out(self, video_id: str, why: str) -> None:
        logger.warning(f"{video_id}: {why}")
        del self._videos[video_id]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._videos))

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, video_id: str) -> VideoFeatures:
        path = self._videos[video_id]
        number = 1 + list(self._videos).index(video_id)
        try:
            clip = self._clip(video_id, path)
            if clip is None:
                raise VideoError(path, "it has changed meanwhile")
            progress = _of(self._progress, number, len(self._videos))
            return kept_features(self._predictor, clip, path, self._kept, progress=progress)
        except VideoError as error:
            self._leave_out(video_id, str(error))
            raise KeyError(video_id) from error


def _own_store(stores: Sequence[Path], settings: StoreSettings, runs: Path) -> Path:
    """Return the folder for videos that are in none of the stores: one of ``runs`` that fits."""
    for root in (each for each in stores if each.parent == runs):
        try:
            # whatever it says of small videos: what is too small in it is made anew
            made = replace(FlowStore.open(root).settings, enlarges=settings.enlarges)
            if made == settings:
                return root
        except StoreError:
            continue
    told = hashlib.sha256(repr(asdict(settings)).encode()).hexdigest()
    return runs / f"{STORE}{told[:12]}"


def _of(progress: Progress, number: int, videos: int) -> Progress:
    """Return a progress that says which video it is of."""

    def tell(task: str, done: float, total: float, detail: str = "") -> None:
        progress(f"{task}, video {number} of {videos}", done, total, detail)

    return tell
