"""The whole job for one command: extract, train, evaluate, fuse, report, in one RUN folder.

Everything that is finished lies in the RUN folder and is not done again, so that a killed run
continues: model files, scores of each part, checkpoints inside a training.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from twostream.checkpoint import StreamModel, load_model, save_model
from twostream.datasets import Dataset, load_dataset
from twostream.folder import ASKED, claimed, read_json, refuse_foreign, write_json
from twostream.initialise import Start, initial_model
from twostream.loader import TrainingBatches
from twostream.multitask import cut_head, join, read_overlap
from twostream.report import write_report
from twostream.report.card import write_card
from twostream.run.data_stores import (
    Part,
    extract_for_run,
    extract_others,
    load_others,
    own_root,
    training_rate,
    without,
)
from twostream.run.evaluation_run import fused
from twostream.run.request import check_request, too_few_classes
from twostream.run.settings import STREAMS, RunSettings
from twostream.scoring import evaluate, load_scores, save_scores
from twostream.store.clips import ClipCache, Clips
from twostream.store.flow_store import FlowStore
from twostream.training import Progress, TrainerOptions, fit
from twostream.types import (
    DatasetSplit,
    LabeledVideo,
    Stream,
    VideoScores,
)

Say = Callable[[str], None]


def train_run(
    settings: RunSettings,
    out: Path,
    *,
    resume: bool = False,
    options: TrainerOptions | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Do the main job: from video files to a trained two-stream model, its scores and report.

    Args:
        settings: what to do.
        out: the RUN folder.
        resume: continue a run that was stopped.
        options: accelerator, devices, precision.
        workers: threads of the extraction; None: one a core.
        progress: called as (task, done, total, detail).
        say: told what a user should read.

    Returns:
        What ``--json`` prints; also in RUN/results.json.

    Raises:
        TwoStreamError: with one clear sentence; nothing finished is lost.
    """
    dataset = load_dataset(settings.data)
    say(dataset.describe())
    split = dataset.split(
        settings.split, fold=settings.fold, test_groups=settings.test_groups, seed=settings.seed
    )
    for note in split.notes:
        say(note)
    others = load_others(settings, dataset, say)
    refuse_foreign(out)
    if not (out / ASKED).is_file():
        check_request(settings, split, others, out, options or TrainerOptions())
    with claimed(out, asdict(settings), resume=resume):
        return _Job(settings, out, dataset, split, others, options, workers, progress, say).run()


@dataclass
class _Job:
    """One run's state, so that its steps read from top to bottom."""

    settings: RunSettings
    out: Path
    dataset: Dataset
    split: DatasetSplit
    other_datasets: list[Dataset]
    options: TrainerOptions | None
    workers: int | None
    progress: Progress | None
    say: Say
    seconds: dict[str, float] = field(default_factory=dict)
    others: list[Part] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        settings, out = self.settings, self.out
        with self.clock("extract"):
            store, unreadable = self.extract()
            self.others = extract_others(
                settings,
                self.other_datasets,
                out,
                workers=self.workers,
                device=self.flow_device(),
                progress=self.progress,
                say=self.say,
            )
        clips = ClipCache(store, settings.kinds())
        readable = replace(self.split, train=without(self.split.train, unreadable))
        self.check_readable(readable, unreadable)
        write_json(out / "settings.json", self.description(store))
        inner = self.inner_splits(readable)
        test: list[VideoScores] = []
        train: list[VideoScores] = []
        for stream in settings.streams:
            model = self.model(stream, readable, clips, out)
            scored = [("test", self.split.test, test)]
            if settings.score_train:
                scored.append(("train", readable.train, train))
            for subset, videos, kept in scored:
                path = out / "scores" / f"{stream}-{subset}.npz"
                kept.append(self.scores(path, model, videos, clips, unreadable))
        if len(test) == len(STREAMS):
            if inner:
                self.cross_fit(inner, clips)
            for scores in fused(test, out, seed=settings.seed):
                save_scores(out / "scores" / f"{scores.stream}-test.npz", scores)
                test.append(scores)
        heads = self.other_heads()
        results = {
            "data": settings.data,
            "classes": list(self.split.classes),
            "train_videos": len(self.split.train),
            "test_videos": len(self.split.test),
            "train_accuracy": {scores.stream: scores.accuracy() for scores in train},
            "accuracy": {scores.stream: scores.accuracy() for scores in test},
            "seconds": {key: round(value, 2) for key, value in self.seconds.items()},
            "run": str(out),
            "split": self.split.name,
            "fit_scores": "out-of-fold" if inner else "in-sample",
            "unreadable": unreadable,
            "others": {
                name: {"test_videos": len(scores.video_ids), "accuracy": scores.accuracy()}
                for name, scores in heads.items()
            },
            "loader_wait": {s: self.loader_wait(s) for s in settings.streams},
        }
        write_json(out / "results.json", results)
        write_report(out, videos={video.video_id: video for video in self.split.videos()})
        write_card(out)
        return results

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def extract(self) -> tuple[FlowStore, dict[str, str]]:
        """Bring frames and flow of both subsets into the store."""
        return extract_for_run(
            self.settings,
            self.split.videos(),
            own_root(self.settings, self.out),
            kinds=self.settings.kinds(),
            workers=self.workers,
            device=self.flow_device(),
            progress=self.progress,
            say=self.say,
        )

    def flow_device(self) -> str:
        return (self.options or TrainerOptions()).flow_device()

    def check_readable(self, readable: DatasetSplit, unreadable: dict[str, str]) -> None:
        """Refuse to train where a class has no readable clip left; say what is left out."""
        dropped = len(self.split.train) - len(readable.train)
        if dropped:
            self.say(f"{dropped} training videos cannot be read and are left out, named above")
        have = {video.label for video in readable.train}
        if len(have) < 2:
            raise too_few_classes(len(have), unreadable)

    def model(
        self, stream: Stream, split: DatasetSplit, clips: ClipCache, folder: Path
    ) -> StreamModel:
        """Train a stream, or take the model file where it is finished."""
        path = folder / f"{stream}.safetensors"
        if path.is_file():
            return load_model(path)
        settings, start = self.settings, self.settings.start
        if stream == "temporal" and self.others and settings.how == "pretrain":
            other = self.others[0]
            before = folder / "pretraining" / path.name
            if not before.is_file():
                model = self.trained(stream, start, other.split, other.clips, before.parent)
                save_model(before, model)
            start = replace(start, temporal_weights=str(before))
        if stream == "temporal" and self.others and settings.how != "pretrain":
            own = Part(split, clips, {})
            file = Path(settings.overlap) if settings.overlap else None
            names = [split.dataset, self.others[0].split.dataset]
            overlap = read_overlap(file, names) if settings.how == "added" else None
            parts = (own, *self.others)
            joined = join(
                [(part.split, part.clips) for part in parts],
                settings.how,
                overlap,
                temporal=settings.temporal,
            )
            self.note(folder, joined.describe())
            model = self.trained(stream, start, joined.split, joined.clips, folder, joined.heads)
            heads = list(zip(parts, joined.outputs, joined.clips.flow_scales, strict=True))
            for other, outputs, scale in heads[1:] if settings.how == "multitask" else ():
                head = cut_head(model, outputs, scale, **other.described())
                save_model(folder / "others" / other.split.dataset / path.name, head)
            model = cut_head(model, joined.outputs[0], **own.described())
        else:
            model = self.trained(stream, start, split, clips, folder)
        save_model(path, model)
        return model

    def trained(
        self,
        stream: Stream,
        start: Start,
        split: DatasetSplit,
        clips: Clips,
        folder: Path,
        heads: tuple[int, ...] | None = None,
    ) -> StreamModel:
        """Train a stream on the training videos of a split."""
        settings, recipe = self.settings, self.settings.recipe
        fine_tuning = start.fine_tunes(stream)
        if fine_tuning:
            recipe = recipe.fine_tuning()
        with self.clock("train"):
            model = initial_model(
                stream,
                start=start,
                recipe=recipe,
                architecture=settings.architecture(stream),
                temporal=settings.temporal,
                split=split,
                clips=clips,
                store=asdict(clips.store.settings),
                fps=training_rate(clips, split.train),
                seed=settings.seed,
                say=lambda message: self.note(folder, message),
            )
            data = TrainingBatches(
                clips=clips,
                videos=split.train,
                temporal=model.spec.temporal,
                seed=settings.seed,
                steps=recipe.steps,
                batch_size=recipe.batch_size,
                crop_size=recipe.crop_size,
                flips=recipe.flips,
                lighting=recipe.lighting,
                heads=heads,
            )
            return fit(
                model,
                data,
                recipe,
                train=settings.train if fine_tuning else "all",
                options=self.options,
                checkpoints=folder / "checkpoints" / stream,
                logs=folder / "logs" / stream,
                progress=self.progress,
                say=self.say,
            )

    def note(self, folder: Path, message: str) -> None:
        """Say what concerns the run's own nets; the folds of the SVM's fit would only repeat it."""
        if "cross-fitting" not in folder.parts[len(self.out.parts) :]:
            self.say(message)

    def scores(
        self,
        path: Path,
        model: StreamModel,
        videos: Sequence[LabeledVideo],
        clips: ClipCache,
        unreadable: dict[str, str],
    ) -> VideoScores:
        """Score videos, or take the score file where it is finished."""
        if path.is_file():
            return load_scores(path)
        options = self.options or TrainerOptions()
        with self.clock("evaluate"):
            scores = evaluate(
                model,
                videos,
                clips,
                device="cuda" if options.on_gpu() else "cpu",
                loader_workers=options.workers(),
                skip_unreadable=self.settings.skip_unreadable,
                unreadable=unreadable,
                progress=self.progress,
            )
        save_scores(path, scores)
        return scores

    def other_heads(self) -> dict[str, VideoScores]:
        """Score the other data sets' heads on their own test videos, where some were kept back."""
        found = {}
        for other in self.others if self.settings.how == "multitask" else ():
            folder = self.out / "others" / other.split.dataset
            if other.split.test:
                model = load_model(folder / "temporal.safetensors")
                found[other.split.dataset] = self.scores(
                    folder / "temporal-test.npz",
                    model,
                    other.split.test,
                    other.clips,
                    other.unreadable,
                )
        return found

    def inner_splits(self, split: DatasetSplit) -> list[DatasetSplit]:
        """Return the folds of the training clips for out-of-fold scores; none for in-sample.

        Asked for before anything is trained, so that too few groups are said at once.
        """
        settings = self.settings
        if settings.recipe.fit_scores == "in-sample" or len(settings.streams) < len(STREAMS):
            return []
        inner = replace(self.dataset, videos=split.train, given=())
        units = len(inner.groups) or len(split.train)
        folds = min(settings.recipe.fit_folds, units)
        if folds < 2:
            self.say("all training clips are of one group: the SVM learns from in-sample scores")
            return []
        return [inner.split(fold=f"{i}/{folds}", seed=settings.seed) for i in range(1, folds + 1)]

    def cross_fit(self, splits: Sequence[DatasetSplit], clips: ClipCache) -> None:
        """Score each training clip with nets that were trained without its fold."""
        parts: dict[Stream, list[VideoScores]] = {stream: [] for stream in self.settings.streams}
        for i, part in enumerate(splits, start=1):
            folder = self.out / "cross-fitting" / f"fold-{i}"
            for stream, found in parts.items():
                model = self.model(stream, part, clips, folder)
                path = folder / f"{stream}.npz"
                found.append(self.scores(path, model, part.test, clips, {}))
        for stream, found in parts.items():
            save_scores(self.out / "scores" / f"{stream}-crossfit.npz", joined(found))

    def loader_wait(self, stream: Stream) -> float:
        """Return the share of the training time that the loop waited for data."""
        summary = read_json(self.out / "logs" / stream / "history.json")
        return round(summary["loader_wait_seconds"] / max(summary["seconds"], 1e-9), 4)

    def description(self, store: FlowStore) -> dict[str, Any]:
        """Return what the report says of the run."""
        names = ("twostream", "torch", "torchvision", "timm", "lightning", "av")
        return {
            "data": self.settings.data,
            "dataset": self.split.dataset,
            "split": self.split.name,
            "notes": list(self.split.notes),
            "recipe": asdict(self.settings.recipe),
            "store": {"root": str(store.root), **asdict(store.settings)},
            "temporal_input": asdict(self.settings.temporal),
            "seed": self.settings.seed,
            "start": asdict(self.settings.start),
            "train": self.settings.train,
            "others": [part.split.dataset for part in self.others],
            "how": self.settings.how if self.others else None,
            "versions": {"python": platform.python_version()} | {n: version(n) for n in names},
        }


def joined(parts: Sequence[VideoScores]) -> VideoScores:
    """Put the scores of several sets of videos together; each video stands in one of them."""
    return replace(
        parts[0],
        video_ids=tuple(video_id for part in parts for video_id in part.video_ids),
        labels=np.concatenate([part.labels for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        unreadable={k: v for part in parts for k, v in part.unreadable.items()},
    )
