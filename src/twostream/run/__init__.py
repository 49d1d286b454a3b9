"""The whole job for one command, in a RUN folder: built of the verbs below it."""

from twostream.run.job import train_run
from twostream.run.rescore import evaluate_run
from twostream.run.settings import RunSettings
from twostream.run.stores import extract_for_run

__all__ = ["RunSettings", "evaluate_run", "extract_for_run", "train_run"]
