"""Pages and cards from jinja2 templates; whatever a user may have named is escaped.

In pages all of it, by itself; in the card what the template gives to ``markdown``.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from twostream.report.charts import at, spans
from twostream.report.wording import clips, clock, duration, markdown, percent, setting

# Control characters, and the lone surrogates that file names come with where they are not UTF-8:
# no HTML file can hold them.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def render(template: str, **values: Any) -> str:
    """Return a template's text; in .html.j2 all values are escaped that are no ``Markup``."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("twostream", "."),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (at, clips, clock, duration, markdown, percent, setting, spans)
    found.filters |= {function.__name__: function for function in words}
    return found


@pass_eval_context
def _printable(context: EvalContext, value: Any) -> Any:
    if context.autoescape and isinstance(value, str) and not isinstance(value, Markup):
        return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    return value
