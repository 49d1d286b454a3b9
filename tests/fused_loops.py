"""Run by test_batched: Triton's kernels in its interpreter give what plain torch gives."""

from __future__ import annotations

import logging

import numpy as np
import torch

from test_batched import pair
from twostream.flow import batched_levels
from twostream.flow.batched import Batched

CASES: list[tuple[str, dict[str, int | float]]] = [
    ("brox", {"levels": 2, "fixed_point_steps": 1, "sweeps": 2, "smoothness": 0.5}),
    ("brox", {"levels": 1, "fixed_point_steps": 2, "sweeps": 2, "smoothness": 0.5, "noise": 1.0}),
    ("tvl1", {"scales": 2, "warps": 1, "inner_iterations": 3, "outer_iterations": 2}),
]


class Refused(logging.Handler):
    """A note would say that the plain loops stood in."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


def main() -> None:
    logging.getLogger("twostream").addHandler(Refused())
    batched_levels.BLOCK = 256  # several programs a plane
    batched_levels.CACHED_PIXELS = 600  # one pair after the other
    pairs = [pair(0, 0, 20, 25), pair(1.3, -0.6, 20, 25)]
    frames = [torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True)]
    for name, changes in CASES:
        chosen = {"median_filtering": 5 if changes.get("levels") == 2 else 3, **changes}
        plain, fused = (
            Batched(name, device="cpu", loops=loops, **chosen)(*frames)  # type: ignore[arg-type]
            for loops in ("plain", "fused")
        )
        assert plain.abs().mean() > 0.005
        torch.testing.assert_close(fused, plain, atol=1e-6, rtol=1e-4)
        print(name)


if __name__ == "__main__":
    main()
