"""The batched solvers on a GPU: pairs/s, against the compiled ones and against the memory's floor.

    python benchmarks/flow_gpu.py [--device cuda] [--rounds 5] [--out docs/flow-gpu.md]

At 340 x 256, all of UCF-101 being 2.4 million pairs. The floor of a method is the time in which the
device can move the bytes that its loops must read and write at least, if every loop were one fused
kernel: its bandwidth is measured by copying, its bytes are counted below from docs/flow.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from flow import SHARED, known_pairs, markdown, processor
from twostream.flow import make_estimator
from twostream.flow.batched import Batched
from twostream.flow.opencv import one_opencv_thread
from twostream.flow.pyramid import level_sizes

HEIGHT, WIDTH = 256, 340
UCF101_PAIRS = 2.4e6
COPIED_BYTES = 1 << 28
# Bytes per pixel of a level: one iteration of TV-L1; one sweep and one step of Brox; both's warp.
TVL1_ITERATION, BROX_SWEEP, BROX_STEP, WARP, MEDIAN = 64, 60, 80, 200, 32


def bytes_per_pair(name: str) -> float:
    """Return the least that one pair moves; of TV-L1's iterations those of one round a warp."""
    p = make_estimator(name).parameters
    levels = int(p["scales" if name == "tvl1" else "levels"])
    pixels = sum(h * w for h, w in level_sizes(HEIGHT, WIDTH, p["scale_step"], levels))
    if name == "tvl1":
        warp = WARP + MEDIAN + p["inner_iterations"] * TVL1_ITERATION
    else:
        step = BROX_STEP + p["sweeps"] * BROX_SWEEP
        warp = WARP + MEDIAN + p["fixed_point_steps"] * step
    return pixels * p["warps"] * warp


def bandwidth(device: str) -> float:
    """Return bytes/s read and written by a copy."""
    one = torch.zeros(COPIED_BYTES // 4, device=device)
    other = torch.empty_like(one)
    return 2 * COPIED_BYTES / best(lambda: other.copy_(one), device, 10)


def best(work: Callable[[], object], device: str, rounds: int) -> float:
    """Return the seconds of the fastest round, the device's queue emptied."""
    fastest = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - started)
    return fastest


def row(name: str, frames: np.ndarray, options: argparse.Namespace, speed: float) -> list[str]:
    solver, own = Batched(name, device=options.device), make_estimator(name)
    count = options.batch or solver.pairs_at_once(HEIGHT, WIDTH)
    batch = [torch.from_numpy(np.stack([frame] * count)) for frame in frames]

    def solve() -> np.ndarray:
        return solver(*batch).cpu().numpy()

    expected, found = own(*frames), solve()[0]  # compiles, warms up
    gpu, cpu = [], []
    for _ in range(options.rounds):
        gpu.append(count / best(solve, options.device, 1))
        cpu.append(1 / best(lambda: own(*frames), "cpu", 2))
    rate = statistics.median(gpu)
    floor = speed / bytes_per_pair(name)
    return [
        name,
        str(count),
        f"{rate:.1f}",
        f"{statistics.median(cpu):.1f}",
        f"{statistics.median(g / c for g, c in zip(gpu, cpu, strict=True)):.2f}",
        f"{floor:.0f}",
        f"{100 * rate / floor:.0f}%",
        f"{UCF101_PAIRS / rate / 3600:.1f}",
        f"{np.hypot(*(found - expected)).mean():.1e}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, help="pairs at once; default: as in extraction")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device is here")
    (whole, _), *_ = known_pairs(options.data)  # RubberWhale
    frames = np.stack([np.ascontiguousarray(frame[60:316, 100:440]) for frame in whole])
    where = torch.cuda.get_device_name() if options.device == "cuda" else processor()
    speed = bandwidth(options.device)
    header = [
        "method",
        "batch",
        "pairs/s",
        "CPU, one thread",
        "ratio",
        "floor, pairs/s",
        "of the floor",
        "UCF-101, hours",
        "mean difference, px",
    ]
    with one_opencv_thread():
        rows = [row(name, frames, options, speed) for name in ("brox", "tvl1")]
    text = (
        f"{where}, {speed / 1e9:.0f} GB/s copied; CPU {processor()}, {os.cpu_count()} cores; torch "
        f"{torch.__version__}, {platform.system()}; {WIDTH} x {HEIGHT}, medians of "
        f"{options.rounds} rounds in turn, transfers to and from the device included."
    )
    console, table = Console(), Table(*header)
    console.print(text)
    for cells in rows:
        table.add_row(*cells)
    console.print(table)
    if options.out:
        options.out.write_text(
            "<!-- written by benchmarks/flow_gpu.py -->\n# The batched solvers, measured\n\n"
            f"{text}\n\n{markdown(header, rows)}",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
