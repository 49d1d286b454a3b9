"""Training of one stream (section 5): ``stream`` is the Lightning module, ``job`` its fit."""

from twostream.train.checkpoints import last_checkpoint
from twostream.train.job import TRAIN, check_batch, fit
from twostream.train.stream import Progress, StreamTraining, multitask_loss, own_head
from twostream.train.trainer import TrainerOptions

__all__ = [
    "TRAIN",
    "Progress",
    "StreamTraining",
    "TrainerOptions",
    "check_batch",
    "fit",
    "last_checkpoint",
    "multitask_loss",
    "own_head",
]
