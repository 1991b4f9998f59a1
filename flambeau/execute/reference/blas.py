"""The threads of the matrix library inside NumPy.

Its threads wait actively for each other: beside the pool's threads, or on a busy machine, a small
product takes ten times as long on two as on one. And the bits of a product may hang on how many
there are. So the reference executor runs it on one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

_NAMES = (
    "scipy_openblas_{}_num_threads64_",
    "openblas_{}_num_threads64_",
    "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads",
)


@cache
def _libraries() -> tuple[ctypes.CDLL, ...]:
    """OpenBLAS as NumPy's wheels bring it; nothing for other builds."""
    from pathlib import Path  # (it imports what reads addresses of the web)

    home, found = Path(np.__file__).parent, []
    for folder in (home.parent / "numpy.libs", home / ".dylibs", home / ".libs"):
        for path in sorted(folder.glob("*openblas*")) if folder.is_dir() else ():
            try:
                found.append(ctypes.CDLL(str(path)))
            except OSError:
                continue
    return tuple(found)


@cache
def _functions() -> tuple[Callable[[], int], Callable[[int], Any]] | None:
    """(get, set) of its threads."""
    for library in _libraries():
        for name in _NAMES:
            get = getattr(library, name.format("get"), None)
            put = getattr(library, name.format("set"), None)
            if get is not None and put is not None:
                return get, put
    return None


@cache
def product_address(kind: str) -> int:
    """Where `cblas_sgemm` ("s"; "d": of doubles) of that library is, whose extents are 64-bit
    numbers; 0 where NumPy brings none.
    """
    for library in _libraries():
        for name in ("scipy_cblas_{}gemm64_", "cblas_{}gemm64_"):
            function = getattr(library, name.format(kind), None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


@contextmanager
def one_thread() -> Iterator[None]:
    """NumPy's matrix products run on the calling thread alone meanwhile."""
    functions = _functions()
    if functions is None:
        yield
        return
    get, put = functions
    before = get()
    if before == 1:
        yield
        return
    put(1)
    try:
        yield
    finally:
        put(before)
