"""Which moments are proposed: known answers."""

from __future__ import annotations

import numpy as np

from twostream.web.forecasts import Forecast
from twostream.web.proposals import proposals

CLASSES = ("walk", "sit", "other")


def forecast(*rows: tuple[float, ...], every: float = 5.0) -> Forecast:
    times = every * np.arange(len(rows)) + 1
    return Forecast(CLASSES, times, np.array(rows, np.float32), (), None)


def test_the_unsure_come_first_and_the_sure_never() -> None:
    found = proposals(
        {"a": forecast((0.6, 0.4, 0), (1, 0, 0), (0.5, 0.5, 0), (0.0, 0.7, 0.3))}, {"a": ()}
    )
    # the lead of the best class is .2, 1, 0 and .4; pairs count: walk and sit is proposed twice
    assert [each.seconds for each in found] == [11, 16, 1]
    assert found[0].uncertainty == 1 and found[0].labels == ("walk", "sit")
    assert found[1].labels == ("sit", "other")


def test_what_is_taken_for_nothing_comes_after_what_is_taken_for_something() -> None:
    found = proposals({"a": forecast((0.1, 0.3, 0.6), (0.8, 0.1, 0.1), (0.4, 0.1, 0.5))}, {"a": ()})
    # unsure .7, .3 and .9, of which a tenth counts where "other" is the best class
    assert [each.seconds for each in found] == [6, 11, 1]
    near = forecast((0.48, 0.02, 0.5), (0.7, 0.2, 0.1), every=1.0)  # one bin of four seconds
    assert [each.labels for each in proposals({"a": near}, {})] == [("walk", "sit")]


def test_they_are_spread_over_videos_and_time() -> None:
    near = forecast(*[(0.5, 0.5, 0)] * 30, every=0.5)  # 15 s: bins of four seconds
    found = proposals({"a": near, "b": forecast((0.7, 0.3, 0))}, {})
    assert [each.video for each in found[:2]] == ["a", "b"]  # b's counts .6 / 2, a's 1 / 2 / 2
    times = sorted(each.seconds for each in found if each.video == "a")
    assert len(times) >= 3 and min(np.diff(times)) >= 4
    assert len(proposals({f"{i}": near for i in range(30)}, {})) == 20


def test_what_was_watched_is_not_proposed() -> None:
    rows = forecast((0.5, 0.5, 0), (0.5, 0.5, 0), (0.5, 0.5, 0))
    assert [each.seconds for each in proposals({"a": rows}, {"a": [(0, 3), (10, 12)]})] == [6]
    assert proposals({"a": rows}, {"a": None}) == []
