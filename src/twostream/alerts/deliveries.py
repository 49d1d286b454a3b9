"""Alerts on their way: in the background, tried again, and never lost in silence."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from twostream.alerts.alert import Alert
from twostream.alerts.alert_log import AlertLog
from twostream.alerts.targets import NotDelivered, Target

TRIES = 5
FIRST_WAIT_SECONDS = 1.0  # the next ones are the double of the one before
WAITING = 100  # alerts that a target may be behind; more are given up
LAST_SECONDS = 5.0  # for what is on its way when the watch ends

logger = logging.getLogger(__name__)


class Deliveries:
    """Brings alerts to targets, each in a thread of its own: who sends never waits.

    Every alert goes into the log, and for each target what became of it: delivered, or not and
    why. What is given up is told.

    Args:
        targets: any number.
        log: see above.

    Attributes:
        delivered, given_up: how many deliveries.
    """

    def __init__(self, targets: Sequence[Target], log: AlertLog) -> None:
        self.delivered = self.given_up = 0
        self._log = log
        self._lock = threading.Lock()
        self._couriers = [_Courier(target, self) for target in targets]

    def send(self, alert: Alert) -> None:
        """Take an alert."""
        self._log.add({"alert": alert.to_json()})
        for courier in self._couriers:
            courier.take(alert)

    def close(self, seconds: float = LAST_SECONDS) -> None:
        """Wait a little for what is on its way; what is not delivered then is told."""
        until = time.monotonic() + seconds
        for courier in self._couriers:
            courier.close()
        # a second stop ends the waiting, not the word on what is lost
        with suppress(KeyboardInterrupt):
            for courier in self._couriers:
                courier.thread.join(max(0.0, until - time.monotonic()))
        for courier in self._couriers:
            courier.give_up_all()

    def count(self, alert: Alert, target: Target, tries: int, why: str | None) -> None:
        """Take what became of a delivery.

        Args:
            alert, target: which.
            tries: that were made.
            why: it was given up; None: it was delivered.
        """
        with self._lock:
            self.delivered += why is None
            self.given_up += why is not None
        entry = {"alert_id": alert.id, "to": target.name, "delivered": why is None, "tries": tries}
        self._log.add(entry if why is None else entry | {"why": why})
        if why is not None:
            logger.warning(f"not delivered to {target.name}: {alert}: {why}")


class _Courier:
    """The thread of one target, and what waits for it."""

    def __init__(self, target: Target, deliveries: Deliveries) -> None:
        self._target = target
        self._all = deliveries
        self._waiting: queue.Queue[Alert | None] = queue.Queue()
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Alert, int]] = {}  # by id: not settled, and the tries so far
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._work, name="twostream alerts", daemon=True)
        self.thread.start()

    def take(self, alert: Alert) -> None:
        with self._lock:
            is_full = len(self._open) >= WAITING
            if not is_full:
                self._open[alert.id] = alert, 0
                self._waiting.put(alert)
        if is_full:
            self._all.count(alert, self._target, 0, f"{WAITING} others wait for it already")

    def close(self) -> None:
        self._waiting.put(None)

    def give_up_all(self) -> None:
        """Settle what is not delivered; a thread that hangs has nothing more to say."""
        self._over.set()
        with self._lock:
            left = list(self._open.values())
        for alert, tries in left:
            self._settle(alert, tries, "the watch ended before")
        self._target.end()

    def _work(self) -> None:
        while not self._over.is_set() and (alert := self._waiting.get()) is not None:
            wait = FIRST_WAIT_SECONDS
            for tries in range(1, TRIES + 1):
                with self._lock:
                    if alert.id in self._open:
                        self._open[alert.id] = alert, tries
                why = self._try(alert, is_last=tries == TRIES)
                if why is not None:
                    self._settle(alert, tries, why or None)
                    break
                if self._over.wait(wait):
                    return
                wait *= 2

    def _try(self, alert: Alert, *, is_last: bool) -> str | None:
        """Return why it is given up, "" where it is delivered, and None where it is tried again."""
        try:
            self._target.send(alert)
        except NotDelivered as error:
            return error.why if is_last or not error.again else None
        except Exception as error:  # noqa: BLE001  nothing must end the thread in silence
            return f"an unexpected {type(error).__name__}: please report it"
        return ""

    def _settle(self, alert: Alert, tries: int, why: str | None) -> None:
        """Count a delivery once, whoever comes first."""
        with self._lock:
            known = self._open.pop(alert.id, None)
        if known is not None:
            self._all.count(alert, self._target, tries, why)
