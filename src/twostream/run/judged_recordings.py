"""A run judged on whole recordings: its time lines of those that are tested, beside their labels.

All of it lies in one folder, RUN/recordings: the true bouts in the time that is tested, what is
predicted of each recording, how well both agree, and the time budget of both. Time lines are made
from the stored frames and flow, and kept with what they were made of.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twostream.bout_model import BoutModel
from twostream.datasets import RECORDINGS, Dataset, RecordingsUnderTest, recordings_under_test
from twostream.files import read_json, write_json, write_text
from twostream.judging import compare_labels, time_budget
from twostream.labels import Labels, Recording, csv_table, write_labels
from twostream.labels.formats import joined_labels
from twostream.labels.holds import file_stems
from twostream.labels.recordings import Span
from twostream.log_linear import LogLinear
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.answering_files import answering_files
from twostream.prediction.model_files import load_models
from twostream.prediction.stored_timeline import stored_timeline
from twostream.prediction.timeline import Timeline
from twostream.prediction.timeline_labels import timeline_labels
from twostream.report.recording_results import AGREEMENT, BUDGET, FOLDER, MADE, PREDICTED, TRUE
from twostream.run.bout_durations import learn_bouts
from twostream.run.bout_evidence import ENOUGH_SECONDS, HeldOut, telling_first
from twostream.run.cross_fitting import fold_folder
from twostream.schema import from_json
from twostream.store.clips import Clips
from twostream.types import (
    DataError,
    DatasetSplit,
    LabeledVideo,
    Progress,
    RunError,
    StoreError,
    VideoError,
    no_progress,
)
from twostream.video.fingerprint import content_hash, source_hash

if TYPE_CHECKING:
    from twostream.run.steps import StoredSplit
    from twostream.run.training_run import TrainingRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Row:
    """A time line that is kept: its file, fingerprints of video and file, and what was odd.

    Within are the spans of time that it was made of, see ``_in_words``.
    """

    file: str
    video: str
    labels: str
    warning: str
    within: str = ""


@dataclass(frozen=True)
class _Made:
    """What RUN/recordings/made.json holds: what the time lines are of, and video id -> row."""

    made_by: dict[str, str]
    rows: dict[str, _Row] = field(default_factory=dict)


def judged(job: TrainingRun, stored: StoredSplit) -> dict[str, Any]:
    """Return what a run's results say of its test recordings; {} where its data are clips."""
    if job.dataset.kind != RECORDINGS:
        return {}
    with job.clock("time lines"):
        found = judge_recordings(
            job.out,
            job.dataset,
            job.split.test,
            job.out / FOLDER,
            stored.clips,
            device=job.options.device(),
            skip_unreadable=job.settings.skip_unreadable,
            progress=job.progress,
        )
    return {FOLDER: found} if found else {}


def judge_recordings(
    run: Path,
    dataset: Dataset,
    test: Sequence[LabeledVideo],
    folder: Path,
    clips: Clips,
    *,
    device: str = "cpu",
    skip_unreadable: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any] | None:
    """Compare what a run says of the recordings that are tested with their labels.

    Args:
        run: the RUN folder, with its models and what it has learnt to answer with.
        dataset, test: the data, and the stretches of it that are tested.
        folder: where all of it is written; time lines that lie there, of the same models and
            videos, are not made again.
        clips: frames and flow of the recordings.
        device: where the networks run.
        skip_unreadable: leave recordings out that cannot be decoded; else nothing is predicted of
            them, so that all their bouts are missed.
        progress: told how many seconds of video are done.

    Returns:
        What ``twostream agreement --json`` prints; None for data of clips, and, with a warning,
        where there is nothing to compare.
    """
    if dataset.kind != RECORDINGS or not test:
        return None
    (folder / AGREEMENT).unlink(missing_ok=True)  # of before: it must not be taken for today's
    try:
        tested = recordings_under_test(dataset, test)
        predicted = _predicted(run, tested, folder, clips, device, skip_unreadable, progress)
        found = compare_labels(tested.labels, predicted).to_json()
        write_labels(tested.labels, folder / TRUE, "csv")
        write_text(folder / BUDGET, time_budget(tested.labels, predicted))
    except DataError as error:
        logger.warning(f"how well bouts are found cannot be said: {error}")
        return None
    write_json(folder / AGREEMENT, found)
    return found


def _predicted(
    run: Path,
    tested: RecordingsUnderTest,
    folder: Path,
    clips: Clips,
    device: str,
    skip_unreadable: bool,
    progress: Progress,
) -> Labels:
    """Return what a run says of recordings: what is kept of it, and the rest, which then is."""
    stems = file_stems(tested.labels)
    files = {v: folder / PREDICTED / f"{s}.csv" for v, s in zip(tested.videos, stems, strict=True)}
    hashes, unreadable = dict[str, str](), dict[str, str]()
    for video_id, path in tested.videos.items():
        try:
            hashes[video_id] = source_hash(path)
        except VideoError as error:
            unreadable[video_id] = str(error)
    within = {each.video: _in_words(each.watched) for each in tested.labels.recordings}
    made = _kept(_made_by(run), hashes, within, files, folder / MADE)
    missing = [video_id for video_id in hashes if video_id not in made.rows]
    predictor = TwoStreamPredictor.load(run, device=device) if missing else None
    whole = round(sum(tested.seconds[video_id] for video_id in missing), 1)
    done = 0.0
    for video_id in missing:
        assert predictor is not None
        seconds = tested.seconds[video_id]
        told = _part_of(progress, video_id, done, seconds, whole)
        try:
            timeline = _timeline(predictor, tested, video_id, clips, told)
            said = timeline_labels(timeline, folder)
        except VideoError as error:
            unreadable[video_id] = str(error)
            told("", 1, 1)
        else:
            recording = replace(said.recordings[0], video=video_id)
            write_labels(replace(said, recordings=(recording,)), files[video_id], "csv")
            prints = (hashes[video_id], content_hash(files[video_id]))
            made.rows[video_id] = _Row(
                files[video_id].name, *prints, timeline.warning or "", within[video_id]
            )
            write_json(folder / MADE, asdict(made))
        done += seconds
    parts = [
        replace(
            csv_table.read(files[video_id]),
            notes=(f"{video_id}: {row.warning}",) if row.warning else (),
        )
        for video_id, row in made.rows.items()
    ]
    for video_id, why in () if skip_unreadable else unreadable.items():
        note = f"{video_id} cannot be read, so all its bouts count as missed: {why}"
        parts.append(Labels((Recording(video_id, ()),), (), notes=(note,)))
    return joined_labels(folder, parts)


def settle_bouts(
    job: TrainingRun,
    stored: StoredSplit,
    folds: Sequence[DatasetSplit],
    fusion: LogLinear | None,
) -> None:
    """Learn how long bouts last, and of held-out recordings how much scores count beside that."""
    held_out = partial(_lines_of_folds, job, stored, folds, fusion)
    learn_bouts(job.out, job.split, job.dataset, held_out)


def _lines_of_folds(
    job: TrainingRun,
    stored: StoredSplit,
    folds: Sequence[DatasetSplit],
    fusion: LogLinear | None,
    bouts: BoutModel,
) -> list[HeldOut]:
    """Return time lines of the recordings of each fold, by the networks that did not see them."""
    parts = []
    for fold in folds:
        folder = job.out / job.settings.fold_folder / fold_folder(fold)
        models = load_models(folder)
        predictor = TwoStreamPredictor.from_models(
            models, device=job.options.device(), fusion=fusion, bouts=bouts
        )
        tested = recordings_under_test(job.dataset, fold.test)
        whole, done, lines = round(sum(tested.seconds.values()), 1), 0.0, dict[str, Timeline]()
        for video_id in telling_first(tested.labels):
            seconds = tested.seconds[video_id]
            if sum(line.seconds for line in lines.values()) > ENOUGH_SECONDS:
                break
            told = _part_of(job.progress, video_id, done, seconds, whole)
            try:
                lines[video_id] = _timeline(predictor, tested, video_id, stored.clips, told)
            except VideoError as error:
                logger.warning(f"{video_id}: {error}")
            done += seconds
        parts.append(HeldOut(tested.labels, lines))
    return parts


def _timeline(
    predictor: TwoStreamPredictor,
    tested: RecordingsUnderTest,
    video_id: str,
    clips: Clips,
    progress: Progress,
) -> Timeline:
    """Return the time line of a recording in the time that is tested, from what is stored of it."""
    path = tested.videos[video_id]
    try:
        clip = clips[video_id]
    except StoreError as error:  # said where it was extracted
        raise VideoError(path, str(error)) from error
    (recording,) = (each for each in tested.labels.recordings if each.video == video_id)
    return stored_timeline(predictor, clip, path, within=recording.watched, progress=progress)


def _in_words(watched: Sequence[Span] | None) -> str:
    """Return spans of time to the millisecond; "" for all of a recording."""
    return "" if watched is None else ", ".join(f"{a:.3f} to {b:.3f} s" for a, b in watched)


def _part_of(
    progress: Progress, video_id: str, before: float, seconds: float, whole: float
) -> Progress:
    """Return a progress of one video that tells how far all are; in seconds of video."""

    def told(task: str, done: float, total: float, detail: str = "") -> None:
        at = before + seconds * (done / total if total else 1.0)
        progress("time lines", min(round(at, 1), whole), whole, video_id)

    return told


def _made_by(run: Path) -> dict[str, str]:
    """Return what a run's answer depends on: name of a file -> its fingerprint, and the version."""
    prints = {path.name: content_hash(path) for path in answering_files(run)}
    return {"twostream": version("twostream"), **prints}


def _kept(
    made_by: dict[str, str],
    hashes: Mapping[str, str],
    within: Mapping[str, str],
    files: Mapping[str, Path],
    made: Path,
) -> _Made:
    """Return the time lines that lie there, as far as they are of these models, videos and time."""
    if not made.is_file():
        return _Made(made_by)
    try:
        before = from_json(_Made, read_json(made))
    except (RunError, ValueError) as error:
        logger.warning(f"{made} is damaged ({error}): time lines are made again")
        return _Made(made_by)
    if before.made_by != made_by:
        logger.info(f"{made.parent} is of other models than those of now: it is made again")
        return _Made(made_by)
    same = {
        video_id: row
        for video_id, row in before.rows.items()
        if row.video == hashes.get(video_id)
        and row.within == within.get(video_id)
        and row.file == files[video_id].name
        and files[video_id].is_file()
        and row.labels == content_hash(files[video_id])
    }
    return _Made(made_by, same)
