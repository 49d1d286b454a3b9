"""Measures of labels in time against slow references, written from the definitions."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from made_labels import CLASSES, TIOUS, bouts, labels, value
from twostream.judging import ClassAgreement, compare_labels
from twostream.labels import Bout, Labels, Recording

# Frames at 10 a second, on which all boundaries lie.


def frames(of_one: Recording, label: str | None = None) -> list[str]:
    """Return the label of each frame of 20 s, "" where there is none; or of one label alone."""
    found = [""] * 200
    for bout in of_one.bouts:
        if label in (None, bout.label):
            for i in range(round(10 * bout.start_seconds), round(10 * bout.end_seconds)):
                found[i] = bout.label
    return found


def segments(row: list[str]) -> list[tuple[str, set[int]]]:
    runs = groupby(enumerate(row), key=lambda each: each[1])
    return [(label, {i for i, _ in run}) for label, run in runs if label]


def slow_f1_at(true: Labels, predicted: Labels, overlap: float) -> float:
    found = wrong = missed = 0
    for ours, theirs in zip(true.recordings, predicted.recordings, strict=True):
        wanted, free = segments(frames(ours)), set()
        for label, segment in segments(frames(theirs)):
            same = [
                (len(s & segment) / len(s | segment), -i)
                for i, (n, s) in enumerate(wanted)
                if n == label
            ]
            best, place = max(same, default=(0, 0))
            hit = best >= overlap and place not in free
            free |= {place} if hit else set()
            found, wrong = found + hit, wrong + (not hit)
        missed += len(wanted) - len(free)
    return 2 * found / (2 * found + wrong + missed)


def slow_average_precision(true: Labels, predicted: Labels, label: str, tiou: float) -> float:
    """The mean over all true bouts of the best precision at that recall or a higher one."""
    wanted = [(i, b) for i, r in enumerate(true.recordings) for b in r.bouts if b.label == label]
    ranked = [(i, b) for i, r in enumerate(predicted.recordings) for b in r.bouts]
    ranked = [(i, b) for i, b in ranked if b.label == label]
    taken: set[int] = set()
    hits = []
    for i, bout in sorted(ranked, key=lambda each: -each[1].confidence):
        inside = set(range(round(10 * bout.start_seconds), round(10 * bout.end_seconds)))
        shares = {}
        for number, (j, other) in enumerate(wanted):
            span = set(range(round(10 * other.start_seconds), round(10 * other.end_seconds)))
            if i == j and len(inside & span) / len(inside | span) >= tiou:
                shares[number] = len(inside & span) / len(inside | span)
        free = [number for number in shares if number not in taken]
        hits.append(bool(free))
        taken |= {max(free, key=lambda number: shares[number])} if free else set()
    precision = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    best = [
        max((p for n, p in enumerate(precision) if sum(hits[: n + 1]) >= level), default=0)
        for level in range(1, len(wanted) + 1)
    ]
    return sum(best) / len(wanted)


@st.composite
def recordings(draw: st.DrawFn, overlapping: bool) -> tuple[Bout, ...]:
    """Bouts on a grid of 0.1 s in 0.5 to 19.5 s, none over 10 s: there a recording can be cut."""
    made = []
    for first, last in ((5, 99), (101, 195)):
        cuts = draw(st.lists(st.integers(first, last), min_size=2, max_size=9, unique=True))
        cuts.sort()
        pairs = list(pairwise(cuts))
        if overlapping:
            pairs += [(cuts[0], cuts[-1])]
        for start, end in pairs:
            label = draw(st.sampled_from(["", *CLASSES]))
            if label:
                made.append((start / 10, end / 10, label))
    return bouts(*made)


def sure(*several: tuple[Bout, ...], seed: int) -> list[tuple[Bout, ...]]:
    """Give all bouts confidences of their own."""
    count = sum(map(len, several))
    order = iter(np.random.default_rng(seed).permutation(count).tolist())
    return [
        tuple(replace(b, confidence=(next(order) + 1) / (count + 1)) for b in s) for s in several
    ]


exclusive = recordings(overlapping=False)
SOME = settings(max_examples=15, deadline=None, derandomize=True)


@SOME
@given(exclusive, exclusive, exclusive, exclusive, st.integers(0, 99))
def test_measures_are_those_of_frames(a, b, c, d, seed: int) -> None:
    true, predicted = labels(a, b), labels(*sure(c, d, seed=seed))
    found = compare_labels(true, predicted, draws=0)
    rows = [[f for r in side.recordings for f in frames(r)] for side in (true, predicted)]
    states = {label for row in rows for label in row}
    if len(states) > 1:
        assert value(found, "kappa") == pytest.approx(cohen_kappa_score(*rows), abs=1e-9)
    present = [np.array([[f == label for label in CLASSES] for f in row]) for row in rows]
    scores = precision_recall_fscore_support(*present, average=None, zero_division=np.nan)
    for i, each in enumerate(found.classes):
        ours = [np.nan if x is None else x for x in (each.precision, each.recall, each.f1)]
        expected = [float(scores[j][i]) for j in range(3)]
        np.testing.assert_allclose(ours, expected, atol=1e-9)
        if present[0][:, i].any():
            assert each.average_precision == pytest.approx(
                [slow_average_precision(true, predicted, each.label, tiou) for tiou in TIOUS]
            )
    if any(a + b + c + d):
        for name, overlap in (("f1@10", 0.1), ("f1@25", 0.25), ("f1@50", 0.5)):
            assert value(found, name) == pytest.approx(slow_f1_at(true, predicted, overlap))


@SOME
@given(recordings(overlapping=True), recordings(overlapping=True), st.integers(0, 99))
def test_identical_is_perfect_and_cutting_changes_nothing(a, b, seed: int) -> None:
    a, b = sure(a, b, seed=seed)
    same = compare_labels(labels(a), labels(a), draws=0)
    zero = ("boundary_seconds", "false_bouts_an_hour")
    for name, measure in same.overall.items():
        assert measure.value in (None, 0 if name in zero else 1), name
    assert not a or value(same, "f1") == value(same, "map") == value(same, "f1@50") == 1
    whole = compare_labels(labels(a), labels(b), draws=0)
    halves = compare_labels(*(labels(*cut(each), seconds=10) for each in (a, b)), draws=0)
    assert halves.classes == tuple(
        replace(each, **{f: pytest.approx(getattr(each, f), nan_ok=True) for f in FLOATS})
        for each in whole.classes
    )
    for name in {*whole.overall} - {"edit"}:  # a mean over recordings by its definition
        assert value(halves, name) == pytest.approx(value(whole, name)), name


FLOATS = tuple(
    name for name in ClassAgreement.__dataclass_fields__ if name not in ("label", "true_bouts")
)


def cut(row: tuple[Bout, ...]) -> list[tuple[Bout, ...]]:
    early = tuple(b for b in row if b.end_seconds < 10)
    late = tuple(b for b in row if b.start_seconds > 10)
    return [
        early,
        tuple(
            replace(b, start_seconds=b.start_seconds - 10, end_seconds=b.end_seconds - 10)
            for b in late
        ),
    ]
