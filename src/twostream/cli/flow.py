"""Verbs on flow itself: flow, import-flow, export-flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from twostream.cli.console import FLOW_HELP, Shown
from twostream.cli.options import AsJson

NAMED = 5  # names that are printed of a longer list


def import_flow(
    folder: Path = typer.Argument(
        ..., metavar="FOLDER", help="Flow images of denseflow, TSN, mmaction2, gpu_flow and others."
    ),
    store: Path = typer.Option(..., "--store", help="Folder for frames and flow."),
    data: Path = typer.Option(
        None, "--data", metavar="DATA", help="The data set whose videos the folders stand for."
    ),
    bound: float = typer.Option(
        None, help="Range of the images' code in pixels; default 20 (denseflow's own: 32)."
    ),
    fps: float = typer.Option(
        None, help="Frames per second of the videos; default: the files of DATA say, else 25."
    ),
    short_side: int = typer.Option(
        None, min=8, help="Shrink to this shorter side in pixels; default: as they are."
    ),
    codec: str = typer.Option("jpeg", help="jpeg (8 bit) or lossless."),
    quality: int = typer.Option(95, min=1, max=100, help="Of the JPEG."),
    workers: int = typer.Option(None, min=1, help="Threads; default: one a core."),
    as_json: AsJson = False,
) -> int:
    """Take flow that other tools wrote as images into a store; continues where it stopped."""
    from twostream.datasets import load_dataset
    from twostream.interchange import find_flow, import_settings, known_bound, match_names
    from twostream.interchange import import_flow as run
    from twostream.types import DataError, UsageError

    if fps is not None and not 0 < fps < float("inf"):
        raise UsageError(f"--fps takes a number above 0, got {fps}")
    shown = Shown(as_json=as_json)
    bound = known_bound(folder) if bound is None else bound
    settings = import_settings(
        bound_px=20.0 if bound is None else bound,
        codec=codec,
        quality=quality,
        short_side=short_side,
    )
    dataset = load_dataset(data) if data else None
    videos = find_flow(folder)
    found = len(videos)
    matched = None
    if dataset is not None:
        shown.say(dataset.describe())
        names = match_names([video.name for video in videos], dataset)
        matched = names.videos
        shown.say(f"{len(matched)} of {found} folders stand for videos of {dataset.name}")
        for name, why in list(names.unmatched.items())[:NAMED]:
            shown.say(f"left out: {name}: {why}")
        _say_more(shown, len(names.unmatched), "folders are left out")
        if names.without:
            listed = ", ".join(names.without[:NAMED]) + (", ..." * (len(names.without) > NAMED))
            shown.say(f"{len(names.without)} videos of {dataset.name} have no flow here: {listed}")
        if not matched:
            first = next(iter(names.unmatched.items()), ("it", "nothing is there"))
            raise DataError(
                f"no folder of {folder} stands for a video of {data}: {first[0]}: {first[1]}"
            )
        videos = [video for video in videos if video.name in matched]
    with shown.progress():
        summary = run(
            videos,
            store=store,
            settings=settings,
            matched=matched,
            fps=fps,
            workers=workers,
            progress=shown.step,
        )
    layouts = ", ".join(f"{count} {name}" for name, count in summary.layouts.items())
    scaled = f"; {summary.scaled} videos have ranges of their own" if summary.scaled else ""
    shown.say(
        f"layouts: {layouts or 'none'}; codes span +-{settings.parameters['bound_px']:g} px{scaled}"
    )
    if bound is None and "denseflow" in summary.layouts:
        shown.say("these look like denseflow's, whose own default is 32 px: say --bound if not 20")
    if matched is None:
        shown.say(
            f"ids are the folders' names, such as {videos[0].name}; with --data they are those of "
            "the data set, which train needs"
        )
    for name, why in summary.warnings.items():
        shown.say(f"{name}: {why}")
    if summary.failed:
        shown.table("not imported", ("video", "why"), list(summary.failed.items()))
    result: dict[str, Any] = {
        "videos": summary.videos,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": len(summary.failed),
        "fields": summary.fields,
    }
    shown.table(f"flow store {store}", tuple(result), [tuple(result.values())])
    result |= {
        "failures": summary.failed,
        "layouts": summary.layouts,
        "unmatched": names.unmatched if dataset is not None else {},
        "without_flow": list(names.without) if dataset is not None else [],
    }
    shown.result(result)
    return 1 if summary.failed else 0


def export_flow(
    store: Path = typer.Option(..., "--store", help="Folder of frames and flow."),
    out: Path = typer.Option(..., "--out", help="Folder for the videos' folders of images."),
    layout: str = typer.Option("denseflow", help="denseflow, tsn or mmaction2."),
    bound: float = typer.Option(20.0, help="Range of the 8-bit code in pixels."),
    quality: int = typer.Option(95, min=1, max=100, help="Of the JPEG."),
    workers: int = typer.Option(None, min=1, help="Threads; default: one a core."),
    as_json: AsJson = False,
) -> int:
    """Write a store's frames and flow as images for other tools; continues where it stopped."""
    from twostream.interchange import export_flow as run

    shown = Shown(as_json=as_json)
    with shown.progress():
        summary = run(
            store,
            out,
            layout=layout,
            bound_px=bound,
            quality=quality,
            workers=workers,
            progress=shown.step,
        )
    if summary.clipped:
        worst, share = max(summary.clipped.items(), key=lambda item: item[1])
        shown.say(
            f"{100 * summary.clipped_share:.2g}% of the values lie beyond +-{bound:g} px and were "
            f"clipped, in {len(summary.clipped)} videos, most in {worst} ({100 * share:.2g}%)"
        )
    if summary.without_backward:
        shown.say(
            f"{summary.without_backward} videos have backward flow, which {layout} has no name for:"
            " it is left out"
        )
    if summary.failed:
        shown.table("not exported", ("video", "why"), list(summary.failed.items()))
    result = {
        "videos": summary.videos,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": len(summary.failed),
        "fields": summary.fields,
        "clipped_share": round(summary.clipped_share, 6),
    }
    shown.table(f"{layout} in {out}", tuple(result), [tuple(result.values())])
    shown.result(result | {"failures": summary.failed, "clipped": summary.clipped})
    return 1 if summary.failed else 0


def flow(
    inputs: list[Path] = typer.Argument(
        ..., metavar="VIDEO | IMAGE1 IMAGE2", help="A video, or two images of one size."
    ),
    out: Path = typer.Option(
        ..., "--out", help="For a video .mp4, .mkv, .mov or .avi; for images .flo, .png or .npy."
    ),
    method: str = typer.Option("dis", help=FLOW_HELP),
    short_side: int = typer.Option(
        256, min=8, help="Shrink a video to this shorter side in pixels before."
    ),
    scale: float = typer.Option(
        None, help="Displacement in pixels that gets full colour; default: the video's usual."
    ),
    as_json: AsJson = False,
) -> int:
    """Show the flow of a video in colours beside it, or compute that of two images."""
    from twostream.flow import make_estimator
    from twostream.types import UsageError

    if len(inputs) > 2:
        raise UsageError(f"flow takes a video or two images, got {len(inputs)} files")
    if any(path.exists() and out.exists() and path.samefile(out) for path in inputs):
        raise UsageError(f"--out {out} is one of the inputs: give another name")
    shown = Shown(as_json=as_json)
    estimator = make_estimator(method)
    if len(inputs) == 1:
        from twostream.display.film import write_film

        with shown.progress():
            film = write_film(
                inputs[0],
                out,
                estimator,
                short_side=short_side,
                scale_px=scale,
                progress=shown.step,
            )
        if film.warning:
            shown.say(film.warning)
        shown.out.print(
            f"{out}: {film.pairs} fields of {method}, full colour at {film.scale_px:.3g} px",
            soft_wrap=True,
        )
        shown.result({"out": str(out), "pairs": film.pairs, "scale_px": film.scale_px})
        return 0
    import numpy as np

    from twostream.display.field_files import check_field_name, read_pair, save_field
    from twostream.flow.opencv import one_opencv_thread

    check_field_name(out)
    first, second = read_pair(inputs[0], inputs[1])
    with one_opencv_thread():
        field = estimator(first, second)
    save_field(out, field)
    lengths = np.hypot(*field)
    height, width = lengths.shape
    result = {
        "out": str(out),
        "width": width,
        "height": height,
        "mean_px": round(float(lengths.mean()), 4),
        "longest_px": round(float(lengths.max()), 4),
    }
    shown.table(f"{method}", tuple(result), [tuple(result.values())])
    shown.result(result)
    return 0


def _say_more(shown: Shown, count: int, what: str) -> None:
    if count > NAMED:
        shown.say(f"{count} {what}, {NAMED} of them named above; --json names all")


COMMANDS = (flow, import_flow, export_flow)
