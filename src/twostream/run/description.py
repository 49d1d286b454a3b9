"""What a run says of itself: RUN/settings.json before it trains, RUN/results.json at its end."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twostream.files import read_json
from twostream.log_linear import LogLinear
from twostream.prediction.answering_files import refuse_probed
from twostream.run.data_settings import rate_note, rates_of
from twostream.run.steps import StoredSplit
from twostream.schema import check_json
from twostream.store.flow_store import StoreSettings
from twostream.types import RunError, VideoScores

if TYPE_CHECKING:
    from twostream.run.training_run import TrainingRun


def description(job: TrainingRun, own: StoredSplit) -> dict[str, Any]:
    """Return what the report says of the run."""
    settings, store = job.settings, own.clips.store
    names = ("twostream", "torch", "torchvision", "timm", "lightning", "av")
    return {
        "data": settings.data,
        "dataset": job.split.dataset,
        "split": job.split.name,
        "notes": [*job.split.notes, *notes_on_data(job, store.settings)],
        "recipe": asdict(settings.recipe),
        "store": {"root": str(store.root), **asdict(store.settings)},
        "temporal_input": asdict(settings.temporal),
        "seed": settings.seed,
        "start": asdict(settings.start),
        "train": settings.train,
        "others": [other.split.dataset for other in job.others],
        "how": settings.how if job.others else None,
        "versions": {"python": platform.python_version()} | {n: version(n) for n in names},
    }


def notes_on_data(job: TrainingRun, stored: StoreSettings) -> list[str]:
    """Return a line on each setting that follows the data."""
    rate = None if stored.imported else stored.fps
    said = rate_note(rates_of(job.split.videos()), rate) if rate else ""
    return [said, *job.data_notes] if said else list(job.data_notes)


def outcome(
    job: TrainingRun,
    unreadable: Mapping[str, str],
    test: Sequence[VideoScores],
    train: Sequence[VideoScores],
    heads: Mapping[str, VideoScores],
    fitted: str,
    fusion: LogLinear | None,
) -> dict[str, Any]:
    """Return what ``--json`` prints.

    Args:
        job: the run.
        unreadable: video id -> why it could not be used, of both sides.
        test, train: scores of each stream and fusion; of the training clips that were scored.
        heads: of the other data sets, on their own test videos.
        fitted: what fusion learnt from.
        fusion: that was learnt.
    """
    return {
        "data": job.settings.data,
        "classes": list(job.split.classes),
        "train_videos": len(job.split.train),
        "test_videos": len(test[0].video_ids),
        "train_scored": max((len(scores.video_ids) for scores in train), default=0),
        "train_accuracy": {scores.stream: scores.accuracy() for scores in train},
        "accuracy": {scores.stream: scores.accuracy() for scores in test},
        "seconds": {part: round(value, 2) for part, value in job.seconds.items()},
        "run": str(job.out),
        "split": job.split.name,
        "fit_scores": fitted,
        "fusion": fusion and fusion.to_json(),
        "unreadable": dict(unreadable),
        "others": {
            name: {"test_videos": len(scores.video_ids), "accuracy": scores.accuracy()}
            for name, scores in heads.items()
        },
        "loader_wait": {stream: loader_wait(job.out, stream) for stream in job.settings.streams},
    }


def loader_wait(out: Path, stream: str) -> float | None:
    """Return the share of the training time that the loop waited for data; None: no log says."""
    try:
        spent = _checked(_Spent, out / "logs" / stream / "history.json")
    except RunError:
        return None  # a log that is gone must not end a trained run; the report names it
    return round(spent["loader_wait_seconds"] / max(spent["seconds"], 1e-9), 4)


@dataclass(frozen=True, kw_only=True)
class _Spent:
    """What is used here of RUN/logs/<stream>/history.json."""

    seconds: float
    loader_wait_seconds: float


@dataclass(frozen=True, kw_only=True)
class _Head:
    """What RUN/results.json says of another data set's head."""

    test_videos: int
    accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class _Results:
    """What later verbs use of RUN/results.json."""

    classes: tuple[str, ...]
    train_videos: int
    train_scored: int | None = None
    train_accuracy: dict[str, float | None]
    fit_scores: str | None = None
    others: dict[str, _Head] = field(default_factory=dict)


def read_results(run: Path) -> dict[str, Any]:
    """Read RUN/results.json; raises RunError where it is missing or damaged."""
    refuse_probed(run)
    return _checked(_Results, run / "results.json")


def _checked(kind: type, path: Path) -> dict[str, Any]:
    """Read a JSON object that must hold what a dataclass declares, and may hold more."""
    values = read_json(path)
    try:
        check_json(kind, values)
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}): train into another --out") from error
    return values
