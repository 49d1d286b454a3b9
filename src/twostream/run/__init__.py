"""The whole job for one command, in a RUN folder: built of the steps that all jobs share."""

from twostream.run.data_settings import common_rate
from twostream.run.evaluation_run import evaluate_run
from twostream.run.flow_choice import FLOW_CANDIDATES
from twostream.run.measured_curve import curve_run
from twostream.run.one_stream import train_stream
from twostream.run.settings import RunSettings
from twostream.run.steps import extract_split, score, store_for
from twostream.run.training_run import train_run

__all__ = [
    "FLOW_CANDIDATES",
    "RunSettings",
    "common_rate",
    "curve_run",
    "evaluate_run",
    "extract_split",
    "score",
    "store_for",
    "train_run",
    "train_stream",
]
