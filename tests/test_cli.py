"""The command line as people use it: exit status, one clear sentence, the JSON line."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from twostream.__main__ import run
from twostream.cli.console import Shown

FAST = ("--steps", "2")


def last_line(capsys: pytest.CaptureFixture[str]) -> object:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def fails(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> str:
    """Run a command that must fail with this status and one sentence; return the sentence."""
    assert run(list(arguments)) == status
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return " ".join(captured.err.split())


def test_help_does_not_import_the_heavy_parts() -> None:
    code = (
        "import sys; from twostream.__main__ import run; run(['--help']);"
        "heavy = {'torch', 'cv2', 'av', 'sklearn', 'lightning', 'timm'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb in (
        "train",
        "pretrain",
        "extract",
        "evaluate",
        "fuse",
        "predict",
        "report",
        "doctor",
        "demo",
        "flow",
        "import-flow",
        "export-flow",
    ):
        assert f"  {verb} " in done.stdout


def test_progress_travels_to_other_devices(capsys: pytest.CaptureFixture[str]) -> None:
    """`--devices 2` starts processes that get the progress callback with the training."""
    shown = Shown(as_json=True)
    with shown.progress():
        step = pickle.loads(pickle.dumps(shown.step))
    step("train", 20, 20, "done")
    captured = capsys.readouterr()
    assert captured.out == "" and "train: 20/20 done" in captured.err


def test_extract_prints_its_json_and_fails_where_a_video_fails(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, store = tmp_path / "clips", str(tmp_path / "store")
    for name in sorted(path.name for path in tiny_data.iterdir())[:2]:
        shutil.copytree(tiny_data / name, data / name)
    command = ["extract", str(data), "--store", store, "--recipe", "quick", "--json"]
    assert run(command) == 0
    first = last_line(capsys)
    assert isinstance(first, dict)
    keys = {"videos", "done", "skipped", "failed", "pairs", "pairs_per_second", "device"}
    assert set(first) == keys and (first["videos"], first["done"]) == (8, 8)
    next(data.glob("*/*.avi")).write_text("text")
    assert run(command) == 1
    again = last_line(capsys)
    assert isinstance(again, dict)
    assert (again["done"], again["skipped"], again["failed"]) == (0, 7, 1)
    said = fails(capsys, 1, "extract", str(data), "--store", store, "--flow", "farneback")
    assert "other settings" in said and "flow" in said


def test_predict_report_evaluate_and_fuse(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(next(tiny_data.glob("*/*_g01_*.avi")))
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert run(["predict", str(tiny_run), clip, "--json"]) == 0
    (found,) = last_line(capsys)  # type: ignore[misc]
    assert set(found) == {"video", "labels", "streams"} and len(found["labels"]) == 5
    assert set(found["streams"]) == {"spatial", "temporal"}
    assert run(["predict", str(tiny_run), str(text), clip, "--json"]) == 1
    captured = capsys.readouterr()
    assert len(json.loads(captured.out.strip().splitlines()[-1])) == 1
    assert "text.mp4" in captured.err
    run_copy = tmp_path / "run"
    shutil.copytree(tiny_run, run_copy, ignore=shutil.ignore_patterns(".lock"))
    (run_copy / "report.html").unlink()
    assert run(["report", str(run_copy)]) == 0
    assert (run_copy / "report.html").is_file()
    assert run(["evaluate", str(run_copy), "--json"]) == 0
    capsys.readouterr()
    scores = [str(run_copy / "scores" / f"{s}-test.npz") for s in ("spatial", "temporal")]
    fit = [str(run_copy / "scores" / f"{s}-crossfit.npz") for s in ("spatial", "temporal")]
    command = ["fuse", *scores, "--method", "svm", "--fit", fit[0], "--fit", fit[1], "--json"]
    assert run(command) == 0
    expected = json.loads((tiny_run / "results.json").read_text())["accuracy"]["svm"]
    assert last_line(capsys)["accuracy"]["svm"] == expected  # type: ignore[call-overload]


def test_doctor_prints_problems_as_json(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", str(shared_data / "robustness" / "video_90.mov"), "--json"]) == 0
    report = last_line(capsys)
    assert isinstance(report, dict) and report["videos"] == 1
    assert any(problem["problem"] == "rotated" for problem in report["problems"])


@pytest.mark.parametrize(
    ("status", "words", "options"),
    [
        (2, "learning_rate", ("--learning-rate", "nan")),
        (2, "dropout", ("--dropout", "1.5")),
        (2, "unknown recipe", ("--recipe", "gourmet")),
        (2, "crop", ("--crop-size", "100")),
        (2, "even length", ("--length", "5", "--bidirectional")),
        (2, "--stream", ("--stream", "audio")),
        (1, "no weights file", ("--weights", "nowhere.safetensors")),
        (1, "unknown architecture", ("--arch", "transformer-9000")),
        (2, "groups", ("--test-groups", "nobody")),
        (2, "fold", ("--fold", "9/3")),
        (1, "frame rate", ("--fps", "nan")),
        (2, "fit_scores", ("--fit-scores", "maybe")),
        (2, "Invalid value", ("--steps", "many")),
    ],
)
def test_wrong_options_get_one_sentence(
    status: int,
    words: str,
    options: tuple[str, ...],
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    said = fails(capsys, status, "train", str(tiny_data), "--out", str(out), *options)
    assert words in said


@pytest.mark.parametrize("case", ["missing", "empty class", "one class", "text videos", "a file"])
def test_wrong_data_gets_one_sentence(
    case: str, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    clip = next(tiny_data.glob("*/*.avi"))
    if case != "missing":
        for name in ("walk", "run"):
            (data / name).mkdir(parents=True)
            for i in range(3):
                target = data / name / f"{name}{i}.mp4"
                if case == "text videos":
                    target.write_text("text")
                else:
                    shutil.copy(clip, target)
    if case == "empty class":
        (data / "nothing").mkdir()
    if case == "one class":
        shutil.rmtree(data / "run")
    target = clip if case == "a file" else data
    said = fails(capsys, 1, "train", str(target), "--out", str(tmp_path / "run"), *FAST)
    words = {
        "missing": "no such",
        "empty class": "nothing",
        "one class": "at least two classes",
        "text videos": "cannot be used",
        "a file": "one video",
    }
    assert words[case] in said


def test_a_full_disk_is_one_sentence(
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import errno

    import twostream.run.job as job

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "spatial.safetensors")

    monkeypatch.setattr(job, "save_model", full)
    said = fails(capsys, 1, "train", str(tiny_data), "--out", str(tmp_path / "run"), *FAST)
    assert "no space left" in said
