"""How commands end: Ctrl-C and SIGTERM at any moment, and readers that go away."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from twostream import stopping
from twostream.__main__ import run

COMMAND = """
import os, signal, sys, threading, time
import twostream.__main__ as program
from twostream import stopping
from twostream.__main__ import run

def command(arguments):
    {work}

program._command = command
sys.argv = ["twostream", "extract"]
program.main()
"""


def started(work: str, *arguments: str) -> subprocess.Popen[str]:
    """A command that does this, in a process group of its own, as a shell makes one."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(work=work), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=60)
    return process.returncode, said


STOPPED = "twostream: stopped; what is finished is kept, the same command goes on\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_one_sentence(number: signal.Signals, status: int) -> None:
    process = started("print('on', flush=True); time.sleep(60)")
    assert process.stdout is not None and process.stdout.readline() == "on\n"
    process.send_signal(number)
    assert ended(process) == (status, STOPPED)


def test_a_stop_in_text_that_is_run_has_its_status(tmp_path: Path) -> None:
    """Under -m Python would kill itself by SIGINT: dataclasses run text while they are imported."""
    work = 'exec("import signal; signal.raise_signal(signal.SIGTERM)")'
    (tmp_path / "stopped_in_text.py").write_text(COMMAND.format(work=work))
    command = [sys.executable, "-m", "stopped_in_text"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, STOPPED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_the_process_ends_changes_nothing(number: signal.Signals) -> None:
    """Of work that is done the exit status stands; it was -2 once under load."""
    at_exit = f"lambda: (os.kill(os.getpid(), {number}), print('last', flush=True))"
    process = started(f"import atexit; atexit.register({at_exit}); return 0")
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out, said) == (0, "last\n", "")
    # it speaks when the work has long ended and only this thread is waited for
    hanging = (
        "threading.Thread(target=lambda: "
        "(time.sleep(2), print('on', flush=True), time.sleep(30))).start()"
    )
    process = started(f"{hanging}; return 0")
    assert process.stdout is not None and process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGKILL if process.poll() is not None else number)
    status, said = ended(process)
    assert status in (0, 128 + number) and "Traceback" not in said


def test_a_stop_that_python_loses_is_noticed_at_the_next_news() -> None:
    """What is raised while an object is freed goes nowhere."""
    lost = "type('', (), {'__del__': lambda self: os.kill(os.getpid(), signal.SIGINT)})()"
    step = "from twostream.cli.console import Shown; Shown().step('extract', 1, 2)"
    process = started(f"{lost}; print('lost', flush=True); {step}; return 0")
    status, said = ended(process)
    assert status == 130 and said.endswith(STOPPED)


def test_what_fails_after_a_stop_fails_because_of_it() -> None:
    work = """
    try:
        os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
    except KeyboardInterrupt:
        raise RuntimeError("a worker was killed by the same signal")
    """
    assert ended(started(work.strip())) == (143, STOPPED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_loader_processes_start(number: signal.Signals) -> None:
    """It reaches the whole group right after the fork, as from a terminal: it was lost there."""
    work = f"""
    import torch
    from twostream.loader import batches
    fork = os.fork
    def forked():
        found = fork()
        if found:
            os.kill(0, {number})
        return found
    os.fork = forked
    for _ in batches(torch.utils.data.TensorDataset(torch.zeros(3)), range(3), workers=1):
        pass
    return 0
    """
    assert ended(started(work.strip())) == (128 + number, STOPPED)


def test_a_stop_that_is_put_off_comes_afterwards() -> None:
    seen = []
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with stopping.put_off():
            os.kill(os.getpid(), signal.SIGTERM)
            assert not seen
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "work",
    [
        "print('x' * 10**6); return 0",
        "print('kept for the very end'); return 0",
        "from twostream.cli.console import Shown; Shown().line('x' * 10**6); return 0",
        "from twostream.cli.console import Shown; Shown(as_json=True).result(['x' * 10**6])",
    ],
)
def test_results_that_nobody_reads_are_no_failure(work: str) -> None:
    process = started(f"{work}\n    return 0")
    assert process.stdout is not None
    with process:
        process.stdout.close()  # as head does
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(60)) == ("", 0)


def test_help_that_nobody_reads() -> None:
    """Typer and rich have their own way with it, an exit status of 1."""
    command = [sys.executable, "-m", "twostream", "train", "--help"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    with process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == ("", 0)


def test_notes_that_nobody_reads_do_not_end_the_work() -> None:
    work = """
    from twostream.cli.console import Shown
    shown = Shown()
    sys.stdin.read()  # until the reader is gone
    for _ in range(3):
        shown.say("a note")
    print("done")
    return 0
    """
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(work=work.strip())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    with process:
        process.stderr.close()
        process.stdin.close()
        assert (process.stdout.read(), process.wait(60)) == ("done\n", 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EIO, "Input/output error"), "the disk: input/output error: check it"),
        (OSError(errno.ENOSPC, "No space left", b"/x/events"), "no space left for /x/events: free"),
        (OSError(errno.EACCES, "Permission denied", "/x"), "/x: permission denied: check it"),
    ],
)
def test_a_disk_that_refuses_is_one_sentence(
    error: OSError,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("twostream.cli.app", refused)
    assert run(["report", "RUN"]) == 1
    assert capsys.readouterr().err.startswith(f"twostream: {said}")
    monkeypatch.setattr(error, "errno", errno.ESRCH)  # no disk says so: a defect
    monkeypatch.setattr(error, "filename", None)
    with pytest.raises(OSError, match=r"No such|Input|No space|Permission"):
        run(["report", "RUN"])
