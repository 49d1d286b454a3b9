"""Verbs that do the main job: train, demo."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twostream.cli import options
from twostream.cli.agreement import show_agreement
from twostream.cli.console import Shown, percent
from twostream.cli.options import (
    DATA,
    METHOD,
    NETWORK,
    TRAINING,
    own,
    per_recipe,
    split_choice,
    trainer_options,
)
from twostream.types import TemporalInput

if TYPE_CHECKING:
    from twostream.datasets import SplitChoice

AUTO = "auto"  # the training clips choose the flow
STREAM_NAMES = ("spatial", "temporal", "average", "svm", "fused")
RECIPE = (
    "standard (from ImageNet weights), quick (small nets, from scratch) or paper (2014, exactly); "
    "default: standard where its weights are installed."
)


def train(
    data: options.Data,
    out: Path = own(
        None, "The RUN folder: models, scores, report, logs; default DATA-run here.", None, "--out"
    ),
    recipe: options.RecipeName = own(None, RECIPE),
    stream: Literal["both", "spatial", "temporal"] = own("both", "Which nets are trained."),
    split: options.Split = None,
    fold: options.Fold = None,
    test_groups: options.TestGroups = None,
    skip_unreadable: options.SkipUnreadable = False,
    also: list[str] = own(
        None, "Another data set that helps to train (repeatable).", DATA, "--also", metavar="DATA"
    ),
    how: Literal["multitask", "added", "pretrain"] = own(
        "multitask", "What --also does: heads, added classes, or first training.", DATA
    ),
    also_store: list[str] = own(
        None, "Store of each --also, in the same order.", DATA, metavar="DIR"
    ),
    also_test: bool = own(
        False, "Keep each --also's test side back, and test its head on it.", DATA, "--also-test"
    ),
    overlap: Path = own(
        None, "For --how added: CSV of classes that mean the same in both data sets.", DATA
    ),
    length: int = own(None, "L: flow fields, or frames, in a stack; unless given 10.", METHOD),
    trajectory: bool = own(False, "Sample along trajectories.", METHOD, "--trajectory"),
    bidirectional: bool = own(False, "Half forward, half backward.", METHOD, "--bidirectional"),
    mean_subtraction: bool = own(True, "Subtract each field's mean vector.", METHOD),
    rgb_stack: bool = own(False, "L RGB frames instead of flow.", METHOD, "--rgb-stack"),
    differences: bool = own(
        False,
        "What each of 11 RGB frames (--length) has more than the one before, and no flow.",
        METHOD,
        "--differences",
    ),
    flow: options.Flow = None,
    store: Path = own(None, "Folder for frames and flow; default RUN/flow.", METHOD),
    codec: options.Codec = "jpeg",
    quality: options.Quality = 90,
    bound: options.Bound = None,
    fps: options.Fps = None,
    short_side: options.ShortSide = None,
    crop_size: options.CropSize = None,
    flip: bool = own(
        None,
        "Mirror images; --no-flip for classes that tell left from right. Unless given, standard "
        "finds out where flow is seen, quick and paper use them.",
        METHOD,
        "--flip/--no-flip",
    ),
    fit_scores: Literal["out-of-fold", "held-out", "in-sample"] = own(
        None, per_recipe("What fusion learns from", "fit_scores"), METHOD
    ),
    arch: str = own(
        None,
        per_recipe(
            "Spatial net: one of ours, squeezenet1_0 or a timm name", "spatial_architecture"
        ),
        NETWORK,
    ),
    temporal_arch: str = own(
        None, per_recipe("Temporal net, likewise", "temporal_architecture"), NETWORK
    ),
    weights: Path = own(
        None, "Weights file the spatial net starts from; imagenet: pip's own.", NETWORK
    ),
    temporal_weights: Path = own(None, "Weights file the temporal net starts from.", NETWORK),
    cross_modality: bool = own(
        False,
        "Start the temporal net from --weights too, averaged over colour.",
        NETWORK,
        "--cross-modality",
    ),
    pretrained: bool = own(False, "Start from timm's hub weights.", NETWORK, "--pretrained"),
    layers: Literal["all", "last-layer"] = own(
        "all", "Which layers of a net that starts from weights.", NETWORK, "--train"
    ),
    dropout: float = own(None, per_recipe("Before the classifier, 0..1", "dropout"), NETWORK),
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    learning_rate: float = own(
        None, per_recipe("Highest learning rate", "learning_rate"), TRAINING
    ),
    seed: options.Seed = 0,
    resume: options.Resume = False,
    workers: options.Workers = None,
    loader_workers: options.LoaderWorkers = None,
    accelerator: options.Accelerator = "auto",
    devices: options.Devices = 1,
    nodes: options.Nodes = 1,
    precision: options.Precision = "32-true",
    as_json: options.AsJson = False,
) -> None:
    """Train both streams on DATA and do everything around it: flow, scores, fusion, report."""
    from twostream.initialise import Start
    from twostream.recipes import default_recipe, make_recipe
    from twostream.run import FLOW_CANDIDATES, RunSettings, train_run
    from twostream.training import begun_again, led, take_part

    choice = split_choice(split, fold, test_groups)
    _check_others(how, also, overlap)
    folder = out or run_folder(data, choice)
    nets = (arch, temporal_arch, weights, temporal_weights)
    ways = (pretrained and "--pretrained", how == "pretrain" and "--how pretrain")
    chosen = make_recipe(
        recipe or begun_recipe(folder, resume) or default_recipe(*nets, *ways),
        flow=None if flow == AUTO else flow,
        short_side=short_side,
        crop_size=crop_size,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        fine_tuning_learning_rate=learning_rate,
        dropout=dropout,
        flips=flip,
        fit_scores=fit_scores,
    )
    settings = RunSettings(
        data=str(data),
        recipe=chosen if length is None else chosen.settled("length"),
        streams=("spatial", "temporal") if stream == "both" else (stream,),
        temporal=replace(
            _stack(length, rgb=rgb_stack, differences=differences),
            trajectory=trajectory,
            bidirectional=bidirectional,
            subtract_mean=mean_subtraction,
        ),
        choice=choice,
        seed=seed,
        start=Start(
            weights=str(weights) if weights else None,
            temporal_weights=str(temporal_weights) if temporal_weights else None,
            cross_modality=cross_modality,
            pretrained=pretrained,
        ),
        train=layers,
        spatial_architecture=arch,
        temporal_architecture=temporal_arch,
        store=str(store) if store else None,
        stored=chosen.stored(codec=codec, quality=quality, bound_px=bound, fps=fps),
        others=tuple(also or ()),
        how=how,
        others_whole=not also_test,
        other_stores=tuple(also_store or ()),
        overlap=str(overlap) if overlap else None,
        skip_unreadable=skip_unreadable,
        flows=FLOW_CANDIDATES if flow == AUTO else (),
    )
    machine = trainer_options(accelerator, devices, precision, loader_workers, nodes)
    with (shown := Shown(as_json=as_json)).progress():
        job = partial(train_run, settings, folder, resume=resume or begun_again(), options=machine)
        results = led(machine, partial(job, workers=workers, progress=shown.step), take_part)
    show_results(shown, results)


def begun_recipe(folder: Path, resume: bool) -> str | None:
    """Return the recipe of a run that was begun in a folder: --resume goes on with it."""
    from twostream.files import ASKED, read_json

    file = folder / ASKED
    begun = read_json(file) if resume and file.is_file() else {}
    recipe = begun.get("recipe")
    name = recipe.get("name") if isinstance(recipe, dict) else None
    return name if isinstance(name, str) else None


def run_folder(data: Path, choice: SplitChoice) -> Path:
    """Return the RUN folder where none is named: called after the data and who is tested."""
    data = data.resolve()
    name = data.name if data.is_dir() else data.stem
    name = data.parent.name if data.name == "clips.csv" else name
    if choice.split is not None:
        name += f"-split{choice.split}"
    elif choice.fold:
        name += f"-fold{choice.fold.replace('/', 'of')}"
    elif choice.test_groups:
        name += "-" + "-".join(choice.test_groups)
    return Path(re.sub(r"[^\w.-]", "-", f"{name or 'twostream'}-run"))


def _stack(length: int | None, *, rgb: bool, differences: bool) -> TemporalInput:
    """Return what a stack holds, unless told of fields; ten differences are of eleven frames.

    >>> [_stack(n, rgb=False, differences=True).num_channels for n in (None, 10, 2)]
    [30, 27, 3]
    """
    unsaid = 11 if differences else 10
    frames = unsaid if length is None else length
    return TemporalInput(length=frames, rgb=rgb or differences, differences=differences)


def _check_others(how: str, also: list[str] | None, overlap: Path | None) -> None:
    """Raise a UsageError where an option on other data sets would have no effect."""
    from twostream.types import UsageError

    if overlap and how != "added":
        raise UsageError("--overlap goes with --how added, and only with it")
    if how != "multitask" and not also:
        raise UsageError(f"--how {how} needs another data set: give --also DATA")


def show_results(shown: Shown, results: dict[str, Any] | None) -> None:
    """Print accuracies, and where a report was written, if one was; None: another process does."""
    if results is None:
        return
    rows = [
        (name, percent(results["accuracy"][name]), percent(results["train_accuracy"].get(name)))
        for name in STREAM_NAMES
        if name in results["accuracy"]
    ]
    for name, other in results.get("others", {}).items():
        test = f"{percent(other['accuracy'])} of {other['test_videos']}"
        rows.append((f"temporal, head of {name}", test, "-"))
    title = f"{results['test_videos']} test videos, {len(results['classes'])} classes"
    trained = results["train_videos"]
    seen = results.get("train_scored") or trained
    seen_of = "training clips" if seen == trained else f"training clips ({seen} of {trained})"
    shown.table(title, ("stream", "test", seen_of), rows)
    if "recordings" in results:
        from twostream.judging import Agreement

        found = Agreement.from_json(results["recordings"])
        for note in found.notes:
            shown.say(note)
        show_agreement(shown, found)
    if results["unreadable"]:
        shown.say(f"{len(results['unreadable'])} videos could not be read: {results['unreadable']}")
    if "report" in results:
        shown.line(f"report: {results['report']}")
    shown.result(results)


def demo(
    out: Path = own(Path("demo-run"), "The RUN folder.", None, "--out"),
    seed: int = own(0, "Of the data set and of training.", min=0),
    as_json: options.AsJson = False,
) -> None:
    """Write the built-in data set, do the main job on it and label one held-out clip."""
    from twostream.demo import run_demo

    shown = Shown(as_json=as_json)
    with shown.progress():
        results, clip, prediction, truth = run_demo(out, seed=seed, progress=shown.step)
    rows = [
        (place, label, f"{score:.3f}")
        for place, (label, score) in enumerate(prediction.top(3), start=1)
    ]
    shown.table(f"{clip.name} ({truth})", ("place", "label", "score"), rows)
    show_results(shown, results)


COMMANDS = (train, demo)
