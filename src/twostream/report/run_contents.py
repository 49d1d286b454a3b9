"""Reading a RUN folder: what is there is kept, what is missing is named with the reason."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twostream.files import PROBED
from twostream.fusion import fuse, match, pooled
from twostream.log_linear import FUSED, LogLinear, read_fusion
from twostream.report.recording_results import RecordingResults, read_recordings
from twostream.report.wording import percent
from twostream.schema import check_json, parse_json
from twostream.scoring import load_scores
from twostream.types import STREAMS, DataError, RunError, TwoStreamError, VideoScores

FUSIONS = (FUSED, "average", "svm")  # what predict answers with comes first
NAMES = {
    "spatial": "Spatial stream",
    "temporal": "Temporal stream",
    "average": "Average",
    "svm": "SVM",
    FUSED: "Fused",
}


@dataclass(frozen=True)
class RunContents:
    """What a RUN folder holds.

    Attributes:
        settings, results: the JSON files; empty where they are missing.
        test: model name -> scores on test clips, in the order of ``NAMES``.
        train: the same on training clips, where they exist.
        learnt: the fusion that the run answers with; None: the average.
        history: stream -> history.json.
        curve: what `twostream curve` found, curve.json; empty where it is missing.
        paired: whether all of ``test`` is on the same clips, and so in the same order.
        recordings: how well bouts are found, where the data are recordings.
        problems: sentences about what could not be used.
    """

    run: Path
    settings: dict[str, Any]
    results: dict[str, Any]
    test: dict[str, VideoScores]
    train: dict[str, VideoScores]
    learnt: LogLinear | None
    history: dict[str, dict[str, Any]]
    curve: dict[str, Any]
    paired: bool
    recordings: RecordingResults | None
    problems: tuple[str, ...]

    @property
    def fusion(self) -> str | None:
        """The fusion that bars and hard clips are drawn for: what predict answers with."""
        answers = FUSED if self.learnt else "average"
        return next((name for name in (answers, *FUSIONS) if name in self.test), None)

    @property
    def reference(self) -> str:
        """The model whose mistakes are shown: the fusion, else the better stream."""
        return self.fusion or max(self.test, key=lambda name: self.test[name].correct().sum())

    def split_notes(self) -> list[str]:
        """Return what was noted when the data was split."""
        noted = self.settings.get("notes")
        return [str(note) for note in noted] if isinstance(noted, list) else []

    def notes(self) -> list[str]:
        """Return what a reader must know before the figures: of the split, and what went wrong."""
        found = [*self.split_notes(), *self.problems]
        for model, scores in self.test.items():
            said = part(self.results, "accuracy").get(model)
            if isinstance(said, int | float) and abs(said - scores.accuracy()) > 1e-4:
                found.append(
                    f"results.json says {percent(said)} for {NAMES[model]}, its score file "
                    f"{percent(scores.accuracy())}: this report follows the score file"
                )
        return found

    def unreadable(self) -> list[tuple[str, str, bool]]:
        """Return (video id, why, whether it is tested) of all videos that could not be read."""
        reasons = {str(k): str(v) for k, v in part(self.results, "unreadable").items()}
        for scores in (*self.test.values(), *self.train.values()):
            reasons |= scores.unreadable
        tested = {video_id for scores in self.test.values() for video_id in scores.unreadable}
        return [(video_id, why, video_id in tested) for video_id, why in sorted(reasons.items())]


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """What the card says of a recipe."""

    name: str | None = None
    steps: int | None = None
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Store:
    """Where pictures of clips come from."""

    root: str | None = None
    flow: str = ""
    short_side: int | None = None
    parameters: dict[str, int | float | str] | None = None


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What reports and cards use of settings.json."""

    dataset: str | None = None
    split: str | None = None
    command: str | None = None
    how: str | None = None
    others: tuple[str, ...] | None = None
    recipe: _Recipe | None = None
    store: _Store | None = None
    start: dict[str, str | bool | None] | None = None


@dataclass(frozen=True, kw_only=True)
class _Results:
    """What they use of results.json."""

    train_videos: int | None = None
    accuracy: dict[str, float | None] | None = None
    seconds: dict[str, float | None] | None = None
    unreadable: dict[str, str] | None = None
    loader_wait: dict[str, float | None] | None = None
    fit_scores: str | None = None


@dataclass(frozen=True, kw_only=True)
class _History:
    """What they use of logs/<stream>/history.json."""

    history: tuple[dict[str, float | None], ...]
    seconds: float | None = None
    loader_wait_seconds: float | None = None
    trained_share: float | None = None


def part(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a JSON object inside another; {} where it is missing or something else."""
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def read_run(run: Path) -> RunContents:
    """Read a RUN folder.

    Raises:
        RunError: no such folder, or no usable scores of test clips in it.
    """
    if not run.is_dir():
        raise RunError(
            f"no RUN folder {run}: train first (twostream train DATA --out {run.name or 'RUN'})"
        )
    if (run / PROBED).is_file():
        raise RunError(
            f"{run} is of an update of last layers, without results, so there is nothing to "
            "report: train anew for them"
        )
    problems: list[str] = []
    test = _scores(run, NAMES, "test", problems)
    if not test:
        raise RunError(
            f"{run} has no scores of test clips (scores/spatial-test.npz or temporal-test.npz), so "
            f"there is nothing to report{': ' + problems[0] if problems else ''}; run "
            f"`twostream evaluate {run}` first"
        )
    paired = True
    try:
        test = dict(zip(test, match(list(test.values())), strict=True))
    except DataError as error:
        paired = False
        problems.append(f"The streams cannot be compared clip by clip: {error}.")
    train = _scores(run, STREAMS, "train", problems)
    learnt = _fusion(run, problems)
    if len(train) == len(STREAMS):
        try:
            streams = list(train.values())
            train["average"] = fuse(streams)
            if learnt:
                train[FUSED] = pooled(streams, learnt)
        except TwoStreamError as error:
            problems.append(f"The streams' scores of training clips do not match: {error}.")
    return RunContents(
        run,
        _json(run / "settings.json", problems, _Settings),
        _json(run / "results.json", problems, _Results),
        test,
        train,
        learnt,
        {stream: _history(run, stream, problems) for stream in STREAMS if stream in test},
        _json(run / "curve.json", problems),
        paired,
        read_recordings(run, problems),
        tuple(problems),
    )


def _scores(
    run: Path, names: Iterable[str], subset: str, problems: list[str]
) -> dict[str, VideoScores]:
    found = {}
    for name in names:
        path = run / "scores" / f"{name}-{subset}.npz"
        if not path.is_file():
            continue
        try:
            if not zipfile.is_zipfile(path):
                raise DataError("it is cut off or no score file")
            found[name] = load_scores(path)
        except (DataError, zipfile.BadZipFile) as error:
            problems.append(f"{path.name} cannot be read ({error}).")
    return found


def _json(path: Path, problems: list[str], kind: type | None = None) -> dict[str, Any]:
    """Return a JSON object; {} where it is missing, damaged, or not what a dataclass declares."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        problems.append(f"{path.name} cannot be read ({error}).")
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path.name} does not hold a JSON object.")
        return {}
    try:
        if kind is not None:
            check_json(kind, content)
    except ValueError as error:
        problems.append(f"{path.name} is damaged, and left out ({error}).")
        return {}
    return content


def _fusion(run: Path, problems: list[str]) -> LogLinear | None:
    try:
        return read_fusion(run)
    except RunError as error:
        problems.append(f"{error}.")
        return None


def _history(run: Path, stream: str, problems: list[str]) -> dict[str, Any]:
    """Return a stream's curves; {} where there are none."""
    content = _json(run / "logs" / stream / "history.json", problems, _History)
    rows = content.get("history")
    usable = isinstance(rows, list) and all(
        isinstance(row, dict)
        and all(isinstance(row.get(key), int | float) for key in ("step", "loss", "accuracy"))
        for row in rows
    )
    return content if usable and rows else {}
