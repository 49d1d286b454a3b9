"""Text as a terminal may have it; imports next to nothing, so that the last words get out."""

from __future__ import annotations

import re
import unicodedata

_LOGIN = re.compile(r"\b((?:https?|rtsps?|rtmp|tcp|udp):/{1,2})[^\s@]*@(?=[\w\[])", re.IGNORECASE)

_LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # all that splitlines knows


def on_one_line(text: str) -> str:
    """Return text with the ends of its lines spelt out.

    >>> print(on_one_line("no video called 'a" + chr(10) + "b'"))
    no video called 'a\\nb'
    """
    return _LINE_ENDS.sub(lambda end: ascii(end[0])[1:-1], text)


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
