"""The page: what it says, what it leaves out, and that it stands alone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from invented_run import (
    CLASSES,
    LABELS,
    TEMPORAL,
    Page,
    copy_run,
    read,
    scores,
    write_run,
    write_scores,
)
from twostream.fusion import fuse, pooled
from twostream.log_linear import LogLinear, write_fusion
from twostream.report import write_report
from twostream.report.measures import calibration, confusion
from twostream.report.wording import DASH
from twostream.scoring import load_scores

# What users call classes and files, all of it to be shown as it is and never obeyed.
NASTY = (
    "<script>alert(1)</script>",
    "salt & pepper",
    "\"quoted\" 'twice'",
    "jump [slow] (left)",
    "走る 🏃‍♀️",
    "مشي",
)
MINUS = "\N{MINUS SIGN}"
STYLE = files("twostream.report").joinpath("templates/page.css").read_text()


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("report") / "RUN")


@pytest.fixture
def run(complete: Path, tmp_path: Path) -> Path:
    return copy_run(complete, tmp_path / "RUN")


@pytest.fixture(scope="module")
def page(complete: Path) -> Iterator[Page]:
    yield Page(write_report(complete))
    (complete / "report.html").unlink()


def test_page_is_well_formed_and_self_contained(page: Page) -> None:
    page.check_self_contained()
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "prefers-color-scheme:dark" in page.source
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        page.tags
    )
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs["role"] == "img" and attrs["aria-label"]


def test_accuracies_and_intervals_are_those_of_the_score_files(page: Page) -> None:
    # 5 of 10: Wilson 0.2366 to 0.7634; 7 of 10: 0.3968 to 0.8922
    spatial = page.text("accuracy", "card", "spatial")
    assert "50.0%" in spatial and "5 of 10 clips" in spatial and f"23.7% {DASH} 76.3%" in spatial
    temporal = page.text("accuracy", "card", "temporal")
    assert "70.0%" in temporal and "7 of 10 clips" in temporal and f"39.7% {DASH} 89.2%" in temporal
    average = page.text("accuracy", "card", "average")
    assert "80.0%" in average and "best" in average
    assert "best" not in spatial and "best" not in temporal
    assert "n = 10 test clips" in page.text("accuracy")
    assert "out of fold" in page.text("accuracy")
    drawn = next(attrs for tag, attrs in page.tags if attrs.get("class") == "interval")
    assert (drawn["x"], drawn["width"]) == ("23.66%", "52.68%")


def test_verdict_says_how_good_the_answer_is_and_how_sure(page: Page) -> None:
    verdict = page.text("verdict")
    assert verdict.startswith("The two streams together, averaged, recognise 8 of 10 clips")
    assert "80.0%" in verdict and "between 49% and 94%" in verdict
    # fused and temporal differ on clip 2 alone
    assert page.text("second") == (
        "Temporal stream alone: 70.0%. A lead of 1 clip that could well be luck "
        "(p = 1, exact McNemar test)."
    )


@pytest.mark.parametrize(
    ("model", "right", "second"),
    [
        (
            "svm",
            10,
            "SVM: 100.0%, the best of 4 on these clips. Its lead of 2 clips could well be ",
        ),
        ("temporal", 10, "Temporal stream alone: 100.0%, the best of 4 on these clips. Its lead "),
        ("temporal", 8, "Temporal stream alone: 80.0%, just as good."),
    ],
)
def test_the_headline_is_what_predict_answers_with(
    run: Path, model: str, right: int, second: str
) -> None:
    """The best on the test clips is named after it: the clips chose it."""
    said = [label if i < right else 0 for i, label in enumerate(LABELS)]
    write_scores(run, scores(LABELS, said, CLASSES, model))
    page = read(run)
    assert page.text("verdict").startswith("The two streams together, averaged, recognise 8 of 10")
    assert page.text("second").startswith(second)
    chosen = "(p = 0.5, exact McNemar test, which does not count that these clips chose it)."
    assert page.text("second").endswith(chosen) == (right == 10)


def test_training_accuracy_stands_beside_test(page: Page) -> None:
    text = page.text("accuracy")
    assert "spatial stream 100.0% → 50.0%; temporal stream 87.5% → 70.0%" in text
    titles = page.text("track-row", "title")
    told = "50.0% of 10 clips, 95% interval 23.7% to 76.3%; 100.0% of 8 clips it was trained on"
    assert f"Spatial stream: {told}" in titles


def test_fusion_tiles_count_who_is_right(page: Page) -> None:
    # clip 9 cannot be read: wrong for everyone
    for group, count, average in (
        ("both", 3, 3), ("spatial", 2, 1), ("temporal", 4, 4), ("neither", 1, 0),
    ):  # fmt: skip
        text = page.text("agreement", "td", group)
        assert re.search(rf"{count} \d+\.0% of clips", text), text
        assert f"Average Average: {average} of {count} right" in text or (
            re.search(rf"Average {average}\b", text)
        ), text
    assert "right on 5 of the 6 that only one stream has right" in page.text("fusion")
    assert "would reach 90.0%" in page.text("fusion")


def test_classes_are_sorted_by_gain_of_fusion(page: Page) -> None:
    order = [
        data.strip()
        for stack, data in page.texts
        if any("class-name" in a.get("class", "") for _, a in stack) and stack[-1][0] == "bdi"
    ]
    # fusing gains nothing over the better stream here: the streams' distance decides
    assert order == ["run", "walk", "jump", "wave"]
    text = page.text("classes")
    assert "run 3 clips 33% 100% 100% temporal +67 walk 3 clips 100% 67% 100% spatial +33" in text
    assert "temporal stream is ahead in 2 classes, most in run (+67 points)" in text


def test_gain_of_fusion_decides_the_order_before_anything_else(tmp_path: Path) -> None:
    labels = [0, 0, 1, 1, 2, 2]
    write_scores(
        tmp_path,
        scores(labels, [0, 1, 1, 1, 0, 0], "abc", "spatial"),
        scores(labels, [1, 1, 1, 2, 2, 2], "abc", "temporal"),
        scores(labels, [0, 0, 1, 0, 2, 2], "abc", "average"),
    )
    text = read(tmp_path).text("classes")
    rows = ["a 2 clips 50% 0% 100% fusion +50 spatial +50", "c 2 clips 0% 100% 100% temporal +100"]
    rows.append(f"b 2 clips 100% 50% 50% fusion {MINUS}50 spatial +50")
    assert " ".join(rows) in text


def test_confusion_matrices_hold_the_counts_of_each_model(page: Page) -> None:
    for model, row in (("spatial", "run 3 1 33% 2 67%"), ("temporal", "walk 3 2 67% 1 33%")):
        assert row in page.text(f"panel-{model}", "confusion"), model
    assert "not read" in page.text("panel-average", "thead")
    titles = {attrs.get("title") for tag, attrs in page.tags if tag == "td"}
    assert "run taken for jump: 2 of 3 (66.7%)" in titles
    assert "wave could not be read: 1 of 1 (100.0%)" in titles
    checked = [a["id"] for tag, a in page.tags if tag == "input" and "checked" in a]
    assert checked == ["matrix-average"]
    assert "run taken for jump 2 clips 67% of run" in page.text("panel-spatial", "mistakes")


def test_hardest_clips_show_frame_flow_and_verdicts(page: Page) -> None:
    cards = page.text("clips", "article")
    assert cards.startswith("frame 3 of 5 flow, up to 3.0 px jump , taken for walk clip6.avi")
    assert "Spatial stream: jump ✓" in cards and "Temporal stream: walk ✗" in cards
    assert "clip9.avi" not in cards  # unreadable: named below instead
    frames, flows = page.images("frame of"), page.images("optical flow of")
    assert len(frames) == len(flows) == 6
    assert frames[0].shape == flows[0].shape == (24, 32, 3)
    assert np.abs(frames[0].mean(axis=(0, 1)) - (100, 0, 0)).max() < 6  # the middle frame
    red, green, blue = flows[0].mean(axis=(0, 1))
    assert red > 240 and green < 20 and blue < 20  # motion to the right


def test_training_curves_and_table(page: Page) -> None:
    text = page.text("training")
    assert "Spatial stream 50 0.500 80.0% 0.05 → 0.05 50.0 s 4.1%" in text
    assert "Temporal stream 50 0.500 80.0% 0.05 → 0.05 50.0 s 4.0%" in text  # from the log
    lines = [a for tag, a in page.tags if tag == "polyline" and a["class"] == "raw spatial"]
    assert len(lines) == 2
    # loss 2.0 at step 10 of 50 under a top of 2.0: a fifth of the way, at the very top
    assert lines[0]["points"].startswith("20.00,0.00 40.00,25.00")


def test_settings_versions_notes_and_unreadable_are_shown(page: Page) -> None:
    assert "class wave has a single test clip" in page.text("notes")
    settings = page.text("settings")
    for said in ("twostream train clips/ --out RUN", "seed 7", "torch 2.9.0", "length 4"):
        assert said in settings, said
    assert "extract 20.0 s train 50.0 s evaluate 2.2 min" in settings
    unreadable = page.text("unreadable")
    assert "clip9.avi moov atom not found test: counted as wrong" in unreadable
    assert "train99.avi no video stream left out" in unreadable


def test_names_are_shown_as_they_are_and_never_obeyed(run: Path) -> None:
    labels = [i % len(NASTY) for i in range(12)]
    ids = [f"{NASTY[k]}/v_{i}_\udcff\x01.avi" for i, k in enumerate(labels)]
    bad = {ids[0]: '<b onclick="x()">cut off</b>'}
    wrong = [(k + 1) % len(NASTY) for k in labels]
    shutil.rmtree(run / "scores")
    parts = [
        scores(labels, predicted, NASTY, stream, ids=ids, unreadable=bad)
        for stream, predicted in (("spatial", labels), ("temporal", wrong))
    ]
    write_scores(run, *parts, fuse(parts))
    settings = json.loads((run / "settings.json").read_text())
    settings |= {"dataset": "<i>data</i>", "split": NASTY[0], "notes": list(NASTY), "command": "&"}
    (run / "settings.json").write_text(json.dumps(settings))
    page = read(run)
    for section in ("classes", "confusion", "clips", "notes"):
        for label in NASTY:
            assert label in page.text(section), (section, label)
    assert bad[ids[0]] in page.text("unreadable")
    assert "<i>data</i>" in page.text("h1")
    assert "�" in page.text("clips")


def test_many_classes_get_a_map_of_small_cells(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = [f"Class{i:03d}<&>" for i in range(101)]
    labels = np.arange(1010) % 101
    parts = []
    for stream, share in (("spatial", 0.6), ("temporal", 0.7)):
        wrong = rng.random(1010) > share
        predicted = np.where(wrong, rng.integers(101, size=1010), labels)
        parts.append(scores(labels, predicted, classes, stream))
    write_scores(tmp_path, *parts, fuse(parts))
    page = read(tmp_path)
    titles = page.text("panel-spatial", "confusion-map", "rect")
    counts = confusion(parts[0])
    assert titles.count(" of 10 (") == np.count_nonzero(counts)
    assert f"Class000<&> recognised: {counts[0, 0]} of 10" in titles
    labelled = page.text("panel-spatial", "confusion-map", "text")
    assert all(labelled.count(label) >= 2 for label in classes)
    assert "71 classes between" in page.text("classes")
    shown = page.text("classes")
    assert all(label in shown for label in classes)
    assert len(page.source) < 2_000_000


@pytest.mark.parametrize(
    ("gone", "section", "reason"),
    [
        ("settings.json", "settings", "settings.json is missing or cannot be read"),
        ("results.json", "unreadable", "clip9.avi"),
        ("logs", "training", "there are no training logs"),
        ("flow", "clips", "the store of frames and flow is not at"),
        ("scores/spatial-train.npz", "accuracy", "temporal stream 87.5% → 70.0%"),
        ("scores/temporal-test.npz", "fusion", "needs the scores of both streams"),
        ("scores/svm-test.npz", "accuracy", "80.0%"),
        ("scores/average-test.npz", "clips", "By the SVM"),
    ],
)
def test_missing_parts_are_left_out_with_a_reason(
    run: Path, gone: str, section: str, reason: str
) -> None:
    path = run / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert reason in read(run).text(section)


def test_a_learnt_fusion_is_what_the_report_is_about(run: Path) -> None:
    before = read(run)
    assert "predict answers with the average" in before.text("fusion")
    assert before.text("reliabilities", "h3") == "Spatial stream Temporal stream Average"
    streams = [load_scores(run / "scores" / f"{s}-test.npz") for s in ("spatial", "temporal")]
    fusion = LogLinear(CLASSES, ("spatial", "temporal"), (0.5, 1.05), (0.8, 2.0), 30, 1.25, 0.75)
    write_fusion(run, fusion)
    write_scores(run, pooled(streams, fusion))
    page = read(run)
    said = page.text("fusion")
    assert "the temporal stream counts 2.1 times as much as the spatial (spatial 0.50," in said
    assert "Learnt from 30 clips" in said and "fell from 1.25 (average) to 0.75 nats" in said
    assert "By the fused scores" in page.text("clips")
    assert "Fused" in page.text("classes", "legend").title()
    assert page.text("verdict").startswith("The two streams together, fused as learnt, recognise 8")
    assert "fused" in page.text("accuracy") and "over-fitting" in page.text("accuracy").lower()
    # an error of the streams before and after their temperature: the scores are (.9, .0333 x 3)
    raw = np.array([0.9, *[0.1 / 3] * 3], np.float32)
    assert fusion.calibrated("temporal", raw).max() == pytest.approx(0.81 / (0.81 + 0.01 / 3))
    rows = {row[0]: row[1:] for row in table(page, "calibration")}
    assert rows["Average"][-1] == DASH and rows["Temporal stream"][0] != rows["Temporal stream"][-1]
    wanted = calibration(streams[1])
    assert wanted is not None and rows["Temporal stream"][-1] == f"{wanted.error:.3f}"
    assert "SVM" not in rows and "gives no probabilities" in page.text("calibration")
    (run / "fusion.json").write_text("{")
    assert "fusion.json cannot be read" in read(run).text("notes")
    (run / "fusion.json").unlink()  # predict answers with the average, whatever was scored before
    assert read(run).text("verdict").startswith("The two streams together, averaged, recognise")


def table(page: Page, section: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    rows: list[list[str]] = []
    for stack, data in page.texts:
        tags = [tag for tag, _ in stack]
        if any(attrs.get("id") == section for _, attrs in stack) and "tbody" in tags:
            if stack[-1][0] == "th":
                rows.append([data.strip()])
            elif stack[-1][0] == "td":
                rows[-1].append(data.strip())
    return rows


def test_one_stream_and_nothing_else(tmp_path: Path) -> None:
    write_scores(tmp_path, scores(LABELS, TEMPORAL, CLASSES, "temporal"))
    page = read(tmp_path)
    assert page.text("verdict").startswith("The temporal stream alone recognises 7 of 10 clips")
    assert "Only one stream was trained" in page.text("second")
    assert page.text("h1") == tmp_path.name
    for section, count in (("accuracy", 1), ("fusion", 1), ("training", 1), ("filters", 2)):
        assert page.text(section).count("Left out:") == count, section
    assert "Hardest classes first" in page.text("main")


def luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_numbers_in_confusion_cells_can_be_read_on_every_colour() -> None:
    light, dark = (
        dict(re.findall(r"--([\w-]+):([^;}]+)", block))
        for block in re.findall(r":root\{([^}]*)\}", STYLE)[:2]
    )

    def colour(text: str) -> np.ndarray:
        if text.startswith("#"):
            digits = text[1:] if len(text) == 7 else "".join(2 * c for c in text[1:])
            return np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        return np.array([int(part) for part in text.split()]) / 255

    for theme in (light, dark):
        for kind in ("hit", "miss"):
            for count in range(1, 101):
                strength = 0.14 + 0.86 * count / 100
                letters = theme["strong"] if strength >= 0.66 else theme["weak"]
                if kind == "hit" and strength >= 0.85:
                    letters = theme["full"]
                cell = colour(theme["bg"]) * (1 - strength) + colour(theme[kind]) * strength
                pair = sorted((luminance(cell), luminance(colour(letters))))
                contrast = (pair[1] + 0.05) / (pair[0] + 0.05)
                assert contrast >= 4.5, (kind, count, contrast, theme["bg"])
