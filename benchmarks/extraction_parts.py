"""What extraction costs and where: parts of a pair, many clips, start-up; for extraction.py."""

from __future__ import annotations

import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from twostream.extraction import extract
from twostream.flow import make_estimator
from twostream.flow.estimators import to_grey
from twostream.store.coding import encode_field, encode_jpeg
from twostream.store.flow_store import Kind, StoreSettings
from twostream.types import LabeledVideo
from twostream.video import VideoReader, VideoWriter

REFERENCE_EVERY = 5  # pairs from one that OpenCV's TV-L1, the slow one, computes to the next
QUALITY = 90
PARTS_FRAMES = 40

Row = list[str]


def looped(source: Path, target: Path, frames: int, size: tuple[int, int]) -> Path:
    """Write so many frames of a video, forwards and backwards in turn, at a (height, width)."""
    with VideoReader(source) as reader:
        known = [cv2.resize(frame.rgb, size[::-1]) for frame in itertools.islice(reader, frames)]
    order = itertools.cycle([*range(len(known)), *range(len(known) - 2, 0, -1)])
    with VideoWriter(target, fps=25, width=size[1], height=size[0], quality=3) as writer:
        for i in itertools.islice(order, frames):
            writer.write(known[i])
    return target


def run_extraction(
    paths: Sequence[Path],
    flow: str,
    *,
    workers: int = 1,
    kinds: Sequence[Kind] = ("forward",),
    short_side: int | None = None,
) -> int:
    """Extract into a new store; returns the number of pairs."""
    estimator = make_estimator(flow)
    settings = StoreSettings(
        flow=estimator.name,
        parameters=dict(estimator.parameters),
        short_side=short_side,
        quality=QUALITY,
    )
    videos = [LabeledVideo(str(i), path, 0) for i, path in enumerate(paths)]
    with tempfile.TemporaryDirectory() as store:
        summary = extract(
            videos, store=store, settings=settings, kinds=kinds, workers=workers, device="cpu"
        )
    assert not summary.failed, summary.failed
    return summary.pairs


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds by the clock and of this process's CPU."""
    started, cpu_started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - cpu_started


def end_to_end(name: str, clip: Path, flows: Sequence[str], rounds: int) -> Iterator[list[Row]]:
    """Yield, after each round, rows of (clip, flow, ratio to OpenCV's TV-L1, rounds, ms a pair)."""
    with VideoReader(clip) as reader:
        greys = [to_grey(frame) for frame in reader]
    pairs = list(itertools.pairwise(greys))[::REFERENCE_EVERY]
    opencv = make_estimator("tvl1-opencv")
    seconds: dict[str, list[float]] = {flow: [] for flow in ("tvl1-opencv", *flows)}
    for _ in range(rounds):
        _, cpu = timed(lambda: [opencv(*pair) for pair in pairs])
        seconds["tvl1-opencv"].append(cpu / len(pairs))
        for flow in flows:
            _, cpu = timed(lambda flow=flow: run_extraction([clip], flow))
            seconds[flow].append(cpu / (len(greys) - 1))
        yield [[name, *_end_to_end_row(flow, seconds)] for flow in flows]


def _end_to_end_row(flow: str, seconds: dict[str, list[float]]) -> Row:
    own, reference = seconds[flow], seconds["tvl1-opencv"]
    ratios = [theirs / mine for theirs, mine in zip(reference, own, strict=True)]
    return [
        flow,
        f"{statistics.median(ratios):.1f}",
        f"{min(ratios):.1f} to {max(ratios):.1f}",
        f"{1000 * min(own):.1f}",
        f"{1000 * min(reference):.0f}",
    ]


def scaling(clips: Sequence[Path], flows: Sequence[str], rounds: int) -> Iterator[list[Row]]:
    """Yield, after each round, rows of 2 workers against 1: many clips, and one clip alone.

    Two processes with one worker and all the clips each, which share nothing, do twice the work in
    the same rounds: they tell what the machine gives to two threads at the time.
    """
    cases = [(flow, label, some) for flow in flows for label, some in _clip_sets(clips)]
    spent: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(run_extraction, [clips[:1]] * 4, list(flows[:1]) * 4))  # they start
        for _ in range(rounds):
            for flow, label, some in cases:
                for how, work in {
                    "1": partial(run_extraction, some, flow, workers=1),
                    "2": partial(run_extraction, some, flow, workers=2),
                    "processes": partial(_in_two_processes, pool, some, flow),
                }.items():
                    spent.setdefault((flow, label, how), []).append(timed(work))
            yield [_scaling_row(flow, label, spent) for flow, label, _ in cases]


def _in_two_processes(pool: ProcessPoolExecutor, clips: Sequence[Path], flow: str) -> None:
    list(pool.map(run_extraction, [clips] * 2, [flow] * 2))


def _scaling_row(
    flow: str, label: str, spent: dict[tuple[str, str, str], list[tuple[float, float]]]
) -> Row:
    one, two, processes = (np.array(spent[flow, label, how]).T for how in ("1", "2", "processes"))
    return [
        flow,
        label,
        f"{one[0].min() / two[0].min():.2f}",
        f"{2 * one[0].min() / processes[0].min():.2f}",
        f"{np.median(processes[0] / two[0]) / 2:.2f}",
        f"{2 * one[1].min() / two[1].min():.2f}",
    ]


def _clip_sets(clips: Sequence[Path]) -> list[tuple[str, Sequence[Path]]]:
    return [(f"{len(clips)} clips", clips), ("1 clip", clips[:1])]


def parts_of_a_pair(clip: Path, flows: Sequence[str]) -> list[Row]:
    """Return rows of (part, CPU ms a frame), the fastest of several rounds."""
    fastest: dict[str, float] = {}

    def measure(part: str, works: Sequence[Callable[[], object]]) -> list[Any]:
        started = time.thread_time()
        results = [work() for work in works]
        spent = 1000 * (time.thread_time() - started) / len(works)
        fastest[part] = min(fastest.get(part, spent), spent)
        return results

    for _ in range(5):
        _measure_parts(clip, flows, measure)
    return [[part, f"{spent:.3f}"] for part, spent in fastest.items()]


def _measure_parts(
    clip: Path, flows: Sequence[str], measure: Callable[[str, Sequence[Any]], list[Any]]
) -> None:
    with VideoReader(clip) as reader:
        given = iter(reader)
        frames = measure("decoded, as RGB", [partial(next, given)] * PARTS_FRAMES)
    measure("grey of RGB", [partial(to_grey, frame) for frame in frames])
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        raw = list(itertools.islice(container.decode(video=0), PARTS_FRAMES))
    for part, format in (("RGB", "rgb24"), ("luma at full range", "gray")):
        convert = partial(VideoReformatter().reformat, format=format, threads=1)
        measure(f"{part} of a decoded frame", [partial(convert, frame) for frame in raw])
    greys = [to_grey(frame) for frame in frames[:9]]
    for flow in flows:
        estimator = make_estimator(flow)
        estimator(*greys[:2])
        pairs = [partial(estimator, *pair) for pair in itertools.pairwise(greys)]
        fields = measure(f"flow, {flow}", pairs)
    measure("coded and compressed", [partial(_compress, field) for field in fields])


def _compress(field: np.ndarray) -> list[bytes]:
    return [encode_jpeg(plane, QUALITY) for plane in encode_field(field, None)[0]]


def overhead_per_clip(source: Path, folder: Path, clips: int) -> float:
    """Return CPU ms that a clip of one second costs beside its pairs, on one worker.

    The same frames in one file are the comparison, whose pairs cost the same.
    """
    short = looped(source, folder / "second.avi", 26, (48, 64))
    long = looped(source, folder / "long.avi", 25 * clips + 1, (48, 64))
    each = folder / "each"
    each.mkdir()
    names = []
    for i in range(clips):
        names.append(each / f"{i}.avi")
        names[-1].write_bytes(short.read_bytes())
    best = []
    for paths in (names, [long]):
        best.append(min(timed(lambda p=paths: run_extraction(p, "brox"))[1] for _ in range(3)))
    return 1000 * (best[0] - best[1]) / clips


STARTED = """
import logging, sys
logger = logging.getLogger("twostream")
logger.setLevel(logging.INFO)
logger.addHandler(logging.StreamHandler(sys.stderr))
import numpy as np
from twostream.flow import make_estimator
from twostream.flow.compile import kernels_compiled
pair = np.random.default_rng(0).integers(0, 256, (2, 64, 64), np.uint8)
for name in ("tvl1", "brox", "dis-brox"):
    make_estimator(name)(*pair)
print(kernels_compiled())
"""


def start_up() -> list[Row]:
    """Return rows of a first and a later process that compute one pair of each own method."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        for which in ("first", "second", "third"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", STARTED],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            clock = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            said = done.stderr.strip() or "nothing"
            rows.append([which, f"{clock:.2f}", f"{cpu:.2f}", done.stdout.strip(), said])
    return rows
