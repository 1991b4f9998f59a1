"""The checking mode, FLAMBEAU_CHECK=1: the words that tell a kernel which memory it may touch.

checking.py rewrites kernels so that they ask these words, checked_runs.py sets them.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from flambeau.core import settings

NAME = "flambeau_bounds"
"""What the words are called in kernels."""
COUNT, SITE, ADDRESS, BYTES, FIRST_RANGE = 0, 1, 2, 3, 8
"""Places among the words: how many ranges (-1: nothing is refused), the first access that was
refused (0: none), what it wanted; then the ranges, a first and a last address each.
"""
MOST_RANGES = 2044
SPARE_WORDS = 2048
"""Behind the ranges: memory for accesses that were refused, each of at most so many words."""
PAGE = mmap.PAGESIZE

Range = tuple[int, int]
"""The addresses of a first byte and of the byte after the last."""


class MemoryAccessError(RuntimeError):
    """A compiled kernel reached past its buffers: a defect of the compiler, not of the program."""


@cache
def switched_on() -> bool:
    """Whether kernels of this process are checked."""
    return settings.checking_wanted()


class _Bounds:
    """The words that checked kernels ask, and the right to set them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.words: Any = np.zeros(FIRST_RANGE + 2 * MOST_RANGES + SPARE_WORDS, np.int64)
        self.words[COUNT] = -1

    @property
    def address(self) -> int:
        return int(self.words.ctypes.data)


_bounds = _Bounds()


def bounds_address() -> int:
    """Where the words of checking.py lie in this process."""
    return _bounds.address


@contextmanager
def allowed(ranges: Iterable[Range], text: str, label: str) -> Iterator[None]:
    """Kernels that run inside may touch these ranges and their own local arrays.

    Raises MemoryAccessError at the end if one touched anything else. Outside of such a block
    nothing is refused.
    """
    found = sorted(ranges)
    if len(found) > MOST_RANGES:
        raise NotImplementedError(f"the checking mode knows at most {MOST_RANGES} buffers a kernel")
    with _bounds.lock:
        words = _bounds.words
        flat = [word for pair in found for word in pair]
        words[FIRST_RANGE : FIRST_RANGE + len(flat)] = flat
        words[SITE] = 0
        words[COUNT] = len(found)
        try:
            yield
        finally:
            words[COUNT] = -1
        if words[SITE]:
            raise MemoryAccessError(_complaint(found, text, label))


def _complaint(ranges: Sequence[Range], text: str, label: str) -> str:
    from flambeau.execute.cpu import checking

    words = _bounds.words
    start, nbytes = int(words[ADDRESS]), int(words[BYTES])
    near = min(ranges, key=lambda r: max(r[0] - start, start + nbytes - r[1]), default=(0, 0))
    return (
        f"kernel '{label}': {checking.access(text, int(words[SITE]))}: touches bytes"
        f" {start - near[0]} to {start - near[0] + nbytes} of a buffer of {near[1] - near[0]}"
        " bytes: please report this"
    )


def array_range(array: Any) -> Range:
    """From its first element to behind its last one; no stride is negative."""
    start = int(array.__array_interface__["data"][0])
    if array.flags.c_contiguous:
        return start, start + int(array.nbytes)
    reach = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
    return start, start + (reach + array.itemsize if array.size else 0)


def guarded(nbytes: int) -> tuple[Any, int]:
    """(what keeps it alive, address): memory between two pages that nobody may touch.

    The address is the last multiple of 64 from which `nbytes` fit in front of the second page.
    """
    whole = -(-nbytes // PAGE) * PAGE + 2 * PAGE
    region = mmap.mmap(-1, whole)
    start = ctypes.addressof(ctypes.c_char.from_buffer(region))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (start, start + whole - PAGE):
        if protect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect of a guard page failed")
    end = start + whole - PAGE
    return region, (end - nbytes) // 64 * 64
