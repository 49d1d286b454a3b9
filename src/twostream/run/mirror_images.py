"""Whether nets are trained and tested on mirror images, where the recipe leaves it to the data.

Off where two classes are each other's mirror image (``mirror_pairs``) and held-out clips show that
a net without mirror images tells them apart better. Only a suspicion costs more than a look.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream.files import read_json, write_json
from twostream.recipe import Recipe
from twostream.run.mirror_pairs import mirror_pairs
from twostream.run.settings import RunSettings
from twostream.run.steps import StoredSplit
from twostream.schema import from_json
from twostream.store.flow_store import Kind
from twostream.types import RunError, VideoScores

logger = logging.getLogger(__name__)

CONFUSED = 0.8  # a net that tells more of each pair's clips apart is not confused by mirror images
LEVEL = 1 / 8  # of the trial; the look before it is wrong once in 20, so both once in 160


@dataclass(frozen=True)
class MirrorImages:
    """Whether mirror images are used, in RUN/mirror-images.json.

    Attributes:
        used: in training and in testing.
        note: for people; "" where no class looks like another's mirror image.
        doubtful: whether results may be worse for it.
    """

    used: bool = True
    note: str = ""
    doubtful: bool = False

    def say(self) -> None:
        """Tell people, where there is something to tell."""
        if self.note:
            logger.log(logging.WARNING if self.doubtful else logging.INFO, self.note)


def mirror_images(
    settings: RunSettings,
    own: StoredSplit,
    held_out: Callable[[bool], VideoScores] | None,
    file: Path,
) -> MirrorImages:
    """Return whether mirror images are used, as it was decided where that is done; and say so.

    Args:
        settings: the recipe may leave it to the data (``Recipe.adapts``).
        own: training clips, with their flow.
        held_out: scores of held-out training clips by the temporal net, trained with or without
            mirror images; None: no clips are held out.
        file: RUN/mirror-images.json; a run that goes on takes what lies there.

    Raises:
        RunError: the file is damaged.
    """
    if not left_to_data(settings.recipe, settings.kinds()):
        return MirrorImages(settings.recipe.flips)
    if file.is_file():
        try:
            found = from_json(MirrorImages, read_json(file))
        except ValueError as error:
            raise RunError(f"{file} is damaged ({error}): delete it, then --resume") from error
    else:
        pairs = mirror_pairs(own.split.train, own.clips.store, settings.temporal)
        found = tried(pairs, own.split.classes, held_out)
        write_json(file, asdict(found))
    found.say()
    return found


def left_to_data(recipe: Recipe, kinds: Sequence[Kind]) -> bool:
    """Return whether the training clips decide; for that their flow must be stored."""
    return recipe.flips and "flips" in recipe.adapts and "forward" in kinds


def tried(
    pairs: Sequence[tuple[int, int]],
    classes: Sequence[str],
    held_out: Callable[[bool], VideoScores] | None,
) -> MirrorImages:
    """Try on held-out clips whether suspected pairs are told apart better without mirror images.

    A net that was trained with them and is right nevertheless ends it, and it is the one that
    fusion learns from later: then nothing was paid. Otherwise a second net is trained without them,
    and both are compared on the same clips by McNemar's exact test, one-sided.

    Args:
        pairs: of labels, see ``mirror_pairs``.
        classes: their names.
        held_out: see ``mirror_images``.
    """
    if not pairs:
        return MirrorImages()
    names = ", ".join(f"`{classes[a]}` and `{classes[b]}`" for a, b in pairs)
    other = "each other's mirror image"
    if held_out is None:
        return MirrorImages(
            note=f"{names} look like {other}, and no clips are held out to try it: mirror images "
            "stay on; --no-flip is for classes that tell left from right",
            doubtful=True,
        )
    scores = held_out(True)
    before = told_apart(scores, pairs)
    share = f"{before.mean():.0%} with" if len(before) else "none"
    # each pair by itself: four that are easy must not hide one at chance
    of_pairs = [own.mean() for pair in pairs if len(own := told_apart(scores, [pair]))]
    if of_pairs and min(of_pairs) > CONFUSED:
        return MirrorImages(
            note=f"{names} move like {other}, but held-out clips are told apart ({share}): mirror "
            "images stay on (--no-flip turns them off)"
        )
    after = told_apart(held_out(False).select(scores.video_ids), pairs)
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    shares = f"{share}, {after.mean():.0%} without" if len(after) else share
    if len(after) and mcnemar(gained, lost) <= LEVEL:
        return MirrorImages(
            used=False,
            note=f"mirror images are off: {names} are {other} (held-out clips of the "
            f"pair{'s' if len(pairs) > 1 else ''} right: {shares}; --flip turns them on)",
        )
    return MirrorImages(
        note=f"{names} look like {other}, but {len(after)} held-out clips do not show it (right: "
        f"{shares}): mirror images stay on; --no-flip is for classes that tell left from right",
        doubtful=True,
    )


def told_apart(scores: VideoScores, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return of each clip of each pair whether its class has more than the other of the pair."""
    right = [
        scores.scores[scores.labels == own, own] > scores.scores[scores.labels == own, other]
        for a, b in pairs
        for own, other in ((a, b), (b, a))
    ]
    return np.concatenate(right)


def mcnemar(gained: int, lost: int) -> float:
    """Return how likely so many of the clips that changed would be gained by tossing coins.

    >>> mcnemar(3, 0), mcnemar(5, 1), mcnemar(0, 0)
    (0.125, 0.109375, 1.0)
    """
    changed = gained + lost
    # in whole numbers: three of three lie on the level itself, where rounding would decide
    return sum(comb(changed, k) for k in range(gained, changed + 1)) / 2**changed
