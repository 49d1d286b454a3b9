from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from twostream.checkpoint import ModelSpec, StreamModel, save_model
from twostream.fusion import fuse
from twostream.models import first_convolution
from twostream.recipes import QUICK
from twostream.report import confidence_interval, write_report
from twostream.report.clip_pictures import filter_picture
from twostream.report.measures import (
    agreement,
    chance,
    confusion,
    hardest,
    paired_p_value,
    recalls,
    smooth,
    thin_out,
    top_confusions,
)
from twostream.report.wording import DASH
from twostream.scoring import save_scores
from twostream.store.flow_store import ClipHeader, FlowStore, StoreSettings
from twostream.types import LabeledVideo, ModelError, RunError, TemporalInput, VideoScores
from twostream.video import VideoWriter

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
VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """A strict reader: every tag is closed in order, and what the page says can be asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str]]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[list[tuple[str, dict[str, str]]], str]] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        assert len(found) == len(attrs), f"an attribute twice: {attrs}"
        self.tags.append((tag, found))
        if tag not in VOID:
            self.open.append((tag, found))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append((list(self.open), data))

    def text(self, *within: str) -> str:
        """The words shown inside elements with all of these ids, classes or tags."""

        def matches(stack: list[tuple[str, dict[str, str]]], wanted: str) -> bool:
            return any(
                wanted in (tag, attrs.get("id"), *attrs.get("class", "").split())
                for tag, attrs in stack
            )

        parts = [
            data
            for stack, data in self.texts
            if not matches(stack, "style") and all(matches(stack, wanted) for wanted in within)
        ]
        return re.sub(r"\s+", " ", " ".join(parts)).strip()

    def images(self, kind: str) -> list[np.ndarray]:
        """The embedded pictures whose alternative text starts with ``kind``, RGB(A)."""
        found = []
        for tag, attrs in self.tags:
            if tag == "img" and attrs["alt"].startswith(kind):
                data = base64.b64decode(attrs["src"].split(",", 1)[1])
                image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
                assert image is not None
                code = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
                found.append(cv2.cvtColor(image, code))
        return found

    def check_self_contained(self) -> None:
        allowed = {"html", "head", "title", "style", "body"}
        for tag, attrs in self.tags:
            assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}, tag
            for name, value in attrs.items():
                assert not name.startswith("on"), (tag, name)
                if name in {"src", "srcset", "data", "xlink:href"}:
                    assert re.match(r"data:image/(png|jpeg);base64,", value), (tag, value[:60])
                if name == "href":
                    assert value.startswith("#"), (tag, value)
        assert allowed <= {tag for tag, _ in self.tags}
        assert "url(" not in self.source and "@import" not in self.source
        ids = [attrs["id"] for _, attrs in self.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        linked = {attrs["href"][1:] for tag, attrs in self.tags if tag == "a"}
        assert linked <= set(ids)


def scores(
    labels: Sequence[int],
    predicted: Sequence[int],
    classes: Sequence[str],
    stream: str,
    *,
    top: Sequence[float] | float = 0.8,
    ids: Sequence[str] | None = None,
    unreadable: dict[str, str] | None = None,
) -> VideoScores:
    """Scores with the given best class of each video, and how sure it is of it."""
    n, k = len(labels), len(classes)
    best = np.broadcast_to(np.asarray(top, np.float32), n)
    values = np.repeat(((1 - best) / (k - 1))[:, None], k, axis=1)
    values[np.arange(n), list(predicted)] = best
    names = tuple(ids or (f"clip{i}.avi" for i in range(n)))
    for row, name in enumerate(names):
        if name in (unreadable or {}):
            values[row] = 0
    return VideoScores(
        names,
        np.array(labels, np.int64),
        tuple(classes),
        values.astype(np.float32),
        "probabilities",
        stream,
        dict(unreadable or {}),
    )


def tiny_model(
    stream: str, classes: Sequence[str], temporal: TemporalInput | None = None
) -> StreamModel:
    torch.manual_seed(0)
    colours = 3 if temporal is None or temporal.rgb else 1
    return StreamModel(
        ModelSpec(
            stream=stream,  # type: ignore[arg-type]
            architecture="squeezenet1_0",
            classes=tuple(classes),
            temporal=temporal,
            crop_size=32,
            mean=(0.5,) * colours,
            std=(0.2,) * colours,
            dropout=0.0,
            flips=True,
            test_positions=25,
            store={},
            fps=25.0,
        )
    )


def write_scores(run: Path, *parts: VideoScores, subset: str = "test") -> None:
    for part in parts:
        save_scores(run / "scores" / f"{part.stream}-{subset}.npz", part)


def write_history(run: Path, stream: str, losses: Sequence[float]) -> None:
    rows = [
        {"step": 10 * (i + 1), "loss": loss, "accuracy": i / len(losses), "learning_rate": 0.05}
        for i, loss in enumerate(losses)
    ]
    path = run / "logs" / stream / "history.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    summary = {"history": rows, "seconds": 50.0, "loader_wait_seconds": 2.0}
    path.write_text(json.dumps(summary))


def write_store(root: Path, ids: Sequence[str]) -> None:
    """Clips of 5 frames that turn from black to red; everything moves 3 px to the right."""
    store = FlowStore.create(root, StoreSettings(short_side=None, codec="lossless"))
    for video_id in ids:
        common = {"video_id": video_id, "height": 24, "width": 32, "fps": 25.0}
        rgb = store.writer(ClipHeader(kind="rgb", codec="lossless", **common))
        for i in range(5):
            frame = np.zeros((24, 32, 3), np.uint8)
            frame[..., 0] = 50 * i
            rgb.append(frame)
        rgb.close()
        forward = store.writer(ClipHeader(kind="forward", codec="lossless", **common))
        for _ in range(4):
            field = np.zeros((2, 24, 32), np.float32)
            field[0] = 3.0
            forward.append(field)
        forward.close()


LABELS = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
SPATIAL = [0, 0, 0, 1, 2, 2, 2, 0, 0, 3]  # right: 0 1 2, 3, 6, 9
TEMPORAL = [0, 0, 1, 1, 1, 1, 0, 2, 2, 0]  # right: 0 1, 3 4 5, 7 8
CLASSES = ("walk", "run", "jump", "wave")


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN folder with everything in it; tests that change it take a copy."""
    run = tmp_path_factory.mktemp("report") / "RUN"
    bad = {"clip9.avi": "moov atom not found"}
    ids = [f"clip{i}.avi" for i in range(10)]
    # the surer stream is right where only one of them is, but for clip 6
    spatial = scores(
        LABELS,
        SPATIAL,
        CLASSES,
        "spatial",
        unreadable=bad,
        top=[0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.9],
    )
    temporal = scores(
        LABELS,
        TEMPORAL,
        CLASSES,
        "temporal",
        unreadable=bad,
        top=[0.9, 0.9, 0.5, 0.9, 0.9, 0.9, 0.7, 0.9, 0.9, 0.5],
    )
    train_ids = [f"train{i}.avi" for i in range(8)]
    train = [
        scores([0, 1, 2, 3] * 2, [0, 1, 2, 3, 0, 1, 2, miss], CLASSES, stream, ids=train_ids)
        for stream, miss in (("spatial", 3), ("temporal", 0))
    ]
    svm = scores(LABELS, [0, 0, 1, 1, 1, 1, 0, 2, 2, 0], CLASSES, "svm", unreadable=bad)
    svm = replace(svm, scores=svm.scores - 0.5, kind="logits")
    write_scores(run, spatial, temporal, fuse([spatial, temporal]), svm)
    write_scores(run, *train, subset="train")
    for stream in ("spatial", "temporal"):
        write_history(run, stream, [2.0, 1.5, 1.0, 0.7, 0.5])
    temporal_input = TemporalInput(length=4)
    save_model(run / "spatial.safetensors", tiny_model("spatial", CLASSES))
    save_model(run / "temporal.safetensors", tiny_model("temporal", CLASSES, temporal_input))
    write_store(run / "flow", ids[:-1])
    settings = {
        "data": "clips/",
        "dataset": "my clips",
        "split": "split 1",
        "notes": ["class wave has a single test clip"],
        "recipe": asdict(QUICK),
        "store": {"root": str(run / "flow"), "flow": "dis", "short_side": 64},
        "temporal_input": asdict(temporal_input),
        "seed": 7,
        "weights": None,
        "versions": {"twostream": "0.1.0", "torch": "2.9.0"},
        "command": "twostream train clips/ --out RUN",
    }
    results = {
        "train_videos": 8,
        "accuracy": {"spatial": 0.5, "temporal": 0.7},
        "seconds": {"extract": 20.0, "train": 50.0, "evaluate": 130.0},
        "fit_scores": "out-of-fold",
        "unreadable": {"train99.avi": "no video stream", **bad},
        "loader_wait": {"spatial": 0.041},
    }
    (run / "settings.json").write_text(json.dumps(settings))
    (run / "results.json").write_text(json.dumps(results))
    return run


@pytest.fixture
def run(complete: Path, tmp_path: Path) -> Path:
    # without the models, which take a second to read
    ignored = shutil.ignore_patterns("*.safetensors", "report.html")
    copy = Path(shutil.copytree(complete, tmp_path / "RUN", ignore=ignored))
    settings = json.loads((copy / "settings.json").read_text())
    settings["store"]["root"] = str(copy / "flow")
    (copy / "settings.json").write_text(json.dumps(settings))
    return copy


@pytest.fixture(scope="module")
def page(complete: Path) -> Iterator[Page]:
    yield Page(write_report(complete))
    (complete / "report.html").unlink()


def read(run: Path) -> Page:
    page = Page(write_report(run))
    page.check_self_contained()
    return page


# -- statistics ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_published_values(
    correct: int, n: int, low: float, high: float
) -> None:
    found = confidence_interval(correct, n)
    assert found == pytest.approx((low, high), abs=5e-5)
    mirrored = confidence_interval(n - correct, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_interval_at_its_edges() -> None:
    assert confidence_interval(0, 0) == (0.0, 1.0)
    for n in range(1, 60):
        assert confidence_interval(0, n)[0] == 0.0
        assert confidence_interval(n, n)[1] == 1.0
        for correct in range(n + 1):
            low, high = confidence_interval(correct, n)
            assert 0 <= low <= correct / n <= high <= 1
    for correct, n in ((-1, 5), (6, 5)):
        with pytest.raises(ValueError, match=f"got {correct} of {n}"):
            confidence_interval(correct, n)


def test_paired_p_value_is_mcnemars_exact_test() -> None:
    first = np.array([True] * 10 + [False] * 2 + [True] * 30)
    second = np.array([False] * 10 + [True] * 2 + [True] * 30)
    assert paired_p_value(first, second) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert paired_p_value(second, first) == paired_p_value(first, second)
    assert paired_p_value(first, first) == 1.0


def test_confusion_and_recall_count_unreadable_clips_apart() -> None:
    found = scores(
        [0, 0, 1, 1, -1], [0, 1, 1, 1, 0], "abc", "spatial", unreadable={"clip3.avi": "broken"}
    )
    assert confusion(found).tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert recalls(found).tolist()[:2] == [0.5, 0.5]
    assert np.isnan(recalls(found)[2])
    assert chance(found) == 2 / 5


def test_top_confusions_are_the_largest_mistakes() -> None:
    counts = np.array([[5, 3, 0, 2], [1, 9, 0, 0], [0, 0, 0, 0]])
    assert top_confusions(counts) == [(0, 1, 3, 0.3), (1, 0, 1, 0.1)]
    assert top_confusions(counts, at_most=1) == [(0, 1, 3, 0.3)]


def test_agreement_counts_by_stream_and_fusion() -> None:
    spatial = scores(LABELS, SPATIAL, CLASSES, "spatial")
    temporal = scores(LABELS, TEMPORAL, CLASSES, "temporal")
    fused = scores(LABELS, [0, 0, 0, 1, 1, 0, 0, 2, 2, 3], CLASSES, "average")
    found = agreement(spatial, temporal, {"average": fused})
    assert found.clips == {"both": 3, "spatial": 3, "temporal": 4, "neither": 0}
    assert found.fused == {"average": {"both": 3, "spatial": 2, "temporal": 3, "neither": 0}}


def test_hardest_clips_are_wrong_and_sure_first() -> None:
    found = scores(
        [0, 0, 0, 0, -1, 0, 0],
        [1, 1, 0, 0, 1, 1, 0],
        "abc",
        "average",
        top=[0.5, 0.9, 0.6, 0.4, 0.99, 0.95, 0.8],
        unreadable={"clip5.avi": "broken"},
    )
    assert hardest(found, at_most=12, at_least=4) == [1, 0, 3, 2]
    assert hardest(found, at_most=1, at_least=1) == [1]
    nothing = scores([], [], "abc", "average", top=0.5)
    assert hardest(nothing) == []


def test_curves_are_thinned_and_smoothed_without_a_shift() -> None:
    line = thin_out(range(1000), [2.0 * x for x in range(1000)], at_most=100)
    assert len(line) == 100
    assert line[0] == (4.5, 9.0)
    assert smooth(line) == pytest.approx(np.array(line))
    assert thin_out([1, 2, 3], [1.0, float("nan"), 3.0]) == [(1.0, 1.0), (3.0, 3.0)]


# -- the page --------------------------------------------------------------------------------


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


def test_verdict_says_what_is_best_and_how_sure(page: Page) -> None:
    verdict = page.text("verdict")
    assert verdict.startswith("The two streams together, averaged, recognise 8 of 10 clips")
    assert "80.0%" in verdict and "between 49% and 94%" in verdict
    # fused and temporal differ on clip 2 alone
    assert page.text("second") == (
        "Temporal stream alone: 70.0%. A lead of 1 clip that could well be luck "
        "(p = 1, exact McNemar test)."
    )


def test_training_accuracy_stands_beside_test(page: Page) -> None:
    text = page.text("accuracy")
    assert "spatial stream 100.0% → 50.0%; temporal stream 87.5% → 70.0%" in text
    titles = page.text("track-row", "title")
    assert "Spatial stream: 50.0% of 10 clips, 95% interval 23.7% to 76.3%; 100.0% on" in titles


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


# -- what is missing -------------------------------------------------------------------------


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


def test_one_stream_and_nothing_else(tmp_path: Path) -> None:
    write_scores(tmp_path, scores(LABELS, TEMPORAL, CLASSES, "temporal"))
    page = read(tmp_path)
    assert page.text("verdict").startswith("The temporal stream alone recognises 7 of 10 clips")
    assert "Only one stream was trained" in page.text("second")
    assert page.text("h1") == tmp_path.name
    for section, count in (("accuracy", 1), ("fusion", 1), ("training", 1), ("filters", 2)):
        assert page.text(section).count("Left out:") == count, section
    assert "Hardest classes first" in page.text("main")


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
    told: list[tuple[str, int, int, str]] = []
    path = write_report(run, progress=lambda *news: told.append(news))
    assert path == run / "report.html"
    assert [news[1:3] for news in told] == [(i, 8) for i in range(1, 9)]  # 6 clips, 2 streams
    assert (run / "report.html").read_text(encoding="utf-8").endswith("</html>\n")
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    with pytest.raises(RunError, match=r"report\.html cannot be written"):
        write_report(run)
    assert not list(run.glob(".report*"))


# -- pictures --------------------------------------------------------------------------------


def test_pictures_come_from_the_videos_where_the_store_is_gone(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "flow")
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (64, 160, 3), np.uint8), (0, 0), 2)
    path = tmp_path / "clip6.avi"
    with VideoWriter(path, fps=25, width=96, height=64) as writer:
        for i in range(9):
            writer.write(np.ascontiguousarray(texture[:, 40 - 2 * i : 136 - 2 * i]))
    videos = {"clip6.avi": LabeledVideo("clip6.avi", path, 2, "anna")}
    report = write_report(run, videos=videos)
    page = Page(report)
    (frame,) = page.images("frame of")
    (flow,) = page.images("optical flow of")
    assert frame.shape == flow.shape == (64, 96, 3)
    assert np.abs(frame.astype(int) - texture[:, 32:128]).mean() < 12  # the 5th of 9 frames
    red, green, blue = np.median(flow, axis=(0, 1))
    assert red > 200 and green < 120 and blue < 120  # the texture moves to the right
    assert "up to 2." in page.text("clips", "article")
    assert "The test clips come from 1 group (people or takes)" in page.text("accuracy")
    assert "No picture: the store of frames and flow is not at" in page.text("clips")


def test_a_moved_run_finds_its_store(run: Path) -> None:
    settings = json.loads((run / "settings.json").read_text())
    settings["store"]["root"] = "/somewhere/else/flow"
    (run / "settings.json").write_text(json.dumps(settings))
    assert len(read(run).images("frame of")) == 6


def decoded(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.split(",", 1)[1])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA).astype(int)


def test_spatial_filters_are_colour_pictures_largest_first(tmp_path: Path) -> None:
    model = tiny_model("spatial", CLASSES)
    weight = first_convolution(model.network).weight
    with torch.no_grad():
        weight *= 1e-3
        weight[40, 0] = 1.0  # red, and the largest
        weight[40, 1:] = -1.0
        weight[7] = 0.0
        weight[7, 2] = 0.5  # blue
    save_model(tmp_path / "spatial.safetensors", model)
    picture = filter_picture(tmp_path / "spatial.safetensors")
    assert (picture.shown, picture.total, picture.side) == (96, 96, (7, 7))
    image = decoded(picture.images[0][0])
    assert image.shape == (6 * 8 - 1, 16 * 8 - 1, 4)
    assert picture.images[0][1] == 5 * image.shape[1]  # shown with 5 px a weight
    assert image[3, 3].tolist() == [255, 0, 0, 255]
    assert image[3, 8 + 3].tolist() == [128, 128, 255, 255]
    assert image[3, 7, 3] == 0  # between tiles


def test_temporal_filters_are_figure_4_with_their_reading(tmp_path: Path) -> None:
    model = tiny_model("temporal", CLASSES, TemporalInput(length=3))
    weight = first_convolution(model.network).weight
    with torch.no_grad():
        torch.nn.init.normal_(weight, std=1e-3)
        weight[5] = 0.0
        weight[5, [0, 2], :] = torch.tensor([1.0, -1.0]).view(2, 1, 1)  # x, field 1 less field 2
        weight[60] = 0.0
        weight[60, :, :3] = -2.0  # the upper edge less the lower one, in all fields
        weight[60, :, 4:] = 2.0
    save_model(tmp_path / "temporal.safetensors", model)
    picture = filter_picture(tmp_path / "temporal.safetensors")
    assert (picture.shown, picture.total, picture.side) == (96, 96, (7, 7))
    assert picture.reading is not None
    assert picture.reading.kinds[5] == "temporal derivative"
    assert picture.reading.kinds[60] == "spatial derivative"
    assert picture.reading.counts()["neither"] >= 90
    first, second = (decoded(uri) for uri, _ in picture.images)
    assert first.shape == second.shape
    assert [width for _, width in picture.images] == [first.shape[1], second.shape[1]]
    pixel = (first.shape[1] + 2) // 48 // 7  # screen pixels a weight
    tile, column = 7 * pixel + 1, 7 * pixel + 2
    assert first.shape[0] == 6 * tile - 1

    def centre(channel: int, place: int, row: int = 3) -> list[int]:
        return first[channel * tile + row * pixel, place * column + 3 * pixel, :3].tolist()

    # the temporal derivative comes first, though the spatial one is larger
    assert [centre(channel, 0) for channel in range(6)] == [
        *([255] * 3, [128] * 3, [1] * 3),
        *([128] * 3, [128] * 3, [128] * 3),
    ]
    assert all(centre(channel, 1, row=1) == [1] * 3 for channel in range(6))
    assert all(centre(channel, 1, row=5) == [255] * 3 for channel in range(6))


def test_the_report_counts_derivatives(run: Path) -> None:
    model = tiny_model("temporal", CLASSES, TemporalInput(length=4))
    weight = first_convolution(model.network).weight
    with torch.no_grad():
        weight.zero_()
        weight[:7, [0, 2], :] = 1.0
        weight[:7, [4, 6], :] = -1.0
        weight[7:10, :, 0] = 1.0
        weight[7:10, :, 6] = -1.0
        weight[10:40] = 1.0
    save_model(run / "temporal.safetensors", model)
    said = read(run).text("filters")
    assert "temporal derivative 7 weights change over the fields" in said
    assert "spatial derivative 3 weights change inside" in said
    assert "both 0 the two" in said
    assert "neither 86 averages" in said
    # of the 40 filters that are not zero; in brackets 3, 48, 144 and 1 of 4 * 7 * 7 numbers
    assert "17.5% (1.5%) changes over time alone, 7.5% (24.5%) in space alone" in said
    assert "0.0% (73.5%) in both at once, 75.0% (0.5%) is one weight everywhere" in said


def test_backward_fields_are_read_with_the_opposite_sign(tmp_path: Path) -> None:
    readings = []
    for bidirectional in (False, True):
        temporal = TemporalInput(length=4, bidirectional=bidirectional)
        model = tiny_model("temporal", CLASSES, temporal)
        with torch.no_grad():
            weight = first_convolution(model.network).weight
            weight[:, :4] = 1.0
            weight[:, 4:] = -1.0
        save_model(tmp_path / "temporal.safetensors", model)
        reading = filter_picture(tmp_path / "temporal.safetensors").reading
        assert reading is not None
        readings.append(reading.counts())
    assert readings[0]["temporal derivative"] == readings[1]["neither"] == 96


def test_diverged_filters_are_said_in_one_sentence(run: Path) -> None:
    model = tiny_model("temporal", CLASSES, TemporalInput(length=4))
    with torch.no_grad():
        first_convolution(model.network).weight[3] = torch.nan
    save_model(run / "temporal.safetensors", model)
    assert "not finite: training diverged" in read(run).text("filters")


def test_rgb_stacks_have_a_row_a_filter_and_a_column_a_frame(tmp_path: Path) -> None:
    model = tiny_model("temporal", CLASSES, TemporalInput(length=4, rgb=True))
    with torch.no_grad():
        weight = first_convolution(model.network).weight
        weight *= 1e-3
        weight[5, 3 * 2] = 1.0  # red of the third frame
    save_model(tmp_path / "temporal.safetensors", model)
    picture = filter_picture(tmp_path / "temporal.safetensors")
    assert picture.columns == "rows: filters; columns: the 4 frames in order"
    image = decoded(picture.images[0][0])
    row = [image[3, 8 * column + 3, :3].tolist() for column in range(4)]
    assert row[2][0] == 255
    assert all(abs(value - 128) < 5 for value in row[2][1:])
    assert all(abs(value - 128) < 5 for i in (0, 1, 3) for value in row[i])


def test_slow_fusions_filters_have_a_column_a_frame_that_they_span(tmp_path: Path) -> None:
    small = tiny_model("temporal", CLASSES, TemporalInput(length=11, rgb=True))
    model = StreamModel(replace(small.spec, architecture="slow-fusion-small"))
    with torch.no_grad():
        weight = first_convolution(model.network).weight  # 24, 3, 5, 5, 5
        weight *= 1e-3
        weight[9, 2, 4] = 1.0  # blue of the last of five frames
    save_model(tmp_path / "temporal.safetensors", model)
    picture = filter_picture(tmp_path / "temporal.safetensors")
    assert (picture.shown, picture.side) == (24, (5, 5))
    assert "the 5 frames that a filter spans in order" in picture.columns
    image = decoded(picture.images[0][0])
    assert image.shape == (24 * 6 - 1, 5 * 6 - 1, 4)
    row = [image[2, 6 * column + 2, :3].tolist() for column in range(5)]
    assert row[4] == [128, 128, 255]
    assert all(abs(value - 128) < 5 for i in range(4) for value in row[i])


def test_a_file_without_filters_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model file"):
        filter_picture(tmp_path / "spatial.safetensors")


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
