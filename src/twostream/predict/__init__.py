"""Labels for new videos, from a RUN folder (torch) or an exported one (onnxruntime, no torch)."""

from twostream.predict.prediction import Prediction, StreamScorer
from twostream.predict.predictor import TwoStreamPredictor
from twostream.predict.timeline import Segment, Timeline

__all__ = ["Prediction", "Segment", "StreamScorer", "Timeline", "TwoStreamPredictor"]
