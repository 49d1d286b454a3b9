"""A stand-in for the networks of time lines, and videos for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from twostream.bout_model import THRESHOLD
from twostream.prediction import Segment, Timeline, TwoStreamPredictor
from twostream.prediction.timeline import LONG
from twostream.types import VideoError
from untrained import make_models, write_clip


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder but its lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def three_videos(folder: Path) -> Path:
    """Three videos of 1.2, 0.8 and 1 second in a folder, two of one name."""
    for name, frames in (("a/one.avi", 30), ("a/two.avi", 20), ("b/one.avi", 25)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(folder / name, frames=frames)
    return folder


class Seen:
    """Stands for the networks: the segments that a test says, and which videos were asked for.

    Attributes:
        segments: name -> (start, end, label, score); others are one segment of "a".
        videos: names, as they came.
        before: called with each video.
        points: labels that are point events.
    """

    def __init__(self) -> None:
        self.segments: dict[str, list[tuple[float, float, str | None, float | None]]] = {}
        self.videos: list[str] = []
        self.before: Callable[[Path], object] = lambda video: None
        self.points: tuple[str, ...] = ()

    @classmethod
    def instead(cls, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Put one in the place of all networks."""
        stand_in = cls()

        class Loaded:
            spec = make_models(None)[0].spec
            windows, threshold = LONG, THRESHOLD
            timeline = staticmethod(lambda *given, **more: stand_in.timeline(*given, **more))

        monkeypatch.setattr(TwoStreamPredictor, "load", lambda run, device: Loaded())
        return stand_in

    def timeline(self, video: Path, **options: Any) -> Timeline:
        """What a predictor's method gives."""
        self.videos.append(f"{video.parent.name}/{video.name}")
        self.before(video)
        if video.is_file() and video.read_bytes().startswith(b"no"):
            raise VideoError(video, "is no video")
        rows = self.segments.get(self.videos[-1], [(0.0, 1.0, "a", 0.5)])
        return Timeline(
            video,
            ("a", "b", "other", "a and b"),
            np.array([0.5]),
            np.full((1, 4), 0.25, np.float32),
            {"spatial": np.full((1, 4), 0.25, np.float32)},
            tuple(Segment(*row) for row in rows),
            None,
            rows[-1][1],
            together={"a and b": ("a", "b")},
            points=self.points,
        )
