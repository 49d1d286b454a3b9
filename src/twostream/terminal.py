"""Text as a terminal may have it; imports next to nothing, so that the last words get out."""

from __future__ import annotations

import re
import unicodedata

_LOGIN = re.compile(r"\b((?:https?|rtsps?|rtmp|tcp|udp):/{1,2})[^\s@]*@(?=[\w\[])", re.IGNORECASE)


def printable(text: str) -> str:
    """Return text as a terminal may have it: what would steer it is spelt out.

    Names of files and classes come from anywhere; ESC would colour or clear the screen, and marks
    of direction would turn the line round. Of addresses it leaves out who logs in there.

    >>> print(printable("run" + chr(27) + "[2J"), printable("no rtsp://u:secret@camera/1"))
    run\\x1b[2J no rtsp://***@camera/1
    """
    text = _LOGIN.sub(r"\1***@", text)
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in "\n\t" or unicodedata.category(each) == "Zs"
        else each.encode("unicode_escape").decode()
        for each in text
    )
