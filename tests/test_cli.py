"""The command line as people use it: exit status, one clear sentence, the JSON line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from twostream.__main__ import run
from twostream.cli import flow, scores, train
from twostream.datasets import SplitChoice

FAST = ("--recipe", "quick", "--steps", "2", "--stream", "spatial")


def last_line(capsys: pytest.CaptureFixture[str]) -> object:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def fails(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> str:
    """Run a command that must fail with this status and one sentence; return the sentence."""
    assert run(list(arguments)) == status
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return " ".join(captured.err.split())


@pytest.mark.parametrize(
    ("data", "choice", "folder"),
    [
        ("clips", {}, "clips-run"),
        ("x/jhmdb/clips.csv", {"split": 2}, "jhmdb-split2-run"),
        ("my clips.csv", {"fold": "9/9"}, "my-clips-fold9of9-run"),
        ("clips", {"test_groups": ("a/../b", "c")}, "clips-a-..-b-c-run"),
    ],
)
def test_a_run_without_out_is_called_after_its_data(data: str, choice: dict, folder: str) -> None:
    assert train.run_folder(Path(data), SplitChoice(**choice)) == Path(folder)


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
        "update",
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
        assert f"│ {verb} " in done.stdout


def test_help_is_in_panels_and_tells_each_recipes_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert run(["train", "--help"]) == 0
    said = capsys.readouterr().out
    panels = ("Data", "Method", "Network", "Training", "Machine")
    places = [said.index(f"╭─ {panel} ─") for panel in panels]
    assert places == sorted(places)
    for words in ("400 (quick), 80,000 (paper).", "dis (quick), brox (paper).", "<int>"):
        assert words in said
    assert run(["evaluate", "--help"]) == 0
    assert "[DATA]" in capsys.readouterr().out  # no markup


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
    assert set(found) == {"video", "labels", "streams", "warning"} and len(found["labels"]) == 5
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
    expected = json.loads((tiny_run / "results.json").read_text())["accuracy"]
    for method, name in (("svm", "svm"), ("log-linear", "fused")):
        command = ["fuse", *scores, "--method", method, "--fit", fit[0], "--fit", fit[1], "--json"]
        assert run(command) == 0
        assert last_line(capsys)["accuracy"][name] == expected[name]  # type: ignore[call-overload]


def test_fuse_takes_every_file_once_and_replaces_files_alone(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tiny_run / "scores" / "spatial-test.npz"
    other = tmp_path / "seed-1.npz"
    shutil.copy(file, other)
    link = tmp_path / "again.npz"
    link.symlink_to(file)
    said = fails(capsys, 2, "fuse", str(file), str(link))
    assert "is given twice" in said
    # two nets of one stream may be fused, and neither hides the other in the table
    assert run(["fuse", str(file), str(other), "--json"]) == 0
    names = list(last_line(capsys)["accuracy"])  # type: ignore[call-overload]
    assert names == [str(file), str(other), "average"]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = fails(capsys, 1, "fuse", str(file), str(other), "--out", str(pipe))
    assert "is no file that scores could replace" in said
    assert pipe.is_fifo()


def test_doctor_prints_problems_as_json(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", str(shared_data / "robustness" / "video_90.mov"), "--json"]) == 0
    report = last_line(capsys)
    assert isinstance(report, dict) and report["videos"] == 1
    assert any(problem["problem"] == "rotated" for problem in report["problems"])


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, tiny_run: Path) -> Path:
    """Files that options may name wrongly."""
    folder = tmp_path_factory.mktemp("things")
    (folder / "damaged.safetensors").write_bytes(b"\x00" * 100)
    (folder / "three.csv").write_text("a,b,c\n1,2,3\n")
    (folder / "unknown.csv").write_text("mine,theirs\nSwim,Swim\n")
    (folder / "full" / "mine").mkdir(parents=True)
    shutil.copytree(tiny_data / sorted(os.listdir(tiny_data))[0], folder / "one-class" / "walk")
    for name in ("walk", "run"):
        (folder / "texts" / name).mkdir(parents=True)
        for i in range(3):
            (folder / "texts" / name / f"{i}.mp4").write_text(f"no video {name} {i}")
    return folder


WRONG = [
    (2, "learning_rate", "--learning-rate nan"),
    (2, "learning_rate", "--learning-rate inf"),
    (2, "dropout", "--dropout 1.5"),
    (2, "dropout", "--dropout nan"),
    (2, "bound must be a number above 0, got nan", "--bound nan"),
    (2, "bound must be a number above 0, got inf", "--bound inf"),
    (2, "frame rate must be a number above 0, got nan", "--fps nan"),
    (2, "frame rate must be a number above 0, got 0", "--fps 0"),
    (2, "'gourmet' is not one of 'standard', 'quick', 'paper'", "--recipe gourmet"),
    (2, "crop", "--crop-size 100"),
    (2, "even length", "--length 5 --bidirectional"),
    (2, "'audio' is not one of 'both', 'spatial'", "--stream audio"),
    (2, "'some' is not one of 'all', 'last-layer'", "--train some"),
    (2, "'png' is not one of 'jpeg', 'lossless'", "--codec png"),
    (1, "no weights file", "--weights nowhere.safetensors"),
    (1, "is damaged", "--weights {things}/damaged.safetensors"),
    (1, "is a folder", "--weights {things}/full"),
    (1, "do not belong", "--weights {run}/spatial.safetensors --arch squeezenet1_0"),
    (1, "no weights file", "--temporal-weights nowhere.safetensors"),
    (1, "unknown architecture", "--arch transformer-9000"),
    (1, "has weights of tf_efficientnet_lite0", "--recipe standard --arch resnet18"),
    (1, "does not take crops of 64 px", "--arch vit_tiny_patch16_224"),
    (2, "sees a stack of RGB frames", "--temporal-arch slow-fusion-small"),
    (2, "groups", "--test-groups nobody"),
    (2, "fold", "--fold 9/3"),
    (2, "fold", "--fold 5/3"),
    (2, "split 9", "--split 9"),
    (2, "'maybe' is not one of 'out-of-fold', 'held-out', 'in-sample'", "--fit-scores maybe"),
    (2, "Invalid value", "--steps many"),
    (2, "no flow estimator", "--flow magic"),
    (2, "'3-bit' is not one of '32-true', '16-mixed', 'bf16-mixed'", "--precision 3-bit"),
    (2, "'abacus' is not one of 'auto', 'cpu', 'gpu'", "--accelerator abacus"),
    (2, "'sum' is not one of 'multitask', 'added', 'pretrain'", "--how sum"),
    (2, "cannot be split over 2 devices", "--batch-size 7 --devices 2"),
    (1, "no such file or folder", "--also nowhere"),
    (1, "at least two classes", "--also {things}/one-class"),
    (1, "at least two classes", "--also {things}/texts"),
    (2, "as many stores", "--also-store nowhere"),
    (2, "--how added", "--overlap {things}/three.csv"),
    (2, "--how added", "--how added"),
    (1, "two columns", "--also {other} --how added --overlap {things}/three.csv"),
    (1, "names Swim", "--also {other} --how added --overlap {things}/unknown.csv"),
    (1, "cannot be read as a list", "--also {other} --how added --overlap {things}/nothing.csv"),
    (1, "overlaps", "--also {other} --how added"),
    (1, "holds no flow store", "--store {things}/full"),
    (1, "is a file", "--store {things}/three.csv"),
    (1, "made with other settings", "--store {run}/flow --short-side 80"),
    (1, "holds no flow store", "--also {other} --also-store {things}/full"),
]


@pytest.mark.parametrize(
    "command",
    [
        "extract DATA --store OUT --device abacus",
        "extract DATA --store OUT --recipe gourmet",
        "fuse DATA --method sum",
        "export-flow --store DATA --out OUT --layout flownet",
        "evaluate DATA --accelerator abacus",
        "predict DATA DATA --accelerator abacus",
        "reproduce --out OUT --recipe gourmet",
    ],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is not one of '" in fails(capsys, 2, *command.split())


@pytest.mark.parametrize(("status", "words", "options"), WRONG, ids=[case[2] for case in WRONG])
def test_a_wrong_option_is_one_sentence_and_leaves_nothing(
    status: int,
    words: str,
    options: str,
    tiny_data: Path,
    tiny_run: Path,
    other_data: Path,
    things: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    named = {"things": things, "run": tiny_run, "other": other_data}
    given = [option.format(**named) for option in options.split()]
    given += [] if "--recipe" in given else ["--recipe", "quick"]
    said = fails(capsys, status, "train", str(tiny_data), "--out", str(out), *given)
    assert words in said
    assert not out.exists()


def test_an_absent_accelerator_is_one_sentence_and_leaves_nothing(
    tiny_data: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    out = tmp_path / "run"
    command = ["train", str(tiny_data), "--out", str(out), "--accelerator", "gpu"]
    assert "the trainer does not take" in fails(capsys, 2, *command)
    assert not out.exists()
    command = ["evaluate", str(tiny_run), "--out", str(out), "--accelerator", "gpu"]
    assert "the trainer does not take" in fails(capsys, 2, *command)
    assert not out.exists()


def test_the_corrected_command_runs_and_a_wrong_one_leaves_a_run_as_it_was(
    few_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["train", str(few_data), "--out", str(out), *FAST]
    fails(capsys, 1, *command, "--weights", "nowhere.safetensors")
    assert run([*command]) == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    fails(capsys, 2, *command, "--resume", "--bound", "nan")
    fails(capsys, 1, *command, "--resume", "--weights", "nowhere.safetensors")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert run([*command, "--resume"]) == 0


@pytest.mark.parametrize("case", ["missing", "one class", "text videos", "a file"])
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
    if case == "one class":
        shutil.rmtree(data / "run")
    target = clip if case == "a file" else data
    said = fails(capsys, 1, "train", str(target), "--out", str(tmp_path / "run"), *FAST)
    words = {
        "missing": "no such",
        "one class": "at least two classes",
        "text videos": "cannot be used",
        "a file": "one video",
    }
    assert words[case] in said
    assert not (tmp_path / "run").exists()


def test_a_split_that_leaves_one_class_to_train_blames_no_video(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = sorted(tiny_data.glob("*/*.avi"))
    lines = [f"{clips[0]},walk,a", f"{clips[1]},walk,b", f"{clips[2]},run,c"]
    (tmp_path / "clips.csv").write_text("\n".join(["path,label,group", *lines]))
    data, out = str(tmp_path / "clips.csv"), str(tmp_path / "run")
    said = fails(capsys, 1, "train", data, "--out", out, "--test-groups", "c", *FAST)
    assert "got 1: none of another trains, so choose another split" in said


def test_a_full_disk_is_one_sentence(
    few_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import errno

    import twostream.run.training_run as job

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "spatial.safetensors")

    monkeypatch.setattr(job, "save_model", full)
    said = fails(capsys, 1, "train", str(few_data), "--out", str(tmp_path / "run"), *FAST)
    assert "no space left" in said


@pytest.mark.parametrize("out", ["folder", "file/x.npz"])
def test_a_place_that_cannot_be_written_is_one_sentence(
    out: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    scores = str(tiny_run / "scores" / "spatial-test.npz")
    said = fails(capsys, 1, "fuse", scores, "--out", str(tmp_path / out))
    assert "choose another place" in said or "name another --out" in said
    assert out.split("/")[0] in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_link_that_leads_to_itself_is_passed_over(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = sorted(tiny_data.glob("*/*.avi"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "self").symlink_to("self")
        shutil.copy(clips.pop(), tmp_path / name / "1.avi")
    assert run(["doctor", str(tmp_path), "--json"]) == 0
    assert last_line(capsys)["videos"] == 2  # type: ignore[call-overload,index]


def test_the_parsers_choices_are_the_rooms_own() -> None:
    from twostream.fusion import METHODS
    from twostream.interchange import LAYOUTS
    from twostream.multitask import HOWS
    from twostream.recipes import RECIPES
    from twostream.training import TRAIN

    def choices(verb: object, name: str) -> set[str]:
        return set(get_args(get_type_hints(verb)[name]))

    assert choices(train.train, "recipe") == set(RECIPES)
    assert choices(train.train, "how") == set(HOWS)
    assert choices(train.train, "layers") == set(TRAIN)
    assert choices(scores.fuse, "method") == set(METHODS)
    assert choices(flow.export_flow, "layout") == set(LAYOUTS)
