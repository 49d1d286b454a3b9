"""What visitors ask of the networks: computed wherever these are, the server's process or another.

Each of the functions takes the run, the video, its deadline and whom it tells its progress; what
it is given and returns can be sent to a process beside the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twostream.prediction import Timeline, TwoStreamPredictor
from twostream.store.clip_file import ClipFile
from twostream.store.coding import Kind
from twostream.types import Progress
from twostream.web.analysis import Analysis
from twostream.web.limits import Deadline
from twostream.web.shown import moment_shown, video_shown


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A video as its decoder left it.

    Attributes:
        path: the file that was decoded; it is not needed any more.
        name: as the visitor calls it.
        files: kind -> its frames or flow.
    """

    path: Path
    name: str
    files: Mapping[Kind, ClipFile]

    def analysis(self, predictor: TwoStreamPredictor, deadline: Deadline) -> Analysis:
        """Return it as a run sees it; raises VideoError where it is too small for that."""
        return Analysis(predictor, self.path, self.name, files=self.files, deadline=deadline)


def labelled(
    predictor: TwoStreamPredictor,
    video: Decoded,
    deadline: Deadline,
    progress: Progress,
    top: int,
    timeline: bool,
) -> dict[str, Any]:
    """Return what ``twostream predict --json`` says of a video."""
    analysis = video.analysis(predictor, deadline)
    answer = {**analysis.predict().to_json(top), "video": video.name, "warning": analysis.warning}
    if timeline:
        answer["timeline"] = analysis.timeline(progress).to_json()
    return answer


def shown(
    predictor: TwoStreamPredictor, video: Decoded, deadline: Deadline, progress: Progress
) -> tuple[dict[str, Any], Timeline]:
    """Return what the page shows of a video with its best moment, and its time line."""
    analysis = video.analysis(predictor, deadline)
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
    return moment_shown(video.analysis(predictor, deadline), timeline, seconds)
