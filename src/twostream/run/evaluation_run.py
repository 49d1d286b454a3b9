"""Evaluation of a finished run: on its own test videos again, or on other data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twostream.checkpoint import load_model
from twostream.datasets import load_dataset, relabeled
from twostream.extraction import Progress as ExtractProgress
from twostream.extraction import extract
from twostream.folder import claimed_for_reading, read_json, write_json
from twostream.fusion import fuse
from twostream.run.settings import STREAMS
from twostream.scoring import evaluate, load_scores, save_scores
from twostream.store.clips import ClipCache, kinds_of
from twostream.store.flow_store import FlowStore, Kind, StoreSettings
from twostream.training import Progress, TrainerOptions
from twostream.types import LabeledVideo, RunError, VideoScores


def evaluate_run(
    run: Path,
    data: str | None = None,
    *,
    split: int | None = None,
    fold: str | None = None,
    test_groups: tuple[str, ...] | None = None,
    out: Path | None = None,
    options: TrainerOptions | None = None,
    workers: int | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Score videos with a run's models and write the score files.

    Args:
        run: a finished RUN folder.
        data: other data; None: the run's own data and split.
        split, fold, test_groups: choose test videos of other data; none: all of its videos.
        out: folder of the score files; None: RUN/scores, or RUN/scores-NAME for other data.
        options, workers, skip_unreadable, progress, say: as in ``train_run``.

    Returns:
        What ``--json`` prints: the same keys as training.

    Raises:
        TwoStreamError: with one clear sentence.
    """
    options = options or TrainerOptions()
    options.check()
    results = read_json(run / "results.json")
    models = [
        load_model(path) for stream in STREAMS if (path := run / f"{stream}.safetensors").is_file()
    ]
    if not models:
        raise RunError(f"{run} holds no trained model: train first (twostream train DATA)")
    asked = read_json(run / "asked.json")
    dataset = load_dataset(data or asked["data"])
    say(dataset.describe())
    chosen = [split is not None, bool(fold), bool(test_groups)]
    if data is None and not any(chosen):
        split, fold = asked["split"], asked["fold"]
        test_groups = asked["test_groups"]
    if data is None or any(chosen) or dataset.given:
        test = dataset.split(split, fold=fold, test_groups=test_groups, seed=asked["seed"]).test
    else:
        test = dataset.videos
    videos = relabeled(test, dataset.classes, models[0].spec.classes, name=dataset.name)
    own = data is None
    root = Path(asked["store"] or run / "flow") if own else run / f"flow-{dataset.name}"
    # RUN/scores stays as training left it unless the same videos are scored again
    again = data is None and not any(chosen)
    folder = out or run / ("scores" if again else f"scores-{dataset.name}")
    with claimed_for_reading(run):
        start = time.perf_counter()
        options = options or TrainerOptions()
        stored = StoreSettings(**models[0].spec.store)
        store, unreadable = extract_videos(
            videos,
            root,
            stored if own else replace(stored, fps=models[0].spec.fps),
            kinds=kinds_of(model.spec for model in models),
            crop_size=models[0].spec.crop_size,
            workers=workers,
            device=options.flow_device(),
            progress=progress,
            say=say,
        )
        extracted = time.perf_counter()
        scores: list[VideoScores] = []
        for model in models:
            clips = ClipCache(store, kinds_of([model.spec]))
            scores.append(
                evaluate(
                    model,
                    videos,
                    clips,
                    device="cuda" if options.on_gpu() else "cpu",
                    loader_workers=options.workers(),
                    skip_unreadable=skip_unreadable,
                    unreadable=unreadable,
                    progress=progress,
                )
            )
        if len(scores) == len(STREAMS):
            scores += fused(scores, run, seed=asked["seed"])
        for each in scores:
            save_scores(folder / f"{each.stream}-test.npz", each)
    done = {
        **results,
        "data": str(data or asked["data"]),
        "train_videos": results["train_videos"],
        "test_videos": len(videos),
        "accuracy": {each.stream: each.accuracy() for each in scores},
        "seconds": {
            "extract": round(extracted - start, 2),
            "train": 0.0,
            "evaluate": round(time.perf_counter() - extracted, 2),
        },
        "unreadable": unreadable,
        "scores": str(folder),
    }
    write_json(folder / "results.json", done)
    return done


def fused(test: list[VideoScores], run: Path, *, seed: int) -> list[VideoScores]:
    """Fuse both streams by average, and by an SVM fitted on the run's training scores."""
    kept = run / "scores"
    fitted = [kept / f"{stream}-crossfit.npz" for stream in STREAMS]
    if not all(path.is_file() for path in fitted):
        fitted = [kept / f"{stream}-train.npz" for stream in STREAMS]
    fit = [load_scores(path) for path in fitted]
    return [fuse(test, method="average"), fuse(test, method="svm", fit=fit, seed=seed)]


def extract_videos(
    videos: Sequence[LabeledVideo],
    root: Path,
    settings: StoreSettings,
    *,
    kinds: tuple[Kind, ...],
    crop_size: int,
    workers: int | None,
    device: str = "auto",
    progress: Progress | None,
    say: Callable[[str], None],
) -> tuple[FlowStore, dict[str, str]]:
    """Extract videos; returns the store and which videos cannot be used, with the reason.

    Frames are never enlarged, so a video smaller than the crop cannot be used either.
    """
    summary = extract(
        videos,
        store=root,
        settings=settings,
        kinds=kinds,
        workers=workers,
        device=device,
        progress=extraction_progress(progress),
    )
    if summary.pairs and summary.device == "cuda":
        say(f"the flow was computed on the GPU, {summary.pairs_per_second:.0f} pairs/s")
    store, unusable = FlowStore.open(root), dict(summary.failed)
    for video in videos:
        if video.video_id in unusable:
            continue
        header = store.clip(video.video_id, kinds[0]).header
        if min(header.height, header.width) < crop_size:
            unusable[video.video_id] = (
                f"its frames of {header.width}x{header.height} px are smaller than the crop of "
                f"{crop_size} px: use a smaller --crop-size"
            )
    for video_id, why in {**summary.warnings, **unusable}.items():
        say(f"{video_id}: {why}")
    return store, unusable


def duration(seconds: float) -> str:
    """Return hours, minutes and seconds.

    >>> duration(75), duration(7384)
    ('1:15', '2:03:04')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def extraction_progress(progress: Progress | None) -> ExtractProgress | None:
    """Adapt the extraction's progress to (task, done, total, detail)."""
    if progress is None:
        return None
    start = time.monotonic()

    def report(
        video_id: str, done: int, total: int, pairs: int, seconds_left: float | None
    ) -> None:
        rate = pairs / max(time.monotonic() - start, 1e-6)
        left = "" if seconds_left is None or done == total else f"{duration(seconds_left)} left, "
        progress("extract flow", done, total, f"{rate:.0f} pairs/s, {left}{video_id}")

    return report
