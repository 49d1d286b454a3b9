"""Verbs on data: doctor, extract."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from twostream.cli import options
from twostream.cli.console import Shown
from twostream.cli.options import FLOW, METHOD, own


def doctor(
    target: Path = typer.Argument(..., metavar="DATA_OR_VIDEO", help="A data set or one video."),
    length: int = own(10, "Stack length that clips must be long enough for."),
    as_json: options.AsJson = False,
) -> None:
    """Decode everything and list what is wrong with it."""
    from twostream.doctor import examine

    shown = Shown(as_json=as_json)
    with shown.progress():
        report = examine(target, stack_length=length, progress=shown.step)
    if report.problems:
        rows = [(p.path, p.problem, p.detail) for p in report.problems]
        shown.table(f"{report.videos} videos", ("path", "problem", "detail"), rows)
    else:
        shown.say(f"{report.videos} videos, no problem found")
    shown.result(report.to_json())


def extract(
    data: options.Data,
    store: Path = own(..., "Folder for frames and flow.", None, "--store"),
    flow: str = own("dis", FLOW, METHOD),
    recipe: options.RecipeName = own(
        "paper", "Whose stored size to use: paper (256), standard (240), quick (64).", METHOD
    ),
    short_side: options.ShortSide = None,
    backward: bool = own(False, "Backward flow too.", METHOD, "--backward"),
    codec: options.Codec = "jpeg",
    quality: options.Quality = 90,
    bound: options.Bound = None,
    fps: options.Fps = None,
    workers: options.Workers = None,
    device: Literal["auto", "cpu", "cuda"] = own(
        "auto", "auto: a GPU where it computes this flow faster."
    ),
    shard: options.ShardText = None,
    cluster: options.ClusterText = None,
    as_json: options.AsJson = False,
) -> int:
    """Compute frames and optical flow of every video into a store; continues where it stopped."""
    from twostream.datasets import load_dataset
    from twostream.extraction import extract as run
    from twostream.recipes import make_recipe
    from twostream.shards import Shard

    shown = Shown(as_json=as_json)
    part = None if shard is None else Shard.parse(shard)
    dataset = load_dataset(data, missing="keep")  # each is named at the end
    shown.say(dataset.describe())
    for note in dataset.notes:
        shown.say(note)
    chosen = make_recipe(recipe, flow=flow, short_side=short_side, crop_size=8)
    with shown.progress():
        summary = run(
            dataset.videos,
            store=store,
            settings=chosen.stored(codec=codec, quality=quality, bound_px=bound, fps=fps),
            kinds=("rgb", "forward", "backward") if backward else ("rgb", "forward"),
            workers=workers,
            device=device,
            shard=part,
            cluster=cluster,
            progress=shown.step,
        )
    for video_id, why in summary.warnings.items():
        shown.say(f"{video_id}: {why}")
    result = {
        "videos": summary.videos,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": len(summary.failed),
        "pairs": summary.pairs,
        "pairs_per_second": round(summary.pairs_per_second, 1),
        "device": summary.device,
    }
    status = shown.summary(f"flow store {store}", result, summary.failed, "not extracted")
    shown.result(result)
    return status


COMMANDS = (extract, doctor)
