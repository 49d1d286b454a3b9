"""Training in several processes that a launcher started: torchrun, srun, or by hand."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from twostream.__main__ import run
from twostream.scoring import load_scores
from twostream.training import TrainerOptions, begun_again
from twostream.training.fitting import SharedFit
from twostream.training.launched import launched
from twostream.types import RunError, UsageError

STREAMS = ("spatial", "temporal")
TORCH = {"RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400"}
HAND = {"NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400"}
# without batch statistics and dropout, which differ from process to process on a CPU
NETS = "--arch squeezenet1_0 --temporal-arch squeezenet1_0 --dropout 0 --learning-rate 0.01"
QUICK = f"--recipe quick --batch-size 8 --fit-scores in-sample --accelerator cpu {NETS}".split()
STARTED_BY = ("SLURM", "TORCHELASTIC", "MASTER_", "RANK", "LOCAL_", "WORLD_SIZE", "NODE_RANK")


@pytest.fixture(autouse=True)
def nobody_started_this(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(STARTED_BY)]:
        monkeypatch.delenv(name)
    # what a launcher's class or Lightning writes there goes with the test
    for name in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def of_srun(rank: int, port: int) -> dict[str, str]:
    """The variables that srun gives the processes of two nodes, one each."""
    told = {"NTASKS": 2, "STEP_NUM_TASKS": 2, "NTASKS_PER_NODE": 1, "NNODES": 2, "JOB_ID": 7}
    own = {"PROCID": rank, "NODEID": rank, "LOCALID": 0, "NODELIST": "127.0.0.1"}
    values = {f"SLURM_{name}": str(value) for name, value in {**told, **own}.items()}
    return {**values, "MASTER_PORT": str(port)}


def started(
    command: Iterable[str], variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=900)
    return process.returncode, said


def as_by_srun(command: list[str]) -> list[subprocess.Popen[str]]:
    port = free_port()
    return [started(command, of_srun(rank, port)) for rank in range(2)]


def check_uninterrupted(command: list[str], found: Path) -> None:
    """Two processes that nothing stops end with the same weights.

    Those of one process are not compared after so many steps: a difference of 1e-7 in what they
    start from has grown to 1e-3 by then, in one process too.
    """
    whole = found.with_name("whole")
    both = as_by_srun([*command, "--out", str(whole), "--nodes", "2"])
    assert [ended(each)[0] for each in both] == [0, 0]
    assert distance(whole, found) < 1e-7


def distance(one: Path, other: Path) -> float:
    """Of the weights of both streams, relative to their norm."""
    apart = whole = 0.0
    for stream in STREAMS:
        a, b = (load_file(run / f"{stream}.safetensors") for run in (one, other))
        assert a.keys() == b.keys()
        apart += sum(float((a[name] - b[name]).double().square().sum()) for name in a)
        whole += sum(float(values.double().square().sum()) for values in a.values())
    return (apart / whole) ** 0.5


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    while not list(folder.glob(pattern)):
        assert process.poll() is None, ended(process)
        time.sleep(0.05)


class TestRefused:
    @pytest.mark.parametrize(
        ("variables", "options", "words"),
        [
            ({}, "--nodes 3", "torchrun --nnodes 3 --nproc-per-node 1 .*srun --nodes 3"),
            ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, "--nodes 2", "--nodes 2 needs a launcher"),
            ({**TORCH, "WORLD_SIZE": "3"}, "--nodes 2", "started 3 processes, and --nodes 2 with"),
            ({**TORCH, "WORLD_SIZE": "2"}, "", "started 2 processes, and --nodes 1 .* are 1"),
            (
                {**TORCH, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
                "--nodes 2",
                "started 2 processes on this node, and --devices is 1",
            ),
            (
                {"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2"},
                "--nodes 2",
                "srun needs --ntasks-per-node 1",
            ),
            ({**HAND, "NODE_RANK": "two"}, "--nodes 2", 'NODE_RANK has to be a number, got "two"'),
            ({**HAND, "MASTER_PORT": ""}, "--nodes 2", 'MASTER_PORT has to be a number, got ""'),
            ({**TORCH, "WORLD_SIZE": "x"}, "--nodes 2", 'WORLD_SIZE has to be a number, got "x"'),
        ],
    )
    @pytest.mark.parametrize("verb", ["train", "pretrain"])
    def test_in_one_sentence(
        self,
        variables: dict[str, str],
        options: str,
        words: str,
        verb: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        out = tmp_path / "a.safetensors"
        assert run([verb, str(tmp_path), "--out", str(out), *options.split()]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        with pytest.raises(UsageError, match=words):
            raise UsageError(said)
        assert not list(tmp_path.iterdir())

    def test_a_program_of_ones_own_has_no_launcher(self) -> None:
        with pytest.raises(UsageError, match="--nodes 2 needs a launcher"):
            TrainerOptions(accelerator="cpu", nodes=2).check()

    def test_a_machine_that_does_not_see_the_files(self, tmp_path: Path) -> None:
        data = type("Data", (), {"folder": tmp_path})
        shared = SharedFit(
            None,  # type: ignore[arg-type]
            data,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            "all",
            TrainerOptions(),
            None,
            None,
            resume=None,
        )
        shared.check_seen()
        with pytest.raises(RunError, match=r"does not see .*step=3.ckpt: all nodes need the same"):
            replace(shared, resume=tmp_path / "step=3.ckpt").check_seen()


class TestWhoIsWho:
    def test_lightnings_own_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own = {**TORCH, "NODE_RANK": "1", "LOCAL_RANK": "1"}
        for name in own.keys() - {"RANK"}:
            monkeypatch.setenv(name, own[name])
        found = launched(TrainerOptions(nodes=2, devices=2))
        assert found is not None
        assert (found.global_rank(), found.world_size(), found.local_rank()) == (3, 4, 1)
        assert launched(TrainerOptions()) is None

    def test_nodes_are_counted_from_0(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {**HAND, "NODE_RANK": "2"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UsageError, match="this is process 2 of the processes 0 to 1"):
            launched(TrainerOptions(nodes=2))

    def test_torchrun_inside_of_a_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        both = {**of_srun(0, 29400), **TORCH, "RANK": "1", "WORLD_SIZE": "2"}
        for name, value in both.items():
            monkeypatch.setenv(name, value)
        found = launched(TrainerOptions(nodes=2))
        assert found is not None and found.global_rank() == 1

    def test_one_process_trains_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of torchrun, and in the script of a job of many tasks, which Lightning would refuse."""
        for name, value in {**TORCH, "WORLD_SIZE": "1", "SLURM_NTASKS": "4"}.items():
            monkeypatch.setenv(name, value)
        assert launched(TrainerOptions()) is None
        TrainerOptions(accelerator="cpu").check()

    @pytest.mark.parametrize("name", ["TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"])
    def test_what_is_begun_again_goes_on(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for count, again in (("0", False), ("1", True)):
            monkeypatch.setenv(name, count)
            assert begun_again() is again


def test_two_nodes_equal_one(
    few_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As srun starts them: one RUN, each test video scored once, and the weights of one process."""
    command = ["train", str(few_data), *QUICK, "--steps", "2", "--store", str(tmp_path / "flow")]
    port, two = free_port(), tmp_path / "two"
    here = ["twostream", *command, "--out", str(two), "--nodes", "2"]
    other = started(here, of_srun(1, port))
    try:
        with monkeypatch.context() as first:
            for name, value in of_srun(0, port).items():
                first.setenv(name, value)
            assert run(here[1:]) == 0
    finally:
        if sys.exc_info()[0]:
            other.kill()
        status, said = ended(other)
    assert (status, said) == (0, "")
    assert run([*command, "--out", str(tmp_path / "one")]) == 0
    assert distance(tmp_path / "one", two) < 1e-6
    for stream in STREAMS:
        one, same = (
            load_scores(tmp_path / name / "scores" / f"{stream}-test.npz")
            for name in ("one", "two")
        )
        assert one.video_ids == same.video_ids and len(set(one.video_ids)) == 4
        np.testing.assert_allclose(one.scores, same.scores, atol=1e-5)


@pytest.mark.slow
def test_torchrun_on_two_nodes(few_data: Path, tmp_path: Path) -> None:
    """Two launchers that meet on this machine; what is refused there ends both."""
    command = ["train", str(few_data), *QUICK, "--steps", "4", "--store", str(tmp_path / "flow")]
    assert run([*command, "--out", str(tmp_path / "one")]) == 0
    for _ in range(2):
        meet = f"--nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-id {free_port()}"
        place = ["--rdzv-endpoint", f"127.0.0.1:{free_port()}", "-m", "twostream"]
        here = ["torch.distributed.run", *meet.split(), *place, *command, "--nodes", "2"]
        both = [started([*here, "--out", str(tmp_path / "two")]) for _ in range(2)]
        found = [ended(each) for each in both]
        if not (tmp_path / "refused").exists():
            assert [status for status, _ in found] == [0, 0], found
            assert distance(tmp_path / "one", tmp_path / "two") < 1e-6
            results = json.loads((tmp_path / "two" / "results.json").read_text())
            assert results["test_videos"] == 4
            (tmp_path / "refused").touch()
    assert [status for status, _ in found] == [1, 1], found
    said = "".join(said for _, said in found)
    assert said.count("holds a finished run: add --resume") == 1 and "another process" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "number", "statuses"),
    [(1, signal.SIGKILL, (1, -9)), (0, signal.SIGKILL, (-9, 1)), (0, signal.SIGTERM, (143, 1))],
)
def test_a_killed_process_ends_all_and_the_training_goes_on(
    rank: int, number: int, statuses: tuple[int, int], few_data: Path, tmp_path: Path
) -> None:
    """Nothing but the processes themselves notices, as under srun without --kill-on-bad-exit."""
    flow, two = str(tmp_path / "flow"), tmp_path / "two"
    command = ["twostream", "train", str(few_data), *QUICK, "--steps", "30", "--store", flow]
    here = [*command, "--out", str(two), "--nodes", "2"]
    both = as_by_srun(here)
    wait_for(two / "checkpoints" / "temporal", "*.ckpt", both[0])
    both[rank].send_signal(number)
    found = [ended(each) for each in both]
    assert tuple(status for status, _ in found) == statuses, found
    assert found[1 - rank][1].splitlines()[-1].startswith("twostream: another process of this")
    assert "Traceback" not in "".join(said for _, said in found)
    assert not (two / "temporal.safetensors").exists()
    found = [ended(each) for each in as_by_srun([*here, "--resume"])]
    assert [status for status, _ in found] == [0, 0], found
    check_uninterrupted(command, two)


@pytest.mark.slow
def test_torchrun_starts_again_what_failed(few_data: Path, tmp_path: Path) -> None:
    flow = str(tmp_path / "flow")
    command = ["twostream", "train", str(few_data), *QUICK, "--steps", "30", "--store", flow]
    launcher = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "1", "-m"]
    here = ["torch.distributed.run", *launcher, *command, "--devices", "2"]
    two = tmp_path / "two"
    process = started([*here, "--out", str(two)], {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"})
    wait_for(two / "checkpoints" / "temporal", "*.ckpt", process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        if b"\0RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes():
            os.kill(int(child), signal.SIGKILL)
    status, said = ended(process)
    assert status == 0, said
    assert "exitcode: -9" in said
    check_uninterrupted(command, two)
