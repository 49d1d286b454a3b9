"""Which images of a video belong together: numbers from 0 or 1, without a hole, x with its y."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twostream.interchange.flow_folders import CHARADES, FRAME, NAMED, FlowVideo
from twostream.types import DataError

Image = tuple[Path, str]  # folder or zip file, name in it
Numbered = dict[int, Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The images of one video, in order.

    Attributes:
        layout: "denseflow", "tsn", "mmaction2", "feichtenhofer", "charades" or "gpu_flow".
        step: frames from one field's first picture to its second; fields and frames below are
            those at every step-th number, so that each field leads to the next one's frame.
        forward: (x, y) images of the fields from a frame to the next.
        backward: (x, y) images of the fields back; empty where there are none.
        rgb: images of the frames; empty where there are none.
        warning: a sentence where frames and fields do not end together, else None.
    """

    layout: str
    step: int
    forward: list[tuple[Image, Image]]
    backward: list[tuple[Image, Image]]
    rgb: list[Image]
    warning: str | None


def read_listing(video: FlowVideo) -> Listing:
    """Read which images a video has.

    Raises:
        DataError: a number is missing, an x has no y, or the numbers start neither at 0 nor at 1.
    """
    rgb: Numbered = {}
    flow: dict[tuple[str, int], Numbered] = defaultdict(dict)  # axis, step -> images
    styles = set()
    for place in video.places:
        for name in place.files():
            stem = os.path.splitext(os.path.basename(name))[0]
            if match := NAMED.fullmatch(stem):
                axis, step = match["axis"], match["step"] or "p1"
                style = {"named" if stem.startswith("flow_") else "short"}
                style |= {"zip"} if place.path.suffix.lower() == ".zip" else set()
            elif match := CHARADES.fullmatch(stem):
                axis, step, style = match["axis"], "p1", {"charades"}
            elif match := FRAME.fullmatch(stem):
                axis, step, style = place.part, "p1", {place.axis}
            else:
                continue
            if axis in ("x", "y"):
                signed = int(step[1:]) * (1 if step[0] == "p" else -1)
                numbers, what = flow[axis, signed], _called(axis, signed)
                styles |= style
            else:
                numbers, what = rgb, "frame" if match.re is FRAME else "img"
            number = int(match["n"])
            if number in numbers:
                raise DataError(f"{what} {number} is there twice: remove one of them")
            numbers[number] = (place.path, name)
    steps = [step for _, step in flow if step > 0]
    if not steps:
        what = "backward flow only" if flow else "no flow"
        raise DataError(f"{what} is there; forward flow (flow_x_00001.jpg) is needed")
    step = min(steps)
    base = min(min(numbers) for numbers in flow.values())
    _check_base("flow", base)
    forward = _paired(flow, step, base)
    backward = _paired(flow, -step, base)
    if len(backward) not in (0, len(forward)):
        raise DataError(
            f"{len(forward)} forward fields but {len(backward)} backward fields are there"
        )
    # Frames that FFmpeg wrote start at 1 beside denseflow's flow from 0: each has its own start.
    first = min(rgb, default=0)
    _check_base("frame", first)
    _check_consecutive("frame", rgb, first)
    return Listing(
        layout=_layout(styles, base),
        step=step,
        forward=forward[::step],
        backward=backward[::step],
        rgb=[rgb[n] for n in sorted(rgb)][::step],
        warning=_warning(len(forward), len(rgb), step),
    )


def _check_base(what: str, base: int) -> None:
    if base > 1:
        raise DataError(f"the {what} numbers start at {base}, expected 0 or 1: files are missing")


def _called(axis: str, step: int) -> str:
    mark = "" if step == 1 else f"_p{step}" if step > 0 else f"_m{-step}"
    return f"flow {axis}{mark}"


def _paired(
    flow: dict[tuple[str, int], Numbered], step: int, base: int
) -> list[tuple[Image, Image]]:
    """Return every x with its y, in order; there must be no hole."""
    x, y = flow[("x", step)], flow[("y", step)]
    for ours, others, axis, other in ((x, y, "x", "y"), (y, x, "y", "x")):
        alone = min(ours.keys() - others.keys(), default=None)
        if alone is not None:
            raise DataError(f"{_called(axis, step)} {alone} has no {_called(other, step)} {alone}")
    _check_consecutive(_called("x", step), x, base)
    return [(x[n], y[n]) for n in sorted(x)]


def _check_consecutive(what: str, numbers: Iterable[int], base: int) -> None:
    there = sorted(numbers)
    missing = next((n for n, found in enumerate(there, base) if n != found), None)
    if missing is not None:
        raise DataError(f"{what} {missing} is missing (the numbers go from {base} to {there[-1]})")


def _layout(styles: set[str], base: int) -> str:
    if styles & {"u", "v"}:
        return "feichtenhofer"
    if styles & {"x", "y", "flow_x", "flow_y"}:
        return "gpu_flow"
    if "charades" in styles:
        return "charades"
    if "zip" in styles:
        return "tsn"
    if "named" in styles:
        return "denseflow" if base == 0 else "tsn"
    return "mmaction2"


def _warning(fields: int, frames: int, step: int) -> str | None:
    # TSN's tool writes the second frame of every pair, so that there are as many frames as fields.
    if not frames or fields <= frames <= fields + step:
        return None
    cut = "the flow seems" if frames > fields else "the frames seem"
    return f"{fields} fields but {frames} frames are there: {cut} to be cut off"
