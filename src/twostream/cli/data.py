"""Verbs on data: doctor, extract."""

from __future__ import annotations

from pathlib import Path

import typer

from twostream.cli.console import FLOW_HELP, Shown
from twostream.cli.options import AsJson


def doctor(
    target: Path = typer.Argument(..., metavar="DATA_OR_VIDEO", help="A data set or one video."),
    length: int = typer.Option(10, help="Stack length that clips must be long enough for."),
    as_json: AsJson = False,
) -> int:
    """Decode everything and list what is wrong with it."""
    from twostream.doctor import examine

    shown = Shown(as_json=as_json)
    with shown.progress():
        report = examine(
            target,
            stack_length=length,
            progress=shown.step,
        )
    if report.problems:
        rows = [(p.path, p.problem, p.detail) for p in report.problems]
        shown.table(f"{report.videos} videos", ("path", "problem", "detail"), rows)
    else:
        shown.say(f"{report.videos} videos, no problem found")
    shown.result(report.to_json())
    return 0


def extract(
    data: Path = typer.Argument(
        ...,
        metavar="DATA",
        help="A folder of class folders, a UCF-101 or HMDB-51 root, or a CSV or list file.",
    ),
    store: Path = typer.Option(..., "--store", help="Folder for frames and flow."),
    flow: str = typer.Option("dis", help=FLOW_HELP),
    recipe: str = typer.Option(
        "paper", help="Whose stored size to use: paper (256) or quick (64)."
    ),
    short_side: int = typer.Option(None, min=8, help="Shorter side in pixels; frames only shrink."),
    backward: bool = typer.Option(False, "--backward", help="Backward flow too."),
    codec: str = typer.Option("jpeg", help="jpeg (8 bit, as in the paper) or lossless."),
    quality: int = typer.Option(90, min=1, max=100, help="Of the JPEG."),
    bound: float = typer.Option(None, help="Fixed range in pixels; default: each field's own."),
    fps: float = typer.Option(None, help="Resample to this rate; default: keep each clip's."),
    workers: int = typer.Option(None, min=1, help="Threads; default: one a core."),
    device: str = typer.Option(
        "auto", help="cpu, cuda, or auto: a GPU where it computes this flow faster."
    ),
    as_json: AsJson = False,
) -> int:
    """Compute frames and optical flow of every video into a store; continues where it stopped."""
    from twostream.datasets import load_dataset
    from twostream.extraction import extract as run
    from twostream.recipes import make_recipe

    shown = Shown(as_json=as_json)
    dataset = load_dataset(data)
    shown.say(dataset.describe())
    chosen = make_recipe(recipe, flow=flow, short_side=short_side, crop_size=8)
    settings = chosen.stored(codec=codec, quality=quality, bound_px=bound, fps=fps)
    with shown.progress():
        summary = run(
            dataset.videos,
            store=store,
            settings=settings,
            kinds=("rgb", "forward", "backward") if backward else ("rgb", "forward"),
            workers=workers,
            device=device,
            progress=shown.step,
        )
    for video_id, why in summary.warnings.items():
        shown.say(f"{video_id}: {why}")
    if summary.failed:
        shown.table("not extracted", ("video", "why"), list(summary.failed.items()))
    result = {
        "videos": summary.videos,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": len(summary.failed),
        "pairs": summary.pairs,
        "pairs_per_second": round(summary.pairs_per_second, 1),
        "device": summary.device,
    }
    shown.table(f"flow store {store}", tuple(result), [tuple(result.values())])
    shown.result(result)
    return 1 if summary.failed else 0


COMMANDS = (extract, doctor)
