"""Optical flow: estimators behind one interface, made by name."""

from twostream.flow.estimators import (
    ESTIMATOR_NAMES,
    FlowEstimator,
    RunEstimator,
    check_parameters,
    find_estimator,
    make_estimator,
    preset_parameters,
)

__all__ = [
    "ESTIMATOR_NAMES",
    "FlowEstimator",
    "RunEstimator",
    "check_parameters",
    "find_estimator",
    "make_estimator",
    "preset_parameters",
]
