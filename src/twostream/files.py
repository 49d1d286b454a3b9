"""Files and folders: written whole or not at all, and held by one process at a time.

What is not complete yet lies beside its place as ``.NAME.MACHINE-RANDOM.partial``, and who writes
it holds a lock on it. The system releases that when the writer dies, however it dies; so the next
one that writes there can tell what is dead, and removes it. No number of a process is trusted.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from twostream.foreign import is_foreign
from twostream.locks import LOCK, locked
from twostream.schema import differences, parse_json
from twostream.types import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ASKED = "asked.json"
PROBED = "probed.json"  # of a RUN that is new last layers of another one's networks
PARTIAL_SUFFIX = ".partial"
SECONDS_OF_DOUBT = 24 * 3600.0

_NEW, _BEFORE, _OLD = "new", "before", "old"  # what comes, what stood there, what may go
_MACHINE = f"{zlib.crc32(platform.node().encode()) & 0xFFFF:04x}"
_NAME = re.compile(
    r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{4})-[0-9a-f]{8}\.partial(\.\w+)?", re.DOTALL
)


class Partial:
    """A file that is written over a time, and appears under its name only once it is complete.

    Args:
        target: its name; the folder must exist.
        suffix: of the hidden name, for writers that go by it.

    Attributes:
        path: where it is until then.
        file: open for writing there.
    """

    def __init__(self, target: Path, *, suffix: str = "") -> None:
        self._target = target
        self.path, self.file = _begin(target, suffix=suffix)

    def finish(self) -> None:
        """Give the file its name; raises OSError where the disk refuses."""
        self.file.flush()
        os.replace(self.path, self._target)  # while it is locked: nobody takes it for dead
        self.file.close()

    def discard(self) -> None:
        """Leave nothing behind; without effect once it is finished."""
        if not self.file.closed:
            with suppress(OSError), self.file:  # closing flushes, which a full disk refuses
                self.path.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces what stands at ``path`` once the block ends without an error.

    Its folder must exist; what killed processes left there is removed. Raises OSError where the
    disk refuses; what stood there is still there.
    """
    remove_leftovers(path.parent)
    partial = Partial(path)
    try:
        yield partial.file
        partial.finish()
    except OSError as error:
        if error.errno and not error.filename:  # a refused write does not say where
            error.filename = str(path)
        raise
    finally:
        partial.discard()


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file whole or not at all, and make its folder; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 as ``write_bytes`` does; what is no text, in a name of a file, as \\udcXX."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON as ``write_bytes`` does."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False))


def check_writable(folder: Path) -> None:
    """Raise the OSError that a file in a folder, which may have to be made, would meet."""
    here = folder.absolute()
    place = next(each for each in (here, *here.parents) if os.path.lexists(each))
    remove_leftovers(place)
    with (check := Partial(place / "check")).file:
        check.path.unlink()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a RUN folder; raises RunError where it is missing or damaged."""
    again = f"train into another --out, or delete {path.parent} and train again"
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
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


@contextmanager
def staged(target: Path | None) -> Iterator[Path]:
    """Give an empty folder that takes the target's place once the block ends without an error.

    It is made on the target's disk, and its parents too; None: among temporary files, and it goes
    nowhere. Two renames put it in place; a process that is killed in between leaves beside the
    target what stood there, and the next one to stage it gives it back. What is made beside the
    folder that is given goes with it in the end.

    Raises:
        RunError: the disk refuses, or somebody stands in the target; it is as it was.
    """
    # a link stays one
    place = Path(os.path.realpath(target or Path(tempfile.gettempdir(), "twostream")))
    if target is not None and (place.is_mount() or Path.cwd().is_relative_to(place)):
        raise RunError(f"{place} cannot be replaced while it is in use: name a folder in it")
    with _refused(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(place.parent)
        holder, lock = _begin(place, folder=True)
    stage = holder / _NEW
    with lock:
        try:
            stage.mkdir()
            yield stage
            if target is not None:
                with _refused(place):
                    if place.exists():
                        shutil.copymode(place, stage)
                        os.rename(place, holder / _BEFORE)
                    os.rename(stage, place)
        finally:
            _remove_folder(holder)


@contextmanager
def filled(folder: Path, mark: str, replaced: Iterable[str]) -> Iterator[Path]:
    """Give an empty folder whose files go into ``folder`` once the block ends without an error.

    Other files in it stay. The one that marks it is emptied first and comes last: what is killed
    in between is known by it, is not taken for whole, and can be filled again.

    Args:
        folder: made where it does not exist.
        mark: name of the file that says what the folder is.
        replaced: names of the files that go.

    Raises:
        RunError: the disk refuses.
    """
    made = not folder.exists()
    with _refused(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        holder, lock = _begin(folder / "files", folder=True)
    with lock:
        try:
            (stage := holder / _NEW).mkdir()
            yield stage
            with _refused(folder):
                write_bytes(folder / mark, b"")
                for name in replaced:
                    (folder / name).unlink(missing_ok=True)
                for path in sorted(stage.iterdir(), key=lambda path: path.name == mark):
                    os.replace(path, folder / path.name)
        finally:
            _remove_folder(holder)
            if made and not any(folder.iterdir()):
                folder.rmdir()


def remove_leftovers(folder: Path, *, below: bool = False) -> int:
    """Remove what killed processes left in a folder, but never what a live one is writing.

    A folder that was to replace another, and had moved that away, gives it back.

    Args:
        folder: where something is about to be written.
        below: look through all folders in it too.

    Returns:
        How many files and folders were removed.
    """
    removed = 0
    for path in list(folder.glob(f"{'**/' if below else ''}.*{PARTIAL_SUFFIX}*")):
        with suppress(OSError):  # it has just been finished, or is not this user's to remove
            removed += _remove_dead(path)
    return removed


def refuse_foreign(folder: Path, what: str = "run", mark: str = ASKED) -> None:
    """Raise a RunError where a folder cannot be used: a file, or it holds something else.

    Args:
        folder: may be missing, empty, or hold what other processes left.
        what: it may hold, for the messages.
        mark: the file that says so.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file: --out needs a folder")
    try:
        foreign = folder.is_dir() and not (folder / mark).is_file()
        foreign = foreign and any(not is_foreign(path.name) for path in folder.iterdir())
    except OSError as error:
        raise RunError(f"{folder} cannot be read ({error}): choose another --out") from error
    if foreign:
        article = "an" if what[0] in "aeiou" else "a"
        raise RunError(f"{folder} holds something else, not {article} {what}: choose another --out")


@contextmanager
def claimed(
    folder: Path, asked: dict[str, Any], *, resume: bool, what: str = "run", shared: bool = False
) -> Iterator[None]:
    """Hold a folder for one process; refuse one in use, of other settings, or foreign.

    Args:
        folder: made where it does not exist.
        asked: what is asked for, as JSON values; kept in asked.json.
        resume: continue what lies there.
        what: lies there, for the messages.
        shared: beside other processes that share it.

    Raises:
        RunError: in one sentence, and nothing on disk has changed.
    """
    refuse_foreign(folder, what)
    path, instead = folder / ASKED, "choose another --out"
    with locked(folder, f"wait, or {instead}", instead, make=True, shared=shared):
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
            with open(path, "r+b") as written:  # else a power cut costs all
                os.fsync(written.fileno())
        yield


def _begin(target: Path, *, suffix: str = "", folder: bool = False) -> tuple[Path, BinaryIO]:
    """Make the hidden file or folder of a target, and open a file that keeps it locked."""
    # the name of a folder is needed whole, to give back what it replaces
    name = target.name if folder else os.fsencode(target.name)[:200].decode(errors="ignore")
    while True:
        token = f"{_MACHINE}-{secrets.token_hex(4)}"
        path = target.with_name(f".{name}.{token}{PARTIAL_SUFFIX}{suffix}")
        if folder:
            path.mkdir(0o700)
        try:
            file = open(path / LOCK, "ab") if folder else open(path, "xb")  # noqa: SIM115
        except FileNotFoundError:
            if not folder:
                raise
            continue
        if _lock(file) is not False and os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()  # another process took it for dead between the calls above


@contextmanager
def _refused(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"{place} cannot be written ({error.strerror or error})") from error


def _remove_folder(path: Path) -> None:
    """Remove a hidden folder; what it had moved away stands in its place again, or is replaced."""
    before = path / _BEFORE
    if before.exists():
        name = _NAME.fullmatch(path.name)
        assert name is not None
        target = path.with_name(name["name"])
        # renamed before it is removed: half a folder must never be given back
        os.rename(before, path / _OLD if os.path.lexists(target) else target)
    shutil.rmtree(path, ignore_errors=True)


def _remove_dead(path: Path) -> bool:
    name = _NAME.fullmatch(path.name)
    if name is None or fcntl is None or path.lstat().st_uid != os.geteuid():
        return False
    is_folder = path.is_dir()
    with open(path / LOCK, "ab") if is_folder else open(path, "r+b") as file:
        free = _lock(file)
        # without locks, and where they may not reach other machines, only age tells
        doubtful = free is None or name["machine"] != _MACHINE
        age = time.time() - os.fstat(file.fileno()).st_mtime
        if free is False or (doubtful and age < SECONDS_OF_DOUBT):
            return False
        _remove_folder(path) if is_folder else path.unlink()
    return True


def _lock(file: BinaryIO) -> bool | None:
    """Return whether the lock was free and is held now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True
