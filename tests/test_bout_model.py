"""Bouts from scores: against all possible orders, by known answers, and through a RUN's files."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from twostream.bout_model import (
    FLOOR,
    LOOK_SECONDS,
    Belief,
    BoutModel,
    learn,
    read_bouts,
    write_bouts,
)
from twostream.prediction.timeline import find_bouts
from twostream.types import ModelError, RunError

MODEL = BoutModel(("rest", "walk", "run"), (0.4, 1.2, 0.8), (2.0, 1.6, 1.0), (0.5, 0.3, 0.2), 40)


def likelihood(model: BoutModel, scores: np.ndarray, step: float, path: tuple[int, ...]) -> float:
    """How likely an order of classes is, bout by bout, as the text of the model says it."""
    looks = min(step / LOOK_SECONDS, 1)  # none counts more than once
    total = sum(looks * math.log(max(row[c], FLOOR)) for row, c in zip(scores, path, strict=True))
    bouts = [(label, len(list(group))) for label, group in itertools.groupby(path)]
    for number, (label, length) in enumerate(bouts):
        first, last = number == 0, number == len(bouts) - 1
        least = max(1, math.floor(model.shortest_seconds[label] / step + 1e-9))
        more = max(model.mean_seconds[label] / step - least, 1.0)
        if length < least and not (first or last):
            return -math.inf
        total += math.log(model.shares[label])
        if number:  # it follows another class: of what follows that one, a share
            total -= math.log(1 - model.shares[bouts[number - 1][0]])
        total += max(0, length - least) * math.log(more / (more + 1))
        total += 0 if last else -math.log(more + 1)
    return total


@pytest.mark.parametrize("seed", range(12))
def test_the_likeliest_of_all_orders_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(3, 0.4), 8)
    for step in (0.4, 0.2, 0.6):
        found = MODEL.decode([scores[:3], scores[3:]], step)
        path = tuple(label for first, end, label in found for _ in range(first, end))
        best = max(
            likelihood(MODEL, scores, step, each) for each in itertools.product(range(3), repeat=8)
        )
        assert likelihood(MODEL, scores, step, path) == pytest.approx(best)
        assert [first for first, _, _ in found[1:]] == [end for _, end, _ in found[:-1]]


def test_a_flicker_is_no_bout_and_a_bout_is_one() -> None:
    """A score that rises for less than a bout's shortest time is passed over."""
    model = BoutModel(("rest", "walk"), (1.0, 1.0), (3.0, 3.0), (0.5, 0.5), 9)
    walking = np.full(40, 0.05)
    walking[5:7] = 0.95
    walking[20:30] = 0.95
    assert model.decode([np.stack([1 - walking, walking], axis=1)], 0.2) == [
        (0, 20, 0),
        (20, 30, 1),
        (30, 40, 0),
    ]


def test_a_single_class_lasts_all_the_time() -> None:
    alone = BoutModel(("walk",), (1.0,), (3.0,), (1.0,), 9)
    assert alone.decode([np.ones((7, 1))], 0.2) == [(0, 7, 0)]
    assert MODEL.decode([np.array([[0.1, 0.8, 0.1]])], 0.2) == [(0, 1, 1)]


def test_bouts_end_between_windows() -> None:
    """Windows lie 0.5 s apart; the scores cross at 2.125 s."""
    times = np.arange(0.25, 4.0, 0.5)
    walking = np.array([0.1, 0.1, 0.1, 0.4, 0.8, 0.9, 0.9, 0.9], np.float32)
    scores = np.stack([1 - walking, walking], axis=1)
    model = BoutModel(("rest", "walk"), (0.4, 0.4), (2.0, 2.0), (0.5, 0.5), 9)
    first, second = find_bouts(model, times, scores, model.classes, threshold=0.4, seconds=4.0)
    assert (first.label, second.label) == ("rest", "walk")
    assert first.start_seconds == 0
    assert first.end_seconds == second.start_seconds == pytest.approx(1.875, abs=0.03)
    assert second.end_seconds == 4.0
    assert 0.8 < second.score < 0.9
    (nothing,) = find_bouts(model, times, scores, model.classes, threshold=0.99, seconds=4.0)
    assert nothing.label is None
    assert (nothing.start_seconds, nothing.end_seconds) == (0, 4.0)


def test_belief_is_the_forward_algorithm() -> None:
    """Against the sum over all orders of classes, moment by moment."""
    rng = np.random.default_rng(3)
    scores, every = rng.dirichlet(np.ones(3), 5), LOOK_SECONDS / 2
    belief = Belief(MODEL)
    mean, shares = np.array(MODEL.mean_seconds), np.array(MODEL.shares)
    ends = 1 - np.exp(-every / mean)
    step = np.diag(1 - ends)
    for one, other in itertools.permutations(range(3), 2):
        step[one, other] = ends[one] * shares[other] / (1 - shares[one])
    np.testing.assert_allclose(step.sum(axis=1), 1)
    for moment, row in enumerate(scores):
        found = belief.update(row, every * moment)
        likely = np.zeros(3)
        for path in itertools.product(range(3), repeat=moment + 1):
            first = shares @ step[:, path[0]]
            moves = [step[a, b] for a, b in itertools.pairwise(path)]
            seen = [scores[at, label] ** 0.5 for at, label in enumerate(path)]
            likely[path[-1]] += first * np.prod(moves) * np.prod(seen)
        np.testing.assert_allclose(found, likely / likely.sum(), atol=1e-6)


def test_durations_come_from_the_labels(tmp_path: Path) -> None:
    lasted = [("walk", 1.0), ("walk", 2.0), ("walk", 6.0), ("rest", 5.0)]
    model = learn(("rest", "walk"), lasted)
    assert model.mean_seconds == (5.0, 3.0)
    assert model.shortest_seconds == pytest.approx((2.5, 0.6))  # half of the 10% quantile
    assert model.shares == (0.25, 0.75)
    told = learn(("rest", "walk"), lasted, {"walk": ("go", "wave")}, ["wave"])
    assert told.together == {"walk": ("go", "wave")} and told.points == ("wave",)
    for each in (model, told):
        write_bouts(tmp_path, each)
        assert read_bouts(tmp_path) == each
    assert model.of(("rest", "walk")) is model
    with pytest.raises(ModelError, match="not of one run"):
        model.of(("walk", "rest"))
    never = learn(("rest", "run", "walk"), lasted)  # as in a fold that has no bout of it
    assert never.mean_seconds == (5.0, 3.5, 3.0) and never.shares == (0.2, 0.2, 0.6)
    assert never.bouts == 4


@pytest.mark.parametrize(
    ("name", "value"), [("mean_seconds", 0), ("share", float("nan")), ("share", -1)]
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, name: str, value: float) -> None:
    assert read_bouts(tmp_path) is None
    text = MODEL.to_json()
    text["classes"]["walk"][name] = value
    (tmp_path / "bouts.json").write_text(json.dumps(text))
    with pytest.raises(RunError, match=r"bouts.json cannot be read .*--resume"):
        read_bouts(tmp_path)
