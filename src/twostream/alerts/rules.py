"""When to raise an alarm: rules such as "fall > 0.8 for 1 s every 10 min" over scores in time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twostream.types import UsageError

EXAMPLE = '"fall > 0.8 for 1 s every 10 min"'
_NUMBER = r"(\d+\.?\d*|\.\d+)"
_CONDITION = re.compile(
    rf"\s*{_NUMBER}(?:\s*\bfor\s*{_NUMBER}\s*(s|min|h)?)?(?:\s*\bevery\s*{_NUMBER}\s*(s|min|h)?)?\s*",
    re.IGNORECASE,
)
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_TOLERANCE = 1e-6  # seconds: five looks 0.2 s apart are a second


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a label's probability.

    Attributes:
        label: whose.
        above: it must be greater.
        hold_seconds: for so long without a break, by the source's own clock; 0: one look does.
        quiet_seconds: from one alarm on there is no other one for so long.
    """

    label: str
    above: float
    hold_seconds: float = 0.0
    quiet_seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read CLASS > PROBABILITY [for SECONDS s] [every MINUTES min]; units are s, min and h.

        Raises:
            UsageError: it is something else, or its probability is not below 1.

        >>> Rule.parse("fall>.8 for 1s")
        Rule(label='fall', above=0.8, hold_seconds=1.0, quiet_seconds=0.0)
        >>> print(Rule.parse("stand up > 0.5 every 2 h"))
        stand up > 0.5 every 120 min
        """
        label, _, condition = text.rpartition(">")
        found = _CONDITION.fullmatch(condition)
        if found is None or not label.strip():
            raise UsageError(
                f"an alert is CLASS > PROBABILITY [for SECONDS s] [every MINUTES min], such as "
                f'{EXAMPLE}, got "{text}"'
            )
        above, hold, hold_unit, quiet, quiet_unit = found.groups()
        if not float(above) < 1:
            raise UsageError(f'"{text}": no probability is above {above}: give one below 1')
        return cls(
            label.strip(),
            float(above),
            float(hold or 0) * _UNITS[(hold_unit or "s").lower()],
            float(quiet or 0) * _UNITS[(quiet_unit or "min").lower()],
        )

    def __str__(self) -> str:
        held = f" for {self.hold_seconds:g} s" if self.hold_seconds else ""
        quiet = f" every {self.quiet_seconds / 60:g} min" if self.quiet_seconds else ""
        return f"{self.label} > {self.above:g}{held}{quiet}"

    def columns(self, classes: Sequence[str], together: Mapping[str, Sequence[str]]) -> list[int]:
        """Return which of k scores make the label's probability, as a sum.

        Args:
            classes: k names.
            together: class -> the labels that hold at once in it; other classes are one label.

        Raises:
            UsageError: no class has this label.

        >>> Rule("fall", 0.5).columns(("fall", "walk", "both"), {"both": ("fall", "shout")})
        [0, 2]
        """
        if self.label in together and self.label in classes:  # the combination itself
            return [list(classes).index(self.label)]
        found = [i for i, name in enumerate(classes) if self.label in together.get(name, (name,))]
        if not found:
            labels = dict.fromkeys(each for name in classes for each in together.get(name, (name,)))
            raise UsageError(
                f'"{self}": the model knows no class {self.label}, only {", ".join(labels)}'
            )
        return found


@dataclass(frozen=True, slots=True)
class Alarm:
    """That a rule's condition has held for its time.

    Attributes:
        rule: whose.
        since_seconds: end of the first window in which it held, by the clock of what was watched.
        seconds: end of the window by which it had held for long enough.
        score: the label's probability there.
    """

    rule: Rule
    since_seconds: float
    seconds: float
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "rule": str(self.rule),
            "label": self.rule.label,
            "score": round(self.score, 4),
            "since_seconds": round(self.since_seconds, 3),
            "seconds": round(self.seconds, 3),
        }


class Watched:
    """What rules have seen of one source: the one place that says when there is an alarm.

    A rule that has raised one does so again only after its condition has ceased, and its quiet time
    has passed. What holds already when the quiet time ends is told then.

    Args:
        rules: any number.
        classes, together: of the model, see ``Rule.columns``.

    >>> watched = Watched([Rule.parse("fall > 0.8 for 1 s")], ("fall", "walk"))
    >>> for seconds, fall in ((0, 0.9), (0.5, 0.9), (1, 0.9), (1.5, 0.9), (2, 0.1), (2.5, 0.9)):
    ...     for alarm in watched.look(seconds, np.array([fall, 1 - fall])):
    ...         print(alarm.since_seconds, alarm.seconds)
    0 1
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        classes: Sequence[str],
        together: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._states = [(_State(rule), rule.columns(classes, together or {})) for rule in rules]

    def look(self, seconds: float, scores: NDArray[np.floating[Any]]) -> list[Alarm]:
        """Take (k,) probabilities of a window that ends at ``seconds``; return new alarms."""
        found = (state.look(seconds, float(scores[rows].sum())) for state, rows in self._states)
        return [alarm for alarm in found if alarm is not None]

    def broke(self) -> None:
        """Nothing was seen for a while: no condition is known to have held across it."""
        for state, _ in self._states:
            state.since = None


class _State:
    """What one rule has seen.

    Attributes:
        since: when the condition began to hold; None: it does not.
    """

    def __init__(self, rule: Rule) -> None:
        self.since: float | None = None
        self._rule = rule
        self._raised_at: float | None = None
        self._is_raised = False

    def look(self, seconds: float, probability: float) -> Alarm | None:
        rule = self._rule
        if not probability > rule.above:  # nor is what is no number
            self.since, self._is_raised = None, False
            return None
        if self.since is None:
            self.since = seconds
        last, until = self._raised_at, rule.quiet_seconds - _TOLERANCE
        is_quiet = last is not None and seconds - last < until
        if self._is_raised or is_quiet or seconds - self.since < rule.hold_seconds - _TOLERANCE:
            return None
        self._is_raised, self._raised_at = True, seconds
        return Alarm(rule, self.since, seconds, probability)
