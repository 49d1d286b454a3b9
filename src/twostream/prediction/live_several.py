"""Several live sources in one process: networks that they share, and nothing else.

Each has its own threads for frames and flow, its own window and its own breaks. The thread that
iterates runs the networks, for one source after the other: where they are too slow for all, each
has its turn, and each skips windows of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from twostream.prediction.live import Live, Source
from twostream.prediction.live_events import Gap, LivePrediction, Lost
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.waiting import LOOK_SECONDS
from twostream.threads import costs_one_video, sentence

_PATIENCE_SECONDS = 2.0  # with threads that hang in the network, of all sources


class LiveSeveral:
    """Watches sources; iterate it for what each tells.

    One that breaks is connected to anew, whether it has ever worked or not; one that cannot be is
    told as ``Lost``, and the others go on. Of one source alone it does what ``Live`` does.

    Args:
        predictor: what runs on the windows.
        sources: of frames, at least one.
        make_clock: makes the clock of each.
        options: of each ``Live``.

    Attributes:
        lives: one a source.

    Raises:
        UsageError: see ``Live``.
        VideoError: while iterating, of one source alone, see ``Live``.
    """

    def __init__(
        self,
        predictor: TwoStreamPredictor,
        sources: Sequence[Source],
        *,
        make_clock: Callable[[], Any] | None = None,
        **options: Any,
    ) -> None:
        self._news = threading.Event()
        self.lives = [
            Live(
                predictor,
                source,
                clock=make_clock and make_clock(),
                patient=len(sources) > 1,
                news=self._news,
                **options,
            )
            for source in sources
        ]

    def __iter__(self) -> Iterator[tuple[Live, LivePrediction | Gap | Lost]]:
        left = list(self.lives)
        try:
            for live in left:
                live.start()
            while left:
                self._news.clear()
                quiet = True
                for live in tuple(left):  # each has its turn: none waits for more than one window
                    if live.over:
                        left.remove(live)
                        live.stop()
                        continue
                    try:
                        taken = live.take(0)
                    except Exception as error:
                        if len(self.lives) == 1 or not costs_one_video(error):
                            raise
                        left.remove(live)
                        live.stop()
                        yield live, Lost(sentence(error, live.source.name))
                        continue
                    if taken is not None:
                        quiet = False
                        yield live, live.event(taken)
                if quiet:
                    self._news.wait(LOOK_SECONDS)
        finally:
            for live in self.lives:
                live.stop()
            until = time.monotonic() + _PATIENCE_SECONDS
            for live in self.lives:
                live.join(max(0.0, until - time.monotonic()))
