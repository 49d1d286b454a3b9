"""A last layer that starts as a linear probe: what it is, of what it sees, and what it costs."""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from twostream.checkpoint import StreamModel, load_model
from twostream.initialise import untrained_model
from twostream.models import classifier
from twostream.scoring import scored_crops
from twostream.store.clips import ClipCache


def test_a_linear_probe_is_logistic_regression_on_the_features_as_they_are() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from twostream.training.linear_start import STRENGTH, fitted_probe

    generator = np.random.default_rng(0)
    for classes in (2, 4):
        labels = np.arange(80) % classes
        features = generator.normal(size=(80, 6)) * 5 + 3
        features[:, 1] += 4 * labels
        features[:, 5] = 7.0  # says nothing, and has no deviation to divide by
        weight, bias = fitted_probe(features, labels)
        wanted = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=2000))
        logits = torch.as_tensor(features @ weight.T + bias)
        expected = wanted.fit(features, labels).predict_proba(features)
        assert np.allclose(logits.softmax(1).numpy(), expected, atol=1e-3)
        assert (expected.argmax(1) == labels).mean() > 0.5


def test_the_last_layer_starts_as_a_probe_of_what_it_sees(tiny_run: Path, tiny_data: Path) -> None:
    """Features by hand, from the stored frames: the means over frames and mirror images."""
    from twostream.datasets import load_dataset
    from twostream.store.flow_store import FlowStore
    from twostream.training.linear_start import SHARE, fitted_probe, start_as_probe

    split = load_dataset(tiny_data).split(1)
    clips = ClipCache(FlowStore.open(tiny_run / "flow"), ("rgb",))
    model = load_model(tiny_run / "spatial.safetensors")
    last = classifier(model.network)
    bare = deepcopy(model.network)
    name = next(name for name, layer in bare.named_modules() if layer is classifier(bare))
    bare.set_submodule(name, nn.Identity())
    rows = []
    for video in split.train:
        stacks, counts = clips[video.video_id].samples(None, 3)
        crops, shares = scored_crops(model.spec, torch.from_numpy(stacks))
        with torch.inference_mode():
            seen = bare(model.channels(crops.flatten(0, 1))).unflatten(0, crops.shape[:2])
        mean = (seen * shares[:, None]).sum(1)
        rows.append(counts @ mean.numpy() / counts.sum())
    labels = np.array([video.label for video in split.train])
    weight, bias = fitted_probe(np.array(rows, np.float64), labels)
    start_as_probe(model, split.train, clips)
    assert np.allclose(last.weight.detach(), SHARE * weight, rtol=0.01, atol=1e-3)
    assert np.allclose(last.bias.detach(), SHARE * bias, rtol=0.01, atol=1e-2)


def test_a_damaged_clip_is_named_and_costs_the_probe_itself_alone(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from twostream.training.linear_start import start_as_probe
    from twostream.types import LabeledVideo, StoreError

    class Stored:
        def __getitem__(self, video_id: str) -> Any:
            if video_id == "5":
                raise StoreError("5.clip: is damaged")
            rng = np.random.default_rng(int(video_id))
            return SimpleNamespace(
                samples=lambda *_: (rng.random(shape, np.float32), np.ones(1, np.float32))
            )

    def moved(model: StreamModel, *_: Any) -> StreamModel:
        assert not torch.is_inference_mode_enabled()  # on a GPU it could not be trained any more
        return model

    for move in ("to", "cpu"):
        monkeypatch.setattr(StreamModel, move, moved)
    shape = (1, 1, 3, 64, 64)
    videos = [LabeledVideo(f"{i}", Path(f"{i}.mp4"), i % 2) for i in range(6)]
    starts = []
    for some in (videos, videos[:5]):
        model = untrained_model("spatial", ("a", "b"))
        start_as_probe(model, some, Stored())  # type: ignore[arg-type]
        starts.append(classifier(model.network).weight.detach())
    assert torch.equal(*starts)
    assert [line for line in said if "5.clip" in line] == [
        "5.clip: is damaged; the last layer starts without it"
    ]


@pytest.mark.gpu
def test_a_net_that_was_probed_on_a_gpu_can_be_trained() -> None:
    from twostream.training.linear_start import start_as_probe
    from twostream.types import LabeledVideo

    looks = np.random.default_rng(0).random((2, 1, 3, 64, 64), np.float32)
    stored = defaultdict(lambda: SimpleNamespace(samples=lambda *_: (looks, np.ones(2))))
    videos = [LabeledVideo(f"{i}", Path(f"{i}.mp4"), i % 2) for i in range(6)]
    model = untrained_model("spatial", ("a", "b"))
    start_as_probe(model, videos, stored, device="cuda")  # type: ignore[arg-type]
    model.cuda()(torch.rand(2, 1, 3, 64, 64, device="cuda")).sum().backward()
    assert not any(parameter.is_inference() for parameter in model.parameters())
