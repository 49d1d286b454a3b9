"""What one GPU does: flow, training, scoring, the whole job; writes docs/gpu-results.md.

    python benchmarks/gpu.py [--parts flow,training,scoring,end-to-end] [--out docs/gpu-results.md]
    python benchmarks/gpu.py --small     all of it on the CPU with tiny sizes: no figures, a check
    python benchmarks/gpu.py --frame     the tables' frame, where no card is at hand

Needs no files and no network: frames and stores are made here of smooth random pictures; only
``--jhmdb FOLDER`` lets the last part run, and only that part needs PyAV. Each part keeps to a time
of its own, fails alone, and is written as soon as it is done. ``gpu_flow.py``, ``gpu_training.py``
and ``gpu_end_to_end.py`` measure; this file says in which order, and writes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import time
import traceback
from pathlib import Path

import torch

from gpu_tables import NOT_MEASURED, Part, Settings, copied_per_second, document

PARTS = (
    Part(
        "flow",
        "Flow at 320 x 240",
        "gpu_flow",
        "Goal: 4,000 pairs/s, equal to the CPU's field within a mean of .001 px and .01 px for "
        "99% of the pixels. The floor is the rate at which the card could move the bytes that "
        "fused loops read and write one after another, none of them found in its cache; of TV-L1's "
        "iterations, which end by themselves, it counts one round a warp.",
        70,
    ),
    Part(
        "training",
        "Training",
        "gpu_training",
        "Goal: a store reaches 98% of the rate of batches that lie in the GPU's memory. "
        "Channels last; of the peak: counted floating-point operations against 989 TFLOP/s "
        "(dense bf16, H100 SXM and H200).",
        80,
    ),
    Part(
        "scoring",
        "Scoring, 25 positions x 10 crops",
        "gpu_scoring",
        "Whole stacks on the CPU to a video's scores, against the bare net on crops that lie ready "
        "in the GPU's memory.",
        25,
    ),
    Part(
        "end-to-end",
        "From clips to a trained net",
        "gpu_end_to_end",
        "JHMDB split 1 by `train_run`, and JPEGs decoded by the card and by the CPU.",
        85,
    ),
)


def run_parts(names: list[str], settings: Settings) -> None:
    """Measure the parts in order; what is known is written after each."""
    results: dict[str, str] = {}
    for part in PARTS:
        if part.name not in names:
            continue
        started = time.perf_counter()
        print(f"{part.name}: at most {part.seconds} s", flush=True)
        try:
            module = importlib.import_module(part.module)
            results[part.name] = module.measure(settings, started + part.seconds)
        except Exception as error:  # noqa: BLE001 - a part fails alone, and says why
            traceback.print_exc()
            what = " ".join(str(error).split())[:300]
            results[part.name] = f"This part failed: {type(error).__name__}: {what}.\n"
        took = time.perf_counter() - started
        results[part.name] += f"\nMeasured in {took:.0f} s.\n"
        print(results[part.name], flush=True)
        settings.write(document(PARTS, where(settings), results))


def where(settings: Settings) -> str:
    """Return the machine and its two ceilings, in a sentence."""
    if settings.device == "cpu":
        card = f"A trial on a CPU ({platform.machine()}), of no meaning as figures"
    else:
        free = torch.cuda.get_device_properties(0).total_memory / 1e9
        card = f"{torch.cuda.get_device_name()}, {free:.0f} GB"
    copied = copied_per_second(settings)
    return (
        f"{card}; a copy moves {copied / 1e9:.0f} GB/s, read and written; {os.cpu_count()} CPU "
        f"cores; torch {torch.__version__}, {time.strftime('%Y-%m-%d')}. Medians of several rounds."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [part.name for part in PARTS]
    parser.add_argument("--parts", default=",".join(known), help="some of them, with commas")
    parser.add_argument("--out", type=Path, default=Path("docs/gpu-results.md"))
    parser.add_argument("--jhmdb", type=Path, help="its videos, for the part end-to-end")
    parser.add_argument("--small", action="store_true", help="tiny sizes on the CPU")
    parser.add_argument("--frame", action="store_true", help="write the tables' frame alone")
    options = parser.parse_args()
    names = options.parts.split(",")
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no part {', '.join(unknown)}: use some of {', '.join(known)}")
    settings = Settings(options.out, options.small, options.jhmdb)
    if options.frame:
        settings.write(document(PARTS, f"No card has been used yet: {NOT_MEASURED}.", {}))
        return
    if not options.small and not torch.cuda.is_available():
        parser.error("no CUDA device is here: use --small to try the script, --frame for its frame")
    run_parts(names, settings)


if __name__ == "__main__":
    main()
