"""RAFT: the contract with random weights, the sentence without any, and never another's weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import optical_flow

from twostream.__main__ import run
from twostream.extraction import extract_to_memory
from twostream.flow import FlowEstimator, find_estimator, make_estimator
from twostream.store.flow_store import StoreSettings
from twostream.types import ModelError, UsageError
from twostream.video import VideoWriter

NAMES = ("raft-small", "raft-large")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of random weights, one for each size."""
    folder = tmp_path_factory.mktemp("raft")
    found = {}
    for name in NAMES:
        torch.manual_seed(1)
        net = getattr(optical_flow, name.replace("-", "_"))(weights=None)
        found[name] = str(folder / f"{name}.pth")
        torch.save(net.state_dict(), found[name])
    return found


@pytest.fixture(autouse=True)
def no_weights_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in NAMES:
        monkeypatch.delenv(find_estimator(name).variable(), raising=False)


def quick(name: str, weights: dict[str, str]) -> FlowEstimator:
    return make_estimator(name, num_flow_updates=1, weights=weights[name])


def noise(*size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (2, *size), np.uint8)


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    @pytest.mark.parametrize("size", [(1, 1), (37, 53), (128, 136), (130, 161)])
    def test_any_size(self, name: str, size: tuple[int, int], weights: dict[str, str]) -> None:
        flow = quick(name, weights)(*noise(*size))
        assert flow.shape == (2, *size) and flow.dtype == np.float32
        assert flow.flags["C_CONTIGUOUS"] and np.isfinite(flow).all()

    def test_it_is_torchvisions(self, name: str, weights: dict[str, str]) -> None:
        """The same numbers as the network by itself, on frames that need no padding."""
        first, second = noise(128, 144)
        net = getattr(optical_flow, name.replace("-", "_"))(weights=None).eval()
        net.load_state_dict(torch.load(weights[name], weights_only=True))
        pair = [torch.from_numpy(grey)[None, None].repeat(1, 3, 1, 1) for grey in (first, second)]
        with torch.no_grad():
            expected = net(*((grey / 255 - 0.5) / 0.5 for grey in pair), num_flow_updates=1)[-1][0]
        got = quick(name, weights)(first, second)
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-4)

    def test_the_same_again_and_inputs_kept(self, name: str, weights: dict[str, str]) -> None:
        first, second = noise(40, 60)
        wide = np.stack([first, second], axis=2)
        estimator = quick(name, weights)
        flow = estimator(wide[:, :, 0], wide[:, :, 1])
        kept = flow.copy()
        estimator(*noise(40, 60, seed=5))
        np.testing.assert_array_equal(flow, kept)
        np.testing.assert_array_equal(quick(name, weights)(first, second), kept)
        np.testing.assert_array_equal(wide, np.stack([first, second], axis=2))

    def test_made_again_from_its_parameters(
        self, name: str, weights: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        estimator = quick(name, weights)
        monkeypatch.setenv(find_estimator(name).variable(), weights[name])
        again = make_estimator(name, **estimator.parameters)
        assert again.parameters == estimator.parameters
        assert again.parameters["num_flow_updates"] == 1
        pair = noise(20, 30)
        np.testing.assert_array_equal(again(*pair), estimator(*pair))

    def test_absent_weights_are_one_sentence(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        picture = str(tmp_path / "a.png")
        cv2.imwrite(picture, noise(20, 30)[0])
        out = tmp_path / "x.flo"
        assert run(["flow", picture, picture, "--method", name, "--out", str(out)]) == 1
        said = " ".join(capsys.readouterr().err.split())
        url = find_estimator(name).url
        assert f"download {url} and put it there, or name the file in" in said
        assert f"TWOSTREAM_{name.upper().replace('-', '_')}" in said and "Traceback" not in said
        assert str(tmp_path / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]) in said
        assert not out.exists() and not (tmp_path / "torch").exists()  # nothing was downloaded

    def test_the_hub_cache_is_used(
        self, name: str, weights: dict[str, str], tmp_path: Path
    ) -> None:
        cache = tmp_path / "torch" / "hub" / "checkpoints"
        cache.mkdir(parents=True)
        (cache / find_estimator(name).url.rpartition("/")[2]).write_bytes(
            Path(weights[name]).read_bytes()
        )
        assert (
            make_estimator(name).parameters["weights_crc"]
            == (quick(name, weights).parameters["weights_crc"])
        )


def test_other_weights_are_refused(weights: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has not the weights of raft-small that this flow was"):
        make_estimator("raft-small", weights=weights["raft-small"], weights_crc=7)
    with pytest.raises(ModelError, match=r"does not hold torchvision's weights of raft-small: \w"):
        make_estimator("raft-small", weights=weights["raft-large"])(*noise(8, 8))
    (tmp_path / "text.pth").write_text("text")
    with pytest.raises(ModelError, match="cannot be read as a file of weights"):
        make_estimator("raft-small", weights=str(tmp_path / "text.pth"))(*noise(8, 8))
    with pytest.raises(UsageError, match="no parameter 'updates': it has num_flow_updates"):
        make_estimator("raft-small", updates=3)
    with pytest.raises(UsageError, match="must be a whole number, got many"):
        make_estimator("raft-small", num_flow_updates="many")


def test_wrapped_and_prefixed_weights_load(weights: dict[str, str], tmp_path: Path) -> None:
    state = torch.load(weights["raft-small"], weights_only=True)
    path = tmp_path / "wrapped.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    pair = noise(20, 30)
    wrapped = make_estimator("raft-small", num_flow_updates=1, weights=str(path))
    np.testing.assert_array_equal(wrapped(*pair), quick("raft-small", weights)(*pair))


def test_extraction_takes_it(
    weights: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWOSTREAM_RAFT_SMALL", weights["raft-small"])
    with VideoWriter(tmp_path / "a.avi", fps=25, width=48, height=32) as writer:
        for i in range(3):
            writer.write(np.full((32, 48, 3), 40 * i, np.uint8))
    settings = StoreSettings(flow="raft-small", parameters={"num_flow_updates": 1})
    clip = extract_to_memory(tmp_path / "a.avi", settings)["forward"]
    assert len(clip) == 2 and clip.header.parameters["weights_crc"] > 0


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives(
    weights: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = noise(128, 160)
    on_gpu = quick("raft-small", weights)(*pair)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    np.testing.assert_allclose(quick("raft-small", weights)(*pair), on_gpu, atol=0.02)
