"""The whole job for one command, in a RUN folder: built of the verbs below it."""

from twostream.run.job import train_run
from twostream.run.rescore import evaluate_run
from twostream.run.settings import RunSettings

__all__ = ["RunSettings", "evaluate_run", "train_run"]
