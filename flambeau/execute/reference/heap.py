"""What NumPy's temporary arrays, and the compiler, leave behind in the C library's heap."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Any

from flambeau.graph.program import Program

MUCH = 1 << 23  # bytes of a program's values from which its runs leave much
# Of mallopt: what may stay free at the end of the heap, and from what on blocks are mapped singly.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
STAYS, MAPPED = 1 << 27, 1 << 25


def _of_library(name: str) -> Any:
    """A function of the GNU C library; None elsewhere."""
    if sys.platform != "linux":
        return None
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):
        return None


@cache
def _trimmer() -> Any:
    return _of_library("malloc_trim")


@cache
def keep() -> None:
    """From now on the heap keeps what a run of the reference executor frees, up to STAYS bytes.

    Else arrays of a megabyte are given back to the system after each step of a program and come
    back page by page, which takes longer than to fill them. What users say of the allocator counts.
    """
    said = any(name.startswith("MALLOC_") for name in os.environ)
    change = _of_library("mallopt")
    if change is None or said or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    change(TRIM_THRESHOLD, STAYS)
    change(MMAP_THRESHOLD, MAPPED)


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
