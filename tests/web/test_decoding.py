"""Videos that end the process which decodes them, fill it, or hold it up cost one visitor."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from analysed import service_of
from twostream.extraction import extract_to_memory
from twostream.prediction import TwoStreamPredictor
from twostream.types import VideoError, no_progress
from twostream.video import VideoWriter
from twostream.web.analysis import in_words
from twostream.web.decoding import Decoder
from twostream.web.limits import Deadline, Limits, RefusedError
from untrained import SETTINGS, make_model, write_clip

KINDS = ("forward", "rgb")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(SETTINGS, KINDS, Limits(max_seconds=10))
    yield decoder
    decoder.end()


def test_the_clip_is_that_of_an_extraction(decoder: Decoder, clip: Path, tmp_path: Path) -> None:
    told = []

    def progress(task: str, done: float, total: float, detail: str = "") -> None:
        assert task == "frames and flow" and total == 1
        told.append((done, detail))

    found = decoder.decode(clip, Deadline(60), progress)
    wanted = extract_to_memory(clip, SETTINGS, KINDS)
    assert {k: f.content() for k, f in found.items()} == {k: f.content() for k, f in wanted.items()}
    assert all(0 < done <= 1 for done, _ in told) and told == sorted(told)
    assert told[-1] == (1, "60") and len(told) == 7
    text, long = tmp_path / "a.mp4", tmp_path / "long.avi"
    text.write_text("no video")
    with VideoWriter(long, fps=2, width=64, height=48) as writer:
        for _ in range(24):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(VideoError, match="cannot be opened") as caught:
        decoder.decode(text, Deadline(60), no_progress)
    assert caught.value.path == text
    with pytest.raises(RefusedError, match="longer than 10 s") as refused:
        decoder.decode(long, Deadline(60), no_progress)
    assert refused.value.http_status == 422
    defect: Path = None  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="TypeError"):
        decoder.decode(defect, Deadline(60), no_progress)
    assert decoder.alive  # none of them was worse than a sentence


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says it")
def test_more_memory_than_allowed(decoder: Decoder, clip: Path, tmp_path: Path) -> None:
    decoder.decode(clip, Deadline(60), no_progress)
    large = tmp_path / "large.mp4"
    with VideoWriter(large, fps=25, width=3840, height=2160) as writer:
        for i in range(12):
            writer.write(np.full((2160, 3840, 3), 9 * i, np.uint8))
    most = decoder.bytes_in_memory / 1e6 + 40
    strict = Decoder(SETTINGS, KINDS, Limits(max_memory_mb=most))
    strict.decode(clip, Deadline(60), no_progress)
    process = Path(f"/proc/{strict.process.pid}")
    assert process.joinpath("oom_score_adj").read_text() == "1000\n"  # it goes before the server
    assert re.search(r"core file size +0 +0 ", process.joinpath("limits").read_text())
    with pytest.raises(RefusedError, match=f"more than {most:g} MB of memory"):
        strict.decode(large, Deadline(60), no_progress)
    assert not strict.alive


def test_what_ends_the_process_costs_one_visitor(tmp_path: Path) -> None:
    sent, limits = tmp_path / "sent", Limits(at_once=1)
    sent.mkdir()
    content = write_clip(tmp_path / "a.avi", frames=30).read_bytes()
    others = multiprocessing.active_children()
    predictor = TwoStreamPredictor.from_models([make_model(None)])

    def child() -> BaseProcess:
        (one,) = [each for each in multiprocessing.active_children() if each not in others]
        return one

    def visit(sign: signal.Signals | None = None) -> float:
        """Send a video while whose decoding a signal comes; returns the label's score."""

        def progress(task: str, done: float, total: float, detail: str = "") -> None:
            if sign and task == "waiting for a place" and done:
                os.kill(child().pid or 0, signal.SIGSTOP)  # so that it is not ready before
                threading.Timer(0.2, send, [child().pid, sign]).start()

        def send(process: int, sign: signal.Signals) -> None:
            os.kill(process, sign)
            os.kill(process, signal.SIGCONT)

        (sent / "a.avi").write_bytes(content)
        return service.show(sent / "a.avi", "a.avi", progress)["score"]

    with closing(service_of(predictor, limits, sent)) as service:
        score, before = visit(), child()
        for sign in (signal.SIGSEGV, signal.SIGKILL):
            with pytest.raises(VideoError) as caught:
                visit(sign)
            words = in_words(caught.value, "a.avi")
            assert words.startswith("a.avi: decoding it ended the process that did so (")
            assert str(sent) not in words and child() != before
            assert visit() == score
            before = child()
        before.kill()  # while it waits
        before.join()
        assert visit() == score != 0
        assert child() != before
    assert set(multiprocessing.active_children()) <= set(others)


def test_a_process_that_hangs_is_ended_in_time(clip: Path) -> None:
    decoder = Decoder(SETTINGS, KINDS, Limits())
    os.kill(decoder.process.pid or 0, signal.SIGSTOP)
    with pytest.raises(RefusedError, match=r"took more than 0\.3 s") as caught:
        decoder.decode(clip, Deadline(0.3), no_progress)
    assert caught.value.http_status == 504 and not decoder.alive


def test_a_killed_server_leaves_no_process() -> None:
    """Not even one that hangs. It holds the script's output: ``run`` waits until it has ended."""
    code = """
import os, sys, threading, time
from twostream.store.flow_store import StoreSettings
from twostream.web.decoding import Decoder
from twostream.web.limits import Deadline, Limits

class Endless:
    def __reduce__(self):
        return time.sleep, (600,)

decoder = Decoder(StoreSettings(short_side=40).complete(), ("forward", "rgb"), Limits())
threading.Timer(0.3, os.kill, [os.getpid(), 9]).start()
decoder.decode(Endless(), Deadline(60), print)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert not done.stderr
