"""The RUN folder: who uses it, what it was asked for, where things lie."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from twostream.types import RunError


def write_json(path: Path, value: Any) -> None:
    """Write JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read JSON; raises RunError where the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{path.parent} is not a RUN folder, it has no {path.name}: "
            "train first (twostream train DATA --out RUN)"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error})") from error


@contextmanager
def claimed(run: Path, asked: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Hold a RUN folder for one process; refuse one in use, of other settings, or foreign.

    Args:
        run: the folder; made where it does not exist.
        asked: what this run is asked for, as JSON values; kept in RUN/asked.json.
        resume: continue what lies there.

    Raises:
        RunError: in one sentence, and nothing on disk has changed.
    """
    if run.exists() and not run.is_dir():
        raise RunError(f"{run} is a file: --out needs a folder")
    path = run / "asked.json"
    holds_run = path.is_file()
    foreign = run.is_dir() and not holds_run and any(p.name != ".lock" for p in run.iterdir())
    if foreign:
        raise RunError(f"{run} holds something else, not a run: choose another --out")
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{run} is in use by another process: wait, or choose another --out"
        ) from None
    except OSError as error:
        raise RunError(f"{run} cannot be written ({error}): choose another --out") from error
    try:
        asked = json.loads(json.dumps(asked))
        if holds_run:
            before = read_json(path)
            if not resume:
                state = "a finished" if (run / "results.json").is_file() else "an unfinished"
                raise RunError(f"{run} holds {state} run: add --resume, or choose another --out")
            differing = differences(before, asked)
            if differing:
                raise RunError(
                    f"{run} was started with other settings ({'; '.join(differing)}): resume with "
                    "the same, or choose another --out"
                )
        else:
            write_json(path, asked)
        yield
    finally:
        lock.release()


@contextmanager
def claimed_for_reading(run: Path) -> Iterator[None]:
    """Hold a finished RUN folder; raises RunError where another process uses it."""
    try:
        lock = FileLock(run / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{run} is in use by another process: wait until it has finished") from None
    except OSError as error:
        raise RunError(f"{run} cannot be written ({error})") from error
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
