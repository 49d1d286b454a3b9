"""From the runs of a study to numbers: every cell and every comparison, as plain JSON values."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from twostream.checkpoint import load_model
from twostream.experiments.claims import MARGIN_POINTS, Claim, Comparison, Contender
from twostream.experiments.nets import NETS, Target, training_crops
from twostream.experiments.paired_differences import Interval, clips_to_decide, verdict
from twostream.experiments.paper_tables import EXPERIMENTS, Experiment
from twostream.experiments.study import PlannedRun, Study
from twostream.files import read_json, write_bytes
from twostream.models import first_convolution
from twostream.report.filters import KINDS, PARTS, derivative_reading, figure4_picture
from twostream.scoring import load_scores
from twostream.types import DataError, RunError, TwoStreamError

FIGURE4_NET = "flow-10"


def runs_of_cell(study: Study, cell: Experiment) -> list[PlannedRun] | str:
    """Return the runs that a cell needs, or what it lacks here."""
    return _runs(study, cell.nets, cell.target, every_split=cell.every_split)


def runs_of_claim(study: Study, claim: Claim) -> list[PlannedRun]:
    """Return the runs that a claim needs; comparisons that lack something need none."""
    found: list[PlannedRun] = []
    for each in claim.comparisons:
        first, second = (_runs(study, side.nets, each.target) for side in (each.first, each.second))
        if not isinstance(first, str) and not isinstance(second, str):
            found += first + second
    return found


def _runs(
    study: Study, nets: tuple[str, ...], target: Target, *, every_split: bool = False
) -> list[PlannedRun] | str:
    nets = study.stands_in(nets)
    for net in nets:
        if lacking := study.missing(net, target):
            return lacking
    return [run for net in nets for run in study.runs(net, target, every_split=every_split)]


def cell_result(study: Study, cell: Experiment, failed: dict[Path, str]) -> dict[str, Any]:
    """Return a cell with the paper's figure beside ours, or why there is none."""
    told = {key: getattr(cell, key) for key in ("table", "row", "column", "paper", "ours")}
    accuracy, state = None, _state(runs_of_cell(study, cell), failed)
    if state == "done":
        try:
            outcome = study.outcome(
                cell.nets, cell.fusion, cell.target, every_split=cell.every_split
            )
            accuracy = _numbers(outcome.accuracy())
        except TwoStreamError as error:  # scores that cannot be fused cost this cell alone
            state = str(error)
    return told | {"accuracy": accuracy, "state": state}


def claim_result(study: Study, claim: Claim, failed: dict[Path, str]) -> dict[str, Any]:
    """Return a claim's verdict with all its comparisons."""
    comparisons = [_compared(study, each, failed) for each in claim.comparisons]
    return {
        "number": claim.number,
        "text": claim.text,
        "paper": claim.paper,
        "verdict": comparisons[0]["verdict"],
        "comparisons": comparisons,
    }


def _compared(study: Study, comparison: Comparison, failed: dict[Path, str]) -> dict[str, Any]:
    first, second = comparison.first, comparison.second
    result = {
        "first": _label(study, first),
        "second": _label(study, second),
        "kind": comparison.kind,
        "margin_points": MARGIN_POINTS if comparison.kind == "similar" else 0.0,
        "data": study.names[comparison.target] if comparison.target < len(study.names) else None,
        "verdict": "not run",
    }
    for side in (first, second):
        result["state"] = _state(_runs(study, side.nets, comparison.target), failed)
        if result["state"] != "done":
            return result
    try:
        outcomes = [study.outcome(s.nets, s.fusion, comparison.target) for s in (first, second)]
        difference = outcomes[0].minus(outcomes[1])
    except TwoStreamError as error:  # scores that cannot be fused or paired cost this one alone
        return result | {"state": str(error)}
    return result | {
        "first_accuracy": _numbers(outcomes[0].accuracy()),
        "second_accuracy": _numbers(outcomes[1].accuracy()),
        "difference": _numbers(difference),
        "verdict": verdict(difference, comparison.kind, MARGIN_POINTS),
        "clips_to_decide": clips_to_decide(difference, comparison.kind, MARGIN_POINTS),
    }


def _label(study: Study, contender: Contender) -> str:
    changed = not study.weights and study.stands_in(contender.nets) != contender.nets
    return contender.label + (" (spatial from scratch)" if changed else "")


def overfitting(study: Study) -> dict[str, float] | None:
    """Return the training and test accuracy of the net from scratch, mean over runs, per cent."""
    runs = study.runs("scratch", 0)
    results = [each for run in runs if (each := run.results())]
    if len(results) < len(runs):
        return None
    means = {}
    for subset, key in (("train", "train_accuracy"), ("test", "accuracy")):
        values = [value for result in results for value in result[key].values()]
        means[subset] = 100 * sum(values) / len(values) if values else math.nan
    return means


def figure4_result(study: Study, failed: dict[Path, str]) -> dict[str, Any]:
    """Draw figure 4 of the first run and read the filters of all runs."""
    runs = study.runs(FIGURE4_NET, 0)
    state = _state(runs, failed)
    if state != "done":
        return {"state": state}
    models = [load_model(run.folder / "temporal.safetensors") for run in runs]
    weights = [first_convolution(model.network).weight.detach().numpy() for model in models]
    picture = cv2.imencode(".png", figure4_picture(weights[0]))[1]
    write_bytes(study.out / "figure4.png", picture.tobytes())
    readings = [derivative_reading(weight) for weight in weights]
    energy = np.mean([reading.mean_shares() for reading in readings], axis=0)
    return {
        "state": state,
        "picture": "figure4.png",
        "nets": len(readings),
        "filters": {kind: sum(each.kinds.count(kind) for each in readings) for kind in KINDS},
        "energy": dict(zip(PARTS, energy.tolist(), strict=True)),
        "energy_of_noise": dict(zip(PARTS, readings[0].chance.tolist(), strict=True)),
    }


def _state(runs: list[PlannedRun] | str, failed: dict[Path, str]) -> str:
    """Return "done", or in words what is lacking."""
    if isinstance(runs, str):
        return runs
    broken = [failed[run.folder] for run in runs if run.folder in failed]
    if broken:
        return f"{len(broken)} of {len(runs)} runs failed: {broken[0]}"
    done = sum(run.done for run in runs)
    return "done" if done == len(runs) else f"{done} of {len(runs)} runs"


def _numbers(interval: Interval) -> dict[str, float | int | None]:
    """Round for JSON; an infinite bound becomes null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(interval).items()
    }


def listing(study: Study) -> list[dict[str, Any]]:
    """Return every cell with its state and cost, for ``--list``.

    What is still to do is estimated from the finished runs of this study: seconds per crop of the
    same net, or of all nets where that one has not been trained yet.
    """
    states = {cell: runs_of_cell(study, cell) for cell in EXPERIMENTS}
    planned = {cell: [] if isinstance(runs, str) else runs for cell, runs in states.items()}
    every = {run.folder: run for runs in planned.values() for run in runs}.values()
    crops = {run.folder: training_crops(run.net, study.recipe) for run in every}
    # of each net, and of all (None): seconds of a training crop, scoring included
    rates: dict[str | None, float] = {}
    for net in {None, *(run.net for run in every)}:
        done = [run for run in every if run.done and net in (run.net, None)]
        if done:
            seconds = sum(seconds_spent([run]) for run in done)
            rates[net] = seconds / sum(crops[run.folder] for run in done)
    rows = []
    for cell, runs in planned.items():
        left = [run for run in runs if not run.done]
        cost = [(crops[run.folder], rates.get(run.net, rates.get(None))) for run in left]
        estimate = [count * rate for count, rate in cost if rate is not None]
        rows.append(
            {key: getattr(cell, key) for key in ("name", "table", "row", "column", "paper")}
            | {
                "state": _state(states[cell], {}),
                "runs": len(runs),
                "training_crops": sum(crops[run.folder] for run in runs),
                "seconds_spent": seconds_spent(runs),
                "seconds_left": round(sum(estimate), 1) if len(estimate) == len(left) else None,
            }
        )
    return rows


def seconds_spent(runs: list[PlannedRun]) -> float:
    """Return the time that finished runs took, of one process each."""
    results = [each for run in runs if (each := run.results())]
    return round(sum((sum(each["seconds"].values()) for each in results), 0.0), 1)


def damaged(study: Study, runs: list[PlannedRun]) -> dict[Path, str]:
    """Return folder -> what to delete, of finished runs whose files cannot be used any more.

    Scores and models are kept for months; one bad file must not cost the tables of all others.
    """
    found = {}
    for run in (run for run in runs if run.done):
        net = NETS[run.net]
        try:
            for subset in ("test", "train") if net.fits_svm else ("test",):
                name = f"scores/{net.stream}-{subset}.npz"
                scores = load_scores(run.folder / name)
                if not study.groups[run.target].keys() >= set(scores.video_ids):
                    raise DataError("scores of other videos")
            if run.net == FIGURE4_NET:
                name = f"{net.stream}.safetensors"
                load_model(run.folder / name)
        except TwoStreamError:
            found[run.folder] = (
                f"{name} is missing, damaged or of other data: delete it and results.json there, "
                "and the same command makes them again"
            )
    return found


def unreadable(study: Study) -> dict[str, dict[str, str]]:
    """Return data set -> video id -> why the runs could not use it; test videos count as wrong."""
    found: dict[str, dict[str, str]] = {}
    for name in study.names:
        for path in sorted((study.out / "runs" / name).glob("*/*/results.json")):
            with suppress(RunError):  # that run is gone through again
                if problems := read_json(path).get("unreadable"):
                    found[name] = found.get(name, {}) | problems
    return found
