"""What NumPy's temporary arrays, and the compiler, leave behind in the C library's heap."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

from flambeau.graph.program import Program

MUCH = 1 << 23  # bytes of a program's values from which its runs leave much


@cache
def _trimmer() -> Any:
    """The GNU C library's malloc_trim; None elsewhere."""
    if sys.platform != "linux":
        return None
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):
        return None


def give_back(program: Program) -> None:
    """Gives back what a program's values took in the reference executor, once they are freed.

    The allocator would keep it between blocks in use: some half of a training's peak, beside the
    arena that the compiled program has for the same values.
    """
    if sum(v.size * v.dtype.itemsize for v in program.nodes()) >= MUCH:
        trim()


def trim() -> None:
    """Gives all that is free in the heap back to the system, where it can."""
    trimmer = _trimmer()
    if trimmer is not None:
        trimmer(0)
