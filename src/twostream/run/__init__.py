"""The whole job for one command, in a RUN folder: built of the verbs below it."""

from twostream.run.data_stores import extract_for_run
from twostream.run.evaluation_run import evaluate_run
from twostream.run.settings import RunSettings
from twostream.run.training_run import train_run

__all__ = ["RunSettings", "evaluate_run", "extract_for_run", "train_run"]
