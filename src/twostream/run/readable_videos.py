"""Which videos of a run could be read: when what it shows was made, not when it is shown again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from twostream.datasets.kept_videos import NAMED
from twostream.run.description import read_results
from twostream.run.steps import StoredSplit
from twostream.types import DatasetSplit, RunError, VideoScores

logger = logging.getLogger(__name__)


def as_made(
    run: Path, made: Iterable[Path], split: DatasetSplit, now: StoredSplit
) -> tuple[StoredSplit, bool]:
    """Return the videos as a finished run could use them, and say what is otherwise today.

    The nets and scores of a finished run are not made again: what can be read today changes
    nothing of them, neither who was trained on nor the folds.

    Args:
        run: the RUN folder.
        made: the nets and scores that a finished run has.
        split: both sides, whole.
        now: what can be used of it today.

    Returns:
        The videos, and whether the run is finished; ``now`` itself where it is not.
    """
    if not all(path.is_file() for path in made):
        return now, False
    try:
        then = {str(k): str(v) for k, v in read_results(run)["unreadable"].items()}
    except (RunError, KeyError, AttributeError):
        return now, False
    known = {video.video_id for video in split.videos()}
    then = {video_id: why for video_id, why in then.items() if video_id in known}
    for ids, what in (
        (
            now.unusable.keys() - then.keys(),
            "cannot be used any more, named above: the nets and scores that are shown were made "
            "when they could",
        ),
        (
            then.keys() - now.unusable.keys(),
            "can be used today, and could not when the run's nets and scores were made: to use "
            "them, train again with another --out",
        ),
    ):
        if ids:
            count = "1 video" if len(ids) == 1 else f"{len(ids)} videos"
            more = ", ..." if len(ids) > NAMED else ""
            logger.warning(f"{count} {what} ({', '.join(sorted(ids)[:NAMED])}{more})")
    train = tuple(video for video in split.train if video.video_id not in then)
    return StoredSplit(replace(now.split, train=train), now.clips, then), True


def unreadable(unusable: dict[str, str], shown: Sequence[VideoScores]) -> dict[str, str]:
    """Return video id -> why it could not be used, so that it fits the scores that are shown.

    Args:
        unusable: what extraction found.
        shown: the scores. A video with scores of its own could be read when they were made.
    """
    failed = {video_id: why for scores in shown for video_id, why in scores.unreadable.items()}
    scored = {video_id for scores in shown for video_id in scores.video_ids} - failed.keys()
    return {video_id: why for video_id, why in unusable.items() if video_id not in scored} | failed
