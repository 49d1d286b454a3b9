"""What people see: names as they are, nothing that steers the terminal, progress of all devices."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest

from twostream.__main__ import run
from twostream.cli.console import Shown, TimeLeft, duration


@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_shown_as_they_are(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and classes may be called what rich would read as markup or as emoji."""
    monkeypatch.setenv("COLUMNS", "200")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    name = "Opening [something] :car: [/b]"
    shown = Shown()
    with shown.progress():
        shown.step(f"read {name}", 1, 2, f"at {name}")
        shown.step(f"read {name}", 2, 2, f"at {name}")
    shown.say(f"say {name}")
    shown.line(f"line {name}")
    shown.table(f"title {name}", ("video", "why"), [(f"cell {name}", 1)])
    logging.getLogger("twostream.flow").warning("log %s", name)
    captured = capsys.readouterr()
    assert ("\x1b" in captured.err) == terminal
    for where in ("line", "title", "cell"):
        assert f"{where} {name}" in captured.out
    for where in ("read", "at", "say", "log"):
        assert f"{where} {name}" in captured.err


def test_no_name_steers_the_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = "a\x1b[2J\u202eb\x07"
    shown = Shown()
    with shown.progress():
        shown.step("read", 2, 2, name)
    shown.say(name)
    shown.line(name)
    shown.table(name, ("video",), [(name,)])
    assert run(["doctor", str(tmp_path / name)]) == 1
    captured = capsys.readouterr()
    for text, times in ((captured.out, 3), (captured.err, 3)):
        assert not set("\x1b\u202e\x07") & set(text)
        assert text.count(r"a\x1b[2J\u202eb\x07") == times


def test_progress_travels_to_other_devices(capsys: pytest.CaptureFixture[str]) -> None:
    """`--devices 2` starts processes that get the progress callback with the training."""
    shown = Shown(as_json=True)
    with shown.progress():
        step = pickle.loads(pickle.dumps(shown.step))
    step("train", 20, 20, "done")
    captured = capsys.readouterr()
    assert captured.out == "" and "train: 20/20 done" in captured.err


def test_the_time_left_follows_from_the_seconds_that_are_done() -> None:
    now = [100.0]
    left = TimeLeft(lambda: now[0])
    assert left.after(30, 3630) == ""
    now[0] = 110.0
    assert left.after(130, 3630) == "6 min left"  # 100 s in 10 s, so 3500 s in 350 s
    assert left.after(3630, 3630) == ""
    assert [duration(s) for s in (0.4, 99, 100, 5940, 6000)] == [
        *("0 s", "99 s", "2 min", "99 min", "1 h 40 min")
    ]
