"""The jobs whose write points are counted: each verb that writes, on a tiny input.

A job's folder holds what it starts from and what it writes; the clips lie beside it, read only.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FEW = "--steps 2 --short-side 24 --crop-size 16 --length 2"
SIZES = "--flow farneback --workers 1"
TIMES = ("seconds", "loader_wait", "loader_wait_seconds")


@dataclass(frozen=True)
class Job:
    """A command to interrupt.

    Attributes:
        verb: of ``twostream``.
        options: what follows it; {work} is the job's folder, {input} what lies beside it.
        before: fills a job's folder, of the input and the folder.
        imports: modules that it needs; none: all of the package, and a trained run as input.
    """

    verb: str
    options: str
    before: Callable[[Path, Path], object] = lambda inputs, work: None
    imports: tuple[str, ...] = ()

    def command(self, inputs: Path, work: Path) -> list[str]:
        """Return the command line."""
        options = [each.format(work=work, input=inputs) for each in self.options.split()]
        return [self.verb, *options]


def prepare(inputs: Path, run: Callable[[Sequence[str]], int], *, scores_alone: bool) -> None:
    """Make what the jobs start from: clips, a trained run, its store, an export, folders of images.

    Args:
        inputs: an empty folder.
        run: runs a command line.
        scores_alone: the jobs need no more than score files.
    """
    _invent_scores(inputs)
    if scores_alone:
        return
    _render(inputs / "clips", groups=4)
    _render(inputs / "few", groups=3)  # as few as can be tested and cross-fitted
    done = (
        Job("train", f"{{input}}/few --out {{input}}/run --recipe quick {FEW} {SIZES}"),
        Job("export-flow", "--store {input}/run/flow --out {input}/images"),
    )
    for job in done:
        if run(job.command(inputs, inputs)):
            raise RuntimeError(f"twostream {job.verb} failed")


def _invent_scores(folder: Path) -> None:
    """Write the scores of two streams, as a run leaves them."""
    from twostream.scoring import save_scores
    from twostream.types import STREAMS, VideoScores

    labels = np.arange(6) % 2
    for seed, stream in enumerate(STREAMS):
        scores = np.random.default_rng(seed).dirichlet((1, 1), 6).astype(np.float32)
        ids = tuple(f"{number}.mp4" for number in range(6))
        found = VideoScores(ids, labels, ("right", "up"), scores, stream=stream)
        save_scores(folder / f"{stream}.npz", found)


def _render(folder: Path, groups: int) -> None:
    """Write two classes of a square that moves right or up, a clip a group."""
    from twostream.video import VideoWriter

    ground = np.random.default_rng(0).integers(60, 120, (32, 40, 3), np.uint8)
    square = np.random.default_rng(1).integers(120, 255, (10, 10, 3), np.uint8)
    for name, (right, up) in {"right": (2, 0), "up": (0, 2)}.items():
        (folder / name).mkdir(parents=True)
        for group in range(groups):
            path = folder / name / f"v_{name}_g{group + 1:02d}_c01.mp4"
            with VideoWriter(path, fps=25, height=32, width=40) as writer:
                for t in range(5):
                    frame, top, left = ground.copy(), 18 - up * t, 6 + group + right * t
                    frame[top : top + 10, left : left + 10] = square
                    writer.write(frame)


def _with_run(inputs: Path, work: Path) -> None:
    shutil.copytree(inputs / "run", work / "run")


VIDEO = "{input}/clips/up/v_up_g02_c01.mp4"
FILES = "--csv {work}/t.csv --srt {work}/t.srt --scores {work}/t.npz --video {work}/t.mp4"
JOBS = (
    Job("extract", f"{{input}}/clips --store {{work}}/store --short-side 24 {SIZES}"),
    Job("train", f"{{input}}/few --out {{work}}/run --recipe quick --resume {FEW} {SIZES}"),
    Job("evaluate", "{work}/run --out {work}/scores", _with_run),
    Job("report", "{work}/run", _with_run),
    Job(
        "fuse",
        "{input}/spatial.npz {input}/temporal.npz --out {work}/fused.npz",
        imports=("twostream.cli.verbs", "twostream.fusion", "twostream.scoring"),
    ),
    Job("predict", f"{{input}}/run {VIDEO} --timeline {FILES}"),
    Job("export", "{input}/run --out {work}/export"),
    Job("export-flow", "--store {input}/run/flow --out {work}/images"),
    Job(
        "import-flow",
        "{input}/images --store {work}/store --data {input}/clips --fps 25 --workers 1",
    ),
)


def contents(folder: Path) -> dict[str, Any]:
    """Return relative path -> what must be the same whenever a command has ended well.

    Clocks are left out: seconds in JSON, TensorBoard's files, the report's and the log's times; and
    of what only holds a lock, or is a checkpoint of a training that has ended, that it is there.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.name == ".lock" or path.name.startswith("events.out"):
            continue
        data = path.read_bytes()
        if path.suffix == ".json":
            found[name] = _without_times(json.loads(data))
        elif path.suffix in (".html", ".ckpt"):
            found[name] = len(data) > 0
        else:
            found[name] = data
    return found


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(each) for key, each in value.items() if key not in TIMES}
    return [_without_times(each) for each in value] if isinstance(value, list) else value
