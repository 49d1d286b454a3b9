"""Verbs that do the main job: train, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from twostream.cli.console import FLOW_HELP, Shown, percent
from twostream.cli.options import Accelerator, AsJson, Devices, LoaderWorkers, Precision, groups_of

STREAM_NAMES = ("spatial", "temporal", "average", "svm")


def train(
    data: Path = typer.Argument(
        ...,
        metavar="DATA",
        help="A folder of class folders, a UCF-101 or HMDB-51 root, or a CSV or list file.",
    ),
    out: Path = typer.Option(..., "--out", help="The RUN folder: models, scores, report, logs."),
    recipe: str = typer.Option("quick", help="quick (minutes on a CPU) or paper (2014, exactly)."),
    split: int = typer.Option(None, help="Number of a split that came with the data."),
    fold: str = typer.Option(None, help="i/k: test fold i of k, drawn by group."),
    test_groups: str = typer.Option(None, help="Groups to test on, with commas: a,b,c."),
    stream: str = typer.Option("both", help="spatial, temporal or both."),
    weights: Path = typer.Option(None, help="Weights file the spatial net starts from."),
    temporal_weights: Path = typer.Option(None, help="Weights file the temporal net starts from."),
    cross_modality: bool = typer.Option(
        False,
        "--cross-modality",
        help="Start the temporal net from --weights too, averaged over colour.",
    ),
    pretrained: bool = typer.Option(False, "--pretrained", help="Start from timm's hub weights."),
    layers: str = typer.Option("all", "--train", help="all or last-layer."),
    arch: str = typer.Option(None, help="Spatial net: cnn-m-2048, squeezenet1_0 or a timm name."),
    temporal_arch: str = typer.Option(None, help="Temporal net, likewise."),
    length: int = typer.Option(10, help="L: flow fields in a stack."),
    trajectory: bool = typer.Option(False, "--trajectory", help="Sample along trajectories."),
    bidirectional: bool = typer.Option(
        False, "--bidirectional", help="Half forward, half backward."
    ),
    mean_subtraction: bool = typer.Option(True, help="Subtract each field's mean vector."),
    rgb_stack: bool = typer.Option(False, "--rgb-stack", help="L RGB frames instead of flow."),
    flow: str = typer.Option(None, help=FLOW_HELP),
    store: Path = typer.Option(
        None, "--store", help="Folder for frames and flow; default RUN/flow."
    ),
    codec: str = typer.Option("jpeg", help="jpeg (8 bit, as in the paper) or lossless."),
    quality: int = typer.Option(90, min=1, max=100, help="Of the JPEG."),
    bound: float = typer.Option(
        None, help="Fixed flow range in pixels; default: each field's own."
    ),
    fps: float = typer.Option(None, help="Resample all videos to this rate."),
    short_side: int = typer.Option(None, help="Stored size: shorter side in pixels."),
    crop_size: int = typer.Option(None, help="Side of the crops in pixels."),
    steps: int = typer.Option(None, help="SGD steps."),
    batch_size: int = typer.Option(None, help="Global batch, over all devices."),
    learning_rate: float = typer.Option(None, help="Highest learning rate."),
    dropout: float = typer.Option(None, help="Before the classifier, 0..1."),
    flip: bool = typer.Option(True, help="--no-flip for classes that tell left from right."),
    fit_scores: str = typer.Option(
        None, help="The SVM learns from out-of-fold or in-sample scores."
    ),
    also: list[str] = typer.Option(
        None, "--also", metavar="DATA", help="Another data set that helps to train (repeatable)."
    ),
    how: str = typer.Option(
        "multitask", help="What --also does: multitask, added (classes) or pretrain."
    ),
    also_store: list[str] = typer.Option(
        None, "--also-store", metavar="DIR", help="Store of each --also, in the same order."
    ),
    also_test: bool = typer.Option(
        False, "--also-test", help="Keep each --also's test side back, and test its head on it."
    ),
    overlap: Path = typer.Option(
        None, help="For --how added: CSV of classes that mean the same in both data sets."
    ),
    skip_unreadable: bool = typer.Option(
        False,
        "--skip-unreadable",
        help="Leave unreadable test videos out instead of counting them as wrong.",
    ),
    seed: int = typer.Option(0, min=0, help="Decides folds, initialisation and samples."),
    resume: bool = typer.Option(False, "--resume", help="Continue a run that was stopped."),
    workers: int = typer.Option(None, min=1, help="Threads of the extraction."),
    loader_workers: LoaderWorkers = None,
    accelerator: Accelerator = "auto",
    devices: Devices = 1,
    precision: Precision = "32-true",
    as_json: AsJson = False,
) -> int:
    """Train both streams on DATA and do everything around it: flow, scores, fusion, report."""
    from twostream.datasets import SplitChoice
    from twostream.initialise import Start
    from twostream.recipes import make_recipe
    from twostream.run import RunSettings, train_run
    from twostream.training import TrainerOptions
    from twostream.types import TemporalInput, UsageError

    if stream not in ("both", "spatial", "temporal"):
        raise UsageError(f"--stream takes spatial, temporal or both, got {stream!r}")
    if overlap and how != "added":
        raise UsageError("--overlap goes with --how added, and only with it")
    if how != "multitask" and not also:
        raise UsageError(f"--how {how} needs another data set: give --also DATA")
    chosen = make_recipe(
        recipe,
        flow=flow,
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
        recipe=chosen,
        streams=("spatial", "temporal") if stream == "both" else (stream,),  # type: ignore[arg-type]
        temporal=TemporalInput(
            length=length,
            trajectory=trajectory,
            bidirectional=bidirectional,
            subtract_mean=mean_subtraction,
            rgb=rgb_stack,
        ),
        choice=SplitChoice(split=split, fold=fold, test_groups=groups_of(test_groups)),
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
        how=how,  # type: ignore[arg-type]
        others_whole=not also_test,
        other_stores=tuple(also_store or ()),
        overlap=str(overlap) if overlap else None,
        skip_unreadable=skip_unreadable,
    )
    shown = Shown(as_json=as_json)
    options = TrainerOptions(
        accelerator=accelerator,
        devices=devices,
        precision=precision,
        loader_workers=loader_workers,
    )
    with shown.progress():
        results = train_run(
            settings,
            out,
            resume=resume,
            options=options,
            workers=workers,
            progress=shown.step,
        )
    show_results(shown, results)
    return 0


def show_results(shown: Shown, results: dict[str, Any]) -> None:
    """Print the accuracies of a run, and where its report lies."""
    rows = [
        (name, percent(results["accuracy"][name]), percent(results["train_accuracy"].get(name)))
        for name in STREAM_NAMES
        if name in results["accuracy"]
    ]
    for name, other in results.get("others", {}).items():
        test = f"{percent(other['accuracy'])} of {other['test_videos']}"
        rows.append((f"temporal, head of {name}", test, "-"))
    title = f"{results['test_videos']} test videos, {len(results['classes'])} classes"
    shown.table(title, ("stream", "test", "training clips"), rows)
    if results["unreadable"]:
        shown.say(f"{len(results['unreadable'])} videos could not be read: {results['unreadable']}")
    report = Path(results["run"]) / "report.html"
    if report.is_file():
        shown.out.print(f"report: {report}", soft_wrap=True)
    shown.result(results)


def demo(
    out: Path = typer.Option(Path("demo-run"), "--out", help="The RUN folder."),
    seed: int = typer.Option(0, min=0, help="Of the data set and of training."),
    as_json: AsJson = False,
) -> int:
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
    return 0


COMMANDS = (train, demo)
