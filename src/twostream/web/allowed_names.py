"""Under which names the server answers: no other site's name may be made to point here.

A page of another site can give its own name the address of this machine (DNS rebinding); a browser
then takes the answers for its own. It cannot do so with an address in numbers, nor with a name that
it does not own.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "ip6-localhost")


class Names:
    """The names that requests may ask for.

    Args:
        host: that the server listens at.
        more: others that lead here, of a proxy in front for instance.

    >>> names = Names("0.0.0.0", ["demo.example.org"])
    >>> [names.known(host) for host in ("localhost:7860", "10.0.0.7", "[::1]:80", "evil.org")]
    [True, True, True, False]
    >>> names.known("Demo.Example.org:443")
    True
    """

    def __init__(self, host: str, more: Iterable[str] = ()) -> None:
        self.more = frozenset(map(_plain, more))
        self._known = self.more | {_plain(name) for name in (*LOOPBACK, host, socket.gethostname())}

    def known(self, host: str) -> bool:
        """Tell whether a Host header names this server; addresses in numbers do, with any port."""
        name = _name(host)
        return name in self._known or name.endswith(".localhost") or _is_address(name)

    def own(self, origin: str, host: str) -> bool:
        """Tell whether a page that sends something is this server's own, by its Origin header.

        >>> names = Names("127.0.0.1")
        >>> names.own("http://localhost:7860", "localhost:7860")
        True
        >>> names.own("http://localhost:3000", "localhost:7860"), names.own("null", "localhost")
        (False, False)
        """
        try:
            parts = urlsplit(origin)
            name = _plain(parts.hostname or "")
        except ValueError:
            return False
        if parts.scheme not in ("http", "https"):
            return False
        # a proxy may ask under another name than the browser does
        return parts.netloc.lower() == host.strip().lower() or name in self.more


def _name(host: str) -> str:
    """Return the name in a Host header: without the port, and the brackets of an IPv6 address."""
    host = host.strip()
    if host.startswith("["):
        return _plain(host[1:].partition("]")[0])
    return _plain(host.partition(":")[0])


def _plain(name: str) -> str:
    return name.strip().lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
