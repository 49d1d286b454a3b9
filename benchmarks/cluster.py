"""A Ray cluster of this machine: 2 workers against 1, and the memory of who asks.

    python benchmarks/cluster.py [--rounds 5] [--clips 12] [--tasks 50 2000] [--out docs/cluster.md]

Each measurement is a process with a cluster of its own, whose workers have extracted a clip before
the clock starts. Two processes with one worker and all the clips each, which share nothing, do
twice the work in the same rounds: they tell what the machine gives to two at the time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import ray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from extraction import HEIGHT, WIDTH, make_clip
from flow import markdown, processor
from twostream.cluster import LOCAL, STORE_BYTES, joined, spread
from twostream.extraction import extract
from twostream.store.flow_store import StoreSettings
from twostream.types import LabeledVideo

SETTINGS = StoreSettings(short_side=256, flow="dis")
WARM_FRAMES = 60  # long enough that no worker takes two of them


def videos_of(folder: Path) -> list[LabeledVideo]:
    return [LabeledVideo(path.name, path, 0) for path in sorted(folder.glob("*.mp4"))]


def extraction_seconds(clips: Path, workers: int) -> float:
    """Return the seconds that a cluster of so many cores takes, once its workers have begun."""
    ray.init(
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="critical",
        object_store_memory=STORE_BYTES,
        _node_ip_address="127.0.0.1",
    )
    with tempfile.TemporaryDirectory() as folder:
        warm = videos_of(clips / "warm")[:workers]
        extract(warm, store=Path(folder, "warm"), settings=SETTINGS, cluster=LOCAL)
        videos = videos_of(clips)
        started = time.perf_counter()
        found = extract(videos, store=Path(folder, "flow"), settings=SETTINGS, cluster=LOCAL)
        seconds = time.perf_counter() - started
    ray.shutdown()
    assert found.done == len(videos)
    return seconds


def resident_mb(process: str | int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def servers() -> dict[str, int]:
    """Return Ray's own processes of this cluster, by name."""
    session = ray._private.worker.global_worker.node.get_session_dir_path().encode()
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes()
        except OSError:
            continue
        name = Path(words.split(b"\0")[0].decode(errors="replace")).name
        if name in ("gcs_server", "raylet") and session in words:
            found[name] = int(place.name)
    return found


def memory(counts: Sequence[int]) -> None:
    """Print, after so many tasks in all, the MB of this process and of Ray's own."""
    with joined(LOCAL):
        done = 0
        for count in counts:
            items = ((f"{number}", number) for number in range(done, count))
            with closing(spread(abs, items)) as ends:
                for ended in ends:
                    done += len(ended)
            assert done == count
            mb = {"head": resident_mb("self")}
            mb |= {name: resident_mb(pid) for name, pid in servers().items()}
            print(count, *(f"{mb[name]:.1f}" for name in ("head", "gcs_server", "raylet")))


def child(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *arguments]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    environment.setdefault("RAY_task_events_report_interval_ms", "0")
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def said(*processes: subprocess.Popen[str]) -> list[list[str]]:
    """Return the lines of processes that have ended well."""
    lines = [process.communicate()[0].splitlines() for process in processes]
    assert not any(process.returncode for process in processes), lines
    return lines


def scaling(clips: Path, rounds: int, tell: Progress) -> list[str]:
    """Return the row of 2 workers against 1."""
    one, two, both = [], [], []
    for _ in tell.track(range(rounds), description="2 workers against 1"):
        for workers, spent in ((1, one), (2, two)):
            ((seconds,),) = said(child("--seconds", str(clips), str(workers)))
            spent.append(float(seconds))
        apart = said(*(child("--seconds", str(clips), "1") for _ in range(2)))
        both.append(max(float(seconds) for (seconds,) in apart))
    each = [a / b for a, b in zip(one, two, strict=True)]
    return [
        f"{min(one):.1f}",
        f"{min(two):.1f}",
        f"{min(one) / min(two):.2f}",
        f"{min(each):.2f} to {max(each):.2f}",
        f"{2 * min(one) / min(both):.2f}",
        f"{statistics.median(b / t for b, t in zip(both, two, strict=True)) / 2:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--tasks", type=int, nargs="+", default=[50, 500, 1000, 2000, 4000])
    parser.add_argument("--out", type=Path, help="also write the tables, as Markdown")
    parser.add_argument("--seconds", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--memory", nargs="+", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seconds:
        print(extraction_seconds(Path(options.seconds[0]), int(options.seconds[1])))
        return
    if options.memory:
        memory(options.memory)
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as tell:
        clips = Path(folder)
        (clips / "warm").mkdir()
        for number in range(options.clips):
            make_clip(clips / f"{number}.mp4", options.frames, number, "libx264")
        for number in range(2):
            make_clip(clips / "warm" / f"{number}.mp4", WARM_FRAMES, number, "libx264")
        row = scaling(clips, options.rounds, tell)
        ((*lines,),) = said(child("--memory", *map(str, options.tasks)))
    names = ("1 worker, s", "2 workers, s", "times", "rounds", "2 processes", "workers / processes")
    memory_names = ("tasks so far", "who asks, MB", "gcs_server, MB", "raylet, MB")
    tables = [(names, [row]), (memory_names, [line.split() for line in lines])]
    console = Console()
    for header, rows in tables:
        table = Table(*header)
        for each in rows:
            table.add_row(*each)
        console.print(table)
    if options.out:
        options.out.write_text(
            "<!-- written by benchmarks/cluster.py -->\n# On a Ray cluster, measured\n\n"
            f"{processor()}, {os.cpu_count()} cores, Ray {ray.__version__}; load {load:.1f} before "
            f"the start, {options.rounds} rounds in turn. One machine: what a network and a shared "
            "disk cost is not in it.\n\n## 2 workers against 1\n\n"
            f"`extract` of {options.clips} videos of {options.frames} frames, {WIDTH} x {HEIGHT}, "
            "flow dis; by the clock, once the workers have begun. Two processes that share nothing "
            "show what the machine gives to two; workers over processes (median of the rounds) is "
            f"what is lost by sharing a cluster.\n\n{markdown(*tables[0])}\n## Memory\n\n"
            "Resident, after so many tasks that do nothing, on one cluster: of the process that "
            "asks, and of Ray's own on the head. The list of videos that it reads is not in it.\n\n"
            f"{markdown(*tables[1])}",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
