"""Late fusion: by video id, loud about what does not fit, and the SVM of section 6."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from twostream.__main__ import run
from twostream.fusion import fuse, match, svm_features
from twostream.run import cross_fitting
from twostream.scoring import save_scores
from twostream.types import DataError, UsageError, VideoScores

CLASSES = ("jump", "run", "walk")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def stream(
    name: str = "spatial",
    *,
    n: int = 30,
    seed: int = 0,
    classes: tuple[str, ...] = CLASSES,
    prefix: str = "v",
    strength: float = 1.0,
    labels: np.ndarray | None = None,
    **changes: object,
) -> VideoScores:
    """Scores that favour the true class by ``strength`` in the logits."""
    rng = np.random.default_rng(seed)
    if labels is None:
        labels = np.arange(n) % len(classes)
    logits = rng.standard_normal((n, len(classes))) + strength * np.eye(len(classes))[labels]
    values: dict = {
        "video_ids": tuple(f"{prefix}{i:03}" for i in range(n)),
        "labels": labels.astype(np.int64),
        "classes": classes,
        "scores": softmax(logits),
        "stream": name,
    }
    return VideoScores(**{**values, **changes})


def shuffled(scores: VideoScores, seed: int = 9) -> VideoScores:
    order = np.random.default_rng(seed).permutation(len(scores.video_ids))
    return scores.select([scores.video_ids[i] for i in order])


def by_id(scores: VideoScores) -> dict[str, list[float]]:
    return dict(zip(scores.video_ids, scores.scores.tolist(), strict=True))


def test_average_is_the_mean_of_the_softmax_scores() -> None:
    spatial, temporal = stream("spatial"), stream("temporal", seed=1)
    fused = fuse([spatial, temporal])
    np.testing.assert_allclose(fused.scores, (spatial.scores + temporal.scores) / 2, rtol=1e-6)
    np.testing.assert_allclose(fused.scores.sum(axis=1), 1, rtol=1e-5)
    assert (fused.kind, fused.stream, fused.classes) == ("probabilities", "average", CLASSES)
    assert fused.video_ids == spatial.video_ids
    np.testing.assert_array_equal(fused.labels, spatial.labels)


@pytest.mark.parametrize("method", ["average", "weighted", "svm"])
def test_the_order_of_rows_does_not_matter(method: str) -> None:
    spatial, temporal = stream("spatial"), stream("temporal", seed=1, strength=3)
    fit = [stream(name, prefix="t", seed=s) for name, s in (("spatial", 2), ("temporal", 3))]
    more: dict = {"weighted": {"weights": [1, 2]}, "svm": {"fit": fit}}.get(method, {})
    straight = fuse([spatial, temporal], method=method, **more)
    mixed = fuse([spatial, shuffled(temporal)], method=method, **more)
    np.testing.assert_array_equal(mixed.scores, straight.scores)
    assert mixed.accuracy() == straight.accuracy() > 0.6
    other_first = fuse([shuffled(spatial), temporal], method=method, **more)
    assert by_id(other_first) == by_id(straight)
    if method == "svm":
        more = {"fit": [fit[0], shuffled(fit[1])]}
        assert by_id(fuse([spatial, temporal], method=method, **more)) == by_id(straight)


def test_weights_are_shares() -> None:
    spatial, temporal = stream("spatial"), stream("temporal", seed=1)
    fused = fuse([spatial, temporal], method="weighted", weights=[1, 3])
    np.testing.assert_allclose(
        fused.scores, 0.25 * spatial.scores + 0.75 * temporal.scores, rtol=1e-5
    )
    only = fuse([spatial, temporal], method="weighted", weights=[0, 7])
    np.testing.assert_allclose(only.scores, temporal.scores, rtol=1e-6)
    assert fused.stream == "weighted"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "max"}, "unknown fusion method 'max': use one of average, weighted, svm"),
        ({"method": "weighted"}, "needs weights, one a stream: give --weights 1,2"),
        ({"weights": [1, 2]}, "weights go with"),
        ({"method": "svm"}, "scores of training clips: give --fit FILE once a stream"),
        ({"fit": [stream()]}, "fit.* go with method svm"),
        ({"method": "weighted", "weights": [1]}, "needs 2 weights"),
        ({"method": "weighted", "weights": [1, -1]}, "0 or more"),
        ({"method": "weighted", "weights": [1, float("nan")]}, "0 or more"),
        ({"method": "weighted", "weights": [1, float("inf")]}, "0 or more"),
        ({"method": "weighted", "weights": [0, 0]}, "all fusion weights are 0"),
        ({"method": "svm", "fit": [stream(prefix="t")]}, "got 1 for 2"),
        (
            {"method": "svm", "fit": [stream("temporal"), stream("spatial")]},
            "same order, got temporal for spatial",
        ),
    ],
)
def test_wrong_options_are_refused(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fuse([stream("spatial"), stream("temporal")], **options)


def test_decision_values_cannot_be_averaged() -> None:
    with pytest.raises(UsageError, match="needs probabilities"):
        fuse([stream("spatial"), stream("svm", kind="logits")])


@pytest.mark.parametrize(
    ("classes", "words"), [("jump run skip", "skip, walk"), ("run jump walk", "order")]
)
def test_other_classes_or_another_order_are_refused(classes: str, words: str) -> None:
    with pytest.raises(DataError, match=f"differing in {words}"):
        fuse([stream(), stream("temporal", classes=tuple(classes.split()))])


def test_missing_videos_are_named_whichever_stream_lacks_them() -> None:
    whole = stream("spatial")
    part = stream("temporal").select(whole.video_ids[:-2])
    with pytest.raises(DataError, match=r"no temporal scores for 2 videos, the first is v028"):
        fuse([whole, part])
    with pytest.raises(DataError, match=r"temporal has no scores for 2 .* the first is v028"):
        fuse([part, whole])


def test_differing_labels_are_refused() -> None:
    labels = np.arange(30) % 3
    labels[4] = 0
    with pytest.raises(DataError, match=r"label of v004 differs between spatial and temporal"):
        fuse([stream(), stream("temporal", labels=labels)])
    # the same labels in another order of rows are the same labels
    fuse([stream(), shuffled(stream("temporal"))])


def test_nothing_to_fuse() -> None:
    with pytest.raises(DataError, match="nothing to fuse"):
        fuse([])


@pytest.mark.slow  # measures CPU time
def test_matching_thousands_of_videos_is_quick() -> None:
    many = [stream(name, n=13_000) for name in ("spatial", "temporal")]
    started = time.process_time()
    match([many[0], shuffled(many[1])])
    assert time.process_time() - started < 2  # 6 s when each look-up builds its set again


def test_videos_that_one_stream_could_not_read_stay_unreadable() -> None:
    spatial = stream("spatial", unreadable={"v003": "cut off"})
    temporal = stream("temporal", unreadable={"v004": "no flow"})
    fit = [stream(name, prefix="t", seed=5) for name in ("spatial", "temporal")]
    for fused in (
        fuse([spatial, temporal]),
        fuse([spatial, temporal], method="svm", fit=fit),
    ):
        assert fused.unreadable == {"v003": "cut off", "v004": "no flow"}
        assert not fused.scores[3:5].any()
        assert fused.predictions()[3:5].tolist() == [-1, -1]
        assert not fused.correct()[3:5].any()


@pytest.mark.parametrize("method", ["svm", "log-linear"])
def test_clips_that_fusion_learns_from_are_told_where_it_is_judged_by_them(
    method: str, said: list[str]
) -> None:
    test = [stream("spatial"), stream("temporal", seed=1)]
    fuse(test, method=method, fit=test)
    assert "30 of 30 clips to fuse are among those that the fusion learnt from" in said[-1]
    assert "the first is v000: the accuracy will be too high" in said[-1]
    labels = test[0].labels.copy()
    labels[12] = -1  # without a label: nothing is learnt from it
    part = [replace(each, labels=labels).select(each.video_ids[10:]) for each in test]
    fuse([shuffled(each) for each in test], method=method, fit=part)
    assert "19 of 30 clips" in said[-1]
    before = len(said)
    others = [stream(name, prefix="t", seed=2) for name in ("spatial", "temporal")]
    fuse(test, method=method, fit=others)
    cross_fitting.fused(test, test, None, seed=0)  # a run compares files, not names alone
    assert len(said) == before


def test_nets_of_one_stream_have_their_training_scores_in_the_same_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {}
    for seed, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "asked.json").touch()  # a RUN, and scores of other data in it
        for side, prefix, folder in (("test", "v", "scores-other"), ("crossfit", "t", "scores")):
            files[name, side] = tmp_path / name / folder / f"temporal-{side}.npz"
            save_scores(files[name, side], stream("temporal", prefix=prefix, seed=seed))
    a, b = (str(files[name, "crossfit"]) for name in "ab")
    test = [str(files[name, "test"]) for name in "ab"]
    command = ["fuse", *test, "--method", "svm", "--json", "--fit"]
    assert run([*command, b, "--fit", a]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"of the same nets in the same order, got {b} for {test[0]}" in said
    assert run([*command, a, "--fit", b]) == 0
    assert "learnt from" not in capsys.readouterr().err
    assert run([*command, test[0], "--fit", test[1]]) == 0
    assert "30 of 30 clips to fuse are among those" in " ".join(capsys.readouterr().err.split())


# The SVM


def crammer_singer(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """scikit-learn by itself, as PAPER.md states section 6 b."""
    svm = LinearSVC(multi_class="crammer_singer", C=1.0, random_state=0, max_iter=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        svm.fit(train, labels)
    return svm.decision_function(test)


def normalised(*streams: VideoScores) -> np.ndarray:
    return np.hstack(
        [s.scores / np.sqrt((s.scores.astype(float) ** 2).sum(1))[:, None] for s in streams]
    )


def test_features_are_l2_normalised_scores_side_by_side() -> None:
    """Section 6 b, by hand: (3, 4, 0) / 7 has length 5 / 7, (2, 1, 2) / 5 has length 3 / 5."""
    values = {"n": 2, "labels": np.array([0, 1])}
    spatial = stream(
        "spatial", scores=np.array([[3 / 7, 4 / 7, 0], [0, 0, 1]], np.float32), **values
    )
    temporal = stream(
        "temporal", scores=np.array([[0.4, 0.2, 0.4], [1, 0, 0]], np.float32), **values
    )
    wanted = [[0.6, 0.8, 0, 2 / 3, 1 / 3, 2 / 3], [0, 0, 1, 1, 0, 0]]
    features = svm_features([spatial, temporal])
    np.testing.assert_allclose(features, wanted, rtol=1e-6)
    swapped = svm_features([temporal, spatial])
    np.testing.assert_array_equal(swapped, np.roll(features, 3, axis=1))
    unread = stream(scores=np.zeros((30, 3), np.float32))
    assert np.isfinite(svm_features([unread])).all()


def test_the_svm_is_scikit_learns_crammer_singer() -> None:
    test = [stream("spatial"), stream("temporal", seed=1)]
    train = [
        stream(name, prefix="t", seed=seed, n=90, strength=2)
        for name, seed in (("spatial", 2), ("temporal", 3))
    ]
    fused = fuse(test, method="svm", fit=train)
    wanted = crammer_singer(normalised(*train), train[0].labels, normalised(*test))
    np.testing.assert_allclose(fused.scores, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(fused.predictions(), wanted.argmax(axis=1))
    assert (fused.kind, fused.stream) == ("logits", "svm")
    # one against the rest, scikit-learn's own default, is another machine
    other = LinearSVC(C=1.0, random_state=0).fit(normalised(*train), train[0].labels)
    assert np.abs(other.decision_function(normalised(*test)) - wanted).max() > 0.1


def test_the_svm_learns_which_stream_to_trust() -> None:
    # the first stream is loud and knows nothing, the second is quiet and right
    def streams(prefix: str, seed: int) -> list[VideoScores]:
        rng = np.random.default_rng(seed)
        labels = rng.integers(3, size=150)
        loud = softmax(6 * rng.standard_normal((150, 3)))
        quiet = softmax(np.eye(3)[labels] + 0.2 * rng.standard_normal((150, 3)))
        return [
            stream(name, n=150, prefix=prefix, labels=labels, scores=scores)
            for name, scores in (("spatial", loud), ("temporal", quiet))
        ]

    test, train = streams("v", 0), streams("t", 1)
    assert fuse(test).accuracy() < 0.7
    assert fuse(test, method="svm", fit=train).accuracy() > 0.95


def test_two_classes() -> None:
    classes = ("left", "right")
    test = [stream(name, classes=classes, strength=3) for name in ("spatial", "temporal")]
    train = [
        stream(name, classes=classes, prefix="t", seed=4, strength=3)
        for name in ("spatial", "temporal")
    ]
    fused = fuse(test, method="svm", fit=train)
    assert fused.scores.shape == (30, 2)
    assert fused.accuracy() > 0.8  # 0.2 with the two columns exchanged
    wanted = crammer_singer(normalised(*train), train[0].labels, normalised(*test))
    np.testing.assert_array_equal(fused.predictions(), (wanted > 0).astype(int))


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_a_class_without_training_clips_never_wins(absent: int) -> None:
    present = np.array([label for label in range(3) if label != absent])
    train = [
        stream(name, prefix="t", labels=present[np.arange(30) % 2], strength=3)
        for name in ("spatial", "temporal")
    ]
    test = [stream(name, strength=3) for name in ("spatial", "temporal")]
    fused = fuse(test, method="svm", fit=train)
    assert np.isfinite(fused.scores).all()
    assert set(fused.predictions()) == set(present)
    assert fused.scores[:, absent].max() < fused.scores[:, present].min()
    seen = fused.labels != absent
    assert fused.correct()[seen].mean() > 0.8


def test_one_class_alone_cannot_be_fitted() -> None:
    train = [stream(name, labels=np.ones(30, int)) for name in ("spatial", "temporal")]
    with pytest.raises(DataError, match="at least two classes"):
        fuse([stream("spatial"), stream("temporal")], method="svm", fit=train)


@pytest.mark.parametrize("which", [0, 1])
def test_training_clips_that_either_stream_could_not_read_are_left_out(which: int) -> None:
    test = [stream("spatial"), stream("temporal", seed=1)]
    train = [stream("spatial", prefix="t", seed=2), stream("temporal", prefix="t", seed=3)]
    bad = [f"t{i:03}" for i in range(12)]
    scores = train[which].scores.copy()
    scores[:12] = 0
    spoilt = list(train)
    spoilt[which] = stream(
        train[which].stream, prefix="t", scores=scores, unreadable=dict.fromkeys(bad, "cut off")
    )
    good = [video_id for video_id in train[0].video_ids if video_id not in bad]
    wanted = fuse(test, method="svm", fit=[part.select(good) for part in train])
    got = fuse(test, method="svm", fit=spoilt)
    np.testing.assert_allclose(got.scores, wanted.scores, atol=1e-6)


def test_training_clips_without_a_label_are_left_out() -> None:
    test = [stream("spatial"), stream("temporal", seed=1)]
    train = [stream("spatial", prefix="t", seed=2), stream("temporal", prefix="t", seed=3)]
    labels = train[0].labels.copy()
    labels[:6] = -1
    unknown = [stream(p.stream, prefix="t", labels=labels, scores=p.scores) for p in train]
    wanted = fuse(test, method="svm", fit=[p.select(p.video_ids[6:]) for p in train])
    np.testing.assert_allclose(
        fuse(test, method="svm", fit=unknown).scores, wanted.scores, atol=1e-6
    )
