"""A training in the background: what becomes of its run where another one begins at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from twostream.web import training_job
from twostream.web.processes import EndedError
from twostream.web.training_job import TrainingChoice, TrainingJob


class Worker:
    """Stands for the process: the first run is made, the second one never ends."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.process, self.run = self, Path()

    def ask(self, asked: tuple[Any, ...]) -> None:
        self.run = asked[1]

    def hear(self) -> dict[str, Any]:
        if self.run.name == "run-1":
            (self.run / "results.json").write_text("{}")
            return {"accuracy": "It is trained."}
        time.sleep(0.2)
        raise EndedError

    def end(self) -> None:
        """There is nothing to end."""

    def join(self, _: float) -> None:
        """There is nothing to wait for."""


def test_a_run_that_is_made_stays_where_another_training_begins_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another page's click comes just when the first one has been called done."""
    monkeypatch.setattr(training_job, "Helper", Worker)
    told: list[str] = []

    def switch(run: Path) -> None:
        # who reads "done" asks the new run: it answers by then
        told.append(f"{run.name} while {job.state.state}")

    job = TrainingJob(tmp_path, tmp_path / "runs", TrainingChoice(), switch)

    class Lock:
        """Lets somebody else go on as soon as it is free."""

        def __init__(self) -> None:
            self.lock, self.clicked = threading.Lock(), False

        def __enter__(self) -> None:
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()
            if job.state.state == "done" and not self.clicked:
                self.clicked = True
                click = threading.Thread(target=job.start)
                click.start()
                click.join()

    monkeypatch.setattr(job, "_lock", Lock())
    job.start()
    first = job._thread
    assert first is not None
    first.join(20)
    assert (tmp_path / "runs" / "run-1" / "results.json").is_file() and told == [
        "run-1 while running"
    ]
    assert job.state.run == "run-2"
    second = job._thread
    assert second is not None
    second.join(20)
    assert job.state.state == "failed" and not (tmp_path / "runs" / "run-2").exists()
