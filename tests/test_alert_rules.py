"""Alert rules: their grammar, and when they raise an alarm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from twostream.alerts import AlarmRate, Rule, Watched, alarm_rates
from twostream.types import UsageError

FALLS = ("fall", "walk")


def raised(text: str, looks: Sequence[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """Return (since, at) of each alarm; looks are (seconds, probability; None: a break)."""
    watched = Watched([Rule.parse(text)], FALLS)
    found = []
    for seconds, fall in looks:
        if fall is None:
            watched.broke()
            continue
        found += watched.look(seconds, np.array([fall, 1 - fall], np.float32))
    return [(round(alarm.since_seconds, 6), round(alarm.seconds, 6)) for alarm in found]


def every(step: float, *falls: float | None) -> list[tuple[float, float | None]]:
    return [(number * step, fall) for number, fall in enumerate(falls)]


# --- the grammar


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("fall>0.8 for 1s", Rule("fall", 0.8, 1)),
        ("fall > .8", Rule("fall", 0.8)),
        ("  stand up>0 FOR 2 Min every 1.5h ", Rule("stand up", 0, 120, 5400)),
        ("fall>0.8 every 10", Rule("fall", 0.8, 0, 600)),
        ("fall>0.8 for 10 every 90 s", Rule("fall", 0.8, 10, 90)),
        ("a > b for 2 s>0.5", Rule("a > b for 2 s", 0.5)),
    ],
)
def test_rules_that_are_understood(text: str, rule: Rule) -> None:
    assert Rule.parse(text) == rule
    assert Rule.parse(str(rule)) == rule


@pytest.mark.parametrize(
    "text",
    [
        "", "fall", "fall > ", "> 0.8", "fall >= 0.8", "fall > high", "fall > 0.8 for", "fall > -1",
        "fall > 0.8 1 s", "fall > 0.8 for 1 day", "fall > 0.8 every 1 min for 1 s", "fall > nan",
    ],
)  # fmt: skip
def test_all_else_is_one_sentence_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r'such as "fall > 0.8 for 1 s every 10 min", got'):
        Rule.parse(text)


def test_a_probability_that_nothing_exceeds_is_refused() -> None:
    for text in ("fall > 1", "fall > 80"):
        with pytest.raises(UsageError, match="give one below 1"):
            Rule.parse(text)


def test_an_unknown_class_names_those_that_there_are() -> None:
    together = {"fall + shout": ("fall", "shout")}
    with pytest.raises(UsageError, match=r"no class jump, only walk, fall, shout$"):
        Watched([Rule("jump", 0.5)], ("walk", "fall + shout"), together)


def test_labels_that_hold_together_count_for_each() -> None:
    classes, together = ("fall", "walk", "fall + shout"), {"fall + shout": ("fall", "shout")}
    rules = [Rule(label, 0.75) for label in ("fall", "shout", "fall + shout")]
    scores = np.array([0.4, 0.2, 0.4])
    (alarm,) = Watched(rules, classes, together).look(0, scores)
    assert alarm.rule.label == "fall" and alarm.score == pytest.approx(0.8)


# --- when


def test_it_must_hold_for_its_time_and_fires_once() -> None:
    looks = every(0.2, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    assert raised("fall > 0.8 for 1 s", looks) == [(0.2, 1.2)]
    assert raised("fall > 0.8", looks) == [(0.2, 0.2)]
    assert raised("fall > 0.9", looks) == []  # equal is not above
    assert raised("fall > 0.8 for 2 s", looks) == []
    # five looks are a second, though a computer's may be a trifle shorter
    later = [0.1] * 38 + [0.9] * 6
    assert 43 * 0.2 - 38 * 0.2 < 1 and len(raised("fall > 0.8 for 1 s", every(0.2, *later))) == 1


def test_one_look_below_begins_anew() -> None:
    looks = every(0.5, 0.9, 0.9, 0.7, 0.9, 0.9, 0.9, 0.9)
    assert raised("fall > 0.8 for 1 s", looks) == [(1.5, 2.5)]


def test_it_fires_again_only_after_it_has_ceased() -> None:
    looks = every(1, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9)
    assert raised("fall > 0.8 for 1 s", looks) == [(0, 1), (4, 5)]


def test_a_quiet_time_is_kept_and_what_outlasts_it_is_told() -> None:
    short = [*every(1, 0.9, 0.1, 0.9, 0.1), (59, 0.1), (60, 0.9)]
    assert raised("fall > 0.8 every 1 min", short) == [(0, 0), (60, 60)]
    lasting = [(0, 0.9), (1, 0.1), *((float(t), 0.9) for t in range(50, 70))]
    assert raised("fall > 0.8 every 1 min", lasting) == [(0, 0), (50, 60)]


def test_a_break_is_not_held_across_and_does_not_fire_anew() -> None:
    # four seconds of which nothing is known
    looks = [(0, 0.9), (0.5, 0.9), (0.6, None), (4.5, 0.9), (5, 0.9), (5.5, 0.9)]
    assert raised("fall > 0.8 for 1 s", looks) == [(4.5, 5.5)]
    # who lay there before it lies there still
    looks = [(0, 0.9), (1, 0.9), (1.5, None), (4, 0.9), (5, 0.9), (6, 0.1), (7, 0.9), (8, 0.9)]
    assert raised("fall > 0.8 for 1 s", looks) == [(0, 1), (7, 8)]


def test_no_number_is_no_alarm() -> None:
    assert raised("fall > 0", every(1, float("nan"), float("nan"))) == []


# --- how often


def test_rates_count_each_rule_by_itself() -> None:
    rules = [Rule("fall", 0.8), Rule("walk", 0.8), Rule("fall", 0.8, 1)]
    watched = Watched(rules, FALLS)
    looks = every(1800, 0.9, 0.1, 0.9, 0.1)
    alarms = [a for at, fall in looks for a in watched.look(at, np.array([fall, 1 - fall]))]
    rates = alarm_rates(rules, alarms, 7200)
    assert [(rate.alarms, rate.an_hour, rate.a_day) for rate in rates] == [
        (2, 1, 24),
        (2, 1, 24),
        (0, 0, 0),
    ]
    low, high = rates[2].a_day_between
    assert low == 0 and high == pytest.approx(-np.log(0.025) * 12)  # exact, of no alarm at all
    assert AlarmRate(rules[0], 0, 0).to_json()["a_day"] is None
