"""Experiments as data, verdicts with known answers, studies that go on, official data sets."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from twostream.checkpoint import ModelSpec, StreamModel, save_model
from twostream.evaluate import save_scores
from twostream.experiments import CLAIMS, EXPERIMENTS, Study, listing, reproduce
from twostream.experiments.claims import MARGIN_POINTS
from twostream.experiments.nets import NETS
from twostream.experiments.reproduce import claim_notes, collect, planned, write_results
from twostream.experiments.running import run_all, unfinished
from twostream.experiments.statistics import (
    Interval,
    clips_to_decide,
    group_interval,
    verdict,
)
from twostream.experiments.study import Outcome, PlannedRun
from twostream.recipes import make_recipe
from twostream.run.folder import write_json
from twostream.types import DataError, RunError, TemporalInput, UsageError, VideoScores


def quiet(message: str) -> None:
    pass


# --- statistics ---------------------------------------------------------------------------------


def test_the_interval_is_over_groups_not_clips() -> None:
    rng = np.random.default_rng(0)
    one_each = group_interval(rng.random(400).round(), [str(i) for i in range(400)])
    # the same number of clips, but all clips of a group agree: the interval is some sqrt(20) wider
    values = np.repeat(rng.random(20).round(), 20)
    whole = group_interval(values, [str(i // 20) for i in range(400)])
    assert one_each.high - one_each.low == pytest.approx(2 * 196 * 0.5 / 20, rel=0.15)
    assert whole.high - whole.low == pytest.approx(2 * 196 * 0.5 / np.sqrt(20), rel=0.2)
    assert (whole.clips, whole.groups) == (400, 20)


def test_the_interval_covers_what_it_should() -> None:
    """Of many samples about 95% of the intervals hold the true mean; groups are many here."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        levels = rng.normal(0.1, 0.2, 40)
        values = np.repeat(levels, 5) + rng.normal(0, 0.1, 200)
        found = group_interval(values, [str(i // 5) for i in range(200)], draws=500)
        hits += found.low <= 10 <= found.high
    assert 178 <= hits <= 200


def test_unequal_groups_weigh_by_their_clips() -> None:
    found = group_interval(np.array([1.0] * 9 + [0.0]), ["a"] * 9 + ["b"])
    assert found.mean == 90
    assert (found.low, found.high) == (0, 100)
    with pytest.raises(ValueError):
        group_interval(np.array([]), [])


def test_rounding_noise_decides_nothing() -> None:
    values = np.array([(1 - 2 / 3) - 1 / 3, 0.0] * 6)
    assert values.max() > 0  # thirds do not cancel
    found = group_interval(values, [str(i) for i in range(12)])
    assert verdict(found, "better", MARGIN_POINTS) == "undecided"


def test_a_single_group_decides_nothing() -> None:
    found = group_interval(np.ones(5), ["a"] * 5)
    assert verdict(found, "better", MARGIN_POINTS) == "undecided"
    assert clips_to_decide(found, "better", MARGIN_POINTS) is None


@pytest.mark.parametrize(
    ("low", "high", "kind", "expected"),
    [
        (0.1, 9, "better", "confirmed"),
        (0.0, 9, "better", "undecided"),
        (-9, -0.1, "better", "refuted"),
        (-4.9, 4.9, "similar", "confirmed"),
        (-5.1, 4.9, "similar", "undecided"),
        (5.1, 9, "similar", "refuted"),
        (-9, -5.1, "similar", "refuted"),
        (-9, 9, "similar", "undecided"),
    ],
)
def test_verdicts_at_their_edges(low: float, high: float, kind: str, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high, 80, 9), kind, 5) == expected  # type: ignore[arg-type]


def test_clips_that_would_decide() -> None:
    # half-width 8 around 2: four times too wide, so sixteen times the clips
    assert clips_to_decide(Interval(2, -6, 10, 80, 9), "better", 5) == 80 * 16
    # similar: 2 is 3 points from the margin
    assert clips_to_decide(Interval(2, -4, 8, 90, 9), "similar", 5) == 90 * 4
    assert clips_to_decide(Interval(0, -6, 6, 80, 9), "better", 5) is None
    assert clips_to_decide(Interval(5, -1, 11, 80, 9), "similar", 5) is None


# --- experiments as data ------------------------------------------------------------------------


def test_every_figure_of_the_papers_tables_is_a_cell() -> None:
    figures = {
        table: sorted(cell.paper for cell in EXPERIMENTS if cell.table == table and cell.paper)
        for table in ("table1a", "table1b", "slow-fusion", "table2", "table3", "table4")
    }
    assert figures == {
        "table1a": [42.5, 52.3, 59.9, 70.8, 72.7, 72.8],
        "table1b": [73.9, 79.6, 79.9, 80.2, 80.4, 81.0, 81.2, 81.5],
        "slow-fusion": [52.3, 56.4],
        "table2": [46.6, 49.0, 52.8, 55.4],
        "table3": [85.6, 85.9, 86.2, 87.0],
        "table4": [40.5, 54.6, 58.0, 59.4, 73.0, 83.7, 86.9, 88.0],
    }
    assert len({cell.name for cell in EXPERIMENTS}) == len(EXPERIMENTS)
    assert all(net in NETS for cell in EXPERIMENTS for net in cell.nets)
    assert all(cell.every_split == (cell.table == "table4") for cell in EXPERIMENTS)


def test_claims_compare_nets_that_exist() -> None:
    assert [claim.number for claim in CLAIMS] == list(range(1, 10))
    for claim in CLAIMS:
        for comparison in claim.comparisons:
            for side in (comparison.first, comparison.second):
                assert all(net in NETS for net in side.nets)
                assert (side.fusion is None) == (len(side.nets) == 1)
    kinds = {claim.number: claim.comparisons[0].kind for claim in CLAIMS}
    assert {number for number, kind in kinds.items() if kind == "similar"} == {3, 4}


def study_of(first: Path, out: Path, **changes: object) -> Study:
    recipe = make_recipe("quick", steps=2, test_positions=1)
    values: dict = {"data": (str(first),), "recipe": recipe, "out": out}
    return Study(**{**values, **changes})


def test_nets_ask_for_what_their_cell_says(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path, recipe=make_recipe("paper"), weights="w.safetensors")
    settings = {
        cell.name: study.runs(cell.nets[-1], 0)[0].settings
        for cell in EXPERIMENTS
        if study.missing(cell.nets[-1], 0) is None
    }
    on = "mean subtraction on"
    assert settings[f"table1b/single-frame flow (L = 1)/{on}"].temporal == TemporalInput(length=1)
    off = settings["table1b/trajectory stacking, L = 10/mean subtraction off"].temporal
    assert off == TemporalInput(length=10, trajectory=True, subtract_mean=False)
    both = settings[f"table1b/stacking, L = 10, bi-directional/{on}"].temporal
    assert both == TemporalInput(length=10, bidirectional=True)
    assert settings[f"table1b/stacking, L = 10/{on}"].recipe.dropout == 0.9
    half = settings["table1a/from scratch/dropout 0.5"]
    assert (half.recipe.dropout, half.start.weights, half.train) == (0.5, None, "all")
    last = settings["table1a/pre-trained + last layer/dropout 0.9"]
    assert (last.recipe.dropout, last.start.weights) == (0.9, "w.safetensors")
    assert last.train == "last-layer"
    tuned = settings["table1a/pre-trained + fine-tuning/dropout 0.5"]
    assert (tuned.recipe.dropout, tuned.train) == (0.5, "all")
    slow = settings["slow-fusion/slow fusion, 11 frames/accuracy"]
    assert slow.temporal == TemporalInput(length=11, rgb=True)
    assert slow.temporal_architecture == "slow-fusion"
    assert all(each.recipe.fit_scores == "in-sample" for each in settings.values())


def test_the_other_data_set_helps_in_the_way_of_table_2(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path, data=(str(tiny_data), str(tiny_data)))
    assert study.names == ("first", "second")
    found = {
        net: study.runs(net, 1)[0].settings
        for net in ("flow-10", "flow-10-pretrained", "flow-10-added", "flow-10-multitask")
    }
    assert [(s.how, len(s.others)) for s in found.values()] == [
        ("multitask", 0),
        ("pretrain", 1),
        ("added", 1),
        ("multitask", 1),
    ]
    assert found["flow-10-added"].other_stores == (str(study.store(0)),)
    assert all(settings.others_whole for settings in found.values())


# --- studies ------------------------------------------------------------------------------------


def fake_scores(run: PlannedRun, share_right: float) -> None:
    """Write the scores of a finished run that has the first clips of each fold right."""
    from twostream.datasets import load_dataset

    dataset = load_dataset(run.settings.data)
    split = dataset.split(run.settings.split, fold=run.settings.fold, seed=run.settings.seed)
    stream = NETS[run.net].stream
    for subset in ("test", "train"):
        videos = split.videos(subset)  # type: ignore[arg-type]
        labels = np.array([video.label for video in videos])
        k = len(split.classes)
        right = np.arange(len(videos)) < share_right * len(videos)
        scores = np.full((len(videos), k), 0.2 / k, np.float32)
        scores[np.arange(len(videos)), np.where(right, labels, (labels + 1) % k)] += 0.8
        ids = tuple(video.video_id for video in videos)
        kept = VideoScores(ids, labels, split.classes, scores, stream=stream)
        save_scores(run.folder / "scores" / f"{stream}-{subset}.npz", kept)
    if run.net == "flow-10":  # figure 4 looks at its filters
        spec = ModelSpec(
            stream="temporal",
            architecture="small-bn",
            classes=split.classes,
            temporal=run.settings.temporal,
            crop_size=64,
            mean=(0.0,),
            std=(1.0,),
            dropout=0.0,
            flips=True,
            test_positions=1,
            store={},
            fps=25.0,
        )
        save_model(run.folder / "temporal.safetensors", StreamModel(spec))
    results = {
        "seconds": {"train": 3.0},
        "accuracy": {stream: share_right},
        "train_accuracy": {stream: 1.0},
    }
    write_json(run.folder / "results.json", results)


@pytest.fixture(scope="module")
def faked(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose runs are invented: flow is right on all clips, every other net on half."""
    out = tmp_path_factory.mktemp("study") / "out"
    study = study_of(tiny_data, out, seeds=2)
    study.claim()
    for run in planned(study, "claims"):
        fake_scores(run, 1.0 if run.net in ("flow-10", "trajectory-10") else 0.5)
    return study


def test_claims_are_judged_by_the_difference(faked: Study) -> None:
    results = collect(faked, "claims", {})
    found = {claim["number"]: claim for claim in results["claims"]}
    assert found[2]["verdict"] == "confirmed"  # a stack against a single field
    assert found[2]["comparisons"][0]["difference"]["mean"] == pytest.approx(50)
    assert found[2]["comparisons"][1]["verdict"] == "undecided"  # equal: no difference at all
    assert found[3]["verdict"] == "confirmed"  # trajectories: equal, so similar
    assert found[4]["verdict"] == "refuted"  # bi-directional 50 points worse: not similar
    assert found[6]["verdict"] == "confirmed"
    assert found[1]["verdict"] == "not run"
    assert found[1]["comparisons"][0]["state"] == "needs --weights"
    assert found[5]["comparisons"][0]["state"] == "needs a second data set"
    # every clip is tested once a seed, whatever fold it is in
    assert found[2]["comparisons"][0]["difference"]["clips"] == 56
    assert found[2]["comparisons"][0]["difference"]["groups"] == 4
    assert results["overfitting"] == {"train": 100.0, "test": 50.0}


def test_without_weights_a_net_from_scratch_stands_in_and_it_is_said(faked: Study) -> None:
    results = collect(faked, "claims", {})
    fusion = next(claim for claim in results["claims"] if claim["number"] == 7)
    assert fusion["comparisons"][0]["first"] == "average of both streams (spatial from scratch)"
    # half of the clips have confident scores of both streams for different classes
    assert fusion["comparisons"][0]["second_accuracy"]["mean"] == 100


def test_files_are_made_from_the_results_alone(faked: Study, tmp_path: Path) -> None:
    results = collect(faked, "claims", {})
    results["seconds"] = {"this_call": 1.0, "all_runs": 120.0}
    notes = tmp_path / "notes.md"
    notes.write_text(
        "# Notes\n\n## Claim 4\n\nInvented <numbers>.\nOn two lines.\n\n## Other\n\nnothing\n"
    )
    write_results(faked.out, results, claim_notes(notes.read_text()))
    text = (faked.out / "reproduction.md").read_text()
    page = (faked.out / "index.html").read_text()
    assert json.loads((faked.out / "results.json").read_text())["claims"][1]["number"] == 2
    assert "### Claim 4: refuted" in text and "Invented <numbers>." in text
    assert "nothing" not in text
    assert "100.0 [100.0, 100.0]" in text and "+50.0 [" in text
    assert "| stacking, L = 10 | 81.0 | 100.0 [100.0, 100.0] |" in text
    assert "Invented &lt;numbers&gt;. On two lines." in page and "<numbers>" not in page
    assert page.count('class="panel claim"') == 9
    assert "http" not in page.replace("http-equiv", "")


def test_notes_stand_under_their_claims() -> None:
    assert claim_notes("# X\n\ntext\n## Claim 1\n\na\nb\n### claim 2\nc\n# End\nd\n") == {
        1: "a\nb",
        2: "c",
    }


def test_paired_differences_refuse_other_clips() -> None:
    first = Outcome((("a", 0), ("b", 0)), np.ones(2), ("g", "h"))
    with pytest.raises(RunError, match="different clips"):
        first.minus(Outcome((("a", 0), ("c", 0)), np.ones(2), ("g", "h")))


def test_a_study_goes_on_where_it_was(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path / "out", folds=2)
    runs = planned(study, "figure4")
    assert [run.net for run in runs] == ["flow-10", "flow-10"]
    study.claim()
    assert not run_all(study, runs[:1], jobs=1, say=quiet)
    assert unfinished(runs) == runs[1:]
    before = (runs[0].folder / "results.json").stat().st_mtime_ns
    results = reproduce(study, "figure4", jobs=1, say=quiet)
    assert (runs[0].folder / "results.json").stat().st_mtime_ns == before
    assert results["figure4"]["nets"] == 2 and not results["failed"]
    assert sum(results["figure4"]["filters"].values()) == 48
    assert sum(results["figure4"]["energy"].values()) == pytest.approx(1)
    assert (tmp_path / "out" / "figure4.png").stat().st_size > 500
    # flow lies in one place for all runs
    assert not list((tmp_path / "out" / "runs").rglob("*.clip"))
    rows = {row["name"]: row for row in listing(study)}
    row = rows["table1b/stacking, L = 10/mean subtraction on"]
    assert (row["state"], row["runs"], row["training_crops"]) == ("done", 2, 2 * 2 * 32)
    assert row["seconds_spent"] > 0 and row["seconds_left"] == 0
    other = rows["table1b/stacking, L = 5/mean subtraction on"]
    assert other["state"] == "0 of 2 runs" and other["seconds_left"] > 0
    assert rows["table2/multi-task/accuracy"]["state"] == "needs a second data set"


def test_a_killed_study_leaves_no_process_behind_and_is_continued(
    tiny_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "twostream", "reproduce", "figure4", "--data", str(tiny_data)]
    command += ["--out", str(out), "--folds", "2", "--jobs", "1", "--steps"]
    with subprocess.Popen([*command, "100000"], stderr=subprocess.DEVNULL) as process:
        started = out / "runs" / "clips" / "fold1of2-seed0" / "flow-10"
        deadline = time.monotonic() + 120
        while not (started / "settings.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.2)
        process.kill()  # no time to tell anybody
    lock = FileLock(started / ".lock")
    lock.acquire(timeout=20)  # the worker that held the run is gone
    lock.release()
    asked = json.loads((out / "study.json").read_text())
    assert asked["recipe"]["steps"] == 100_000
    done = subprocess.run([*command, "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "study with other settings" in done.stderr


def test_a_folder_of_another_study_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    study_of(tiny_data, tmp_path / "out").claim()
    study_of(tiny_data, tmp_path / "out", seeds=3).claim()  # more seeds only add
    with pytest.raises(RunError, match=r"folds: 3 -> 2"):
        study_of(tiny_data, tmp_path / "out", folds=2).claim()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(RunError, match="holds something else"):
        study_of(tiny_data, tmp_path / "full").claim()
    with pytest.raises(DataError, match="cannot be read as notes"):
        reproduce(study_of(tiny_data, tmp_path / "out"), "claims", notes=tmp_path / "none.md")
    with pytest.raises(UsageError, match="nothing called 'table9'"):
        reproduce(study_of(tiny_data, tmp_path / "out"), "table9", say=quiet)


def test_a_run_that_fails_is_named_and_the_others_are_done(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path / "out", folds=2)
    study.claim()
    runs = planned(study, "figure4")
    write_json(runs[0].folder / "asked.json", {"data": "something else"})
    failed = run_all(study, runs, jobs=2, say=quiet)
    assert list(failed) == [runs[0].folder]
    assert "started with other settings" in failed[runs[0].folder]
    assert runs[1].done
    results = collect(study, "table1b", failed)
    cell = next(c for c in results["cells"] if c["row"] == "stacking, L = 10" and c["paper"] == 81)
    assert cell["accuracy"] is None and cell["state"].startswith("1 of 2 runs failed")


def test_official_data_uses_its_own_splits(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path, official=True, recipe=make_recipe("paper"))
    runs = study.runs("flow-10", 0)
    assert [(run.settings.split, run.settings.fold) for run in runs] == [(1, None)]
    assert runs[0].settings.recipe.steps == 80_000
    small = study_of(tiny_data, tmp_path / "out", official=True)
    results = reproduce(small, "figure4", jobs=1, say=quiet)
    assert (results["figure4"]["nets"], results["folds"]) == (1, None)
    assert small.outcome(["flow-10"], None, 0).accuracy().clips == 14
    # g01 of one class is not g01 of another there
    assert len(set(study.groups[0].values())) == 56
    assert len(set(study_of(tiny_data, tmp_path).groups[0].values())) == 4
