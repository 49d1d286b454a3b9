"""Where flow is computed: chosen by itself when a GPU is present and pays, or as asked."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from frame_images import write_video
from test_idle_threads import shots
from twostream.__main__ import run
from twostream.extraction import extract
from twostream.flow import batched, device
from twostream.flow.device import choose_device, cuda_is_there, make_on_device, pairs_per_second
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.training import TrainerOptions
from twostream.types import Frame, LabeledVideo, ModelError, UsageError

CPU_RATE = 100.0


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A machine that seems to have a GPU; the rates of the trial can be set."""
    rates = {"cpu": CPU_RATE, "cuda": 1000.0}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "pairs_per_second", lambda name, parameters, where: rates[where])
    return rates


@pytest.fixture
def on_the_cpu_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batched solvers compute on the CPU, whatever they are asked."""
    real = batched.Batched
    monkeypatch.setattr(
        batched, "Batched", lambda name, device, **rest: real(name, device="cpu", **rest)
    )


class TestChoice:
    @pytest.mark.parametrize("name", ["brox", "tvl1"])
    def test_a_gpu_is_taken_where_it_pays(self, name: str, gpu: dict[str, float]) -> None:
        """Faster than all threads of the CPU together."""
        assert choose_device("auto", name, {}, threads=9) == "cuda"
        assert choose_device("auto", name, {}, threads=11) == "cpu"
        gpu["cuda"] = 90
        assert choose_device("auto", name, {}, threads=1) == "cpu"

    def test_what_has_no_version_for_it_stays(self, gpu: dict[str, float]) -> None:
        for name in ("dis", "farneback", "dis-brox", "tvl1-opencv", "mv"):
            assert choose_device("auto", name, {}, threads=1) == "cpu"
            with pytest.raises(UsageError, match=f"{name} has no version for a GPU: .* use tvl1"):
                choose_device("cuda", name, {}, threads=1)

    def test_as_asked(self, gpu: dict[str, float]) -> None:
        gpu["cuda"] = 1
        assert choose_device("cuda", "brox", {}, threads=8) == "cuda"
        gpu["cuda"] = 1e9
        assert choose_device("cpu", "brox", {}, threads=1) == "cpu"
        for asked in ("auto", "cuda", "cpu"):  # RAFT is torch's in any case
            assert choose_device(asked, "raft-small", {}, threads=1) == asked
        with pytest.raises(UsageError, match="computed on auto, cpu, cuda, got 'gpu'"):
            choose_device("gpu", "brox", {}, threads=1)

    def test_without_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert choose_device("auto", "brox", {}, threads=1) == "cpu"
        with pytest.raises(UsageError, match="no CUDA device that torch can use is here"):
            choose_device("cuda", "brox", {}, threads=1)

    def test_torch_is_not_loaded_without_a_driver(self) -> None:
        program = (
            "import sys; from twostream.flow import device\n"
            "device._has_driver = lambda: False\n"
            "print(device.choose_device('auto', 'brox', {}, threads=1), 'torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.stdout.split() == ["cpu", "False"], done.stderr

    def test_torch_is_asked_where_there_is_a_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert cuda_is_there()
        monkeypatch.delitem(sys.modules, "torch")
        monkeypatch.setattr(device, "_has_driver", lambda: False)
        assert not cuda_is_there()

    def test_training_keeps_its_flow_off_the_gpu_when_told_to(self) -> None:
        assert TrainerOptions(accelerator="cpu").flow_device() == "cpu"
        assert (
            TrainerOptions().flow_device()
            == TrainerOptions(accelerator="gpu").flow_device()
            == "auto"
        )

    def test_the_trial_measures_both(
        self, on_the_cpu_instead: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batched, "PIXELS_AT_ONCE", 1)
        parameters = {"levels": 1, "fixed_point_steps": 1, "sweeps": 1, "median_filtering": 1}
        rates = [pairs_per_second("brox", parameters, where) for where in ("cpu", "cuda")]
        assert all(rate > 0 for rate in rates)
        assert rates[0] > rates[1]  # both on the CPU, where the compiled solver is faster


class TestBatches:
    @pytest.mark.parametrize("pixels_at_once", [1, 5 * 128 * 128, 10**7])
    def test_the_store_is_that_of_the_cpu(
        self,
        gpu: dict[str, float],
        on_the_cpu_instead: None,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        pixels_at_once: int,
    ) -> None:
        """One pair at a time, five, or all: the fields are those of the compiled solver."""
        monkeypatch.setattr(batched, "PIXELS_AT_ONCE", pixels_at_once)
        torch.set_num_threads(1)
        video = LabeledVideo("a.avi", write_video(tmp_path / "a.avi", shots()[:7], quality=1), 0)
        made = StoreSettings(
            flow="brox", parameters={"levels": 4, "scale_step": 0.6}, codec="lossless"
        )
        clips = {}
        for where in ("cpu", "cuda"):
            store = tmp_path / where
            kinds = ("forward", "backward")
            summary = extract(
                [video], store=store, settings=made, kinds=kinds, workers=2, device=where
            )
            assert (summary.pairs, summary.device) == (6, where)
            clips[where] = [FlowStore.open(store).clip("a.avi", kind) for kind in kinds]
        for one, other in zip(clips["cpu"], clips["cuda"], strict=True):
            assert one.header.parameters == other.header.parameters
            distance = np.hypot(*(one.fields() - other.fields()).transpose(1, 0, 2, 3))
            assert distance.mean() < 1e-3
            assert np.quantile(distance, 0.99) < 0.01
            assert np.abs(one.fields()).max() > 1

    def test_auto_takes_it(
        self, gpu: dict[str, float], on_the_cpu_instead: None, tmp_path: Path
    ) -> None:
        video = LabeledVideo("a.avi", write_video(tmp_path / "a.avi", shots()[:3], quality=1), 0)
        made = StoreSettings(flow="brox", parameters={"levels": 1}, short_side=32)
        assert extract([video], store=tmp_path / "s", settings=made).device == "cuda"
        again = extract([video], store=tmp_path / "s", settings=made, device="cpu")
        assert (again.skipped, again.device) == (1, "cpu")

    def test_full_memory_is_one_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        solver = batched.Batched("brox", device="cpu")
        assert solver.pairs_at_once(256, 340) == 22
        assert solver.pairs_at_once(2160, 3840) == 1

        def full(*frames: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(batched.Batched, "__call__", full)
        with pytest.raises(ModelError, match="brox: 3 pairs of 20x16 px do not fit the GPU's"):
            solver.fields([Frame(np.zeros((16, 20, 3), np.uint8), 0)] * 4, ["forward"])

    def test_raft_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = type("Raft", (), {"device": "auto"})()
        monkeypatch.setattr(device, "make_estimator", lambda name, **parameters: made)
        assert make_on_device("raft-small", {}, "cpu").device == "cpu"

    @pytest.mark.gpu
    def test_on_a_gpu(self, tmp_path: Path) -> None:
        video = LabeledVideo("a.avi", write_video(tmp_path / "a.avi", shots(), quality=1), 0)
        fields = {}
        for where in ("cpu", "cuda"):
            made = StoreSettings(flow="brox", codec="lossless")
            extract([video], store=tmp_path / where, settings=made, workers=2, device=where)
            fields[where] = FlowStore.open(tmp_path / where).clip("a.avi", "forward").fields()
        assert np.abs(fields["cpu"] - fields["cuda"]).mean() < 1e-3


def test_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / "clips" / name / "x.avi", shots()[:3], quality=1)
    command = ["extract", str(tmp_path / "clips"), "--store", str(tmp_path / "s"), "--json"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments, sentence in (
        (["--flow", "brox", "--device", "cuda"], "no CUDA device"),
        (["--flow", "dis", "--device", "cuda"], "dis has no version for a GPU"),
        (["--flow", "brox", "--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        (["--flow", "brox:best"], "brox has no preset 'best'"),
    ):
        assert run([*command, *arguments]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert sentence in said and "Traceback" not in said
    parameters = {"levels": 2, "scale_step": 0.5}
    monkeypatch.setattr(
        "twostream.flow.brox.Brox.presets", {"default": {}, "fast": parameters}, raising=True
    )
    real = batched.Batched
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(batched, "Batched", partial(_on_the_cpu, real))
    assert run([*command, "--flow", "brox:fast", "--device", "cuda", "--workers", "1"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["pairs"], result["device"]) == (4, "cuda")
    settings = FlowStore.open(tmp_path / "s").settings
    assert settings.flow == "brox"
    assert {key: settings.parameters[key] for key in parameters} == parameters


def _on_the_cpu(real: type, name: str, device: str, **parameters: int | float) -> object:
    assert device == "cuda"
    return real(name, device="cpu", **parameters)
