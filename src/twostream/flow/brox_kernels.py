"""Compiled loops of the method of Brox et al. 2004 (``brox.py``): data planes and relaxation.

The relaxation visits the pixels like a chess board, red ones ((x + y) even) before black ones.
So that each colour is one run of numbers, a plane is kept as two half planes, ``(red, black)``:
row y of a colour holds its pixels x = s, s + 2, s + 4, ... with s = 0 or 1. Each half plane is a
one-dimensional float32 array with rows of ``pitch`` numbers, one row above and one below the
picture. What belongs to no pixel has weight zero.
"""

from __future__ import annotations

import numpy as np

from twostream.flow.compile import LANES, inlined, inverse, inverse_sqrt, kernel, widest_vectors
from twostream.flow.warping import sample

HALO = 2  # px around the picture that the derivative filter needs
# Unsigned indices: numba compares signed ones with zero, and the loop is no vector loop any more.
ONE, TWO = np.uint64(1), np.uint64(2)
NUM_DATA = 9


@inlined
def _slope(plane, i, step):
    """Return the derivative at i along ``step``: (1, -8, 0, 8, -1) / 12."""
    near = plane[i + step] - plane[i - step]
    far = plane[i + step + step] - plane[i - step - step]
    return np.float32(8 / 12) * near - np.float32(1 / 12) * far


@inlined
def _repeat_border(plane, stride, height, width):
    """Fill the halo of a natural plane with the nearest pixel."""
    for y in range(HALO, HALO + height):
        row = np.uint64(y * stride)
        for k in range(np.uint64(HALO)):
            plane[row + k] = plane[row + np.uint64(HALO)]
            plane[row + np.uint64(HALO + width) + k] = plane[row + np.uint64(HALO + width - 1)]
    top, bottom = np.uint64(HALO * stride), np.uint64((HALO + height - 1) * stride)
    for k in range(HALO):
        above, below = np.uint64(k * stride), np.uint64((HALO + height + k) * stride)
        for x in range(np.uint64(stride)):
            plane[above + x] = plane[top + x]
            plane[below + x] = plane[bottom + x]


@kernel
def linearise(first, second, u, v, scratch, line, red, black, pitch, height, width, noise):
    """Warp the second frame and linearise brightness and gradient constancy.

    With the mean m and the difference d of the first and the warped second frame, the residuals
    of a flow (u, v) are

        r_0 = m_x (u - u0) + m_y (v - v0) + d
        r_x = m_xx (u - u0) + m_xy (v - v0) + d_x,   r_y likewise,

    each divided by the root of its squared gradient plus ``noise`` squared, so that it is a
    distance in px (Zimmer et al. 2011). What leaves the frame has no data.

    Args:
        first, second: (height * width) frames, grey values.
        u, v: (height * width) present flow, u0 and v0.
        scratch: 5 planes of (height + 4) * (width + 4) numbers.
        line: 9 rows of ``width`` + 1 numbers.
        red, black: the nine results, three per residual: factor of u, factor of v, constant.
    """
    widest_vectors()
    mean, difference, slope_x, slope_y, seen = scratch
    stride = width + 2 * HALO
    down = np.uint64(stride)
    half, zero, one = np.float32(0.5), np.float32(0), np.float32(1)
    for y in range(height):
        here, there = np.uint64(y * width), np.uint64((y + HALO) * stride + HALO)
        for x in range(np.uint64(width)):
            a = first[here + x]
            b, _, _, inside = sample(
                second,
                np.int32(height),
                np.int32(width),
                np.float32(x) + u[here + x],
                np.float32(y) + v[here + x],
            )
            mean[there + x] = half * (a + b)
            difference[there + x] = b - a
            seen[there + x] = one if inside else zero
    _repeat_border(mean, stride, height, width)
    _repeat_border(difference, stride, height, width)
    for y in range(height):
        there = np.uint64((y + HALO) * stride + HALO)
        for x in range(np.uint64(width)):
            slope_x[there + x] = _slope(mean, there + x, ONE)
            slope_y[there + x] = _slope(mean, there + x, down)
    _repeat_border(slope_x, stride, height, width)
    _repeat_border(slope_y, stride, height, width)
    squared_noise = noise * noise
    x0, y0, z0, xx, xy, xz, yx, yy, yz = line
    for y in range(height):
        here, there = np.uint64(y * width), np.uint64((y + HALO) * stride + HALO)
        for x in range(np.uint64(width)):
            i = there + x
            a, b = u[here + x], v[here + x]
            visible = seen[i]
            f, g, c = slope_x[i], slope_y[i], difference[i]
            scale = visible * inverse_sqrt(f * f + g * g + squared_noise)
            x0[x], y0[x], z0[x] = scale * f, scale * g, scale * (c - f * a - g * b)
            f, g, c = _slope(slope_x, i, ONE), _slope(slope_x, i, down), _slope(difference, i, ONE)
            scale = visible * inverse_sqrt(f * f + g * g + squared_noise)
            xx[x], xy[x], xz[x] = scale * f, scale * g, scale * (c - f * a - g * b)
            f, g, c = g, _slope(slope_y, i, down), _slope(difference, i, down)
            scale = visible * inverse_sqrt(f * f + g * g + squared_noise)
            yx[x], yy[x], yz[x] = scale * f, scale * g, scale * (c - f * a - g * b)
        row = (y + 1) * pitch
        for k in range(NUM_DATA):
            _deal(line[k], red[k], black[k], row, y, width)


@inlined
def _deal(line, red, black, row, y, width):
    """Give the pixels of one row to the two colours."""
    widest_vectors()
    start = np.uint64(row)
    if y & 1:
        for i in range(np.uint64(width // 2)):
            black[start + i] = line[TWO * i]
            red[start + i] = line[TWO * i + ONE]
        if width & 1:
            black[start + np.uint64(width // 2)] = line[np.uint64(width - 1)]
    else:
        for i in range(np.uint64(width // 2)):
            red[start + i] = line[TWO * i]
            black[start + i] = line[TWO * i + ONE]
        if width & 1:
            red[start + np.uint64(width // 2)] = line[np.uint64(width - 1)]


@kernel
def split(plane, red, black, pitch, height, width):
    """Deal a (height, width) plane to the two colours."""
    widest_vectors()
    for y in range(height):
        _deal(plane[y], red, black, (y + 1) * pitch, y, width)


@kernel
def join(red, black, plane, pitch, height, width):
    """Put the two colours together in a (height, width) plane."""
    widest_vectors()
    for y in range(height):
        line, row = plane[y], np.uint64((y + 1) * pitch)
        for x in range(np.uint64(width)):
            i = row + (x >> ONE)
            line[x] = black[i] if (x + np.uint64(y)) & ONE else red[i]


@inlined
def _diffuse(u, v, un, vn, right, below, row, ring, shift, columns, pitch, alpha, squared_epsilon):
    """Weight the edges of one colour's pixels to the right and downwards."""
    widest_vectors()
    for x in range(columns):
        i = row + x
        j, k = i + shift, i + pitch
        a, b, c, d = un[j] - u[i], un[k] - u[i], vn[j] - v[i], vn[k] - v[i]
        weight = alpha * inverse_sqrt(a * a + b * b + c * c + d * d + squared_epsilon)
        right[ring + x] = weight
        below[ring + x] = weight


@inlined
def _assemble(
    u, v, data, right, below, right_n, below_n, system, row, ring, above, shift, columns,
    delta, gamma, squared_epsilon,
):  # fmt: skip
    """Make the 2 x 2 systems of one colour's pixels in a row."""
    widest_vectors()
    x0, y0, z0, xx, xy, xz, yx, yy, yz = data
    inverse_u, inverse_v, cross, known_u, known_v = system
    tiny = np.float32(1e-9)
    left = ring + shift - ONE
    for x in range(columns):
        i, j = row + x, ring + x
        a, b = u[i], v[i]
        r0 = x0[i] * a + y0[i] * b + z0[i]
        rx = xx[i] * a + xy[i] * b + xz[i]
        ry = yx[i] * a + yy[i] * b + yz[i]
        p = delta * inverse_sqrt(r0 * r0 + squared_epsilon)
        q = gamma * inverse_sqrt(rx * rx + ry * ry + squared_epsilon)
        edges = right[j] + below[j] + right_n[left + x] + below_n[above + x] + tiny
        inverse_u[j] = inverse(edges + p * x0[i] * x0[i] + q * (xx[i] * xx[i] + yx[i] * yx[i]))
        inverse_v[j] = inverse(edges + p * y0[i] * y0[i] + q * (xy[i] * xy[i] + yy[i] * yy[i]))
        cross[j] = p * x0[i] * y0[i] + q * (xx[i] * xy[i] + yx[i] * yy[i])
        known_u[j] = -p * x0[i] * z0[i] - q * (xx[i] * xz[i] + yx[i] * yz[i])
        known_v[j] = -p * y0[i] * z0[i] - q * (xy[i] * xz[i] + yy[i] * yz[i])


@inlined
def _relax_row(
    u, v, un, vn, right, below, right_n, below_n, system, row, ring, above, shift, columns,
    pitch, omega,
):  # fmt: skip
    """Relax one colour's pixels in a row; their neighbours have the other colour (``_n``)."""
    widest_vectors()
    inverse_u, inverse_v, cross, known_u, known_v = system
    left = ring + shift - ONE
    for x in range(columns):
        i, j = row + x, ring + x
        k = i + shift
        w, n, e, s = right_n[left + x], below_n[above + x], right[j], below[j]
        a, b = u[i], v[i]
        around = w * un[k - ONE] + n * un[i - pitch] + e * un[k] + s * un[i + pitch]
        a += omega * ((around + known_u[j] - cross[j] * b) * inverse_u[j] - a)
        around = w * vn[k - ONE] + n * vn[i - pitch] + e * vn[k] + s * vn[i + pitch]
        u[i] = a
        v[i] = b + omega * ((around + known_v[j] - cross[j] * a) * inverse_v[j] - b)


@inlined
def _close_row(right, below, ring, count, owns_last, columns):
    """No edge leads out of the picture to the right, and none starts outside."""
    for i in range(ring + count, ring + columns):
        right[i] = np.float32(0)
        below[i] = np.float32(0)
    if owns_last:
        right[ring + count - ONE] = np.float32(0)


@kernel
def relax(
    u, v, red_data, black_data, red_system, black_system, right, below, rows, pitch, height,
    width, steps, sweeps, weights, omega,
):  # fmt: skip
    """Do ``steps`` fixed-point steps of ``sweeps`` red-black SOR sweeps each, in place.

    All of them pass through the picture as one wave, each as close behind its predecessor as it
    may: in fixed-point step m the weights and systems of row y are made when half sweep k is at
    row y - 1 - k and the next step at row y - 2 sweeps - 2. So the data is read from memory once,
    and of weights and systems only the rows under the wave are kept, in a ring.

    Args:
        u, v: (red, black) flow.
        red_data, black_data: of ``linearise``.
        red_system, black_system: 5 rings each.
        right, below: (red, black) rings, weights of the edges.
        rows: of a ring, steps * (2 sweeps + 2) or more. A ring has one row before the first.
        weights: alpha, delta, gamma, the squared epsilons of smoothness and data.
        omega: over-relaxation, 1 to 2.
    """
    widest_vectors()
    alpha, delta, gamma, squared_smooth, squared_data = weights
    length = np.uint64(pitch)
    columns = np.uint64(((width + 1) // 2 + LANES - 1) // LANES * LANES)
    u_red, u_black = u
    v_red, v_black = v
    right_red, right_black = right
    below_red, below_black = below
    delay = 2 * sweeps + 2
    for time in range(height + steps * delay):
        for step in range(steps):
            t = time - step * delay
            if t < 0 or t >= height + delay:
                continue
            if t < height:
                row, ring = np.uint64((t + 1) * pitch), np.uint64((t % rows + 1) * pitch)
                above = np.uint64(((t + rows - 1) % rows + 1) * pitch)
                if t == 0:  # no edge leads out upwards
                    for i in range(above, above + columns):
                        below_red[i] = np.float32(0)
                        below_black[i] = np.float32(0)
                # The forward differences across the right and lower side are zero.
                last = row + np.uint64((width - 1) // 2)
                after = last + np.uint64((width - 1) & 1)
                red_last = (width - 1 + t) & 1 == 0
                if red_last:
                    u_black[after], v_black[after] = u_red[last], v_red[last]
                else:
                    u_red[after], v_red[after] = u_black[last], v_black[last]
                if t == height - 1:
                    for i in range(row, row + columns):
                        u_red[i + length], u_black[i + length] = u_black[i], u_red[i]
                        v_red[i + length], v_black[i + length] = v_black[i], v_red[i]
                odd = t & 1
                red_shift, black_shift = np.uint64(odd), np.uint64(1 - odd)
                num_red = np.uint64((width + 1 - odd) // 2)
                num_black = np.uint64((width + odd) // 2)
                _diffuse(
                    u_red, v_red, u_black, v_black, right_red, below_red,
                    row, ring, red_shift, columns, length, alpha, squared_smooth,
                )  # fmt: skip
                _diffuse(
                    u_black, v_black, u_red, v_red, right_black, below_black,
                    row, ring, black_shift, columns, length, alpha, squared_smooth,
                )  # fmt: skip
                _close_row(right_red, below_red, ring, num_red, red_last, columns)
                _close_row(right_black, below_black, ring, num_black, not red_last, columns)
                if t == height - 1:
                    for i in range(ring, ring + columns):
                        below_red[i] = np.float32(0)
                        below_black[i] = np.float32(0)
                _assemble(
                    u_red, v_red, red_data, right_red, below_red, right_black, below_black,
                    red_system, row, ring, above, red_shift, columns, delta, gamma, squared_data,
                )  # fmt: skip
                _assemble(
                    u_black, v_black, black_data, right_black, below_black, right_red, below_red,
                    black_system, row, ring, above, black_shift, columns, delta, gamma,
                    squared_data,
                )  # fmt: skip
            for k in range(2 * sweeps):
                y = t - 1 - k
                if y < 0 or y >= height:
                    continue
                row, ring = np.uint64((y + 1) * pitch), np.uint64((y % rows + 1) * pitch)
                above = np.uint64(((y + rows - 1) % rows + 1) * pitch)
                if k & 1:
                    _relax_row(
                        u_black, v_black, u_red, v_red,
                        right_black, below_black, right_red, below_red, black_system,
                        row, ring, above, np.uint64(1 - (y & 1)), columns, length, omega,
                    )  # fmt: skip
                else:
                    _relax_row(
                        u_red, v_red, u_black, v_black,
                        right_red, below_red, right_black, below_black, red_system,
                        row, ring, above, np.uint64(y & 1), columns, length, omega,
                    )  # fmt: skip


@kernel
def solve_warp(
    first, second, field, scratch, line, u, v, red_data, black_data, red_system, black_system,
    right, below, rows, pitch, height, width, steps, wave, sweeps, weights, omega, noise,
):  # fmt: skip
    """Warp, linearise and relax: one warp of a level, in place, in one go without Python's lock.

    A thread that gives the lock back and takes it again is put to sleep and woken in between; at
    64 px of height two threads did hardly more than one.

    Args:
        first, second: (height, width) frames, grey values.
        field: (2, height, width) present flow.
        steps: fixed-point steps, ``wave`` at a time.
        noise, scratch, line: of ``linearise``; the others of ``relax``.
    """
    size = height * width
    present, moved = field[0].reshape(size), field[1].reshape(size)
    one, two = first.reshape(size), second.reshape(size)
    linearise(
        one, two, present, moved, scratch, line, red_data, black_data, pitch, height, width, noise
    )
    split(field[0], u[0], u[1], pitch, height, width)
    split(field[1], v[0], v[1], pitch, height, width)
    for done in range(0, steps, wave):
        relax(
            u, v, red_data, black_data, red_system, black_system, right, below, rows, pitch,
            height, width, min(wave, steps - done), sweeps, weights, omega,
        )  # fmt: skip
    join(u[0], u[1], field[0], pitch, height, width)
    join(v[0], v[1], field[1], pitch, height, width)
