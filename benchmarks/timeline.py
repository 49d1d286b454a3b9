"""A long video through `predict --timeline`: speed over real time, and memory on the way.

python benchmarks/timeline.py --video CLIP [--run RUN] [--flow dis] [--minutes 60] [--out FILE.md]

The clip is looped into a real file of 320x240 px at 25 frames/s. Each engine goes through it in a
process of its own, with the defaults of the command; memory is that process's peak so far, all
libraries included. Without a RUN the networks are those of a recipe, untrained.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.progress import track
from rich.table import Table

from twostream.flow.opencv import one_opencv_thread
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.timeline import LONG
from twostream.recipe import Recipe
from twostream.recipes import make_recipe
from twostream.types import STREAMS, TemporalInput
from twostream.video import VideoReader, VideoWriter

FPS = 25
SIZE = (320, 240)
SHARES = (0.1, 0.5, 1.0)
PARTS_SECONDS = 20
DIFFERENCES = TemporalInput(length=11, rgb=True, differences=True)
# a run that knows how long bouts last, at its own rate of looks and at fewer
LOOKS = {"a look every 0.2 s": 0.2, "every 1 s": 1.0, "every 2 s": 2.0}
COLUMNS = (
    "times real time",
    "cores busy",
    *(f"MB at {100 * share:.0f}%" for share in SHARES),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, required=True, help="a real clip, to be looped")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--recipe", default="standard", help="of the networks without a RUN")
    parser.add_argument("--flow", help="of the networks without a RUN, instead of the recipe's")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, help="write the table here as Markdown")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folders = engines(options.run, work, make_recipe(options.recipe, flow=options.flow))
        video = looped(options.video, work / "long.avi", round(options.minutes * 60 * FPS))
        results = {engine: alone(folder, video, measure) for engine, folder in folders.items()}
        spent = {
            engine: alone(folder, video, parts)
            for engine, folder in folders.items()
            if "differences" not in engine
        }
        for engine, folder in folders.items():
            for name, every in LOOKS.items():
                results[f"{engine}, {name}"] = alone(folder, video, measure, every)
    rows = {
        engine: [
            f"{result['seconds'] / result['took']:.1f}",
            f"{result['cpu'] / result['took']:.2f}",
            *(f"{megabytes:.0f}" for megabytes in result["megabytes"]),
        ]
        for engine, result in results.items()
    }
    if options.out:
        options.out.write_text(page(options, rows, spent), encoding="utf-8")
    if options.json:
        print(json.dumps({"timelines": results, "parts": spent}))
        return
    table = Table(title=f"{options.minutes:g} minutes of video", title_justify="left")
    for column in ("", *COLUMNS):
        table.add_column(column, justify="right" if column else "left")
    for engine, row in rows.items():
        table.add_row(engine, *row)
    Console().print(table)


def engines(run: Path | None, work: Path, recipe: Recipe) -> dict[str, Path]:
    """Return a folder for each engine: the RUN, or untrained networks, and its export."""
    from twostream.checkpoint import save_model
    from twostream.export import export_onnx
    from twostream.initialise import untrained_model

    runs = {"": run} if run else {}
    if run is None:
        for name, sees in (("", TemporalInput()), (", differences", DIFFERENCES)):
            runs[name] = work / f"run{len(runs)}"
            for stream in STREAMS:
                model = untrained_model(stream, ("walk", "run"), recipe=recipe, temporal=sees)
                save_model(runs[name] / f"{stream}.safetensors", model)
    found = dict[str, Path]()
    for name, folder in runs.items():
        exported = work / f"onnx-{folder.name}"
        export_onnx(folder, exported)
        found |= {f"torch{name}": folder, f"onnxruntime{name}": exported}
    return found


def looped(source: Path, target: Path, frames: int) -> Path:
    """Write a clip at 320x240 px and 25 frames/s, from its start again and again."""
    with VideoReader(source) as reader:
        pictures = [cv2.resize(frame.rgb, SIZE) for frame in itertools.islice(reader, 20 * FPS)]
    with VideoWriter(target, fps=FPS, width=SIZE[0], height=SIZE[1]) as writer:
        endless = itertools.cycle(pictures)
        for _ in track(range(frames), "writing the video", console=Console(stderr=True)):
            writer.write(next(endless))
    return target


def alone(
    folder: Path, video: Path, work: Callable[..., dict[str, Any]], *options: float
) -> dict[str, Any]:
    """Measure in a fresh process, whose memory is its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, folder, video, *options).result()


def measure(folder: Path, video: Path, every: float | None = None) -> dict[str, Any]:
    """Return the video's seconds, those it took, those of all cores, and peak memory at SHARES.

    With ``every`` it looks at one frame and one stack in each so many seconds.
    """
    predictor = TwoStreamPredictor.load(folder)
    windows = dict[str, Any]()
    if every is not None:
        moments = predictor.moments
        windows = {
            "window_seconds": moments.seconds,
            "every_seconds": every,
            "positions": moments.positions,
            "smooth_seconds": moments.smooth_seconds,
        }
    megabytes: list[float] = []

    def progress(task: str, done: float, total: float, detail: str = "") -> None:
        if len(megabytes) < len(SHARES) and done >= SHARES[len(megabytes)] * total:
            megabytes.append(peak_megabytes())
            told = f"{done / (time.perf_counter() - started):.1f} times real time"
            print(f"{folder.name}: {100 * done / total:.0f}%, {told}", file=sys.stderr)

    started, worked = time.perf_counter(), time.process_time()
    timeline = predictor.timeline(video, **windows, progress=progress)
    took = time.perf_counter() - started
    cpu = time.process_time() - worked
    return {"seconds": timeline.seconds, "took": took, "cpu": cpu, "megabytes": megabytes}


def parts(folder: Path, video: Path) -> dict[str, float]:
    """Return the CPU milliseconds that a second of video takes, part by part, the best of three."""
    predictor = TwoStreamPredictor.load(folder)
    recent = predictor.recent_clip(LONG.seconds)
    estimate = recent.estimator
    assert estimate is not None
    every = predictor.num_frames(LONG.every_seconds)
    with VideoReader(video, short_side=recent.settings.short_side) as reader:
        frames = list(itertools.islice(reader, PARTS_SECONDS * FPS))
    greys = [cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY) for frame in frames]
    windows = list(recent.windows(frames, FPS, every))

    def decode() -> None:
        with VideoReader(video, short_side=recent.settings.short_side) as reader:
            for _ in itertools.islice(reader, len(frames)):
                pass

    def flow() -> None:
        with one_opencv_thread():
            for first, second in itertools.pairwise(greys):
                estimate(first, second)

    def keep() -> None:
        for _ in predictor.recent_clip(LONG.seconds).windows(frames, FPS, every):
            pass

    def look() -> None:
        for _ in predictor.slide(windows, LONG):
            pass

    works = {"decoding": decode, "flow": flow, "flow and JPEG": keep, "networks": look}
    found = {name: 1000 * min(cpu_seconds(work) for _ in range(3)) for name, work in works.items()}
    found["JPEG, as the store keeps it"] = found.pop("flow and JPEG") - found["flow"]
    return {name: spent / PARTS_SECONDS for name, spent in found.items()}


def cpu_seconds(work: Callable[[], None]) -> float:
    """Return the CPU time of all threads for it."""
    before = time.process_time()
    work()
    return time.process_time() - before


def peak_megabytes() -> float:
    """Return the most memory that this process has had in RAM so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage tells on Linux includes the process that started this
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def page(
    options: argparse.Namespace, rows: dict[str, list[str]], spent: dict[str, dict[str, float]]
) -> str:
    """Return the results as a document."""
    minutes, recipe = options.minutes, options.recipe
    threads = os.environ.get("OMP_NUM_THREADS", "")
    each = f"OMP_NUM_THREADS={threads}" if threads else "threads as the libraries choose"
    table = [
        f"| | {' | '.join(COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
        *(f"| {engine} | {' | '.join(row)} |" for engine, row in rows.items()),
    ]
    cores = os.cpu_count() or 1
    floors = [
        f"{engine} {1000 * cores / sum(found.values()):.1f}" for engine, found in spent.items()
    ]
    part_table = [
        f"| CPU ms a second of video | {' | '.join(spent)} |",
        f"|---|{'---|' * len(spent)}",
        *(
            f"| {name} | {' | '.join(f'{found[name]:.0f}' for found in spent.values())} |"
            for name in next(iter(spent.values()))
        ),
    ]
    recipe += f", flow `{options.flow}`" if options.flow else ""
    nets = f"of the recipe `{recipe}`, untrained (speed does not care)"
    if options.run:
        nets = "of a trained run"
    return f"""# Speed and memory of `predict --timeline`

Written by `benchmarks/timeline.py`, not by hand. A real clip looped to {minutes:g} minutes of \
{SIZE[0]}x{SIZE[1]} px at {FPS} frames/s, as a file;
both streams, networks {nets}; \
"differences":
the temporal one sees what each of eleven frames has more than the one before
(`train --differences`), and no flow.
The command's defaults: windows of {LONG.seconds:g} s every {LONG.every_seconds:g} s, \
about {LONG.positions} positions each, which windows share. And those of a run that knows how long
bouts last: one frame and one stack every 0.2 s, or every second (`--every 1`) or two, which leaves
out the flow between them.

A machine of {os.cpu_count()} cores that others use too, {each};
"cores busy" is how much of them the process was given. Memory is the peak of the whole process so
far, libraries included, when that share of the video is done.

{chr(10).join(table)}

Where the time goes, each part alone, the best of three:

{chr(10).join(part_table)}

Were all {cores} cores busy with nothing else, that would be {", ".join(floors)} times real time.
"""


if __name__ == "__main__":
    main()
