"""The learning curve: what is drawn, what is fitted, what is trained, what is said."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invented_run import copy_run, read, write_run
from twostream.__main__ import run as command
from twostream.datasets import load_dataset
from twostream.files import read_json
from twostream.initialise import Start
from twostream.recipes import make_recipe
from twostream.report.more_clips import gains_in_words, needs_in_words
from twostream.run import RunSettings, curve_run, train_run
from twostream.run.measured_curve import class_needs, held_out_groups, nested_part, planned, scored
from twostream.run.power_law import PowerLaw, fit_power_law, learning_curve
from twostream.scoring import load_scores, save_scores
from twostream.types import (
    DatasetSplit,
    LabeledVideo,
    RunError,
    TemporalInput,
    UsageError,
    VideoScores,
)


@pytest.mark.parametrize("law", [(0.8, 0.9, 0.4), (0.95, 1.2, 1.0), (0.6, 0.5, 0.15)])
def test_the_fit_recovers_a_law_from_exact_points(law: tuple[float, float, float]) -> None:
    truth = PowerLaw(*law)
    clips = [2, 5, 10, 20]
    found = fit_power_law(clips, [truth.at(n) for n in clips])
    np.testing.assert_allclose((found.a, found.b, found.c), law, atol=1e-6)
    assert found.at(80) == pytest.approx(truth.a - truth.b / 80**truth.c, abs=1e-6)


def test_a_fit_never_leaves_what_can_be() -> None:
    """More clips never harm, and no accuracy is above 1, whatever the points."""
    falling = fit_power_law([2, 4, 8], [0.6, 0.5, 0.4])
    assert falling.b == 0 and falling.at(99) == pytest.approx(0.5)
    steep = fit_power_law([2, 4, 8], [0.2, 0.5, 0.95])
    assert steep.a == 1 and steep.at(2) < steep.at(8) < steep.at(1e9) <= 1


def answers(law: PowerLaw, clips: list[float], groups: list[str], seed: int) -> np.ndarray:
    """Which held-out clips are right: easy and hard ones are the same at every point."""
    random = np.random.default_rng(seed)
    ease = random.random(len(groups))
    return np.stack([ease < law.at(n) for n in clips])


def test_the_interval_holds_the_truth() -> None:
    law, clips, groups = (
        PowerLaw(0.85, 0.8, 0.4),
        [3.0, 6.0, 12.0, 24.0],
        [str(i) for i in range(200)],
    )
    held = []
    for seed in range(30):
        found = learning_curve(clips, answers(law, clips, groups, seed), groups, now=24)
        for times in (2, 4):
            range_ = found.ahead[times]
            assert range_.low <= range_.value <= range_.high
            assert 0 <= found.gains[times].low <= found.gains[times].value
            held.append(range_.low <= law.at(24 * times) <= range_.high)
    assert 0.8 <= np.mean(held) <= 1
    width = found.ahead[2].high - found.ahead[2].low
    few = learning_curve(clips, answers(law, clips, groups[:20], 0), groups[:20], now=24).ahead[2]
    assert few.high - few.low > 2 * width  # a tenth of the clips: thrice as wide
    assert (
        learning_curve(clips, answers(law, clips, groups, 0), ["one"] * 200, now=24).ahead[2].high
        == 1
    )


@pytest.mark.parametrize("luck", [0.0, 0.04])
def test_gains_cover_the_luck_of_training(luck: float) -> None:
    """Each point is off by luck that all held-out clips share; by groups alone 13 of 40 covered."""
    law, clips, groups = PowerLaw(0.5, 0.3, 0.05), [3.0, 6.0, 12.0], [str(i) for i in range(300)]
    random, held = np.random.default_rng(0), []
    for seed in range(40):
        off = random.normal(0, luck, len(clips))
        ease = np.random.default_rng(seed).random(len(groups))
        right = np.stack([ease < law.at(n) + each for n, each in zip(clips, off, strict=True)])
        gain = learning_curve(clips, right, groups, now=12).gains[2]
        held.append(gain.low <= law.at(24) - law.at(12) <= gain.high)
    assert sum(held) >= 35, sum(held)  # 36 are meant to be, 1.9 a standard error


def test_groups_that_all_agree_are_no_certainty() -> None:
    """Up to 3 of 80 clips more could have differed unseen, at any point and twice as far."""
    right = np.tile([True, False, False, False], (3, 20))
    found = learning_curve([2, 4, 8], right, [str(i // 4) for i in range(80)], now=8)
    unseen = -np.log(0.05) / 80
    for each in (*found.points, found.ahead[2]):
        assert (each.low, each.high) == pytest.approx((0.25 - unseen, 0.25 + unseen))
    assert (found.gains[2].low, found.gains[2].high) == pytest.approx((0, unseen))


def clips_of(counts: dict[str, int], classes: int = 3) -> tuple[LabeledVideo, ...]:
    """Clips of groups: so many of each class."""
    return tuple(
        LabeledVideo(f"{group}-{label}-{i}", Path(f"{group}-{label}-{i}.avi"), label, group)
        for group, count in counts.items()
        for label in range(classes)
        for i in range(count)
    )


def test_parts_are_nested_balanced_and_whole_groups() -> None:
    videos = clips_of({"a": 3, "b": 2, "c": 4, "d": 1})
    before: set[LabeledVideo] = set()
    for size in (1, 2, 5, 7, 10, 99):
        part = nested_part(videos, size, seed=3)
        counts = Counter(video.label for video in part)
        assert set(counts.values()) == {min(size, 10)}
        assert before <= set(part)
        assert [v for v in videos if v in part] == list(part)
        begun = {v.group for v in part}
        whole = {g for g in begun if all(v in part for v in videos if v.group == g)}
        assert len(begun - whole) <= 1  # one group at most is cut
        before = set(part)
    assert nested_part(videos, 5, seed=3) == nested_part(videos, 5, seed=3)
    drawn = {nested_part(videos, 3, seed=seed) for seed in range(9)}
    assert len(drawn) > 2
    uneven = (*clips_of({"a": 4}), *clips_of({"b": 4, "c": 4}, classes=1))
    halves = Counter(video.label for video in nested_part(uneven, 0.5))
    assert halves == {0: 6, 1: 2, 2: 2}


def test_points_ascend_and_those_that_are_the_same_are_one() -> None:
    held_out, train = clips_of({"x": 2}), clips_of({"a": 2, "b": 2})
    fold = DatasetSplit("d", "fold 1/2", ("p", "q", "r"), train, held_out)
    points = planned([fold], [3, 0.25, 1, 4, 9, 2], seed=0)
    assert [(point.name, point.clips, point.place) for point in points] == [
        ("share-0.25", 1, 0), ("clips-2", 2, 1), ("clips-3", 3, 2),
    ]  # fmt: skip
    assert all(video.group in "ab" for point in points for video in point.train[0])
    with pytest.raises(UsageError, match=r"these sizes give 1 of the 4 clips of each class"):
        planned([fold], [2, 4], seed=0)
    with pytest.raises(UsageError, match="1 clip of each class at least"):
        planned([fold], [0, 2], seed=0)


def test_classes_of_one_group_are_refused_before_anything_is_trained() -> None:
    first, second = clips_of({"a": 2}, classes=1), clips_of({"b": 2}, classes=2)[2:]
    folds = [DatasetSplit("d", "fold", ("p", "q"), *sides) for sides in ((first, second),)]
    with pytest.raises(RunError, match="of one group"):
        held_out_groups(folds)
    fold = DatasetSplit("d", "fold", ("p", "q"), first, clips_of({"b": 1}))
    assert held_out_groups([fold]) == {"b-0-0": "b"}


def right(counts: list[int], of: int) -> VideoScores:
    """Scores of classes a, b, ...: so many clips of each are right."""
    k = len(counts)
    labels = np.repeat(np.arange(k), of)
    said = [c if i < n else (c + 1) % k for c, n in enumerate(counts) for i in range(of)]
    ids = tuple(str(i) for i in range(k * of))
    return VideoScores(
        ids, labels, tuple("abcde"[:k]), np.eye(k, dtype=np.float32)[said], "probabilities", "fused"
    )


def test_the_neediest_class_is_lowest_and_still_rises() -> None:
    scores = [right([10, 12, 30], 40), right([8, 16, 38], 40)]
    found = class_needs(scores, [5, 10])
    assert [row["rising"] for row in found["classes"]] == [False, True, True]
    assert found["needs"] == ["b"]  # a is lower and falls, c is far above
    said = needs_in_words(found)
    assert said.startswith("The class that needs them most is b (16 of 40 right)")
    few = class_needs([right([1, 1, 1, 1, 4], 4), right([2, 3, 2, 2, 4], 4)], [5, 10])
    assert few["needs"] == ["a", "c", "d", "b"]
    said = needs_in_words(few)
    assert "a (2 of 4 right), c (2 of 4 right) and d" in said
    assert "overlap, and so do those of 1 more" in said and "cannot tell" in said
    none = class_needs([right([3, 3], 4), right([3, 2], 4)], [5, 10])
    assert none["needs"] == [] and needs_in_words(none).startswith("No class")


def invented_curve(gains: tuple[tuple[float, float], ...] = ((0.012, 0.061), (0.02, 0.1))) -> Any:
    def found(value: float, low: float, high: float) -> dict[str, float]:
        return {"value": value, "low": low, "high": high}

    ahead = [
        {
            "times": times,
            "clips_a_class": 30.0 * times,
            "accuracy": found(0.7, 0.66, 0.75),
            "gain": found(sum(gain) / 2, *gain),
        }
        for times, gain in zip((2, 4), gains, strict=True)
    ]
    model = {
        "law": {"a": 0.8, "b": 0.9, "c": 0.4},
        "now": 0.6,
        "accuracy": [found(a, a - 0.05, a + 0.05) for a in (0.35, 0.48, 0.57)],
        "ahead": ahead,
    }
    return {
        "clips_a_class": 30.0,
        "held_out": 160,
        "groups": 40,
        "answer": "average",
        "points": [{"clips_a_class": n, "train_videos": [1]} for n in (5.6, 11.2, 22.5)],
        "models": {"spatial": model, "temporal": model, "average": model},
        **class_needs([right([10, 12, 30], 40), right([8, 16, 38], 40)], [5, 10]),
    }


def test_the_sentence_never_promises_more_than_the_interval() -> None:
    said = gains_in_words(invented_curve())
    assert said.startswith(
        "Twice as many clips a class (about 60 instead of 30) would bring between 1 and 7 points, "
        "four times as many between 2 and 10 points: 90% intervals"
    )
    said = gains_in_words(invented_curve(((0.0, 0.004), (0.009, 0.031))))
    assert (
        "would bring at most 1 point, or nothing, four times as many at most 4 points, or" in said
    )
    said = gains_in_words(invented_curve(((0.0, 0.0), (0.0, 0.0))))
    assert "would bring nothing, four times as many nothing: 90%" in said


def test_the_report_shows_the_curve_or_how_to_measure_it(tmp_path: Path) -> None:
    run = copy_run(write_run(tmp_path / "complete"), tmp_path / "RUN")
    assert f"Left out: `twostream curve {run}` measures it" in read(run).text("more-clips")
    (run / "curve.json").write_text(json.dumps(invented_curve()))
    page = read(run)
    text = page.text("more-clips")
    assert (
        gains_in_words(invented_curve()) in text and "The class that needs them most is b" in text
    )
    assert "also by how far the points miss a smooth curve" in text
    dots = [attrs for tag, attrs in page.tags if tag == "circle" and "cx" in attrs][-5:]
    assert [dot["class"] for dot in dots] == ["test"] * 3 + ["train"] * 2
    assert (dots[0]["cx"], dots[0]["cy"]) == ("0.00%", "65.00%")
    assert (dots[4]["cx"], dots[4]["cy"]) == ("100.00%", "30.00%")
    (run / "curve.json").write_text(json.dumps({"answer": "fused"}))
    assert "curve.json cannot be used" in read(run).text("more-clips")
    results = read_json(run / "results.json") | {"fit_scores": "in-sample"}
    (run / "results.json").write_text(json.dumps(results))
    (run / "curve.json").unlink()
    assert "held back: train both streams with --fit-scores" in read(run).text("more-clips")


def test_a_run_is_read_as_it_was_asked_for() -> None:
    settings = RunSettings(
        data="clips",
        recipe=make_recipe("standard", dropout=0.3, crop_size=96),
        temporal=TemporalInput(length=6, trajectory=True),
        start=Start(weights="w.pth", cross_modality=True),
        seed=4,
        others=("more",),
        store="flow",
    )
    asked = json.loads(json.dumps(settings.asked()))
    assert RunSettings.from_asked(asked) == settings
    for wrong in ({k: v for k, v in asked.items() if k != "start"}, asked | {"recipe": {"a": 1}}):
        with pytest.raises(RunError, match="train again"):
            RunSettings.from_asked(wrong)


@pytest.fixture(scope="module")
def measured_run(
    tiny_data: Path, other_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run on three classes of seven groups, six of which train: 9 clips in each of two folds.

    One fold is held out, and the second one, since two steps teach no stream more than the other.
    """
    folder = tmp_path_factory.mktemp("curve")
    rows = ["path,label,group,split"]
    for name, root in (("a", tiny_data), ("b", other_data)):
        for label in ("StandUp", "SitDown", "WaveRedFlag"):
            for path in sorted((root / label).glob("*.avi")):
                group = f"{name}{path.stem.split('_')[2]}"
                rows.append(f"{path},{label},{group},{'test' if group == 'ag01' else 'train'}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    held_out: Any = {"fit_scores": "held-out", "fit_folds": 2, "fit_clips": 9}
    recipe = make_recipe("quick", steps=2, batch_size=4, test_positions=1, **held_out)
    train_run(RunSettings(data=str(folder / "clips.csv"), recipe=recipe), folder / "RUN")
    return folder / "RUN"


def test_a_curve_is_measured_and_nothing_is_trained_twice(
    measured_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class KilledError(Exception):
        pass

    def kill(task: str, done: float, total: float, detail: str = "") -> None:
        if task == "train temporal" and len(trained) == 3:
            raise KilledError
        if task.startswith("train") and done == total:
            trained.append(task)

    trained: list[str] = []
    test = (measured_run / "scores" / "fused-test.npz").read_bytes()
    with pytest.raises(KilledError):
        curve_run(measured_run, (1, 2), progress=kill)
    assert not (measured_run / "curve.json").exists()
    models = sorted((measured_run / "curve").rglob("*.safetensors"))
    written = {path: path.stat().st_mtime_ns for path in models}
    assert len(written) == 3
    assert command(["curve", str(measured_run), "--clips", "1,2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found == read_json(measured_run / "curve.json")
    assert {path: path.stat().st_mtime_ns for path in models} == written
    assert len(list((measured_run / "curve").rglob("*.safetensors"))) == 8

    held_out = load_scores(measured_run / "scores" / "temporal-crossfit.npz")
    assert [point["clips_a_class"] for point in found["points"]] == [1, 2, 3]
    assert (found["clips_a_class"], found["held_out"], found["groups"]) == (6, 18, 6)
    assert found["models"]["temporal"]["accuracy"][-1]["value"] == held_out.accuracy()
    for size in (1, 2):
        parts = [
            load_scores(measured_run / "curve" / f"clips-{size}" / f"fold-{i}" / "temporal.npz")
            for i in (1, 2)
        ]
        ids = [video_id for part in parts for video_id in part.video_ids]
        assert sorted(ids) == sorted(held_out.video_ids)
        right = np.mean(np.concatenate([part.correct() for part in parts]))
        assert found["models"]["temporal"]["accuracy"][size - 1]["value"] == pytest.approx(right)
    assert "What more clips would bring" in (measured_run / "report.html").read_text()
    assert (measured_run / "scores" / "fused-test.npz").read_bytes() == test

    before = trained.copy()
    curve_run(measured_run, (1, 2), progress=kill)
    assert trained == before  # and nothing was trained now


def test_clips_without_a_score_are_left_out_of_their_fold(measured_run: Path) -> None:
    split = load_dataset(read_json(measured_run / "asked.json")["data"]).split(1)
    held_out, rest = split.train[:4], split.train[4:]
    fold = replace(split, train=rest, test=held_out)
    ids = [video.video_id for video in held_out]
    whole = {}
    for stream, missing in (("spatial", ids[0]), ("temporal", ids[2])):
        scores = load_scores(measured_run / "scores" / f"{stream}-crossfit.npz")
        count = len(ids) - 1
        whole[stream] = replace(
            scores,
            video_ids=tuple(each for each in ids if each != missing),
            labels=scores.labels[:count],
            scores=scores.scores[:count],
        )
    (left,) = scored([fold], whole)  # type: ignore[arg-type]
    assert left.test == (held_out[1], held_out[3]) and left.train == rest


def test_runs_that_held_nothing_back_or_whose_data_changed_are_refused(
    measured_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "RUN").mkdir()
    asked = read_json(measured_run / "asked.json")
    results = read_json(measured_run / "results.json")
    (tmp_path / "RUN" / "asked.json").write_text(json.dumps(asked))
    (tmp_path / "RUN" / "results.json").write_text(
        json.dumps(results | {"fit_scores": "in-sample"})
    )
    with pytest.raises(RunError, match="held none of its training clips back"):
        curve_run(tmp_path / "RUN")
    (tmp_path / "RUN" / "results.json").write_text(json.dumps(results))
    one = {"store": str(measured_run / "flow")}
    (tmp_path / "RUN" / "asked.json").write_text(json.dumps(asked | one))
    for stream in ("spatial", "temporal"):
        scores = load_scores(measured_run / "scores" / f"{stream}-crossfit.npz")
        save_scores(
            tmp_path / "RUN" / "scores" / f"{stream}-crossfit.npz",
            replace(scores, video_ids=("another.avi", *scores.video_ids[1:])),
        )
    with pytest.raises(RunError, match="18 clips, and not all of them are held out"):
        curve_run(tmp_path / "RUN")
    with pytest.raises(RunError, match="not a RUN folder"):
        curve_run(tmp_path)
