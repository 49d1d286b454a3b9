"""Training in the background: a process of its own that makes a RUN of a folder's labels.

Either anew, or as an update of a run's last layers, which takes seconds (``run.quick_update``).
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from twostream.files import ASKED, PROBED
from twostream.types import DataError, RunError, StoreError
from twostream.web.processes import EndedError, Helper, Notes, Say, helping

GRACE_SECONDS = 5.0  # that a training has to end in order
_RUN_NAME = re.compile(r"run-(\d+)")
_MOST_NOTES = 12
_MADE = ("results.json", PROBED)  # of a RUN: written last

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Update:
    """What an update is made of.

    Attributes:
        base: the RUN whose networks stay; None: those that a training starts from.
        videos: name -> file, of all that predictions are wanted of.
    """

    base: Path | None
    videos: Mapping[str, Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingChoice:
    """How the page trains.

    Attributes:
        recipe: its name; None: standard where its weights are installed, else quick.
        steps: of SGD; None: as the recipe has it.
        accelerator: the Trainer's word.
    """

    recipe: str | None = None
    steps: int | None = None
    accelerator: str = "auto"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """How a training stands, as the page shows it.

    Attributes:
        state: what has become of it.
        task, done, total: what is being done, and how much of it is.
        said: one sentence: how it ended.
        notes: what the training told, the last ones.
        run: name of the RUN.
    """

    state: Literal["none", "running", "stopping", "done", "failed", "stopped"] = "none"
    task: str = ""
    done: float = 0.0
    total: float = 0.0
    said: str = ""
    notes: tuple[str, ...] = field(default=())
    run: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        return asdict(self)


class TrainingJob:
    """One training at a time, on the labels as they are when it starts.

    Args:
        folder: videos and labels.
        runs: folder of the RUNs; made when it is needed. Frames and flow lie there too, so that
            the next training finds them.
        choice: how.
        on_run: told of each RUN that is finished.
    """

    def __init__(
        self, folder: Path, runs: Path, choice: TrainingChoice, on_run: Callable[[Path], None]
    ) -> None:
        self._folder, self._runs, self._choice, self._on_run = folder, runs, choice, on_run
        self._state = TrainingState()
        self._lock = threading.Lock()
        self._helper: Helper | None = None
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> TrainingState:
        """How it stands."""
        return self._state

    def start(self, update: Update | None = None) -> None:
        """Start a training, or an update; raises DataError where one is under way."""
        with self._lock:
            if self._state.state in ("running", "stopping"):
                raise DataError("a training is under way: wait for it, or stop it")
            run = _new_run(self._runs)
            self._state = TrainingState("running", "starting", run=run.name)
            self._helper = Helper(_work, children=True)
            self._helper.ask((self._folder, run, self._runs, self._choice, update))
            self._thread = threading.Thread(target=self._follow, args=(self._helper, run))
            self._thread.start()

    def stop(self) -> None:
        """Stop the training that is under way, if there is one; what it has made goes."""
        with self._lock:
            if self._state.state == "running" and self._helper is not None:
                self._state = replace(self._state, state="stopping")
                self._helper.process.terminate()
                timer = threading.Timer(GRACE_SECONDS, self._helper.process.kill)
                timer.daemon = True
                timer.start()

    def close(self) -> None:
        """Stop what is under way, and wait until it has ended."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _follow(self, helper: Helper, run: Path) -> None:
        """Take what the process tells until it ends."""
        said: dict[str, Any] = {}
        try:
            while not ({"accuracy", "error", "defect"} & set(said)):
                said = helper.hear()
                self._take(said)
        except EndedError:
            said = {"error": "the training's process ended before it was done"}
        finally:
            helper.process.join(GRACE_SECONDS)
            helper.end()
        with self._lock:
            stopped = self._state.state == "stopping"
        if "accuracy" in said and not stopped:
            try:
                self._on_run(run)  # first: who reads that it is done asks the new run
            finally:
                self._finish("done", said["accuracy"])
            return
        shutil.rmtree(run, ignore_errors=True)
        if stopped:
            self._finish("stopped", "The training was stopped.")
        else:
            logger.error(said.get("defect") or said["error"])
            self._finish("failed", said.get("error") or "the server failed: its log says why")

    def _take(self, said: dict[str, Any]) -> None:
        with self._lock:
            if "note" in said:
                notes = (*self._state.notes, said["note"])[-_MOST_NOTES:]
                self._state = replace(self._state, notes=notes)
            elif "task" in said:
                self._state = replace(self._state, **said)

    def _finish(self, state: Literal["done", "failed", "stopped"], said: str) -> None:
        with self._lock:
            self._state = replace(self._state, state=state, said=said, task="", done=0.0, total=0.0)


def _new_run(runs: Path) -> Path:
    """Make the folder of the next RUN: nobody else has it; raises RunError."""
    try:
        while True:
            run = runs / f"run-{1 + max(_numbers(runs), default=0)}"
            with suppress(FileExistsError):  # another page's training was quicker
                run.mkdir(parents=True)
                return run
    except OSError as error:
        raise RunError(f"{runs} cannot be written ({error.strerror}): name other --runs") from error


def newest_run(runs: Path) -> Path | None:
    """Return the last RUN of the page's that was finished; None: there is none."""
    for number in sorted(_numbers(runs), reverse=True):
        if any((runs / f"run-{number}" / name).is_file() for name in _MADE):
            return runs / f"run-{number}"
    return None


def _numbers(runs: Path) -> list[int]:
    names = [path.name for path in runs.iterdir()] if runs.is_dir() else []
    return [int(found[1]) for name in names if (found := _RUN_NAME.fullmatch(name))]


def _work(connection: Connection) -> None:
    """Train once, and tell how it goes."""
    with helping(connection) as say:
        from twostream import stopping

        stopping.listen()
        log = logging.getLogger("twostream")
        log.setLevel(logging.INFO)
        log.handlers = [Notes(say)]
        try:
            results = _train(*connection.recv(), say=say)
        except KeyboardInterrupt:
            return  # it was stopped
        say(accuracy=in_words(results))


def _train(
    folder: Path,
    run: Path,
    runs: Path,
    choice: TrainingChoice,
    update: Update | None,
    *,
    say: Say,
) -> dict[str, Any]:
    """Do what ``twostream train`` does, with frames and flow beside the RUN; or an update."""
    from twostream import stopping
    from twostream.recipes import default_recipe, make_recipe
    from twostream.run import RunSettings, train_run
    from twostream.run.quick_update import STORE, UpdatePlace, store_in, update_run
    from twostream.training import TrainerOptions

    def tell(task: str, done: float, total: float, detail: str = "") -> None:
        stopping.check()
        say(task=f"{task}: {detail}" if detail else task, done=done, total=total)

    recipe = make_recipe(choice.recipe or default_recipe(), steps=choice.steps)
    store = store_in(runs, recipe.name, folder)
    settings = RunSettings(data=str(folder), recipe=recipe, store=str(store))
    options = TrainerOptions(accelerator=choice.accelerator)

    def work(settings: RunSettings) -> dict[str, Any]:
        if update is None:
            return train_run(settings, run, options=options, progress=tell)
        place = UpdatePlace(
            labels=folder,
            runs=runs,
            base=update.base,
            settings=settings,
            device=options.device(),
        )
        return update_run(place, run, update.videos, progress=tell)

    try:
        return work(settings)
    except StoreError:
        if (run / ASKED).exists() or (update and update.base):
            raise
        # refused before it was begun: what lies there is of another size or rate
        own = str(runs / f"{STORE}{recipe.name}-{run.name}") if update else None
        return work(replace(settings, store=own))


def _untested(results: dict[str, Any]) -> str:
    """Return a sentence on the classes that an update could not test; "" where there are none."""
    names = results.get("untested")
    return f" None of them is {' or '.join(names)}: label it in another video too." if names else ""


def in_words(results: dict[str, Any]) -> str:
    """Return how well a run did, in a sentence.

    >>> in_words({"accuracy": {"fused": 0.75, "spatial": 0.5}, "test_videos": 8})
    'It tells 75% of 8 held-out stretches right.'
    >>> in_words({"accuracy": {"fused": 0.5}, "tested": 9, "apart": True})
    'It tells 50% of 9 stretches right whose videos its last layers had not seen.'
    >>> in_words({"accuracy": {"fused": 0.5}, "tested": 9, "apart": False, "untested": ["run"]})
    'It tells 50% of 9 stretches right whose part of the video its last layers had not seen. None \
of them is run: label it in another video too.'
    """
    accuracy = results["accuracy"]
    best = next((accuracy[n] for n in ("fused", "average") if n in accuracy), None)
    best = next(iter(accuracy.values()), None) if best is None else best
    if best is None:
        return "It is trained."
    if "tested" in results:
        told = f"It tells {100 * best:.0f}% of {results['tested']} stretches right"
        what = "videos" if results["apart"] else "part of the video"
        return f"{told} whose {what} its last layers had not seen.{_untested(results)}"
    return f"It tells {100 * best:.0f}% of {results['test_videos']} held-out stretches right."
