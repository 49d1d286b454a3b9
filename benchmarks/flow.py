"""Every flow estimator on the same frames: speed, end-point error, warping error.

    python benchmarks/flow.py [--data ../shared/data] [--rounds 3] [--out docs/flow-results.md]

Speed at 320 x 240: in every round each estimator computes the same pairs, first on one thread,
then two at a time on two; the ratio to ``tvl1-opencv`` is the median over the rounds, of CPU time,
so that it holds on a busy machine. End-point errors are those of RubberWhale and of the
FlyingChairs pairs in DATA; an error is averaged over the pixels of a pair, then over the pairs.
The warping error is the mean absolute difference, in grey values, of the first frame of a pair of
real clips and the second one warped back, inside the frame.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from twostream.flow import (
    ESTIMATOR_NAMES,
    FlowEstimator,
    find_estimator,
    make_estimator,
    preset_parameters,
)
from twostream.flow.opencv import one_opencv_thread
from twostream.types import TwoStreamError
from twostream.video import VideoReader

REFERENCE = "tvl1-opencv"
SPEED_SIZE = (320, 240)
SLOW_PX = 8.0
CLIPS = (
    ("weizmann", "run", 8),
    ("weizmann", "wave1", 8),
    ("skateboard", "kickflip", 4),
    ("skateboard", "ollie", 4),
)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

Grey = NDArray[np.uint8]
Pair = tuple[Grey, Grey]


@dataclass
class Result:
    """What one estimator, with one preset, did."""

    name: str
    estimators: list[FlowEstimator]
    cpu_seconds: list[float] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: {1: [], 2: []})
    everywhere: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    fast: list[float] = field(default_factory=list)
    warping: list[float] = field(default_factory=list)


def known_pairs(data: Path) -> list[tuple[Pair, NDArray[np.float32]]]:
    """Return RubberWhale and the FlyingChairs pairs; the flow is nan where it is unknown."""
    folder = data / "flow_ground_truth"
    files = [(*(folder / f"rubberwhale/frame1{i}.png" for i in (0, 1)),)]
    truths = [folder / "rubberwhale" / "flow10.flo"]
    for truth in sorted((folder / "flyingchairs").glob("*-gt.flo")):
        stem = truth.name.removesuffix("-gt.flo")
        files.append((*(truth.with_name(f"{stem}-img{i}.png") for i in (0, 1)),))
        truths.append(truth)
    pairs = []
    for frames, path in zip(files, truths, strict=True):
        first, second = (cv2.imread(str(frame), cv2.IMREAD_GRAYSCALE) for frame in frames)
        raw = np.fromfile(path, np.float32)
        flow = raw[3:].reshape(*first.shape, 2).transpose(2, 0, 1)
        pairs.append(((first, second), np.where(np.abs(flow) < 1e9, flow, np.float32(np.nan))))
    return pairs


def real_pairs(data: Path) -> list[Pair]:
    """Return neighbouring frames from the middle of the first clip of each folder of CLIPS."""
    pairs: list[Pair] = []
    for dataset, action, count in CLIPS:
        clip = min(path for path in (data / dataset / action).iterdir() if path.suffix != ".csv")
        with VideoReader(clip) as reader:
            frames = [cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY) for frame in reader]
        start = max(0, (len(frames) - count) // 2)
        chosen = frames[start : start + count + 1]
        pairs.extend(itertools.pairwise(chosen))
    return pairs


def warping_error(pair: Pair, flow: NDArray[np.float32]) -> float:
    first, second = pair
    y, x = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
    x, y = x + flow[0], y + flow[1]
    inside = (x >= 0) & (x <= first.shape[1] - 1) & (y >= 0) & (y <= first.shape[0] - 1)
    warped = cv2.remap(second, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(warped.astype(float) - first)[inside].mean())


def make_results(console: Console, wanted: Sequence[str]) -> list[Result]:
    """Return every estimator and preset; one that cannot be made is named and left out."""
    results = []
    for name in wanted:
        for preset in find_estimator(name).presets:
            try:
                parameters = preset_parameters(name, preset)
                estimators = [make_estimator(name, **parameters) for _ in range(2)]
            except TwoStreamError as error:
                console.print(f"{name} is left out: {error}")
                break
            label = name if preset == "default" else f"{name}, {preset}"
            results.append(Result(label, estimators))
    return results


def measure_errors(
    result: Result, known: Sequence[tuple[Pair, NDArray[np.float32]]], real: Sequence[Pair]
) -> None:
    estimator = result.estimators[0]
    for pair, truth in known:
        error = np.hypot(*(estimator(*pair) - truth))
        length = np.hypot(*truth)
        result.everywhere.append(float(np.nanmean(error)))
        result.slow.append(float(np.nanmean(error[length <= SLOW_PX])))
        if (length > SLOW_PX).any():
            result.fast.append(float(np.nanmean(error[length > SLOW_PX])))
    result.warping = [warping_error(pair, estimator(*pair)) for pair in real]


def measure_speed(result: Result, pairs: Sequence[Pair]) -> None:
    one, other = result.estimators
    started, cpu_started = time.perf_counter(), time.thread_time()
    for pair in pairs:
        one(*pair)
    result.cpu_seconds.append(time.thread_time() - cpu_started)
    result.rates[1].append(len(pairs) / (time.perf_counter() - started))

    def run(estimator: FlowEstimator) -> None:
        for pair in pairs:
            estimator(*pair)

    with ThreadPoolExecutor(2) as pool:
        started = time.perf_counter()
        list(pool.map(run, (one, other)))
        result.rates[2].append(2 * len(pairs) / (time.perf_counter() - started))


def tables(results: Sequence[Result]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return title, header and rows of the two tables."""
    reference = next((result for result in results if result.name == REFERENCE), results[0])
    speed, errors = [], []
    for result in results:
        ratios = [
            theirs / own
            for theirs, own in zip(reference.cpu_seconds, result.cpu_seconds, strict=True)
        ]
        rates = {threads: statistics.median(values) for threads, values in result.rates.items()}
        speed.append(
            [
                result.name,
                f"{statistics.median(ratios):.1f}",
                f"{min(ratios):.1f} to {max(ratios):.1f}",
                f"{rates[1]:.1f}",
                f"{rates[2]:.1f}",
                f"{rates[2] / rates[1]:.2f}",
            ]
        )
        means = (result.everywhere, result.slow, result.fast)
        errors.append(
            [
                result.name,
                f"{result.everywhere[0]:.3f}",
                *(f"{statistics.mean(values):.3f}" for values in means),
                f"{statistics.mean(result.warping):.2f}",
            ]
        )
    return [
        (
            "Speed",
            ["estimator", f"times {reference.name}", "rounds", "pairs/s, 1 thread", "2", "2 / 1"],
            speed,
        ),
        (
            "Errors",
            ["estimator", "RubberWhale, px", "all pairs", "<= 8 px", "> 8 px", "warping, grey"],
            errors,
        ),
    ]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "an unknown processor"
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else "an unknown processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--estimators", nargs="+", default=list(ESTIMATOR_NAMES), choices=ESTIMATOR_NAMES
    )
    parser.add_argument("--out", type=Path, help="also write the tables, as Markdown")
    options = parser.parse_args()
    console = Console()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    known, real = known_pairs(options.data), real_pairs(options.data)
    frames = [known[0][0], known[2][0], real[-CLIPS[-1][2] - 2]]
    pairs = [tuple(cv2.resize(frame, SPEED_SIZE) for frame in pair) for pair in frames]
    results = make_results(console, options.estimators)
    with Progress(console=console, transient=True) as progress, one_opencv_thread():
        task = progress.add_task("measuring", total=len(results) * (1 + options.rounds))
        for result in results:
            measure_errors(result, known, real)  # compiles, too
            progress.advance(task)
        for _ in range(options.rounds):
            for result in results:
                measure_speed(result, pairs)
                progress.advance(task)
    described = (
        f"{processor()}, {os.cpu_count()} cores, OpenCV {cv2.__version__}, "
        f"numba {numba.__version__}; load {load:.1f} before the start, medians of "
        f"{options.rounds} interleaved rounds. Ratios are of CPU time; pairs/s are by the clock "
        "and suffer from other work."
    )
    console.print(described)
    text = f"<!-- written by benchmarks/flow.py -->\n# Flow estimators, measured\n\n{described}\n"
    for title, header, rows in tables(results):
        table = Table(*header, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        text += f"\n## {title}\n\n{markdown(header, rows)}"
    sizes = f"{SPEED_SIZE[0]} x {SPEED_SIZE[1]}"
    text += (
        "\nSpeed: three pairs (RubberWhale, a FlyingChairs pair, a kick of the skateboard) at "
        f"{sizes}. Errors: {len(known)} pairs of known flow, {len(real)} pairs of real clips.\n"
    )
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
