"""Steps of TV-L1 and Brox on whole planes of many pairs, in plain torch: see ``batched.py``."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from twostream.flow.brox import EPSILON

Frames = Float[Tensor, "n h w"]
Field = Float[Tensor, "n 2 h w"]


def linear_system(
    u: Frames,
    v: Frames,
    data: Float[Tensor, "n three three h w"],
    smoothness: float,
    brightness: float,
    gradient: float,
) -> tuple[Frames, ...]:
    """Return the linear system of a fixed-point step: four edges, and five numbers a pixel."""
    slope = forward_differences(torch.stack([u, v], 1)).square().sum((1, 2))
    right = smoothness * torch.rsqrt(slope + EPSILON**2)
    below = right.clone()
    right[:, :, -1] = 0
    below[:, -1, :] = 0
    left, above = shifted(right, 2, 1), shifted(below, 1, 1)
    residual = data[:, :, 0] * u[:, None] + data[:, :, 1] * v[:, None] + data[:, :, 2]
    squared = residual.square()
    p = brightness * torch.rsqrt(squared[:, 0] + EPSILON**2)
    q = gradient * torch.rsqrt(squared[:, 1] + squared[:, 2] + EPSILON**2)
    weighted = torch.stack([p, q, q], 1)[:, :, None] * data
    uu, uv, uc = (weighted[:, :, 0, None] * data).sum(1).unbind(1)
    vv, vc = (weighted[:, :, 1, None] * data[:, :, 1:]).sum(1).unbind(1)
    edges = right + below + left + above + 1e-9
    return left, above, right, below, 1 / (edges + uu), 1 / (edges + vv), uv, uc, vc


def relax_colour(
    u: Frames, v: Frames, mask: Tensor, system: tuple[Frames, ...], omega: float
) -> tuple[Frames, Frames]:
    """Over-relax the pixels of one colour."""
    *edges, inverse_u, inverse_v, uv, uc, vc = system
    new_u = u + omega * ((around(u, *edges) - uc - uv * v) * inverse_u - u)
    new_v = v + omega * ((around(v, *edges) - vc - uv * new_u) * inverse_v - v)
    return torch.where(mask, new_u, u), torch.where(mask, new_v, v)


def iterate(
    field: Field,
    dual: Float[Tensor, "n 2 2 h w"],
    unit: Field,
    rho: Tensor,
    bound: Tensor,
    theta: float,
    step: float,
) -> tuple[Field, Tensor]:
    """Return field and dual field after one iteration of TV-L1."""
    d = (unit * field).sum(1, keepdim=True) + rho
    field = field - torch.clamp(d, -bound, bound) * unit + theta * divergence(dual)
    slope = forward_differences(field)
    length = torch.sqrt(slope.square().sum(2, keepdim=True))
    return field, (dual + step * slope) / (1 + step * length)


def only(active: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Return the new values of pairs that are active, the old ones of the others."""
    return torch.where(active.view(-1, *[1] * (new.ndim - 1)), new, old)


def resize(planes: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c h2 w2"]:
    """Return planes of another size, bilinear."""
    return functional.interpolate(planes, size=size, mode="bilinear", align_corners=False)


def median(planes: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c h w"]:
    """Return the median of side x side px around each pixel; the border is repeated."""
    padded = functional.pad(planes, (side // 2,) * 4, mode="replicate")
    windows = padded.unfold(2, side, 1).unfold(3, side, 1).flatten(4)
    return windows.median(-1).values


def shifted(plane: Frames, dim: int, by: int) -> Frames:
    """Move a plane by 1 along a dimension, to larger indices for by = 1; zeros come in."""
    edge = torch.zeros_like(plane.narrow(dim, 0, 1))
    kept = plane.shape[dim] - 1
    parts = [edge, plane.narrow(dim, 0, kept)] if by > 0 else [plane.narrow(dim, 1, kept), edge]
    return torch.cat(parts, dim)


def around(plane: Frames, left: Frames, above: Frames, right: Frames, below: Frames) -> Frames:
    """Return the sum over the four neighbours, each times the weight of the edge to it."""
    across = left * shifted(plane, 2, 1) + right * shifted(plane, 2, -1)
    return across + above * shifted(plane, 1, 1) + below * shifted(plane, 1, -1)


def forward_differences(planes: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 2 h w"]:
    """Return forward differences along x and y; zero at the right and lower side."""
    along_x = functional.pad(planes[..., 1:] - planes[..., :-1], (0, 1))
    along_y = functional.pad(planes[..., 1:, :] - planes[..., :-1, :], (0, 0, 0, 1))
    return torch.stack([along_x, along_y], 2)


def divergence(dual: Float[Tensor, "n c 2 h w"]) -> Float[Tensor, "n c h w"]:
    """Return the negative adjoint of ``forward_differences``: backward differences."""
    x, y = dual[:, :, 0], dual[:, :, 1]
    left = functional.pad(x[..., :-1], (1, 0))
    return x - left + y - functional.pad(y[..., :-1, :], (0, 0, 1, 0))


def slope(plane: Frames, dim: int) -> Frames:
    """Return the derivative (1, -8, 0, 8, -1) / 12 along a dimension; the border is repeated."""
    size = plane.shape[dim]
    at = torch.arange(size, device=plane.device)
    n2, n1, p1, p2 = (plane.index_select(dim, (at + k).clamp(0, size - 1)) for k in (-2, -1, 1, 2))
    return (8 / 12) * (p1 - n1) - (1 / 12) * (p2 - n2)


def sample(frames: Frames, field: Field) -> tuple[Frames, Field, Frames]:
    """Return value and gradient of the frames where the field leads, and whether that is inside.

    Cubic convolution and its derivative, as ``warping.sample``.
    """
    n, height, width = frames.shape
    x = torch.arange(width, device=frames.device) + field[:, 0]
    y = torch.arange(height, device=frames.device)[:, None] + field[:, 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    kx, ky = x.floor(), y.floor()
    (across, slopes_x), (down, slopes_y) = cubic(x - kx), cubic(y - ky)
    columns = [(kx.long() + k).clamp(0, width - 1) for k in (-1, 0, 1, 2)]
    flat = frames.flatten(1)
    value = gx = gy = torch.zeros_like(frames)
    for j in range(4):
        start = (ky.long() + j - 1).clamp(0, height - 1) * width
        line = [flat.gather(1, (start + k).flatten(1)).view(n, height, width) for k in columns]
        blended: Any = sum(w * s for w, s in zip(across, line, strict=True))
        sloping: Any = sum(w * s for w, s in zip(slopes_x, line, strict=True))
        value, gy = value + down[j] * blended, gy + slopes_y[j] * blended
        gx = gx + down[j] * sloping
    return value, torch.stack([gx, gy], 1), inside.float()


def cubic(f: Frames) -> tuple[list[Frames], list[Frames]]:
    """Return the four weights of Catmull-Rom interpolation and their derivatives."""
    weights = [
        0.5 * f * (f * (2 - f) - 1),
        1 + f * f * (1.5 * f - 2.5),
        0.5 * f * (1 + f * (4 - 3 * f)),
        0.5 * f * f * (f - 1),
    ]
    slopes = [
        f * (2 - 1.5 * f) - 0.5,
        f * (4.5 * f - 5),
        0.5 + f * (4 - 4.5 * f),
        f * (1.5 * f - 1),
    ]
    return weights, slopes
