"""SIGHUP: the run is loaded anew and takes over; whoever is being answered notices nothing."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType

from twostream.types import TwoStreamError
from twostream.web.workers import Workers

logger = logging.getLogger(__name__)


class Reloading:
    """Loads a run again, each time that it is asked to.

    Args:
        load: returns the run's networks; raises TwoStreamError where it cannot.

    Attributes:
        on_networks: given them.
    """

    def __init__(self, load: Callable[[], Workers]) -> None:
        self._load = load
        self.on_networks: Callable[[Workers], None] = lambda networks: networks.close()
        # a signal's handler may interrupt itself: of all that wakes a thread this alone allows it
        self._asked: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._go_on, daemon=True).start()

    def listen(self) -> None:
        """Let SIGHUP load it again; what nohup has told to ignore that stays so."""
        if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            return
        terminal = _has_terminal()

        def hang_up(number: int, frame: FrameType | None) -> None:
            if terminal and not _has_terminal():  # it was closed: who could end the server now?
                signal.raise_signal(signal.SIGTERM)
            else:
                self.ask()

        signal.signal(signal.SIGHUP, hang_up)

    def ask(self) -> None:
        """Load it again, soon; may be called by a signal's handler."""
        self._asked.put(None)

    def _go_on(self) -> None:
        while True:
            self._asked.get()
            while not self._asked.empty():  # asked again before it began
                self._asked.get()
            try:
                networks = self._load()
            except TwoStreamError as error:
                logger.error("not loaded again, the run before goes on: %s", error)
            except Exception:
                logger.exception("not loaded again, the run before goes on")
            else:
                self.on_networks(networks)
                logger.info("the run was loaded again")


def _has_terminal() -> bool:
    """Tell whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
