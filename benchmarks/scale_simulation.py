"""Simulates the extraction of many hours on many nodes: static parts against a queue.

A discrete simulation: nodes of unequal speed whose cores take videos, ask the metadata server of a
shared disk for what the store does with each, compute, and break down now and then. ``scale.py``
measures what it is given, ``docs/scale.md`` says where the rest comes from.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

NEVER = math.inf
FAILS, BEGINS_AGAIN = -1, -2  # of a node, where the number of a core stands else


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
        self.speeds = drawn if speeds is None else speeds
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
        back = now + 3600 * site.down_hours
        if not self.shared:  # a part that is begun again looks at all that it has done
            checked = self.done[node] * site.check_seconds / site.cores / self.speeds[node]
            back = max(back + checked, self._asked(self.done[node] * site.ops_there, back))
        self._push(back, node, BEGINS_AGAIN)
        while self.shared and lost and self.idle:
            other, core = self.idle.pop()
            lost.popitem()
            self._push(now, other, core)
