"""How well predicted labels in time agree with true ones, or those of two people."""

from twostream.judging.agreement import (
    Agreement,
    ClassAgreement,
    Confusion,
    compare_labels,
)
from twostream.judging.intervals import Measure
from twostream.judging.pairing import of_one
from twostream.judging.point_events import PointAgreement
from twostream.judging.time_budget import time_budget

__all__ = [
    "Agreement",
    "ClassAgreement",
    "Confusion",
    "Measure",
    "PointAgreement",
    "compare_labels",
    "of_one",
    "time_budget",
]
