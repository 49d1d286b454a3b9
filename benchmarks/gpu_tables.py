"""What the parts of ``gpu.py`` share: settings, times, tables, rendered frames and stores."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from twostream.store.flow_store import ClipHeader, FlowStore, StoreSettings
from twostream.types import LabeledVideo

NOT_MEASURED = "not measured"
COPIED_BYTES = 1 << 30


@dataclass(frozen=True)
class Part:
    """A part of the script.

    Attributes:
        name: by which it is chosen.
        title: of its section.
        module: that has its ``measure(settings, deadline)``, which returns the section's text.
        goal: what it is measured against.
        seconds: it starts nothing new after so long.
    """

    name: str
    title: str
    module: str
    goal: str
    seconds: int


@dataclass(frozen=True)
class Settings:
    """Where the results go, and whether it is a trial with tiny sizes on the CPU."""

    out: Path
    small: bool
    jhmdb: Path | None = None

    @property
    def device(self) -> str:
        """Where torch computes."""
        return "cpu" if self.small else "cuda"

    def write(self, text: str) -> None:
        """Write the document as it is known so far."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(text, encoding="utf-8")


def document(parts: Sequence[Part], machine: str, results: Mapping[str, str]) -> str:
    """Return the whole document; parts without results are said not to be measured."""
    sections = [
        f"## {part.title}\n\n{part.goal}\n\n{results.get(part.name, NOT_MEASURED + chr(10))}"
        for part in parts
    ]
    head = "<!-- written by benchmarks/gpu.py -->\n# One GPU, measured\n\n"
    return head + machine + "\n\n" + "\n".join(sections)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def said(error: Exception) -> str:
    """Return an error as one short sentence of a table."""
    text = " ".join(str(error).split()).replace("|", "/")
    return f"failed: {type(error).__name__}: {text[:160]}"


def synchronize(device: str) -> None:
    """Wait until the device has done all."""
    if device == "cuda":
        torch.cuda.synchronize()


def median_seconds(
    work: Callable[[], object], device: str, rounds: int, deadline: float = float("inf")
) -> float:
    """Return the median time of some rounds after one that warms up; fewer after the deadline."""
    work()
    synchronize(device)
    times: list[float] = []
    while len(times) < rounds and (not times or time.perf_counter() < deadline):
        started = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def copied_per_second(settings: Settings) -> float:
    """Return the bytes/s that a copy on the device reads and writes."""
    size = COPIED_BYTES >> (7 if settings.small else 0)
    one = torch.rand(size // 4, device=settings.device)
    other = torch.empty_like(one)
    return 2 * size / median_seconds(lambda: other.copy_(one), settings.device, 9)


def texture(height: int, width: int, seed: int) -> NDArray[np.float32]:
    """Return a smooth random picture, grey values in 0..255, at several scales."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width), np.float32)
    for sigma in (1.5, 4, 12):
        noise = rng.standard_normal((height, width)).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), sigma)
        picture += noise / noise.std()
    return np.clip(picture * 28 + 128, 0, 255)


def moving_pairs(
    count: int, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Return pairs of a background and a disc that move on their own, and their true flow.

    Returns:
        First and second frames (count, h, w), and fields (count, 2, h, w), px; where the disc
        covers or bares the background the field is that of the first frame.
    """
    margin = 24
    frames = np.empty((2, count, height, width), np.uint8)
    fields = np.empty((count, 2, height, width), np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for i in range(count):
        rng = np.random.default_rng([7, i])
        motions = rng.uniform(-3, 3, (2, 2)) * (1, 1.6)
        centre = rng.uniform(0.3, 0.7, 2) * (height, width)
        radius = 0.22 * height
        for k in range(2):
            layers = []
            for layer, (dy, dx) in enumerate(motions):
                shift = np.array([[1, 0, k * dx], [0, 1, k * dy]], np.float32)
                size = (width + 2 * margin, height + 2 * margin)
                picture = texture(size[1], size[0], 1000 * layer + i)
                moved = cv2.warpAffine(picture, shift, size, flags=cv2.INTER_CUBIC)
                layers.append(moved[margin : margin + height, margin : margin + width])
            dy, dx = k * motions[1]
            inside = np.hypot(rows - centre[0] - dy, columns - centre[1] - dx) < radius
            frames[k, i] = np.clip(np.rint(np.where(inside, layers[1], layers[0])), 0, 255)
            if k == 0:
                motion = np.where(inside[..., None], motions[1], motions[0])
                fields[i] = motion[..., ::-1].transpose(2, 0, 1)
    return frames[0], frames[1], fields


def make_store(
    root: Path, *, clips: int, frames: int, height: int, width: int
) -> tuple[FlowStore, list[LabeledVideo]]:
    """Write a store of smooth random clips, JPEG as in the paper; two classes take turns."""
    store = FlowStore.create(root, StoreSettings(short_side=height))
    videos = []
    for i in range(clips):
        base = [texture(height + 16, width + 16, 50 * i + c) for c in range(3)]
        for kind in ("rgb", "forward"):
            header = ClipHeader(
                kind=kind, video_id=f"clip{i}", height=height, width=width, fps=25, codec="jpeg"
            )
            writer = store.writer(header)
            for t in range(frames - (kind == "forward")):
                dy, dx = t % 16, 2 * t % 16
                cut = [plane[dy : dy + height, dx : dx + width] for plane in base]
                if kind == "rgb":
                    writer.append(np.stack(cut, -1).astype(np.uint8))
                else:
                    writer.append((np.stack(cut[:2]) - 128) / 16)
            writer.close()
        videos.append(LabeledVideo(f"clip{i}", Path(f"clip{i}.avi"), i % 2))
    return store, videos
