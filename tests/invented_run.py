"""A RUN folder with invented scores, and a strict reader of its report."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import torch

from twostream.checkpoint import StreamModel, save_model
from twostream.fusion import fuse
from twostream.recipes import QUICK
from twostream.report import write_report
from twostream.scoring import save_scores
from twostream.store.flow_store import ClipHeader, FlowStore, StoreSettings
from twostream.types import TemporalInput, VideoScores
from untrained import make_spec

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
    look = {"mean": (0.5,) * colours, "std": (0.2,) * colours}
    return StreamModel(
        make_spec(
            temporal,
            stream=stream,
            architecture="squeezenet1_0",
            classes=tuple(classes),
            test_positions=25,
            **look,
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


def write_store(root: Path, ids: Sequence[str], source_hash: str = "") -> None:
    """Clips of 5 frames that turn from black to red; everything moves 3 px to the right."""
    store = FlowStore.create(root, StoreSettings(short_side=None, codec="lossless"))
    for video_id in ids:
        common: dict = {"video_id": video_id, "height": 24, "width": 32, "fps": 25.0}
        common["source_hash"] = source_hash
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


def write_run(run: Path) -> Path:
    """Write a RUN folder with everything in it; tests that change it take a copy."""
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


def copy_run(complete: Path, to: Path) -> Path:
    """Copy a RUN folder without the models, which take a second to read."""
    ignored = shutil.ignore_patterns("*.safetensors", "report.html")
    copy = Path(shutil.copytree(complete, to, ignore=ignored))
    settings = json.loads((copy / "settings.json").read_text())
    settings["store"]["root"] = str(copy / "flow")
    (copy / "settings.json").write_text(json.dumps(settings))
    return copy


def read(run: Path) -> Page:
    page = Page(write_report(run))
    page.check_self_contained()
    return page
