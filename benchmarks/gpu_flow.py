"""The batched solvers: pairs/s by batch size, their error, and the memory's floor."""

from __future__ import annotations

import time

import numpy as np
import torch

from gpu_tables import Settings, copied_per_second, markdown, median_seconds, moving_pairs, said
from twostream.flow import make_estimator
from twostream.flow.batched import Batched
from twostream.flow.pyramid import level_sizes

METHODS = ("brox", "brox:fast", "tvl1", "tvl1:fast")
HEADER = [
    "method",
    "how",
    "batch",
    "pairs/s",
    "with transfers",
    "of the floor",
    "difference to the CPU, mean px",
    "99% below, px",
    "error to the truth, px",
]


def measure(settings: Settings, deadline: float) -> str:
    return "to come\n"
