"""Verbs on flow itself: flow, import-flow, export-flow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twostream.cli import options
from twostream.cli.console import Shown
from twostream.cli.options import FLOW, own

if TYPE_CHECKING:
    from twostream.flow import FlowEstimator
    from twostream.interchange import FlowVideo, ImportSummary, Matched

NAMED = 5  # names that are printed of a longer list
Store = Annotated[Path, typer.Option("--store", help="Folder of frames and flow.")]


def import_flow(
    folder: Path = typer.Argument(
        ..., metavar="FOLDER", help="Flow images of denseflow, TSN, mmaction2, gpu_flow and others."
    ),
    store: Store = ...,  # type: ignore[assignment]
    data: Path = own(
        None, "The data set whose videos the folders stand for.", None, "--data", metavar="DATA"
    ),
    bound: float = own(
        None, "Range of the images' code in pixels; default 20 (denseflow's own: 32)."
    ),
    fps: float = own(
        None, "Frames per second of the videos; default: the files of DATA say, else 25."
    ),
    short_side: int = own(
        None, "Shrink to this shorter side in pixels; default: as they are.", min=8
    ),
    codec: options.Codec = "jpeg",
    quality: options.Quality = 95,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
) -> int:
    """Take flow that other tools wrote as images into a store; continues where it stopped."""
    from twostream.datasets import load_dataset
    from twostream.interchange import find_flow, import_settings, known_bound, match_names
    from twostream.interchange import import_flow as run
    from twostream.types import UsageError

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
    videos = find_flow(folder)
    names = None
    if data:
        dataset = load_dataset(data, missing="keep")
        shown.say(dataset.describe())
        names = match_names([video.name for video in videos], dataset)
        videos = _matched(shown, videos, names, folder, dataset.name)
    with shown.progress():
        summary = run(
            videos,
            store=store,
            settings=settings,
            matched=names.videos if names else None,
            fps=fps,
            workers=workers,
            progress=shown.step,
        )
    _say_layouts(shown, summary, settings.parameters["bound_px"])
    if bound is None and "denseflow" in summary.layouts:
        shown.say("these look like denseflow's, whose own default is 32 px: say --bound if not 20")
    if names is None:
        shown.say(
            f"ids are the folders' names, such as {videos[0].name}; with --data they are those of "
            "the data set, which train needs"
        )
    for name, why in summary.warnings.items():
        shown.say(f"{name}: {why}")
    result: dict[str, Any] = {
        "videos": summary.videos,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": len(summary.failed),
        "fields": summary.fields,
    }
    status = shown.summary(f"flow store {store}", result, summary.failed, "not imported")
    result |= {
        "failures": summary.failed,
        "warnings": summary.warnings,
        "layouts": summary.layouts,
        "unmatched": names.unmatched if names else {},
        "without_flow": list(names.without) if names else [],
    }
    shown.result(result)
    return status


def _say_layouts(shown: Shown, summary: ImportSummary, bound_px: float) -> None:
    layouts = ", ".join(f"{count} {name}" for name, count in summary.layouts.items())
    scaled = f"; {summary.scaled} videos have ranges of their own" if summary.scaled else ""
    shown.say(f"layouts: {layouts or 'none'}; codes span +-{bound_px:g} px{scaled}")


def _matched(
    shown: Shown, videos: list[FlowVideo], names: Matched, folder: Path, data: str
) -> list[FlowVideo]:
    """Return the folders that stand for videos of the data set; say which do not."""
    from twostream.types import DataError

    shown.say(f"{len(names.videos)} of {len(videos)} folders stand for videos of {data}")
    for name, why in list(names.unmatched.items())[:NAMED]:
        shown.say(f"left out: {name}: {why}")
    if len(names.unmatched) > NAMED:
        count = len(names.unmatched)
        shown.say(f"{count} folders are left out, {NAMED} of them named above; --json names all")
    if names.without:
        listed = ", ".join(names.without[:NAMED]) + (", ..." * (len(names.without) > NAMED))
        shown.say(f"{len(names.without)} videos of {data} have no flow here: {listed}")
    if not names.videos:
        name, why = next(iter(names.unmatched.items()), ("it", "nothing is there"))
        raise DataError(f"no folder of {folder} stands for a video of {data}: {name}: {why}")
    return [video for video in videos if video.name in names.videos]


def export_flow(
    store: Store,
    out: Path = own(..., "Folder for the videos' folders of images.", None, "--out"),
    layout: Literal["denseflow", "tsn", "mmaction2"] = own("denseflow", "Whose names are given."),
    bound: float = own(20.0, "Range of the 8-bit code in pixels."),
    quality: options.Quality = 95,
    workers: options.Workers = None,
    as_json: options.AsJson = False,
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
    result = {
        "videos": summary.videos,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": len(summary.failed),
        "fields": summary.fields,
        "clipped_share": round(summary.clipped_share, 6),
    }
    status = shown.summary(f"{layout} in {out}", result, summary.failed, "not exported")
    shown.result(result | {"failures": summary.failed, "clipped": summary.clipped})
    return status


def flow(
    inputs: list[Path] = typer.Argument(
        ..., metavar="VIDEO | IMAGE1 IMAGE2", help="A video, or two images of one size."
    ),
    out: Path = own(
        ..., "For a video .mp4, .mkv, .mov or .avi; for images .flo, .png or .npy.", None, "--out"
    ),
    method: str = own("dis", FLOW),
    short_side: int = own(256, "Shrink a video to this shorter side in pixels before.", min=8),
    scale: float = own(
        None, "Displacement in pixels that gets full colour; default: the video's usual."
    ),
    as_json: options.AsJson = False,
) -> None:
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
        shown.line(f"{out}: {film.pairs} fields of {method}, full colour at {film.scale_px:.3g} px")
        shown.result({"out": str(out), "pairs": film.pairs, "scale_px": film.scale_px})
        return
    result = _flow_of_images(inputs, out, estimator)
    shown.summary(method, result, {}, "")
    shown.result(result)


def _flow_of_images(inputs: list[Path], out: Path, estimator: FlowEstimator) -> dict[str, Any]:
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
    return {
        "out": str(out),
        "width": width,
        "height": height,
        "mean_px": round(float(lengths.mean()), 4),
        "longest_px": round(float(lengths.max()), 4),
    }


COMMANDS = (flow, import_flow, export_flow)
