"""Where alerts go: a webhook or a command; ``mqtt_topic.py`` has the third."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import IO, Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from twostream.alerts.alert import Alert
from twostream.types import UsageError

TIMEOUT_SECONDS = 10.0  # for an answer over the network
COMMAND_SECONDS = 60.0
_LATER = (408, 425, 429)  # of the answers 4xx, those that ask to try again


class NotDelivered(Exception):  # noqa: N818
    """An alert did not get there.

    Attributes:
        why: in words, without a password.
        again: whether another try may help.
    """

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.why = why
        self.again = again


class Target(Protocol):
    """Where alerts go.

    Attributes:
        name: for people and the log, without secrets.
    """

    name: str

    def send(self, alert: Alert) -> None:
        """Deliver an alert, within some time; raises NotDelivered."""

    def end(self) -> None:
        """Leave nothing behind of what is under way, which is given up; for another thread."""


class Webhook:
    """An address that takes alerts by HTTP POST, as JSON.

    Its name is the host's alone: of many services the path is the password.

    Args:
        address: ``https://[user:password@]host[:port]/path``.

    Raises:
        UsageError: it is none.

    >>> Webhook("https://anna:secret@chat.example:8443/hooks/T0/B0").name
    'webhook https://chat.example:8443'
    """

    def __init__(self, address: str) -> None:
        parts = split_address(address, ("http", "https"), "--webhook")
        self.name = f"webhook {parts.scheme}://{shown_host(parts)}"
        self._headers = {"Content-Type": "application/json", "User-Agent": "twostream"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        host = parts.netloc.rpartition("@")[2]
        self._url = parts._replace(netloc=host, fragment="").geturl()
        self._opener = urllib.request.build_opener(_NoRedirect())

    def send(self, alert: Alert) -> None:
        """Post an alert; any answer 2xx is a delivery."""
        body = json.dumps(alert.to_json()).encode()
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            again = error.code >= 500 or error.code in _LATER
            raise NotDelivered(f"it answers {_status(error.code)}", again=again) from None
        except urllib.error.URLError as error:
            raise NotDelivered(_network(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise NotDelivered(_network(error)) from None

    def end(self) -> None:
        """Do nothing: a request ends with its thread."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Sent elsewhere, a POST would become a GET without the alert, and count as delivered."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        return None


class Command:
    """A program that is run for each alert.

    It gets the alert as JSON on standard input, and its values as environment variables
    ``TWOSTREAM_ALERT_LABEL`` and so on. No shell: what a label holds is never run.

    Args:
        command: the program and its arguments, quoted as for a shell.

    Raises:
        UsageError: it is empty, or a quote is open.

    >>> Command("notify-send 'a fall'").name
    'command notify-send'
    """

    def __init__(self, command: str) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--on-alert cannot be read ({error}): {command}") from None
        if not self._arguments:
            raise UsageError("--on-alert needs a command, such as --on-alert 'python alarm.py'")
        self.name = f"command {self._arguments[0]}"  # the rest may hold a password
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def send(self, alert: Alert) -> None:
        """Run the program; that it ends with status 0 is a delivery."""
        values = {f"TWOSTREAM_ALERT_{k.upper()}": str(v) for k, v in alert.to_json().items()}
        try:
            with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
                given.write(json.dumps(alert.to_json()).encode())
                given.seek(0)
                status = _ended(self._begin(given, said, values))
                if status:
                    raise NotDelivered(f"it ended with status {status}{_last_line(said)}")
        except OSError as error:  # no such program, say, or a disk that is full
            again = not isinstance(error, FileNotFoundError | PermissionError)
            why = (error.strerror or type(error).__name__).lower()
            raise NotDelivered(f"it cannot be run ({why})", again=again) from None

    def end(self) -> None:
        """Kill the program that runs, and begin no other one."""
        with self._lock:
            self._is_over = True
            if self._running is not None and self._running.returncode is None:
                _kill(self._running)

    def _begin(
        self, given: IO[bytes], said: IO[bytes], values: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_over:
                raise NotDelivered("the watch ended before", again=False)
            # files, not pipes: what it leaves in the background holds nothing up
            self._running = subprocess.Popen(
                self._arguments,
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=os.environ | values,
                start_new_session=True,  # Ctrl-C is the watch's
            )
            return self._running


def split_address(address: str, schemes: tuple[str, ...], option: str) -> SplitResult:
    """Return the parts of an address; raises UsageError, which shows nothing of it."""
    wanted = f"{option} takes an address {' or '.join(f'{each}://...' for each in schemes)}"
    try:
        parts = urlsplit(address)
        known = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
        (parts.hostname or "").encode("idna")  # as a look-up does: no part of a name is empty
    except ValueError:
        known = False
    if not known or not address.isascii() or not address.isprintable() or " " in address:
        raise UsageError(f"{wanted}; quote what is special in it with %")
    return parts


def shown_host(parts: SplitResult) -> str:
    """Return the host and the port of an address, as it is shown."""
    return parts.netloc.rpartition("@")[2]


def _status(code: int) -> str:
    if 300 <= code < 400:
        return f"{code} (it is elsewhere now: give its new address)"
    words = http.client.responses.get(code, "")
    return f"{code} {words}".rstrip()


def _network(reason: object) -> str:
    """Return what went wrong in words; of anything else than the system's, the kind alone."""
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    if isinstance(reason, OSError):
        return (reason.strerror or type(reason).__name__).lower()
    return type(reason).__name__


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for a program and return its status; one that hangs is killed with what it started."""
    try:
        return process.wait(COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()
        raise NotDelivered(f"it did not end within {COMMAND_SECONDS:g} s") from None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program with what it started."""
    if hasattr(os, "killpg"):
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _last_line(said: IO[bytes]) -> str:
    """Return the last line of what a program said, in brackets."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 1000))
    lines = said.read().decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[-200:]})" if last else ""
