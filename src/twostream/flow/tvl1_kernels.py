"""Compiled loops of TV-L1 (``tvl1.py``): warping and the primal-dual iteration.

All arrays are one-dimensional float32 with rows of ``stride`` numbers, one empty row above and
one below the picture (``offset = stride`` leads to its first pixel). The numbers between the
picture's right side and the end of a row belong to no pixel; the last of them is always zero, so
that the neighbour to the left of column 0 is.
"""

from __future__ import annotations

import numpy as np

from twostream.flow.compile import (
    LANES,
    inverse,
    inverse_sqrt,
    kernel,
    rough_inverse_sqrt,
    widest_vectors,
)
from twostream.flow.warping import sample

# Unsigned indices: numba compares signed ones with zero, and the loop is no vector loop any more.
ONE = np.uint64(1)


@kernel
def linearise(first, second, u, v, ex, ey, rho, bound, stride, height, width, limit):
    """Warp the second frame and linearise the data term around the present flow.

    With the warped frame I1(x + u0) and its gradient g, both by one cubic convolution and its
    derivative, the residual of a flow u is rho(u) = g.(u - u0) + I1(x + u0) - I0(x). Divided by
    |g| it is e.u + rho_0 with the unit vector e; one thresholding step then is
    u - clamp(e.u + rho_0, -limit |g|, limit |g|) e. What leaves the frame has no data term.

    Args:
        first, second: (height * width) frames without padding, 0 to 255.
        u, v: the present flow.
        ex, ey, rho, bound: results, e, rho_0 and limit |g|.
        limit: lambda theta.
    """
    widest_vectors()
    zero, tiny = np.float32(0.0), np.float32(1e-9)
    for y in range(height):
        row, frame_row = np.uint64((y + 1) * stride), np.uint64(y * width)
        for x in range(np.uint64(width)):
            i = row + x
            u0, v0 = u[i], v[i]
            value, gx, gy, inside = sample(
                second,
                np.int32(height),
                np.int32(width),
                np.float32(x) + u0,
                np.float32(y) + v0,
            )
            squared = gx * gx + gy * gy
            scale = inverse_sqrt(squared + tiny) if inside else zero
            ex[i] = gx * scale
            ey[i] = gy * scale
            rho[i] = (value - first[frame_row + x] - gx * u0 - gy * v0) * scale
            bound[i] = limit * squared * scale


@kernel
def iterate(
    u, v, p0, p1, q0, q1, ex, ey, rho, bound, old, stride, height, width, theta, step, count
):
    """Do ``count`` primal-dual iterations in place; return the last one's change.

    That is the mean of the squared lengths by which the flow changed in the last one, px^2.

    Iteration k works one row behind iteration k - 1, so that a row is read from memory once for
    all of them: the picture passes through the cache like a wave.

    Args:
        u, v: flow.
        p0, p1, q0, q1: dual variables of u and v along x and y.
        ex, ey, rho, bound: of ``linearise``.
        old: 2 * stride numbers of scratch.
        step: tau / theta.
    """
    widest_vectors()
    columns = np.uint64((width + LANES - 1) // LANES * LANES)
    pitch, side = np.uint64(stride), np.uint64(width)
    one = np.float32(1)
    change = np.float64(0.0)
    for t in range(height + count):
        for k in range(count):
            y = t - k
            if y < 0 or y > height:
                continue
            row = np.uint64((y + 1) * stride)
            if y < height:
                last = k == count - 1
                if last:
                    for x in range(columns):
                        old[x] = u[row + x]
                        old[pitch + x] = v[row + x]
                for x in range(columns):
                    i = row + x
                    a, b = u[i], v[i]
                    d = min(max(ex[i] * a + ey[i] * b + rho[i], -bound[i]), bound[i])
                    u[i] = a - d * ex[i] + theta * (p0[i] - p0[i - ONE] + p1[i] - p1[i - pitch])
                    v[i] = b - d * ey[i] + theta * (q0[i] - q0[i - ONE] + q1[i] - q1[i - pitch])
                u[row + side] = u[row + side - ONE]
                v[row + side] = v[row + side - ONE]
                if last:
                    total = np.float32(0.0)
                    for x in range(side):
                        a, b = u[row + x] - old[x], v[row + x] - old[pitch + x]
                        total += a * a + b * b
                    change += total
            else:
                for x in range(columns):
                    u[row + x] = u[row + x - pitch]
                    v[row + x] = v[row + x - pitch]
                u[row + side] = u[row + side - ONE]
                v[row + side] = v[row + side - ONE]
            if y > 0:
                above = row - pitch
                for x in range(columns):
                    i = above + x
                    a, b = u[i + ONE] - u[i], u[i + pitch] - u[i]
                    c, d = v[i + ONE] - v[i], v[i + pitch] - v[i]
                    along, across = a * a + b * b, c * c + d * d
                    along = one + step * along * rough_inverse_sqrt(along)
                    across = one + step * across * rough_inverse_sqrt(across)
                    both = inverse(along * across)  # one for two: 1 / along = across * both
                    along, across = across * both, along * both
                    p0[i] = (p0[i] + step * a) * along
                    p1[i] = (p1[i] + step * b) * along
                    q0[i] = (q0[i] + step * c) * across
                    q1[i] = (q1[i] + step * d) * across
    return change / (height * width)
