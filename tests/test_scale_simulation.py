"""The simulation of benchmarks/scale_simulation.py, where the answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from scale_simulation import NEVER, Outcome, Simulation, Site

BOTH = pytest.mark.parametrize("shared", [False, True])


def seconds(videos: list[float], site: Site, shared: bool, **own: object) -> float:
    return done(videos, site, shared, **own).seconds


def done(videos: list[float], site: Site, shared: bool, **own: object) -> Outcome:
    outcome = Simulation(videos, site, shared=shared, **own).run()  # type: ignore[arg-type]
    assert outcome.done == len(videos)
    spent = outcome.spent
    assert sum(spent.values()) == pytest.approx(site.nodes * site.cores * outcome.seconds)
    assert min(spent.values()) > -1e-6
    return outcome


@BOTH
def test_one_core_takes_the_sum(shared: bool) -> None:
    outcome = done([3.0, 1.0, 5.0], Site(nodes=1), shared)
    assert outcome.seconds == 9.0
    assert outcome.spent == {"computing": 9.0, "metadata": 0.0, "failures": 0.0, "idle": 0.0}


@BOTH
@pytest.mark.parametrize("site", [Site(nodes=2), Site(nodes=1, cores=2)])
def test_two_take_half(shared: bool, site: Site) -> None:
    assert seconds([2.0] * 10, site, shared) == 10.0


@BOTH
def test_a_long_video_is_not_divided(shared: bool) -> None:
    outcome = done([1.0, 1.0, 10.0], Site(nodes=4), shared)
    assert outcome.seconds == 10.0 and outcome.spent["idle"] == 40.0 - 12.0


def test_a_slow_node_delays_its_part_and_a_queue_less() -> None:
    videos, speeds = [1.0] * 30, [1.0, 0.5]
    assert seconds(videos, Site(nodes=2), False, speeds=speeds) == 30.0  # 15 videos of 2 s
    assert seconds(videos, Site(nodes=2), True, speeds=speeds) == 20.0  # 20 and 10 of them


@BOTH
def test_metadata_limit_when_computing_is_nothing(shared: bool) -> None:
    site = Site(nodes=10, cores=4, ops_rate=100.0, ops_video=5.0)
    outcome = done([0.0] * 1000, site, shared)
    assert outcome.seconds == pytest.approx(1000 * 5 / 100)
    assert outcome.spent["computing"] == 0.0
    alone = Site(nodes=1, ops_rate=100.0, ops_video=50.0)
    assert seconds([2.0] * 4, alone, shared) == pytest.approx(4 * (0.5 + 2.0))


@BOTH
def test_a_failure_costs_the_video_and_the_time_down(shared: bool) -> None:
    """10 s done, 5 s of the second lost, 3.6 s down, then two videos more."""
    until = iter([15.0, NEVER])
    site = Site(nodes=1, mtbf_hours=1.0, down_hours=0.001)
    outcome = done([10.0] * 3, site, shared, failures=lambda _: next(until))
    assert outcome.seconds == pytest.approx(15.0 + 3.6 + 20.0)
    assert outcome.spent["failures"] == pytest.approx(5.0 + 3.6)
    assert outcome.spent["computing"] == pytest.approx(30.0)


def test_a_part_that_begins_again_looks_at_what_it_has_done() -> None:
    until = iter([25.0, NEVER])
    site = Site(nodes=1, cores=1, check_seconds=0.5, ops_there=10.0, ops_rate=100.0)
    outcome = done([10.0] * 3, site, False, failures=lambda _: next(until))
    assert outcome.seconds == pytest.approx(25.0 + 2 * 0.5 + 10.0)  # 0.2 s of metadata meanwhile


def test_a_part_that_is_down_keeps_no_other_from_the_disk() -> None:
    """Node 0 fails at 5 s and is down for 36 s; node 1 has its videos done long before."""
    lost = {0: iter([5.0, NEVER]), 1: iter([NEVER])}
    site = Site(nodes=2, down_hours=0.01, ops_rate=10.0, ops_video=1.0, ops_there=1.0)
    videos, speeds = [2.0] * 20, [1.0, 1.0]
    outcome = done(videos, site, False, speeds=speeds, failures=lambda node: next(lost[node]))
    assert outcome.spent["metadata"] < 20 * 0.2 + 1e-9  # one operation each, two at once at most
    # of node 0, two are done at 4.3 s, eight are left at 41.2 s, when it has looked at the two
    assert outcome.seconds == pytest.approx(5.0 + 36.0 + 0.2 + 8 * 2.1, abs=0.01)


def test_a_queue_gives_the_videos_of_a_lost_node_to_idle_ones() -> None:
    lost = {0: iter([5.0, NEVER]), 1: iter([NEVER])}
    site = Site(nodes=2, down_hours=1.0)
    one, short = [10.0, 1.0], {"failures": lambda node: next(lost[node])}
    outcome = done(one, site, True, speeds=[1.0, 1.0], **short)
    assert outcome.seconds == 15.0  # begun by the other at 5 s, though the first is away an hour
    assert outcome.spent["failures"] == pytest.approx(5.0 + 10.0)


@BOTH
def test_whatever_happens_each_video_is_done_once(shared: bool) -> None:
    site = Site(
        nodes=7,
        cores=3,
        spread=0.5,
        mtbf_hours=0.05,
        down_hours=0.01,
        ops_rate=50.0,
        ops_video=3.0,
        ops_there=1.0,
        check_seconds=0.1,
    )
    outcome = done([float(1 + i % 50) for i in range(500)], site, shared, seed=3)
    assert outcome.spent["failures"] > 0 and outcome.spent["metadata"] > 0


def test_speeds_have_a_mean_of_one_and_a_seed() -> None:
    site = Site(nodes=4000, spread=0.3)
    speeds = Simulation([1.0], site, shared=True, seed=1).speeds
    assert sum(speeds) / len(speeds) == pytest.approx(1.0)
    assert min(speeds) < 0.5 < 2 < max(speeds)
    assert speeds == Simulation([1.0], site, shared=True, seed=1).speeds
