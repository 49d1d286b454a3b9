"""Frames and flow of a run's data sets, at one size and one frame rate each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from twostream.datasets import Dataset, load_dataset, refuse_shared_videos
from twostream.flow import make_estimator
from twostream.run.evaluation_run import extract_videos
from twostream.run.settings import RunSettings
from twostream.store.clips import ClipCache, Clips
from twostream.store.flow_store import FlowStore, Kind, StoreSettings
from twostream.training import Progress
from twostream.types import DataError, DatasetSplit, LabeledVideo, VideoError
from twostream.video import VideoReader

Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One of the data sets that a net is trained on.

    Attributes:
        split: its training and test videos.
        clips: their frames and flow.
        unreadable: which cannot be used, with the reason.
    """

    split: DatasetSplit
    clips: ClipCache
    unreadable: dict[str, str]

    def described(self) -> dict[str, Any]:
        """Return what the model file of this data set's head says about it."""
        return {
            "classes": self.split.classes,
            "dataset": self.split.dataset,
            "split": self.split.name,
            "store": asdict(self.clips.store.settings),
            "fps": training_rate(self.clips, self.split.train),
        }


def extract_for_run(
    settings: RunSettings,
    videos: Sequence[LabeledVideo],
    root: Path,
    *,
    kinds: tuple[Kind, ...],
    workers: int | None,
    device: str = "auto",
    progress: Progress | None,
    say: Say,
) -> tuple[FlowStore, dict[str, str]]:
    """Bring frames and flow of one data set into its store.

    Returns:
        The store, and which videos cannot be used, with the reason.
    """
    return extract_videos(
        videos,
        root,
        store_settings(settings, videos, root, say),
        kinds=kinds,
        crop_size=settings.recipe.crop_size,
        workers=workers,
        device=device,
        progress=progress,
        say=say,
    )


def store_settings(
    settings: RunSettings, videos: Sequence[LabeledVideo], root: Path, say: Say
) -> StoreSettings:
    """Return what a run wants its store to be made with: the recipe's size and flow.

    Imported flow is taken as it is.
    """
    wanted = asked_settings(settings, root)
    if wanted.imported:
        size = f"a short side of {wanted.short_side} px" if wanted.short_side else "its own size"
        say(f"{root} holds imported flow, used as it is at {size}: --flow and such do not apply")
    elif settings.fps is None and not (root / "store.json").is_file():
        wanted = replace(wanted, fps=common_rate(videos, say))
    return wanted


def asked_settings(settings: RunSettings, root: Path) -> StoreSettings:
    """Return the same as far as it can be told without opening a video: the rate may be missing."""
    made = FlowStore.open(root).settings if (root / "store.json").is_file() else None
    if made is not None and made.imported:
        return made
    estimator = make_estimator(settings.recipe.flow)
    return StoreSettings(
        flow=estimator.name,
        parameters=dict(estimator.parameters),
        short_side=settings.recipe.short_side,
        codec=settings.codec,
        quality=settings.quality,
        bound_px=settings.bound_px,
        fps=made.fps if settings.fps is None and made is not None else settings.fps,
    )


def load_others(settings: RunSettings, own: Dataset, say: Say) -> list[Dataset]:
    """Read the data sets that help to train, and see that they are apart from the run's own.

    Raises:
        DataError: one cannot be read, two have one name, or a video stands in two of them.
    """
    others: list[Dataset] = []
    for data in settings.others:
        dataset = load_dataset(data)
        if any(other.name == dataset.name for other in others):
            raise DataError(
                f"two of the other data sets are called {dataset.name}, and their heads are kept "
                "by name: rename one of the folders or lists"
            )
        say(f"helps to train: {dataset.describe()}")
        others.append(dataset)
    refuse_shared_videos([own, *others])
    return others


def own_root(settings: RunSettings, out: Path) -> Path:
    """Return the folder of the run's own frames and flow."""
    return Path(settings.store) if settings.store else out / "flow"


def other_roots(settings: RunSettings, datasets: Sequence[Dataset], out: Path) -> list[Path]:
    """Return the folders of the other data sets' frames and flow."""
    if settings.other_stores:
        return [Path(store) for store in settings.other_stores]
    return [out / f"flow-{i}-{dataset.name}" for i, dataset in enumerate(datasets, start=1)]


def other_split(settings: RunSettings, dataset: Dataset) -> DatasetSplit:
    """Return which videos of another data set train, and which test its head."""
    if settings.others_whole:
        return DatasetSplit(dataset.name, "whole", dataset.classes, dataset.videos, ())
    return dataset.split(seed=settings.seed)


def extract_others(
    settings: RunSettings,
    datasets: Sequence[Dataset],
    out: Path,
    *,
    workers: int | None,
    device: str = "auto",
    progress: Progress | None,
    say: Say,
) -> list[Part]:
    """Bring flow of the data sets that help to train into stores of their own."""
    found: list[Part] = []
    roots = other_roots(settings, datasets, out)
    for dataset, root in zip(datasets, roots, strict=True):
        store, unreadable = extract_for_run(
            settings,
            dataset.videos,
            root,
            kinds=settings.other_kinds(),
            workers=workers,
            device=device,
            progress=progress,
            say=say,
        )
        split = other_split(settings, dataset)
        split = replace(split, train=without(split.train, unreadable))
        found.append(Part(split, ClipCache(store, settings.other_kinds()), unreadable))
    return found


def common_rate(videos: Sequence[LabeledVideo], say: Say) -> float | None:
    """Return the commonest frame rate where rates differ, None where all are the same.

    At 60 frames a second the flow of a pair is less than half of that at 25, so one model needs
    one rate. Videos that cannot be opened have no say here.
    """
    rates: Counter[float] = Counter()
    for video in videos:
        try:
            with VideoReader(video.path) as reader:
                rates[round(reader.info.fps, 2)] += 1
        except VideoError:
            continue
    if not rates or max(rates) <= min(rates) * 1.02:
        return None
    rate = rates.most_common(1)[0][0]
    others = ", ".join(f"{value:g}" for value in sorted(rates) if value != rate)
    say(f"frame rates differ ({others} beside {rate:g}): all are brought to {rate:g} frames/s")
    return rate


def training_rate(clips: Clips, videos: Sequence[LabeledVideo]) -> float:
    """Return the commonest frame rate of the stored training clips."""
    return Counter(clips.fps(video.video_id) for video in videos).most_common(1)[0][0]


def without(videos: Sequence[LabeledVideo], unreadable: dict[str, str]) -> tuple[LabeledVideo, ...]:
    """Return the videos that can be used."""
    return tuple(video for video in videos if video.video_id not in unreadable)
