"""Where the elements of NumPy arrays lie."""

from __future__ import annotations

import ctypes
from typing import Any

_Nothing = ctypes.c_char * 0


def address_of(array: Any) -> int:
    """The address of a C-contiguous array, at a fifth of the cost of asking the array."""
    try:
        return ctypes.addressof(_Nothing.from_buffer(array))
    except TypeError:  # one that must not be written
        place: int = array.__array_interface__["data"][0]
        return place
