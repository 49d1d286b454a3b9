"""Prediction of one 7-second clip of 320x240 px against its parts alone, and start-up times.

python benchmarks/predict.py --video CLIP [--run RUN] [--rounds 5] [--out FILE.md] [--json]

Parts: decoding to the stored size, flow of every pair, and both networks on 25 samples that are
ready in memory. What is above their sum is colour conversion, JPEG of frames and fields, stacking.
Without a RUN the networks are those of the recipe `quick`, untrained. With one, what int8 costs on
its test clips is measured too. The rounds take turns and the fastest counts: other work on the
machine only ever adds time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from twostream.checkpoint import save_model
from twostream.export import export_onnx
from twostream.flow import make_estimator
from twostream.flow.opencv import one_opencv_thread
from twostream.initialise import untrained_model
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.whole_videos import read_clip
from twostream.scoring import score_stacks
from twostream.store.flow_store import StoreSettings
from twostream.video import VideoReader, VideoWriter

SECONDS, FPS = 7, 25
SIZE = (320, 240)
ENGINES = ("torch", "onnxruntime")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, required=True, help="a real clip; looped to 7 s")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the tables here as Markdown")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run = options.run
        if run is None:
            run = work / "run"
            for stream in ("spatial", "temporal"):
                model = untrained_model(stream, ("walk", "run"))
                save_model(run / f"{stream}.safetensors", model)
        export_onnx(run, work / "onnx")
        folders = {"torch": run, "onnxruntime": work / "onnx"}
        clip = seven_seconds(options.video, work / "clip.avi")
        results = {engine: {**measure(folders[engine], clip, options.rounds)} for engine in ENGINES}
        for engine in ENGINES:
            results[engine]["start-up"] = start_up(folders[engine], work, options.rounds)
        int8 = None
        if options.run:
            int8 = export_onnx(options.run, work / "int8", int8=True).quantization
    if options.json:
        print(json.dumps({**results, "int8": int8}))
    if options.out:
        options.out.write_text(document(results, int8), encoding="utf-8")
    if options.json or options.out:
        return
    table = Table(title="seconds", title_justify="left")
    for column in ("", *ENGINES):
        table.add_column(column, justify="right" if column else "left")
    for row in results["torch"]:
        table.add_row(row, *(f"{results[engine][row]:.3f}" for engine in ENGINES))
    Console().print(table)


def document(results: dict[str, dict[str, float]], int8: dict[str, Any] | None) -> str:
    """Return the tables as Markdown."""
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    lines = [
        "# What prediction costs",
        "",
        f"Written by `benchmarks/predict.py`, not by hand. {SECONDS} s of {SIZE[0]}x{SIZE[1]}"
        f" px, {FPS} frames/s; networks of `quick`; {os.cpu_count()} cores, OMP_NUM_THREADS="
        f"{threads}, load {os.getloadavg()[0]:.1f} at the end. "
        "Seconds, the fastest of the rounds; the ratio is `predict` over the sum of its parts.",
        "",
        f"| | {' | '.join(ENGINES)} |",
        "|---|---|---|",
    ]
    for row in results["torch"]:
        shown = " | ".join(f"{results[engine][row]:.3f}" for engine in ENGINES)
        lines.append(f"| {row} | {shown} |")
    if int8:
        lines += [
            "",
            "## Int8",
            "",
            f"Accuracy on the {int8['clips']} test clips of {int8['data']}, {int8['split']}, that "
            f"the networks were not trained on; {int8['calibration_clips']} training clips gave "
            f"the ranges. The fused label is the same on {int8['same_label']:.1%} of the clips, "
            f"fused scores differ by at most {int8['largest_difference']:.3f}.",
            "",
            "| | float32 | int8 |",
            "|---|---|---|",
        ]
        for name, share in int8["accuracy"]["float32"].items():
            lines.append(f"| {name} | {share:.1%} | {int8['accuracy']['int8'][name]:.1%} |")
    return "\n".join(lines) + "\n"


def seven_seconds(source: Path, target: Path) -> Path:
    """Write 7 seconds of a clip at 320x240 px and 25 frames/s, from its start again and again."""
    with VideoReader(source) as reader:
        frames = [cv2.resize(frame.rgb, SIZE) for frame in itertools.islice(reader, SECONDS * FPS)]
    with VideoWriter(target, fps=FPS, width=SIZE[0], height=SIZE[1]) as writer:
        for frame in itertools.islice(itertools.cycle(frames), SECONDS * FPS):
            writer.write(frame)
    return target


def measure(folder: Path, video: Path, rounds: int) -> dict[str, float]:
    """Return the seconds of the parts, of the whole, and their ratio."""
    predictor = TwoStreamPredictor.load(folder)
    spec = predictor.spec
    store = StoreSettings.of_model(spec).complete()
    with VideoReader(video, short_side=store.short_side) as reader:
        greys = [cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY) for frame in reader]
    estimator = make_estimator(store.flow, **store.parameters)
    clip = read_clip(video, [stream.spec for stream in predictor.streams.values()])

    def decode() -> None:
        with VideoReader(video, short_side=store.short_side) as reader:
            for _ in reader:
                pass

    def flow() -> None:
        with one_opencv_thread():
            for pair in itertools.pairwise(greys):
                estimator(*pair)

    parts: dict[str, Callable[[], object]] = {"decode": decode, "flow": flow}
    for name, stream in predictor.streams.items():
        net = stream.spec
        if hasattr(stream, "model"):
            samples = clip.samples(net.temporal, net.test_positions)
            parts[name] = lambda m=stream.model, s=samples: score_stacks(m, *s)
        else:
            places = clip.positions(net.temporal, net.test_positions)
            stored = [clip.stored(net.temporal, place) for place in places]
            inputs = [{k: v[None] for k, v in each.items()} for each in stored]
            whole = {k: np.concatenate([each[k] for each in inputs]) for k in inputs[0]}
            parts[name] = lambda s=stream, i=whole: s.run(i)
    parts["predict"] = lambda: predictor.predict(video)
    best = dict.fromkeys(parts, float("inf"))
    for _ in range(rounds):
        for name, work in parts.items():
            started = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - started)
    total = sum(seconds for name, seconds in best.items() if name != "predict")
    return {**best, "sum of the parts": total, "ratio": best["predict"] / total}


def start_up(folder: Path, work: Path, rounds: int) -> float:
    """Return the seconds of `twostream predict` until the first video is opened, which is none."""
    command = [sys.executable, "-m", "twostream", "predict", str(folder), str(work / "none.avi")]
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        best = min(best, time.perf_counter() - started)
        assert "no such file" in done.stderr, done.stderr
    return best


if __name__ == "__main__":
    main()
