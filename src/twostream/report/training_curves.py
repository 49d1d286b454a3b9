"""How training went: loss and accuracy over the steps, and what it cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from twostream.report.charts import curve_plot
from twostream.report.measures import accuracy
from twostream.report.run_contents import RunContents, part
from twostream.report.wording import DASH, percent

_PLOTS = {
    "loss": ("Loss (cross entropy)", "Bold: smoothed."),
    "accuracy": ("Accuracy on training batches", "Dashed: accuracy on test clips."),
}


def training_curves(contents: RunContents) -> dict[str, Any] | str:
    """Return the plots and a row of figures for each stream, or why there is none."""
    history = {stream: log for stream, log in contents.history.items() if log}
    if not history:
        return "there are no training logs (logs/<stream>/history.json)"
    plots, broken = [], []
    for what, (title, note) in _PLOTS.items():
        curves: dict[str, tuple[list[float], list[float]]] = {}
        for stream, log in history.items():
            steps, values = ([float(row[key]) for row in log["history"]] for key in ("step", what))
            finite = np.isfinite(values)
            if not finite.all():
                broken.append(f"{stream} {what}")
            if finite.any():
                curves[stream] = (steps, values)
        if curves:
            levels = {stream: accuracy(contents.test[stream]).share for stream in curves}
            shares = what == "accuracy"
            plot = curve_plot(curves, levels if shares else {}, shares=shares)
            plots.append(plot | {"title": title, "note": note})
    return {
        "logs": history,
        "plots": plots,
        "broken": ", ".join(sorted(broken, key=lambda each: each.split()[0])),
        "waits": {stream: _wait(contents, stream, log) for stream, log in history.items()},
    }


def _wait(contents: RunContents, stream: str, log: dict[str, Any]) -> str:
    wait = part(contents.results, "loader_wait").get(stream)
    if isinstance(wait, int | float):
        return percent(float(wait))
    waited, total = log.get("loader_wait_seconds"), log.get("seconds")
    if isinstance(waited, int | float) and isinstance(total, int | float) and total:
        return percent(waited / total)
    return DASH
