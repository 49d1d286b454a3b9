"""What cannot be done is said before the work, in one sentence; what is done otherwise is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from moving_clips import make_clip
from twostream.__main__ import run
from twostream.checkpoint import load_model
from twostream.files import check_writable
from twostream.prediction import TwoStreamPredictor, predictor
from twostream.prediction.model_files import TorchStream
from twostream.run.evaluation_run import check_out
from twostream.training import TrainerOptions
from twostream.types import RunError, UsageError
from untrained import save_run, write_clip


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for seed in range(6):
        make_clip(tmp_path / "clips" / "ab"[seed % 2] / f"{seed}.avi", 4, seed=seed)
    return tmp_path / "clips"


@pytest.mark.parametrize(
    "command",
    [
        "extract {data} --store {out}",
        "train {data} --out {out} --recipe quick --short-side 48 --crop-size 48",
        "flow {data}/a/0.avi --out {out}.mp4 --method tvl1-opencv",
        "reproduce --data {data} --out {out} --recipe quick",
    ],
)
def test_flow_of_modules_that_are_not_there(
    command: str,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As with opencv-python laid over opencv-contrib-python."""
    monkeypatch.delattr(cv2, "optflow")
    asked = command.format(data=clips, out=tmp_path / "out").split()
    assert run([*asked, *([] if "--method" in asked else ["--flow", "tvl1-opencv"])]) == 2
    said = capsys.readouterr().err
    assert "pip install opencv-contrib-python-headless" in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


@pytest.mark.parametrize("kind", ["csv", "scores", "srt", "video"])
def test_places_that_cannot_be_written_are_said_before_the_work(
    kind: str,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def working(*arguments: object, **options: object) -> None:
        pytest.fail("it went to work")

    monkeypatch.setattr(predictor.TwoStreamPredictor, "timeline", working)
    video = write_clip(tmp_path / "clip.avi")
    for place in ("/proc", "/sys"):  # not even root can write there
        out = f"{place}/x.mp4" if kind == "video" else f"{place}/x"
        command = ["predict", str(run_folder), str(video), "--timeline"]
        assert run([*command, f"--{kind}", out]) == 2
        assert f"{place} cannot be written to" in capsys.readouterr().err
        assert run([*command, str(video), f"--{kind}", f"{place}/a/b"]) == 2  # folders to be made
        assert "cannot be written to" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert run(["predict", str(run_folder), str(tmp_path), "--timeline", "--csv=/dev/null/x"]) == 2
    capsys.readouterr()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.avi", "file"]


def test_scores_that_cannot_be_written(tmp_path: Path) -> None:
    check_out(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for place in (Path("/proc/scores"), tmp_path / "file" / "x"):
        with pytest.raises(RunError, match=r"cannot be written to .*: choose another --out"):
            check_out(place)


def test_a_run_of_one_stream_says_so(run_folder: Path, tmp_path: Path, said: list[str]) -> None:
    TwoStreamPredictor.load(run_folder)
    assert said == []
    alone = save_run(tmp_path / "run", [load_model(run_folder / "temporal.safetensors")])
    TwoStreamPredictor.load(alone)
    assert said == [f"{alone} has the temporal stream alone: its scores are the answer"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"devices": "tpu"}, "devices are a whole number from 1, got 'tpu'"),
        ({"devices": 0}, "devices are a whole number from 1, got 0"),
        ({"accelerator": "tpu"}, "no accelerator 'tpu': use one of auto, cpu"),
    ],
)
def test_devices_that_are_none(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TrainerOptions(**options).check()


def test_a_device_that_torch_does_not_know(run_folder: Path) -> None:
    model = load_model(run_folder / "spatial.safetensors")
    with pytest.raises(UsageError, match="cannot use 'abacus' here: use cpu, cuda or auto"):
        TorchStream(model, device="abacus")


FORKED = """
import os, signal, sys, torch
torch.set_num_threads(2)
from twostream.prediction import TwoStreamPredictor
predictor = TwoStreamPredictor.load(sys.argv[1])
torch.ones(800, 800) @ torch.ones(800, 800)
before = predictor.predict(sys.argv[2]).scores
if (child := os.fork()) == 0:
    signal.alarm(60)
    os._exit(0 if abs(predictor.predict(sys.argv[2]).scores - before).max() < 1e-6 else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_process_predicts(run_folder: Path, tmp_path: Path) -> None:
    """torch's threads do not come along: a child that waited for them hung for ever."""
    video = write_clip(tmp_path / "clip.avi")
    done = subprocess.run([sys.executable, "-c", FORKED, str(run_folder), str(video)], timeout=200)
    assert done.returncode == 0


def test_the_check_of_a_place_leaves_nothing_and_takes_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "scores" / "more")
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Path, "unlink", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        check_writable(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
