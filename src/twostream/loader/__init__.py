"""From stored clips to batches: store + sampling + inputs + augment."""

from twostream.loader.batching import ScoringSamples, TimedLoader, TrainingBatches, batches

__all__ = ["ScoringSamples", "TimedLoader", "TrainingBatches", "batches"]
