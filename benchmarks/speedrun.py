"""CPU seconds from clips to a given accuracy: a table, with a row for each try.

    python benchmarks/speedrun.py weizmann ../shared/data/weizmann/clips.csv --work DIR \
        --out docs/speedrun.md -- --recipe quick --bidirectional

What stands behind ``--`` are options of ``twostream train``. Each part of the data is tested with
each seed, every time by a command of its own that begins with the clips: user and system time of
all its processes, until the results and the report are written. The accuracy is that of what
``predict`` answers with. A run that was stopped is begun anew; whole ones are not done again. The
options are those of one try for all parts and seeds; who chooses among several by their test clips
has fitted them to these, so that a row says what is quick here, and no accuracy of new clips.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twostream.experiments.reproduction import machine
from twostream.files import read_json, write_json, write_text

PLACES = ("--out", "--store", "--resume", "--fold", "--split", "--test-groups", "--seed", "--also")
STREAMS = ("fused", "average", "spatial", "temporal")  # the first that a run has answers
HEADER = ["goal", "date", "options of `train`", "accuracy, % (lowest, highest)"]
HEADER += ["reached", "CPU seconds a run", "clock seconds a run", "runs", "machine"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached: the mean over all parts and seeds, in percent of the test clips."""

    percent: float
    parts: tuple[tuple[str, ...], ...]
    seeds: int
    text: str


# the folds of the data's own README: three people each
_PEOPLE = ("daria,denis,eli", "ido,ira,lena", "lyova,moshe,shahar")
GOALS = {
    "weizmann": Goal(
        99.0,
        tuple(("--test-groups", people) for people in _PEOPLE),
        5,
        "99% of the clips of three people, learnt from six others; three folds, five seeds",
    ),
    "jhmdb": Goal(55.0, (("--split", "1"),), 3, "55% of JHMDB's first split; three seeds"),
}


def one_run(data: Path, folder: Path, options: list[str]) -> dict[str, float]:
    """Train in a process of its own; return its accuracy in percent and its seconds."""
    kept = folder / "measured.json"
    if kept.is_file():
        return read_json(kept)
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "twostream", "train", str(data), "--out", str(folder)]
    started = time.perf_counter()
    child = subprocess.Popen([*command, "--json", *options], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)  # with all its processes
    if status:
        raise SystemExit(f"{shlex.join(command)} ended with status {status}")
    accuracy = json.loads(said.splitlines()[-1])["accuracy"]
    measured = {
        "percent": 100 * next(accuracy[stream] for stream in STREAMS if stream in accuracy),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "clock_seconds": time.perf_counter() - started,
    }
    write_json(kept, measured)
    return measured


def record(out: Path, name: str) -> float | None:
    """Return the CPU seconds of the goal's quickest row that reached it, None where none did."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.is_file() else []
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = [float(row[5].replace(",", "")) for row in rows if row[0] == name and row[4] == "yes"]
    return min(found, default=None)


def add_row(out: Path, cells: list[str]) -> None:
    """Add a row to the table of the document, which is begun where there is none."""
    if out.is_file():
        text = out.read_text(encoding="utf-8")
    else:
        goals = "\n".join(f"- **{name}**: {goal.text}." for name, goal in GOALS.items())
        rules = " ".join(__doc__.split("\n\n")[2].replace("``", "`").split())
        table = f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}\n"
        text = f"<!-- written by benchmarks/speedrun.py -->\n# Speed run\n\n{goals}\n\n{rules} "
        text += "Every try has a row; a record is one that reaches its goal in less CPU time than "
        text += "all before.\n\n"
        text += table
    write_text(out, f"{text}| {' | '.join(cells)} |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("goal", choices=GOALS)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    own, options = sys.argv[1:], []
    if "--" in own:
        own, options = own[: own.index("--")], own[own.index("--") + 1 :]
    asked = parser.parse_args(own)
    goal = GOALS[asked.goal]
    work = asked.work / f"{asked.goal}-{zlib.crc32(shlex.join(options).encode()):08x}"
    if taken := [option for option in options if option.partition("=")[0] in PLACES]:
        parser.error(f"the speed run itself gives {', '.join(taken)}")
    found = []
    for seed in range(goal.seeds):
        for i, part in enumerate(goal.parts):
            folder = work / f"part{i + 1}-seed{seed}"
            extra = [*part, "--seed", str(seed), "--accelerator", "cpu"]
            found.append(one_run(asked.data, folder, [*options, *extra]))
            print(f"{folder.name}: {found[-1]}", flush=True)
    percent, cpu, clock = (
        [each[key] for each in found] for key in ("percent", "cpu_seconds", "clock_seconds")
    )
    mean, seconds = float(np.mean(percent)), float(np.mean(cpu))
    reached = mean >= goal.percent
    last = record(asked.out, asked.goal) if asked.out else None
    cells = [asked.goal, datetime.date.today().isoformat(), f"`{shlex.join(options)}`"]
    cells += [f"{mean:.1f} ({min(percent):.1f}, {max(percent):.1f})", "yes" if reached else "no"]
    cells += [f"{seconds:,.0f}", f"{np.mean(clock):,.0f}", str(len(found))]
    cells.append("{processor}, {cores} cores".format(**machine()))
    print(f"| {' | '.join(cells)} |")
    if asked.out:
        add_row(asked.out, cells)
    if not reached:
        print(f"not reached: {mean:.1f}% of the {goal.percent}% that are asked for")
    elif last is not None and seconds >= last:
        print(f"reached, but not quicker than the record's {last:,.0f} CPU seconds")
    else:
        print("a record")


if __name__ == "__main__":
    main()
