"""``twostream reproduce``: plan the runs, do them, compute, and write what came out."""

from __future__ import annotations

import logging
import os
import platform
import re
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from twostream.experiments.claims import CLAIMS
from twostream.experiments.html_page import html
from twostream.experiments.markdown_document import markdown
from twostream.experiments.paper_tables import EXPERIMENTS, TITLES
from twostream.experiments.results import (
    FIGURE4_NET,
    cell_result,
    claim_result,
    damaged,
    figure4_result,
    overfitting,
    runs_of_cell,
    runs_of_claim,
    seconds_spent,
    unreadable,
)
from twostream.experiments.running import run_all
from twostream.experiments.study import PlannedRun, Study
from twostream.files import read_json, write_json, write_text
from twostream.synthetic import render_dataset
from twostream.training import TrainerOptions
from twostream.types import DataError, Progress, UsageError, no_progress

_log = logging.getLogger(__name__)
WHATS = (*TITLES, "figure4", "claims", "all")


def reproduce(
    study: Study,
    what: str,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    options: TrainerOptions | None = None,
    notes: Path | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Run experiments of the paper and write OUT/results.json, reproduction.md and index.html.

    Args:
        study: on which data, with which recipe, where.
        what: one of WHATS.
        jobs, cluster, options, progress: as in ``run_all``.
        notes: a text file with paragraphs under headings "Claim 1", which go to the claims.

    Returns:
        What stands in OUT/results.json.

    Raises:
        UsageError: no such experiment.
        RunError: OUT is of another study.
        DataError: notes that cannot be read.
    """
    check_what(what)
    if cluster is not None and jobs is not None:
        raise UsageError("--jobs is for one machine: leave it or --cluster out")
    said: dict[int, str] = {}
    if notes:
        if not notes.is_file():  # a pipe or a device may have no end
            raise DataError(f"{notes} cannot be read as notes: it is no file on disk")
        try:
            said = claim_notes(notes.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{notes} cannot be read as notes ({error})") from error
    for dataset in study.datasets:
        _log.info(dataset.describe())
    study.check()
    (options or TrainerOptions()).check()
    with study.claimed():
        started = time.monotonic()
        runs = planned(study, what)
        failed = run_all(
            study, runs, jobs=jobs, cluster=cluster, options=options, progress=progress
        )
        results = collect(study, what, failed)
        results["seconds"] = {
            "this_call": round(time.monotonic() - started, 1),
            "all_runs": seconds_spent(runs),
        }
        write_results(study.out, results, said)
    return results


def built_in_data(out: Path, progress: Progress) -> str:
    """Render the built-in data set of 24 groups beside OUT, once; return its folder."""
    folder = out.with_name(f"{out.name}-clips") / "built-in"
    done = folder.with_name("complete")
    if not done.is_file():
        render_dataset(folder, groups=24, progress=progress)
        done.touch()
    return str(folder)


def check_what(what: str) -> None:
    """Raise UsageError where there is no such experiment."""
    if what not in WHATS:
        raise UsageError(f"nothing called {what!r} to reproduce: use one of {', '.join(WHATS)}")


def planned(study: Study, what: str) -> list[PlannedRun]:
    """Return the runs that an experiment needs; cells that lack something need none."""
    found: list[PlannedRun] = []
    for cell in EXPERIMENTS:
        runs = runs_of_cell(study, cell)
        if what in (cell.table, "all") and not isinstance(runs, str):
            found += runs
    if what in ("figure4", "all"):
        found += study.runs(FIGURE4_NET, 0)
    if what in ("claims", "all"):
        for claim in CLAIMS:
            found += runs_of_claim(study, claim)
    return list({run.folder: run for run in found}.values())


def collect(study: Study, what: str, failed: dict[Path, str]) -> dict[str, Any]:
    """Compute everything that was asked for, and everything else that is there.

    One study holds many experiments: asking for one more does not make the pages forget the others.
    """
    failed = failed | damaged(study, planned(study, "all"))
    cells = [cell_result(study, cell, failed) for cell in EXPERIMENTS]
    cells = [c for c in cells if what in (c["table"], "all") or c["state"] == "done"]
    claims = [claim_result(study, claim, failed) for claim in CLAIMS]
    judged = any(each["state"] == "done" for claim in claims for each in claim["comparisons"])
    if what not in ("claims", "all") and not judged:
        claims = []
    figure4: dict[str, Any] | None = figure4_result(study, failed)
    if what not in ("figure4", "claims", "all") and figure4 and figure4["state"] != "done":
        figure4 = None
    return {
        "what": what,
        "data": [
            {
                "name": name,
                "videos": len(dataset.videos),
                "classes": len(dataset.classes),
                "groups": len(dataset.groups),
                "splits": list(dataset.given_splits) if study.uses_given(target) else None,
            }
            for target, (name, dataset) in enumerate(zip(study.names, study.datasets, strict=True))
        ],
        "recipe": study.recipe.name,
        "steps": study.recipe.steps,
        "crop_size": study.recipe.crop_size,
        "flow": study.recipe.flow,
        "weights": Path(study.weights).name if study.weights else None,
        "seeds": study.seeds,
        "folds": None if study.official else study.folds,
        "machine": machine(),
        "cells": cells,
        "claims": claims,
        "overfitting": overfitting(study) if claims else None,
        "figure4": figure4,
        "unreadable": unreadable(study),
        "failed": {str(folder): why for folder, why in failed.items()},
    }


def write_results(out: Path, results: dict[str, Any], notes: Mapping[int, str]) -> None:
    """Write results.json, and the document and the page that are made from it and the notes."""
    write_json(out / "results.json", results)
    found = read_json(out / "results.json")
    document = markdown(found, notes)
    page = html(document, found, out)
    write_text(out / "reproduction.md", document)
    write_text(out / "index.html", page)


def claim_notes(text: str) -> dict[int, str]:
    """Return the paragraphs under headings such as "## Claim 3".

    >>> claim_notes("## Claim 3\\n\\nBecause.\\n")
    {3: 'Because.'}
    """
    notes: dict[int, str] = {}
    number = None
    for line in text.splitlines():
        words = line.strip("# ").split()
        if line.startswith("#"):
            numbered = len(words) == 2 and words[0].lower() == "claim" and words[1].isdecimal()
            number = int(words[1]) if numbered else None
        elif number is not None:
            notes[number] = f"{notes.get(number, '')}\n{line}".strip()
    return notes


def machine() -> dict[str, Any]:
    """Describe the machine without its name."""
    import torch

    listed = Path("/proc/cpuinfo")
    named = re.search("^model name.*?:(.*)", listed.read_text() if listed.is_file() else "", re.M)
    return {
        "processor": named[1].strip() if named else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": version("torch"),
        "twostream": version("twostream"),
    }
