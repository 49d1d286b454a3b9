"""Strategies for files that were damaged or made up: JSON values, bytes, tables."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Path = tuple[Any, ...]

DEEPEST = 8  # that is broken once more: what was made too deep stays so
_GONE = object()
_DEEP: Any = 0
for _ in range(5000):  # deeper than Python's stack
    _DEEP = [_DEEP]
ODD = st.one_of(
    st.sampled_from([_GONE, None, True, False, "", [], {}, _DEEP, "\n", "../../etc/passwd"]),
    st.sampled_from([0, -1, 1, 10**9, -(10**9), 2**63, 10**40]),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e308, 1e-320, 0.5]),
    st.text(max_size=20),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=3),
)


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Give where each value within a JSON value stands."""
    yield at
    entries: Any = value.items() if isinstance(value, dict) and len(at) < DEEPEST else ()
    if isinstance(value, list) and len(at) < DEEPEST:
        entries = enumerate(value[:3])  # of a long list the first will do
    for key, each in entries:
        yield from places(each, (*at, key))


def changed(value: Any, at: Path, new: Any) -> Any:
    """Return a JSON value with another one at a place; or without it."""
    if not at:
        return {} if new is _GONE else new
    found = copy.copy(value)
    if len(at) > 1:
        found[at[0]] = changed(value[at[0]], at[1:], new)
    elif new is _GONE:
        del found[at[0]]
    else:
        found[at[0]] = new
    return found


@st.composite
def broken(draw: st.DrawFn, value: Any) -> Any:
    """Draw a JSON value with one to three odd values in it."""
    for _ in range(draw(st.integers(1, 3))):
        value = changed(value, draw(st.sampled_from(list(places(value)))), draw(ODD))
    return value


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Draw bytes of which a part is cut off, overwritten, doubled or taken out."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 64))
        part = draw(st.one_of(st.binary(min_size=1, max_size=8), st.just(data[at : at + length])))
        data = draw(
            st.sampled_from(
                [
                    data[:at],
                    data[:at] + part + data[at + len(part) :],
                    data[:at] + part + data[at:],
                    data[:at] + data[at + length :],
                ]
            )
        )
    return data
