"""Extraction: against OpenCV's TV-L1, its scaling, parts, memory, start-up; and a bare loop.

    python benchmarks/extraction.py [--video CLIP] [--rounds 5] [--out docs/extraction-results.md]

Every comparison takes turns in one process, with one OpenCV thread. Ratios are of CPU time where
that is what is asked, so that they hold on a busy machine. 2 workers against 1 can only be seen by
the clock, so two processes that share nothing run in the same rounds. The bare loop is PyAV decode
+ DIS + two JPEGs per pair, one thread, nothing else: no store, no index, no checks.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from extraction_parts import (
    end_to_end,
    looped,
    overhead_per_clip,
    parts_of_a_pair,
    run_extraction,
    scaling,
    start_up,
    timed,
)
from flow import SHARED, markdown, processor
from twostream.flow import make_estimator
from twostream.flow.opencv import Dis, one_opencv_thread, set_scales
from twostream.store.flow_store import Kind
from twostream.video import VideoWriter, stored_size

HEIGHT, WIDTH, SHORT_SIDE, QUALITY, FPS = 256, 340, 256, 90, 25.0
TEXTURE_MARGIN = 200
CALM = SHARED / "robustness" / "v_ApplyEyeMakeup_g01_c01.avi"
MOVING = SHARED / "skateboard" / "kickflip" / "kickflip000.mp4"
SMALL = SHARED / "weizmann" / "run" / "daria_run.mp4"
SCALED = ("dis", "brox", "tvl1")
SCALING_CLIPS = 4
MADE_FRAMES = 20
MEMORY_FRAMES = (60, 1200)


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
    chosen = dis.chosen
    set_scales(dis._dis, chosen.finest_scale, chosen.patch_size, chosen.patch_stride)
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


def peak_memory_mib(path: Path) -> float:
    """Extract one video in a process of its own and return the largest memory it held."""
    command = [sys.executable, __file__, "--peak-of", str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_peak(path: Path) -> None:
    run_extraction([path], "brox:fast", kinds=("rgb", "forward"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak / (1024**2 if sys.platform == "darwin" else 1024))


def against_a_bare_loop(paths: list[Path], folder: Path, rounds: int) -> list[list[str]]:
    """Return rows of (what, ratio by the clock, by CPU time), medians of the rounds."""
    both: tuple[Kind, ...] = ("rgb", "forward")
    size = {"short_side": SHORT_SIDE}
    runs = {
        "flow": (
            lambda: bare_loop(paths, folder, rgb=False),
            lambda: run_extraction(paths, "dis", **size),
        ),
        "flow and frames": (
            lambda: bare_loop(paths, folder, rgb=True),
            lambda: run_extraction(paths, "dis", kinds=both, **size),
        ),
    }
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (bare, whole) in runs.items():
            one, other = timed(bare), timed(whole)
            ratios[name].append((one[0] / other[0], one[1] / other[1]))
    return [
        [name, *(f"{statistics.median(values):.2f}" for values in zip(*found, strict=True))]
        for name, found in ratios.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, default=CALM, help="a real clip, looped")
    parser.add_argument("--moving", type=Path, default=MOVING, help="one in which more moves")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flows", nargs="+", default=["dis", "brox", "dis-brox", "tvl1"])
    parser.add_argument("--out", type=Path, help="also write the tables, as Markdown")
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print_peak(arguments.peak_of)
        return
    console = Console()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    text = (
        f"{processor()}, {os.cpu_count()} cores, OpenCV {cv2.__version__}, PyAV {av.__version__}; "
        f"load {load:.1f} before the start, {arguments.rounds} rounds in turn."
    )
    console.print(text)
    page = f"<!-- written by benchmarks/extraction.py -->\n# Extraction, measured\n\n{text}\n"
    tables = measure(arguments.video, arguments.moving, arguments.flows, arguments.rounds, console)
    for title, note, header, rows in tables:
        table = Table(*header, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        page += f"\n## {title}\n\n{note}\n\n{markdown(header, rows)}"
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


def measure(
    video: Path, moving: Path, flows: Sequence[str], rounds: int, console: Console
) -> Iterator[tuple[str, str, list[str], list[list[str]]]]:
    """Yield title, note, header and rows of each table."""
    with (
        tempfile.TemporaryDirectory() as temporary,
        Progress(console=console, transient=True) as progress,
        one_opencv_thread(),
    ):
        folder = Path(temporary)
        task = progress.add_task("measuring", total=3 * rounds + 5)
        yield (
            "Start",
            "A process that computes one pair with each of tvl1, brox and dis-brox; the first "
            "finds an empty cache of compiled code.",
            ["process", "seconds", "CPU seconds", "kernels compiled", "says"],
            start_up(),
        )
        progress.advance(task)
        clip = looped(video, folder / "clip.avi", 41, (240, 320))
        for flow in flows:
            run_extraction([clip], flow)  # compiles
        table: list[list[str]] = []
        for source in (video, moving):
            own = looped(source, folder / f"{source.stem}.avi", 41, (240, 320))
            for rows in end_to_end(source.stem, own, flows, rounds):  # noqa: B007
                progress.advance(task)
            table += rows
        yield (
            "Against OpenCV's TV-L1, one core",
            "Decoding, flow and storing of 40 pairs at 320 x 240, one worker, against the flow "
            "alone of DualTVL1OpticalFlow with its defaults on every fifth of the pairs; CPU time. "
            "That takes longer the more moves, the others (but tvl1) always the same.",
            ["clip", "flow", "times OpenCV's TV-L1", "rounds", "CPU ms a pair, best", "OpenCV's"],
            table,
        )
        clips = [
            looped(video, folder / f"clip{i}.avi", 16, (240, 320)) for i in range(SCALING_CLIPS)
        ]
        wanted = [flow for flow in flows if flow in SCALED]
        for rows in scaling(clips, wanted, rounds):  # noqa: B007
            progress.advance(task)
        yield (
            "2 workers against 1",
            "By the clock, on a machine with other work (see the load): fastest rounds. Two "
            "processes that share nothing show what it gives to two threads; workers over "
            "processes (median of the rounds) is what is lost by sharing. By CPU time: what is "
            "left where each worker has a core to itself.",
            ["flow", "of", "2 workers", "2 processes", "workers / processes", "by CPU time"],
            rows,
        )
        yield (
            "Parts of a pair",
            "CPU ms a frame at 320 x 240, one thread, fastest of five.",
            ["part", "ms"],
            parts_of_a_pair(clip, flows),
        )
        progress.advance(task)
        paths = []
        for i, (suffix, codec) in enumerate(((".avi", "mpeg4"), (".mp4", "libx264"))):
            paths.append(folder / f"made{i}{suffix}")
            make_clip(paths[-1], MADE_FRAMES, i, codec)
        yield (
            "Speed kept of a bare loop",
            f"dis at {WIDTH} x {HEIGHT}, one worker.",
            ["what", "by the clock", "by CPU time"],
            against_a_bare_loop(paths, folder, rounds),
        )
        progress.advance(task)
        overhead = overhead_per_clip(video, folder, 60)
        yield (
            "Many short clips",
            "60 clips of one second, 64 x 48, brox, one worker, against their frames in one file.",
            ["what", "CPU ms a clip"],
            [["opening, headers, renaming, checks", f"{overhead:.1f}"]],
        )
        progress.advance(task)
        rows = []
        for count in MEMORY_FRAMES:
            path = looped(video, folder / f"memory{count}.avi", count, (240, 320))
            rows.append([str(count), f"{peak_memory_mib(path):.0f}"])
        yield (
            "Memory",
            "Peak of a process that extracts one looped clip, frames and flow, brox:fast.",
            ["frames", "MiB"],
            rows,
        )
        progress.advance(task)


if __name__ == "__main__":
    main()
