"""Files and folders: whole or not at all, held by one process, repeatable after any kill."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test_hub import content
from twostream import files, locks
from twostream.checkpoint import StreamModel
from twostream.display.field_files import save_field
from twostream.export import export_onnx, onnx_export
from twostream.files import (
    PARTIAL_SUFFIX,
    claimed,
    filled,
    locked,
    remove_leftovers,
    staged,
    whole,
    write_json,
    write_text,
)
from twostream.hub import pull, push
from twostream.types import DataError, RunError, TemporalInput
from twostream.video import VideoWriter
from untrained import make_models

OPERATIONS = ("rename", "replace", "unlink", "rmdir", "mkdir")


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*") if path.name != ".lock")


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a second process until it prints a line, and kill it in the end."""
    head = "import os, sys, time\nfrom pathlib import Path\nfrom twostream.files import *\n"
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None and running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


WAIT = "print('ready', flush=True); time.sleep(600)\n"
WRITING = f"with whole(Path(sys.argv[1])) as file:\n    file.write(b'half'); file.flush(); {WAIT}"
STAGING = f"with staged(Path(sys.argv[1])) as stage:\n    (stage / 'a').write_text('half'); {WAIT}"
# between the two renames: what stood there is away, what comes is not there
BETWEEN = (
    "rename = os.rename\n"
    "def second(a, b):\n"
    "    if Path(a).name == 'new':\n"
    f"        {WAIT}"
    "    rename(a, b)\n"
    "os.rename = second\n"
    "with staged(Path(sys.argv[1])) as stage:\n"
    "    (stage / 'a').write_text('new')\n"
)


class TestWriting:
    def test_a_failing_write_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "x.json"
        write_json(path, {"a": 1})
        with pytest.raises(OSError, match="disk"), whole(path) as file:
            file.write(b"half")
            raise OSError("the disk")
        assert path.read_text() == '{\n "a": 1\n}' and hidden(tmp_path) == []
        with pytest.raises(TypeError):
            write_json(path, object())
        assert [each.name for each in tmp_path.iterdir()] == ["x.json"]

    def test_names_that_are_no_text_can_be_written(self, tmp_path: Path) -> None:
        write_text(tmp_path / "deep" / "x", "é\udce9\n")
        assert (tmp_path / "deep" / "x").read_bytes() == "é\\udce9\n".encode()

    def test_a_killed_writers_file_goes_and_a_live_ones_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "x"
        with process(WRITING, path):
            assert len(hidden(tmp_path)) == 1
            write_text(path, "mine")
            assert len(hidden(tmp_path)) == 1 and remove_leftovers(tmp_path) == 0
        write_text(tmp_path / "another", "")
        assert hidden(tmp_path) == [] and path.read_text() == "mine"

    def test_a_film_and_a_field_clean_up_too(self, tmp_path: Path) -> None:
        for name in ("a.avi", "a.npy"):
            with process(WRITING, tmp_path / "x"):
                pass
            assert len(hidden(tmp_path)) == 1
            if name == "a.avi":
                with VideoWriter(tmp_path / name, fps=25, width=32, height=32) as writer:
                    assert len(hidden(tmp_path)) == 1
                    writer.write(np.zeros((32, 32, 3), np.uint8))
            else:
                save_field(tmp_path / name, np.zeros((2, 4, 4), np.float32))
            assert hidden(tmp_path) == [] and (tmp_path / name).is_file()
        with pytest.raises(DataError, match="cannot be written"):
            save_field(tmp_path / "missing" / "a.npy", np.zeros((2, 4, 4), np.float32))

    def test_what_only_looks_alike_stays(self, tmp_path: Path) -> None:
        for name in (".x.partial", ".x.tmp", ".x.123.tmp", "x.1-1.partial", ".x.y-z.partial"):
            (tmp_path / name).touch()
        remove_leftovers(tmp_path)
        assert len(list(tmp_path.iterdir())) == 5

    def test_other_machines_files_are_removed_when_old(self, tmp_path: Path) -> None:
        path = tmp_path / f".x.ffff-00000000{PARTIAL_SUFFIX}"
        path.touch()
        assert remove_leftovers(tmp_path) == 0
        long_ago = time.time() - files.SECONDS_OF_DOUBT - 60
        os.utime(path, (long_ago, long_ago))
        assert remove_leftovers(tmp_path) == 1

    def test_without_locks_only_old_files_go(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def none(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        with process(WRITING, tmp_path / "x"):
            pass
        (left,) = hidden(tmp_path)
        monkeypatch.setattr("fcntl.flock", none)
        write_text(tmp_path / "y", "whole")
        with staged(tmp_path / "z"):
            pass
        with locked(tmp_path, "wait", "move"):
            assert hidden(tmp_path) == [left]
        long_ago = time.time() - files.SECONDS_OF_DOUBT - 60
        os.utime(tmp_path / left, (long_ago, long_ago))
        write_text(tmp_path / "y", "again")
        assert hidden(tmp_path) == [] and (tmp_path / "z").is_dir()


class TestFolders:
    def test_a_killed_ones_folder_goes_and_a_live_ones_stays(self, tmp_path: Path) -> None:
        target = tmp_path / "out"
        with process(STAGING, target), staged(target) as stage:
            assert len(hidden(tmp_path)) == 2
            (stage / "a").write_text("mine")
        assert content(target) == {"a": b"mine"} and len(hidden(tmp_path)) == 1
        with staged(None), staged(tmp_path / "another"):
            assert len(hidden(tmp_path)) == 1
        assert hidden(tmp_path) == []

    def test_killed_between_the_renames(self, tmp_path: Path) -> None:
        target = tmp_path / "out"
        target.mkdir()
        (target / "a").write_text("old")
        with process(BETWEEN, target):
            assert not target.exists()
        with pytest.raises(Killed), staged(target):
            assert content(target) == {"a": b"old"}
            raise Killed
        assert content(target) == {"a": b"old"} and hidden(tmp_path) == []

    def test_a_link_stays_one(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        link, target = tmp_path / "out", tmp_path / "disk" / "out"
        target.mkdir()
        link.symlink_to(target)
        with staged(link) as stage:
            (stage / "a").touch()
        assert link.is_symlink() and content(target) == {"a": b""}


class TestClaims:
    def test_claims_exclude_each_other(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        code = f"with claimed(Path(sys.argv[1]), {{}}, resume=False): {WAIT}"
        with process(code, run):
            for claim in (locked(run, "wait", "move"), claimed(run, {}, resume=True)):
                with pytest.raises(RunError, match="in use by another process"), claim:
                    pass
        with claimed(run, {}, resume=True), claimed(tmp_path / "b", {}, resume=False):
            pass

    def test_the_error_is_the_rooms_own(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with (
            pytest.raises(DataError, match=r"cannot be written .*: move"),
            locked(tmp_path / "file" / "x", "wait", "move", make=True, error=DataError),
        ):
            pass


class Killed(BaseException):
    """Stands for the end of the process."""


def stop_everywhere(
    job: Callable[[], Any], check: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> int:
    """Stop a job at each of its file operations in turn; it is dead from there on.

    Args:
        job: what is repeated.
        check: looks at what the job, done again after each stop, has made.
    """
    real = {name: getattr(os, name) for name in OPERATIONS}
    for last in range(1, 1000):
        count = 0

        def counted(name: str, last: int = last) -> Callable[..., Any]:
            def operation(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count >= last:
                    raise Killed
                return real[name](*arguments, **options)

            return operation

        with monkeypatch.context() as patch:
            for name in OPERATIONS:
                patch.setattr(os, name, counted(name))
            with suppress(Killed):
                job()
        job()
        check()
        if count < last:
            return last
    raise AssertionError("it never ends")


def test_an_export_is_repeatable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it replaces; and what else lies in that stays."""
    nets, out = make_models(TemporalInput(length=4)), tmp_path / "out"
    real, scores = onnx_export.both_scores, {}

    def once(net: StreamModel, exported: Any) -> Any:
        stream = net.spec.stream
        if stream not in scores:
            scores[stream] = real(net, exported)
        return scores[stream]

    monkeypatch.setattr(onnx_export, "both_scores", once)
    export_onnx(nets, tmp_path / "wanted")
    made = content(tmp_path / "wanted")
    wanted = {**made, "notes/mine.txt": b"mine"}
    monkeypatch.setattr(
        onnx_export, "write_graph", lambda _, path: path.write_bytes(made[path.name])
    )
    monkeypatch.setattr(onnx_export, "OnnxStream", lambda path, spec: path)

    def check() -> None:
        assert content(out) == wanted and hidden(tmp_path) == []

    (out / "notes").mkdir(parents=True)
    (out / "notes" / "mine.txt").write_text("mine")
    (out / "contract.json").write_text("{}")
    (out / "spatial.onnx").touch()  # of a run of two streams
    assert stop_everywhere(lambda: export_onnx(nets, out), check, monkeypatch) > 10
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "spatial.onnx").touch()
    with pytest.raises(RunError, match="holds something else"):
        export_onnx(nets, foreign)


def test_a_folder_that_one_stands_in_is_filled_and_never_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with filled(Path("."), "mark", []) as stage:
        (stage / "mark").write_text("whole")
    assert Path("mark").read_text() == "whole" and hidden(tmp_path) == []
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(RunError, match="cannot be replaced"), staged(Path(".")):
        raise AssertionError("refused before the work")
    with pytest.raises(ValueError), filled(tmp_path / "new", "mark", []):
        raise ValueError
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError), filled(tmp_path / "here", "mark", []):
        raise ValueError
    assert list((tmp_path / "here").iterdir()) == []  # it was there before


def test_push_and_pull_are_repeatable(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, pushed, pulled = tmp_path / "wanted" / "run", tmp_path / "run", tmp_path / "pulled"
    wanted.parent.mkdir()
    push(tiny_run, f"file:{wanted}")

    def check() -> None:
        for folder in (pushed, pulled):
            if folder.exists():
                assert content(folder) == content(wanted)
        assert hidden(tmp_path) == []

    for _ in range(2):  # where nothing is, and over what is there
        stop_everywhere(lambda: push(tiny_run, f"file:{pushed}", force=True), check, monkeypatch)
    assert content(pushed) == content(wanted)
    assert stop_everywhere(lambda: pull(str(pushed), pulled, force=True), check, monkeypatch) > 10
    assert content(pulled) == content(wanted)
    (pulled / "notes.txt").touch()
    with pytest.raises(RunError, match="other things"):
        pull(str(pushed), pulled, force=True)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("why", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_said_and_goes_on(
    why: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    """Also where a disk with locks, or somebody who was killed, left the file."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(why, "No locks available")

    (tmp_path / files.LOCK).touch()
    monkeypatch.setattr("fcntl.flock", refuse)
    entered = []
    with locks.locked(tmp_path, "wait", "choose another"):
        entered.append(True)
    note = "cannot be locked: let no other process use it meanwhile"
    assert entered and said == [f"{tmp_path} {note}"]


def test_a_disk_that_refuses_the_lock_itself_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(RunError, match=r"cannot be written .*choose another"),
        locks.locked(tmp_path, "wait", "choose another"),
    ):
        raise AssertionError("entered")
