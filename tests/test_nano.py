"""examples/nano.py is the recipe ``quick`` on one page: same seed, same batches, same scores."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from twostream import evaluate, fuse, load_dataset, train
from twostream.recipes import QUICK, make_recipe
from twostream.training import TrainerOptions
from twostream.types import Stream

ROOT = Path(__file__).resolve().parents[1]
NANO = ROOT / "examples" / "nano.py"
# past the warm-up, so that both parts of the schedule count
STEPS, WARMUP, POSITIONS, SEED = 12, 4, 5, 3


@pytest.fixture
def nano() -> Iterator[ModuleType]:
    # in sums over several threads the last bits depend on the machine, and training makes them grow
    threads = cv2.getNumThreads(), torch.get_num_threads()
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("nano", NANO)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    cv2.setNumThreads(threads[0])
    torch.set_num_threads(threads[1])


def test_its_scores_are_the_packages(
    nano: ModuleType, tiny_data: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nano, "WARMUP", WARMUP)
    monkeypatch.setattr(nano, "POSITIONS", POSITIONS)
    ours = nano.main(tiny_data, steps=STEPS, seed=SEED)

    split, store = load_dataset(tiny_data).split(1), tiny_run / "flow"
    cpu = TrainerOptions(accelerator="cpu")
    scores = []
    streams: tuple[Stream, ...] = ("spatial", "temporal")
    for stream in streams:
        model = train(
            split,
            recipe="quick",
            stream=stream,
            store=store,
            seed=SEED,
            options=cpu,
            steps=STEPS,
            warmup_steps=WARMUP,
            test_positions=POSITIONS,
        )
        scores.append(evaluate(model, split, store=store))
    fused = fuse(scores)

    for name, theirs in zip(("spatial", "temporal", "fused"), [*scores, fused], strict=True):
        np.testing.assert_allclose(ours[name], theirs.scores, rtol=0, atol=1e-5, err_msg=name)


def test_its_recipe_is_quick(nano: ModuleType) -> None:
    constants = {
        "SHORT_SIDE": QUICK.short_side,
        "CROP": QUICK.crop_size,
        "BATCH": QUICK.batch_size,
        "STEPS": QUICK.steps,
        "RATE": QUICK.learning_rate,
        "WARMUP": QUICK.warmup_steps,
        "MOMENTUM": QUICK.momentum,
        "WEIGHT_DECAY": QUICK.weight_decay,
        "CLIP_NORM": QUICK.gradient_clip,
        "DROPOUT": QUICK.dropout,
        "POSITIONS": QUICK.test_positions,
    }
    assert {name: getattr(nano, name) for name in constants} == constants
    for steps in (150, QUICK.steps):
        recipe = make_recipe("quick", steps=steps)
        for step in range(steps):
            assert nano.learning_rate(step, steps) == pytest.approx(recipe.learning_rate_at(step))


def test_it_reads_larger_and_shorter_clips_as_the_package_does(
    nano: ModuleType, tmp_path: Path
) -> None:
    from twostream.extraction import extract_to_memory
    from twostream.store.clip_readers import ClipReader
    from twostream.store.clips import Clip
    from twostream.store.flow_store import StoreSettings
    from twostream.types import TemporalInput
    from twostream.video import VideoWriter

    path = tmp_path / "clip.avi"
    grain = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    picture = cv2.GaussianBlur(grain, (9, 9), 3)
    with VideoWriter(path, fps=25, width=128, height=96) as writer:
        for shift in range(6):
            writer.write(np.ascontiguousarray(picture[:, 2 * shift : 2 * shift + 128]))
    files = extract_to_memory(path, StoreSettings(flow="dis", short_side=QUICK.short_side))
    theirs = Clip({kind: ClipReader(file, keep=True) for kind, file in files.items()})
    ours = nano.read_clip(path)
    for stream, temporal in (("spatial", None), ("temporal", TemporalInput())):
        last = theirs.num_positions(temporal) - 1
        assert nano.num_positions(ours, stream) == last + 1
        stack = theirs.stack(temporal, last)
        assert stack.shape[2:] == (64, 85)
        np.testing.assert_allclose(nano.stack(ours, stream, last), stack, rtol=0, atol=1e-6)


def test_it_stands_alone_on_one_page() -> None:
    text = NANO.read_text()
    assert len(text.splitlines()) <= 400
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"av", "cv2", "numpy", "torch"}


def test_its_headings_point_to_what_is_there() -> None:
    headings = re.findall(r"^# --- .*", NANO.read_text(), re.MULTILINE)
    named = [name for line in headings for name in re.findall(r"[\w/]+(?:\.py|/)", line)]
    assert len(named) > 10
    missing = [name for name in named if not (ROOT / "src" / "twostream" / name).exists()]
    assert not missing
