"""Doing the runs of a study: each once, several at a time, and going on where a killed one was."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from twostream import stopping
from twostream.cluster import check_seen, joined, spread
from twostream.experiments.nets import NETS
from twostream.experiments.study import PlannedRun, Study
from twostream.run import RunSettings, extract_split, store_for, train_run
from twostream.store.flow_store import Kind
from twostream.threads import num_cores
from twostream.training import TrainerOptions
from twostream.types import Progress, TwoStreamError, no_progress

NEWS_SECONDS = 1.0
GRACE_SECONDS = 3.0  # for what a run writes when it is stopped
_log = logging.getLogger(__name__)
ENDED = (
    "a process of this study was ended from outside, perhaps because memory ran out: the same "
    "command goes on; try it with --jobs 1"
)


def run_all(
    study: Study,
    runs: Sequence[PlannedRun],
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    options: TrainerOptions | None = None,
    progress: Progress = no_progress,
) -> dict[Path, str]:
    """Train and score everything that is not there yet.

    Args:
        runs: what is needed, each once; finished ones cost nothing.
        jobs: runs at the same time; None: one a core on a CPU, with one thread each, which is
            faster than threads inside one small network; one on a GPU.
        cluster: a Ray cluster that does them (``cluster.joined``), each on a core, or on as many
            GPUs as ``options`` say; it extracts the flow, too.

    Returns:
        Folder -> why a run failed; the others are done all the same.
    """
    options = options or TrainerOptions()
    todo = [run for run in runs if not run.done]
    if not todo:
        return {}
    if cluster is not None:
        with joined(cluster):
            extract_all(study, todo, options.flow_device(), cluster=cluster, progress=progress)
            return _run_there(study, todo, options, progress)
    extract_all(study, todo, options.flow_device(), progress=progress)
    cores = num_cores()
    jobs = max(1, min(jobs or (1 if options.on_gpu() else cores), len(todo)))
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),  # threads of torch do not survive a fork
        initializer=_start_worker,
        initargs=(max(1, cores // jobs), os.getpid()),
    )
    try:
        futures = {pool.submit(_one, run.settings, run.folder, options): run for run in todo}
        return _wait_for(futures, jobs, progress)
    except BaseException:
        _end(list((pool._processes or {}).values()))
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end(processes: Sequence[BaseProcess]) -> None:
    """End the processes of runs at once; checkpoints are kept, and the next call goes on there."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + GRACE_SECONDS
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        process.kill()


def _wait_for(
    futures: dict[Future[str | None], PlannedRun], jobs: int, progress: Progress
) -> dict[Path, str]:
    """Tell how far the runs are until all have ended; return why some failed."""
    failed: dict[Path, str] = {}
    started = time.monotonic()
    waiting = set(futures)
    while waiting:
        ended, waiting = wait(waiting, NEWS_SECONDS, FIRST_COMPLETED)
        for future in ended:
            try:
                why = future.result()
            except BrokenProcessPool:  # it takes all that are queued with it
                why = ENDED
            if why:
                failed[futures[future].folder] = why
                _log.warning("%s: %s", _label(futures[future]), why)
        done = len(futures) - len(waiting)
        spent = time.monotonic() - started
        left = f", about {spent / done * len(waiting) / 60:.0f} min left" if done else ""
        # the pool counts what is queued next as running too
        at_work = [run for future, run in futures.items() if future in waiting and future.running()]
        names = ", ".join(_label(run) for run in at_work[:jobs])
        progress("train and score", done, len(futures), f"{names}{left}"[:100])
    return failed


def _run_there(
    study: Study, runs: Sequence[PlannedRun], options: TrainerOptions, progress: Progress
) -> dict[Path, str]:
    """Do runs on the cluster that is joined; return why some failed."""
    gpus = options.devices if options.on_gpu() else 0
    if not gpus:
        options = replace(options, accelerator="cpu")  # on every node
    seen = [study.store(target) for target in {run.target for run in runs}]
    work = partial(_one_there, options, seen)
    items = ((str(run.folder), (run.settings, run.folder)) for run in runs)
    by_folder = {str(run.folder): run for run in runs}
    failed: dict[Path, str] = {}
    done = 0
    with closing(spread(work, items, gpus=gpus)) as ends:
        for ended in ends:
            for each in ended:
                done += 1
                if why := each.failed or each.result:
                    run = by_folder[each.name]
                    failed[run.folder] = why
                    _log.warning("%s: %s", _label(run), why)
            progress("train and score", done, len(runs))
    return failed


def _one_there(
    options: TrainerOptions, seen: Sequence[Path], run: tuple[RunSettings, Path]
) -> str | None:
    """Do one run in a process of a cluster; return why it failed."""
    check_seen(*seen)
    logging.getLogger("twostream").setLevel(logging.CRITICAL)  # the study names what failed
    return _done(*run, options)


def extract_all(
    study: Study,
    runs: Sequence[PlannedRun],
    device: str,
    *,
    cluster: str | None = None,
    progress: Progress,
) -> None:
    """Extract the flow of every data set once, with all that any run will read of it."""
    kinds: dict[int, set[Kind]] = {0: set(), 1: set()}
    for run in runs:
        kinds[run.target] |= set(run.settings.kinds())
        if NETS[run.net].how:
            kinds[1 - run.target] |= set(run.settings.net("temporal").kinds)
    for target in (target for target in kinds if kinds[target]):
        split, root = study.datasets[target].whole(), study.store(target)
        extract_split(
            split,
            root,
            store_for(runs[0].settings.stored, root, split),
            kinds=tuple(sorted(kinds[target])),
            smallest_side=study.recipe.smallest_side,
            device=device,
            cluster=cluster,
            progress=progress,
        )


def _label(run: PlannedRun) -> str:
    return f"{run.net} {run.folder.parent.name}"


def _start_worker(threads: int, parent: int) -> None:
    """Prepare a process for its runs; it ends with its parent, however that ends."""
    import torch

    torch.set_num_threads(threads)
    logging.getLogger("twostream").addHandler(logging.NullHandler())  # the study names what failed

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(NEWS_SECONDS)
        os._exit(1)  # what is half done lies in checkpoints, and its locks fall with the process

    threading.Thread(target=watch, daemon=True).start()
    stopping.end_at_once(1)  # while it waits for a run


def _one(settings: RunSettings, folder: Path, options: TrainerOptions) -> str | None:
    """Do one run in a process of its own; return why it failed."""
    stopping.listen(over=True)
    try:
        return _done(settings, folder, options)
    except KeyboardInterrupt:
        os._exit(stopping.exit_status())  # all is in order; what a pool would tell nobody reads
    finally:
        stopping.end_at_once(1)


def _done(settings: RunSettings, folder: Path, options: TrainerOptions) -> str | None:
    """Do one run, or go on with it; return why it failed."""
    try:
        train_run(settings, folder, resume=True, options=options, workers=1)
    except TwoStreamError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  one run must not end a study of days
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None
