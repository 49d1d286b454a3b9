"""How much scores count beside durations, and when nothing is said: as held-out bouts ask."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twostream.bout_model import BoutModel, read_bouts, write_bouts
from twostream.labels import Bout, Labels, Recording
from twostream.prediction.prediction import Prediction
from twostream.prediction.timeline import Timeline
from twostream.run.bout_evidence import HeldOut, chosen_evidence, telling_first

CLASSES = ("hop", "kick", "other")
# as JHMDB's: short actions with longer pauses between, each action seldom
MODEL = BoutModel(CLASSES, (0.5, 0.5, 0.5), (1.4, 1.4, 3.0), (0.02, 0.02, 0.96), 50)
BOUTS = [(2.0, 3.4, "hop"), (6.0, 7.4, "kick"), (10.0, 11.4, "hop"), (14.0, 15.4, "kick")]
SECONDS, EVERY = 18.0, 0.2


def line_of(name: str, right: float, noise: float, seed: int, model: BoutModel = MODEL) -> Timeline:
    """What a net says that gives the true class so much, and the rest to the others, with noise."""
    rng = np.random.default_rng(seed)
    windows = []
    for k in range(round(SECONDS / EVERY)):
        start = k * EVERY
        label = next((b[2] for b in BOUTS if b[0] <= start + EVERY / 2 < b[1]), "other")
        scores = np.full(3, (1 - right) / 2)
        scores[CLASSES.index(label)] = right
        scores = np.exp(np.log(scores) + noise * rng.standard_normal(3))
        scores = (scores / scores.sum()).astype(np.float32)
        given = {"spatial": scores}
        windows.append(
            Prediction(None, CLASSES, scores, given, start_seconds=start, end_seconds=start + EVERY)
        )
    return Timeline.of_windows(
        Path(name), windows, seconds=SECONDS, warning=None, smooth_seconds=0.0, bouts=model
    )


def fold_of(*lines: Timeline) -> HeldOut:
    bouts = tuple(Bout(*bout) for bout in BOUTS)
    recordings = tuple(Recording(line.video.name, bouts, SECONDS) for line in lines)
    return HeldOut(Labels(recordings, CLASSES[:2]), {line.video.name: line for line in lines})


def test_a_threshold_that_leaves_nothing_is_not_chosen() -> None:
    """No bout is in the time that is judged, and all that are said are weak."""
    line = line_of("a.mp4", 0.39, 0.0, 1)
    model = replace(MODEL, mean_seconds=(0.6, 0.6, 0.6), shares=(0.3, 0.3, 0.4))
    trusting = replace(model, look_seconds=0.04, threshold=0.0)
    assert {s.label for s in line.decoded(trusting).segments} > {"other"}
    assert max(s.score or 0 for s in line.segments) < 0.4
    quiet = Recording("a.mp4", (Bout(2.0, 3.4, "hop"),), SECONDS, watched=((0.0, 1.0), (3.4, 18.0)))
    for bouts, chosen in (((), model.look_seconds), (quiet.bouts, None)):
        true = Labels((replace(quiet, bouts=bouts),), CLASSES[:2])
        found = chosen_evidence(model, [HeldOut(true, {"a.mp4": line})])
        assert chosen is None or (found.look_seconds, found.threshold) == (chosen, model.threshold)


def test_recordings_with_bouts_are_looked_at_first() -> None:
    some = [
        Recording("a.mp4", ()),
        Recording("b.mp4", (Bout(0, 1, "hop"),)),
        Recording("c.mp4", ()),
    ]
    assert telling_first(Labels(tuple(some), ("hop",))) == ["b.mp4", "a.mp4", "c.mp4"]


def test_short_bouts_of_weak_scores_are_found_where_each_look_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At .4 s a look the durations outweigh the scores: nothing but "other" is ever said."""
    fold = fold_of(line_of("a.mp4", 0.5, 0.1, 1), line_of("b.mp4", 0.5, 0.1, 2))
    assert {s.label for line in fold.lines.values() for s in line.segments} == {"other"}
    with caplog.at_level(logging.INFO, "twostream"):
        found = chosen_evidence(MODEL, [fold])
    assert found.look_seconds < 0.2
    assert "s of scores count as one look" in caplog.text
    for line in fold.lines.values():
        said = [s.label for s in line.decoded(found).segments if s.label != "other"]
        assert said == ["hop", "kick", "hop", "kick"]


def test_flicker_is_smoothed_where_that_finds_more() -> None:
    lines = [line_of(f"{i}.mp4", 0.75, 2.0, i) for i in range(3)]
    assert chosen_evidence(MODEL, [fold_of(*lines)]).look_seconds > 0.04


def test_the_threshold_is_what_finds_most() -> None:
    unsure = [line_of(f"{i}.mp4", 0.395, 0.02, i) for i in range(2)]  # right, and never sure
    assert chosen_evidence(MODEL, [fold_of(*unsure)]).threshold < 0.39
    sure = [line_of(f"{i}.mp4", 0.97, 0.02, i) for i in range(2)]
    assert chosen_evidence(MODEL, [fold_of(*sure)]).threshold == 0.4


def test_where_nothing_can_be_judged_the_model_stays() -> None:
    assert chosen_evidence(MODEL, []) is MODEL
    line = line_of("a.mp4", 0.5, 0.1, 1)
    unseen = replace(fold_of(line), lines={})
    assert chosen_evidence(MODEL, [unseen]) is MODEL
    unwatched = Labels((Recording("a.mp4", (), SECONDS, watched=()),), CLASSES[:2])
    assert chosen_evidence(MODEL, [replace(fold_of(line), true=unwatched)]) is MODEL


def test_what_was_chosen_comes_back_and_older_files_are_as_they_were(tmp_path: Path) -> None:
    model = replace(MODEL, look_seconds=0.1, threshold=0.2)
    write_bouts(tmp_path, model)
    assert read_bouts(tmp_path) == model
    text = (tmp_path / "bouts.json").read_text()
    assert '"look_seconds": 0.1' in text and '"threshold": 0.2' in text
    older = {k: v for k, v in model.to_json().items() if k not in ("look_seconds", "threshold")}
    assert BoutModel.from_json(older) == MODEL
    for change in ({"look_seconds": 0}, {"look_seconds": float("nan")}, {"threshold": 1.5}):
        with pytest.raises(ValueError, match=r"a look takes|a threshold lies"):
            replace(MODEL, **change)
