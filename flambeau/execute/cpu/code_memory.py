"""Memory for machine code: written first, then executable and never written again."""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from functools import cache
from typing import Any

CHUNK = 4 << 20  # bytes of address space that are asked for at once
PAGE = mmap.PAGESIZE


def available() -> bool:
    """Whether this process can have such memory, for the machine code of x86-64."""
    right_machine = platform.machine() == "x86_64" and ctypes.sizeof(ctypes.c_void_p) == 8
    return sys.platform == "linux" and right_machine


@cache
def _system() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    word = ctypes.c_size_t
    kept = ctypes.c_void_p, word, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
    library.mmap.argtypes, library.mmap.restype = kept, ctypes.c_void_p
    library.mprotect.argtypes, library.mprotect.restype = (word, word, ctypes.c_int), ctypes.c_int
    return library


class CodeMemory:
    """Whole pages, one after another; nothing is given back, for threads may run it to the end.

    Executable pages follow each other, so that all that have no data between them are one mapping
    of the process, of which the system allows only so many.
    """

    def __init__(self, chunk: int = CHUNK) -> None:
        self.chunk = chunk
        self._next = self._end = 0

    def reserve(self, nbytes: int) -> int:
        """The address of so many bytes, rounded up to pages, that are 0 and can be written. Raises
        OSError where there is no room.
        """
        nbytes = whole_pages(nbytes)
        if self._end - self._next < nbytes:
            size = max(nbytes, self.chunk)
            writable = mmap.PROT_READ | mmap.PROT_WRITE
            anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            found = _system().mmap(None, size, writable, anonymous, -1, 0)
            if found in (None, ctypes.c_void_p(-1).value):
                raise OSError(ctypes.get_errno(), "no memory for machine code")
            self._next, self._end = found, found + size
        place, self._next = self._next, self._next + nbytes
        return place

    @staticmethod
    def make_executable(address: int, nbytes: int) -> None:
        """From now on these pages can be run and read. Raises OSError where that is refused."""
        runnable = mmap.PROT_READ | mmap.PROT_EXEC
        if _system().mprotect(address, whole_pages(nbytes), runnable):
            raise OSError(ctypes.get_errno(), "memory cannot be made executable")


def whole_pages(nbytes: int) -> int:
    return -(-nbytes // PAGE) * PAGE
