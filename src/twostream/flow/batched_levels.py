"""A level of Brox and of TV-L1 for many pairs, by the Triton kernels of ``batched_kernels.py``.

The steps are those of ``batched.py``, in the same order. Brox goes over as many pairs at once as
the card's cache holds, all steps and sweeps of them before the next ones.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from twostream.flow import batched_kernels as kernels
from twostream.flow.batched_median import median
from twostream.flow.brox import EPSILON
from twostream.flow.tvl1 import between_checks

BLOCK = 256  # pixels a program computes
CACHED_PIXELS = 450_000  # whose numbers in a relaxation, 44 bytes each, stay in 20 MB of cache

Frames = Float[Tensor, "n h w"]
Field = Float[Tensor, "n 2 h w"]


def brox_level(
    chosen: Any, smoothness: float, first: Frames, second: Frames, field: Field
) -> Field:
    """Return the field of a level, as ``Batched._brox_level``.

    Args:
        chosen: Brox's parameters.
        smoothness: its weight at this level.
        first, second: frames, grey values.
        field: the one to start from, px.
    """
    n, height, width = first.shape
    size, board = (height, width), 2 * height * ((width + 1) // 2)
    first, second, field = first.contiguous(), second.contiguous(), field.contiguous()
    mean, difference, slope_x, slope_y = torch.empty(4, n, height, width, device=field.device)
    data = torch.empty(n, 9, board, device=field.device)
    flow = torch.empty(n, 2, board, device=field.device)
    together = max(1, CACHED_PIXELS // (height * width))
    system = torch.empty(min(n, together), 9, board, device=field.device)
    pixels, squares = _programs(height * width, n), _programs(board, n)
    for _ in range(chosen.warps):
        kernels.brox_warp[pixels](first, second, field, mean, difference, *size, BLOCK=BLOCK)
        kernels.brox_slopes[pixels](mean, slope_x, slope_y, *size, BLOCK=BLOCK)
        given = difference, slope_x, slope_y, field
        kernels.brox_residuals[squares](*given, data, flow, *size, chosen.noise**2, BLOCK=BLOCK)
        for start in range(0, n, together):
            part = flow[start : start + together], data[start : start + together]
            _relax(chosen, smoothness, *part, system, *size)
        field = torch.empty_like(field)
        _median(flow, field, 2 * board, chosen.median_filtering, board=True)
    return field


def _relax(
    chosen: Any,
    smoothness: float,
    flow: Tensor,
    data: Tensor,
    system: Tensor,
    height: int,
    width: int,
) -> None:
    n, size, board = len(flow), (height, width), flow.shape[2]
    squares, half = _programs(board, n), _programs(board // 2, n)
    weights = smoothness, chosen.brightness, chosen.gradient, EPSILON**2
    for _ in range(chosen.fixed_point_steps):
        kernels.brox_system[squares](flow, data, system, *size, *weights, BLOCK=BLOCK)
        for _ in range(chosen.sweeps):
            for colour in (0, 1):
                kernels.brox_relax[half](flow, system, *size, chosen.omega, colour, BLOCK=BLOCK)


def tvl1_level(chosen: Any, first: Frames, second: Frames, field: Field) -> Field:
    """Return the field of a level, as ``Batched._tvl1_level``.

    Args:
        chosen: TV-L1's parameters.
        first, second: frames, grey values.
        field: the one to start from, px.
    """
    n, height, width = first.shape
    pixels, size, device = height * width, (height, width), field.device
    grid, pitch = _programs(pixels, n), 6 * pixels
    first, second = first.contiguous(), second.contiguous()
    state, other = torch.zeros(2, n, 6, height, width, device=device)
    data = torch.empty(n, 4, height, width, device=device)
    change = torch.empty(n, height, width, device=device)
    filtered = torch.empty(n, 2, height, width, device=device)
    state[:, :2] = field
    limit, step = chosen.lambda_ * chosen.theta, chosen.tau / chosen.theta
    for _ in range(chosen.warps):
        given = first, second, state, data
        kernels.tvl1_linearise[grid](*given, *size, pitch, limit, BLOCK=BLOCK)
        active = torch.ones(n, dtype=torch.int32, device=device)
        for _ in range(chosen.outer_iterations):
            if not active.any():
                break
            if chosen.median_filtering > 1:
                _median(state, filtered, pitch, chosen.median_filtering, board=False)
                state[:, :2] = torch.where(active.view(-1, 1, 1, 1) > 0, filtered, state[:, :2])
            for count in between_checks(chosen.inner_iterations):
                start = state
                for k in range(count):
                    planes = state, other, data, active, change
                    numbers = *size, chosen.theta, step
                    last = k == count - 1
                    kernels.tvl1_iterate[grid](*planes, *numbers, MEASURE=last, BLOCK=BLOCK)
                    state, other = other, state
                if state is not start:  # an odd count: pairs that rest were left in the other one
                    resting = active.view(-1, 1, 1, 1) == 0
                    state.copy_(torch.where(resting, other, state))
                moving = change.mean((1, 2)) > chosen.epsilon**2
                active = active * moving
                if not active.any():
                    break
    return state[:, :2].contiguous()


def _programs(numbers: int, pairs: int) -> tuple[int, int]:
    return -(-numbers // BLOCK), pairs


def _median(source: Tensor, target: Field, pitch: int, side: int, *, board: bool) -> None:
    n, _, height, width = target.shape
    grid = _programs(height * width, 2 * n)
    median[grid](source, target, height, width, pitch, SIDE=side, BOARD=board, BLOCK=BLOCK)
