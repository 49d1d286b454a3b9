"""The paper's experiments, at any size of data: nets, cells, claims, and what came out."""

from twostream.experiments.claims import CLAIMS, Claim
from twostream.experiments.paper_tables import EXPERIMENTS, Experiment
from twostream.experiments.reproduction import WHATS, check_what, reproduce
from twostream.experiments.results import listing
from twostream.experiments.study import Study

__all__ = [
    "CLAIMS",
    "EXPERIMENTS",
    "WHATS",
    "Claim",
    "Experiment",
    "Study",
    "check_what",
    "listing",
    "reproduce",
]
