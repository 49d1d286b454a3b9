"""A folder that one process at a time works in, and what it was asked for; JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from twostream.types import RunError

ASKED, LOCK = "asked.json", ".lock"


def write_json(path: Path, value: Any) -> None:
    """Write JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises RunError where the file is missing or damaged."""
    again = f"train into another --out, or delete {path.parent} and train again"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{path.parent} is not a RUN folder, it has no {path.name}: "
            "train first (twostream train DATA --out RUN)"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): {again}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged, it holds no JSON object: {again}")
    return value


def refuse_foreign(folder: Path, what: str = "run") -> None:
    """Raise a RunError where a folder cannot be used: a file, or it holds something else."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file: --out needs a folder")
    try:
        foreign = (
            folder.is_dir()
            and not (folder / ASKED).is_file()
            and any(path.name != LOCK for path in folder.iterdir())
        )
    except OSError as error:
        raise RunError(f"{folder} cannot be read ({error}): choose another --out") from error
    if foreign:
        raise RunError(f"{folder} holds something else, not a {what}: choose another --out")


@contextmanager
def claimed(
    folder: Path, asked: dict[str, Any], *, resume: bool, what: str = "run"
) -> Iterator[None]:
    """Hold a folder for one process; refuse one in use, of other settings, or foreign.

    Args:
        folder: made where it does not exist.
        asked: what is asked for, as JSON values; kept in asked.json.
        resume: continue what lies there.
        what: lies there, for the messages.

    Raises:
        RunError: in one sentence, and nothing on disk has changed.
    """
    refuse_foreign(folder, what)
    path = folder / ASKED
    with locked(folder, "wait, or choose another --out", "choose another --out", make=True):
        asked = json.loads(json.dumps(asked))
        if path.is_file():
            before = read_json(path)
            if not resume:
                state = "a finished" if (folder / "results.json").is_file() else "an unfinished"
                raise RunError(
                    f"{folder} holds {state} {what}: add --resume, or choose another --out"
                )
            differing = differences(before, asked)
            if differing:
                raise RunError(
                    f"{folder} was started with other settings ({'; '.join(differing)}): resume "
                    "with the same, or choose another --out"
                )
        else:
            write_json(path, asked)
        yield


@contextmanager
def claimed_for_reading(run: Path) -> Iterator[None]:
    """Hold a finished RUN folder; raises RunError where another process uses it."""
    with locked(run, "wait until it has finished", "it must be writable"):
        yield


@contextmanager
def locked(folder: Path, wait: str, instead: str, *, make: bool = False) -> Iterator[None]:
    """Hold a folder for one process.

    Args:
        folder: to hold.
        wait, instead: what to do where it is in use, and where it cannot be written.
        make: make it where it does not exist.

    Raises:
        RunError: it is in use, or cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{folder} is in use by another process: {wait}") from None
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error}): {instead}") from error
    try:
        yield
    finally:
        lock.release()


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Name the settings that differ, as "name: before -> now"."""
    found = []
    for name in sorted(set(before) | set(now)):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: {old} -> {new}")
    return found
