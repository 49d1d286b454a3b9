"""From stored clips to batches: store + sampling + inputs + augment."""

from twostream.loader.batches import ScoringSamples, TimedLoader, TrainingBatches, batches
from twostream.loader.clips import (
    Clip,
    ClipCache,
    ClipReader,
    Clips,
    decoded_bytes,
    flow_rms_px,
)

__all__ = [
    "Clip",
    "ClipCache",
    "ClipReader",
    "Clips",
    "ScoringSamples",
    "TimedLoader",
    "TrainingBatches",
    "batches",
    "decoded_bytes",
    "flow_rms_px",
]
