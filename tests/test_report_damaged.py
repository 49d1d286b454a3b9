"""The page of a RUN whose files are damaged, missing or of other clips; and where it is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invented_run import (
    CLASSES,
    LABELS,
    SPATIAL,
    read,
    scores,
    write_history,
    write_run,
    write_scores,
)
from twostream.fusion import fuse
from twostream.report import write_report
from twostream.types import RunError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "RUN")


@pytest.mark.parametrize(
    "name",
    [
        "settings.json",
        "results.json",
        "logs/spatial/history.json",
        "scores/svm-test.npz",
        "scores/temporal-train.npz",
        "spatial.safetensors",
        "flow/store.json",
    ],
)
def test_damaged_files_never_break_the_report(run: Path, name: str) -> None:
    for content in (b"", b"PK\x03\x04cut off", b"{", b"[1, 2]", b"\xff\xfe"):
        (run / name).write_bytes(content)
        page = read(run)
        said = page.text("notes") + page.text("filters") + page.text("clips")
        assert Path(name).name in said, content


def test_wrong_types_in_the_files_never_break_the_report(run: Path) -> None:
    odd = {"notes": 3, "store": "here", "versions": [1], "recipe": None, "dataset": ["x"]}
    (run / "settings.json").write_text(json.dumps(odd))
    results = {"accuracy": [1], "seconds": {"train": "long"}, "unreadable": 4, "loader_wait": 1}
    (run / "results.json").write_text(json.dumps(results))
    for rows in ([1], [{"step": 1}], [{"step": 1, "loss": None, "accuracy": "x"}], "abc"):
        (run / "logs/spatial/history.json").write_text(json.dumps({"history": rows}))
        text = read(run).text("training")
        assert "Temporal stream 50" in text and "Spatial stream 1" not in text


def test_streams_on_other_videos_are_shown_but_not_compared(run: Path) -> None:
    others = [f"other{i}.avi" for i in range(10)]
    write_scores(run, scores(LABELS, SPATIAL, CLASSES, "spatial", ids=others))
    page = read(run)
    assert "cannot be compared clip by clip" in page.text("notes")
    assert "not scored on the same clips" in page.text("fusion")
    assert "60.0%" in page.text("accuracy", "card", "spatial")


def test_streams_with_other_classes_are_not_compared(run: Path) -> None:
    write_scores(run, scores(LABELS, SPATIAL, "abcd", "spatial"))
    assert "different classes" in read(run).text("main")


def test_no_test_clips_at_all(tmp_path: Path) -> None:
    empty = [scores([], [], CLASSES, stream, top=0.5) for stream in ("spatial", "temporal")]
    write_scores(tmp_path, *empty, fuse(empty))
    page = read(tmp_path)
    assert page.text("verdict") == "This split has no test clips."
    assert "no test clips" in page.text("clips")


def test_accuracies_that_differ_from_the_results_file_are_pointed_out(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    results["accuracy"]["temporal"] = 0.9
    (run / "results.json").write_text(json.dumps(results))
    assert "results.json says 90.0% for Temporal stream, its score file 70.0%" in (
        read(run).text("notes")
    )


def test_diverged_training_is_said_and_drawn_as_far_as_it_goes(run: Path) -> None:
    write_history(run, "spatial", [2.0, float("nan"), float("inf"), 1.0])
    write_history(run, "temporal", [float("nan")] * 3)
    text = read(run).text("training")
    assert "Not a number at some steps: spatial loss, temporal loss" in text


def test_no_folder_and_no_scores_are_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no RUN folder .*nowhere"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(RunError, match="has no scores of test clips"):
        write_report(tmp_path)
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "spatial-test.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(RunError, match=r"spatial-test\.npz cannot be read"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_report_replaces_the_old_one_whole_or_not_at_all(run: Path) -> None:
    (run / "report.html").write_text("old")
    assert write_report(run) == run / "report.html"
    assert (run / "report.html").read_text(encoding="utf-8").endswith("</html>\n")
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    with pytest.raises(RunError, match=r"report\.html cannot be written"):
        write_report(run)
    assert not list(run.glob(".report*"))
