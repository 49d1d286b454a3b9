"""The whole job for one command: extract, train, score, fuse, report, in one RUN folder.

What is finished lies in the RUN folder and is not done again, so that a killed run continues.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from twostream.checkpoint import StreamModel, load_model, save_model
from twostream.datasets import Dataset, Missing, load_dataset
from twostream.datasets.dataset import RECORDINGS
from twostream.datasets.kept_videos import as_begun, keep_videos, kept_videos
from twostream.files import ASKED, claimed, refuse_foreign, write_json
from twostream.initialise import Start
from twostream.log_linear import write_fusion
from twostream.report import write_report
from twostream.report.card import write_card
from twostream.run.cross_fitting import (
    another_fold,
    drawn_folds,
    enough,
    fold_folder,
    fused,
    inner_folds,
    joined,
    learnt_fusion,
    said_before,
    shown_over_fitting,
)
from twostream.run.data_settings import adapted, shared_rate
from twostream.run.description import description, outcome
from twostream.run.flow_choice import CHOICE_NAME, TRIALS, chosen_flow, keep_the_chosen
from twostream.run.judged_recordings import judged, settle_bouts
from twostream.run.mirror_images import mirror_images
from twostream.run.one_stream import train_stream
from twostream.run.other_data import OtherData, keep_others, load_others, train_with_others
from twostream.run.readable_videos import as_made, unreadable
from twostream.run.request import check_classes, check_request
from twostream.run.settings import RunSettings
from twostream.run.steps import StoredSplit, extract_split, score, store_for
from twostream.scoring import load_scores, save_scores
from twostream.store.flow_store import SETTINGS_NAME, FlowStore, Kind
from twostream.training import TrainerOptions
from twostream.types import (
    STREAMS,
    DataError,
    DatasetSplit,
    LabeledVideo,
    Progress,
    Stream,
    VideoScores,
    no_progress,
)

logger = logging.getLogger(__name__)


def train_run(
    settings: RunSettings,
    out: Path,
    *,
    resume: bool = False,
    options: TrainerOptions | None = None,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Do the main job: from video files to a trained two-stream model, its scores and report.

    Args:
        settings: what to do.
        out: the RUN folder.
        resume: continue a run that was stopped.
        options: accelerator, devices, precision.
        workers: threads of the extraction; None: one a core.
        progress: told how far each part is.

    Returns:
        What ``--json`` prints; but for ``report``, its place, also in RUN/results.json.

    Raises:
        TwoStreamError: with one clear sentence; nothing finished is lost.
    """
    options = options or TrainerOptions()
    job = job_of(settings, out, options, workers, progress)
    refuse_foreign(out)
    if not (out / ASKED).is_file():
        check_request(job.settings, job.split, job.others, out, options)
    with claimed(out, settings.asked(), resume=resume):
        return job.run()


def job_of(
    settings: RunSettings,
    out: Path,
    options: TrainerOptions,
    workers: int | None,
    progress: Progress,
) -> TrainingRun:
    """Read the data sets, say what they are, and fit the settings to the training clips."""
    kept = kept_videos(out)
    # what is gone since a run began is said by name, and counts as unreadable
    missing: Missing = "leave out" if kept or settings.skip_unreadable else "refuse"
    dataset = load_dataset(settings.data, missing=missing)
    logger.info(dataset.describe())
    dataset, split = as_begun(kept, dataset, settings.choice, seed=settings.seed)
    for note in split.notes:
        logger.info(note)
    settings, notes = fitted(settings, split, out)
    others = load_others(settings, dataset, out)
    return TrainingRun(settings, out, dataset, split, others, options, workers, progress, notes)


def fitted(
    settings: RunSettings, split: DatasetSplit, out: Path
) -> tuple[RunSettings, tuple[str, ...]]:
    """Return the settings as the training clips want them, and a line on each that follows them."""
    if not settings.recipe.adapts:
        return settings, ()
    root = settings.store_folder(out)
    rate, side, enlarges = settings.stored.fps, None, True
    if (root / SETTINGS_NAME).is_file():
        made = FlowStore.open(root).settings
        rate, enlarges = made.fps, not made.imported
        # what was stored as the recipe says stays; of any other size it is refused, as ever
        side = made.short_side if made.short_side == settings.recipe.short_side else None
    elif rate is None:
        rate = shared_rate(split)
    recipe, temporal, notes = adapted(
        settings.recipe, settings.temporal, split, rate=rate, stored_side=side, enlarges=enlarges
    )
    for note in notes:
        logger.info(note)
    return replace(settings.by(recipe), temporal=temporal), notes


@dataclass
class TrainingRun:
    """One run's state, so that its steps read from top to bottom; see ``train_run``.

    Attributes:
        dataset, split: the run's own data.
        others: the data sets that help to train.
        data_notes: a line on each setting that follows the data.
        seconds: what each part took, in this process.
    """

    settings: RunSettings
    out: Path
    dataset: Dataset
    split: DatasetSplit
    others: list[OtherData]
    options: TrainerOptions
    workers: int | None
    progress: Progress
    data_notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Extract, train both streams, score them, fuse, report."""
        keep_videos(self.out, self.dataset, self.split)
        keep_others(self.out, self.others)
        self.settle_flow()
        settings, out = self.settings, self.out
        with self.clock("extract"):
            own = self.extracted(self.split, settings.store_folder(out), settings.kinds())
            own, finished = as_made(out, self.made(), self.split, own)
            if not finished:
                self.check_readable(own)
            others = [
                self.extracted(other.split, other.store, settings.net("temporal").kinds)
                for other in self.others
            ]
        folds = inner_folds(settings, self.dataset, self.split, own.split)
        self.settle_flips(own, folds, others)
        settings = self.settings
        write_json(out / "settings.json", description(self, own))
        fuses = len(settings.streams) == len(STREAMS)
        models = {stream: self.model(stream, own, out, others) for stream in settings.streams}
        scores = out / "scores"
        test = [
            self.scores(scores / f"{stream}-test.npz", model, self.split.test, own)
            for stream, model in models.items()
        ]
        seen = own.split.train if not folds and fuses else shown_over_fitting(settings, own.split)
        train = [
            self.scores(scores / f"{stream}-train.npz", model, seen, own)
            for stream, model in models.items()
            if settings.score_train
        ]
        fusion = None
        if fuses:
            fit, folds = self.cross_fitted(own, folds, others) if folds else (train, folds)
            alike = self.dataset.kind == RECORDINGS  # most of the time may be of one class
            if folds and (fusion := learnt_fusion(fit, folds, alike=alike)):
                write_fusion(out, fusion)
            for each in fused(test, fit, fusion, seed=settings.seed):
                save_scores(scores / f"{each.stream}-test.npz", each)
                test.append(each)
        if self.dataset.kind == RECORDINGS:
            settle_bouts(self, own, folds, fusion)
        heads = self.other_heads(others)
        fitted = settings.recipe.fit_scores if folds else "in-sample"
        could_not = unreadable(own.unusable, [*test, *train, *(fit if fuses else ())])
        results = outcome(self, could_not, test, train, heads, fitted, fusion) | judged(self, own)
        write_json(out / "results.json", results)
        report = write_report(out, videos={video.video_id: video for video in self.split.videos()})
        write_card(out)
        return results | {"report": str(report)}

    @contextmanager
    def clock(self, part: str) -> Iterator[None]:
        """Add up the seconds that a part takes."""
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def extracted(self, split: DatasetSplit, root: Path, kinds: tuple[Kind, ...]) -> StoredSplit:
        """Bring frames and flow of a data set into its store."""
        return extract_split(
            split,
            root,
            store_for(self.settings.stored, root, split),
            kinds=kinds,
            smallest_side=self.settings.recipe.smallest_side,
            workers=self.workers,
            device=self.options.flow_device(),
            progress=self.progress,
        )

    def made(self) -> list[Path]:
        """Return the nets and scores that a finished run has."""
        nets = [self.out / f"{stream}.safetensors" for stream in self.settings.streams]
        sides = ("test", "train") if self.settings.score_train else ("test",)
        names = [f"{stream}-{side}.npz" for stream in self.settings.streams for side in sides]
        return [*nets, *(self.out / "scores" / name for name in names)]

    def check_readable(self, own: StoredSplit) -> None:
        """Refuse to train where a class has no readable clip left; say what is left out."""
        if dropped := len(self.split.train) - len(own.split.train):
            logger.warning(
                f"{dropped} training videos cannot be read and are left out, named above"
            )
        check_classes({video.label for video in own.split.train}, own.unusable)

    def settle_flow(self) -> None:
        """Go on with the flow that recognises held-out training clips, where that is asked for."""
        settings, trials = self.settings, self.out / TRIALS
        if not settings.flows:
            return
        root = settings.store_folder(self.out)
        # the rate of all clips, so that the store of the chosen one takes test clips too
        fps = store_for(settings.stored, root, self.split).fps
        settings = replace(settings, stored=replace(settings.stored, fps=fps))
        train = replace(self.split, test=())

        def folder(flow: str) -> Path:
            return trials / flow.replace(":", "-")

        def held_out(flow: str) -> VideoScores:
            out = folder(flow)
            trial = replace(self, settings=replace(settings.flowing(flow), store=None), out=out)
            logger.info(f"trying {flow} on held-out training clips")
            with self.clock("extract"):
                own = trial.extracted(train, out / "flow", settings.kinds())
            drawn = drawn_folds(settings, self.dataset, train, own.split)
            folds = enough(drawn, own.split, settings.recipe)
            if not folds:
                raise DataError(
                    "--flow auto holds training clips of some groups back, and those that can be "
                    "read are all of one: name a flow"
                )
            parts = [trial.fold_scores("temporal", i, own, folds, ()) for i in range(len(folds))]
            return joined(parts)

        found = chosen_flow(settings.flows, held_out, self.out / CHOICE_NAME)
        keep_the_chosen(folder(found.flow), self.out, root)
        self.settings = settings.flowing(found.flow)
        self.data_notes += (found.note,)

    def settle_flips(
        self, own: StoredSplit, folds: Sequence[DatasetSplit], others: Sequence[StoredSplit]
    ) -> None:
        """Go on without mirror images where two classes are each other's."""

        def held_out(flips: bool) -> VideoScores:
            trial = replace(self, settings=self.settings.mirroring(flips))
            return joined([trial.fold_scores("temporal", i, own, folds, others) for i in numbers])

        numbers = range(len(folds))
        found = mirror_images(
            self.settings, own, held_out if folds else None, self.out / "mirror-images.json"
        )
        self.settings = self.settings.mirroring(found.used)
        self.data_notes += (found.note,) if found.note else ()

    def model(
        self, stream: Stream, data: StoredSplit, folder: Path, others: Sequence[StoredSplit]
    ) -> StreamModel:
        """Train a stream, or take the model file where it is finished."""
        if (path := folder / f"{stream}.safetensors").is_file():
            return load_model(path)
        train = partial(self.trained, stream)
        if stream == "temporal" and others:
            model = train_with_others(self.settings, data, others, folder, train)
        else:
            model = train(data, folder)
        save_model(path, model)
        return model

    def trained(
        self,
        stream: Stream,
        data: StoredSplit,
        folder: Path,
        *,
        start: Start | None = None,
        heads: tuple[int, ...] | None = None,
    ) -> StreamModel:
        """Train a stream as the settings say."""
        net = self.settings.net(stream)
        with self.clock("train"):
            return train_stream(
                replace(net, start=start or net.start),
                data,
                layers=self.settings.train,
                heads=heads,
                folder=folder,
                like=self.out,
                options=self.options,
                progress=self.progress,
            )

    def scores(
        self, path: Path, model: StreamModel, videos: Sequence[LabeledVideo], data: StoredSplit
    ) -> VideoScores:
        """Score videos, or take the score file where it is finished."""
        if path.is_file():
            return load_scores(path)
        with self.clock("evaluate"):
            scores = score(
                model,
                videos,
                data,
                self.options,
                skip_unreadable=self.settings.skip_unreadable,
                progress=self.progress,
            )
        save_scores(path, scores)
        return scores

    def cross_fitted(
        self, own: StoredSplit, folds: Sequence[DatasetSplit], others: Sequence[StoredSplit]
    ) -> tuple[list[VideoScores], list[DatasetSplit]]:
        """Score training clips with nets that were trained without their fold; which folds."""
        parts: dict[Stream, list[VideoScores]] = {stream: [] for stream in self.settings.streams}
        drawn = drawn_folds(self.settings, self.dataset, self.split, own.split)
        waiting, folds = [*folds], []
        while waiting:
            folds.append(waiting.pop(0))
            for stream, done in parts.items():
                done.append(self.fold_scores(stream, len(folds) - 1, own, folds, others))
            fit = [joined(of_folds) for of_folds in parts.values()]
            waiting = waiting or another_fold(self.out, fit, drawn, folds)
        for each in fit:
            save_scores(self.out / "scores" / f"{each.stream}-crossfit.npz", each)
        return fit, folds

    def fold_scores(
        self,
        stream: Stream,
        i: int,
        own: StoredSplit,
        folds: Sequence[DatasetSplit],
        others: Sequence[StoredSplit],
    ) -> VideoScores:
        """Score the clips of a fold with a net that was trained without them."""
        folder = self.out / self.settings.fold_folder / fold_folder(folds[i])
        with said_before():
            model = self.model(stream, replace(own, split=folds[i]), folder, others)
            return self.scores(folder / f"{stream}.npz", model, folds[i].test, own)

    def other_heads(self, others: Sequence[StoredSplit]) -> dict[str, VideoScores]:
        """Score the other data sets' heads on their own test videos, where some were kept back."""
        found = {}
        for other in others if self.settings.how == "multitask" else ():
            name, test = other.split.dataset, other.split.test
            folder = self.out / "others" / name
            if test:
                model = load_model(folder / "temporal.safetensors")
                found[name] = self.scores(folder / "temporal-test.npz", model, test, other)
        return found
