"""Where NumPy's inner loops are: the C functions that a ufunc object has a table of.

What is known of these objects is tried out before it is used. (Programs from the disk that call
loops need no more than this of the compiler.)
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu.target import INNER_LOOP
from flambeau.ops.host_loops import inner_module


class _Ufunc(ctypes.Structure):
    """The head of NumPy's ufunc objects (PyUFuncObject)."""

    _fields_ = (
        ("head", ctypes.c_int64 * 2),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.c_void_p),
    )


def _place(ufunc: Any, kinds: str) -> tuple[int, int] | None:
    """(function, its data) of one of a ufunc's loops; None where the object is not laid out so."""
    found = _Ufunc.from_address(id(ufunc))
    counts = ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes
    if (found.nin, found.nout, found.nargs, found.ntypes) != counts or kinds not in ufunc.types:
        return None
    if (
        not (found.functions and found.types and found.name)
        or found.name.decode() != ufunc.__name__
    ):
        return None
    number = ufunc.types.index(kinds)
    numbers = (ctypes.c_char * ufunc.nargs).from_address(found.types + number * ufunc.nargs).raw
    if [np.dtype(kind).num for kind in kinds.replace("->", "")] != list(numbers):
        return None
    words = ctypes.c_int64 * ufunc.ntypes
    data = words.from_address(found.data)[number] if found.data else 0
    return words.from_address(found.functions)[number], data


@cache
def _readable() -> bool:
    """Whether ufunc objects are laid out as they are known: their loops do what they say."""
    if ctypes.sizeof(ctypes.c_void_p) != 8 or not hasattr(ctypes, "pythonapi"):
        return False
    place = _place(np.add, "dd->d")
    if place is None:
        return False
    a, b, out = np.array([1.5, 2.0]), np.array([0.25, -8.0]), np.zeros(2)
    addresses = np.array([address_of(x) for x in (a, b, out)], np.int64)
    length, steps = np.array([2], np.int64), np.array([8, 8, 8], np.int64)
    loop = ctypes.PYFUNCTYPE(None, *[ctypes.c_void_p] * 4)(place[0])
    loop(address_of(addresses), address_of(length), address_of(steps), place[1])
    return bool((out == [1.75, -6.0]).all())


@cache
def _words(name: str) -> Any:
    """What a kernel finds behind a loop's symbol: (function, data, 1.0, 1.0 in single precision);
    None where NumPy has no such loop.
    """
    module, _, rest = name.removeprefix(INNER_LOOP).partition(".")
    ufunc_name, _, kinds = rest.partition(".")
    where: Any = np if module == "numpy" else inner_module(module)
    ufunc = getattr(where, ufunc_name, None)
    if not isinstance(ufunc, np.ufunc) or not _readable():
        return None
    place = _place(ufunc, kinds.replace("_", "->"))
    if place is None or not place[0]:
        return None
    ones = np.array([1.0]).view(np.int64), np.array([1.0, 1.0], np.float32).view(np.int64)
    return np.array([*place, *ones[0], *ones[1]], np.int64)


def loop_address(name: str) -> int | None:
    """Where the words of a loop are, by its symbol."""
    words = _words(name)
    return None if words is None else address_of(words)
