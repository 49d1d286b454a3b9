"""The loops of ``batched.py`` as Triton kernels: one pass over memory where torch makes many.

Each level's steps are those of the plain version, in the same order. Brox's planes are kept like
the two colours of a chess board, as in ``brox_kernels``: of a plane of (h, w) pixels first all
those with (x + y) even, h rows of (w + 1) // 2, then the others; so that each half of a sweep reads
and writes runs of numbers, and only those it needs. A relaxation goes over as many pairs at once as
the card's cache holds, all steps and sweeps of them before the next ones.
"""

from __future__ import annotations

import triton
import triton.language as tl

# one build of a kernel does for every size: a build takes most of a second
SIZES = ["height", "width", "field_pitch"]


@triton.jit
def _clamped(plane, y, x, height, width, on):
    y = tl.minimum(tl.maximum(y, 0), height - 1)
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    return tl.load(plane + y * width + x, mask=on, other=0.0)


@triton.jit
def _of_board(plane, y, x, height, width, on):
    """Load from a plane that is kept by colour; the border is repeated."""
    y = tl.minimum(tl.maximum(y, 0), height - 1)
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    half = (width + 1) // 2
    place = ((x + y) % 2) * height * half + y * half + x // 2
    return tl.load(plane + place, mask=on, other=0.0)


@triton.jit
def _blended(frame, y, x, wa, wb, wc, wd, sa, sb, sc, sd, height, width, on):
    a = _clamped(frame, y, x - 1, height, width, on)
    b = _clamped(frame, y, x, height, width, on)
    c = _clamped(frame, y, x + 1, height, width, on)
    d = _clamped(frame, y, x + 2, height, width, on)
    return wa * a + wb * b + wc * c + wd * d, sa * a + sb * b + sc * c + sd * d


@triton.jit
def _weights(f):
    a = 0.5 * f * (f * (2 - f) - 1)
    b = 1 + f * f * (1.5 * f - 2.5)
    c = 0.5 * f * (1 + f * (4 - 3 * f))
    return a, b, c, 0.5 * f * f * (f - 1)


@triton.jit
def _weight_slopes(f):
    return f * (2 - 1.5 * f) - 0.5, f * (4.5 * f - 5), 0.5 + f * (4 - 4.5 * f), f * (1.5 * f - 1)


@triton.jit
def _is_inside(x, y, height, width):
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


@triton.jit
def _sample(frame, x, y, height, width, on):
    """Return value and gradient of a frame at (x, y), as ``batched._sample``."""
    x = tl.minimum(tl.maximum(x, 0.0), width - 1.0)
    y = tl.minimum(tl.maximum(y, 0.0), height - 1.0)
    fx, fy = tl.floor(x), tl.floor(y)
    ix, iy = fx.to(tl.int32), fy.to(tl.int32)
    wa, wb, wc, wd = _weights(x - fx)
    sa, sb, sc, sd = _weight_slopes(x - fx)
    da, db, dc, dd = _weights(y - fy)
    ea, eb, ec, ed = _weight_slopes(y - fy)
    va, ga = _blended(frame, iy - 1, ix, wa, wb, wc, wd, sa, sb, sc, sd, height, width, on)
    vb, gb = _blended(frame, iy, ix, wa, wb, wc, wd, sa, sb, sc, sd, height, width, on)
    vc, gc = _blended(frame, iy + 1, ix, wa, wb, wc, wd, sa, sb, sc, sd, height, width, on)
    vd, gd = _blended(frame, iy + 2, ix, wa, wb, wc, wd, sa, sb, sc, sd, height, width, on)
    value = da * va + db * vb + dc * vc + dd * vd
    slope_x = da * ga + db * gb + dc * gc + dd * gd
    slope_y = ea * va + eb * vb + ec * vc + ed * vd
    return value, slope_x, slope_y


@triton.jit
def _slope_x(plane, y, x, height, width, on):
    near = _clamped(plane, y, x + 1, height, width, on) - _clamped(
        plane, y, x - 1, height, width, on
    )
    far = _clamped(plane, y, x + 2, height, width, on) - _clamped(
        plane, y, x - 2, height, width, on
    )
    return (8 / 12) * near - (1 / 12) * far


@triton.jit
def _slope_y(plane, y, x, height, width, on):
    near = _clamped(plane, y + 1, x, height, width, on) - _clamped(
        plane, y - 1, x, height, width, on
    )
    far = _clamped(plane, y + 2, x, height, width, on) - _clamped(
        plane, y - 2, x, height, width, on
    )
    return (8 / 12) * near - (1 / 12) * far


@triton.jit(do_not_specialize=SIZES)
def brox_warp(first, second, field, mean, difference, height, width, BLOCK: tl.constexpr):
    """Mean and difference of the first and the warped second frame."""
    size, pair = height * width, tl.program_id(1)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    on = i < size
    y = i // width
    x = i - y * width
    start = pair * size
    u = tl.load(field + 2 * start + i, mask=on, other=0.0)
    v = tl.load(field + 2 * start + size + i, mask=on, other=0.0)
    warped, _, _ = _sample(second + start, x + u, y + v, height, width, on)
    grey = tl.load(first + start + i, mask=on, other=0.0)
    tl.store(mean + start + i, (grey + warped) / 2, mask=on)
    tl.store(difference + start + i, warped - grey, mask=on)


@triton.jit(do_not_specialize=SIZES)
def brox_slopes(mean, slope_x, slope_y, height, width, BLOCK: tl.constexpr):
    """Both derivatives of the mean frame."""
    size, pair = height * width, tl.program_id(1)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    on = i < size
    y = i // width
    x = i - y * width
    start = pair * size
    tl.store(slope_x + start + i, _slope_x(mean + start, y, x, height, width, on), mask=on)
    tl.store(slope_y + start + i, _slope_y(mean + start, y, x, height, width, on), mask=on)


@triton.jit
def _keep_residual(data, f, g, c, u, v, inside, squared_noise, board, on):
    scale = tl.rsqrt(f * f + g * g + squared_noise) * inside
    tl.store(data, f * scale, mask=on)
    tl.store(data + board, g * scale, mask=on)
    tl.store(data + 2 * board, (c - f * u - g * v) * scale, mask=on)


@triton.jit(do_not_specialize=SIZES)
def brox_residuals(
    difference,
    slope_x,
    slope_y,
    field,
    data,
    flow,
    height,
    width,
    squared_noise,
    BLOCK: tl.constexpr,
):
    """The three residuals, and the flow, by colour: ``Batched._linearise``."""
    half, size, pair = (width + 1) // 2, height * width, tl.program_id(1)
    board = 2 * height * half
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    colour = j // (height * half)
    row = j - colour * height * half
    y = row // half
    x = 2 * (row - y * half) + (y + colour) % 2
    on = (j < board) & (x < width)
    i, start = y * width + x, pair * size
    u = tl.load(field + 2 * start + i, mask=on, other=0.0)
    v = tl.load(field + 2 * start + size + i, mask=on, other=0.0)
    inside = tl.where(_is_inside(x + u, y + v, height, width), 1.0, 0.0)
    f = tl.load(slope_x + start + i, mask=on, other=0.0)
    g = tl.load(slope_y + start + i, mask=on, other=0.0)
    c = tl.load(difference + start + i, mask=on, other=0.0)
    xx = _slope_x(slope_x + start, y, x, height, width, on)
    xy = _slope_y(slope_x + start, y, x, height, width, on)
    yy = _slope_y(slope_y + start, y, x, height, width, on)
    dx = _slope_x(difference + start, y, x, height, width, on)
    dy = _slope_y(difference + start, y, x, height, width, on)
    own = data + pair * 9 * board + j
    _keep_residual(own, f, g, c, u, v, inside, squared_noise, board, on)
    _keep_residual(own + 3 * board, xx, xy, dx, u, v, inside, squared_noise, board, on)
    _keep_residual(own + 6 * board, xy, yy, dy, u, v, inside, squared_noise, board, on)
    tl.store(flow + 2 * pair * board + j, u, mask=on)
    tl.store(flow + 2 * pair * board + board + j, v, mask=on)


@triton.jit
def _edge(u, v, y, x, height, width, smoothness, squared_epsilon, on):
    """The diffusion at a pixel; the differences to the right and below, none at the border."""
    here, below = _of_board(u, y, x, height, width, on), _of_board(u, y + 1, x, height, width, on)
    a, b = _of_board(u, y, x + 1, height, width, on) - here, below - here
    here, below = _of_board(v, y, x, height, width, on), _of_board(v, y + 1, x, height, width, on)
    c, d = _of_board(v, y, x + 1, height, width, on) - here, below - here
    return smoothness * tl.rsqrt(a * a + b * b + c * c + d * d + squared_epsilon)


@triton.jit(do_not_specialize=SIZES)
def brox_system(
    flow,
    data,
    system,
    height,
    width,
    smoothness,
    brightness,
    gradient,
    squared_epsilon,
    BLOCK: tl.constexpr,
):
    """The linear system of a fixed-point step, nine numbers a pixel."""
    half, pair = (width + 1) // 2, tl.program_id(1)
    plane = height * half
    board = 2 * plane
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    colour = j // plane
    row = j - colour * plane
    y = row // half
    x = 2 * (row - y * half) + (y + colour) % 2
    on = (j < board) & (x < width)
    all_u = flow + 2 * pair * board
    all_v = all_u + board
    u, v = tl.load(all_u + j, mask=on, other=0.0), tl.load(all_v + j, mask=on, other=0.0)
    here = _edge(all_u, all_v, y, x, height, width, smoothness, squared_epsilon, on)
    before = _edge(all_u, all_v, y, x - 1, height, width, smoothness, squared_epsilon, on)
    over = _edge(all_u, all_v, y - 1, x, height, width, smoothness, squared_epsilon, on)
    right, below = tl.where(x < width - 1, here, 0.0), tl.where(y < height - 1, here, 0.0)
    left, above = tl.where(x > 0, before, 0.0), tl.where(y > 0, over, 0.0)
    own = data + pair * 9 * board + j
    fa, ga = tl.load(own, mask=on, other=0.0), tl.load(own + board, mask=on, other=0.0)
    ca, fb = (
        tl.load(own + 2 * board, mask=on, other=0.0),
        tl.load(own + 3 * board, mask=on, other=0.0),
    )
    gb, cb = (
        tl.load(own + 4 * board, mask=on, other=0.0),
        tl.load(own + 5 * board, mask=on, other=0.0),
    )
    fc, gc = (
        tl.load(own + 6 * board, mask=on, other=0.0),
        tl.load(own + 7 * board, mask=on, other=0.0),
    )
    cc = tl.load(own + 8 * board, mask=on, other=0.0)
    ra, rb, rc = fa * u + ga * v + ca, fb * u + gb * v + cb, fc * u + gc * v + cc
    p = brightness * tl.rsqrt(ra * ra + squared_epsilon)
    q = gradient * tl.rsqrt(rb * rb + rc * rc + squared_epsilon)
    edges = right + below + left + above + 1e-9
    kept = system + pair * 9 * board + colour * 9 * plane + row
    tl.store(kept, left, mask=on)
    tl.store(kept + plane, above, mask=on)
    tl.store(kept + 2 * plane, right, mask=on)
    tl.store(kept + 3 * plane, below, mask=on)
    tl.store(kept + 4 * plane, 1 / (edges + p * fa * fa + q * fb * fb + q * fc * fc), mask=on)
    tl.store(kept + 5 * plane, 1 / (edges + p * ga * ga + q * gb * gb + q * gc * gc), mask=on)
    tl.store(kept + 6 * plane, p * fa * ga + q * fb * gb + q * fc * gc, mask=on)
    tl.store(kept + 7 * plane, p * fa * ca + q * fb * cb + q * fc * cc, mask=on)
    tl.store(kept + 8 * plane, p * ga * ca + q * gb * cb + q * gc * cc, mask=on)


@triton.jit(do_not_specialize=SIZES)
def brox_relax(flow, system, height, width, omega, colour, BLOCK: tl.constexpr):
    """Half a sweep: over-relax the pixels of one colour from their neighbours of the other."""
    half, pair = (width + 1) // 2, tl.program_id(1)
    plane = height * half
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y = row // half
    odd = (y + colour) % 2
    x = 2 * (row - y * half) + odd
    on = (row < plane) & (x < width)
    kept = system + pair * 18 * plane + colour * 9 * plane + row
    left, above = tl.load(kept, mask=on, other=0.0), tl.load(kept + plane, mask=on, other=0.0)
    right = tl.load(kept + 2 * plane, mask=on, other=0.0)
    below = tl.load(kept + 3 * plane, mask=on, other=0.0)
    inverse_u = tl.load(kept + 4 * plane, mask=on, other=0.0)
    inverse_v = tl.load(kept + 5 * plane, mask=on, other=0.0)
    uv, uc = (
        tl.load(kept + 6 * plane, mask=on, other=0.0),
        tl.load(kept + 7 * plane, mask=on, other=0.0),
    )
    vc = tl.load(kept + 8 * plane, mask=on, other=0.0)
    own = flow + pair * 4 * plane + colour * plane + row
    other = flow + pair * 4 * plane + (1 - colour) * plane + row
    has_left, has_right = on & (x > 0), on & (x < width - 1)
    has_above, has_below = on & (y > 0), on & (y < height - 1)
    u, v = tl.load(own, mask=on, other=0.0), tl.load(own + 2 * plane, mask=on, other=0.0)
    around = left * tl.load(other + odd - 1, mask=has_left, other=0.0)
    around += right * tl.load(other + odd, mask=has_right, other=0.0)
    around += above * tl.load(other - half, mask=has_above, other=0.0)
    around += below * tl.load(other + half, mask=has_below, other=0.0)
    u += omega * ((around - uc - uv * v) * inverse_u - u)
    other += 2 * plane
    around = left * tl.load(other + odd - 1, mask=has_left, other=0.0)
    around += right * tl.load(other + odd, mask=has_right, other=0.0)
    around += above * tl.load(other - half, mask=has_above, other=0.0)
    around += below * tl.load(other + half, mask=has_below, other=0.0)
    v += omega * ((around - vc - uv * u) * inverse_v - v)
    tl.store(own, u, mask=on)
    tl.store(own + 2 * plane, v, mask=on)


@triton.jit(do_not_specialize=SIZES)
def tvl1_linearise(
    first, second, field, data, height, width, field_pitch, limit, BLOCK: tl.constexpr
):
    """Unit gradient, residual and its bound at the present flow: ``Batched._tvl1_level``."""
    size, pair = height * width, tl.program_id(1)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    on = i < size
    y = i // width
    x = i - y * width
    start = pair * size
    u = tl.load(field + pair * field_pitch + i, mask=on, other=0.0)
    v = tl.load(field + pair * field_pitch + size + i, mask=on, other=0.0)
    value, gx, gy = _sample(second + start, x + u, y + v, height, width, on)
    squared = gx * gx + gy * gy
    inside = tl.where(_is_inside(x + u, y + v, height, width), 1.0, 0.0)
    scale = tl.rsqrt(squared + 1e-9) * inside
    gx *= scale
    gy *= scale
    grey = tl.load(first + start + i, mask=on, other=0.0)
    own = data + 4 * start + i
    tl.store(own, gx, mask=on)
    tl.store(own + size, gy, mask=on)
    tl.store(own + 2 * size, (value - grey) * scale - (gx * u + gy * v), mask=on)
    tl.store(own + 3 * size, limit * squared * scale, mask=on)


@triton.jit
def _divergence(dual, x, y, width, size, on):
    here = tl.load(dual, mask=on, other=0.0) + tl.load(dual + size, mask=on, other=0.0)
    left = tl.load(dual - 1, mask=on & (x > 0), other=0.0)
    return here - left - tl.load(dual + size - width, mask=on & (y > 0), other=0.0)


@triton.jit
def _tvl1_flow(state, data, y, x, width, size, theta, on):
    """The new flow of a pixel: the data term, then the divergence of the dual field."""
    i = y * width + x
    u = tl.load(state + i, mask=on, other=0.0)
    v = tl.load(state + size + i, mask=on, other=0.0)
    gx = tl.load(data + i, mask=on, other=0.0)
    gy = tl.load(data + size + i, mask=on, other=0.0)
    rho = tl.load(data + 2 * size + i, mask=on, other=0.0)
    bound = tl.load(data + 3 * size + i, mask=on, other=0.0)
    d = tl.minimum(tl.maximum(gx * u + gy * v + rho, -bound), bound)
    u = u - d * gx + theta * _divergence(state + 2 * size + i, x, y, width, size, on)
    v = v - d * gy + theta * _divergence(state + 4 * size + i, x, y, width, size, on)
    return u, v


@triton.jit
def _tvl1_dual(before, after, x_slope, y_slope, step, size, on):
    length = 1 + step * tl.sqrt(x_slope * x_slope + y_slope * y_slope)
    one = tl.load(before, mask=on, other=0.0)
    two = tl.load(before + size, mask=on, other=0.0)
    tl.store(after, (one + step * x_slope) / length, mask=on)
    tl.store(after + size, (two + step * y_slope) / length, mask=on)


@triton.jit(do_not_specialize=SIZES)
def tvl1_iterate(
    before,
    after,
    data,
    active,
    change,
    height,
    width,
    theta,
    step,
    MEASURE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One iteration, from ``before`` to ``after``: u, v and the four planes of the dual field.

    The flow of the pixels to the right and below is computed again here, so that one pass does.
    Pairs that are not ``active`` are left out. MEASURE keeps the squared changes.
    """
    size, pair = height * width, tl.program_id(1)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    on = i < size * tl.load(active + pair)  # 0 or 1
    y = i // width
    x = i - y * width
    before += 6 * pair * size
    after += 6 * pair * size
    data += 4 * pair * size
    has_right, has_below = on & (x < width - 1), on & (y < height - 1)
    u, v = _tvl1_flow(before, data, y, x, width, size, theta, on)
    ux, vx = _tvl1_flow(before, data, y, x + 1, width, size, theta, has_right)
    uy, vy = _tvl1_flow(before, data, y + 1, x, width, size, theta, has_below)
    tl.store(after + i, u, mask=on)
    tl.store(after + size + i, v, mask=on)
    ux, vx = tl.where(has_right, ux - u, 0.0), tl.where(has_right, vx - v, 0.0)
    uy, vy = tl.where(has_below, uy - u, 0.0), tl.where(has_below, vy - v, 0.0)
    _tvl1_dual(before + 2 * size + i, after + 2 * size + i, ux, uy, step, size, on)
    _tvl1_dual(before + 4 * size + i, after + 4 * size + i, vx, vy, step, size, on)
    if MEASURE:
        u -= tl.load(before + i, mask=on, other=0.0)
        v -= tl.load(before + size + i, mask=on, other=0.0)
        tl.store(change + pair * size + i, u * u + v * v, mask=on)
