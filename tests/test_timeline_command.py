"""The command that writes time lines: what it is asked for, whatever one video does."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from twostream.__main__ import run
from twostream.prediction import Prediction, TwoStreamPredictor
from twostream.video import VideoReader, VideoWriter
from untrained import write_clip

FPS = 25


def test_the_command_writes_what_it_is_asked_for(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=60)
    outputs = [f"--{kind}={tmp_path / kind}" for kind in ("csv", "scores", "srt")]
    outputs.append(f"--video={tmp_path / 'film.mp4'}")
    command = ["predict", str(run_folder), str(video), "--timeline", "--json", *outputs]
    assert run([*command, "--threshold", "0", "--every", "0.2", "--window", "1"]) == 0
    (found,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["seconds"] == 2.4 and len(found["times"]) == 8
    rows = list(csv.DictReader(io.StringIO((tmp_path / "csv").read_text())))
    assert [row["label"] for row in rows] == [s["label"] for s in found["segments"]]
    assert len((tmp_path / "scores").read_text().splitlines()) == 9
    assert (tmp_path / "srt").read_text().startswith("1\n00:00:00,000 --> ")
    with VideoReader(tmp_path / "film.mp4") as reader:
        assert len(list(reader)) == 60


def test_what_a_person_wrote_is_copied_before_it_is_replaced(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, path = write_clip(tmp_path / "clip.avi", frames=60), tmp_path / "clip.csv"
    path.write_text(hand_made := "path,label,start,end\nclip.avi,walk,0,1\n")
    command = ["predict", str(run_folder), str(video), "--timeline", "--threshold", "0"]
    for option in ("--labels", "--labels", "--csv", "--csv", "--scores", "--scores"):
        assert run([*command, f"{option}={path}"]) == 0
        assert path.read_text() != hand_made
    # labels of a time line too, which may have been corrected since, but no table
    copies = [".clip.csv.original", ".clip.csv.original-2"]
    assert sorted(each.name for each in tmp_path.glob(".*")) == copies
    assert (tmp_path / copies[0]).read_text() == hand_made
    said = capsys.readouterr()
    assert (said.out + said.err).count("was there: what it held is in .clip.csv.original") == 2


def test_one_bad_video_does_not_end_the_run(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "a.avi").write_text("no video")
    for name in ("b.avi", "c.avi"):
        write_clip(clips / name)
    command = ["predict", str(run_folder), str(clips)]
    assert run([*command, "--timeline", "--csv", str(tmp_path / "out"), "--json"]) == 1
    captured = capsys.readouterr()
    assert len(json.loads(captured.out.splitlines()[-1])) == 2
    assert captured.err.count("a.avi") == 1 and "not labelled" in captured.err
    assert "predict: 3/3" in captured.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.csv", "c.csv"]
    assert run([*command, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_ctrl_c_leaves_whole_files_only(run_folder: Path, tmp_path: Path) -> None:
    """One video is done, the other is at work: of the first everything is there."""
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    write_clip(clips / "a.avi", frames=30)
    with VideoWriter(clips / "b.avi", fps=FPS, width=64, height=48, quality=1) as writer:
        for _ in range(600 * FPS):
            writer.write(np.full((48, 64, 3), 90, np.uint8))
    outputs = [f"--{kind}={out / kind}" for kind in ("csv", "srt", "video")]
    command = ["predict", str(run_folder), str(clips), "--timeline", *outputs]
    process = subprocess.Popen(
        [sys.executable, "-m", "twostream", *command], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 100
    while not (out / "video" / "a.mp4").is_file():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said and "stopped" in said
    assert sorted(path.name for path in out.rglob("*.*")) == ["a.csv", "a.mp4", "a.srt"]
    with VideoReader(out / "video" / "a.mp4") as reader:
        assert len(list(reader)) == 30


@pytest.mark.slow
def test_an_exported_folder_needs_no_torch(run_folder: Path, tmp_path: Path) -> None:
    from twostream.export import export_onnx

    export_onnx(run_folder, tmp_path / "onnx")
    video = write_clip(tmp_path / "clip.avi", frames=60)
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'lightning', 'timm', 'sklearn', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "from twostream.__main__ import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    arguments = ["predict", str(tmp_path / "onnx"), str(video), "--timeline", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout.splitlines()[-1])
    wanted = TwoStreamPredictor.load(run_folder).timeline(video)
    np.testing.assert_allclose(found["scores"], wanted.scores, atol=2e-4)


def test_what_nobody_foresaw_does_not_either(
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail_of_one(self: TwoStreamPredictor, video: Path) -> Prediction:
        if video.name == "a.avi":
            raise ZeroDivisionError("none of five")
        return predict(self, video)

    predict = TwoStreamPredictor.predict
    monkeypatch.setattr(TwoStreamPredictor, "predict", fail_of_one)
    for name in ("a.avi", "b.avi"):
        write_clip(tmp_path / name)
    assert run(["predict", str(run_folder), str(tmp_path), "--json"]) == 1
    captured = capsys.readouterr()
    assert len(json.loads(captured.out.splitlines()[-1])) == 1
    said = f"not labelled: {tmp_path / 'a.avi'}: an unexpected ZeroDivisionError (none of five)"
    assert said in captured.err.replace("\n", " ")
