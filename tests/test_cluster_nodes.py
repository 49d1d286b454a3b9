"""Ray's own test cluster of several nodes: one is lost, one comes. And a command is stopped."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cluster_work import work
from moving_clips import SETTINGS, contents, make_clip, make_data
from twostream import stopping
from twostream.cluster import joined, spread
from twostream.extraction import extract
from twostream.types import StoreError

pytestmark = [
    pytest.mark.slow,
    # Ray leaves its processes, and what they write to, to end by themselves
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]
TESTS = Path(__file__).parent
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}
WAIT_SECONDS = 120


@pytest.fixture
def nodes() -> Iterator[Any]:
    """A head without a core, in which this process is."""
    from ray.cluster_utils import Cluster

    # in /tmp, as names of sockets are short
    folders = tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True)
    kept = stopping.handlers_kept()  # a node that is added answers stops itself
    with kept, pytest.MonkeyPatch.context() as patched, folders as folder:
        patched.setenv("PYTHONPATH", f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("RAY_TMPDIR", folder)
        head = NODE | {"num_cpus": 0, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            with joined(cluster.address):
                yield cluster
        finally:
            cluster.shutdown()
        gc.collect()


def test_nodes_are_lost_and_come(nodes: Any, tmp_path: Path, said: list[str]) -> None:
    first, second = nodes.add_node(**NODE), nodes.add_node(**NODE)
    names = [f"{number}" for number in range(12)]
    begun, ended = tmp_path / "begun", Counter[str]()
    third = None
    by = set[str]()
    items = ((name, f"node {name}") for name in names)
    with closing(spread(partial(work, begun), items)) as ends:
        for some in ends:
            ended.update(each.name for each in some)
            by.update(each.result for each in some if each.result)
            if third is None and second.node_id in by and len(ended) >= 3:
                nodes.remove_node(second, allow_graceful=False)
                third = nodes.add_node(**NODE)
    assert ended == Counter(names)
    assert third is not None and by == {first.node_id, second.node_id, third.node_id}
    again = [name for name, times in Counter(begun.read_text().split("\n")).items() if times > 1]
    lost = [line for line in said if "the node that was at work on it was lost" in line]
    assert len(again) <= 1 and len(again) <= len(lost) <= 2


def test_the_store_is_that_of_one_machine_when_a_node_is_lost(nodes: Any, tmp_path: Path) -> None:
    kept = [nodes.add_node(**NODE), nodes.add_node(**NODE)]
    videos = make_data(tmp_path / "data", 12)

    def lose(task: str, done: float, total: float, detail: str = "") -> None:
        if done >= 2 and len(kept) == 2:
            nodes.remove_node(kept.pop(), allow_graceful=False)

    found = extract(
        videos, store=tmp_path / "there", settings=SETTINGS, cluster=nodes.address, progress=lose
    )
    assert len(kept) == 1 and (found.videos, found.failed) == (12, {})
    extract(videos, store=tmp_path / "here", settings=SETTINGS)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[int], None]]]:
    """A disk of its own, and what sets how many bytes it holds."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def holds(size: int, how: str = "remount,") -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"{how}size={size}", "tmpfs", folder]
        subprocess.run(command, check=True, capture_output=True)

    try:
        holds(1 << 16, "")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    yield folder, holds
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_ends_it_and_what_is_finished_is_kept(
    nodes: Any, small_disk: tuple[Path, Callable[[int], None]], tmp_path: Path
) -> None:
    for _ in range(2):
        nodes.add_node(**NODE)
    videos = make_data(tmp_path / "data", 12)
    extract(videos, store=tmp_path / "here", settings=SETTINGS)
    wanted = contents(tmp_path / "here")
    (folder, holds), size = small_disk, sum(map(len, wanted.values()))
    holds(size // 2)
    with pytest.raises(StoreError, match=r"(?i)no space left"):
        extract(videos, store=folder / "there", settings=SETTINGS, cluster=nodes.address)
    kept = contents(folder / "there")
    assert 2 < len(kept) < len(wanted) and kept.items() <= wanted.items()
    holds(8 * size)
    found = extract(videos, store=folder / "there", settings=SETTINGS, cluster=nodes.address)
    assert (found.videos, found.failed) == (12, {}) and 0 < found.done < 12
    assert contents(folder / "there") == wanted


def test_a_stop_leaves_no_process_and_the_command_goes_on(tmp_path: Path) -> None:
    make_data(tmp_path / "data", 3)
    make_clip(tmp_path / "data/long/long.avi", 3000)
    store = tmp_path / "store"
    command = [sys.executable, "-m", "twostream", "extract", "data", "--store", "store"]
    command += ["--short-side", "48", "--flow", "farneback"]
    errors = tmp_path / "errors"
    with open(errors, "wb") as file:
        process = subprocess.Popen([*command, "--cluster", "local"], cwd=tmp_path, stderr=file)
        end = time.monotonic() + WAIT_SECONDS
        while not list(store.glob("forward/**/*.clip")):
            assert process.poll() is None and time.monotonic() < end, errors.read_text()
            time.sleep(0.1)
        folders = {each for line in of_ray(tmp_path) for each in re.findall(r"/tmp/ray\w+", line)}
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 143, errors.read_text()
    assert "stopped; what is finished is kept, the same command goes on" in errors.read_text()
    (folder,) = folders
    assert not Path(folder).exists()
    while running := of_ray(tmp_path):
        assert time.monotonic() < end, running
        time.sleep(0.1)
    for each in (store, tmp_path / "clean"):
        command[command.index("--store") + 1] = str(each)
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert contents(store) == contents(tmp_path / "clean")


def of_ray(folder: Path) -> list[str]:
    """Processes of Ray whose folder is the one where a command was."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray" in (place / "cmdline").read_bytes() and (place / "cwd").readlink() == folder:
                found.append((place / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return found
