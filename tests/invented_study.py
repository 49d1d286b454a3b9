"""Studies with invented runs: scores as ``train_run`` would leave them, without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from twostream.checkpoint import StreamModel, save_model
from twostream.experiments import Study
from twostream.experiments.nets import NETS
from twostream.experiments.study import PlannedRun
from twostream.files import write_json
from twostream.recipes import make_recipe
from twostream.scoring import save_scores
from twostream.types import DatasetSplit, VideoScores
from untrained import make_spec


def study_of(first: Path, out: Path, **changes: object) -> Study:
    """Return a study of one data set with nets of two steps."""
    recipe = make_recipe("quick", steps=2, test_positions=1)
    values: dict = {"data": (str(first),), "recipe": recipe, "out": out}
    return Study(**{**values, **changes})


def split_of(study: Study, run: PlannedRun) -> DatasetSplit:
    """Return who is trained on and tested in a run."""
    settings = run.settings
    return settings.choice.of(study.datasets[run.target], seed=settings.seed)


def fake_run(
    study: Study, run: PlannedRun, share_right: float, *, training_shift: int | None = None
) -> None:
    """Write the scores of a finished run that has the first clips of each fold right.

    Args:
        study: whose run it is.
        run: which one.
        share_right: of the test and training clips; wrong ones are taken for the next class.
        training_shift: all training clips are taken for the class so much further on.
    """
    split = split_of(study, run)
    stream = NETS[run.net].stream
    for subset in ("test", "train"):
        videos = split.videos(subset)  # type: ignore[arg-type]
        labels = np.array([video.label for video in videos])
        k = len(split.classes)
        right = np.arange(len(videos)) < share_right * len(videos)
        chosen = np.where(right, labels, (labels + 1) % k)
        if subset == "train" and training_shift is not None:
            chosen = (labels + training_shift) % k
        scores = np.full((len(videos), k), 0.2 / k, np.float32)
        scores[np.arange(len(videos)), chosen] += 0.8
        ids = tuple(video.video_id for video in videos)
        kept = VideoScores(ids, labels, split.classes, scores, stream=stream)
        save_scores(run.folder / "scores" / f"{stream}-{subset}.npz", kept)
    if run.net == "flow-10":  # figure 4 looks at its filters
        spec = make_spec(run.settings.temporal, classes=split.classes, crop_size=64)
        save_model(run.folder / "temporal.safetensors", StreamModel(spec))
    results = {
        "seconds": {"train": 3.0},
        "accuracy": {stream: share_right},
        "train_accuracy": {stream: 1.0},
    }
    write_json(run.folder / "results.json", results)


def with_data(study: Study, **changes: object) -> Study:
    """Return the study with its first data set changed."""
    study.__dict__["datasets"] = (replace(study.datasets[0], **changes),)  # a cached property
    return study
