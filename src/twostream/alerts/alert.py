"""An alert: what is sent and logged of an alarm."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from twostream.alerts.rules import Alarm


@dataclass(frozen=True, slots=True)
class Alert:
    """An alarm of a source, now.

    Attributes:
        id: its own; who gets it twice, because an answer was lost, knows it by that.
        time: when it was raised, with the date and the time zone (ISO 8601, UTC).
        source: for people, without a password.
        rule, label, score, since_seconds, seconds: see ``Alarm``, from the start of the watch.
    """

    source: str
    rule: str
    label: str
    score: float
    since_seconds: float
    seconds: float
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    time: str = field(default_factory=lambda: now())

    @classmethod
    def of(cls, alarm: Alarm, source: str) -> Self:
        """Return the alert of an alarm."""
        return cls(source, **alarm.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.source}: {self.label} {self.score:.2f} at {self.seconds:.1f} s ({self.rule})"


def now() -> str:
    """Return the time, as alerts and their log have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
