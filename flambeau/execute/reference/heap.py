"""What NumPy's temporary arrays leave behind in the C library's heap."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

from flambeau.graph.program import Program

LARGE = 1 << 20  # bytes of a value from which a program's runs leave much


@cache
def _trim() -> Any:
    """The GNU C library's malloc_trim; None elsewhere."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back(program: Program) -> None:
    """Gives freed memory back to the system, once NumPy runs a program of large values no more."""
    if any(v.size * v.dtype.itemsize >= LARGE for v in program.nodes()):
        trim = _trim()
        if trim is not None:
            trim(0)
