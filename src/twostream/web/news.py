"""Work in a thread whose progress is told, line by line, to who waits for it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.concurrency import run_in_threadpool

from twostream.types import Progress, TwoStreamError
from twostream.web.analysis import in_words
from twostream.web.limits import RefusedError


async def told(work: Callable[[Progress], dict[str, Any]], name: str) -> AsyncIterator[str]:
    """Yield lines of JSON: the progress of work, at the end what it returns or ``{"error": why}``.

    Work that nobody waits for any more ends at its next step.

    Args:
        work: takes whom it tells its progress, and runs in a thread.
        name: of the video, for errors.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    left = threading.Event()

    def put(**line: Any) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)

    def tell(task: str, done: float, total: float, detail: str = "") -> None:
        if left.is_set():
            raise RefusedError("nobody waits for this any more", 499)
        put(task=task, done=done, total=total, detail=detail)

    def run() -> None:
        try:
            put(**work(tell))
        except TwoStreamError as error:
            put(error=in_words(error, name))
        except BaseException:
            put(error=f"{name}: the server failed, its log says why")
            raise

    working = asyncio.create_task(run_in_threadpool(run))
    try:
        while "task" in (line := await lines.get()):
            yield json.dumps(line) + "\n"
        yield json.dumps(line) + "\n"
        await working  # raises what was a defect: it belongs in the log
    finally:
        left.set()
