"""Visitors who have said the password before: others' wrong ones are not counted as theirs.

Behind a proxy all visitors have one address, and so one count of wrong passwords. Who sends the
right one for the first time cannot be told from one who guesses it, so that such tries are limited
together. But who has sent it gets a cookie, which a guesser cannot have, and a count of his own.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

NAME = "twostream-visitor"
_DAYS = 30


class KnownVisitors:
    """Cookies that say who has been here with the right password; valid until the server ends.

    A cookie replaces no password, and tells nothing of it: the key that signs it is drawn.

    >>> known = KnownVisitors()
    >>> cookie = known.cookie(secure=False).partition(";")[0]
    >>> known.visitor(f"other=1; {cookie}") != known.visitor("twostream-visitor=guessed.0") == ""
    True
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def cookie(self, *, secure: bool) -> str:
        """Return the value of the header set-cookie for a visitor who sent the password.

        Args:
            secure: whether he came by https, and the cookie may go no other way.
        """
        visitor = secrets.token_hex(16)
        return (
            f"{NAME}={visitor}.{self._signature(visitor)}; Path=/; Max-Age={_DAYS * 86400}; "
            f"HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"
        )

    def visitor(self, cookies: str) -> str:
        """Return a name for the visitor who sends these cookies; "" where none of them is ours."""
        for each in cookies.split(";"):
            name, _, value = each.strip().partition("=")
            visitor, _, signature = value.partition(".")
            if name == NAME and hmac.compare_digest(
                signature.encode("latin-1", "replace"), self._signature(visitor).encode()
            ):
                return f"visitor {visitor}"
        return ""

    def _signature(self, visitor: str) -> str:
        return hmac.new(self._key, visitor.encode("utf-8"), hashlib.sha256).hexdigest()
