"""How much of a bare loop's speed extraction keeps, how it scales, and what memory it needs.

    python benchmarks/extraction.py                    clips made on the spot
    python benchmarks/extraction.py --clips FOLDER     every video below a folder

The bare loop is PyAV decode + DIS + two JPEGs per pair, one thread, nothing else: no store, no
index, no checks. Both sides run in one process with ``cv2.setNumThreads(1)``, at the same size
and quality, interleaved; medians of the ratios of each round are printed. On a machine that is
busy with something else, look at the ratio by CPU time, and at the scaling not at all.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from twostream.extract import extract
from twostream.flow import make_estimator
from twostream.flow.opencv import Dis, one_opencv_thread
from twostream.flow.store import Kind, StoreSettings
from twostream.types import VIDEO_SUFFIXES, LabeledVideo
from twostream.video import VideoReader, VideoWriter, stored_size

HEIGHT, WIDTH, SHORT_SIDE, QUALITY, FPS = 256, 340, 256, 90, 25.0
TEXTURE_MARGIN = 200


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return (height, width, 3) uint8 with detail at several scales."""
    picture = np.zeros((height, width, 3), np.float32)
    for sigma in (1, 3, 9, 27):
        noise = cv2.GaussianBlur(rng.random((height, width, 3), np.float32), (0, 0), sigma)
        picture += (noise - noise.mean()) / noise.std()
    return np.clip(128 + 30 * picture, 0, 255).astype(np.uint8)


def make_clip(path: Path, frames: int, seed: int, codec: str) -> None:
    """Write a clip of a panning camera over a texture, in front of which two boxes move."""
    rng = np.random.default_rng(seed)
    ground = texture(rng, HEIGHT + TEXTURE_MARGIN, WIDTH + TEXTURE_MARGIN)
    boxes = [texture(rng, side, side) for side in (50, 90)]
    phase = rng.random(6) * 2 * np.pi
    with VideoWriter(path, fps=FPS, width=WIDTH, height=HEIGHT, codec=codec) as writer:
        for t in range(frames):
            swing = np.sin(phase + t * np.array([0.03, 0.04, 0.11, 0.07, 0.05, 0.13])) * 0.5 + 0.5
            top, left = (swing[:2] * TEXTURE_MARGIN).astype(int)
            frame = ground[top : top + HEIGHT, left : left + WIDTH].copy()
            for box, place in zip(boxes, swing[2:].reshape(2, 2), strict=True):
                side = len(box)
                y, x = (place * (HEIGHT - side, WIDTH - side)).astype(int)
                frame[y : y + side, x : x + side] = box
            writer.write(frame)


def bare_loop(paths: Sequence[Path], folder: Path, *, rgb: bool) -> int:
    """Decode, compute flow, write JPEGs; returns the number of pairs."""
    dis = make_estimator("dis")
    assert isinstance(dis, Dis)
    calc = dis._dis.calc
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    pairs = 0
    for path in paths:
        with av.open(str(path)) as container, open(folder / f"{path.name}.bare", "wb") as out:
            before = None
            for frame in container.decode(video=0):
                height, width = stored_size(frame.height, frame.width, SHORT_SIDE)
                grey = np.ascontiguousarray(
                    frame.to_ndarray(format="gray", width=width, height=height)
                )
                if rgb:
                    picture = frame.to_ndarray(format="bgr24", width=width, height=height)
                    out.write(cv2.imencode(".jpg", picture, options)[1].tobytes())
                if before is not None:
                    flow = calc(before, grey, None)
                    codes = np.clip(np.rint(flow * (127 / 20)) + 128, 1, 255).astype(np.uint8)
                    for k in (0, 1):
                        out.write(cv2.imencode(".jpg", codes[:, :, k], options)[1].tobytes())
                    pairs += 1
                before = grey
    return pairs


def extraction(
    videos: Sequence[LabeledVideo], folder: Path, kinds: Sequence[Kind], workers: int
) -> int:
    """Extract into a new store; returns the number of pairs."""
    settings = StoreSettings(short_side=SHORT_SIDE, quality=QUALITY)
    with tempfile.TemporaryDirectory(dir=folder) as store:
        summary = extract(videos, store=store, settings=settings, kinds=kinds, workers=workers)
    assert not summary.failed, summary.failed
    return summary.pairs


def peak_memory_mib(path: Path) -> float:
    """Extract one video in a process of its own and return the largest memory it held."""
    command = [sys.executable, __file__, "--peak-of", str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_peak(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        extraction([LabeledVideo(path.name, path, 0)], Path(folder), ("rgb", "forward"), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak / (1024**2 if sys.platform == "darwin" else 1024))


def measure_speed(console: Console, paths: list[Path], folder: Path, rounds: int) -> None:
    videos = [LabeledVideo(str(i), path, 0) for i, path in enumerate(paths)]
    both: tuple[Kind, ...] = ("rgb", "forward")
    runs = {
        "bare loop, flow": lambda: bare_loop(paths, folder, rgb=False),
        "extract, flow, 1 worker": lambda: extraction(videos, folder, ("forward",), 1),
        "bare loop, flow and frames": lambda: bare_loop(paths, folder, rgb=True),
        "extract, flow and frames, 1 worker": lambda: extraction(videos, folder, both, 1),
        "extract, flow and frames, 2 workers": lambda: extraction(videos, folder, both, 2),
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    cpu_rates: dict[str, list[float]] = {name: [] for name in runs}
    with Progress(console=console, transient=True) as progress, one_opencv_thread():
        task = progress.add_task("measuring", total=rounds * len(runs))
        for _ in range(rounds):
            for name, run in runs.items():
                started, cpu_started = time.perf_counter(), time.process_time()
                pairs = run()
                rates[name].append(pairs / (time.perf_counter() - started))
                cpu_rates[name].append(pairs / (time.process_time() - cpu_started))
                progress.advance(task)
    table = Table("median of the rounds", "pairs/s", "pairs per CPU second")
    for name in runs:
        medians = (statistics.median(values[name]) for values in (rates, cpu_rates))
        table.add_row(name, *(f"{median:.1f}" for median in medians))
    console.print(table)
    names = list(runs)
    ratios = Table("ratio", "by time", "rounds", "by CPU time", "wanted")
    for title, above, below, wanted in (
        ("extract / bare loop, flow", names[1], names[0], 0.9),
        ("extract / bare loop, flow and frames", names[3], names[2], 0.9),
        ("2 workers / 1 worker", names[4], names[3], 1.8),
    ):
        by_time, by_cpu = (
            [a / b for a, b in zip(values[above], values[below], strict=True)]
            for values in (rates, cpu_rates)
        )
        ratios.add_row(
            title,
            f"{statistics.median(by_time):.2f}",
            " ".join(f"{value:.2f}" for value in by_time),
            f"{statistics.median(by_cpu):.2f}",
            f">= {wanted}",
        )
    console.print(ratios)


def measure_memory(console: Console, folder: Path, frames: int) -> None:
    table = Table("frames", "peak memory, MiB")
    for count in (frames, 20 * frames):
        path = folder / f"memory-{count}.mp4"
        make_clip(path, count, 0, "libx264")
        table.add_row(str(count), f"{peak_memory_mib(path):.1f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, help="folder of videos; made on the spot without it")
    parser.add_argument("--num-clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=40, help="per clip that is made")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print_peak(arguments.peak_of)
        return
    console = Console()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.clips:
            paths = sorted(
                path for path in arguments.clips.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES
            )[: arguments.num_clips]
        else:
            paths = []
            for i in range(arguments.num_clips):
                suffix, codec = ((".avi", "mpeg4"), (".mp4", "libx264"))[i % 2]
                paths.append(folder / f"clip{i}{suffix}")
                make_clip(paths[-1], arguments.frames, i, codec)
        with VideoReader(paths[0], short_side=SHORT_SIDE) as reader:
            height, width = reader.size
        console.print(
            f"{len(paths)} clips, the first {width} x {height} px, {os.cpu_count()} cores, "
            f"OpenCV {cv2.__version__}, PyAV {av.__version__}"
        )
        measure_speed(console, paths, folder, arguments.rounds)
        measure_memory(console, folder, arguments.frames)


if __name__ == "__main__":
    main()
