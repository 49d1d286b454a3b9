"""What a run is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from twostream.flow.store import Codec, Kind
from twostream.initialise import Start
from twostream.recipes import Recipe
from twostream.types import Stream, TemporalInput, UsageError

STREAMS: tuple[Stream, ...] = ("spatial", "temporal")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a run was asked for; kept in RUN/settings.json, so that it can be continued.

    Attributes:
        data: the data set's folder or list.
        recipe: how the nets are trained.
        streams: which ones.
        temporal: the temporal stream's input.
        split, fold, test_groups: who is tested (``Dataset.split``); none: the data's own split.
        seed: decides folds, initialisation, samples and dropout.
        start: where the weights come from.
        train: "all" layers, or only the "last-layer" of nets that start from weights.
        spatial_architecture, temporal_architecture: instead of the recipe's.
        store: folder of frames and flow; None: RUN/flow.
        codec, quality, bound_px, fps: how they are stored; ``fps`` None keeps each clip's rate,
            unless they differ: then all are brought to the commonest.
        skip_unreadable: leave test videos out that cannot be read, instead of counting them wrong.
    """

    data: str
    recipe: Recipe
    streams: tuple[Stream, ...] = STREAMS
    temporal: TemporalInput = field(default_factory=TemporalInput)
    split: int | None = None
    fold: str | None = None
    test_groups: tuple[str, ...] | None = None
    seed: int = 0
    start: Start = field(default_factory=Start)
    train: str = "all"
    spatial_architecture: str | None = None
    temporal_architecture: str | None = None
    store: str | None = None
    codec: Codec = "jpeg"
    quality: int = 90
    bound_px: float | None = None
    fps: float | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.train == "last-layer" and not any(map(self.start.fine_tunes, self.streams)):
            raise UsageError(
                "--train last-layer needs a net that was trained before: give --weights or "
                "--pretrained"
            )

    def architecture(self, stream: Stream) -> str | None:
        """Return the network asked for, if any."""
        return self.spatial_architecture if stream == "spatial" else self.temporal_architecture

    def kinds(self) -> tuple[Kind, ...]:
        """Return which files of each clip the streams need."""
        wanted: list[Kind] = ["rgb"] if "spatial" in self.streams or self.temporal.rgb else []
        if "temporal" in self.streams:
            wanted += self.temporal.directions
        return tuple(wanted)
