"""Evaluation of a finished run: on its own test videos again, or on other data."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twostream.datasets import (
    AskedData,
    Dataset,
    Missing,
    SplitChoice,
    known_alone,
    load_dataset,
    relabeled,
)
from twostream.datasets.kept_videos import as_begun, data_of, kept_videos, say_known
from twostream.files import check_writable, read_json, write_json
from twostream.locks import locked
from twostream.log_linear import read_fusion
from twostream.prediction.model_files import load_models
from twostream.report import write_report
from twostream.report.run_contents import FUSIONS
from twostream.run.cross_fitting import crossfit_file, fused
from twostream.run.description import read_results
from twostream.run.judged_recordings import FOLDER, judge_recordings
from twostream.run.readable_videos import unreadable
from twostream.run.steps import StoredSplit, extract_split, say_rates, score
from twostream.scoring import load_scores, save_scores
from twostream.store.clips import kinds_of
from twostream.store.flow_store import StoreSettings
from twostream.training import TrainerOptions
from twostream.types import (
    STREAMS,
    DatasetSplit,
    LabeledVideo,
    Progress,
    RunError,
    VideoScores,
    no_progress,
)

logger = logging.getLogger(__name__)

_READABLE = "readable"  # ends the name of RUN/scores-readable, of the run's own data
_OF_THE_RUN = ("others", "loader_wait")  # keys of its results that say nothing of other data


def evaluate_run(
    run: Path,
    data: str | None = None,
    *,
    choice: SplitChoice | None = None,
    out: Path | None = None,
    options: TrainerOptions | None = None,
    workers: int | None = None,
    skip_unreadable: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Score videos with a run's models and write the score files.

    Args:
        run: a finished RUN folder.
        data: other data; None: the run's own data and split.
        choice: who is tested; None: as in training, of other data all videos.
        out: folder of the score files; None: RUN/scores, or RUN/scores-NAME for other data, with a
            number where that holds results of data that lie elsewhere.
        options, workers, skip_unreadable, progress: as in ``train_run``.

    Returns:
        What ``--json`` prints: the same keys as training, and ``root``, where the data lie; without
        what is of the run's own data alone, and without ``report`` where RUN's is not written anew.

    Raises:
        TwoStreamError: with one clear sentence.
    """
    options = options or TrainerOptions()
    options.check()
    results, asked = read_results(run), AskedData.of(run)
    models = load_models(run)
    specs = [model.spec for model in models]
    own, again = data is None, data is None and not choice
    dataset, test, split = tested(run, asked, data, choice, skip_unreadable, specs[0].classes)
    videos = tuple(relabeled(test, dataset.classes, specs[0].classes, name=dataset.name))
    stored = replace(StoreSettings.of_model(specs[0]), fps=specs[0].store.get("fps"))
    # RUN/scores stays as training left it unless the same videos are scored again
    name = dataset.name if again else name_in(run, dataset)
    folder = out or run / ("scores" if again else f"scores-{name}")
    check_out(folder)
    _say_replaced(folder, split)
    with locked(run, "wait until it has finished", "it must be writable"):
        start = time.perf_counter()
        found = extract_split(
            DatasetSplit(dataset.name, "test", specs[0].classes, (), videos),
            Path(asked.store or run / "flow") if own else run / f"flow-{name}",
            stored if own else replace(stored, fps=specs[0].fps),
            kinds=kinds_of(specs),
            smallest_side=specs[0].smallest_side,
            workers=workers,
            device=options.flow_device(),
            progress=progress,
        )
        if own:  # others are brought to the rate
            say_rates(_rates(found, videos), specs[0].fps)
        extracted = time.perf_counter()
        how: Any = {"skip_unreadable": skip_unreadable, "progress": progress}
        scores = [score(model, videos, found, options, **how) for model in models]
        if len(scores) == len(STREAMS):
            scores += fused(scores, training_scores(run), read_fusion(run), seed=asked.seed)
        folder = _written(scores, folder, apart=again and out is None and skip_unreadable)
        evaluated = time.perf_counter()
        place = run if again and folder == run / "scores" else folder
        judged = judge_recordings(
            run, dataset, test, place / FOLDER, found.clips, device=options.device(), **how
        )
    done = {
        **{key: value for key, value in results.items() if again or key not in _OF_THE_RUN},
        "run": str(run),
        "data": str(data or asked.data),
        "root": str(dataset.root.resolve()),
        "split": split,
        "test_videos": len(scores[0].video_ids),
        "accuracy": {each.stream: each.accuracy() for each in scores},
        "seconds": {
            "extract": round(extracted - start, 2),
            "train": 0.0,
            "evaluate": round(evaluated - extracted, 2),
        },
        "unreadable": unreadable(found.unusable, scores),
        "scores": str(folder),
    }
    done = with_recordings(done, judged, time.perf_counter() - evaluated)
    write_json(folder / "results.json", done)
    if judged and place == run:
        done["report"] = str(write_report(run, videos={each.video_id: each for each in test}))
    return done


def name_in(run: Path, dataset: Dataset) -> str:
    """Return what other data are called in a run: as they were when they were evaluated before.

    Else as they are, with a number where results of others are called so.
    """
    root, known = dataset.root.resolve(), dict[str, Path]()
    for file in sorted(run.glob("scores-*/results.json")):
        try:
            values = read_json(file)
        except RunError:
            values = {"root": file}  # damaged: nobody's
        place = Path(str(values.get("root"))).resolve()
        known[file.parent.name.removeprefix("scores-")] = place
    before = [name for name, place in known.items() if place == root and name != _READABLE]
    if before:
        return dataset.name if dataset.name in before else before[0]
    names = (f"{dataset.name}-{i}" for i in itertools.count(2))
    name = next(each for each in itertools.chain([dataset.name], names) if each not in known)
    if name != dataset.name:
        logger.info(
            f"{run / f'scores-{dataset.name}'} holds results of {known[dataset.name]}: those of "
            f"{root} go to scores-{name}"
        )
    return name


def with_recordings(
    done: dict[str, Any], judged: dict[str, Any] | None, seconds: float
) -> dict[str, Any]:
    """Return results with how well bouts are found, instead of what training said of it."""
    done = {name: value for name, value in done.items() if name != FOLDER}
    if not judged:
        return done
    spent = done["seconds"] | {"time lines": round(seconds, 2)}
    return done | {"seconds": spent, FOLDER: judged}


def tested(
    run: Path,
    asked: AskedData,
    data: str | None,
    choice: SplitChoice | None,
    skip_unreadable: bool,
    known: Sequence[str],
) -> tuple[Dataset, tuple[LabeledVideo, ...], str]:
    """Return the data set, the videos to test, and the name of their split; see ``evaluate_run``.

    Args:
        known: classes of the run's models.
    """
    choice = choice or SplitChoice()
    kept = kept_videos(run)
    own = data is None
    missing: Missing = "leave out" if skip_unreadable or (kept and own) else "refuse"
    dataset = load_dataset(data or data_of(kept, asked.data), missing=missing)
    logger.info(dataset.describe())
    if own and not choice:
        dataset, split = as_begun(kept, dataset, asked.choice, seed=asked.seed)
        return dataset, split.test, split.name
    for note in dataset.notes:
        logger.info(note)
    dataset.refuse_empty()
    whole = not own and not choice and not dataset.given
    split = dataset.whole() if whole else choice.of(dataset, seed=asked.seed)
    test = split.train if whole else split.test
    say_known(kept, test)
    return *known_alone(dataset, test, known), split.name


def _rates(data: StoredSplit, videos: Sequence[LabeledVideo]) -> dict[str, float]:
    known = [video.video_id for video in videos if video.video_id not in data.unusable]
    return {video_id: data.clips.fps(video_id) for video_id in known}


def _written(scores: Sequence[VideoScores], folder: Path, *, apart: bool) -> Path:
    """Write score files, and return where.

    Those of a fusion or a stream that is there no more go: reports would take them for today's.

    Args:
        scores: of each stream and fusion.
        folder: where the run's own are, or others.
        apart: fewer than there are do not take their place: a run counts unreadable ones as wrong.
    """
    if apart and _are_fewer(scores[0], folder):
        folder = folder.with_name(f"{folder.name}-{_READABLE}")
    for each in scores:
        save_scores(folder / f"{each.stream}-test.npz", each)
    for gone in {*STREAMS, *FUSIONS} - {each.stream for each in scores}:
        (folder / f"{gone}-test.npz").unlink(missing_ok=True)
    return folder


def _are_fewer(scores: VideoScores, folder: Path) -> bool:
    """Tell whether a folder holds scores of these videos and of more."""
    file = folder / f"{scores.stream}-test.npz"
    return file.is_file() and set(scores.video_ids) < set(load_scores(file).video_ids)


def check_out(folder: Path) -> None:
    """Raise a RunError where no scores can be written: before hours of work."""
    try:
        check_writable(folder)
    except OSError as error:
        why = error.strerror or error
        raise RunError(f"{folder} cannot be written to ({why}): choose another --out") from error


def _say_replaced(folder: Path, split: str) -> None:
    """Tell where results of other videos of the same data were."""
    try:
        before = read_json(folder / "results.json").get("split", split)
    except RunError:  # none, or damaged
        return
    if before != split:
        logger.info(
            f"{folder} holds results of {before}, which those of {split} replace: --out FOLDER "
            "keeps both"
        )


def training_scores(run: Path) -> list[VideoScores]:
    """Return what a run's SVM learnt from: out-of-fold scores, in-sample ones where none are."""
    files = [crossfit_file(run, stream) for stream in STREAMS]
    if not all(path.is_file() for path in files):
        files = [run / "scores" / f"{stream}-train.npz" for stream in STREAMS]
    return [load_scores(path) for path in files]
