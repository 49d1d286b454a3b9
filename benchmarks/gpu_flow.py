"""The batched solvers: pairs/s by batch size, their error, and the memory's floor."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_tables import (
    NOT_MEASURED,
    Settings,
    copied_per_second,
    markdown,
    median_seconds,
    moving_pairs,
    said,
)
from twostream.flow import make_estimator
from twostream.flow.batched import Batched
from twostream.flow.pyramid import level_sizes

HEIGHT, WIDTH = 240, 320
TRIAL = 24, 32  # height and width of a trial on the CPU
DISTINCT = 6  # pairs; a batch repeats them
# Bytes per pixel of a level that fused loops move at least: Brox's linearisation (warp, slopes,
# residuals), its system, half a sweep, the median; TV-L1's linearisation and iteration.
BROX_WARP, BROX_SYSTEM, BROX_HALF_SWEEP, MEDIAN = 120, 80, 30, 16
TVL1_WARP, TVL1_ITERATION = 40, 64


@dataclass(frozen=True)
class Run:
    """A solver as it is measured: its loops, replayed or not, on batches of some sizes.

    ``cached`` is how many pixels a relaxation of Brox takes at once; None: as it does by itself.
    """

    method: str
    loops: str
    batches: tuple[int, ...]
    replayed: bool = False
    cached: int | None = None

    def how(self) -> str:
        """Return what the table says of it."""
        words = [self.loops]
        if self.replayed:
            words.append("replayed")
        if self.cached:
            words.append(f"{self.cached / 1e6:g} million px at once")
        return ", ".join(words)


RUNS = (  # the most telling ones first
    Run("brox", "fused", (32, 128, 512), replayed=True),
    Run("brox", "fused", (128, 512), replayed=True, cached=1_000_000),
    Run("brox", "fused", (32, 128, 512), replayed=True, cached=100_000_000),
    Run("tvl1", "fused", (128, 512)),
    Run("brox:fast", "fused", (512,), replayed=True),
    Run("tvl1:fast", "fused", (512,)),
    Run("brox", "plain", (32,)),
    Run("tvl1", "plain", (32,)),
    Run("brox", "fused", (128, 512), cached=100_000_000),
    Run("brox", "plain", (32,), replayed=True),
    Run("brox", "compiled", (32,)),
    Run("tvl1", "compiled", (32,)),
)
SMALL_RUNS = (Run("brox", "plain", (1, 2)), Run("tvl1:fast", "plain", (2,)))
HEADER = [
    "method",
    "loops",
    "batch",
    "pairs/s",
    "with transfers",
    "floor, pairs/s",
    "of the floor",
    "difference to the CPU, mean px",
    "its 99th percentile, px",
    "error to the truth, px (the CPU's)",
]


@dataclass(frozen=True)
class Scenes:
    """Pairs whose flow is known, and what the compiled solvers find in them."""

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    truth: NDArray[np.float32]
    compiled: dict[str, NDArray[np.float32]]

    def compiled_fields(self, method: str) -> NDArray[np.float32]:
        """Return the CPU's fields, computed when they are first asked for."""
        if method not in self.compiled:
            solver = make_estimator(method)
            pairs = zip(self.first, self.second, strict=True)
            self.compiled[method] = np.stack([solver(*pair) for pair in pairs])
        return self.compiled[method]


def batched(run: Run, device: str) -> Batched:
    """Return a solver, with a preset's parameters where the method names one."""
    parameters = make_estimator(run.method).parameters
    name = run.method.partition(":")[0]
    return Batched(name, device=device, loops=run.loops, graph=run.replayed, **parameters)


def bytes_per_pair(method: str, height: int, width: int) -> float:
    """Return the least that one pair moves; of TV-L1's iterations those of one round a warp."""
    p = make_estimator(method).parameters
    levels = int(p["scales" if method.startswith("tvl1") else "levels"])
    pixels = sum(h * w for h, w in level_sizes(height, width, p["scale_step"], levels))
    if method.startswith("tvl1"):
        return pixels * p["warps"] * (TVL1_WARP + MEDIAN + p["inner_iterations"] * TVL1_ITERATION)
    step = BROX_SYSTEM + 2 * p["sweeps"] * BROX_HALF_SWEEP
    return pixels * p["warps"] * (BROX_WARP + MEDIAN + p["fixed_point_steps"] * step)


def one_row(run: Run, batch: int, scenes: Scenes, settings: Settings, speed: float) -> list[str]:
    """Measure one solver on one batch."""
    if run.cached:
        from twostream.flow import batched_levels

        batched_levels.CACHED_PIXELS = run.cached
    device, rounds = settings.device, 1 if settings.small else 3
    solver = batched(run, device)
    chosen = np.arange(batch) % len(scenes.first)
    host = [torch.from_numpy(side[chosen]) for side in (scenes.first, scenes.second)]
    frames = [side.to(device) for side in host]
    found = solver(*frames)[: len(scenes.first)].cpu().numpy()  # compiles too
    if solver.loops != run.loops:
        raise RuntimeError(f"the {run.loops} loops cannot be built here, see the log")
    rate = batch / median_seconds(lambda: solver(*frames), device, rounds)
    moved = batch / median_seconds(lambda: solver(*host).cpu(), device, rounds)
    floor = speed / bytes_per_pair(run.method, *scenes.first.shape[1:])
    expected = scenes.compiled_fields(run.method)[: len(found)]
    distance = np.hypot(*(found - expected).transpose(1, 0, 2, 3))
    errors = [
        np.hypot(*(field - scenes.truth[: len(found)]).transpose(1, 0, 2, 3)).mean()
        for field in (found, expected)
    ]
    return [
        f"{rate:.0f}",
        f"{moved:.0f}",
        f"{floor:.0f}",
        f"{100 * rate / floor:.0f}%",
        f"{distance.mean():.1e}",
        f"{np.quantile(distance, 0.99):.1e}",
        f"{errors[0]:.3f} ({errors[1]:.3f})",
    ]


def measure(settings: Settings, deadline: float) -> str:
    """Return the table of all methods, loops and batches, the CPU's rate above it."""
    size = TRIAL if settings.small else (HEIGHT, WIDTH)
    scenes = Scenes(*moving_pairs(2 if settings.small else DISTINCT, *size), {})
    speed = copied_per_second(settings)
    rows = []
    for run in SMALL_RUNS if settings.small else RUNS:
        for batch in run.batches:
            cells = [run.method, run.how(), str(batch)]
            if time.perf_counter() > deadline:
                rows.append([*cells, f"{NOT_MEASURED}: the part's time was over", *[""] * 6])
                continue
            try:
                rows.append(cells + one_row(run, batch, scenes, settings, speed))
            except Exception as error:  # noqa: BLE001 - the other rows are worth having
                rows.append([*cells, said(error), *[""] * 6])
            gc.collect()
            if settings.device == "cuda":
                torch.cuda.empty_cache()
            print(rows[-1], flush=True)
    return f"{cpu_rates(scenes)}\n\n{markdown(HEADER, rows)}"


def cpu_rates(scenes: Scenes) -> str:
    """Return the compiled solvers' pairs/s on one core of this machine, as a sentence."""
    said_so = []
    for method in ("brox", "tvl1:fast"):
        solver, pair = make_estimator(method), (scenes.first[0], scenes.second[0])
        seconds = median_seconds(lambda s=solver, p=pair: s(*p), "cpu", 5)
        said_so.append(f"{method} {1 / seconds:.0f}")
    return f"On one CPU core, pairs/s: {', '.join(said_so)}."
