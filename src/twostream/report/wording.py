"""Numbers and settings as people read them."""

from __future__ import annotations

import html
import json
import math
import re
from typing import Any

DASH = "\N{EN DASH}"


def percent(share: float, digits: int = 1) -> str:
    """Return a share of 0..1 in per cent; a dash for NaN.

    >>> percent(0.93023), percent(1.0), percent(1.0, 0)
    ('93.0%', '100.0%', '100%')
    """
    return DASH if math.isnan(share) else f"{100 * share:.{digits}f}%"


def clips(count: int) -> str:
    """Return "1 clip", "2 clips"."""
    return f"{count:,} clip{'' if count == 1 else 's'}"


def duration(seconds: Any) -> str:
    """Return seconds as s, min or h; a dash for what is no number.

    >>> duration(2.04), duration(600), duration(9000), duration(None), duration(math.nan)
    ('2.0 s', '10.0 min', '2 h 30 min', '–', '–')
    """
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return DASH
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def clock(seconds: float, digits: int = 0) -> str:
    """Return a moment of a video as players show it.

    >>> clock(75.26, 1), clock(3661), clock(59.96, 1)
    ('1:15.3', '1:01:01', '1:00.0')
    """
    units = 10**digits
    minutes, rest = divmod(round(seconds * units), 60 * units)
    hours, minutes = divmod(minutes, 60)
    shown = f"{rest / units:0{3 + digits if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02d}:{shown}" if hours else f"{minutes}:{shown}"


def markdown(text: Any) -> str:
    """Return one line of plain text as Markdown shows it: no HTML, no links, no pictures.

    >>> print(markdown("<b>Opening</b> [it](x)"))
    &lt;b&gt;Opening&lt;/b&gt; \\[it\\](x)
    >>> markdown("walk_left & 2*x")
    'walk_left &amp; 2\\\\*x'
    """
    line = "".join(each if each.isprintable() else " " for each in str(text))
    line = re.sub(r"([\\`*\[\]])", r"\\\1", line)
    return html.escape(line, quote=False)


def setting(value: Any) -> str:
    """Return a setting as people write it.

    >>> setting({"warm_start": True, "size": [3, None]}), setting(0.5), setting([])
    ('warm start yes, size 3, –', '0.5', '–')
    """
    if value is None or value == [] or value == {}:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{str(k).replace('_', ' ')} {setting(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)
