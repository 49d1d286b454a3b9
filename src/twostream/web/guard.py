"""What comes before every answer: who may ask, and what browsers may do with what they get."""

from __future__ import annotations

import base64
import hmac
import math
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from twostream.types import UsageError
from twostream.web.allowed_names import Names
from twostream.web.guesses import Guesses
from twostream.web.known_visitors import KnownVisitors

HEADERS = {
    # the browser itself runs, loads and asks nothing but this server's own files and routes
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-cache",  # another version's script would not fit
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

HEALTH = "/healthz"  # all that is answered without the password: it tells that the server works
_READING = ("GET", "HEAD", "OPTIONS")


class Guard:
    """An ASGI application in front of another one.

    Args:
        app: the other one.
        names: under which it answers.
        auth: "user:password" that every request must carry (HTTP basic); None: everybody may ask.
    """

    def __init__(self, app: Any, names: Names, auth: str | None = None) -> None:
        self.app = app
        self._names = names
        self._auth = None if auth is None else base64.b64encode(auth.encode())
        self._guesses = Guesses()
        self._known = KnownVisitors()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer or pass on a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        visitor = self._known.visitor(headers.get("cookie", ""))
        client = visitor or (scope.get("client") or ("",))[0]
        public = scope["path"] == HEALTH
        refusal = self._stranger(scope["method"], headers)
        if not public:
            refusal = refusal or self._unknown(client, headers)
        # a cookie has guesses of its own: nobody gets one without the password
        first = self._auth is not None and not (visitor or refusal or public)

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered.update(HEADERS)
                if first:
                    secure = scope.get("scheme") == "https"
                    answered.append("set-cookie", self._known.cookie(secure=secure))
            await send(message)

        await (refusal or self.app)(scope, receive, send_with_headers)

    def _stranger(self, method: str, headers: Headers) -> JSONResponse | None:
        """Return the answer to what another site's page sends, or another site's name leads to."""
        host, origin = headers.get("host"), headers.get("origin")
        if host is not None and not self._names.known(host):
            sentence = (
                f"this server does not answer to the name {host[:80]}: ask for it as localhost or "
                "by its address, or start it with --allow-host and that name"
            )
            return JSONResponse({"error": sentence}, 403)
        foreign = origin is not None and not self._names.own(origin, host or "")
        if method not in _READING and (foreign or headers.get("sec-fetch-site") == "cross-site"):
            return JSONResponse({"error": "another site's page may not send anything here"}, 403)
        return None

    def _unknown(self, client: str, headers: Headers) -> JSONResponse | None:
        """Return the answer to who does not say the password.

        Args:
            client: whose wrong passwords are counted together: a known visitor, or an address.
            headers: of the request.
        """
        if self._auth is None:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            seconds = math.ceil(self._guesses.seconds_to_wait(client))
            if seconds:
                sentence = f"too many wrong passwords came from you: wait {seconds} s"
                return JSONResponse({"error": sentence}, 429, {"retry-after": str(seconds)})
            if hmac.compare_digest(given.strip().encode("latin-1"), self._auth):
                return None
            self._guesses.wrong(client)
        asking = {"www-authenticate": 'Basic realm="twostream", charset="UTF-8"'}
        return JSONResponse({"error": "a user and a password are needed"}, 401, asking)


def read_auth(auth: str | None, auth_file: Path | None) -> str | None:
    """Return "user:password" from an option or the first line of a file.

    Raises:
        UsageError: both are given, the file cannot be read, or it is no such pair. What was given
            is not repeated.
    """
    if auth is not None and auth_file is not None:
        raise UsageError("--auth and --auth-file exclude each other")
    if auth_file is not None:
        try:
            auth = (auth_file.read_text("utf-8").splitlines() or [""])[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{auth_file} cannot be read: expected user:password") from error
    if auth is None:
        return None
    user, _, password = auth.partition(":")
    if not user or not password:
        raise UsageError("--auth takes user:password, and --auth-file a file that holds it")
    return auth
