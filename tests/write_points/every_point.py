"""Interrupts each verb at every change that it makes on disk, and runs it again.

    python tests/write_points/every_point.py --out docs/write-points.md [--jobs extract,fuse]

A job that was stopped goes on with --work of before: what held is not tried again, unless the
command's calls have changed. Of the table the rows of other jobs stay.

For each point (tests/write_points/shim.c counts them) and each of three ends (killed there; the
call fails with ENOSPC, and all that need space after it; with EIO) a process runs the command in a
fresh folder, ends as it ends, and another one runs the same command again. Held means: the first
ended by the kill, with one sentence and status 1 or 2, or well; the second ended well; what it left
is what an uninterrupted command leaves, byte for byte but for clocks; nothing else lies there. This
is how SQLite tests itself. Processes are forked from one that has imported all, and run nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import gc
import importlib
import json
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs import JOBS, Job, contents, prepare

HERE = Path(__file__).resolve().parent
ENDS = {"kill": -1, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
HANGS_SECONDS = 60  # without any work: what waits so long for nothing waits for ever
MOST_SECONDS = 120  # of work; a whole job takes two
TICKS = os.sysconf("SC_CLK_TCK")
PARTIAL = ".partial"
# modules that verbs import when they need them
LATER = (
    *("sklearn.svm", "torch.utils.tensorboard", "pandas", "pydantic.main"),
    *("multiprocessing.pool", "huggingface_hub.repocard_data"),
)
HEADER = "<!-- written by tests/write_points/every_point.py -->"


@dataclass
class Found:
    """What came of a job's points."""

    points: int = 0
    held: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ENDS, 0))
    failures: list[str] = field(default_factory=list)


class Shim:
    """The preloaded library, and a folder for the jobs."""

    def __init__(self, folder: Path) -> None:
        self.library = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self.folder, self.inputs = folder, folder / "input"
        self.points, self.said = folder / "points", folder / "said"

    def run(self, arguments: Sequence[str], work: Path | None, at: int = 0, way: int = 0) -> int:
        """Run a command in a process of its own, that ends at a point; return its wait status."""
        process = os.fork()
        if not process:
            try:
                self._run_here(arguments, work, at, way)
            finally:
                os._exit(99)  # never back into the parent's code
        worked, alive = 0.0, time.monotonic()
        while worked < MOST_SECONDS and time.monotonic() - alive < HANGS_SECONDS:
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            before, (worked, waits) = worked, work_of(process)
            if worked > before or not waits:  # on a busy machine it may wait for its turn long
                alive = time.monotonic()
            time.sleep(0.01)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return 124

    def _run_here(self, arguments: Sequence[str], work: Path | None, at: int, way: int) -> None:
        from twostream.__main__ import run

        said = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        if work is not None:
            os.chdir(work)
            log = b"" if at else bytes(self.points)
            self.library.write_points_begin(bytes(work), ctypes.c_long(at), way, log)
        status = 70
        try:
            status = run(list(arguments))
        except BaseException:  # noqa: BLE001  told, and counted as a failure
            import traceback

            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def fresh(self, job: Job) -> Path:
        """Return a job's folder as the command finds it."""
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        job.before(self.inputs, work)
        return work


def work_of(process: int) -> tuple[float, bool]:
    """Return the seconds that a process has computed, and whether all its threads wait."""
    folder = Path(f"/proc/{process}")
    of_all = _stat(folder)
    states = []
    for thread in (folder / "task").iterdir():
        with contextlib.suppress(OSError):  # one that has just ended
            states.append(_stat(thread)[0])
    return (int(of_all[11]) + int(of_all[12])) / TICKS, not {"R", "D"} & set(states)


def _stat(folder: Path) -> list[str]:
    return (folder / "stat").read_text().rpartition(")")[2].split()


def whole_job(shim: Shim, job: Job, chosen: range | None) -> Found:
    """Interrupt a job at each of its points, or at those that are chosen, in each way."""
    found = Found()
    work = shim.fresh(job)
    command = job.command(shim.inputs, work)
    if shim.run(command, work):
        raise RuntimeError(f"{job.verb} fails uninterrupted:\n{shim.said.read_text()}")
    reference = contents(work)
    calls = shim.points.read_text().splitlines()
    found.points = len(calls)
    kept = Kept(shim.folder / f"held-{job.verb}.jsonl", calls)
    numbers = range(1, len(calls) + 1)
    for number in numbers if chosen is None else [n for n in numbers if n in chosen]:
        for name, way in ENDS.items():
            wrong = ""
            if (number, name) not in kept.held:
                wrong = interrupted(shim, job, number, way, reference, calls[number - 1])
            if wrong:
                found.failures.append(
                    f"{job.verb}, point {number} ({calls[number - 1]}), {name}: {wrong}"
                )
                print(found.failures[-1], flush=True)
            else:
                found.held[name] += 1
                kept.add(number, name)
        if number % 20 == 0:
            print(f"{job.verb}: {number}/{len(calls)}", flush=True)
    return found


class Kept:
    """The points and ends of a job that have held, in a file, so that a stopped job goes on.

    Args:
        file: where.
        calls: of the uninterrupted command. Where they are others now, nothing is known.
    """

    def __init__(self, file: Path, calls: Sequence[str]) -> None:
        self.held: set[tuple[int, str]] = set()
        kinds = [call.partition(" ")[0] for call in calls]  # some names are drawn
        lines = file.read_text().splitlines() if file.is_file() else []
        if lines and json.loads(lines[0]) == kinds:
            self.held = {(number, end) for number, end in map(json.loads, lines[1:])}
            print(f"{file.name}: {len(self.held)} ends held before", flush=True)
        else:
            file.write_text(json.dumps(kinds) + "\n")
        self._file = file

    def add(self, number: int, end: str) -> None:
        """Keep that a point held."""
        if (number, end) not in self.held:
            self.held.add((number, end))
            with self._file.open("a") as file:
                file.write(json.dumps([number, end]) + "\n")


def interrupted(
    shim: Shim, job: Job, number: int, way: int, reference: dict[str, object], call: str
) -> str:
    """Return what is wrong after a job was interrupted at a point and run again; empty: nothing.

    What a disk refuses to remove may lie there until the command runs again.
    """
    work = shim.fresh(job)
    command = job.command(shim.inputs, work)
    status = shim.run(command, work, number, way)
    said = shim.said.read_text(errors="replace")
    if way == -1 and status not in (-signal.SIGKILL, 0, 1):
        return f"status {status}: {said[-300:]}"
    if (way != -1 and status not in (0, 1, 2)) or "Traceback" in said:
        return f"status {status}: {said[-400:]}"
    refused = call.startswith(("unlink", "rmdir"))
    if status == 0 and not refused and (differing := differences(reference, work)):
        return f"ended well, but {differing}"
    if again := shim.run(command, None):
        return f"again: status {again}: {shim.said.read_text(errors='replace')[-400:]}"
    return differences(reference, work)


def differences(reference: dict[str, object], work: Path) -> str:
    """Name files that are missing, too many or others than uninterrupted."""
    now = contents(work)
    wrong = [f"missing {name}" for name in reference if name not in now]
    wrong += [f"left behind {name}" for name in now if name not in reference]
    wrong += [f"other {name}" for name in reference if name in now and now[name] != reference[name]]
    wrong += [f"left behind {path.name}" for path in work.rglob(f"*{PARTIAL}*") if path.is_dir()]
    return "; ".join(wrong[:3])


def of_the_package() -> list[str]:
    """Return the modules that the jobs may need."""
    import twostream

    found = (module.name for module in pkgutil.walk_packages(twostream.__path__, "twostream."))
    return [n for n in found if not n.startswith(("twostream.web", "twostream.__main__"))]


def ready_to_fork(names: Sequence[str]) -> None:
    """Import what the jobs need, so that forked processes begin at once.

    Only what a process would read anyway is here before it is forked: modules and templates. No
    command has run, no net has been trained, and no thread was started, which a fork would lose; so
    threads, loader processes and signal handlers are each command's own.

    Args:
        names: of modules; none: all of the package, its templates, and what it imports later.
    """
    for name in names or of_the_package():
        importlib.import_module(name)
    if not names:
        for name in LATER:
            with contextlib.suppress(ImportError):  # of another version, or not installed
                importlib.import_module(name)
        from twostream.report.templating import _environment

        templates = _environment()
        for name in templates.list_templates(filter_func=lambda name: name.endswith(".j2")):
            templates.get_template(name)
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise RuntimeError(f"{threads} threads run before the first fork, which would lose them")
    gc.collect()
    gc.freeze()  # a forked process looks through its own objects only


def table(rows: dict[str, Found], before: str = "") -> str:
    """Return the table, and what did not hold; rows and failures of other jobs are as before."""
    others = [line for line in before.splitlines() if _job(line) not in (None, *rows)]
    lines = [line for line in others if line.startswith("|")]
    for name, found in rows.items():
        cells = [str(found.held[end]) for end in ENDS]
        lines.append(f"| `{name}` | {found.points} | {' | '.join(cells)} |")
    failures = [failure.splitlines()[0] for found in rows.values() for failure in found.failures]
    head = [
        f"| verb | points | {' | '.join(f'{end}: held' for end in ENDS)} |",
        "|---|---|---|---|---|",
    ]
    failed = [line for line in others if line.startswith("-")]
    return "\n".join([*head, *lines, "", *failed, *(f"- {each}" for each in failures)])


def _job(line: str) -> str | None:
    """Return which job a line of the table is about."""
    found = re.match(r"\| `([\w-]+)` \||- ([\w-]+), point ", line)
    return found and (found[1] or found[2])


def preloaded(folder: Path) -> None:
    """Build the shim and start this program again with it, unless it is there."""
    if "write_points" in os.environ.get("LD_PRELOAD", ""):
        return
    library = folder / "write_points.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "shim.c", "-ldl"], check=True
    )
    environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", default=",".join(job.verb for job in JOBS))
    parser.add_argument("--points", help="first-last, to look at some")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "write-points"))
    options = parser.parse_args()
    shutil.rmtree(options.work / "input", ignore_errors=True)
    options.work.mkdir(parents=True, exist_ok=True)
    preloaded(options.work)
    jobs = {job.verb: job for job in JOBS}
    asked = [jobs[name] for name in options.jobs.split(",")]
    narrow = all(job.imports for job in asked)
    ready_to_fork([name for job in asked for name in job.imports] if narrow else [])
    shim = Shim(options.work.resolve())
    shim.inputs.mkdir()
    prepare(shim.inputs, lambda arguments: shim.run(arguments, None), scores_alone=narrow)
    chosen = None
    if options.points:
        first, last = map(int, options.points.split("-"))
        chosen = range(first, last + 1)
    rows = {job.verb: whole_job(shim, job, chosen) for job in asked}
    written = options.out and options.out.is_file()
    made = table(rows, options.out.read_text("utf-8") if written else "")
    print(made)
    if options.out:
        options.out.write_text(f"{HEADER}\n{made}\n", encoding="utf-8")
    sys.exit(any(found.failures for found in rows.values()))


if __name__ == "__main__":
    main()
