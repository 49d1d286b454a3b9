"""Puts the sections on one self-contained page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from twostream.files import write_text
from twostream.report.charts import clips, escape, name
from twostream.report.clip_pictures import (
    FilterPicture,
    colour_wheel,
    filter_picture,
    open_store,
    picture_of,
)
from twostream.report.contents import STREAMS, RunContents, read_run
from twostream.report.details import (
    clips_section,
    filter_section,
    notes_section,
    settings_section,
    training_section,
    unreadable_section,
)
from twostream.report.measures import hardest
from twostream.report.sections import (
    accuracy_section,
    class_section,
    confusion_section,
    fusion_section,
    verdict,
)
from twostream.report.style import STYLE
from twostream.store.flow_store import FlowStore
from twostream.types import LabeledVideo, RunError, StoreError, TwoStreamError

Progress = Callable[[str, int, int, str], None]
# Nothing may be fetched and no script may run, whatever a class or file is called.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(
    run: Path,
    *,
    videos: Mapping[str, LabeledVideo] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write RUN/report.html, one file that needs no network.

    Args:
        run: the RUN folder.
        videos: video id -> video: for the groups of the test clips, and for pictures of hard clips
            where the flow store is gone.
        progress: called as (task, done, total, detail).

    Returns:
        Where the report lies.

    Raises:
        RunError: no such folder, no scores in it, or it cannot be written. Anything else that is
            missing is left out of the report, with the reason.
    """
    contents = read_run(run)
    page = render(contents, videos or {}, progress or (lambda *_: None))
    path = run / "report.html"
    try:
        write_text(path, page)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror})") from error
    return path


def render(contents: RunContents, videos: Mapping[str, LabeledVideo], progress: Progress) -> str:
    """Return the page as HTML."""
    scores = contents.test[contents.reference]
    rows = hardest(scores)
    work, done = len(rows) + len(STREAMS), 0
    store = _store(contents)
    pictures = {}
    for video_id in (scores.video_ids[row] for row in rows):
        pictures[video_id] = picture_of(video_id, store, videos.get(video_id), contents.settings)
        done += 1
        progress("report", done, work, video_id)
    filters: dict[str, FilterPicture | str] = {}
    for stream in STREAMS:
        path = contents.run / f"{stream}.safetensors"
        try:
            filters[stream] = filter_picture(path)
        except TwoStreamError as error:
            filters[stream] = str(error) if path.is_file() else f"there is no {path.name}"
        done += 1
        progress("report", done, work, f"{stream} filters")
    tested = {videos[i].group for i in scores.video_ids if i in videos and videos[i].group}
    sections = [
        ("accuracy", "How accurate", accuracy_section(contents, len(tested))),
        ("fusion", "Where fusion wins", fusion_section(contents)),
        ("classes", "Which stream helps which class", class_section(contents)),
        ("confusion", "What is taken for what", confusion_section(contents)),
        ("clips", "The hardest clips", clips_section(contents, rows, pictures, colour_wheel())),
        ("training", "How training went", training_section(contents)),
        ("filters", "What the first layers learnt", filter_section(filters)),
        ("unreadable", "Videos that could not be read", unreadable_section(contents)),
        ("settings", "How this run was made", settings_section(contents)),
    ]
    links = "".join(f'<a href="#{key}">{_SHORT[key]}</a>' for key, _, _ in sections)
    body = "".join(
        f'<section id="{key}"><h2>{title}</h2>{content}</section>'
        for key, title, content in sections
    )
    first, second = verdict(contents)
    dataset, split = contents.settings.get("dataset"), contents.settings.get("split")
    title = dataset or contents.run.resolve().name
    facts = [name(split)] if split else []
    facts.append(f"{len(scores.classes)} classes")
    trained = contents.results.get("train_videos")
    if isinstance(trained, int):
        facts.append(f"{trained:,} training clips")
    facts.append(f"{clips(len(scores.video_ids)).replace('clip', 'test clip')}")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} &ndash; twostream report</title>"
        f"<style>{STYLE}</style></head><body>"
        '<header><p class="eyebrow">twostream report</p>'
        f"<h1>{name(title)}</h1><p class='facts'>{' · '.join(facts)}</p>"
        f'<p class="verdict">{first}</p><p class="second">{second}</p></header>'
        f'<nav aria-label="Sections">{links}</nav><main>{notes_section(contents)}{body}</main>'
        f"<footer>Two-stream action recognition after Simonyan and Zisserman (2014). "
        f"{_made_with(contents)}</footer></body></html>\n"
    )


_SHORT = {
    "accuracy": "Accuracy",
    "fusion": "Fusion",
    "classes": "Classes",
    "confusion": "Confusion",
    "clips": "Hardest clips",
    "training": "Training",
    "filters": "Filters",
    "unreadable": "Unreadable",
    "settings": "Settings",
}


def _store(contents: RunContents) -> FlowStore | StoreError:
    try:
        return open_store(contents.run, contents.settings)
    except StoreError as error:
        return error


def _made_with(contents: RunContents) -> str:
    version = contents.setting("versions", "twostream")
    return f"Made with twostream {escape(version)}." if version else "Made with twostream."
