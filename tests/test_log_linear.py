"""Log-linear fusion: known weights are found, chance is not listened to, and files come back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from twostream.fusion import fuse, log_linear_fusion, pooled
from twostream.log_linear import (
    FLOOR,
    LEAST,
    LogLinear,
    answer,
    learn,
    product,
    read_fusion,
    write_fusion,
)
from twostream.types import DataError, ModelError, RunError, UsageError, VideoScores

STREAMS = ("spatial", "temporal")
Experts = tuple[list[np.ndarray], np.ndarray]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def experts(
    n: int, k: int, strengths: tuple[float, ...], scales: tuple[float, ...], seed: int = 0
) -> Experts:
    """Independent experts; an exponent of 1 / scale of each is the true posterior.

    Evidence x = strength * onehot + noise has the posterior softmax(strength * x), with equal
    classes; an expert of strength 0 knows nothing, and is loud by its scale all the same.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    found = []
    for strength, scale in zip(strengths, scales, strict=True):
        evidence = strength * np.eye(k)[labels] + rng.standard_normal((n, k))
        found.append(softmax(scale * (strength or 1.0) * evidence))
    return found, labels


def learnt(scores: list[np.ndarray], labels: np.ndarray) -> LogLinear:
    names = STREAMS[: len(scores)]
    return learn([f"c{i}" for i in range(scores[0].shape[1])], names, scores, labels)


def video_scores(
    scores: np.ndarray, labels: np.ndarray, name: str, **changes: object
) -> VideoScores:
    values: dict = {
        "video_ids": tuple(f"v{i:04}" for i in range(len(labels))),
        "labels": labels,
        "classes": tuple(f"c{i}" for i in range(scores.shape[1])),
        "scores": scores.astype(np.float32),
        "stream": name,
    }
    return VideoScores(**{**values, **changes})


def loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def test_the_product_by_hand() -> None:
    """(.8, .2) squared times (.5, .5) is (.64, .04) : sixteen to one."""
    first, second = np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]])
    np.testing.assert_allclose(product([first, second], [2, 1]), [[16 / 17, 1 / 17]], rtol=1e-6)
    np.testing.assert_allclose(product([first, second], [0, 3]), [[0.5, 0.5]], rtol=1e-6)
    # a class that a stream rules out has the floor, and the other stream can still say it
    sure = product([np.array([1.0, 0.0]), np.array([0.0, 1.0])], [1, 2])
    np.testing.assert_allclose(sure, np.array([FLOOR, 1]) / (1 + FLOOR), rtol=1e-5)
    windows = np.random.default_rng(0).dirichlet(np.ones(4), (3, 5))  # any shape before the classes
    whole = product([windows, windows[::-1]], [0.7, 0.2])
    np.testing.assert_allclose(whole[1, 2], product([windows[1, 2], windows[1, 2]], [0.7, 0.2]))
    assert whole.dtype == np.float32


@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.5, 1.6)])
def test_the_weights_of_independent_experts_are_found(scales: tuple[float, float]) -> None:
    found = learnt(*experts(8000, 4, (1.0, 1.3), scales))
    np.testing.assert_allclose(found.weights, 1 / np.array(scales), rtol=0.1)
    np.testing.assert_allclose(found.alone, 1 / np.array(scales), rtol=0.1)
    assert found.clips == 8000 and found.loss < found.loss_average


def test_a_stream_at_chance_is_not_listened_to() -> None:
    for n in (60, 700):
        for seed in range(5):
            scores, labels = experts(n, 10, (0.0, 2.5), (2.0, 0.5), seed)
            found = learnt(scores, labels)
            assert found.weights[0] < 0.05 * found.weights[1], (n, seed)
            assert found.weights[0] * np.log(scores[0]).std() < 0.4
            assert "the spatial stream is" in found.in_words()
            # on other clips it is the better stream, where the average is far below it
            scores, labels = experts(3000, 10, (0.0, 2.5), (2.0, 0.5), seed + 100)
            right = [(each.argmax(axis=1) == labels).mean() for each in (*scores, sum(scores))]
            fused = (found.fused(scores).argmax(axis=1) == labels).mean()
            assert fused > right[1] - 0.01 and right[2] < right[1] - 0.08


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("k", [2, 10, 50])
def test_few_clips_do_no_harm(n: int, k: int) -> None:
    """Never materially worse than the better stream, over draws of clips to learn from."""
    differences, losses = [], []
    for seed in range(8):
        found = learnt(*experts(n, k, (1.5, 2.5), (2.0, 0.4), seed))
        scores, labels = experts(1000, k, (1.5, 2.5), (2.0, 0.4), seed + 50)
        better = max((each.argmax(axis=1) == labels).mean() for each in scores)
        fused = found.fused(scores)
        differences.append((fused.argmax(axis=1) == labels).mean() - better)
        losses.append(loss(fused, labels) - loss(scores[1], labels))
    assert np.mean(differences) > -0.01 and np.mean(losses) < 0
    assert min(differences) > -0.03


def test_scores_that_separate_the_classes_are_bounded() -> None:
    """Maximum likelihood alone would go to infinity."""
    labels = np.arange(30) % 3
    scores = 0.2 + 0.4 * np.eye(3)[labels]
    found = learnt([scores, scores], labels)
    assert 1 < found.weights[0] < 10 and 1 < found.alone[0] < 10
    assert found.weights[0] == pytest.approx(found.weights[1], rel=1e-3)
    perfect = learnt([np.eye(3)[labels]] * 2, labels)
    assert 0 < max(perfect.weights) < 2


def test_no_clips_to_speak_of_give_the_geometric_mean() -> None:
    labels = np.array([0, 1])
    flat = np.full((2, 2), 0.5)
    found = learnt([flat, flat], labels)
    assert found.weights == (0.5, 0.5) and found.alone == (1.0, 1.0)


def test_streams_that_are_both_wrong_keep_their_order_and_say_nothing() -> None:
    labels = np.arange(60) % 3
    wrong = 0.1 + 0.7 * np.eye(3)[(labels + 1) % 3]
    found = learnt([wrong, wrong], labels)
    assert found.weights == (LEAST / 2, LEAST / 2) and found.alone == (LEAST, LEAST)
    fused = found.fused([wrong, wrong])
    np.testing.assert_array_equal(fused.argmax(axis=1), wrong.argmax(axis=1))
    assert fused.max() < 0.4
    assert found.in_words() == "no stream was better than chance, so that all scores stay low"


def test_a_class_without_clips_can_still_be_answered() -> None:
    scores, labels = experts(300, 5, (2.0, 2.5), (1.0, 1.0))
    seen = labels != 3
    found = learnt([each[seen] for each in scores], labels[seen])
    fused = found.fused(scores)
    assert (fused[~seen].argmax(axis=1) == 3).mean() > 0.7


def test_classes_count_alike_where_that_is_asked_for() -> None:
    """As if the rarer class had as many clips: here three times each."""
    scores, labels = experts(400, 2, (1.0, 0.5), (2.0, 0.7))
    rare = np.flatnonzero(labels == 1)[:60]
    common = np.flatnonzero(labels == 0)[:180]
    some, thrice = np.concatenate([common, rare]), np.concatenate([common, *[rare] * 3])
    alike = learn(("a", "b"), STREAMS, [each[some] for each in scores], labels[some], alike=True)
    wanted = learn(("a", "b"), STREAMS, [each[thrice] for each in scores], labels[thrice])
    plain = learn(("a", "b"), STREAMS, [each[some] for each in scores], labels[some])
    np.testing.assert_allclose(alike.weights, wanted.weights, rtol=0.02)
    np.testing.assert_allclose(alike.alone, wanted.alone, rtol=0.02)
    assert np.abs(np.subtract(plain.weights, wanted.weights)).max() > 0.05


def test_what_cannot_be_learnt_from() -> None:
    scores, labels = experts(30, 3, (1.0, 1.0), (1.0, 1.0))
    with pytest.raises(DataError, match="at least two classes"):
        learnt(scores, np.zeros(30, np.int64))
    scores[1][4, 2] = np.nan
    with pytest.raises(DataError, match=r"temporal scores .* no number: its training diverged"):
        learnt(scores, labels)


# of scores, by video id


def test_unreadable_clips_and_those_without_a_label_are_left_out() -> None:
    scores, labels = experts(80, 3, (1.5, 2.0), (1.0, 1.0))
    good = [video_scores(each, labels, name) for each, name in zip(scores, STREAMS, strict=True)]
    wanted = log_linear_fusion([each.select(each.video_ids[20:]) for each in good])
    labels = labels.copy()
    labels[:10] = -1
    broken = scores[1].copy()
    broken[10:20] = 0
    bad = {f"v{i:04}": "cut off" for i in range(10, 20)}
    found = log_linear_fusion(
        [
            video_scores(scores[0], labels, "spatial"),
            video_scores(broken, labels, "temporal", unreadable=bad),
        ]
    )
    assert found == wanted and found.clips == 60


def test_fuse_and_pooled_match_by_id() -> None:
    scores, labels = experts(90, 4, (1.0, 2.0), (2.0, 0.5))
    train = [video_scores(each, labels, name) for each, name in zip(scores, STREAMS, strict=True)]
    scores, labels = experts(50, 4, (1.0, 2.0), (2.0, 0.5), seed=1)
    test = [video_scores(each, labels, name) for each, name in zip(scores, STREAMS, strict=True)]
    fused = fuse(test, method="log-linear", fit=train)
    assert (fused.kind, fused.stream) == ("probabilities", "fused")
    np.testing.assert_allclose(fused.scores.sum(axis=1), 1, rtol=1e-5)
    fusion = log_linear_fusion(train)
    np.testing.assert_allclose(fused.scores, fusion.fused(scores), atol=1e-6)
    mixed = pooled([test[1].select(test[1].video_ids[::-1]), test[0]], fusion)
    np.testing.assert_array_equal(mixed.scores[::-1], fused.scores)
    with pytest.raises(UsageError, match="method log-linear learns from scores of training clips"):
        fuse(test, method="log-linear")
    with pytest.raises(UsageError, match="same order, got temporal for spatial"):
        fuse(test, method="log-linear", fit=train[::-1])
    with pytest.raises(UsageError, match="needs probabilities"):
        log_linear_fusion([train[0], video_scores(scores[1], labels, "svm", kind="logits")][1:])


# as it is kept


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    fusion = learnt(*experts(40, 3, (1.0, 2.0), (2.0, 0.5)))
    assert read_fusion(tmp_path) is None
    write_fusion(tmp_path, fusion)
    assert read_fusion(tmp_path) == fusion
    text = json.loads((tmp_path / "fusion.json").read_text())
    assert (text["method"], text["clips"]) == ("log-linear", 40)
    weights = [text["streams"][name]["weight"] for name in STREAMS]
    for change, words in (
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ({"method": "magic"}, "it is 'magic'"),
        ({"floor": 0.5}, "floor of 0.5"),
        ({"streams": {"spatial": {"weight": -1, "alone": 1}}}, "0 or more"),
        ({"streams": {"spatial": {"weight": 1}}}, "alone"),
        ({"streams": {}}, "a weight a stream"),
    ):
        damaged = change if isinstance(change, str) else json.dumps(text | change)
        (tmp_path / "fusion.json").write_text(damaged)
        with pytest.raises(RunError, match=words) as error:
            read_fusion(tmp_path)
        assert "--resume" in str(error.value) and "\n" not in str(error.value)
    assert weights == list(fusion.weights)


def test_other_models_are_refused_and_one_alone_is_calibrated() -> None:
    fusion = learnt(*experts(40, 3, (1.0, 2.0), (2.0, 0.5)))
    assert fusion.of(STREAMS[::-1], fusion.classes) is fusion
    lone = fusion.of(["temporal"], fusion.classes)
    scores = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_array_equal(lone.fused([scores]), fusion.calibrated("temporal", scores))
    assert (lone.streams, lone.weights) == (("temporal",), (fusion.alone[1],))
    for streams, classes in ((STREAMS, ("a", "b", "c")), (("audio",), fusion.classes)):
        with pytest.raises(ModelError, match="they are not of one run"):
            fusion.of(streams, classes)


def test_without_a_fusion_the_average_answers() -> None:
    streams = {"spatial": np.array([0.8, 0.2]), "temporal": np.array([0.1, 0.9])}
    np.testing.assert_allclose(answer(None, streams), [0.45, 0.55])
    fusion = LogLinear(("a", "b"), STREAMS[::-1], (2.0, 0.0), (1.0, 1.0), 9, 1.0, 0.5)
    wanted = np.array([0.01, 0.81]) / 0.82  # by the temporal stream alone, though it comes second
    np.testing.assert_allclose(answer(fusion, streams), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ((0.5, 1.05), "the temporal stream counts 2.1 times as much as the spatial"),
        ((2.0, 2.1), "the streams count alike"),
        ((0.0, 2.0), "the temporal stream counts alone; the spatial stream is not listened to"),
        ((3.0, 0.1), "the spatial stream counts alone; the temporal stream is hardly listened to"),
    ],
)
def test_weights_in_words(weights: tuple[float, float], words: str) -> None:
    fusion = LogLinear(("a", "b"), STREAMS, weights, (1.0, 1.0), 9, 1.0, 0.5)
    assert fusion.in_words() == words
