"""Training of one stream (section 5): ``fitting`` runs the module of ``stream_training``."""

from twostream.training.checkpoints import last_checkpoint
from twostream.training.fitting import TRAIN, check_batch, fit, take_part
from twostream.training.launched import begun_again, led
from twostream.training.linear_start import start_as_probe
from twostream.training.stream_training import StreamTraining, multitask_loss, own_head
from twostream.training.trainer_options import TrainerOptions

__all__ = [
    "TRAIN",
    "StreamTraining",
    "TrainerOptions",
    "begun_again",
    "check_batch",
    "fit",
    "last_checkpoint",
    "led",
    "multitask_loss",
    "own_head",
    "start_as_probe",
    "take_part",
]
