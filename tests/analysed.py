"""A visitor's video, decoded in this process, and what serves videos without a server."""

from __future__ import annotations

from pathlib import Path

from twostream.prediction import TwoStreamPredictor
from twostream.web.analysis import Analysis, Decoded
from twostream.web.decoding import decoded
from twostream.web.limits import Deadline, Limits, Places
from twostream.web.networks import OwnNetworks, Served
from twostream.web.service import Service
from twostream.web.uploads import Uploads


def analysed(
    predictor: TwoStreamPredictor,
    video: Path,
    name: str = "a.avi",
    *,
    limits: Limits | None = None,
    seconds: float = 600,
) -> Analysis:
    """Decode a video; all that is asked for afterwards has so many seconds."""
    served = Served.of(predictor)
    limits = limits or Limits()
    files = decoded(video, served.settings, served.kinds, limits, lambda **news: None)
    return Analysis(predictor, Decoded(video, name, files), Deadline(seconds))


def service_of(
    predictor: TwoStreamPredictor, limits: Limits, folder: Path, *videos: Path
) -> Service:
    """Return what serves a run, with a folder of what is sent."""
    networks, uploads = OwnNetworks(predictor), Uploads(folder, limits)
    return Service(networks, "run", limits, uploads, Places(limits), videos)
