"""The median of 3 x 3 or 5 x 5 px as a Triton kernel: exchanges of registers, no sorting.

Of five sorted columns whose rows are then sorted too, twelve places cannot hold the median: those
with too many numbers that are no greater, or no less. It is the median of the other thirteen, of
which the least and the greatest of any eight fall away, then of any seven, and so on.
"""

from __future__ import annotations

import triton
import triton.language as tl

# one build of a kernel does for every size: a build takes most of a second
SIZES = ["height", "width", "pair_pitch"]


@triton.jit
def _sort2(a, b):
    return tl.minimum(a, b), tl.maximum(a, b)


@triton.jit
def _sort3(a, b, c):
    a, b = _sort2(a, b)
    b, c = _sort2(b, c)
    a, b = _sort2(a, b)
    return a, b, c


@triton.jit
def _sort5(a, b, c, d, e):
    a, b = _sort2(a, b)
    d, e = _sort2(d, e)
    c, e = _sort2(c, e)
    c, d = _sort2(c, d)
    a, d = _sort2(a, d)
    a, c = _sort2(a, c)
    b, e = _sort2(b, e)
    b, d = _sort2(b, d)
    b, c = _sort2(b, c)
    return a, b, c, d, e


@triton.jit
def _middle3(a, b, c):
    return tl.maximum(tl.minimum(a, b), tl.minimum(tl.maximum(a, b), c))


@triton.jit
def _inner4(a, b, c, d):
    """Two of four: all but the least and the greatest."""
    a, b = _sort2(a, b)
    c, d = _sort2(c, d)
    return tl.maximum(a, c), tl.minimum(b, d)


@triton.jit
def _inner5(a, b, c, d, e):
    a, b = _sort2(a, b)
    c, d = _sort2(c, d)
    a, c = _sort2(a, c)
    b, d = _sort2(b, d)
    # a is the least and d the greatest of four
    a, e = _sort2(a, e)
    e, d = _sort2(e, d)
    return b, c, e


@triton.jit
def _inner6(a, b, c, d, e, f):
    a, b = _sort2(a, b)
    c, d = _sort2(c, d)
    e, f = _sort2(e, f)
    a, c = _sort2(a, c)
    a, e = _sort2(a, e)
    b, f = _sort2(b, f)
    d, f = _sort2(d, f)
    return b, c, d, e


@triton.jit
def _inner7(a, b, c, d, e, f, g):
    a, b = _sort2(a, b)
    c, d = _sort2(c, d)
    e, f = _sort2(e, f)
    a, c = _sort2(a, c)
    a, e = _sort2(a, e)
    b, f = _sort2(b, f)
    d, f = _sort2(d, f)
    a, g = _sort2(a, g)
    g, f = _sort2(g, f)
    return b, c, d, e, g


@triton.jit
def _inner8(a, b, c, d, e, f, g, h):
    a, b = _sort2(a, b)
    c, d = _sort2(c, d)
    e, f = _sort2(e, f)
    g, h = _sort2(g, h)
    a, c = _sort2(a, c)
    e, g = _sort2(e, g)
    a, e = _sort2(a, e)
    b, d = _sort2(b, d)
    f, h = _sort2(f, h)
    d, h = _sort2(d, h)
    return b, c, d, e, f, g


@triton.jit
def _at(plane, y, x, height, width, on, BOARD: tl.constexpr):
    y = tl.minimum(tl.maximum(y, 0), height - 1)
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    if BOARD:
        half = (width + 1) // 2
        place = ((x + y) % 2) * height * half + y * half + x // 2
    else:
        place = y * width + x
    return tl.load(plane + place, mask=on, other=0.0)


@triton.jit
def _column3(plane, y, x, height, width, on, BOARD: tl.constexpr):
    a = _at(plane, y - 1, x, height, width, on, BOARD)
    b = _at(plane, y, x, height, width, on, BOARD)
    c = _at(plane, y + 1, x, height, width, on, BOARD)
    return _sort3(a, b, c)


@triton.jit
def _column5(plane, y, x, height, width, on, BOARD: tl.constexpr):
    a = _at(plane, y - 2, x, height, width, on, BOARD)
    b = _at(plane, y - 1, x, height, width, on, BOARD)
    c = _at(plane, y, x, height, width, on, BOARD)
    d = _at(plane, y + 1, x, height, width, on, BOARD)
    e = _at(plane, y + 2, x, height, width, on, BOARD)
    return _sort5(a, b, c, d, e)


@triton.jit
def _median5(plane, y, x, height, width, on, BOARD: tl.constexpr):
    a0, b0, c0, d0, e0 = _column5(plane, y, x - 2, height, width, on, BOARD)
    a1, b1, c1, d1, e1 = _column5(plane, y, x - 1, height, width, on, BOARD)
    a2, b2, c2, d2, e2 = _column5(plane, y, x, height, width, on, BOARD)
    a3, b3, c3, d3, e3 = _column5(plane, y, x + 1, height, width, on, BOARD)
    a4, b4, c4, d4, e4 = _column5(plane, y, x + 2, height, width, on, BOARD)
    _, _, _, a3, a4 = _sort5(a0, a1, a2, a3, a4)
    _, _, b2, b3, b4 = _sort5(b0, b1, b2, b3, b4)
    _, c1, c2, c3, _ = _sort5(c0, c1, c2, c3, c4)
    d0, d1, d2, _, _ = _sort5(d0, d1, d2, d3, d4)
    e0, e1, _, _, _ = _sort5(e0, e1, e2, e3, e4)
    p, q, r, s, t, u = _inner8(a3, a4, b2, b3, d1, d2, e0, e1)
    p, q, r, s, t = _inner7(p, q, r, s, t, u, b4)
    p, q, r, s = _inner6(p, q, r, s, t, d0)
    p, q, r = _inner5(p, q, r, s, c1)
    p, q = _inner4(p, q, r, c3)
    return _middle3(p, q, c2)


@triton.jit
def _median3(plane, y, x, height, width, on, BOARD: tl.constexpr):
    a0, b0, c0 = _column3(plane, y, x - 1, height, width, on, BOARD)
    a1, b1, c1 = _column3(plane, y, x, height, width, on, BOARD)
    a2, b2, c2 = _column3(plane, y, x + 1, height, width, on, BOARD)
    least = tl.maximum(tl.maximum(a0, a1), a2)
    most = tl.minimum(tl.minimum(c0, c1), c2)
    return _middle3(least, _middle3(b0, b1, b2), most)


@triton.jit(do_not_specialize=SIZES)
def median(
    source,
    target,
    height,
    width,
    pair_pitch,
    SIDE: tl.constexpr,
    BOARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Filter u and v of each pair; the border is repeated.

    Args:
        source: pairs of two planes each, the pairs ``pair_pitch`` numbers apart.
        target: (n, 2, h, w).
        SIDE: 3 or 5 px; 1 only copies.
        BOARD: whether the source's planes are kept by colour.
    """
    size, plane = height * width, tl.program_id(1)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    on = i < size
    y = i // width
    x = i - y * width
    pitch = 2 * height * ((width + 1) // 2) if BOARD else size
    source += (plane // 2) * pair_pitch + (plane % 2) * pitch
    if SIDE == 5:
        found = _median5(source, y, x, height, width, on, BOARD)
    elif SIDE == 3:
        found = _median3(source, y, x, height, width, on, BOARD)
    else:
        found = _at(source, y, x, height, width, on, BOARD)
    tl.store(target + plane * size + i, found, mask=on)
