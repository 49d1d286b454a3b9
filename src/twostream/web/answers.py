"""What visitors ask of the networks: computed where these are, in a process beside the server.

Each of the functions takes the run, the video, its deadline and whom it tells its progress; what
it is given and returns can be sent there.
"""

from __future__ import annotations

from typing import Any

from twostream.prediction import Timeline, TwoStreamPredictor
from twostream.types import Progress
from twostream.web.analysis import Analysis, Decoded
from twostream.web.limits import Deadline
from twostream.web.shown import moment_shown, video_shown


def labelled(
    predictor: TwoStreamPredictor,
    video: Decoded,
    deadline: Deadline,
    progress: Progress,
    top: int,
    timeline: bool,
) -> dict[str, Any]:
    """Return what ``twostream predict --json`` says of a video."""
    analysis = Analysis(predictor, video, deadline)
    answer = {**analysis.predict().to_json(top), "video": video.name, "warning": analysis.warning}
    if timeline:
        answer["timeline"] = analysis.timeline(progress).to_json()
    return answer


def shown(
    predictor: TwoStreamPredictor, video: Decoded, deadline: Deadline, progress: Progress
) -> tuple[dict[str, Any], Timeline]:
    """Return what the page shows of a video with its best moment, and its time line."""
    analysis = Analysis(predictor, video, deadline)
    prediction = analysis.predict()
    timeline = analysis.timeline(progress)
    best = float(timeline.times[int(timeline.scores.max(axis=1).argmax())])
    page = video_shown(analysis, prediction, timeline)
    return {**page, "moment": moment_shown(analysis, timeline, best)}, timeline


def moment(
    predictor: TwoStreamPredictor,
    video: Decoded,
    deadline: Deadline,
    progress: Progress,
    timeline: Timeline,
    seconds: float,
) -> dict[str, Any]:
    """Return what the page shows of a moment of a video that was shown."""
    return moment_shown(Analysis(predictor, video, deadline), timeline, seconds)
