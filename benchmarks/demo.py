"""The demo on several seeds: fusion against the better stream, and the time it takes.

python benchmarks/demo.py --seeds 3 --work DIR --out docs/results.md
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from twostream.demo import run_demo

STREAMS = ("spatial", "temporal", "average", "svm", "fused")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = [
        "The built-in data set (`twostream demo --seed N`): accuracy on the test clips.",
        "",
        "| seed | spatial | temporal | average | SVM | fused | fused over the better stream | "
        "seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for seed in range(options.seeds):
        run = options.work / f"seed{seed}"
        started = time.perf_counter()
        if not (run / "results.json").is_file():
            run_demo(run, seed=seed)
            (run / "seconds.json").write_text(json.dumps(time.perf_counter() - started))
        accuracy = json.loads((run / "results.json").read_text())["accuracy"]
        seconds = json.loads((run / "seconds.json").read_text())
        gain = accuracy["fused"] - max(accuracy["spatial"], accuracy["temporal"])
        cells = [f"{100 * accuracy[stream]:.1f}%" for stream in STREAMS]
        lines.append(f"| {seed} | {' | '.join(cells)} | {100 * gain:+.1f} | {seconds:.0f} |")
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(f"<!-- written by benchmarks/demo.py -->\n# Results\n\n{text}")


if __name__ == "__main__":
    main()
