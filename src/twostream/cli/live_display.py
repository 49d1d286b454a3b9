"""What `predict --live` shows: a display on a terminal, else lines."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from twostream.cli.console import Shown
from twostream.terminal import printable

if TYPE_CHECKING:
    from rich.table import Table

    from twostream.prediction import TwoStreamPredictor
    from twostream.prediction.live import LivePrediction

BAR_CELLS = 30


def watch(
    shown: Shown,
    predictor: TwoStreamPredictor,
    name: str,
    options: dict[str, Any],
    *,
    top: int,
    threshold: float,
) -> int:
    """Predict what a source shows until it ends; returns the exit status."""
    from rich.live import Live as Display
    from rich.text import Text

    from twostream.prediction.live import Gap, Live
    from twostream.prediction.predictor import stored_as
    from twostream.prediction.timeline import NONE_LABEL
    from twostream.video.live_sources import open_source

    short_side = stored_as(predictor.spec).short_side
    live = Live(predictor, open_source(name, short_side=short_side), **options)
    display = None
    if shown.out.is_terminal and not shown.as_json:
        waiting = f"{live.source.name}: waiting for frames"
        display = Display(Text(printable(waiting)), console=shown.out)
    status = 0
    try:
        with display or nullcontext():
            for event in live:
                if isinstance(event, Gap):
                    if event.seconds is None:
                        shown.say(f"{event.at_seconds:.1f} s: {event.cause}; waiting for frames")
                    else:
                        shown.say(f"frames again after {event.seconds:.1f} s without")
                    shown.result(event.to_json())
                    continue
                label, score = event.prediction.top(1)[0]
                title = label if score >= threshold else NONE_LABEL
                shown.result({"label": None if score < threshold else label, **event.to_json()})
                if display is not None:
                    display.update(_picture(live.source.name, title, event, top))
                elif not shown.as_json:
                    shown.line(
                        f"{event.prediction.end_seconds:7.1f} s  {title} {score:.2f}  "
                        f"(delay {event.delay_seconds:.2f} s, dropped {event.dropped})"
                    )
    except KeyboardInterrupt:
        status = 130
    summary = live.summary()
    if not summary.frames and not status:
        status = 1
        shown.say(
            f"{live.source.name}: no frame came in {summary.seconds:.1f} s: is it on, and is this "
            "its address?"
        )
    shown.say(
        f"{summary.seconds:.1f} s, {summary.frames} frames, {summary.predictions} predictions, "
        f"longest delay {summary.longest_delay_seconds:.2f} s; {summary.dropped} frames dropped, "
        f"{summary.damaged} damaged, {summary.skipped} windows skipped, {summary.gaps} breaks"
    )
    if summary.dropped or summary.skipped:
        shown.say(
            "this machine was too slow at times: a longer --every, fewer --positions, or a flow "
            "that is quicker, help"
        )
    shown.result({"summary": asdict(summary)})
    return status


def _picture(name: str, title: str, event: LivePrediction, top: int) -> Table:
    """Return the display: the best classes with bars, and how it is going."""
    from rich.table import Table
    from rich.text import Text

    caption = (
        f"delay {event.delay_seconds:.2f} s, {event.frames} frames, "
        f"{event.dropped} dropped, {event.skipped} windows skipped"
    )
    short = name.rpartition("/")[2] or name
    table = Table(
        title=Text(printable(f"{short}, {event.prediction.end_seconds:.1f} s: {title}")),
        caption=caption,
        title_justify="left",
        caption_justify="left",
        show_header=False,
    )
    for label, score in event.prediction.top(top):
        filled = round(BAR_CELLS * score)
        bar = "█" * filled + "·" * (BAR_CELLS - filled)
        table.add_row(Text(printable(label)), bar, f"{100 * score:.0f}%")
    return table
