"""Measure training beside other programs: is it slower in proportion to its share of the cores.

    python benchmarks/busy.py [--out docs/busy-results.md]

Steps of the `standard` recipe's temporal net, on random stacks, beside 0, 2 and 6 processes that
keep a core busy each; with threads that spin at OpenMP's barriers (how torch does it) and threads
that soon sleep (how `twostream` does it, `threads.wait_asleep`). Each row is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

SECONDS = 12.0
BUSY = (0, 2, 6)
HEADER = (
    "busy beside it",
    "threads wait",
    "ms a sample",
    "CPU ms a sample",
    "slower",
    "in proportion",
)


def one() -> None:
    """Train for some seconds and print clock and CPU milliseconds a sample."""
    import torch

    from twostream.initialise import untrained_model
    from twostream.recipes import STANDARD
    from twostream.threads import keep_memory

    keep_memory()
    model = untrained_model("temporal", ("a", "b"), recipe=STANDARD).train()
    size = model.spec.crop_size
    stacks = torch.randn(48, 10, 2, size, size)

    def step() -> None:
        model(stacks).logsumexp(1).mean().backward()

    step()
    clock, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - clock < SECONDS:
        step()
        count += len(stacks)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    print(json.dumps([1000 * clock / count, 1000 * cpu / count]))


def measured(busy: int, *, asleep: bool) -> tuple[float, float]:
    """Return both figures of a training beside so many busy processes."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    if asleep:
        environment["GOMP_SPINCOUNT"] = "1000"  # what wait_asleep sets
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        command = [sys.executable, __file__, "--one"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    finally:
        for other in others:
            other.kill()
            other.wait()
    clock, cpu = json.loads(done.stdout.splitlines()[-1])
    return clock, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.one:
        one()
        return
    cores, rows, quiet = os.cpu_count() or 1, [], {}
    for busy in BUSY:
        for asleep in (False, True):
            clock, cpu = measured(busy, asleep=asleep)
            base = quiet.setdefault(asleep, clock)
            fair = max(1.0, (busy + cores) / cores)
            rows.append(
                (
                    str(busy),
                    "asleep" if asleep else "spinning",
                    f"{clock:.1f}",
                    f"{cpu:.1f}",
                    f"{clock / base:.1f}",
                    f"{fair:.1f}",
                )
            )
    table = Table(*HEADER)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    if options.out:
        lines = [HEADER, ["---"] * len(HEADER), *rows]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        options.out.write_text(
            "<!-- written by benchmarks/busy.py -->\n# Training beside other programs\n\n"
            f"{cores} cores, {platform.machine()}; the temporal net of `standard`, batches of 48. "
            '"In proportion": what the share of the cores explains.\n\n' + text + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
