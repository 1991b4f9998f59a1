"""NumPy's memory, made to fail: from the n-th time on that NumPy asks for some, so many times."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

SET_HANDLER, GET_HANDLER = 304, 305  # places in NumPy's table of functions
NAME = ctypes.c_char_p(b"mem_handler")
Malloc = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
Calloc = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
Realloc = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", Malloc),
        ("calloc", Calloc),
        ("realloc", Realloc),
        ("free", ctypes.c_void_p),
    )


class Failing:
    """Memory that is not there at the request of this number, counted from 1, and the next ones."""

    def __init__(self, number: int, times: int) -> None:
        self.left, self.times = number - 1, times
        self.failed = 0

    def run(self, work: Callable[[], Any]) -> BaseException | None:
        """Does the work; what it has raised."""
        before = _functions()[0](_failing())
        try:
            _State.failing = self
            work()
        except Exception as error:
            return error
        finally:
            _State.failing = None
            _functions()[0](before)
        return None

    def fails(self) -> bool:
        if self.left:
            self.left -= 1
            return False
        if self.failed == self.times:
            return False
        self.failed += 1
        return True


class _State:
    failing: Failing | None = None


@cache
def _functions() -> tuple[Any, Any]:
    """NumPy's own, to set and to ask who gives memory in this thread."""
    umath: Any = __import__(f"{_core()}._multiarray_umath", fromlist=["_ARRAY_API"])
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = ctypes.cast(address(umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    setting = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_HANDLER] or 0)
    asking = ctypes.PYFUNCTYPE(ctypes.py_object)(table[GET_HANDLER] or 0)
    return setting, asking


def _core() -> str:
    return "numpy._core" if int(np.__version__.split(".")[0]) > 1 else "numpy.core"


@cache
def _failing() -> Any:
    """The handler, as NumPy takes it: an object that holds its address."""
    library = ctypes.CDLL(None)
    for name, count in ("malloc", 1), ("calloc", 2):
        getattr(library, name).argtypes = (ctypes.c_size_t,) * count
    library.realloc.argtypes = (ctypes.c_void_p, ctypes.c_size_t)

    def asked(function: Any) -> Any:
        function.restype = ctypes.c_void_p

        def ask(context: Any, *sizes: Any) -> Any:
            failing = _State.failing
            return None if failing is not None and failing.fails() else function(*sizes)

        return ask

    address = ctypes.pythonapi.PyCapsule_GetPointer
    usual = Handler.from_address(address(_functions()[1](), NAME) or 0)
    made = Handler(
        b"failing",
        1,
        None,
        Malloc(asked(library.malloc)),
        Calloc(asked(library.calloc)),
        Realloc(asked(library.realloc)),
        usual.free,
    )
    _HELD.append(made)
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype = ctypes.py_object
    capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return capsule(ctypes.addressof(made), NAME, None)


_HELD: list[Any] = []
