"""Values out of files, checked before anything uses them: a dataclass is the schema of its own.

What a field may be stands once, in its annotation; how large a number may be, in ``RANGES``, by its
name, which means the same everywhere. Model files, contracts, stores, clips and what a RUN folder
keeps go through here, so that a stranger's file cannot ask for a billion positions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

# The least and the most that a number may be, far beyond what anybody trains or stores.
RANGES: dict[str, tuple[float, float]] = {
    "batch_size": (1, 10**6),
    "bound_px": (1e-9, 10**6),
    "count": (0, 10**9),
    "crop_size": (1, 4096),
    "dropout": (0, 1),
    "fit_folds": (2, 1000),
    "fps": (1e-2, 10**4),
    "height": (1, 65_535),
    "length": (1, 1000),
    "quality": (1, 100),
    "segments": (1, 1000),
    "short_side": (1, 65_535),
    "test_positions": (1, 10_000),
    "width": (1, 65_535),
}
MOST = 1e15  # of any other number: whole ones are exact below
LONGEST = 100_000  # characters of a text
MOST_ENTRIES = 10**7  # of a list
DEEPEST = 50  # lists and objects in one another
_SHOWN = 60  # characters of a wrong value
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}

Made = TypeVar("Made")


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; raises ValueError where it is none, or nested too deeply."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [each for part in level for each in _parts(part)]
        if not level:
            return value
    raise ValueError("it is nested too deeply")


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def from_json(kind: type[Made], values: Any, *, spare: bool = False) -> Made:
    """Make a dataclass of a JSON object, whose lists become tuples where tuples are declared.

    Args:
        kind: the dataclass; nested ones are made likewise.
        values: names and values, as ``parse_json`` gives them.
        spare: leave out names that it does not have, instead of refusing them; in nested ones too.

    Raises:
        ValueError: a name is unknown or missing, or a value is not what is declared, not finite, or
            outside of ``RANGES``; and whatever the dataclass itself raises.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"an object was expected, got {shown(values)}")
    hints = _hints(kind)  # type: ignore[arg-type]
    if not spare and (unknown := sorted(set(values) - set(hints))):
        raise ValueError(f"it has {', '.join(map(shown, unknown[:5]))}, which is not known")
    taken = {
        name: _fitted(name, values[name], hints[name], spare) for name in hints if name in values
    }
    if missing := [name for name in _needed(kind) if name not in taken]:
        raise ValueError(f"it has no {', '.join(missing)}")
    return kind(**taken)


def check_json(kind: type, values: Any) -> None:
    """Raise a ValueError where a JSON object does not hold what a dataclass declares.

    It may hold more; and where a number may be none, what is not finite is none: an accuracy over
    no clips, the loss of a training that went wrong.
    """
    try:
        from_json(kind, json.loads(json.dumps(values), parse_constant=lambda _: None), spare=True)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_number(name: str, value: Any, kind: type = float) -> None:
    """Raise a ValueError where a value is no such number, not finite, or outside of its range."""
    numeric = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    low, high = RANGES.get(name, (-MOST, MOST))
    if not numeric or not low <= value <= high:  # nor is what is no number
        between = f" from {low:g} to {high:g}" if name in RANGES else ""
        raise ValueError(f"{name} must be {_KINDS[kind]}{between}, got {shown(value)}")


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Name the settings that differ, as "name: before -> now"."""
    found = []
    for name in sorted(set(before) | set(now)):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new and (name in before or new):  # one that came later may be off
            found.append(f"{prefix}{name}: {old} -> {new}")
    return found


def shown(value: Any) -> str:
    """Return a value as an error shows it: on one line, and not long.

    >>> shown([1] * 100)
    '[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1...'
    """
    if isinstance(value, list | tuple | dict):
        value = dict(list(value.items())[:_SHOWN]) if isinstance(value, dict) else value[:_SHOWN]
    try:
        text = repr(value[:_SHOWN] if isinstance(value, str) else value)
    except (RecursionError, ValueError):  # the latter of a whole number of many thousand digits
        text = type(value).__name__
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _needed(kind: Any) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in fields(kind)
        if field.init and field.default is MISSING and field.default_factory is MISSING
    )


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def _fitted(name: str, value: Any, hint: Any, spare: bool) -> Any:
    """Return a value as its annotation wants it, or raise a ValueError that says what that is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, UnionType):
        return _one_of(name, value, arguments, spare)
    if origin is Literal:
        if not any(type(value) is type(each) and value == each for each in arguments):
            choices = ", ".join(map(str, arguments))
            raise ValueError(f"{name} must be one of {choices}, got {shown(value)}")
        return value
    if origin is tuple:
        return _entries(name, value, arguments, spare)
    if origin is dict:
        if not isinstance(value, dict) or len(value) > MOST_ENTRIES:
            raise ValueError(f"{name} must be an object, got {shown(value)}")
        inside = [
            _fitted(f"{name}.{key}"[:_SHOWN], value[key], arguments[1], spare) for key in value
        ]
        return dict(zip(value, inside, strict=True))
    if is_dataclass(hint):
        nested: Any = hint
        if isinstance(value, nested):
            return value
        try:
            return from_json(nested, value, spare=spare)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if hint in (int, float):
        check_number(name, value, hint)
    elif not isinstance(value, hint) or (hint is str and len(value) > LONGEST):
        raise ValueError(f"{name} must be {_KINDS[hint]}, got {shown(value)}")
    return value


def _one_of(name: str, value: Any, hints: tuple[Any, ...], spare: bool) -> Any:
    """Return a value as the first annotation that fits wants it; the last one's error is raised."""
    if value is None and type(None) in hints:
        return None
    wanted = [hint for hint in hints if hint is not type(None)]
    for hint in wanted[:-1]:
        try:
            return _fitted(name, value, hint, spare)
        except ValueError:
            continue
    return _fitted(name, value, wanted[-1], spare)


def _entries(name: str, value: Any, hints: tuple[Any, ...], spare: bool) -> tuple[Any, ...]:
    """Return the entries of a list, all of one kind (``tuple[int, ...]``) or one each."""
    if not isinstance(value, list | tuple) or len(value) > MOST_ENTRIES:
        raise ValueError(f"{name} must be a list, got {shown(value)}")
    if len(hints) == 2 and hints[1] is ...:
        return tuple(_fitted(name, each, hints[0], spare) for each in value)
    if len(value) != len(hints):
        raise ValueError(f"{name} must be a list of {len(hints)}, got {shown(value)}")
    return tuple(_fitted(name, each, hint, spare) for each, hint in zip(value, hints, strict=True))
