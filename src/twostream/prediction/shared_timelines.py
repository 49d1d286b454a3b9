"""A folder of time lines that one process fills alone, or several, each a shard of the videos.

OUT/shards/2-of-8/.lock       held while a process does this shard
OUT/shards/2-of-8/fatal.json  videos over which one that did it died, while there are any
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twostream import files, locks
from twostream.prediction.fatal_videos import FatalVideos
from twostream.shards import Shard
from twostream.types import RunError

WHAT = "set of time lines"
FATAL_NAME = "fatal.json"
SHARDS = "shards"
BEGIN_SECONDS = 10.0  # that the first of several processes may take to write down what is asked


@contextmanager
def held(out: Path, settings: dict[str, Any], shard: Shard | None) -> Iterator[FatalVideos]:
    """Hold a folder alone, or a shard of it beside other shards.

    Args:
        out: the folder.
        settings: all that was asked for; the same for all shards.
        shard: None: all.

    Yields:
        Videos over which processes died; of all shards, where it is held alone.

    Raises:
        RunError: another process has it, or this shard; it was begun with other settings, or holds
            something else.
    """
    if shard is None:
        with files.claimed(out, settings, resume=True, what=WHAT):
            fatal = FatalVideos(out / FATAL_NAME)
            fatal.take_over(sorted((out / SHARDS).glob(f"*/{FATAL_NAME}")))
            shutil.rmtree(out / SHARDS, ignore_errors=True)
            yield fatal
        return
    _begun(out, settings)
    own = out / SHARDS / str(shard)
    with (
        files.claimed(out, settings, resume=True, what=WHAT, shared=True),
        locks.locked(own, "wait, or do another shard", "choose another --out", make=True),
    ):
        yield FatalVideos(own / FATAL_NAME)


def _begun(out: Path, settings: dict[str, Any]) -> None:
    """Write down what is asked for, unless another shard has done so or does it now."""
    files.refuse_foreign(out, WHAT)
    deadline = time.monotonic() + BEGIN_SECONDS
    while not (out / files.ASKED).is_file():
        try:
            with files.claimed(out, settings, resume=True, what=WHAT):
                pass
        except RunError:  # in use: by another one that begins it
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
