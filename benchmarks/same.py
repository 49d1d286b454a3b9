"""Whether a change of the code changed a result: checksums of everything that the verbs write.

python benchmarks/same.py write SUMS.json --work DIR    runs the jobs below and writes their sums
python benchmarks/same.py compare SUMS.json --work DIR  runs them and says "equal", or what is not
python benchmarks/same.py opens OLD_WORK SUMS.json      uses what an older version left in OLD_WORK

The sums hold for one machine and one set of packages: write them with the old code, compare with
the new. Stores are compared to the byte; of models, scores and JSON what they hold. What differs by
nature (seconds, places, versions) is left out, and so are report, card and logs' layout.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

SHARED = Path(__file__).parents[2] / "shared" / "data"
# no result, or one that depends on the place or the clock
LEFT_OUT = {"seconds", "loader_wait", "loader_wait_seconds", "run", "root", "data", "scores",
            "versions", "store", "video", "made", "path", "report"}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("write", "compare"):
        part = verbs.add_parser(verb)
        part.add_argument("sums", type=Path)
        part.add_argument("--work", type=Path, required=True, help="an empty or new folder")
    opens = verbs.add_parser("opens")
    opens.add_argument("old", type=Path)
    opens.add_argument("sums", type=Path)
    options = parser.parse_args()
    if options.verb == "opens":
        before = json.loads(options.sums.read_text())
        now = dict(reopened(options.old.resolve()))
        report({name: sum_ for name, sum_ in before.items() if name in now}, now)
        return
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    now = dict(jobs(work))
    for path in sorted(work.rglob("*")):
        if path.is_file() and (sum_ := file_sum(path)):
            now[str(path.relative_to(work))] = sum_
    if options.verb == "write":
        options.sums.write_text(json.dumps(now, indent=0, sort_keys=True) + "\n")
        print(f"{len(now)} sums written to {options.sums}")
    else:
        report(json.loads(options.sums.read_text()), now)


def report(before: dict[str, str], now: dict[str, str]) -> None:
    """Say "equal", or name what differs and exit with 1."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            gone = "missing now" if name not in now else "new" if name not in before else "differs"
            print(f"{name}: {gone}")
    if before != now:
        sys.exit(1)
    print(f"equal: {len(now)} sums")


def jobs(work: Path) -> Iterator[tuple[str, str]]:
    """Run the demo, a fold, a multi-task run, an export, time lines and stores of every kind."""
    demo, export = work / "demo", work / "export"
    twostream("demo", "--out", demo)
    clips = work / "demo-clips"
    weizmann = [SHARED / "weizmann" / "clips.csv", "--test-groups", "daria,denis,eli"]
    weizmann += ["--recipe", "quick"]
    twostream("train", *weizmann, "--steps", 25, "--out", work / "weizmann")
    other = some_clips(SHARED / "skateboard" / "clips.csv", 15, work / "skateboard.csv")
    twostream("train", *weizmann, "--steps", 20, "--stream", "temporal", "--also", other,
              "--also-test", "--out", work / "multitask")  # fmt: skip
    twostream("train", *weizmann, "--steps", 4, "--stream", "temporal", "--length", 4, "--fps", 20,
              "--bidirectional", "--codec", "lossless", "--flow", "brox:fast", "--batch-size", 8,
              "--short-side", 48, "--crop-size", 40, "--out", work / "lossless")  # fmt: skip
    twostream("evaluate", work / "weizmann", "--out", work / "weizmann-again")
    twostream("export", demo, "--out", export)
    yield from predictions(demo, export, clips, work)
    for flow in ("dis:fast", "farneback", "tvl1", "dis-brox:fast"):
        few = some_clips(SHARED / "weizmann" / "clips.csv", 40, work / "few.csv")
        store = work / f"store-{flow.replace(':', '-')}"
        twostream("extract", few, "--store", store, "--flow", flow, "--recipe", "quick")
    twostream("extract", clips, "--store", work / "store-mv", "--flow", "mv", "--recipe", "quick")
    twostream("export-flow", "--store", work / "store-tvl1", "--out", work / "images")
    yield "library", library(clips)


def predictions(demo: Path, export: Path, clips: Path, work: Path) -> Iterator[tuple[str, str]]:
    """Label clips and a longer video, with the models and with the export."""
    videos = sorted(clips.rglob("*.avi"))[::9][:6]
    for name, run in (("run", demo), ("export", export)):
        yield f"predict-{name}", json_sum(twostream("predict", run, *videos, "--json"))
        files = work / f"timeline-{name}"
        files.mkdir(parents=True, exist_ok=True)
        long = SHARED / "robustness" / "v_ApplyEyeMakeup_g01_c01.avi"
        chosen = long if long.is_file() else videos[0]
        twostream("predict", run, chosen, "--timeline", "--csv", files / "segments.csv",
                  "--scores", files / "scores.csv", "--srt", files / "titles.srt")  # fmt: skip


def library(clips: Path) -> str:
    """Train, score and fuse with the public functions."""
    import twostream as ts

    split = ts.load_dataset(clips).split(1)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "flow"
        ts.extract(split, store=store)
        scored = []
        for stream in ("spatial", "temporal"):
            model = ts.train(split, stream=stream, store=store, steps=6)  # type: ignore[arg-type]
            scored.append(ts.evaluate(model, split, store=store))
        fused = ts.fuse(scored, method="weighted", weights=[1, 2])
    return digest(fused.scores.tobytes())


def reopened(old: Path) -> Iterator[tuple[str, str]]:
    """Use an older version's RUN folders, stores and export; the results must be the same."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clips = old / "demo-clips"
        yield from predictions(old / "demo", old / "export", clips, work)
        for path in sorted(work.rglob("*")):
            if path.is_file() and (sum_ := file_sum(path)):
                yield str(path.relative_to(work)), sum_
        again = work / "again"
        twostream("evaluate", old / "weizmann", "--out", again)
        for path in sorted(again.glob("*.npz")):
            yield f"weizmann-again/{path.name}", str(file_sum(path))
    weizmann = [SHARED / "weizmann" / "clips.csv", "--test-groups", "daria,denis,eli"]
    weizmann += ["--recipe", "quick"]
    twostream("train", *weizmann, "--steps", 25, "--out", old / "weizmann")
    other = old / "skateboard.csv"
    twostream("train", *weizmann, "--steps", 20, "--stream", "temporal", "--also", other,
              "--also-test", "--out", old / "multitask")  # fmt: skip
    few = old / "few.csv"
    twostream("extract", few, "--store", old / "store-tvl1", "--flow", "tvl1", "--recipe", "quick")
    for name in ("weizmann", "multitask"):
        for path in sorted((old / name).glob("*.safetensors")):
            yield f"{name}/{path.name}", str(file_sum(path))


def twostream(*arguments: object) -> str:
    """Run a verb; returns the last line of its standard output."""
    line = [str(argument) for argument in arguments]
    if line[0] == "train" and Path(line[line.index("--out") + 1], "asked.json").is_file():
        line += ["--resume"]  # this script was stopped, or opens what is old
    print("twostream", *line, flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "twostream", *line], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"exit status {done.returncode}: {done.stderr[-2000:]}")
    return (done.stdout.strip().splitlines() or [""])[-1]


def some_clips(source: Path, every: int, out: Path) -> Path:
    """Write a list of every n-th clip of a CSV file, with whole paths."""
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with out.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        for row in rows[::every]:
            table.writerow(row | {"path": str((source.parent / row["path"]).resolve())})
    return out


def file_sum(path: Path) -> str | None:
    """Return the sum of what a file holds; None for those that are not compared."""
    if any(part in ("checkpoints", "demo-clips") for part in path.parts):
        return None
    if path.suffix in (".clip", ".srt", ".jpg"):
        return digest(path.read_bytes())
    if path.suffix == ".csv":  # the first column of a table of segments is a place
        return digest(path.read_bytes()) if path.parent.name.startswith("timeline") else None
    if path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            parts = [json.dumps(stable(json.loads(file.metadata()["spec"])), sort_keys=True)]
            for name in sorted(file.keys()):
                tensor = file.get_tensor(name)
                parts.append(f"{name}{tensor.dtype}{tensor.shape}{digest(tensor.tobytes())}")
        return digest("".join(parts).encode())
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            parts = [f"{n}{arrays[n].dtype}{digest(arrays[n].tobytes())}" for n in sorted(arrays)]
        return digest("".join(parts).encode())
    if path.name in ("store.json", "results.json", "contract.json", "history.json", "fusion.json"):
        return json_sum(path.read_text())
    return None


def json_sum(text: str) -> str:
    return digest(json.dumps(stable(json.loads(text)), sort_keys=True).encode())


def stable(value: Any) -> Any:
    """Return JSON without what depends on place and clock; the store of a model file stays."""
    if isinstance(value, dict):
        return {
            key: stable(each)
            for key, each in value.items()
            if key not in LEFT_OUT or (key == "store" and isinstance(each, dict))
        }
    return [stable(each) for each in value] if isinstance(value, list) else value


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


if __name__ == "__main__":
    main()
