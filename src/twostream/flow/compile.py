"""How the solvers of this package are compiled: numba, cached on disk, with wide vectors.

Only the solvers' kernel files import this one, so that numba is loaded when a solver is made and
not before. A kernel that calls a function of another file is not compiled again when only that
other file changes (numba looks at the file of the kernel alone): the helpers here stay as they
are, or the kernel files are touched.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import event
from numba.extending import intrinsic

logger = logging.getLogger(__name__)

PACKAGE = __name__.rpartition(".")[0]
LANES = 16  # float32 numbers in the widest vector; rows are padded to whole vectors


class _Announcer(event.Listener):
    """Says once that kernels are being compiled; a load from the cache stays silent."""

    def __init__(self) -> None:
        self.compiled = 0
        self._lock = threading.Lock()

    def on_start(self, event: Any) -> None:
        if not event.data["dispatcher"].py_func.__module__.startswith(PACKAGE):
            return
        with self._lock:
            self.compiled += 1
            first = self.compiled == 1
        if first:
            logger.info("compiling the flow solver for this processor, once (up to a minute)")

    def on_end(self, event: Any) -> None:
        pass


_announcer = _Announcer()
event.register("numba:compile", _announcer)


def kernels_compiled() -> int:
    """Return how many functions this process has compiled, rather than loaded."""
    return _announcer.compiled


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function of float32 arrays for this processor, on its first call.

    The machine code lies in ``__pycache__`` beside the source or, where that cannot be written,
    in the user's cache folder; where neither can be, it is compiled again by every process. The
    lock of Python is released inside.
    """
    options = {"nogil": True, "fastmath": True, "error_model": "numpy", "boundscheck": False}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba: no locator available
        return njit(**options)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function as a part of every kernel that calls it."""
    return njit(fastmath=True, error_model="numpy", boundscheck=False, forceinline=True)(function)


@intrinsic
def widest_vectors(context: Any) -> Any:
    """Mark the kernel that calls it: its arrays never overlap, its vectors may have 512 bits.

    Without the first, every loop starts with a comparison of all its pointers; without the
    second, LLVM stays with 256 bits on processors of which the first generations slowed down.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = builder.function
        # llvmlite lets only known attributes through its own add().
        set.add(function.attributes, '"prefer-vector-width"="512"')
        for argument in function.args[2:]:  # the first two are numba's result and error
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _bits(context: Any, value: Any) -> Any:
    """Read the 32 bits of a float32 as an int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def _number(context: Any, bits: Any) -> Any:
    """Read 32 bits as a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@inlined
def rough_inverse_sqrt(x: Any) -> Any:
    """Return 1 / sqrt(x) for x > 0, float32, to 7e-4: a guess from the bits, one Newton step.

    At 0 it is a large finite number.

    The processor's square root and division take 35 cycles a vector, this takes 4. The constants
    make the largest error after the step least (Kadlec 2010).
    """
    y = _number(np.int32(0x5F1FFFF9) - (_bits(x) >> np.int32(1)))
    return y * (np.float32(1.68191391) - np.float32(0.703952009) * x * y * y)


@inlined
def inverse_sqrt(x: Any) -> Any:
    """Return 1 / sqrt(x) for x > 0, float32, to 8e-7: one Newton step more."""
    y = rough_inverse_sqrt(x)
    return y * (np.float32(1.5) - np.float32(0.5) * x * y * y)


@inlined
def inverse(x: Any) -> Any:
    """Return 1 / x for x > 0, float32, to 2e-6: a guess from the bits, two Newton steps.

    The constants of the first step are fitted to the guess, so that its largest error is least.
    """
    y = _number(np.int32(0x7EF00000) - _bits(x))
    y = y * (np.float32(2.03212856) - np.float32(1.03116925) * x * y)
    return y * (np.float32(2.0) - x * y)
