"""The page: send or pick a video, see what the networks say, when, and why."""

# gradio reads the types of its handlers: they must not be strings
import os
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from twostream.prediction import Timeline
from twostream.types import Stream, TwoStreamError, UsageError
from twostream.web import markup
from twostream.web.analysis import Analysis, Moment, in_words
from twostream.web.explain import SEES
from twostream.web.pictures import flow_picture, heat, to_uri
from twostream.web.service import Service
from twostream.web.uploads import shown_name

# before gradio is imported: it must not tell anybody, nor look for a newer version of itself
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

HERE = Path(__file__).parent
NO_SALIENCY = "Where the networks looked needs the run itself: an export has no gradients."


def build_page(service: Service) -> Any:
    """Return the gradio page of a service.

    Raises:
        UsageError: gradio is not installed.
    """
    try:
        import gradio as gr
    except ImportError as error:
        raise UsageError("the page needs gradio: pip install 'twostream[web]'") from error

    def show(taken: Any, name: str, progress: Any) -> tuple[Any, str, str, str]:
        """Return the key, headline, time line and first moment of a video, or what is wrong."""

        def tell(share: float, words: str) -> None:
            progress(share, desc=words)

        try:
            with service.analysed(taken, name, tell) as (analysis, prediction):
                timeline = analysis.timeline(lambda share, words: tell(0.5 + share / 2, words))
        except TwoStreamError as error:
            return None, markup.problem(in_words(error, name)), "", ""
        seconds = float(timeline.times[int(timeline.scores.max(axis=1).argmax())])
        head = markup.headline(prediction, name, analysis.warning)
        track = markup.track(timeline, seconds)
        key = service.keep(analysis, timeline)
        return key, head, track, show_moment(analysis, timeline, seconds)

    def sent(event: gr.EventData, progress=gr.Progress()) -> tuple[Any, str, str, str]:  # type: ignore[no-untyped-def]  # noqa: B008
        told = event._data if isinstance(event._data, dict) else {}
        return show(told.get("token"), shown_name(told.get("name")), progress)

    def picked(event: gr.EventData, progress=gr.Progress()) -> tuple[Any, str, str, str]:  # type: ignore[no-untyped-def]  # noqa: B008
        told = event._data if isinstance(event._data, dict) else {}
        index = told.get("index")
        if not isinstance(index, int) or not 0 <= index < len(service.videos):
            return None, markup.problem("this video is not in the list"), "", ""
        video = service.videos[index]
        return show(video, video.name, progress)

    def looked(key: str | None, event: gr.EventData) -> str:
        told = event._data if isinstance(event._data, dict) else {}
        seconds = told.get("seconds")
        found = service.kept(key)
        if found is None:
            return markup.problem("this video is not in memory any more: send it again")
        if not isinstance(seconds, int | float) or not np.isfinite(seconds):
            return markup.problem("a moment is a number of seconds")
        return show_moment(*found, float(seconds))

    with gr.Blocks(title="twostream", analytics_enabled=False, fill_width=True) as page:
        key = gr.State(None)
        gr.HTML(_head(service), elem_classes="ts")
        send = gr.HTML(
            _form(service), js_on_load=(HERE / "send.js").read_text("utf-8"), elem_classes="ts"
        )
        result = gr.HTML("", elem_classes="ts", elem_id="ts-result", min_height=90)
        when = gr.HTML("", js_on_load=(HERE / "track.js").read_text("utf-8"), elem_classes="ts")
        now = gr.HTML("", elem_classes="ts", elem_id="ts-now")
        # no input but the key: nothing that a visitor sends reaches gradio's handling of files
        work = {
            "outputs": [key, result, when, now],
            "concurrency_limit": service.limits.at_once,
            "concurrency_id": "videos",
            "show_progress_on": result,
            "api_visibility": "private",
        }
        send.sent(sent, **work)
        send.picked(picked, **work)
        when.moment(
            looked,
            inputs=[key],
            outputs=[now],
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_limit=service.limits.at_once,
            api_visibility="private",
        )
    page.queue(max_size=service.limits.max_files)
    return page


def theme() -> Any:
    """Return a theme whose fonts are the system's: the page must work offline."""
    import gradio as gr

    return gr.themes.Default(
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def show_moment(analysis: Analysis, timeline: Timeline, seconds: float) -> str:
    """Return the HTML of a moment: frame, flow, where each stream looked, and the scores there."""
    moment = analysis.moment(seconds)
    row = int(np.abs(timeline.times - moment.seconds).argmin())
    fused = timeline.scores[row]
    streams = {name: scores[row] for name, scores in timeline.streams.items()}
    pictures = {"frame": moment.frame}
    if moment.field is not None:
        pictures["flow: colour is direction"] = flow_picture(moment.field)
    notes = []
    if all(hasattr(stream, "model") for stream in analysis.predictor.streams.values()):
        pictures |= _looked(analysis, moment, int(fused.argmax()))
    else:
        notes.append(NO_SALIENCY)
    uris = {text: to_uri(picture) for text, picture in pictures.items()}
    return markup.moment(moment.seconds, uris, notes, timeline.classes, fused, streams)


def _looked(analysis: Analysis, moment: Moment, label: int) -> dict[str, Any]:
    """Return caption -> picture of where each stream looked for a class."""
    from twostream.prediction.saliency import saliency

    pictures = {}
    order: tuple[Stream, ...] = ("spatial", "temporal")
    for name in (name for name in order if name in moment.stacks):
        stream: Any = analysis.predictor.streams[name]
        map_ = saliency(stream.model, moment.stacks[name], label)
        pictures[f"where {SEES[name]} looked"] = heat(moment.frame, map_)
    return pictures


def _head(service: Service) -> str:
    classes = service.predictor.spec.classes
    some = ", ".join(classes[:12]) + (f" and {len(classes) - 12} more" if len(classes) > 12 else "")
    return (
        f'<header class="ts-top"><h1>twostream</h1><p><b>{escape(service.name)}</b> knows '
        f"{len(classes)} actions: {escape(some)}.</p></header>"
    )


def _form(service: Service) -> str:
    limits = service.limits
    options = "".join(
        f'<option value="{i}">{escape(video.name)}</option>'
        for i, video in enumerate(service.videos)
    )
    pick = (
        f'<label class="ts-pick">or pick one <select><option value="">...</option>{options}'
        "</select></label>"
        if options
        else ""
    )
    return (
        f'<div class="ts-send" data-max-bytes="{limits.max_bytes}" '
        f'data-max-mb="{limits.max_mb:g}"><label class="ts-drop">'
        '<input type="file" id="ts-file" accept="video/*,.avi,.mkv,.mts,.flv,.wmv">'
        f"<b>Choose a video</b><span>or drop it here; up to {limits.max_mb:g} MB and "
        f"{limits.max_seconds:g} s</span></label>{pick}"
        '<p class="ts-said" id="ts-said" role="status"></p></div>'
    )
