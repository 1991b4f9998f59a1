"""What plain data are read as, an array of NumPy's or a Python number, as native calls.

Note: what they rely on
    The tensors hold data that nothing pending has to do with. What they read, and who holds the
    memory afterwards, is as in `Tensor.numpy` and `Tensor.item`; where a tensor is not as usual
    they give None, and Python goes that way. NumPy makes the array, by a function of its C
    interface, whose place is tried out before it is used.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu.references import new_reference, put
from flambeau.execute.cpu.word_functions import api, at, byte, call, given, int32, single, word
from flambeau.record import words
from flambeau.record.known_data import data_of
from flambeau.record.known_views import storage_at_hand

MOST_AXES = 8
DTYPES = "bfloat16", "float32", "float64", "int32", "int64"
OWNS, WRITEABLE = 0x4, 0x400  # flags of arrays
ABI = 0x2000000  # of NumPy 2; its functions keep their places

# ---- functions on words --------------------------------------------------------------------------


def known_array(_: int, args: int, count: int) -> Any:
    """(tensor, whether it is shown to others): an array over its memory; None where that is left to
    Python.
    """
    if count != 2:
        return api.PyErr_BadArgument()
    tensor = word[args]
    made = 0
    address = data_of(tensor, 0)
    if address != 0:
        made = array_over(tensor, storage_at_hand(tensor), address)
    if made == 0:
        return new_reference(given.NONE)
    if word[args + 8] == given.TRUE:
        put(storage_at_hand(tensor) + at.STORAGE_EXPOSED, given.TRUE)
    return made


def array_over(tensor: int, storage: int, address: int) -> Any:
    """An array of the elements at an address, which holds the owner of their memory; 0 where that
    is not known.
    """
    meta = word[tensor + at.HANDLE__META]
    dtype = word[meta + at.META_DTYPE]
    owner = word[word[storage + at.STORAGE_BUFFER] + at.BUFFER_OWNER]
    start = word[word[storage + at.STORAGE_BUFFER] + at.BUFFER_START]
    if (
        api.PyLong_AsLongLong(start) < 0
        or word[storage + at.STORAGE_READERS] != given.EMPTY
        or word[meta + at.META_NUMEL] == given.ZERO
        or dtype == given.BFLOAT16
    ):
        return 0
    if word[owner + at.TYPE] == given.NDARRAY:
        kind = word[owner + at.NDARRAY_FLAGS] & (at.OWNS + at.WRITEABLE)
        if kind != at.OWNS + at.WRITEABLE:
            return 0
    elif word[owner + at.TYPE] != given.BYTEARRAY:
        return 0
    axes = word[word[meta + at.META_EXTENTS] + at.LENGTH]
    if axes > at.MOST_AXES or word[word[meta + at.META_STRIDES] + at.LENGTH] != axes:
        return 0
    itemsize = api.PyLong_AsLongLong(word[dtype + at.DTYPE_ITEMSIZE])
    end = 8 * axes
    place = 0
    while place != end:
        extent = word[word[meta + at.META_EXTENTS] + at.FIRST_ELEMENT + place]
        stride = word[word[meta + at.META_STRIDES] + at.FIRST_ELEMENT + place]
        word[given.LAYOUT + place] = api.PyLong_AsLongLong(extent)
        word[given.LAYOUT + 8 * at.MOST_AXES + place] = api.PyLong_AsLongLong(stride) * itemsize
        place += 8
    kind = new_reference(word[dtype + at.DTYPE_NUMPY])  # the array's
    steps = given.LAYOUT + 8 * at.MOST_AXES
    made = call(
        given.NEW_ARRAY, given.NDARRAY, kind, axes, given.LAYOUT, steps, address, at.WRITEABLE, 0
    )
    if made == 0:
        api.PyErr_Clear()
        return 0
    word[made + at.NDARRAY_BASE] = new_reference(owner)
    return made


def known_number(_: int, args: int, count: int) -> Any:
    """(tensor): the Python number that its only element is; None where that is left to Python."""
    if count != 1:
        return api.PyErr_BadArgument()
    tensor = word[args]
    address = data_of(tensor, 0)
    if address == 0 or word[word[tensor + at.HANDLE__META] + at.META_NUMEL] != given.ONE:
        return new_reference(given.NONE)
    dtype = word[word[tensor + at.HANDLE__META] + at.META_DTYPE]
    if dtype == given.FLOAT32:
        return api.PyFloat_FromDouble(single[address])
    if dtype == given.FLOAT64:
        return api.PyFloat_FromDouble(word[address])
    if dtype == given.INT64:
        return api.PyLong_FromLongLong(word[address])
    if dtype == given.INT32:
        return api.PyLong_FromLongLong(int32[address])
    if dtype == given.TRUTH:
        if byte[address] != 0:
            return new_reference(given.TRUE)
        return new_reference(given.FALSE)
    return new_reference(given.NONE)


# ---- what they are given -------------------------------------------------------------------------


def array_maker() -> int:
    """The address of NumPy's PyArray_NewFromDescr. Unknown where it does not what it should."""
    try:
        capsule = import_module("numpy._core._multiarray_umath")._ARRAY_API
    except (ImportError, AttributeError):
        raise words.Unknown from None
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = pointer(capsule, None)
    version, maker = words.word(table), words.word(table + 8 * 94)
    if ctypes.PYFUNCTYPE(ctypes.c_uint)(version)() != ABI:
        raise words.Unknown
    thing, number, place = ctypes.py_object, ctypes.c_int, ctypes.c_void_p
    make = ctypes.PYFUNCTYPE(thing, thing, thing, number, place, place, place, number, place)(maker)
    data, layout = np.arange(6, dtype=np.int32), np.array([2, 3, 4, 8], np.int64)
    kind = np.dtype(np.int32)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kind))
    where = address_of(layout)
    made = make(np.ndarray, kind, 2, where, where + 16, address_of(data), WRITEABLE, None)
    if made.tolist() != [[0, 2, 4], [1, 3, 5]] or not made.flags.writeable or made.flags.owndata:
        raise words.Unknown
    return maker


ENTRIES = known_array, known_number
INLINED = (array_over,)
