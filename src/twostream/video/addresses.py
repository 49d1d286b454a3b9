"""Addresses of streams: told apart from files, and shown without passwords."""

from __future__ import annotations

import re
from pathlib import Path

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "tcp")
_SECRETS = re.compile(r"([?&](?:pass\w*|pwd|token|key|auth|secret)=)[^&#]*", re.IGNORECASE)


def is_address(path: Path) -> bool:
    """Whether a path is an address that was taken for one: ``http:/camera/stream``.

    >>> is_address(Path("http://camera/stream")), is_address(Path("clips/http/a.mp4"))
    (True, False)
    """
    scheme, separator, _ = path.as_posix().partition(":/")
    return bool(separator) and scheme.lower() in SCHEMES


def without_password(address: str) -> str:
    """Return an address as it may be shown and logged: without what stands before its host.

    >>> without_password("rtsp://admin:pass/word@10.0.0.7:554/live?channel=1")
    'rtsp://***@10.0.0.7:554/live?channel=1'
    >>> without_password("http://camera/video.cgi?user=a&pwd=b"), without_password("clip.mp4")
    ('http://camera/video.cgi?user=a&pwd=***', 'clip.mp4')
    """
    scheme, separator, rest = address.partition(":/")
    if not separator or len(scheme) < 2:  # a file, perhaps of a drive
        return address
    host = rest.lstrip("/")
    path, question, query = host.partition("?")
    if "@" not in path and "/" not in path and "@" in query:  # a password with a question mark
        path, question, query = host, "", ""
    _, at, after = path.rpartition("@")
    path = f"***@{after}" if at else path
    slashes = rest[: len(rest) - len(host)]
    return f"{scheme}:/{slashes}{path}" + _SECRETS.sub(r"\1***", question + query)
