"""What the server has done, for Prometheus, and in a log of its requests."""

from __future__ import annotations

import logging
import time
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from twostream.web.workers import Workers

REASONS = {
    401: "password",
    403: "stranger",
    408: "slow",
    413: "size",
    415: "form",
    422: "video",
    429: "guesses",
    499: "left",
    503: "busy",
    504: "time",
}
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_LEFT = 499  # what nginx says of one who did not wait for the answer

logger = logging.getLogger(__name__)


class Measures:
    """Counts since the server began, of all its workers: they are counted where visitors come in.

    Attributes:
        requests, seconds: by the route that answered; the status too.
        in_flight: requests that are being received, worked on or answered.
        videos: that were answered with a label.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        known = {"registry": self._registry}
        self.requests = Counter(
            "twostream_requests", "Requests that were answered.", ["path", "status"], **known
        )
        self.seconds = Histogram(
            "twostream_request_seconds",
            "From a request's first line to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            **known,
        )
        self.in_flight = Gauge("twostream_requests_in_flight", "Requests under way.", **known)
        self.videos = Counter("twostream_videos_predicted", "Videos that got a label.", **known)
        self._refused = Counter(
            "twostream_refused", "Requests and videos that were refused.", ["reason"], **known
        )
        self._alive = Gauge("twostream_workers", "Processes that can answer.", **known)
        self._lost = Counter(
            "twostream_workers_lost", "Workers that ended without being told to.", **known
        )
        self._networks: Workers | None = None
        self._seen = 0

    def watch(self, networks: Workers) -> None:
        """Count the processes of these networks from now on."""
        self._count_workers()
        self._networks, self._seen = networks, networks.lost

    def refused(self, status: int) -> None:
        """Count what was refused, by the status that says why."""
        if status in REASONS:
            self._refused.labels(REASONS[status]).inc()

    def text(self) -> tuple[bytes, str]:
        """Return all of it as Prometheus reads it, and of which type that is."""
        self._count_workers()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _count_workers(self) -> None:
        if self._networks is not None:
            self._alive.set(self._networks.alive)
            lost = self._networks.lost
            self._lost.inc(lost - self._seen)
            self._seen = lost


class Watched:
    """An ASGI application around another one, whose requests it counts and logs.

    Args:
        app: the other one.
        measures: where they are counted.
        log: whether a line is logged for each; neither headers nor names of files are in it.
    """

    def __init__(self, app: Any, measures: Measures, *, log: bool = False) -> None:
        self.app = app
        self._measures = measures
        self._log = log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), _LEFT

        async def send_and_see(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._measures.in_flight.track_inprogress():
                await self.app(scope, receive, send_and_see)
        finally:
            self._tell(scope, status, time.perf_counter() - began)

    def _tell(self, scope: Any, status: int, seconds: float) -> None:
        path = template(scope)
        self._measures.requests.labels(path, str(status)).inc()
        self._measures.seconds.labels(path).observe(seconds)
        self._measures.refused(status)
        if self._log:
            line = {
                "event": "request",
                "method": scope["method"],
                "path": path,
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
                "client": (scope.get("client") or ("",))[0],
            }
            logger.info("%(method)s %(path)s %(status)s", line, extra={"fields": line})


def template(scope: Any) -> str:
    """Return the route that answered a request: what visitors write is in none of them."""
    route = scope.get("route")
    if route is not None and route.path:  # a mount has none
        return str(route.path)
    return "static" if "endpoint" in scope else "none"
