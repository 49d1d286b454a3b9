"""Puts everything on one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twostream.datasets.kept_videos import kept_videos
from twostream.files import write_text
from twostream.report.clip_pictures import colour_wheel, open_store, picture_of
from twostream.report.filter_pictures import FilterPicture, filter_picture
from twostream.report.found_bouts import found_bouts
from twostream.report.hard_clips import hard_clips
from twostream.report.measures import CALIBRATION_BINS, hardest
from twostream.report.model_results import (
    accuracies,
    calibrations,
    class_recalls,
    confusions,
    fusion_gains,
    verdict,
)
from twostream.report.more_clips import more_clips
from twostream.report.run_contents import NAMES, RunContents, part, read_run
from twostream.report.templating import render
from twostream.report.training_curves import training_curves
from twostream.types import STREAMS, LabeledVideo, RunError, TwoStreamError


def write_report(run: Path, *, videos: Mapping[str, LabeledVideo] | None = None) -> Path:
    """Write RUN/report.html, one file that needs no network.

    Args:
        run: the RUN folder.
        videos: video id -> video: for the groups of the test clips, and for pictures of hard clips
            where the flow store is gone.

    Returns:
        Where the report lies.

    Raises:
        RunError: no such folder, no scores in it, or it cannot be written. Anything else that is
            missing is left out of the report, with the reason.
    """
    page = report_page(read_run(run), videos or {})
    path = run / "report.html"
    try:
        write_text(path, page)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror})") from error
    return path


def report_page(contents: RunContents, videos: Mapping[str, LabeledVideo]) -> str:
    """Return the page as HTML."""
    scores = contents.test[contents.reference]
    rows = hardest(scores)
    store = open_store(contents.run, contents.settings)
    known = _fingerprints(contents.run)
    pictures = {
        video_id: picture_of(
            video_id, store, videos.get(video_id), contents.settings, known.get(video_id, "")
        )
        for video_id in (scores.video_ids[row] for row in rows)
    }
    filters = {stream: _filters(contents.run / f"{stream}.safetensors") for stream in STREAMS}
    tested = {videos[i].group for i in scores.video_ids if i in videos and videos[i].group}
    return render(
        "report/templates/report.html.j2",
        title=str(contents.settings.get("dataset") or contents.run.resolve().name),
        split=contents.settings.get("split"),
        classes=len(scores.classes),
        trained=contents.results.get("train_videos"),
        tested=len(scores.video_ids),
        verdict=verdict(contents),
        notes=contents.notes(),
        bouts=found_bouts(contents.recordings, store),
        accuracy=accuracies(contents, len(tested)),
        fusion=fusion_gains(contents),
        learnt=contents.learnt,
        calibration=calibrations(contents),
        calibration_bins=CALIBRATION_BINS,
        per_class=class_recalls(contents),
        confusions=confusions(contents),
        hard_clips=hard_clips(contents, rows, pictures),
        judges=contents.test if contents.paired and len(contents.test) > 1 else {},
        wheel=colour_wheel(),
        training=training_curves(contents),
        more_clips=more_clips(contents),
        filters=filters,
        unreadable=contents.unreadable(),
        settings=_settings(contents),
        version=part(contents.settings, "versions").get("twostream"),
        names=NAMES,
    )


def _fingerprints(run: Path) -> Mapping[str, str]:
    """Return those of the videos that a run began with; none where it does not say."""
    try:
        kept = kept_videos(run)
    except RunError:
        return {}
    return kept.hashes if kept else {}


def _filters(path: Path) -> FilterPicture | str:
    try:
        return filter_picture(path)
    except TwoStreamError as error:
        return str(error) if path.is_file() else f"there is no {path.name}"


def _settings(contents: RunContents) -> dict[str, Any] | str:
    """Return how the run was made: command, settings by topic, where the time went."""
    settings = contents.settings
    if not settings:
        return "settings.json is missing or cannot be read"
    topics = {k: v for k, v in settings.items() if isinstance(v, dict) and v}
    single = {k: v for k, v in settings.items() if not isinstance(v, dict)}
    command = single.pop("command", None)
    single.pop("notes", None)
    seconds = part(contents.results, "seconds").items()
    parts = [(str(what), float(n)) for what, n in seconds if isinstance(n, int | float)]
    return {
        "command": command,
        "seconds": parts,
        "bar": [(f"part{i % 4}", n) for i, (_, n) in enumerate(parts)],
        # the longest list last, where it leaves no hole in the columns
        "topics": [
            ("run", {"folder": str(contents.run)} | single),
            *sorted(topics.items(), key=lambda topic: len(topic[1])),
        ],
    }
