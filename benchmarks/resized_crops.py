"""CPU time of a training crop: by the whole stack, and from what the store keeps.

    python benchmarks/resized_crops.py [--height 240 --width 320 --size 128 --rounds 200]

Both ways draw the same windows of the same clip in turn; the clip lies in memory, as in training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from twostream.augment import Crop, resized, scaled_crop
from twostream.loader.resized_crops import resized_crop
from twostream.recipes import STANDARD
from twostream.store.clip_readers import Reader
from twostream.store.clips import Clip
from twostream.store.coding import NO_RANGES, ClipHeader, Item, Kind
from twostream.types import TemporalInput

ITEMS = 34  # fields of a clip of JHMDB


class Invented(Reader):
    """Items of noise: what they show costs nothing and saves nothing."""

    def __init__(self, kind: Kind, height: int, width: int) -> None:
        header = ClipHeader(
            video_id="invented", kind=kind, codec="jpeg", height=height, width=width, fps=30.0
        )
        super().__init__(header, ITEMS)
        noise = np.random.default_rng(0)
        self._values = noise.integers(1, 255, (ITEMS, *header.item_shape), dtype=np.uint8)
        self._ranges = noise.uniform(1, 9, (ITEMS, 2)).astype(np.float32)

    def kept(self, rows: list[int]) -> tuple[Item, NDArray[np.float32]]:
        """Return items as ``ClipReader`` gives kept ones."""
        return self._values[rows], NO_RANGES if self.header.kind == "rgb" else self._ranges[rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("height", 240), ("width", 320), ("size", 128), ("rounds", 200)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    clip = Clip({kind: Invented(kind, asked.height, asked.width) for kind in ("rgb", "forward")})

    def whole(temporal: TemporalInput | None, position: int, window: Crop) -> NDArray[np.float32]:
        return resized(window.cut(clip.stack(temporal, position)), asked.size)

    def kept(temporal: TemporalInput | None, position: int, window: Crop) -> NDArray[np.float32]:
        return resized_crop(clip, temporal, position, window, asked.size)

    table = Table("crop", "whole stack, ms", "as kept, ms", "ratio", "largest difference")
    ways: tuple[Callable[..., NDArray[np.float32]], ...] = (whole, kept)
    for name, temporal in (("frame", None), ("stack of ten fields", TemporalInput())):
        spent, off = np.zeros(2), 0.0
        for i in range(asked.rounds):
            window = scaled_crop(
                asked.height, asked.width, STANDARD.crop_scales, np.random.default_rng(i)
            )
            found = []
            for place in (0, 1) if i % 2 else (1, 0):
                start = time.thread_time()
                found.append(ways[place](temporal, i % 24, window))
                spent[place] += time.thread_time() - start
            off = max(off, float(np.abs(found[0] - found[1]).max()))
        first, second = 1000 * spent / asked.rounds
        table.add_row(name, f"{first:.2f}", f"{second:.2f}", f"{first / second:.1f}", f"{off:.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
