"""A watch's alerts: rules over each source, and the way of their alarms to people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from twostream.alerts.alert import Alert
from twostream.alerts.alert_log import AlertLog
from twostream.alerts.deliveries import Deliveries
from twostream.alerts.rules import Rule, Watched
from twostream.alerts.targets import Target


class Alerting:
    """Looks at scores of sources, and sends what the rules say.

    Args:
        rules: the same for each source.
        classes: k names.
        together: class -> the labels that hold at once in it.
        targets, log: where alerts go, see ``Deliveries``, which is to be closed in the end.

    Attributes:
        deliveries: on their way.
        counts: source -> how many alerts.

    Raises:
        UsageError: a rule is about a class that there is not.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        classes: Sequence[str],
        together: Mapping[str, Sequence[str]],
        targets: Sequence[Target],
        log: AlertLog,
    ) -> None:
        Watched(rules, classes, together)  # a wrong class is said at once
        self.counts: Counter[str] = Counter()
        self.deliveries = Deliveries(targets, log)
        self._watched: defaultdict[str, Watched] = defaultdict(
            lambda: Watched(rules, classes, together)
        )

    def look(
        self, source: str, seconds: float, scores: NDArray[Any], *, begins: bool
    ) -> list[Alert]:
        """Take a window's (k,) scores and its end by the source's clock; return new alerts.

        Args:
            source: its name, without a password.
            seconds, scores: see ``Watched.look``.
            begins: it is the first window after a break.
        """
        watched = self._watched[source]
        if begins:
            watched.broke()
        alarms = watched.look(seconds, scores)
        alerts = [Alert.of(alarm, source) for alarm in alarms]
        self.counts[source] += len(alerts)
        for alert in alerts:
            self.deliveries.send(alert)
        return alerts
