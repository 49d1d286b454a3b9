"""A live source on this machine: does it keep up, at which delay, with how much memory.

python benchmarks/live.py --video CLIP [--run RUN] [--seconds 60] [--out FILE.md] [--json]

The clip is looped to 320x240 px at 25 frames/s and played at its own speed, as a camera would. Each
engine runs in a process of its own: with the defaults of the command, as several cameras at once,
and asked for far more than it can do, which must cost windows and not delay. Without a RUN the
networks are those of the recipe `standard`, untrained.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from timeline import FPS, SIZE, alone, engines, looped, peak_megabytes
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.live import EVERY_SECONDS, POSITIONS, WINDOW_SECONDS, LivePrediction
from twostream.prediction.live_several import LiveSeveral
from twostream.store.flow_store import StoreSettings
from twostream.video.live_sources import FileSource

CAMERAS = 4
RECIPE = "standard"
SEVERAL = f"{CAMERAS} cameras"
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    SEVERAL: {},
    "too much": {"every_seconds": 0.04, "positions": 25},
    f"{SEVERAL}, too much": {"every_seconds": 0.04, "positions": 25},
}
COLUMNS = (
    "frames/s of flow",
    "predictions/s",
    "predictions of each camera",
    "frames dropped",
    "windows skipped",
    "delay, median s",
    "delay, longest s",
    "cores busy",
    "MB",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, required=True, help="a real clip, to be looped")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path, help="write the table here as Markdown")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folders = engines(options.run, work, RECIPE)
        video = looped(options.video, work / "long.avi", round(options.seconds * FPS))
        results = {
            f"{engine}, {setting}": alone(folder, video, measure_live, setting)
            for setting in SETTINGS
            for engine, folder in folders.items()
        }
    rows = {name: row(result) for name, result in results.items()}
    if options.out:
        options.out.write_text(page(options.seconds, options.run, rows), encoding="utf-8")
    if options.json:
        print(json.dumps(results))
        return
    table = Table(title=f"{options.seconds:g} s of a live source", title_justify="left")
    for column in ("", *COLUMNS):
        table.add_column(column, justify="right" if column else "left")
    for name, values in rows.items():
        table.add_row(name, *values)
    Console().print(table)


def measure_live(folder: Path, video: Path, setting: str) -> dict[str, Any]:
    """Watch a file at its own speed, as each camera; return counts, delays, CPU time and memory."""
    predictor = TwoStreamPredictor.load(folder)
    short_side = StoreSettings.of_model(predictor.spec).short_side
    cameras = CAMERAS if setting.startswith(SEVERAL) else 1
    sources = [FileSource(video, short_side=short_side) for _ in range(cameras)]
    several = LiveSeveral(predictor, sources, **SETTINGS[setting])
    worked = time.process_time()
    delays = [event.delay_seconds for _, event in several if isinstance(event, LivePrediction)]
    worked = time.process_time() - worked
    each = [asdict(live.summary()) for live in several.lives]
    of_all = ("frames", "dropped", "predictions", "skipped")
    return {
        **{name: sum(summary[name] for summary in each) for name in of_all},
        "seconds": max(summary["seconds"] for summary in each),
        "predictions_of_each": [summary["predictions"] for summary in each],
        "median_delay_seconds": statistics.median(delays),
        "longest_delay_seconds": max(summary["longest_delay_seconds"] for summary in each),
        "cpu": worked,
        "megabytes": peak_megabytes(),
    }


def row(result: dict[str, Any]) -> list[str]:
    """Return the columns, of all cameras; predictions are counted from the first full window on."""
    seconds = result["seconds"]
    each = result["predictions_of_each"]
    return [
        f"{(result['frames'] - result['dropped']) / seconds:.1f}",
        f"{result['predictions'] / (seconds - WINDOW_SECONDS):.1f}",
        f"{min(each)} to {max(each)}" if len(each) > 1 else f"{each[0]}",
        f"{result['dropped']}",
        f"{result['skipped']}",
        f"{result['median_delay_seconds']:.2f}",
        f"{result['longest_delay_seconds']:.2f}",
        f"{result['cpu'] / seconds:.2f}",
        f"{result['megabytes']:.0f}",
    ]


def page(seconds: float, run: Path | None, rows: dict[str, list[str]]) -> str:
    """Return the results as a document."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    each = f"OMP_NUM_THREADS={threads}" if threads else "threads as the libraries choose"
    nets = (
        "of a trained run" if run else f"of the recipe `{RECIPE}`, untrained (speed does not care)"
    )
    too_much = SETTINGS["too much"]
    table = [
        f"| | {' | '.join(COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
        *(f"| {name} | {' | '.join(values)} |" for name, values in rows.items()),
    ]
    return f"""# Speed and memory of `predict --live`

Written by `benchmarks/live.py`, not by hand. A real clip of {SIZE[0]}x{SIZE[1]} px, looped and \
played for {seconds:g} s
at {FPS} frames/s, as a camera would give it; both streams, networks {nets}.
Defaults: windows of {WINDOW_SECONDS:g} s every {EVERY_SECONDS:g} s, about {POSITIONS} positions, \
which windows share.
"Too much" asks for a prediction every {too_much["every_seconds"]:g} s on \
{too_much["positions"]} positions, which two cores cannot do: windows are
skipped, and the delay stays where it is. {CAMERAS} cameras are watched in one process, by \
networks that they share; counts
are of all of them, and no camera may have far fewer predictions than another one.

A machine of {os.cpu_count()} cores that others use too, {each};
"cores busy" is how much of them the process was given. The delay is from the end of a window to its
prediction. Memory is the peak of the whole process, libraries included.

{chr(10).join(table)}
"""


if __name__ == "__main__":
    main()
