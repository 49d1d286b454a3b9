"""The display of `predict --live` on a terminal: the best classes of one source, a row of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twostream.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from twostream.prediction.live import LivePrediction

BAR_CELLS = 30


class Display:
    """Shows what sources show, for as long as it is entered.

    Args:
        console: a terminal.
        names: of the sources.
        top: how many classes are shown, of one source.
    """

    def __init__(self, console: Console, names: Sequence[str], top: int) -> None:
        from rich.live import Live as LiveDisplay
        from rich.text import Text

        self._last: dict[str, tuple[str, LivePrediction] | None] = dict.fromkeys(names)
        self._top = top
        waiting = Text(printable(f"{', '.join(names)}: waiting for frames"))
        self._display = LiveDisplay(waiting, console=console)

    def __enter__(self) -> Display:
        self._display.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._display.__exit__(*error)

    def show(self, name: str, title: str, event: LivePrediction) -> None:
        """Show what a source has just shown."""
        self._last[name] = title, event
        alone = len(self._last) == 1
        self._display.update(
            _picture(name, title, event, self._top) if alone else _rows(self._last)
        )


def _picture(name: str, title: str, event: LivePrediction, top: int) -> Table:
    """Return the best classes with bars, and how it is going."""
    from rich.table import Table
    from rich.text import Text

    caption = (
        f"delay {event.delay_seconds:.2f} s, {event.frames} frames, "
        f"{event.dropped} dropped, {event.skipped} windows skipped"
    )
    table = Table(
        title=Text(printable(f"{_short(name)}, {event.prediction.end_seconds:.1f} s: {title}")),
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


def _rows(last: dict[str, tuple[str, LivePrediction] | None]) -> Table:
    """Return a row a source: what it showed last, when, and how it is going."""
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    table.add_column("source")
    table.add_column("label")
    for column in ("score", "at, s", "delay, s", "frames", "dropped", "windows skipped"):
        table.add_column(column, justify="right")
    for name, seen in last.items():
        cells = ["-"] * 7
        if seen is not None:
            title, event = seen
            ((_, score),) = event.prediction.top(1)
            times = (f"{event.prediction.end_seconds:.1f}", f"{event.delay_seconds:.2f}")
            counts = (event.frames, event.dropped, event.skipped)
            cells = [title, f"{score:.2f}", *times, *map(str, counts)]
        table.add_row(*(Text(printable(cell)) for cell in (_short(name), *cells)))
    return table


def _short(name: str) -> str:
    return name.rpartition("/")[2] or name
