"""How often rules raise an alarm: an hour and a day, on what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from twostream.alerts.rules import Alarm, Rule

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """Alarms of one rule. On background, where nothing happens, all of them are false.

    Attributes:
        rule: whose.
        alarms: how many.
        hours: that were watched.

    >>> rate = AlarmRate(Rule("fall", 0.8), alarms=2, hours=12)
    >>> rate.a_day, [round(each, 2) for each in rate.a_day_between]
    (4.0, [0.48, 14.45])
    >>> round(AlarmRate(Rule("fall", 0.8), alarms=0, hours=24).a_day_between[1], 2)
    3.69
    """

    rule: Rule
    alarms: int
    hours: float

    @property
    def an_hour(self) -> float:
        """Alarms an hour; NaN where nothing was watched."""
        return self.alarms / self.hours if self.hours else float("nan")

    @property
    def a_day(self) -> float:
        """Alarms in 24 hours, likewise."""
        return 24 * self.an_hour

    @property
    def a_day_between(self) -> tuple[float, float]:
        """The exact 95% interval of it where alarms come independently (Garwood 1936)."""
        from scipy.special import gammaincinv  # not for every --help

        if not self.hours:
            return 0.0, float("inf")
        low, high = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
        least = float(gammaincinv(self.alarms, low)) if self.alarms else 0.0
        most = float(gammaincinv(self.alarms + 1, high))
        return 24 * least / self.hours, 24 * most / self.hours

    def to_json(self) -> dict[str, Any]:
        """Return it in plain values; null where nothing was watched."""
        known = self.hours > 0
        return {
            "rule": str(self.rule),
            "alarms": self.alarms,
            "hours": round(self.hours, 4),
            "an_hour": round(self.an_hour, 4) if known else None,
            "a_day": round(self.a_day, 3) if known else None,
            "a_day_95": [round(each, 3) for each in self.a_day_between] if known else None,
        }


def alarm_rates(
    rules: Sequence[Rule], alarms: Iterable[Alarm], watched_seconds: float
) -> list[AlarmRate]:
    """Return the rate of each rule, of all alarms in a time."""
    raised = [alarm.rule for alarm in alarms]
    return [AlarmRate(rule, raised.count(rule), watched_seconds / 3600) for rule in rules]
