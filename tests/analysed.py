"""A visitor's video, decoded in this process: what the server keeps of it, without its children."""

from __future__ import annotations

from pathlib import Path

from twostream.prediction import TwoStreamPredictor
from twostream.web.analysis import Analysis
from twostream.web.decoding import decoded, seen_by
from twostream.web.limits import Deadline, Limits


def analysed(
    predictor: TwoStreamPredictor,
    video: Path,
    name: str = "a.avi",
    *,
    limits: Limits | None = None,
    seconds: float = 600,
) -> Analysis:
    """Decode a video; all that is asked for afterwards has so many seconds."""
    files = decoded(video, *seen_by(predictor), limits or Limits(), lambda **news: None)
    return Analysis(predictor, video, name, files=files, deadline=Deadline(seconds))
