"""benchmarks/gpu.py runs on the CPU with tiny sizes, and writes what it measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu.py"


def run(out: Path, *options: str) -> str:
    again = [sys.executable, str(SCRIPT), "--out", str(out), *options]
    subprocess.run(
        again, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return out.read_text(encoding="utf-8")


def test_frame_says_that_nothing_was_measured(tmp_path: Path) -> None:
    text = run(tmp_path / "gpu.md", "--frame")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Flow at 320 x 240",
        "## Training",
        "## Scoring, 25 positions x 10 crops",
        "## From clips to a trained net",
    ]
    assert text.count("\nnot measured\n") == 4
    kept = SCRIPT.parents[1] / "docs" / "gpu-results.md"
    assert kept.read_text(encoding="utf-8").startswith("<!-- written by benchmarks/gpu.py -->")


@pytest.mark.slow
def test_small(tmp_path: Path) -> None:
    text = run(tmp_path / "gpu.md", "--small")
    assert "failed" not in text
    tables = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = {(cells[0].strip("| "), cells[1]): cells for cells in tables}
    brox = rows["brox", "plain"]
    assert float(brox[3]) > 0
    assert float(brox[7]) < 1e-3
    assert float(brox[8]) < 0.01
    for stream in ("spatial", "temporal"):
        trained = rows[f"paper, {stream}", "small-bn, 4"]
        assert min(float(trained[3]), float(trained[6])) > 0
        assert float(rows["small-bn, 32 px", stream][3]) > 0
    assert "since no --jhmdb was given" in text
