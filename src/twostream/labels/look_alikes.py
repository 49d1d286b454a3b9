"""Names that look alike and are written differently: who reads them takes them for one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_JOINT = re.compile(r"(?<=[^\W_])[_-]+(?=[^\W_])")  # of words: pick_up is pick-up, -1 is not 1
_WHOLE = re.compile(r"0*(\d+)(?:\.0+)?")  # 1.10 and 1.1 are two cages


def plain_name(name: str) -> str:
    """Return what a name looks like: only to compare, names stay as they were read.

    >>> plain_name("Sit\\u200b  Down") == plain_name("sit\\xa0down"), plain_name("01.0")
    (True, '1')
    >>> plain_name("pick_up") == plain_name("Pick-up"), plain_name("-1")
    (True, '-1')
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = (each for each in text if unicodedata.category(each) != "Cf")
    plain = " ".join(_JOINT.sub(" ", "".join(seen)).split())
    whole = _WHOLE.fullmatch(plain)
    return whole[1] if whole else plain


def look_alikes(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return names that look alike, each set in the order of the names.

    >>> look_alikes(["run", "sit", "Run"])
    (('run', 'Run'),)
    """
    alike: dict[str, dict[str, None]] = {}
    for name in names:
        alike.setdefault(plain_name(name), {})[name] = None
    return tuple(tuple(each) for each in alike.values() if len(each) > 1)


def spelt(name: str) -> str:
    """Return a name in quotes, with what nobody sees in it as escapes.

    >>> print(spelt("caf\\xe9"), spelt("cafe\\u0301"), spelt("sit\\xa0down"))
    "caf\xe9" "cafe\\u0301" "sit\\xa0down"
    """
    return '"' + "".join(map(_seen, name)) + '"'


def _seen(character: str) -> str:
    unseen = unicodedata.category(character) in ("Cf", "Mn")
    if unseen or unicodedata.normalize("NFKC", character) != character:
        return ascii(character)[1:-1]
    return character
