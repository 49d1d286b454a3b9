"""TV-L1 and Brox for many pairs at once in torch, for GPUs; the results are those of the kernels.

The equations stand in ``tvl1.py`` and ``brox.py``; here are the same steps in the same order, over
whole planes instead of rows. ``batched_levels.py`` has both once more as fused kernels, for cards
that Triton knows; what it cannot do there is done here. The relaxation visits red pixels before
black ones in all, so that they agree to rounding, and to the roots that the CPU's kernels of TV-L1
take roughly. On a CPU those are many times faster than this, since they stay in its cache.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from twostream.flow.batched_steps import (
    Field,
    Frames,
    iterate,
    linear_system,
    median,
    only,
    relax_colour,
    resize,
    sample,
    slope,
)
from twostream.flow.estimators import Fields, make_estimator, to_grey
from twostream.flow.pyramid import level_sizes
from twostream.flow.tvl1 import between_checks
from twostream.types import Direction, Frame, ModelError, UsageError

MEDIANS = (1, 3, 5)  # sides that there are kernels for
PIXELS_AT_ONCE = 2_000_000  # about 2 GB in Brox, the most of it in its median

Level = Callable[[Tensor, Tensor, Tensor], Tensor]
Loops = Literal["plain", "compiled", "fused"]

logger = logging.getLogger(__name__)


class Batched:
    """One of the own solvers for batches of pairs: a ``RunEstimator``.

    Args:
        name: "tvl1" or "brox".
        device: of torch, where it computes.
        loops: "plain" torch, "compiled" by torch.compile, or "fused" Triton kernels; None takes
            the kernels on a CUDA device where Triton is there. Where they cannot be built the
            plain loops do the work, and a warning is logged.
        graph: whether the launches of a batch are recorded once and replayed for each following
            batch of the same size (Brox on a CUDA device; TV-L1 looks at its results in between).
        **parameters: changes to the estimator's defaults.

    Raises:
        UsageError: another name, an unknown parameter, or other loops.
    """

    needs_motion_vectors = False

    def __init__(
        self,
        name: str,
        *,
        device: str = "cuda",
        loops: Loops | None = None,
        graph: bool = False,
        **parameters: int | float,
    ) -> None:
        solvers: dict[str, Level] = {"tvl1": self._tvl1_level, "brox": self._brox_level}
        if name not in solvers:
            raise UsageError(f"{name!r} has no batched version: use one of {', '.join(solvers)}")
        compiled = make_estimator(name, **parameters)
        self.name = name
        self.parameters = compiled.parameters
        self._chosen = compiled.chosen
        self.device = torch.device(device)
        self._solve_level = solvers[name]
        if loops not in (None, *get_args(Loops)):
            raise UsageError(f"the loops are {', '.join(get_args(Loops))}, got {loops!r}")
        on_card = self.device.type == "cuda"
        self.loops: Loops = loops or ("fused" if on_card and find_spec("triton") else "plain")
        self._graph = graph and on_card and name == "brox"
        self._replay: _Replay | None = None
        self._width = 0  # of the frames being solved

    def pairs_at_once(self, height: int, width: int) -> int:
        """Return how many pairs of a size make a batch: the GPU is busy, its memory not full."""
        return max(1, PIXELS_AT_ONCE // (height * width))

    def fields(self, frames: Sequence[Frame], directions: Sequence[Direction]) -> list[Fields]:
        """Return the fields of a run's pairs, see ``RunEstimator``.

        Raises:
            ModelError: they do not fit the GPU's memory.
        """
        greys = torch.stack([torch.from_numpy(to_grey(frame)) for frame in frames])
        ways = {"forward": (greys[:-1], greys[1:]), "backward": (greys[1:], greys[:-1])}
        try:
            found = [self(*ways[direction]).cpu().numpy() for direction in directions]
        except torch.OutOfMemoryError as error:
            n, (height, width) = len(frames) - 1, greys.shape[1:]
            raise ModelError(
                f"{self.name}: {n} pairs of {width}x{height} px do not fit the GPU's memory: use "
                "fewer --workers, a smaller --short-side, or the CPU"
            ) from error
        return [list(pair) for pair in zip(*found, strict=True)]

    def __call__(self, first: UInt8[Tensor, "n h w"], second: UInt8[Tensor, "n h w"]) -> Field:
        """Return the fields from ``first`` to ``second``, px, on the device."""
        if self.loops != "plain":
            try:
                return self._solved(first, second)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - each compiler has its own
                logger.warning(
                    f"{self.name}: the {self.loops} loops cannot be built here "
                    f"({type(error).__name__}: {error}); plain torch computes the same, slower"
                )
                self.loops = "plain"
        return self._solved(first, second)

    @torch.inference_mode()
    def _solved(self, first: UInt8[Tensor, "n h w"], second: UInt8[Tensor, "n h w"]) -> Field:
        if not self._graph:
            return self._solve(first, second)
        if self._replay is None or self._replay.shape != first.shape:
            self._replay = None  # its memory goes first
            self._replay = _Replay(self._solve, first.to(self.device), second.to(self.device))
        return self._replay(first, second)

    def _solve(self, first: UInt8[Tensor, "n h w"], second: UInt8[Tensor, "n h w"]) -> Field:
        chosen = self._chosen
        levels = chosen.scales if self.name == "tvl1" else chosen.levels
        n, height, width = first.shape
        self._width = width
        sizes = level_sizes(height, width, chosen.scale_step, levels)
        frames = [torch.stack([first, second], 1).to(self.device, torch.float32)]
        for size in sizes[1:]:
            frames.append(resize(frames[-1], size))
        field = torch.zeros(n, 2, *sizes[-1], device=self.device)
        for size, pair in zip(reversed(sizes), reversed(frames), strict=True):
            if field.shape[2:] != size:
                scale = size[1] / field.shape[3], size[0] / field.shape[2]
                grown = resize(field, size).unbind(1)
                field = torch.stack([u * s for u, s in zip(grown, scale, strict=True)], 1)
            field = self._solve_level(pair[:, 0], pair[:, 1], field)
        still = (first == second).flatten(1).all(1).to(self.device)
        return field.masked_fill(still[:, None, None, None], 0.0)

    def _filtered(self, field: Field) -> Field:
        side = self._chosen.median_filtering
        return median(field, side) if side > 1 else field

    def _tvl1_level(self, first: Frames, second: Frames, field: Field) -> Field:
        chosen = self._chosen
        if self._fuses(first):
            from twostream.flow.batched_levels import tvl1_level

            return tvl1_level(chosen, first, second, field)
        theta, limit = chosen.theta, chosen.lambda_ * chosen.theta
        step, threshold = chosen.tau / theta, chosen.epsilon**2
        checks = between_checks(chosen.inner_iterations)
        iterated = self._made(iterate)
        dual = torch.zeros(*field.shape[:2], 2, *field.shape[2:], device=self.device)
        for _ in range(chosen.warps):
            value, gradient, inside = sample(second, field)
            squared = gradient.square().sum(1, keepdim=True)
            scale = torch.rsqrt(squared + 1e-9) * inside[:, None]
            unit = gradient * scale
            rho = (value - first)[:, None] * scale - (unit * field).sum(1, keepdim=True)
            bound = limit * squared * scale
            # Pairs that have reached the threshold stay as they are until the next warp.
            active = torch.ones(len(field), dtype=torch.bool, device=self.device)
            for _ in range(chosen.outer_iterations):
                if not active.any():
                    break
                field = only(active, self._filtered(field), field)
                for count in checks:
                    new, new_dual, before = field, dual, field
                    for _ in range(count):
                        before = new
                        new, new_dual = iterated(new, new_dual, unit, rho, bound, theta, step)
                    field, dual = only(active, new, field), only(active, new_dual, dual)
                    change = (new - before).square().sum(1).mean((1, 2))
                    active = active & (change > threshold)
                    if not active.any():
                        break
        return field

    def _fuses(self, frames: Frames) -> bool:
        fits = 9 * frames.numel() < 2**31  # kernels count in 32 bits
        return self.loops == "fused" and self._chosen.median_filtering in MEDIANS and fits

    def _made(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, dynamic=True) if self.loops == "compiled" else function

    def _brox_level(self, first: Frames, second: Frames, field: Field) -> Field:
        if self._fuses(first):
            from twostream.flow.batched_levels import brox_level

            return brox_level(self._chosen, self._smoothness(first), first, second, field)
        for _ in range(self._chosen.warps):
            field = self._filtered(self._relax(self._linearise(first, second, field), field))
        return field

    def _linearise(
        self, first: Frames, second: Frames, field: Field
    ) -> Float[Tensor, "n three three h w"]:
        """Return factor of u, factor of v and constant of the three residuals."""
        warped, _, inside = sample(second, field)
        mean, difference = (first + warped) / 2, warped - first
        slope_x, slope_y = slope(mean, 2), slope(mean, 1)
        mixed = slope(slope_x, 1)
        residuals = []
        for f, g, c in (
            (slope_x, slope_y, difference),
            (slope(slope_x, 2), mixed, slope(difference, 2)),
            (mixed, slope(slope_y, 1), slope(difference, 1)),
        ):
            scale = inside * torch.rsqrt(f * f + g * g + self._chosen.noise**2)
            constant = c - f * field[:, 0] - g * field[:, 1]
            residuals.append(torch.stack([f, g, constant], 1) * scale[:, None])
        return torch.stack(residuals, 1)

    def _smoothness(self, frames: Frames) -> float:
        """Return the weight of the smoothness at a level."""
        scale = frames.shape[2] / self._width
        return self._chosen.smoothness * scale**self._chosen.scale_exponent

    def _relax(self, data: Float[Tensor, "n three three h w"], field: Field) -> Field:
        chosen = self._chosen
        height, width = field.shape[2:]
        weights = self._smoothness(field[:, 0]), chosen.brightness, chosen.gradient
        rows = torch.arange(height, device=self.device)[:, None]
        red = (rows + torch.arange(width, device=self.device)) % 2 == 0
        u, v = field[:, 0], field[:, 1]
        make_system, relax = self._made(linear_system), self._made(relax_colour)
        for _ in range(chosen.fixed_point_steps):
            system = make_system(u, v, data, *weights)
            for _ in range(chosen.sweeps):
                for mask in (red, ~red):
                    u, v = relax(u, v, mask, system, chosen.omega)
        return torch.stack([u, v], 1)


class _Replay:
    """The launches of one batch, recorded; each call does them again on other frames.

    Args:
        solve: launches everything without looking at a result.
        first, second: frames on the device, of the size of all that follow.
    """

    def __init__(self, solve: Callable[[Tensor, Tensor], Tensor], *frames: Tensor) -> None:
        self.shape = frames[0].shape
        self._frames = [frame.clone() for frame in frames]
        self._recording = torch.cuda.CUDAGraph()
        solve(*self._frames)  # compiles what it needs
        torch.cuda.synchronize()
        with torch.cuda.graph(self._recording, capture_error_mode="thread_local"):
            self._field = solve(*self._frames)

    def __call__(self, *frames: Tensor) -> Tensor:
        for kept, frame in zip(self._frames, frames, strict=True):
            kept.copy_(frame)
        self._recording.replay()
        return self._field.clone()
