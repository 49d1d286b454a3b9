"""Training: a resumed run equals an uninterrupted one, several devices equal one, and it learns."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from twostream.checkpoint import StreamModel, load_model, save_model
from twostream.datasets import load_dataset
from twostream.loader import TrainingBatches
from twostream.models import classifier, read_weights
from twostream.recipes import QUICK
from twostream.scoring import score_stacks
from twostream.store.clips import ClipCache
from twostream.store.flow_store import FlowStore
from twostream.training import TrainerOptions, fit, last_checkpoint
from twostream.training.checkpoints import WholeCheckpoints
from twostream.training.stream_training import StreamTraining
from twostream.types import ModelError, TemporalInput, UsageError
from untrained import make_spec

CPU = TrainerOptions(accelerator="cpu")
STEPS = 20


@pytest.fixture(scope="module")
def clips(tiny_run: Path) -> ClipCache:
    return ClipCache(FlowStore.open(tiny_run / "flow"), ("rgb", "forward"))


@pytest.fixture
def data(tiny_data: Path, clips: ClipCache) -> TrainingBatches:
    return TrainingBatches(
        clips=clips,
        videos=load_dataset(tiny_data).split(1).train,
        temporal=TemporalInput(length=3),
        seed=5,
        steps=STEPS,
        batch_size=8,
        crop_size=48,
        flips=True,
        lighting=0.1,
    )


def new_model(architecture: str = "small-bn", dropout: float = 0.2) -> StreamModel:
    torch.manual_seed(0)
    spec = make_spec(
        TemporalInput(length=3),
        architecture=architecture,
        classes=tuple("abcdefghijklmn"),
        crop_size=48,
        std=(0.5,),
        dropout=dropout,
    )
    return StreamModel(spec)


RECIPE = replace(QUICK, steps=STEPS, warmup_steps=2, batch_size=8, crop_size=48)


class KilledError(Exception):
    pass


def kill(*told: object) -> None:
    """Take the first news, after step 10, as a process that is killed does."""
    raise KilledError


def weights(model: StreamModel) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in model.network.state_dict().values()])


def test_a_resumed_run_equals_an_uninterrupted_one(data: TrainingBatches, tmp_path: Path) -> None:
    whole = fit(new_model(), data, RECIPE, options=CPU, logs=tmp_path / "logs" / "whole")
    folder = tmp_path / "checkpoints"
    with pytest.raises(KilledError):
        fit(new_model(), data, RECIPE, options=CPU, checkpoints=folder, progress=kill)
    checkpoint = last_checkpoint(folder)
    assert checkpoint is not None and 0 < int(checkpoint.stem.split("=")[1]) < STEPS
    logs = tmp_path / "logs" / "resumed"
    resumed = fit(new_model(), data, RECIPE, options=CPU, checkpoints=folder, logs=logs)
    assert torch.equal(weights(whole), weights(resumed))
    histories = [
        json.loads((tmp_path / "logs" / name / "history.json").read_text())["history"]
        for name in ("whole", "resumed")
    ]
    assert histories[0] == histories[1] and [row["step"] for row in histories[1]] == [10, 20]
    assert [path.name for path in folder.iterdir()] == [f"step={STEPS}.ckpt"]
    assert list(logs.glob("events.out*")) and not list(logs.glob("hparams*"))
    (logs / "history.json").unlink()  # as after a kill between the last checkpoint and this file
    ended = fit(new_model(), data, RECIPE, options=CPU, checkpoints=folder, logs=logs)
    assert torch.equal(weights(whole), weights(ended))
    assert json.loads((logs / "history.json").read_text())["history"] == histories[1]


def test_a_truncated_checkpoint_is_named_and_training_goes_back(
    data: TrainingBatches, tmp_path: Path, said: list[str]
) -> None:
    folder = tmp_path / "checkpoints"
    with pytest.raises(KilledError):
        fit(new_model(), data, RECIPE, options=CPU, checkpoints=folder, progress=kill)
    older = last_checkpoint(folder)
    assert older is not None
    newer = folder / "step=12.ckpt"  # where this training would write one itself
    newer.write_bytes(older.read_bytes()[: older.stat().st_size // 2])
    assert last_checkpoint(folder) == older
    assert len(said) == 1 and str(newer) in said[0] and "is damaged" in said[0]
    older.unlink()
    whole = fit(new_model(), data, RECIPE, options=CPU)
    again = fit(new_model(), data, RECIPE, options=CPU, checkpoints=folder)
    assert torch.equal(weights(whole), weights(again))
    assert len(said) == 2
    assert [path.name for path in folder.iterdir()] == ["step=20.ckpt"]


def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "step=4.ckpt"
    WholeCheckpoints().save_checkpoint({"step": 4}, path)

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        WholeCheckpoints().save_checkpoint({"step": 5}, path)
    assert torch.load(path) == {"step": 4}
    assert [each.name for each in tmp_path.iterdir()] == ["step=4.ckpt"]


@pytest.mark.parametrize(
    ("loader_workers", "number"),
    [
        (0, signal.SIGINT),
        pytest.param(1, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(0, signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(1, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_in_training_is_one_sentence(
    loader_workers: int, number: signal.Signals, few_data: Path, tmp_path: Path
) -> None:
    options = "--recipe quick --steps 1000 --batch-size 8 --stream spatial --accelerator cpu"
    options += " --loader-workers"
    out = tmp_path / "run"
    command = [sys.executable, "-m", "twostream", "train", str(few_data), "--out", str(out)]
    # a process group of its own, as a shell makes one: Ctrl-C reaches all processes in it
    started = subprocess.Popen(
        [*command, *options.split(), str(loader_workers)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            if list(out.glob("checkpoints/spatial/step=*.ckpt")) or started.poll() is not None:
                break
            time.sleep(0.1)
        os.killpg(started.pid, number)
        _, said = started.communicate(timeout=60)
    finally:
        if started.poll() is None:
            started.kill()
    assert started.returncode == 128 + number, said
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("twostream: stopped;")
    assert "--resume" in said.splitlines()[-1]
    assert last_checkpoint(out / "checkpoints" / "spatial") is not None


def test_what_a_training_kept_in_memory_is_let_go(data: TrainingBatches, tmp_path: Path) -> None:
    """Else gigabytes of clips lie beside those of the next net, until Python looks for cycles."""
    kept = replace(data, clips=ClipCache(data.clips.store, ("rgb", "forward")), steps=3)
    cache = weakref.ref(kept.clips)
    gc.disable()
    try:
        fit(new_model(), kept, RECIPE, options=CPU, checkpoints=tmp_path / "checkpoints")
        del kept
        assert cache() is None
    finally:
        gc.enable()


def test_another_seed_trains_another_net(data: TrainingBatches) -> None:
    first = fit(new_model(), data, RECIPE, options=CPU)
    other = fit(new_model(), replace(data, seed=6), RECIPE, options=CPU)
    assert not torch.equal(weights(first), weights(other))


def test_last_layer_training_leaves_all_else_as_it_was(data: TrainingBatches) -> None:
    before, after = new_model(), new_model()
    fit(after, data, RECIPE, train="last-layer", options=CPU)
    last = {f"classifier.{name}" for name, _ in classifier(after.network).named_parameters()}
    for name, value in after.network.state_dict().items():
        same = torch.equal(value, before.network.state_dict()[name])
        assert same == (name not in last), name


def test_training_lowers_the_loss(data: TrainingBatches, tmp_path: Path) -> None:
    longer = replace(data, steps=60)
    recipe = replace(RECIPE, steps=60, learning_rate=0.02)
    fit(new_model(dropout=0.0), longer, recipe, options=CPU, logs=tmp_path / "logs")
    history = json.loads((tmp_path / "logs" / "history.json").read_text())["history"]
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]
    rates = [row["learning_rate"] for row in history]
    assert rates == [recipe.learning_rate_at(row["step"] - 1) for row in history]
    assert list((tmp_path / "logs").glob("events.out.tfevents.*"))  # TensorBoard


@pytest.mark.parametrize(("shares", "ends_at"), [((0.9,), 10), ((0.7, 0.9), 20), ((0.7, 0.7), 40)])
def test_training_begins_again_until_it_knows_its_clips(
    data: TrainingBatches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
    shares: tuple[float, ...],
    ends_at: int,
) -> None:
    found = {10 * 2**n: share for n, share in enumerate(shares)}
    monkeypatch.setattr(StreamTraining, "learnt", lambda self: found.get(self.global_step, 1))
    recipe, longest = replace(RECIPE, steps=10, most_steps=40), replace(data, steps=40)
    logs, kept, steps = tmp_path / "logs", tmp_path / "kept", []

    def told(task: str, step: int, of: int, detail: str = "") -> None:
        steps.append((step, of))

    model = fit(
        new_model(), longest, recipe, options=CPU, logs=logs, checkpoints=kept, progress=told
    )
    history = json.loads((logs / "history.json").read_text())["history"]
    assert history[-1]["step"] == ends_at
    assert steps == [
        step for step in ((10, 10), (20, 20), (30, 40), (40, 40)) if step[0] <= ends_at
    ]
    rates = [row["learning_rate"] for row in history]
    assert rates == [recipe.learning_rate_at(row["step"] - 1) for row in history]
    assert len([text for text in said if "70% of training samples" in text]) == shares.count(0.7)
    again = fit(new_model(), longest, recipe, options=CPU, logs=logs, checkpoints=kept)
    assert json.loads((logs / "history.json").read_text())["history"] == history
    assert torch.equal(weights(model), weights(again))


@pytest.mark.parametrize("most", [None, 40])
def test_only_who_may_be_trained_on_ends_early(
    data: TrainingBatches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    monkeypatch.setattr(StreamTraining, "learnt", lambda self: 0.9)
    recipe = replace(RECIPE, steps=10, most_steps=most)
    fit(new_model(), replace(data, steps=40), recipe, options=CPU, logs=tmp_path / "logs")
    history = json.loads((tmp_path / "logs" / "history.json").read_text())["history"]
    assert history[-1]["step"] == (10 if most else 40)


def test_what_is_learnt_is_of_the_last_tenth(
    data: TrainingBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = StreamTraining(new_model(), replace(data, steps=200), replace(RECIPE, steps=200))
    training.history = [{"step": step, "accuracy": step / 200} for step in range(10, 201, 10)]
    monkeypatch.setattr(StreamTraining, "global_step", 200)
    assert training.learnt() == pytest.approx((190 / 200 + 1) / 2)
    training.history.append({"step": 201, "accuracy": 0.0})  # one step beside ten
    monkeypatch.setattr(StreamTraining, "global_step", 201)
    assert training.learnt() == pytest.approx((10 * 190 / 200 + 10) / 21)


@pytest.mark.slow
def test_two_devices_equal_one(data: TrainingBatches) -> None:
    """Without batch statistics and dropout, two processes take the same steps as one."""
    short = replace(data, steps=3)
    recipe = replace(RECIPE, steps=3, gradient_clip=None)
    one = fit(new_model("cnn-m-2048", dropout=0.0), short, recipe, options=CPU)
    start = weights(new_model("cnn-m-2048", dropout=0.0))
    two = fit(new_model("cnn-m-2048", dropout=0.0), short, recipe, options=replace(CPU, devices=2))
    moved = (weights(one) - start).norm()
    assert moved > 0
    assert (weights(one) - weights(two)).norm() < 0.01 * moved


def test_a_batch_that_does_not_split_is_refused(data: TrainingBatches) -> None:
    with pytest.raises(UsageError, match="cannot be split over 2 devices"):
        fit(new_model(), replace(data, batch_size=7), RECIPE, options=replace(CPU, devices=2))


def test_wrong_options_are_usage_errors(data: TrainingBatches) -> None:
    wrong = [TrainerOptions(precision="3-bit"), TrainerOptions(accelerator="abacus")]
    if not torch.cuda.is_available():
        wrong.append(TrainerOptions(accelerator="gpu"))
    for options in wrong:
        with pytest.raises(UsageError, match="does not take these options"):
            options.check()
        with pytest.raises(UsageError, match="does not take these options"):
            fit(new_model(), data, RECIPE, options=options)


def test_a_training_that_diverges_ends_at_once_and_keeps_what_was(
    data: TrainingBatches, tmp_path: Path
) -> None:
    wild = replace(QUICK, learning_rate=1e30, warmup_steps=0, gradient_clip=None, steps=STEPS)
    kept = tmp_path / "checkpoints"
    fit(new_model(), replace(data, steps=4), QUICK, options=CPU, checkpoints=kept)
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    for recipe in (wild, replace(wild, gradient_clip=5.0)):
        with pytest.raises(ModelError, match=r"temporal net's training diverged: .*learning-rate"):
            fit(new_model(), data, recipe, options=CPU, checkpoints=kept)
        assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    # the last step may spoil the weights without another loss that would tell
    spoilt = new_model()
    training = StreamTraining(spoilt, data, QUICK)
    training.check_weights()
    next(spoilt.network.buffers()).fill_(float("inf"))
    for end in (training.on_fit_end, lambda: training.on_save_checkpoint({})):
        with pytest.raises(ModelError, match="is not finite at step 0 of 20"):
            end()


def test_weights_and_scores_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = new_model()
    file = tmp_path / "net.safetensors"
    save_model(file, model)
    with torch.no_grad():
        classifier(model.network).weight[0, 0] = float("nan")
    stacks = np.zeros((1, 3, 2, 48, 48), np.float32)
    with pytest.raises(ModelError, match="scores are not finite"):
        score_stacks(model.eval(), stacks, np.ones(1, np.float32))
    load_model(file)
    save_model(file, model)
    for read in (load_model, read_weights):
        with pytest.raises(ModelError, match="not finite"):
            read(file)
