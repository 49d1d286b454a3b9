"""Optical flow: estimators behind one protocol, made by name."""

from twostream.flow.estimators import (
    ESTIMATOR_NAMES,
    FlowEstimator,
    make_estimator,
    preset_parameters,
)

__all__ = ["ESTIMATOR_NAMES", "FlowEstimator", "make_estimator", "preset_parameters"]
