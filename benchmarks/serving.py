"""A load test of `serve` on loopback, beside the bare predictor on the same cores.

python benchmarks/serving.py [--run RUN] [--video CLIP] [--workers 2] [--clients 4] [--seconds 20]
    [--rounds 3] [--out FILE.md] [--json]

The clip is looped to 7 s of 320x240 px. As many processes as the server has workers predict it
again and again, then as many clients as asked for send it to the server, and so in turns: other
work on the machine falls on both. In the end the clients go on while a worker is killed, and while
SIGHUP loads the run anew: what is not answered with 200 is lost. Without a RUN the networks are
those of the recipe `quick`, untrained; without a clip one of the built-in data set is taken.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from predict import FPS, SECONDS, SIZE, measure, seven_seconds
from twostream.checkpoint import save_model
from twostream.initialise import untrained_model
from twostream.prediction import TwoStreamPredictor
from twostream.synthetic import render_dataset
from twostream.threads import num_cores

GOAL = 0.9  # of the bare predictor's rate
PATIENCE_SECONDS = 300


@dataclass
class Answers:
    """What clients got: seconds of each answer, by status (0: none)."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    rate: float = 0.0

    def add(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.seconds.setdefault(status, []).append(seconds)

    @property
    def good(self) -> list[float]:
        """Seconds of those that had a label."""
        return self.seconds.get(200, [])

    @property
    def lost(self) -> int:
        """How many had none."""
        return sum(len(found) for status, found in self.seconds.items() if status != 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--video", type=Path, help="a real clip; looped to 7 s")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the tables here as Markdown")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run = options.run or untrained(work / "run")
        video = options.video or next(render_dataset(work / "data", groups=2).rglob("*.avi"))
        clip = seven_seconds(video, work / "clip.avi")
        results = measured(run, clip, work, options)
    if options.json or not options.out:
        print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(document(results), encoding="utf-8")


def untrained(run: Path) -> Path:
    for stream in ("spatial", "temporal"):
        model = untrained_model(stream, ("walk", "run"))
        save_model(run / f"{stream}.safetensors", model)
    return run


def measured(run: Path, clip: Path, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return all that the document says."""
    content, load = clip.read_bytes(), os.getloadavg()[0]
    parts = measure(run, clip, 3)
    shares, bare_rates, served_rates, seconds, lost = [], [], [], [], 0
    before: dict[str, float] = {}
    used: dict[str, float] = {}
    bare_cpu = bare_videos = 0.0
    with bare(run, clip, options.workers) as predict, serving(run, work, options.workers) as server:
        ask(server, content, 1, 2.0)  # a decoder for each, begun before the clock
        predict(2.0)
        for _ in range(options.rounds):
            rate, cpu, videos = predict(options.seconds)
            bare_rates.append(rate)
            bare_cpu, bare_videos = bare_cpu + cpu, bare_videos + videos
            before = server.cpu_seconds()
            found = ask(server, content, options.clients, options.seconds)
            for part, spent in server.cpu_seconds().items():
                used[part] = used.get(part, 0.0) + spent - before.get(part, 0.0)
            served_rates.append(found.rate)
            shares.append(found.rate / rate)
            seconds += found.good
            lost += found.lost
        killed = ask(server, content, options.clients, options.seconds, server.kill_a_worker)
        reloaded = ask(server, content, options.clients, options.seconds, server.reload)
    return {
        "cores": num_cores(),
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "load": [load, os.getloadavg()[0]],
        "megabytes": len(content) / 1e6,
        "trained": options.run is not None,
        **{name: getattr(options, name) for name in ("workers", "clients", "seconds", "rounds")},
        "bare_rates": bare_rates,
        "served_rates": served_rates,
        "share": statistics.median(shares),
        "shares": shares,
        "answers": len(seconds),
        "p50": statistics.median(seconds),
        "p99": sorted(seconds)[min(len(seconds) - 1, int(0.99 * len(seconds)))],
        "lost": lost,
        "parts": parts,
        "bare_cpu": bare_cpu / bare_videos,
        "served_cpu": {part: spent / len(seconds) for part, spent in used.items()},
        "killed": {"answers": len(killed.good), "lost": killed.lost},
        "reloaded": {"answers": len(reloaded.good), "lost": reloaded.lost},
    }


@contextmanager
def bare(
    run: Path, clip: Path, count: int
) -> Iterator[Callable[[float], tuple[float, float, float]]]:
    """Give what lets processes predict for so many seconds: videos/s, CPU seconds, videos."""
    spawn = multiprocessing.get_context("spawn")
    pairs = [spawn.Pipe() for _ in range(count)]
    threads = max(1, num_cores() // count)
    processes = [spawn.Process(target=alone, args=(pair[1], run, clip, threads)) for pair in pairs]
    for process in processes:
        process.start()
    for ours, _ in pairs:
        ours.recv()

    def predict(seconds: float) -> tuple[float, float, float]:
        for ours, _ in pairs:
            ours.send(seconds)
        found = [ours.recv() for ours, _ in pairs]
        rate = sum(videos / took for videos, took, _ in found)
        return rate, sum(cpu for *_, cpu in found), sum(videos for videos, *_ in found)

    try:
        yield predict
    finally:
        for ours, _ in pairs:
            ours.send(0)
        for process in processes:
            process.join()


def alone(connection: Connection, run: Path, clip: Path, threads: int) -> None:
    """Predict the clip for as long as is asked, again and again."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    predictor = TwoStreamPredictor.load(run)
    predictor.predict(clip)
    connection.send(True)
    while seconds := connection.recv():
        began, cpu, videos, took = time.perf_counter(), time.process_time(), 0, 0.0
        while took < seconds:
            predictor.predict(clip)
            videos, took = videos + 1, time.perf_counter() - began
        connection.send((videos, took, time.process_time() - cpu))


class Server:
    """A `twostream serve` of its own process."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path, workers: int) -> None:
        self.process, self.log = process, log
        self.address = urlsplit(url).netloc
        self.workers = self._children()[:workers]  # they are begun first, decoders then

    def _children(self) -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(") ")[2].split()
                command = stat.with_name("cmdline").read_text()
            except OSError:
                continue  # it has just ended
            if int(fields[1]) == self.process.pid and "spawn_main" in command:
                found.append((int(fields[19]), int(stat.parent.name)))
        return [process for _, process in sorted(found)]

    def cpu_seconds(self) -> dict[str, float]:
        """Return what the parts have used up to now."""
        used = {"front": cpu(self.process.pid), "decoders": 0.0, "workers": 0.0}
        for process in self._children():
            used["workers" if process in self.workers else "decoders"] += cpu(process)
        return used

    def kill_a_worker(self) -> None:
        """Kill one, and wait until that was seen."""
        os.kill(self.workers[0], signal.SIGKILL)
        self._wait_for("another one is begun")

    def reload(self) -> None:
        """Have the run loaded anew, and wait for it."""
        self.process.send_signal(signal.SIGHUP)
        self._wait_for("the run was loaded again")

    def _wait_for(self, words: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while words not in self.log.read_text():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)


def cpu(process: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(run: Path, work: Path, workers: int) -> Iterator[Server]:
    log = work / "log.txt"
    command = [sys.executable, "-m", "twostream", "serve", str(run), "--port", "0", "--json"]
    command += ["--workers", str(workers), "--accelerator", "cpu", "--log", "json"]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        yield Server(process, json.loads(line)["page"], log, workers)
    finally:
        process.terminate()
        process.wait(60)


def ask(
    server: Server,
    content: bytes,
    clients: int,
    seconds: float,
    meanwhile: Callable[[], None] | None = None,
) -> Answers:
    """Send the clip from so many clients for so many seconds, and until ``meanwhile`` is done."""
    answers, lock, done = Answers(), threading.Lock(), threading.Event()
    began = time.perf_counter()

    def client(number: int) -> float:
        good = 0
        connection = http.client.HTTPConnection(server.address, timeout=PATIENCE_SECONDS)
        while time.perf_counter() < began + seconds or not done.is_set():
            sent, status = time.perf_counter(), 0
            try:
                connection.request("POST", "/api/predict?name=clip.avi", content)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
                good += status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
            with lock:
                answers.add(status, time.perf_counter() - sent)
        connection.close()
        return good / (time.perf_counter() - began)

    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(client, number) for number in range(clients)]
        if meanwhile is not None:
            time.sleep(seconds / 4)  # requests are under way
            meanwhile()
        done.set()
    answers.rate = sum(each.result() for each in asked)  # as that of the bare predictor
    return answers


def document(found: dict[str, Any]) -> str:
    """Return the results as a document."""
    nets = "of a trained run" if found["trained"] else "of the recipe `quick`, untrained"
    parts, served = found["parts"], found["served_cpu"]
    total = sum(served.values())
    share = min(found["share"], found["bare_cpu"] / total)
    met = "met" if share >= GOAL else "missed"
    rounds = [
        f"| {number + 1} | {bare:.2f} | {rate:.2f} | {share:.0%} |"
        for number, (bare, rate, share) in enumerate(
            zip(found["bare_rates"], found["served_rates"], found["shares"], strict=True)
        )
    ]
    return f"""# `serve` under load

Written by `benchmarks/serving.py`, not by hand. {SECONDS} s of {SIZE[0]}x{SIZE[1]} px at {FPS} \
frames/s, {found["megabytes"]:.2f} MB; networks {nets}.
{found["cores"]} cores, which others use too, OMP_NUM_THREADS={found["threads"]}; load \
{found["load"][0]:.1f} at the start, {found["load"][1]:.1f} at the end.
{found["workers"]} processes with the bare predictor, then a server with {found["workers"]} \
workers and {found["clients"]} clients on loopback, {found["seconds"]:g} s each, in turns.

| round | bare predictor, videos/s | served, requests/s | share |
|---|---|---|---|
{chr(10).join(rounds)}

The median share is {found["share"]:.0%}, and by CPU time {found["bare_cpu"] / total:.0%} (below): \
the goal of {GOAL:.0%} is {met} by the lower of the two.
Where others use the cores too, the server is given more of them, for it has more processes: there \
CPU time is the one to go by. Of {found["answers"]} answers half came within \
{found["p50"]:.2f} s and 99% within {found["p99"]:.2f} s
({found["clients"]} clients wait for each other's videos); {found["lost"]} were lost.

| while | answered | lost |
|---|---|---|
| a worker is killed | {found["killed"]["answers"]} | {found["killed"]["lost"]} |
| SIGHUP loads the run anew | {found["reloaded"]["answers"]} | {found["reloaded"]["lost"]} |

## Where the time goes

CPU seconds a video, of all processes of the server, and of the bare predictor.

| | seconds | share |
|---|---|---|
| receiving, HTTP, passing on (the server's process) | {served["front"]:.3f} | \
{served["front"] / total:.0%} |
| decoding, flow, their compression (a process beside it) | {served["decoders"]:.3f} | \
{served["decoders"] / total:.0%} |
| networks (a worker) | {served["workers"]:.3f} | {served["workers"] / total:.0%} |
| the server in all | {total:.3f} | 100% |
| the bare predictor | {found["bare_cpu"]:.3f} | {found["bare_cpu"] / total:.0%} |

Of the bare predictor's, the fastest of three, in seconds: decoding {parts["decode"]:.3f}, flow \
{parts["flow"]:.3f}, spatial net {parts["spatial"]:.3f}, temporal net {parts["temporal"]:.3f};
the rest of {parts["predict"]:.3f} is colours, JPEG and stacking.
"""


if __name__ == "__main__":
    main()
