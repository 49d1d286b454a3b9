"""What `predict --live` does: sources are watched, told about, and alerts sent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twostream.cli.console import Shown

if TYPE_CHECKING:
    from twostream.alerts import Rule
    from twostream.alerts.alerting import Alerting
    from twostream.alerts.targets import Target
    from twostream.cli.live_display import Display
    from twostream.prediction import TwoStreamPredictor
    from twostream.prediction.live import Live, LivePrediction
    from twostream.prediction.live_events import Gap, Lost


def watch(
    shown: Shown,
    run: Path,
    device: str,
    names: Sequence[str],
    asked: dict[str, Any],
    rules: Sequence[Rule],
    targets: Sequence[Target],
    log: Path | None,
    *,
    top: int,
) -> int:
    """Predict what sources show until they end; returns the exit status."""
    from twostream.alerts.alert_log import AlertLog
    from twostream.alerts.alerting import Alerting
    from twostream.bout_model import THRESHOLD
    from twostream.cli.live_display import Display
    from twostream.prediction import TwoStreamPredictor
    from twostream.prediction.live_several import LiveSeveral
    from twostream.prediction.timeline import check_threshold
    from twostream.threads import num_cores, threads_were_given

    threshold = asked.pop("threshold", THRESHOLD)
    check_threshold(threshold)
    # each source's flow takes a core, and networks with threads that wait for it at every step are
    # many times slower; before torch is loaded
    if not threads_were_given():
        os.environ["OMP_NUM_THREADS"] = str(max(1, num_cores() - len(names)))
    alert_log = AlertLog(log)  # before the models: a wrong name is quick
    predictor = TwoStreamPredictor.load(run, device=device)
    sources = open_sources(predictor, names)
    lives = LiveSeveral(predictor, sources, **asked)
    classes = predictor.spec.classes
    alerting = Alerting(rules, classes, predictor.together, targets, alert_log)
    display = None
    if shown.out.is_terminal and not shown.as_json:
        display = Display(shown.out, [source.name for source in sources], top)
    teller = _Teller(shown, display, alerting, threshold, several=len(sources) > 1)
    status = 0
    try:
        with display or nullcontext():
            for live, event in lives:
                teller.tell(live.source.name, event)
    except KeyboardInterrupt:
        status = 130
    finally:
        alerting.deliveries.close()
    failed = teller.summary(lives.lives, is_stopped=status != 0)
    return status or int(failed)


def open_sources(predictor: TwoStreamPredictor, names: Sequence[str]) -> list[Any]:
    """Return the sources of a command, each of a name of its own; raises UsageError."""
    from twostream.store.flow_store import StoreSettings
    from twostream.types import UsageError
    from twostream.video.addresses import without_password
    from twostream.video.live_sources import open_source

    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--live {without_password(twice[0])} is given twice")
    store = StoreSettings.of_model(predictor.spec)
    sources = [
        open_source(
            name,
            short_side=store.short_side,
            enlarges=store.enlarges,
            fps=store.fps,
            smallest_side=predictor.spec.smallest_side,
        )
        for name in names
    ]
    shown = Counter[str]()
    for source in sources:
        shown[source.name] += 1
        if (number := shown[source.name]) > 1:  # they differ in what is not shown
            source.name = f"{source.name} ({number})"
    return sources


class _Teller:
    """Tells what happens: on a display, in lines, or as JSON.

    Args:
        shown: where to.
        display: on a terminal.
        alerting: is asked whether there is an alarm.
        threshold: a best score below it is "none of these".
        several: whether lines say which source they are of.
    """

    def __init__(
        self,
        shown: Shown,
        display: Display | None,
        alerting: Alerting,
        threshold: float,
        *,
        several: bool,
    ) -> None:
        self._shown = shown
        self._display = display
        self._alerting = alerting
        self._threshold = threshold
        self._several = several
        self._lost = False

    def tell(self, source: str, event: LivePrediction | Gap | Lost) -> None:
        """Tell an event of a source."""
        from twostream.prediction.live_events import Gap, Lost

        if isinstance(event, Lost):
            self._lost = True
            self._shown.say(f"not watched any more: {event.cause}")
            self._result(source, event.to_json())
        elif isinstance(event, Gap):
            at, cause = event.at_seconds, event.cause
            said = f"frames again after {event.seconds or 0:.1f} s without"
            if event.seconds is None:
                said = f"{at:.1f} s: {cause}; waiting for frames"
            self._shown.say(self._of(source, said))
            self._result(source, event.to_json())
        else:
            self._predicted(source, event)

    def _predicted(self, source: str, event: LivePrediction) -> None:
        from twostream.labels.recordings import NONE_LABEL

        alerts = self._alerting.look(
            source, event.clock_seconds, event.prediction.scores, begins=event.begins
        )
        for alert in alerts:
            self._shown.say(f"alert: {alert}")
            self._result(source, {"alert": alert.to_json()})
        label, score = event.prediction.top(1)[0]
        title = label if score >= self._threshold else NONE_LABEL
        known = label if score >= self._threshold else None
        self._result(source, {"label": known, **event.to_json()})
        if self._display is not None:
            self._display.show(source, title, event)
        elif not self._shown.as_json:
            self._shown.line(
                self._of(
                    source,
                    f"{event.prediction.end_seconds:7.1f} s  {title} {score:.2f}  "
                    f"(delay {event.delay_seconds:.2f} s, dropped {event.dropped})",
                )
            )

    def summary(self, lives: Sequence[Live], *, is_stopped: bool) -> bool:
        """Tell what it came to; returns whether something failed."""
        shown, deliveries = self._shown, self._alerting.deliveries
        failed, slow = self._lost or deliveries.given_up > 0, False
        alerts = self._alerting.counts.total()
        if alerts:
            done, lost = deliveries.delivered, deliveries.given_up
            shown.say(f"{alerts} alerts, {done} deliveries done, {lost} given up")
        for live in lives:
            name, summary = live.source.name, live.summary()
            slow |= summary.dropped > 0 or summary.skipped > 0
            if not summary.frames and not is_stopped:
                failed = True
                shown.say(
                    f"{name}: no frame came in {summary.seconds:.1f} s: is it on, and is this its "
                    "address?"
                )
            said = (
                f"{summary.seconds:.1f} s, {summary.frames} frames, {summary.predictions} "
                f"predictions, longest delay {summary.longest_delay_seconds:.2f} s; "
                f"{summary.dropped} frames dropped, {summary.damaged} damaged, {summary.skipped} "
                f"windows skipped, {summary.gaps} breaks"
            )
            shown.say(self._of(name, said))
        if slow:
            shown.say(
                "this machine was too slow at times: a longer --every, fewer --positions, or a "
                "flow that is quicker, help"
            )
        for live in lives:
            count = self._alerting.counts[live.source.name]
            values = asdict(live.summary()) | ({"alerts": count} if alerts else {})
            self._result(live.source.name, {"summary": values})
        return failed

    def _result(self, source: str, value: dict[str, Any]) -> None:
        self._shown.result({"source": source, **value})

    def _of(self, source: str, text: str) -> str:
        return f"{source}: {text.lstrip()}" if self._several else text
