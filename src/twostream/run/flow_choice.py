"""Which flow the temporal net sees, where it is left to the training clips: ``--flow auto``.

End-point error is no guide: on Weizmann the methods with the least error recognise worst
(docs/flow-recognition.md). So each method's temporal net is trained without some training clips
and asked about them. Test clips are not looked at.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from twostream.files import read_json, write_json
from twostream.schema import from_json
from twostream.store.flow_store import SETTINGS_NAME
from twostream.types import RunError, VideoScores

logger = logging.getLogger(__name__)

CHOICE_NAME = "flow-choice.json"
TRIALS = "flow-trials"  # in RUN: a folder for each method, until one is chosen
FLOW_CANDIDATES = ("dis:fast", "dis", "farneback", "brox", "tvl1")  # the cheaper ones first


@dataclass(frozen=True)
class FlowChoice:
    """The flow that was chosen, in RUN/flow-choice.json.

    Attributes:
        flow: its name, with a preset.
        accuracy: of each method on the same held-out training clips, 0..1.
        clips: how many.
    """

    flow: str
    accuracy: dict[str, float]
    clips: int

    @property
    def note(self) -> str:
        """One line for people."""
        others = ", ".join(f"{name} {share:.0%}" for name, share in self.accuracy.items())
        return (
            f"flow {self.flow}, the cheapest method within a standard error of the best on "
            f"{self.clips} held-out training clips: {others} (--flow NAME chooses another)"
        )


def chosen_flow(
    names: tuple[str, ...], held_out: Callable[[str], VideoScores], file: Path
) -> FlowChoice:
    """Return the method that recognises, as it was chosen where that is done; and say so.

    Args:
        names: of the methods, the cheapest first.
        held_out: scores of held-out training clips by a temporal net that was trained on a method's
            flow; the same clips for each.
        file: RUN/flow-choice.json; a run that goes on takes what lies there.

    Raises:
        RunError: the file is damaged.
    """
    if file.is_file():
        try:
            found = from_json(FlowChoice, read_json(file))
        except ValueError as error:
            raise RunError(f"{file} is damaged ({error}): delete it, then --resume") from error
    else:
        scores = {name: held_out(name) for name in names}
        accuracy = {name: each.accuracy() for name, each in scores.items()}
        clips = len(scores[names[0]].video_ids)
        found = FlowChoice(cheapest_of_the_best(accuracy, clips), accuracy, clips)
        write_json(file, asdict(found))
    logger.info(found.note)
    return found


def cheapest_of_the_best(accuracy: Mapping[str, float], clips: int) -> str:
    """Return the first method within a standard error of the best one.

    The rule of Breiman et al. (1984) for the size of a tree: what is not clearly better is not
    worth its price.

    Args:
        accuracy: of each method, 0..1, the cheapest first.
        clips: that it was measured on.

    >>> cheapest_of_the_best({"dis:fast": 0.70, "brox": 0.72}, 100)
    'dis:fast'
    >>> cheapest_of_the_best({"dis:fast": 0.60, "brox": 0.72}, 100)
    'brox'
    """
    best = max(accuracy.values())
    error = np.sqrt(best * (1 - best) / clips)
    return next(name for name, share in accuracy.items() if share >= best - error)


def keep_the_chosen(trial: Path, out: Path, store: Path) -> None:
    """Move what a method's trial made to where the run looks for it; the others' are deleted.

    Args:
        trial: the method's folder, with its store and the nets of the held-out folds; where it is
            missing this was done before.
        out: the RUN folder.
        store: of the run.
    """
    if (trial / "flow").is_dir() and not (store / SETTINGS_NAME).is_file():
        store.mkdir(parents=True, exist_ok=True)
        rest = sorted((trial / "flow").iterdir(), key=lambda path: path.name == SETTINGS_NAME)
        for path in rest:  # the file that makes it a store comes last: a kill before is no loss
            if path.is_dir():
                shutil.copytree(path, store / path.name, dirs_exist_ok=True, copy_function=_place)
            else:
                _place(path, store / path.name)
    for folder in sorted(trial.glob("cross-fitting*")):
        if not (out / folder.name).exists():
            shutil.move(folder, out / folder.name)
    shutil.rmtree(trial.parent, ignore_errors=True)


def _place(source: str | Path, target: str | Path) -> None:
    """Bring a file to another place: by a link where both are on one disk, else by a copy."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
