"""What people see: tables, notes and progress on standard error, results on standard output."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from twostream import stopping
from twostream.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


PLAIN_SECONDS = 5.0


class Shown(logging.Handler):
    """Tables, notes and progress of one command; as a log handler, what the rooms log.

    Names of files and classes may hold ``[...]`` or ``:...:``: nothing is read as markup.

    Args:
        as_json: print one JSON object as the last line of standard output, all else goes to
            standard error.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__(logging.INFO)
        self.as_json = as_json
        from rich.console import Console  # not for every --help

        class Notes(Console):
            """Where nobody reads the notes any more, the work goes on."""

            def print(self, *objects: Any, **how: Any) -> None:
                try:
                    super().print(*objects, **how)
                except BrokenPipeError:
                    self.quiet = True
                    with suppress(OSError, ValueError):
                        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

            def on_broken_pipe(self) -> None:  # newer versions of rich would exit
                raise BrokenPipeError

        as_it_is: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
        self.notes = Notes(stderr=True, soft_wrap=True, **as_it_is)
        self.out = self.notes if as_json else Console(**as_it_is)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}
        logger = logging.getLogger("twostream")
        logger.setLevel(logging.INFO)
        logger.handlers = [self]

    def __getstate__(self) -> dict[str, Any]:
        """Devices of their own process tell progress by lines; consoles do not travel."""
        return {"as_json": self.as_json}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def emit(self, record: logging.LogRecord) -> None:
        """Tell people what a room logs."""
        self.say(record.getMessage())

    def say(self, message: str) -> None:
        """Tell people one sentence."""
        self.notes.print(printable(message), style="dim")

    def line(self, text: str) -> None:
        """Print one line of the result, however long."""
        self.out.print(printable(text), soft_wrap=True)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        text_columns: int = 1,
    ) -> None:
        """Print a title and a table; the first columns are text, the others numbers or text."""
        from rich.table import Table

        self.line(title)  # rich's own would be folded to the width of the table
        table = Table(header_style="bold")
        for i, column in enumerate(columns):
            table.add_column(
                column, justify="left" if i < text_columns else "right", overflow="fold"
            )
        for row in rows:
            table.add_row(*(printable(str(cell)) for cell in row))
        self.out.print(table)

    def summary(
        self, title: str, value: dict[str, Any], failed: Mapping[str, str], what: str
    ) -> int:
        """Show what became of many videos, those that failed by name; return the exit status."""
        if failed:
            self.table(what, ("video", "why"), list(failed.items()))
        self.table(title, tuple(value), [tuple(value.values())])
        return 1 if failed else 0

    def result(self, value: Any) -> None:
        """Print the JSON line, where it was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
            sys.stdout.flush()

    @property
    def has_bars(self) -> bool:
        """Whether progress is shown as bars, with the time left."""
        return self._bars is not None

    @contextmanager
    def progress(self) -> Iterator[Shown]:
        """Show progress while a command runs; without a terminal a line every few seconds."""
        if not self.notes.is_terminal:
            yield self
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description:<18}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
        )
        with Progress(*columns, console=self.notes, transient=False) as self._bars:
            yield self
        self._bars = None

    def step(self, task: str, done: float, total: float, detail: str = "") -> None:
        """Take one step's news: (task, done, total, detail)."""
        stopping.check()
        task, detail = printable(task), printable(detail)
        if self._bars is None:
            now = time.monotonic()
            if done < total and now - self._told.setdefault(task, now) < PLAIN_SECONDS:
                return
            self._told[task] = now
            self.notes.print(f"{task}: {done}/{total} {detail}".rstrip())
            return
        known = self._tasks.get(task)
        if known is None or self._bars.tasks[known].finished:
            known = self._tasks[task] = self._bars.add_task(task, total=total, detail="")
        self._bars.update(known, completed=done, total=total, detail=detail)


def percent(value: float | None) -> str:
    """Return "93.1%", or a dash where there is no value.

    >>> percent(0.931), percent(None)
    ('93.1%', '-')
    """
    return "-" if value is None else f"{100 * value:.1f}%"


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(42.4), duration(754), duration(18_725), duration(200_000)
    ('42 s', '13 min', '5 h 12 min', '55 h 33 min')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class TimeLeft:
    """The time that is left, from how much was done since the first news.

    Args:
        clock: seconds that pass.

    >>> times = iter([0.0, 10.0])
    >>> left = TimeLeft(lambda: next(times))
    >>> left.after(0, 600), left.after(60, 600)
    ('', '90 s left')
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def after(self, done: float, total: float) -> str:
        """Return the time left in words; "" where that is not known yet."""
        now = self._clock()
        self._first = self._first or (now, done)
        began, before = self._first
        if not before < done < total:
            return ""
        return f"{duration((total - done) * (now - began) / (done - before))} left"
