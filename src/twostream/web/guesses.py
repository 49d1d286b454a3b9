"""Wrong passwords, which one client may try a few of, and then one every few seconds.

Past these a right one is refused too: were it answered, each request would be a guess that counts.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

FREE = 10  # wrong passwords that a client may send at once: people mistype, programs go on
SECONDS_EACH = 2.0  # after which one of them is forgotten
_CLIENTS = 10_000  # that are remembered


class Guesses:
    """How many wrong passwords came from where; what is too much is not even compared.

    Args:
        now: the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # when all of a client's wrong passwords are forgotten, the least recent client first
        self._forgotten: OrderedDict[str, float] = OrderedDict()

    def seconds_to_wait(self, client: str) -> float:
        """Return how long a client's passwords are not looked at; 0: they are."""
        over = self._forgotten.get(_network(client), 0.0) - self._now() - (FREE - 1) * SECONDS_EACH
        return max(0.0, over)

    def wrong(self, client: str) -> None:
        """Count a wrong password."""
        network = _network(client)
        begin = max(self._forgotten.pop(network, 0.0), self._now())
        self._forgotten[network] = begin + SECONDS_EACH
        while len(self._forgotten) > _CLIENTS:
            self._forgotten.popitem(last=False)


def _network(client: str) -> str:
    """Return whose address it is: with IPv6 everybody has 2^64 of them."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)
