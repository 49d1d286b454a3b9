"""A verb is killed, and fails, at each change that it makes on disk; all: ``make write-points``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "write_points" / "every_point.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="preloads a library as Linux does")
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_fuse_holds_at_every_point(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--jobs", "fuse", "--work", tmp_path / "work"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("| `fuse`"))
    counts = [int(cell) for cell in row.split("|")[2:-1]]
    assert counts[0] > 3 and counts[1:] == counts[:1] * 3
