"""Training in the processes that a launcher started, on one machine or many: torchrun, srun.

A launcher starts the same command in each. The first process does the job; the others wait until
it tells them of a training, take part in that, and wait again: extraction, scores and the report
are made once, and only the first process writes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch.distributed as dist
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from twostream.types import RunError, TwoStreamError, UsageError

if TYPE_CHECKING:
    from twostream.training.trainer_options import TrainerOptions

TICK_SECONDS = 0.25
# between two trainings the first process extracts and scores, however long that takes
PATIENCE = timedelta(days=60)
_TORCH = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LIGHTNING = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")

Result = TypeVar("Result")


@dataclass
class Team:
    """The processes of a launcher, as one of them sees them.

    Attributes:
        environment: who is who, for Lightning.
        channel: by which the first process tells the others what is trained.
        busy: they are in a training, and hear nothing else.
    """

    environment: ClusterEnvironment
    channel: dist.ProcessGroup
    busy: bool = False

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self.environment.global_rank() == 0

    def tell(self, what: Any = None) -> Any:
        """Tell the others from the first process, or hear in another one, what is done next.

        A number is the exit status at the end.
        """
        told = [what]
        with broken_off():
            _stoppable(lambda: dist.broadcast_object_list(told, group=self.channel))
        return told[0]


_teams: list[Team] = []  # this process's, as torch.distributed has one group of all


def team() -> Team | None:
    """Return the team that this process trains in; None: it trains alone."""
    return _teams[0] if _teams else None


def begun_again() -> bool:
    """Tell whether a launcher started this job once more, after a process or machine failed."""
    counts = (os.environ.get(f"{who}_RESTART_COUNT", "0") for who in ("TORCHELASTIC", "SLURM"))
    return any(count not in ("", "0") for count in counts)


def led(
    options: TrainerOptions, job: Callable[[], Result], follow: Callable[[Any], object]
) -> Result | None:
    """Do a job in the first process of a launcher; the others take part in its trainings.

    Args:
        options: nodes and devices; one of each: the job is done here and now.
        job: all of it, in the first process.
        follow: what the others do with each thing that they are told.

    Returns:
        What the job returns, and None in the other processes.

    Raises:
        UsageError: the launcher started other processes than were asked for, or there is none.
        RunError: another process has ended.
        SystemExit: the first process failed, and said why.
    """
    environment = launched(options)
    if environment is None:
        return job()
    _teams.append(_joined(environment, options))
    this = _teams[0]
    result: Result | None = None
    try:
        if this.leads:
            result = _told_of_the_end(this, job)
        else:
            while not isinstance(what := this.tell(), int):
                with broken_off():
                    follow(what)
            if what:
                raise SystemExit(what)
    finally:
        _teams.clear()
    dist.destroy_process_group()
    return result


def _told_of_the_end(this: Team, job: Callable[[], Result]) -> Result:
    """Do the job, and tell the others the exit status that they end with, too.

    torchrun waits for minutes on a node whose processes are done while others have failed. In the
    midst of a training they notice by themselves that this process ends.
    """
    try:
        result = job()
    except Exception as error:
        if not this.busy:
            with suppress(RunError):
                this.tell(error.exit_status if isinstance(error, TwoStreamError) else 1)
        raise
    with suppress(RunError):  # one that has failed meanwhile takes nothing from what is done
        this.tell(0)
    return result


@contextmanager
def told(what: Any) -> Iterator[None]:
    """Tell the other processes, where there are some, what all of them do in the block."""
    this = team()
    if this is None or not this.leads:
        yield
        return
    this.tell(what)
    this.busy = True
    with broken_off():
        yield
    this.busy = False


@contextmanager
def broken_off() -> Iterator[None]:
    """Say in one sentence that another process has gone: torch names a line of its own source."""
    try:
        yield
    except RuntimeError as error:
        if team() and (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise RunError(
                "another process of this training has ended, so this one ends too: see what that "
                "one said; the same command with --resume goes on"
            ) from error
        raise


def launched(options: TrainerOptions) -> ClusterEnvironment | None:
    """Return which processes a launcher started, by its environment variables; None: only this.

    Raises:
        UsageError: others than ``options`` ask for, or it does not tell enough.
    """
    environment = _environment(options)
    if environment is None:
        if options.nodes > 1:
            raise UsageError(how_to_start(options))
        return None
    found, rank = environment.world_size(), environment.global_rank()
    if found != options.processes:
        raise UsageError(
            f"the launcher started {found} processes, and --nodes {options.nodes} with --devices "
            f"{options.devices} are {options.processes}: start one for each device of each node"
        )
    here = os.environ.get("LOCAL_WORLD_SIZE", str(options.devices))
    if here != str(options.devices):
        raise UsageError(
            f"the launcher started {here} processes on this node, and --devices is "
            f"{options.devices}: start one for each device"
        )
    if rank >= found:
        raise UsageError(
            f"this is process {rank} of the processes 0 to {found - 1}: NODE_RANK, or RANK, counts "
            "from 0"
        )
    return environment if found > 1 else None


def how_to_start(options: TrainerOptions) -> str:
    """Return how a command is started on several nodes."""
    nodes, devices = options.nodes, options.devices
    return (
        f"--nodes {nodes} needs a launcher that starts this command on each node: `torchrun "
        f"--nnodes {nodes} --nproc-per-node {devices} --rdzv-backend c10d --rdzv-endpoint "
        f"HOST:29500 -m twostream train ...` on each, or `srun --nodes {nodes} "
        f"--ntasks-per-node {devices} --kill-on-bad-exit twostream train ...`"
    )


def _environment(options: TrainerOptions) -> ClusterEnvironment | None:
    given = os.environ.keys()
    if given >= set(_TORCH):  # torchrun, and others that keep to its names; also inside of SLURM
        _check_numbers(_TORCH)
        return TorchElasticEnvironment()
    # srun's own: the script of sbatch has the job's variables too, and is one process
    if os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        try:
            # that a job is queued again is the cluster's matter, and ours that it goes on
            return SLURMEnvironment(auto_requeue=False)
        except RuntimeError:
            raise UsageError(
                f"srun needs --ntasks-per-node {options.devices}, one process for each device"
            ) from None
    if options.processes > 1 and given >= set(_LIGHTNING):
        if options.devices == 1:
            os.environ.setdefault("LOCAL_RANK", "0")
        _check_numbers((*_LIGHTNING, "LOCAL_RANK"))
        environment = LightningEnvironment()
        if environment.creates_processes_externally:
            environment.set_world_size(options.processes)
            first = environment.node_rank() * options.devices
            environment.set_global_rank(first + environment.local_rank())
            return environment
    return None


def _check_numbers(names: Sequence[str]) -> None:
    """Raise a UsageError for a launcher's variable that is no number, and is there."""
    for name in names:
        value = os.environ.get(name, "0")
        if name != "MASTER_ADDR" and not value.isdecimal():
            raise UsageError(f'the environment variable {name} has to be a number, got "{value}"')


def _joined(environment: ClusterEnvironment, options: TrainerOptions) -> Team:
    """Meet the other processes; Lightning takes the group that is there."""
    os.environ["MASTER_ADDR"] = environment.main_address
    os.environ["MASTER_PORT"] = str(environment.main_port)

    def meet() -> dist.ProcessGroup:
        dist.init_process_group(
            "nccl" if options.on_gpu() else "gloo",
            rank=environment.global_rank(),
            world_size=environment.world_size(),
        )
        channel = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(channel, dist.ProcessGroup)  # a number where this is none of the group
        return channel

    try:
        return Team(environment, _stoppable(meet))
    except RuntimeError as error:
        # torchrun keeps its store over restarts, with where the processes of before listened
        again = (
            "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 where torchrun is started"
            if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
            else "start all of them, where they reach each other"
        )
        raise RunError(
            f"process {environment.global_rank() + 1} of {environment.world_size()} could not meet "
            f"the others at {environment.main_address}:{environment.main_port} "
            f"({str(error).splitlines()[0]}): {again}"
        ) from error


def _stoppable(call: Callable[[], Result]) -> Result:
    """Wait for a call that hears no signal, so that a stop leaves it behind."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001  raised below
            errors.append(error)

    thread = threading.Thread(target=work, name="twostream team", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(TICK_SECONDS)
    if errors:
        raise errors[0]
    return results[0]
