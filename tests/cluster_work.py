"""What processes of a cluster do in tests; light, as each of them imports it."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

from twostream.types import VideoError


def work(begun: Path, how: str) -> Any:
    """Do what an item says, and write down that it was begun."""
    with open(begun, "a") as file:
        file.write(f"{how}\n")
    match how:
        case "dies":
            os._exit(3)
        case "no video":
            raise VideoError(Path("a.avi"), "is no video")
        case "odd":
            raise UnsendableError(open(os.devnull))  # noqa: SIM115
        case "full":
            raise OSError(errno.ENOSPC, "no space left", "there")
        case "sleeps":
            begun.with_name("process").write_text(str(os.getpid()))
            time.sleep(600)
        case "settings":
            return os.environ["OMP_NUM_THREADS"], os.getcwd()
    if how.startswith("node"):
        import ray

        time.sleep(0.5)
        return ray.get_runtime_context().get_node_id()
    return how.upper()


class UnsendableError(Exception):
    pass


def dies_over_two(run: Path, device: str, asked: Path, options: Any, given: Any) -> Any:
    from twostream.prediction import one_timeline

    if given[0].name == "two.avi":
        os._exit(3)
    return one_timeline._make_there(run, device, asked, options, given)
