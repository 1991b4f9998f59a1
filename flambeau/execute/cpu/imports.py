"""What compiled code finds in the process: the system's functions, the checking mode's words, where
NumPy's inner loops are.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

from flambeau.execute.cpu import bounds
from flambeau.execute.cpu.target import INNER_LOOP, SYSTEM_FUNCTIONS


@cache
def _libraries() -> list[ctypes.CDLL]:
    libraries = []
    for name in ("ucrtbase",) if os.name == "nt" else (None, "libm.so.6"):
        try:
            libraries.append(ctypes.CDLL(name))
        except OSError:
            continue
    return libraries


@cache
def system_symbol(name: str) -> int | None:
    """The address of what compiled code may use by that name; None where there is nothing."""
    if name == bounds.NAME:
        return bounds.bounds_address()
    if name.startswith(INNER_LOOP):
        from flambeau.execute.cpu.ufuncs import loop_address

        return loop_address(name)
    if name in SYSTEM_FUNCTIONS:
        for library in _libraries():
            function = getattr(library, name, None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value
    return None


def system_symbols() -> dict[str, int]:
    """All of them."""
    found = {name: system_symbol(name) for name in (bounds.NAME, *SYSTEM_FUNCTIONS)}
    return {name: address for name, address in found.items() if address is not None}
