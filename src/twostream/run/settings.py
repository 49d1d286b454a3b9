"""What a run is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from twostream.datasets import READING, SplitChoice
from twostream.initialise import NetSettings, Start
from twostream.multitask import HOWS, How
from twostream.recipe import Recipe
from twostream.schema import from_json
from twostream.store.flow_store import Kind, StoreSettings
from twostream.training import TRAIN
from twostream.types import STREAMS, RunError, Stream, TemporalInput, UsageError, is_flow

KEPT = ("codec", "quality", "bound_px", "fps")  # of the store's settings; the recipe has the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a run was asked for; kept in RUN/asked.json, so that it can be continued.

    Attributes:
        data: the data set's folder or list.
        recipe: how the nets are trained.
        streams: which ones.
        temporal: the temporal stream's input.
        choice: who is tested; nothing chosen: the data's own split.
        seed: decides folds, initialisation, samples and dropout.
        start: where the weights come from.
        train: "all" layers, or only the "last-layer" of nets that start from weights.
        spatial_architecture, temporal_architecture: instead of the recipe's.
        store: folder of frames and flow; None: RUN/flow.
        stored: how they are stored; None: as the recipe says. A rate of None keeps each clip's,
            unless they differ: then all are brought to one that nearly all reach.
        others: data sets that help to train the temporal stream (section 4, table 2).
        how: "multitask" heads, "added" classes, or "pretrain": trained on the other, then
            fine-tuned.
        others_whole: use all videos of the others, as the paper does; False: only the training
            side of their own split, so that multi-task heads are tested on the rest.
        other_stores: folders of their frames and flow; none: inside RUN.
        overlap: a file that says which classes mean the same ("added").
        score_train: score the training clips too, for the SVM and to see over-fitting.
        skip_unreadable: leave test videos out that cannot be read, instead of counting them wrong.
        flows: of these the training clips choose the recipe's flow (``run.flow_choice``); none: it
            stays.
    """

    data: str
    recipe: Recipe
    streams: tuple[Stream, ...] = STREAMS
    temporal: TemporalInput = field(default_factory=TemporalInput)
    choice: SplitChoice = field(default_factory=SplitChoice)
    seed: int = 0
    start: Start = field(default_factory=Start)
    train: str = "all"
    spatial_architecture: str | None = None
    temporal_architecture: str | None = None
    store: str | None = None
    stored: StoreSettings = None  # type: ignore[assignment]  # never None once it is made
    others: tuple[str, ...] = ()
    how: How = "multitask"
    others_whole: bool = True
    other_stores: tuple[str, ...] = ()
    overlap: str | None = None
    score_train: bool = True
    skip_unreadable: bool = False
    flows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.stored is None:
            object.__setattr__(self, "stored", self.recipe.stored())
        kept = {name: getattr(self.stored, name) for name in KEPT}
        if self.recipe.stored(**kept) != self.stored:
            raise UsageError("flow and size of `stored` are not the recipe's: use recipe.stored()")
        object.__setattr__(self, "start", self.start.of(self.recipe))
        if self.train not in TRAIN:
            raise UsageError(f"--train takes {' or '.join(TRAIN)}, got {self.train!r}")
        if self.train == "last-layer" and not any(map(self.start.fine_tunes, self.streams)):
            raise UsageError(
                "--train last-layer needs a net that was trained before: give --weights or "
                "--pretrained"
            )
        if not self.score_train and len(self.streams) == len(STREAMS):
            raise UsageError("fusion by SVM needs scores of the training clips")
        if self.flows and not ("temporal" in self.streams and is_flow(self.temporal)):
            raise UsageError("--flow auto needs a temporal stream that sees flow: name a flow")
        if self.flows and self.others:
            raise UsageError("--flow auto chooses for one data set: with --also, name a flow")
        if self.how not in HOWS:
            raise UsageError(f"--how takes {', '.join(HOWS)}, got {self.how!r}")
        if self.others and "temporal" not in self.streams:
            raise UsageError(
                "other data sets help to train the temporal stream: --stream leaves it out"
            )
        if len(self.others) > 1 and self.how != "multitask":
            raise UsageError(f"--how {self.how} takes one other data set, got {len(self.others)}")
        if self.other_stores and len(self.other_stores) != len(self.others):
            raise UsageError(
                f"{len(self.others)} other data sets need as many stores, "
                f"got {len(self.other_stores)}"
            )
        if self.how == "pretrain" and self.others and self.recipe.imagenet:
            raise UsageError(
                f"--how pretrain trains the other data set from scratch, {self.recipe.name} starts "
                "from weights: use --recipe quick or paper"
            )
        if self.how == "pretrain" and self.others and self.start.fine_tunes("temporal"):
            raise UsageError(
                "the temporal net starts from weights or from the other data set, not from both"
            )

    def asked(self) -> dict[str, Any]:
        """Return what RUN/asked.json keeps, in one level, so that a resumed run can be compared."""
        asked = asdict(self)
        stored, choice = asked.pop("stored"), asked.pop("choice")
        return asked | choice | {name: stored[name] for name in KEPT} | {"reading": READING}

    def by(self, recipe: Recipe) -> RunSettings:
        """Return the settings with another recipe, and videos stored as that one says."""
        kept = {name: getattr(self.stored, name) for name in KEPT}
        return replace(self, recipe=recipe, stored=recipe.stored(**kept))

    def flowing(self, flow: str) -> RunSettings:
        """Return the settings with another flow."""
        return self.by(replace(self.recipe, flow=flow))

    def mirroring(self, flips: bool) -> RunSettings:
        """Return the settings with or without mirror images."""
        return replace(self, recipe=replace(self.recipe, flips=flips))

    @property
    def fold_folder(self) -> str:
        """Folder in RUN of nets and scores of the training clips' folds."""
        off = not self.recipe.flips and "flips" in self.recipe.adapts
        # beside those that were trained with mirror images to find out
        return "cross-fitting-unmirrored" if off else "cross-fitting"

    @classmethod
    def from_asked(cls, asked: Mapping[str, Any]) -> Self:
        """Read what ``asked`` made, of RUN/asked.json.

        Raises:
            RunError: something is missing, or of another version.
        """
        try:
            recipe = from_json(Recipe, asked["recipe"])
            stored = asdict(recipe.stored()) | {name: asked[name] for name in KEPT}
            parts: dict[str, Any] = {
                "recipe": recipe,
                "temporal": asked["temporal"],
                "start": asked["start"],
                "choice": {each.name: asked[each.name] for each in fields(SplitChoice)},
                "stored": StoreSettings.from_json(stored),
            }
            known = [each.name for each in fields(cls) if each.name not in parts]
            kept = {name: asked[name] for name in known if name in asked}
            return from_json(cls, {**parts, **kept})
        except (KeyError, ValueError, UsageError) as error:
            raise RunError(
                f"asked.json does not say what the run was asked for ({type(error).__name__}: "
                f"{error}): it is damaged or of another version, train again"
            ) from error

    def store_folder(self, out: Path) -> Path:
        """Return the folder of the own data's frames and flow."""
        return Path(self.store) if self.store else out / "flow"

    def net(self, stream: Stream) -> NetSettings:
        """Return what a stream's network is made from."""
        return NetSettings(
            stream=stream,
            recipe=self.recipe,
            temporal=self.temporal,
            start=self.start,
            architecture=getattr(self, f"{stream}_architecture"),
            seed=self.seed,
        )

    def kinds(self) -> tuple[Kind, ...]:
        """Return which files of each clip the streams need."""
        wanted = (kind for stream in self.streams for kind in self.net(stream).kinds)
        return tuple(dict.fromkeys(wanted))
