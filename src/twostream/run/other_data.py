"""Other data sets that help to train the temporal stream (section 4, table 2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from twostream.checkpoint import StreamModel, save_model
from twostream.datasets import (
    Dataset,
    Missing,
    SplitChoice,
    load_dataset,
    refuse_shared_videos,
)
from twostream.datasets.kept_videos import (
    as_begun,
    found_now,
    keep_videos,
    kept_videos,
    say_changes,
)
from twostream.initialise import training_rate
from twostream.multitask import cut_head, join, read_overlap
from twostream.run.settings import RunSettings
from twostream.run.steps import StoredSplit, seen_by
from twostream.types import DataError, DatasetSplit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OtherData:
    """A data set that helps to train.

    Attributes:
        dataset: as it is now.
        split: which of its videos train, and which test its head, as the run began with them.
        store: folder of its frames and flow.
    """

    dataset: Dataset
    split: DatasetSplit
    store: Path


def load_others(settings: RunSettings, own: Dataset, out: Path) -> list[OtherData]:
    """Read the data sets that help to train, and see that they are apart from the run's own.

    Raises:
        DataError: one cannot be read, two have one name, or a video stands in two of them.
    """
    datasets: list[Dataset] = []
    for data in settings.others:
        missing: Missing = "leave out" if settings.skip_unreadable else "refuse"
        dataset = load_dataset(data, missing=missing)
        if any(other.name == dataset.name for other in datasets):
            raise DataError(
                f"two of the other data sets are called {dataset.name}, and their heads are kept "
                "by name: rename one of the folders or lists"
            )
        logger.info(f"helps to train: {dataset.describe()}")
        for note in dataset.notes:
            logger.info(f"{dataset.name}: {note}")
        datasets.append(dataset)
    refuse_shared_videos([own, *datasets])
    made = [out / f"flow-{i}-{dataset.name}" for i, dataset in enumerate(datasets, start=1)]
    stores = [Path(store) for store in settings.other_stores] or made
    return [
        OtherData(dataset, _split(settings, dataset, out), store)
        for dataset, store in zip(datasets, stores, strict=True)
    ]


def _split(settings: RunSettings, dataset: Dataset, out: Path) -> DatasetSplit:
    """Return which videos help and which are tested; says what has changed since a run began."""
    kept = kept_videos(out / "others" / dataset.name)
    if not settings.others_whole:
        return as_begun(kept, dataset, SplitChoice(), seed=settings.seed)[1]
    if kept is None:
        return dataset.whole()
    say_changes(kept, dataset)
    return found_now(kept, dataset)


def keep_others(out: Path, others: Sequence[OtherData]) -> None:
    """Write which videos of other data sets a run uses, unless it is written."""
    for other in others:
        keep_videos(out / "others" / other.split.dataset, other.dataset, other.split)


def overlap_of(
    settings: RunSettings, splits: Sequence[DatasetSplit]
) -> frozenset[tuple[str, str]] | None:
    """Return which classes of two data sets mean the same, where classes are added."""
    if settings.how != "added":
        return None
    file = Path(settings.overlap) if settings.overlap else None
    return read_overlap(file, [split.dataset for split in splits])


def train_with_others(
    settings: RunSettings,
    own: StoredSplit,
    others: Sequence[StoredSplit],
    folder: Path,
    train: Callable[..., StreamModel],
) -> StreamModel:
    """Train the temporal stream with the help of other data sets, as ``settings.how`` says.

    Args:
        settings: of the run.
        own: the run's own data, whose model is wanted.
        others: those that help; for "pretrain" and "added" one.
        folder: the other sets' heads go to FOLDER/others/NAME/, their net to FOLDER/pretraining/.
        train: ``TrainingRun.trained``: trains on a split in a folder, from a start, with heads.

    Returns:
        A model of the own data set alone.
    """
    if settings.how == "pretrain":
        before = folder / "pretraining" / "temporal.safetensors"
        if not before.is_file():
            save_model(before, train(others[0], before.parent))
        return train(
            own,
            folder,
            start=replace(settings.start, temporal_weights=str(before)),
        )
    parts = (own, *others)
    joined = join(
        [(part.split, seen_by(part.clips, settings.net("temporal").kinds)) for part in parts],
        settings.how,
        overlap_of(settings, [part.split for part in parts]),
        temporal=settings.temporal,
    )
    logger.info(joined.describe())
    model = train(StoredSplit(joined.split, joined.clips, {}), folder, heads=joined.heads)
    heads = list(zip(parts, joined.outputs, joined.clips.flow_scales, strict=True))
    for other, outputs, scale in heads[1:] if settings.how == "multitask" else ():
        head = cut_head(model, outputs, scale, **_described(other))
        save_model(folder / "others" / other.split.dataset / "temporal.safetensors", head)
    return cut_head(model, joined.outputs[0], **_described(own))


def _described(data: StoredSplit) -> dict[str, Any]:
    """Return what the model file of a data set's head says about it."""
    return {
        "classes": data.split.classes,
        "dataset": data.split.dataset,
        "split": data.split.name,
        "store": asdict(data.clips.store.settings),
        "fps": training_rate(data.clips, data.split.train),
    }
