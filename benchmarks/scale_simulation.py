"""Simulates the extraction of many hours on many nodes: static parts against a queue.

    python benchmarks/scale_simulation.py [--hours 10000] [--out docs/scale-simulation.md]

A discrete simulation: nodes of unequal speed whose cores take videos, ask the metadata server of a
shared disk for what the store does with each, compute, and break down now and then. ``scale.py``
measures what it is given, ``docs/scale.md`` says where the rest comes from.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

NEVER = math.inf
FAILS, IS_UP, BEGINS_AGAIN = -1, -2, -3  # of a node, where the number of a core stands else


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The machines and the disk that they share; a disk and nodes without faults by default.

    Attributes:
        nodes: number of machines.
        cores: of each; a video keeps one busy.
        spread: sigma of the lognormal speeds of nodes, whose mean is 1.
        mtbf_hours: mean time between failures of a node, exponential.
        down_hours: from a failure until the node, or another in its place, begins again.
        ops_rate: metadata operations a second that the shared disk does for all, one after another.
        ops_video: of each video.
        ops_there: of each video that a part finds finished when it is begun again.
        check_seconds: that one core reads and sums a finished video for, then too.
    """

    nodes: int
    cores: int = 1
    spread: float = 0.0
    mtbf_hours: float = NEVER
    down_hours: float = 0.0
    ops_rate: float = NEVER
    ops_video: float = 0.0
    ops_there: float = 0.0
    check_seconds: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What became of it.

    Attributes:
        seconds: until the last video was done.
        done: number of videos.
        spent: core-seconds of computing, of waiting for metadata, lost to failures (down, work
            lost, checking again), and idle at the end; they add up to all cores over all seconds.
    """

    seconds: float = 0.0
    done: int = 0
    spent: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("computing", "metadata", "failures", "idle"), 0.0)
    )


class Simulation:
    """One extraction.

    Args:
        videos: seconds that each takes a core of a node of speed 1.
        site: where.
        shared: a queue gives videos to free cores; else node i does every n-th of them.
        seed: of speeds and failures.
        speeds: of the nodes; None draws them.
        failures: gives the seconds from the (new) start of a node to its failure; None draws.
    """

    def __init__(
        self,
        videos: Sequence[float],
        site: Site,
        *,
        shared: bool,
        seed: int = 0,
        speeds: Sequence[float] | None = None,
        failures: Callable[[int], float] | None = None,
    ) -> None:
        rng = random.Random(seed)
        drawn = [math.exp(rng.gauss(-(site.spread**2) / 2, site.spread)) for _ in range(site.nodes)]
        self.site, self.shared, self.count = site, shared, len(videos)
        mean = sum(drawn) / site.nodes  # so that all that differs from ideal is lost
        self.speeds = [speed / mean for speed in drawn] if speeds is None else speeds
        self.until_failure = failures or (
            lambda _: (
                NEVER if site.mtbf_hours == NEVER else rng.expovariate(1 / (3600 * site.mtbf_hours))
            )
        )
        # the longest first, as `extract` does
        parts = [videos] if shared else [videos[i :: site.nodes] for i in range(site.nodes)]
        queues = [deque(sorted(part, reverse=True)) for part in parts]
        self.queues = queues * site.nodes if shared else queues
        self.done = [0] * site.nodes
        self.life = [0] * site.nodes  # counts failures: what a dead node would have ended is void
        self.at_work: list[dict[int, tuple[float, float, float]]] = [{} for _ in range(site.nodes)]
        self.idle: set[tuple[int, int]] = set()
        self.away: dict[int, float] = {}  # since when
        self.server_free = 0.0
        self.events: list[tuple[float, int, int, int, int]] = []
        self.numbers = itertools.count()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Return what became of it."""
        out, site = self.outcome, self.site
        for node in range(site.nodes):
            self._begin(node, 0.0)
        while out.done < self.count:
            now, _, node, core, life = heapq.heappop(self.events)
            if life != self.life[node]:
                continue
            if core == FAILS:
                self._fail(node, now)
                continue
            if core == IS_UP:
                self._look(node, now)
                continue
            if core == BEGINS_AGAIN:
                out.spent["failures"] += site.cores * (now - self.away.pop(node))
                self._begin(node, now)
                continue
            self._end(node, core, now)
            self._next(node, core, now)
        for since in self.away.values():
            out.spent["failures"] += site.cores * (out.seconds - since)
        out.spent["idle"] = site.nodes * site.cores * out.seconds - sum(out.spent.values())
        return out

    def _push(self, when: float, node: int, core: int) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), node, core, self.life[node]))

    def _begin(self, node: int, now: float) -> None:
        """Start the cores of a node, and the clock of its next failure."""
        for core in range(self.site.cores):
            self._push(now, node, core)
        until = self.until_failure(node)
        if until < NEVER:
            self._push(now + until, node, FAILS)

    def _asked(self, ops: float, now: float) -> float:
        """Return when the metadata server has done operations that are asked for now."""
        if self.site.ops_rate == NEVER or not ops:
            return now
        self.server_free = max(self.server_free, now) + ops / self.site.ops_rate
        return self.server_free

    def _next(self, node: int, core: int, now: float) -> None:
        """Let a core take a video."""
        if not self.queues[node]:
            self.idle.add((node, core))
            return
        work = self.queues[node].popleft()
        ready = self._asked(self.site.ops_video, now)
        self.at_work[node][core] = now, ready, work
        self._push(ready + work / self.speeds[node], node, core)

    def _end(self, node: int, core: int, now: float) -> None:
        """Count the video that a core has ended, if it had one."""
        if core in self.at_work[node]:
            begun, ready, _ = self.at_work[node].pop(core)
            self.outcome.spent["metadata"] += ready - begun
            self.outcome.spent["computing"] += now - ready
            self.outcome.done += 1
            self.done[node] += 1
            self.outcome.seconds = now

    def _fail(self, node: int, now: float) -> None:
        """Lose what a node was at work on; it, or another in its place, begins again later."""
        lost = self.at_work[node]
        if not (lost or self.queues[node]):
            return  # it has ended
        site, spent = self.site, self.outcome.spent
        self.life[node] += 1
        self.at_work[node], self.away[node] = {}, now
        self.idle -= {(node, core) for core in range(site.cores)}
        for begun, _, work in lost.values():
            spent["failures"] += now - begun
            self.queues[node].appendleft(work)
        self._push(now + 3600 * site.down_hours, node, IS_UP)
        while self.shared and lost and self.idle:
            other, core = self.idle.pop()
            lost.popitem()
            self._push(now, other, core)

    def _look(self, node: int, now: float) -> None:
        """Let a part that is begun again look at all that it has done; a queue knows."""
        ready = now
        if not self.shared:
            checked = self.done[node] * self.site.check_seconds / self.site.cores
            asked = self._asked(self.done[node] * self.site.ops_there, now)
            ready = max(now + checked / self.speeds[node], asked)
        self._push(ready, node, BEGINS_AGAIN)


HEADER = [
    "nodes",
    "how",
    "hours until done",
    "of ideal",
    "metadata",
    "failures",
    "idle at the end",
    "what limits",
]
LITTLE = 0.02  # of all core-seconds: what loses less limits nothing


def row(outcome: Outcome, site: Site, how: str, ideal_seconds: float) -> list[str]:
    """Return the cells of a table."""
    every = sum(outcome.spent.values())
    lost = {name: outcome.spent[name] / every for name in ("metadata", "failures", "idle")}
    worst = max(lost, key=lambda name: lost[name])
    return [
        str(site.nodes),
        how,
        f"{outcome.seconds / 3600:.2f}",
        f"{ideal_seconds / outcome.seconds:.0%}",
        *(f"{share:.1%}" for share in lost.values()),
        worst if lost[worst] > LITTLE else "the cores",
    ]


def drawn_videos(hours: float, minutes: float, cost: float, seed: int) -> list[float]:
    """Return the core-seconds of videos of lognormal lengths (sigma 0.5).

    Args:
        hours: of all of them.
        minutes: of each, in the mean.
        cost: core-seconds of a second of video.
        seed: of their lengths.
    """
    rng = random.Random(seed)
    lengths = [rng.lognormvariate(0, 0.5) for _ in range(round(60 * hours / minutes))]
    scale = 3600 * hours * cost / sum(lengths)
    return [scale * length for length in lengths]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What differs from table to table.

    Attributes:
        minutes: of a video.
        ops_rate: of the shared disk.
        mtbf_hours: of a node.
        nodes: how many of them.
    """

    minutes: float
    ops_rate: float = 12_000
    mtbf_hours: float = 720
    nodes: tuple[int, ...] = (1, 8, 64, 256)


SCENARIOS = (
    Scenario(minutes=10),
    Scenario(minutes=60),
    Scenario(minutes=10, mtbf_hours=6),
    Scenario(minutes=0.6),
    Scenario(minutes=0.6, ops_rate=500),
)


def table_of(each: Scenario, options: argparse.Namespace) -> tuple[str, list[list[str]]]:
    """Simulate a scenario; return the title and the rows of its table."""
    videos = drawn_videos(options.hours, each.minutes, options.ms_pair / 1000 * options.fps, 1)
    mb_video = 60 * each.minutes * options.fps * options.kb_pair / 1000
    rows = []
    for nodes in each.nodes:
        site = Site(
            nodes=nodes,
            cores=options.cores,
            spread=options.spread,
            mtbf_hours=each.mtbf_hours,
            down_hours=options.down,
            ops_rate=each.ops_rate,
            ops_video=options.ops_video,
            ops_there=options.ops_there,
            check_seconds=mb_video / options.read_mb,
        )
        ideal = sum(videos) / nodes / site.cores
        for how, shared in (("shards", False), ("queue", True)):
            outcome = Simulation(videos, site, shared=shared, seed=nodes).run()
            rows.append(row(outcome, site, how, ideal))
    title = (
        f"{len(videos):,} videos of {each.minutes:g} minutes, {each.ops_rate:,.0f} operations/s, "
        f"a failure each {each.mtbf_hours:g} hours of a node"
    )
    return title, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=10_000)
    parser.add_argument("--fps", type=float, default=25)
    parser.add_argument("--ms-pair", type=float, default=15.5, help="core-ms of a pair of frames")
    parser.add_argument("--kb-pair", type=float, default=26.1, help="of a frame and a field")
    parser.add_argument("--read-mb", type=float, default=500, help="a core reads and sums a second")
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--spread", type=float, default=0.2)
    parser.add_argument("--down", type=float, default=0.25, help="hours")
    parser.add_argument("--ops-video", type=float, default=26)
    parser.add_argument("--ops-there", type=float, default=12)
    parser.add_argument("--out", type=Path, help="also write the tables, as Markdown")
    options = parser.parse_args()
    page = (
        "<!-- written by benchmarks/scale_simulation.py -->\n# Many hours on many nodes, "
        f"simulated\n\n{options.hours:,.0f} hours at {options.fps:g} frames/s, "
        f"{options.ms_pair:g} core-ms a pair; nodes of {options.cores} cores, speeds lognormal "
        f"(sigma {options.spread:g}, mean 1), {60 * options.down:g} minutes down after a failure; "
        f"{options.ops_video:g} metadata operations a video, {options.ops_there:g} of one that is "
        f"there, whose {options.kb_pair:g} KB a pair are then read at {options.read_mb:g} MB/s by "
        "a core. Shards: static parts, `--shard i/n`; queue: `--cluster`. Of ideal: of the time of "
        "as many cores that lose nothing. The shares are of all core-seconds; idle are cores that "
        "have nothing to do while others finish. One draw of speeds and failures each.\n"
    )
    for each in SCENARIOS:
        title, rows = table_of(each, options)
        table = Table(*HEADER, title=title)
        page += f"\n## {title}\n\n| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}\n"
        for cells in rows:
            table.add_row(*cells)
            page += f"| {' | '.join(cells)} |\n"
        Console().print(table)
    if options.out:
        options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
