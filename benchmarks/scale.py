"""What a store of many tiny clips costs: to open, list, clean, find complete, and train on.

    python benchmarks/scale.py [--clips 10000 1000000] [--folder F] [--out docs/scale-store.md]

A store is written by its own writer: a clip of two fields of 8 x 8 px each; a million of them take
4 GB. Each question is asked by the package's own functions in a process of its own. All clips claim
one tiny video as their source, so that ``extract`` can be asked again when everything is there. A
folder that is named is kept, and what is in it is not done again. What a network and a shared disk
cost is not in it; the calls that would go there are counted, by strace where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from extraction import make_clip
from flow import markdown, processor
from twostream.datasets import load_dataset
from twostream.extraction import extract
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore, Kind, StoreSettings
from twostream.threads import ask_disk
from twostream.types import LabeledVideo
from twostream.video.fingerprint import source_hash

SIDE, FIELDS, CLASSES = 8, 2, 400
KIND: Kind = "forward"
SETTINGS = StoreSettings(flow="dis:fast", short_side=SIDE)
DRAWN = 2000  # clips that are opened as training does
TRACED_VIDEOS = (20, 60)  # what the second has more of them is theirs
TRACED = "openat,stat,newfstatat,lstat,rename,unlink,mkdir,flock,getdents64"


def clip_ids(count: int) -> list[str]:
    """Return the ids of a store of so many clips."""
    return [f"class_{i % CLASSES:03}/video_{i:07}" for i in range(count)]


def videos(count: int, source: Path) -> list[LabeledVideo]:
    """Return its clips, all of them of one video."""
    return [LabeledVideo(name, source, i % CLASSES) for i, name in enumerate(clip_ids(count))]


def write(root: Path, count: int, source: Path) -> None:
    """Write the store."""
    store = FlowStore.create(root, SETTINGS)
    fingerprint = source_hash(source)
    field = np.random.default_rng(0).standard_normal((2, SIDE, SIDE)).astype(np.float32)
    for name in clip_ids(count):
        own = {"video_id": name, "height": SIDE, "width": SIDE, "fps": 25.0}
        header = store.settings.header(KIND, source_hash=fingerprint, source_name="v.mp4", **own)
        writer = store.writer(header)
        for _ in range(FIELDS):
            writer.append(field)
        writer.close()


def open_store(root: Path, count: int, source: Path) -> None:
    FlowStore.open(root)


def create(root: Path, count: int, source: Path) -> None:
    FlowStore.create(root, SETTINGS)


def list_clips(root: Path, count: int, source: Path) -> None:
    assert sum(1 for _ in FlowStore.open(root).paths()) == count


def clean(root: Path, count: int, source: Path) -> None:
    assert FlowStore.open(root).clean() == 0


def has(root: Path, count: int, source: Path) -> None:
    store, fingerprint = FlowStore.open(root), source_hash(source)
    assert all(store.has(name, KIND, fingerprint) for name in clip_ids(count))


def extract_again(root: Path, count: int, source: Path) -> None:
    summary = extract(
        videos(count, source), store=root, settings=SETTINGS, kinds=(KIND,), workers=2, device="cpu"
    )
    assert (summary.skipped, summary.failed) == (count, {})


def headers(root: Path, count: int, source: Path) -> None:
    store = FlowStore.open(root)
    found = ask_disk(lambda name: store.clip(name, KIND).header.count, clip_ids(count))
    assert set(found.values()) == {FIELDS} and len(found) == count


def draw(root: Path, count: int, source: Path) -> None:
    clips = ClipCache(FlowStore.open(root), (KIND,), budget_bytes=0)
    chosen = random.Random(1).sample(clip_ids(count), DRAWN)
    assert all(len(clips[name].readers[KIND].fields([0])) == 1 for name in chosen)


def load(root: Path, count: int, source: Path) -> None:
    assert len(load_dataset(video_folder(root, count)).videos) == count


PARTS: dict[str, tuple[str, Callable[[Path, int, Path], None]]] = {
    "write": ("written by the store's writer", write),
    "open": ("`FlowStore.open`", open_store),
    "create": ("`FlowStore.create` of the one that is there", create),
    "list": ("`paths`: all clips listed", list_clips),
    "clean": ("`clean`: what killed processes left", clean),
    "has": ("`has` of each, one thread", has),
    "extract": ("`extract` again: all is there, 2 workers", extract_again),
    "headers": ("headers of all, as `train` reads them", headers),
    "draw": (f"{DRAWN} clips opened at random and a field read", draw),
    "load": ("`load_dataset` of a folder of so many videos", load),
}


def video_folder(root: Path, count: int) -> Path:
    """Return a folder of so many videos, all of them links to one."""
    return root.parent / f"videos-{count}"


@contextmanager
def linked_videos(root: Path, count: int, source: Path) -> Iterator[None]:
    """Make that folder for a while."""
    place = video_folder(root, count)
    for name in clip_ids(count):
        path = place / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(source)
    try:
        yield
    finally:
        shutil.rmtree(place)


def do_part(name: str, root: Path, count: int, source: Path) -> None:
    """Print seconds by the clock, CPU seconds, and the MB that a part took at most."""
    start, cpu = time.perf_counter(), time.process_time()
    PARTS[name][1](root, count, source)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(time.perf_counter() - start, time.process_time() - cpu, peak)


def measure(folder: Path, count: int) -> dict[str, list[float]]:
    """Do all parts that have not been done; return what each took, and the bytes."""
    kept, root, source = folder / f"scale-{count}.json", folder / f"store-{count}", folder / "v.mp4"
    if not source.exists():
        make_clip(source, 3, 0, "libx264")
    found: dict[str, list[float]] = json.loads(kept.read_text()) if kept.exists() else {}
    for name in PARTS:
        if name in found:
            continue
        command = [sys.executable, __file__, "--part", name, *map(str, (root, count, source))]
        if name == "load":
            with linked_videos(root, count, source):
                said = subprocess.check_output(command, text=True)
        else:
            said = subprocess.check_output(command, text=True)
        found[name] = [float(each) for each in said.split()]
        kept.write_text(json.dumps(found))
        print(count, name, found[name], flush=True)
    for name, how in (("bytes", ["--apparent-size"]), ("disk", [])):
        if name not in found:
            size = subprocess.check_output(["du", "-s", "-B1", *how, str(root)], text=True)
            found[name] = [float(size.split()[0])]
    kept.write_text(json.dumps(found))
    return found


def calls(command: Sequence[str]) -> dict[str, int]:
    """Return how often a process asks the disk for something, by kind; files of Python aside."""
    with tempfile.NamedTemporaryFile("r") as said:
        traced = ["strace", "-f", "-qq", "-e", f"trace={TRACED}", "-o", said.name]
        subprocess.run([*traced, *command], check=True, capture_output=True)
        found = dict.fromkeys(("open", "create", "stat", "rename", "other"), 0)
        for line in said:
            call = re.match(r"\d+ +(\w+)\((.*)", line)
            if call is None or "AT_EMPTY_PATH" in call[2]:  # of a file that is open
                continue
            if call[1] == "openat":
                found["create" if "O_CREAT" in call[2] else "open"] += 1
            else:
                kind = "stat" if "stat" in call[1] else call[1]
                found[kind if kind in found else "other"] += 1
    return found


def extract_some(folder: Path, count: int) -> None:
    """Extract so many videos, frames and flow; a second time where they are there."""
    some = [LabeledVideo(f"class/{i:03}", folder / f"traced/{i:03}.mp4", 0) for i in range(count)]
    extract(some, store=folder / f"traced-{count}", settings=SETTINGS, workers=1, device="cpu")


def count_calls(folder: Path) -> list[list[str]]:
    """Return rows of what the disk is asked for a video: made, and found when it is there."""
    (folder / "traced").mkdir(exist_ok=True)
    make_clip(folder / "v.mp4", 3, 0, "libx264")
    for i in range(max(TRACED_VIDEOS)):
        shutil.copy(folder / "v.mp4", folder / f"traced/{i:03}.mp4")
    for count in TRACED_VIDEOS:
        shutil.rmtree(folder / f"traced-{count}", ignore_errors=True)
    rows = []
    for what in ("made", "there already"):
        few, many = (
            calls([sys.executable, __file__, "--some", str(folder), str(count)])
            for count in TRACED_VIDEOS
        )
        each = [(many[kind] - few[kind]) / (TRACED_VIDEOS[1] - TRACED_VIDEOS[0]) for kind in few]
        rows.append([what, *(f"{number:.1f}" for number in each), f"{sum(each):.1f}"])
    return rows


def tables(found: dict[int, dict[str, list[float]]]) -> list[tuple[list[str], list[list[str]]]]:
    """Return the tables of what was measured: seconds, and bytes."""
    sizes = sorted(found)
    rows = []
    for name, (says, _) in PARTS.items():
        cells = [
            f"{each[0]:.3g} ({each[1]:.3g})" if (each := found[size].get(name)) else ""
            for size in sizes
        ]
        peak = found[sizes[-1]].get(name)
        rows.append([says, *cells, f"{peak[2]:.0f}" if peak else ""])
    kb = [
        [says, *(f"{found[size][name][0] / size / 1000:.1f}" for size in sizes)]
        for name, says in (("bytes", "content"), ("disk", "taken on the disk"))
    ]
    names = [f"{size:,} clips" for size in sizes]
    return [
        (["seconds (CPU seconds)", *names, "MB, most"], rows),
        (["KB a clip", *names], kb),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="kept; else a temporary one")
    parser.add_argument("--out", type=Path, help="also write the tables, as Markdown")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--some", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        name, root, count, source = options.part
        do_part(name, Path(root), int(count), Path(source))
        return
    if options.some:
        extract_some(Path(options.some[0]), int(options.some[1]))
        return
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(exist_ok=True, parents=True)
        found = {count: measure(folder, count) for count in options.clips}
        traced = count_calls(folder) if shutil.which("strace") else []
    show(tables(found), traced, load_before, options.out)


def show(
    measured: list[tuple[list[str], list[list[str]]]],
    traced: list[list[str]],
    load_before: float,
    out: Path | None,
) -> None:
    """Print the tables, and write the page."""
    every = [*measured, (["a video", "open", "create", "stat", "rename", "other", "all"], traced)]
    for header, rows in every:
        table = Table(*header)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    if out is None:
        return
    seconds, size, asked = (markdown(header, rows) for header, rows in every)
    out.write_text(
        "<!-- written by benchmarks/scale.py -->\n# A store of many clips, measured\n\n"
        f"{processor()}, {os.cpu_count()} cores, local disk; load {load_before:.1f} before the "
        f"start. Clips of {FIELDS} fields of {SIDE} x {SIDE} px, one kind, in {CLASSES} folders. "
        "On a busy machine seconds by the clock are several times what a quiet one takes; CPU "
        f"seconds are not.\n\n## Time\n\n{seconds}\n## Bytes\n\n{size}\n## Calls\n\n"
        "What the disk is asked for a video, frames and forward flow, its own file included; "
        "counted with strace, what is asked of files that are open left out.\n\n"
        f"{asked}",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
