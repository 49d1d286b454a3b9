"""Which images of a video belong together: numbers from 0 or 1, without a hole, x with its y."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from twostream.interchange.flow_folders import FRAME, NAMED, FlowVideo
from twostream.types import DataError

Image = tuple[Path, str]  # folder or zip file, name in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The images of one video, in order.

    Attributes:
        layout: "denseflow", "tsn", "mmaction2", "feichtenhofer" or "gpu_flow".
        base: number of the first field, 0 or 1.
        step: frames from one field's first picture to its second; fields and frames below are
            those at every step-th number, so that each field leads to the next one's frame.
        forward: (x, y) images of the fields from a frame to the next.
        backward: (x, y) images of the fields back; empty where there are none.
        rgb: images of the frames; empty where there are none.
        warning: a sentence where frames and fields do not end together, else None.
    """

    layout: str
    base: int
    step: int
    forward: list[tuple[Image, Image]]
    backward: list[tuple[Image, Image]]
    rgb: list[Image]
    warning: str | None


@dataclass(slots=True)
class _Found:
    rgb: dict[int, Image] = field(default_factory=dict)
    axes: dict[tuple[str, int], dict[int, Image]] = field(default_factory=dict)
    styles: set[str] = field(default_factory=set)

    def sort_in(self, video: FlowVideo) -> None:
        for place in video.places:
            for name in place.files():
                stem = os.path.splitext(os.path.basename(name))[0]
                image = (place.path, name)
                if match := NAMED.fullmatch(stem):
                    if match["rgb"]:
                        self._add(self.rgb, image, match["n"], video, "img")
                        continue
                    step = match["step"] or "p1"
                    signed = int(step[1:]) * (1 if step[0] == "p" else -1)
                    self.styles.add("named" if stem.startswith("flow_") else "short")
                    if place.path.suffix.lower() == ".zip":
                        self.styles.add("zip")
                    axis = match["axis"]
                elif match := FRAME.fullmatch(stem):
                    if place.part not in ("x", "y"):
                        self._add(self.rgb, image, match["n"], video, "frame")
                        continue
                    axis, signed = place.part, 1
                    self.styles.add(place.axis)
                else:
                    continue
                numbers = self.axes.setdefault((axis, signed), {})
                self._add(numbers, image, match["n"], video, _called(axis, signed))

    @staticmethod
    def _add(
        numbers: dict[int, Image], image: Image, number: str, video: FlowVideo, what: str
    ) -> None:
        if int(number) in numbers:
            raise DataError(
                f"{video.name}: {what} {int(number)} is there twice: remove one of them"
            )
        numbers[int(number)] = image


def read_listing(video: FlowVideo) -> Listing:
    """Read which images a video has.

    Raises:
        DataError: a number is missing, an x has no y, or the numbers start neither at 0 nor at 1.
    """
    found = _Found()
    found.sort_in(video)
    steps = sorted(step for axis, step in found.axes if step > 0)
    if not steps:
        what = "backward flow only" if found.axes else "no flow"
        raise DataError(f"{video.name}: {what} is there; forward flow (flow_x_00001.jpg) is needed")
    step = steps[0]
    base = min(min(numbers) for numbers in found.axes.values())
    _check_base(video, "flow", base)
    count = _paired(video, found, step, base)
    backward = _paired(video, found, -step, base) if _has(found, -step) else 0
    if backward not in (0, count):
        raise DataError(
            f"{video.name}: {count} forward fields but {backward} backward fields are there"
        )
    # Frames that FFmpeg wrote start at 1 beside denseflow's flow from 0: each has its own start.
    first = min(found.rgb, default=0)
    _check_base(video, "frame", first)
    _check_consecutive(video, "frame", found.rgb, first)
    taken = range(base, base + count, step)
    return Listing(
        layout=_layout(found.styles, base),
        base=base,
        step=step,
        forward=[(found.axes["x", step][n], found.axes["y", step][n]) for n in taken],
        backward=[
            (found.axes["x", -step][n], found.axes["y", -step][n])
            for n in (taken if backward else ())
        ],
        rgb=[found.rgb[n] for n in range(first, first + len(found.rgb), step)],
        warning=_warning(count, len(found.rgb), step),
    )


def _check_base(video: FlowVideo, what: str, base: int) -> None:
    if base > 1:
        raise DataError(
            f"{video.name}: the {what} numbers start at {base}, expected 0 or 1: files are missing"
        )


def _has(found: _Found, step: int) -> bool:
    return ("x", step) in found.axes or ("y", step) in found.axes


def _called(axis: str, step: int) -> str:
    mark = "" if step == 1 else f"_p{step}" if step > 0 else f"_m{-step}"
    return f"flow {axis}{mark}"


def _paired(video: FlowVideo, found: _Found, step: int, base: int) -> int:
    """Check that every x has its y, without a hole, and return their number."""
    x, y = (found.axes.get((axis, step), {}) for axis in "xy")
    for ours, others, axis, other in ((x, y, "x", "y"), (y, x, "y", "x")):
        alone = min(ours.keys() - others.keys(), default=None)
        if alone is not None:
            raise DataError(
                f"{video.name}: {_called(axis, step)} {alone} has no {_called(other, step)} {alone}"
            )
    _check_consecutive(video, _called("x", step), x, base)
    return len(x)


def _check_consecutive(video: FlowVideo, what: str, numbers: Iterable[int], base: int) -> None:
    there = sorted(numbers)
    missing = next((base + i for i, n in enumerate(there) if n != base + i), None)
    if missing is not None:
        raise DataError(
            f"{video.name}: {what} {missing} is missing (the numbers go from {base} to {there[-1]})"
        )


def _layout(styles: set[str], base: int) -> str:
    if styles & {"u", "v"}:
        return "feichtenhofer"
    if styles & {"x", "y", "flow_x", "flow_y"}:
        return "gpu_flow"
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
