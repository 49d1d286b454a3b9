"""Labels for new videos, from a RUN folder (torch) or an exported one (onnxruntime, no torch)."""

from twostream.prediction.prediction import Prediction, StreamScorer
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.timeline import Segment, Timeline

__all__ = ["Prediction", "Segment", "StreamScorer", "Timeline", "TwoStreamPredictor"]
