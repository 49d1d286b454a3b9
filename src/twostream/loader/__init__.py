"""From stored clips to batches: store + sampling + inputs + augment."""

from twostream.loader.batching import Batches, ScoringSamples, TimedLoader, TrainingBatches, batches

__all__ = ["Batches", "ScoringSamples", "TimedLoader", "TrainingBatches", "batches"]
