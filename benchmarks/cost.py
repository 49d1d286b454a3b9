"""What the paper's training, testing and flow cost here, and how long the real data would take.

    python benchmarks/cost.py [--clips FOLDER_OR_VIDEO ...] [--out docs/cost.md]

Everything is measured with random pixels or with clips made on the spot; ``--clips`` adds real
ones for flow and store. A CPU measures small batches, a CUDA device the whole one.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from cost_tables import (
    FlowCost,
    StepCost,
    floor_section,
    flow_section,
    measured_section,
    real_section,
)
from extraction import make_clip
from twostream.checkpoint import ModelSpec, StreamModel
from twostream.extraction import extract
from twostream.loader import TrainingBatches
from twostream.recipes import PAPER
from twostream.scoring import score_stacks
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import VIDEO_SUFFIXES, LabeledVideo, Stream, TemporalInput

STREAMS: dict[Stream, TemporalInput | None] = {"spatial": None, "temporal": TemporalInput()}
NUM_CLASSES = 101
BUSY = 0.5  # load average from which on a document warns


def seconds(work: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Return the fastest of some rounds after one to warm up: others only ever slow it down."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


# --- the floor ----------------------------------------------------------------------------------


def model_spec(stream: Stream) -> ModelSpec:
    temporal = STREAMS[stream]
    return ModelSpec(
        stream=stream,
        architecture=PAPER.architecture(stream),
        classes=tuple(map(str, range(NUM_CLASSES))),
        temporal=temporal,
        crop_size=PAPER.crop_size,
        mean=(0.0,),
        std=(1.0,),
        dropout=PAPER.dropout,
        flips=PAPER.flips,
        test_positions=PAPER.test_positions,
        store={},
        fps=25.0,
    )


def crops_of(stream: Stream, batch: int, device: torch.device) -> torch.Tensor:
    temporal, size = STREAMS[stream], PAPER.crop_size
    planes = (temporal.length, 2) if temporal else (1, 3)
    return torch.randn(batch, *planes, size, size, device=device)


def flops_per_image(stream: Stream) -> tuple[float, float]:
    """Count an image's operations, forward and in training, from the layers' shapes.

    Two for each multiplication with its addition, convolutions and full layers alone. Backward
    costs as much again for the weights and once more for the inputs, which the first layer is
    spared.
    """
    with torch.device("meta"):
        network = StreamModel(model_spec(stream)).network
    forward: list[float] = []

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        per_output = layer.weight[0].numel()
        forward.append(2 * per_output * out[0].numel())

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    network(crops_of(stream, 1, torch.device("meta")).flatten(1, 2))
    return sum(forward), 3 * sum(forward) - forward[0]


def matmul_flops(device: torch.device, rounds: int, dtype: torch.dtype) -> float:
    """Return what a large matrix product reaches, operations a second."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2 * n**3 / seconds(lambda: a @ b, 3 * rounds, device)


# --- what is measured ---------------------------------------------------------------------------


def training_step(
    stream: Stream, batch: int, device: torch.device, rounds: int, *, mixed: bool
) -> float:
    """Return the seconds of one step of SGD on a batch that is there already."""
    model = StreamModel(model_spec(stream)).to(device).train()
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=1e-4,
        momentum=PAPER.momentum,
        weight_decay=PAPER.weight_decay,
    )
    crops = crops_of(stream, batch, device)
    labels = torch.randint(NUM_CLASSES, (batch,), device=device)

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
            loss = nn.functional.cross_entropy(model(crops), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return seconds(step, rounds, device)


def scoring(stream: Stream, clips: ClipCache, video_id: str, device: torch.device) -> float:
    """Return the seconds of one test video: read from the store, 25 x 10 crops, mean."""
    model = StreamModel(model_spec(stream)).to(device).eval()

    def score() -> None:
        stacks, counts = clips[video_id].samples(STREAMS[stream], PAPER.test_positions)
        score_stacks(model, stacks, counts)

    return seconds(score, 1, device)


def loading(stream: Stream, clips: ClipCache, videos: Sequence[LabeledVideo], rounds: int) -> float:
    """Return the seconds that one process takes to make a training sample, nothing cached."""
    batch = 16
    data = TrainingBatches(
        clips=clips,
        videos=videos,
        temporal=STREAMS[stream],
        seed=0,
        steps=rounds + 1,
        batch_size=batch,
        crop_size=PAPER.crop_size,
        flips=PAPER.flips,
        lighting=PAPER.lighting,
    )
    return seconds(lambda: data[0], rounds, torch.device("cpu")) / batch


def flow_cost(name: str, paths: Sequence[Path], folder: Path, cores: int) -> FlowCost:
    """Extract the videos with one worker, then with all cores into ``folder``."""
    settings = StoreSettings(flow=PAPER.flow, short_side=PAPER.short_side)
    videos = labeled([*paths] * max(1, cores // len(paths)))  # a worker takes a clip at a time
    rates = {}
    for workers in sorted({1, cores}):
        root = folder / f"{workers} workers"
        summary = extract(videos, store=root, settings=settings, workers=workers)
        assert not summary.failed, summary.failed
        rates[workers] = summary.pairs_per_second
    store = FlowStore.open(root)
    per_item = {}
    for kind in ("rgb", "forward"):
        files = [store.clip(video.video_id, kind) for video in videos]
        size = sum(store.path(video.video_id, kind).stat().st_size for video in videos)
        per_item[kind] = size / sum(map(len, files))
    header = files[0].header
    title = f"{name}: {len(paths)} of {header.width}x{header.height} px"
    return FlowCost(title, rates, per_item["rgb"], per_item["forward"])


def labeled(paths: Sequence[Path]) -> list[LabeledVideo]:
    return [LabeledVideo(f"{i}.video", path, i % 2) for i, path in enumerate(paths)]


def videos_of(path: Path) -> list[Path]:
    """Return a video, or up to eight of those below a folder, evenly chosen."""
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    return found[:: max(1, len(found) // 8)][:8]


# --- the document -------------------------------------------------------------------------------


def machine(device: torch.device) -> str:
    """Describe the machine; no names, no paths."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    text = (
        f"{name}, {os.cpu_count()} cores, {gpu}, PyTorch {torch.__version__.partition('+')[0]} "
        f"with {torch.get_num_threads()} threads."
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load < BUSY:
        return text
    return (
        f"{text} **The machine was busy with other work** (load {load:.1f} before the start): "
        "times are too long by an unknown share, and shares of the matrix product uncertain; only "
        "the floor and the bytes are exact."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="real clips for flow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32], help="on a CPU")
    parser.add_argument("--frames", type=int, default=60, help="of each clip that is made")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    console = Console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    described = machine(device)
    console.print(described)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with tempfile.TemporaryDirectory() as temporary, console.status("measuring") as status:
        folder = Path(temporary)
        made = []
        for i in range(4):
            made.append(folder / f"{i}.avi")
            make_clip(made[-1], options.frames, i, "mpeg4")
        status.update("flow")
        sources = [("made on the spot", made)]
        sources += [("real clips", videos_of(path)) for path in options.clips]
        flows = [
            flow_cost(name, paths, folder / f"flow{i}", cores or 1)
            for i, (name, paths) in enumerate(sources)
        ]
        store = FlowStore.open(folder / "flow0" / f"{cores} workers")
        clips = ClipCache(store, ("rgb", "forward"), budget_bytes=0)
        modes = (False, True) if on_gpu else (False,)
        types = {False: torch.float32, True: torch.bfloat16}
        peaks = {mixed: matmul_flops(device, options.rounds, types[mixed]) for mixed in modes}
        steps, scores, loads = {}, {}, {}
        batches = [PAPER.batch_size] if on_gpu else options.batches
        for stream in STREAMS:
            for mixed in modes:
                status.update(f"training steps, {stream}")
                steps[stream, mixed] = StepCost(
                    {
                        b: training_step(stream, b, device, options.rounds, mixed=mixed)
                        for b in batches
                    }
                )
            status.update(f"test video, {stream}")
            scores[stream] = scoring(stream, clips, "0.video", device)
            loads[stream] = loading(stream, clips, labeled(made), options.rounds)
    flops = {stream: flops_per_image(stream) for stream in STREAMS}
    sections = [
        measured_section(steps, scores, loads, peaks, flops),
        flow_section(flows),
        floor_section(flops),
        real_section(steps, scores, loads, flows),
    ]
    for section in sections:
        section.show(console)
    if options.out:
        head = f"<!-- written by benchmarks/cost.py -->\n# What the paper costs\n\n{described}"
        body = "\n".join(section.markdown() for section in sections)
        options.out.write_text(f"{head}\n\n{body}", encoding="utf-8")


if __name__ == "__main__":
    main()
