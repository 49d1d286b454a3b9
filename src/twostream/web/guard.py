"""What comes before the page: who may ask, what may be asked, how much may be sent.

The page needs a handful of gradio's routes. Only these are open: none that reads, fetches, streams
or edits a file is reachable, whatever gradio adds.
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

OPEN_PATHS = frozenset(
    {
        "/",
        "/config",
        "/theme.css",
        "/favicon.ico",
        "/manifest.json",
        "/api/predict",
        "/api/model",
        "/api/upload",
        "/gradio_api/info",
        "/gradio_api/app_id",
        "/gradio_api/startup-events",
        "/gradio_api/queue/join",
        "/gradio_api/queue/data",
        "/gradio_api/reset",
        "/gradio_api/cancel",
    }
)
OPEN_FOLDERS = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/")
BODIES = frozenset({"/api/predict", "/api/upload"})  # count for themselves, as bytes arrive
MAX_BODY_BYTES = 1 << 20

HEADERS = (
    # the browser itself refuses every other host
    (
        b"content-security-policy",
        b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """An ASGI application in front of another one.

    Args:
        app: the other one.
        auth: "user:password" that every request must carry (HTTP basic); None: everybody may ask.
    """

    def __init__(self, app: Any, auth: str | None = None) -> None:
        self.app = app
        self._auth = None if auth is None else base64.b64encode(auth.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer or pass on a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # web sockets: the page needs none
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        if scope["path"] == "/":  # gradio's questions to its page, such as deep links, read files
            scope = {**scope, "query_string": b""}
        await self.app(scope, receive, send_with_headers)

    def _refusal(self, scope: Any, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Return status and sentence for what is not answered."""
        if self._auth is not None:
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"basic" or not hmac.compare_digest(given.strip(), self._auth):
                return 401, "a user and a password are needed"
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        folder = path.startswith(OPEN_FOLDERS) and ".." not in path
        if path not in OPEN_PATHS and not folder:
            return 404, "there is nothing here"
        if scope["method"] == "POST" and headers.get(b"sec-fetch-site") == b"cross-site":
            return 403, "another site's page may not send anything here"
        if scope["method"] == "POST" and path not in BODIES:
            length = headers.get(b"content-length", b"")
            if not length.isdigit():
                return 411, "this request must say its length"
            if int(length) > MAX_BODY_BYTES:
                return 413, "this request is too long"
        return None


async def _answer(send: Any, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), *HEADERS]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="twostream", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
