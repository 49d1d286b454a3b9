"""Networks in processes beside the server, each with the run for itself.

The server stays one process behind one port: it receives, asks for passwords, counts and waits. So
its limits hold for all workers together, a connection outlives each of them, and a video goes to
whichever is free. What a worker that died was doing is done by another one.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from twostream.prediction import TwoStreamPredictor
from twostream.prediction.answering_files import answering_hash
from twostream.store.clips import kinds_of
from twostream.store.flow_store import Kind, StoreSettings
from twostream.threads import num_cores, num_threads, threads_were_given
from twostream.types import Progress, RunError, TwoStreamError, VideoError, no_progress
from twostream.web.analysis import Decoded
from twostream.web.limits import Deadline, RefusedError
from twostream.web.processes import (
    LOOK_SECONDS,
    EndedError,
    Helper,
    Notes,
    error_told,
    failures_told,
    helping,
)

GRACE_SECONDS = 10.0  # after its time, in which a worker says that it is over; then it hangs
AGAIN_SECONDS = 5.0  # until one that could not load the run is begun again

Work = Callable[..., Any]  # one of ``answers``

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What the server has to know of a run.

    Attributes:
        classes: their names.
        streams: names of the networks.
        settings, kinds: how a video is decoded for them, and to which frames and flow.
        answers: fingerprint of the files that they answer with; "" where they lie in none.
    """

    classes: tuple[str, ...]
    streams: tuple[str, ...]
    settings: StoreSettings
    kinds: tuple[Kind, ...]
    answers: str = ""

    @classmethod
    def of(cls, predictor: TwoStreamPredictor, answers: str = "") -> Self:
        """Return what a run says of itself."""
        specs = [stream.spec for stream in predictor.streams.values()]
        kinds = tuple(sorted({"rgb", *kinds_of(specs)}))  # frames are shown, whoever sees them
        settings = StoreSettings.of_model(specs[0])
        return cls(predictor.spec.classes, tuple(predictor.streams), settings, kinds, answers)


class Workers:
    """As many processes as were asked for, as long as they are not closed.

    Args:
        run: a RUN or an exported folder, which each of them loads.
        count: how many.
        device: "auto", "cpu" or "cuda".
        gently: begin one after the other, beside others that work.

    Attributes:
        on_changed: called, once, where the run is another one than they loaded and one of them is
            to be replaced: it would answer otherwise than the others. From then on none is.

    Raises:
        TwoStreamError: the run cannot be loaded, or changed while it was.
    """

    def __init__(self, run: Path, count: int, device: str, *, gently: bool = False) -> None:
        self._run, self._count, self._device = run, count, device
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self.lost = 0
        self.on_changed: Callable[[], None] = lambda: None
        self._outdated = False  # the run is another one by now
        begun: list[Worker] = []
        try:
            for _ in range(count):
                begun.append(self._begin())
                if gently:
                    begun[-1].load()
            self.served, *others = [worker.load() for worker in begun]
            if any(other != self.served for other in others):
                raise RunError(f"{run} changed while it was loaded: try again")
        except BaseException:
            for worker in begun:
                worker.end()
            raise
        self._idle = begun
        threading.Thread(target=self._replace_the_dead, daemon=True).start()

    @property
    def alive(self) -> int:
        """How many can answer."""
        with self._changed:
            return sum(worker.alive for worker in (*self._idle, *self._busy))

    def do(
        self,
        work: Work,
        video: Decoded,
        *more: Any,
        deadline: Deadline,
        progress: Progress = no_progress,
    ) -> Any:
        """Return what a function of ``answers`` makes of a video, by any worker.

        Where one ends over it, another does it.

        Raises:
            RefusedError: beyond a limit, or the server ends.
            VideoError: it is too small for the networks, or ended two workers.
        """
        for _ in range(2):
            worker = self._take(deadline)
            try:
                return worker.do(work, video, *more, deadline=deadline, progress=progress)
            except EndedError:
                deadline.check()  # the server may have ended it
                logger.warning("a worker ended while it had a video")
            finally:
                self._give_back(worker)
        raise VideoError(video.path, "two workers ended over it: send a smaller one")

    def close(self, *, busy: bool = True) -> None:
        """End all of them, those that are ``busy`` too, or these once they are done."""
        with self._changed:
            self._closed.set()
            for worker in self._busy if busy else ():
                worker.process.kill()  # who waits for it does the rest
            while self._idle:
                self._idle.pop().end()

    def _take(self, deadline: Deadline) -> Worker:
        with self._changed:
            while (worker := next((each for each in self._idle if each.alive), None)) is None:
                deadline.check()
                if self._outdated and not self._busy:
                    raise RefusedError("the run was replaced meanwhile: send it again", 503)
                self._changed.wait(LOOK_SECONDS)
            self._idle.remove(worker)
            self._busy.add(worker)
            return worker

    def _give_back(self, worker: Worker) -> None:
        with self._changed:
            self._busy.discard(worker)
            if self._closed.is_set():
                worker.end()
            else:  # a dead one is seen there
                self._idle.append(worker)
                self._changed.notify()

    def _begin(self) -> Worker:
        share = max(1, num_cores() // self._count)
        threads = num_threads() if threads_were_given() else share
        return Worker(self._run, self._device, threads)

    def _replace_the_dead(self) -> None:
        """Look for those that have ended, and begin others."""
        seconds = LOOK_SECONDS
        while not self._closed.wait(seconds):
            with self._changed:
                dead = [worker for worker in self._idle if not worker.alive]
                self._idle = [worker for worker in self._idle if worker.alive]
                missing = self._count - len(self._idle) - len(self._busy)
                self.lost += len(dead)
            for worker in dead:
                worker.end()
                logger.warning("a worker ended")
            missing = 0 if self._outdated else missing
            seconds = LOOK_SECONDS if self._add(missing) else AGAIN_SECONDS

    def _add(self, missing: int) -> bool:
        """Begin so many; tell whether they could load the run that the others have."""
        for _ in range(missing):
            worker = None
            try:
                worker = self._begin()
                if worker.load() != self.served:
                    worker.end()
                    self._outdated = True
                    logger.error("%s has changed since it was loaded: it is loaded anew", self._run)
                    self.on_changed()
                    return False
            except Exception as error:  # whatever it is, memory that is full say, may pass
                if worker is not None:
                    worker.end()
                known = isinstance(error, TwoStreamError)
                logger.error("a worker cannot be replaced: %s", error, exc_info=not known)
                return False
            with self._changed:
                if self._closed.is_set():
                    worker.end()
                else:
                    self._idle.append(worker)
                    self._changed.notify()
        return True


class Worker(Helper):
    """One of them: a process that loads a run and answers one question after the other.

    Args:
        run: the folder.
        device: "auto", "cpu" or "cuda".
        threads: that it may compute with.
    """

    def __init__(self, run: Path, device: str, threads: int) -> None:
        super().__init__(_work, run, device, threads)
        self._run = run
        self._served: Served | None = None
        self._done = True  # all that it was asked

    def load(self) -> Served:
        """Wait until it has loaded the run; raises RunError where it cannot."""
        while self._served is None:
            try:
                said = self.hear()
                if "loaded" in said:
                    self._served = self.value()
                    break
            except EndedError as error:
                raise RunError(f"{self._run}: the process that loaded it ended") from error
            if "note" in said:
                logger.warning(said["note"])
            elif "error" in said:
                raise RunError(said["error"])
            else:
                raise RuntimeError(said["defect"])
        return self._served

    def do(
        self, work: Work, video: Decoded, *more: Any, deadline: Deadline, progress: Progress
    ) -> Any:
        """Let it work on a video.

        Raises:
            EndedError: it has ended.
            RefusedError: beyond a limit; where it does not say so itself, it is ended.
            VideoError: the video is too small for the networks.
        """
        self._done = False
        try:
            self.ask((work, video, more, deadline.elsewhere()))
            return self._answer(video, deadline, progress)
        finally:
            if not self._done:  # nor is it known what it would say next
                self.end()

    def _answer(self, video: Decoded, deadline: Deadline, progress: Progress) -> Any:
        late = deadline.later(GRACE_SECONDS)
        while "task" in (said := self.hear(late)):
            try:
                progress(**said)
            except RefusedError:
                self.ask(False)
                self.hear(late)  # that it has left it
                self._done = True
                raise
            self.ask(True)
        answer = self.value() if "answer" in said else None
        self._done = True
        if "answer" not in said:
            raise error_told(said, video.path)
        return answer


def _work(connection: Connection, run: Path, device: str, threads: int) -> None:
    """Load a run and answer what is asked, until the server ends."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is loaded
    with helping(connection, nice=0) as say:
        log = logging.getLogger("twostream")
        log.handlers = [Notes(say, logging.WARNING)]
        answers = answering_hash(run)
        predictor = TwoStreamPredictor.load(run, device=device)
        log.handlers = []  # what is told from here on answers a question
        say(loaded=True)
        connection.send(Served.of(predictor, answers))

        def tell(task: str, done: float, total: float, detail: str = "") -> None:
            say(task=task, done=done, total=total, detail=detail)
            if not connection.recv():
                raise RefusedError("nobody waits for this any more", 499)

        while True:
            work, video, more, deadline = connection.recv()
            with failures_told(say):
                answer = work(predictor, video, deadline, tell, *more)
                say(answer=True)
                connection.send(answer)
