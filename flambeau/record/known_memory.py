"""Tensors over memory of their own as native calls: nothing is recorded."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu.references import answered, found_in, new_reference, release
from flambeau.execute.cpu.word_functions import api, at, given, int32, word
from flambeau.record import words
from flambeau.record.known_views import new_alias
from flambeau.record.new_objects import new_storage, storage_of, without_memory

# ---- functions on words --------------------------------------------------------------------------


def known_fresh(_: int, args: int, count: int) -> Any:
    """(meta, 8 bytes or None): a tensor over new memory, filled with these; None where that is left
    to Python.
    """
    if count != 2:
        return api.PyErr_BadArgument()
    meta = word[args]
    nbytes = api.PyLong_AsLongLong(word[meta + at.META_NUMEL])
    if nbytes > at.MOST_BYTES:
        return new_reference(given.NONE)
    nbytes *= api.PyLong_AsLongLong(word[word[meta + at.META_DTYPE] + at.DTYPE_ITEMSIZE])
    if nbytes > at.MOST_BYTES:
        return new_reference(given.NONE)
    collecting = api.PyGC_Disable()
    made = 0
    storage = new_storage(nbytes)
    if storage != 0:
        if word[args + 8] != given.NONE:
            fill(storage, nbytes, api.PyLong_AsLongLong(word[args + 8]))
        made = new_alias(storage, meta, given.ZERO, 0)
        release(storage)  # the tensor's
    if made == 0:
        api.PyErr_Clear()
    return answered(made, collecting)


def known_over(_: int, args: int, count: int) -> Any:
    """(meta, array, bytes, exposed): a tensor over the memory of an array of NumPy's or of the
    module `array`, which stays that of others, too, where it is `exposed`; None where that is left
    to Python.
    """
    if count != 4:
        return api.PyErr_BadArgument()
    owner = word[args + 8]
    address = 0
    if word[owner + at.TYPE] == given.NDARRAY:
        address = word[owner + at.NDARRAY_DATA]
    if word[owner + at.TYPE] == given.ARRAY:
        address = word[owner + at.ARRAY_DATA]
    if address == 0:
        return new_reference(given.NONE)
    collecting = api.PyGC_Disable()
    shown = word[args + 24] != given.FALSE
    return answered(laid_over(word[args], owner, address, word[args + 16], shown), collecting)


def known_adopted(_: int, args: int, count: int) -> Any:
    """(array, table): a tensor over the memory of an array of NumPy's that can be written and is
    row-major, which stays that of others, too; the table has (meta, bytes) under (type, extents..).
    None where that is left to Python.
    """
    if count != 2:
        return api.PyErr_BadArgument()
    array = word[args]
    if (
        word[array + at.TYPE] != given.NDARRAY
        or word[array + at.NDARRAY_FLAGS] & at.ROW_MAJOR != at.ROW_MAJOR
    ):
        return new_reference(given.NONE)
    collecting = api.PyGC_Disable()
    made = 0
    found = kind_of(array, word[args + 8])
    if found != 0:
        address = word[array + at.NDARRAY_DATA]
        nbytes = word[found + at.FIRST_ELEMENT + 8]
        made = laid_over(word[found + at.FIRST_ELEMENT], array, address, nbytes, 1)
    return answered(made, collecting)


def kind_of(array: int, table: int) -> Any:
    """What a table has for the type and the extents of an array, borrowed; 0 where that is nothing,
    or the strides of a part of an array may be others.
    """
    axes = int32[array + at.NDARRAY_AXES]
    key = api.PyTuple_New(axes + 1)
    if key == 0:
        api.PyErr_Clear()
        return 0
    word[key + at.FIRST_ELEMENT] = new_reference(word[array + at.NDARRAY_KIND])
    extents = word[array + at.NDARRAY_EXTENTS]
    place = 0
    while place != 8 * axes:
        extent = 0
        if word[extents + place] != 1 or word[array + at.NDARRAY_BASE] == 0:
            extent = api.PyLong_FromLongLong(word[extents + place])
        if extent == 0:
            api.PyErr_Clear()
            release(key)
            return 0
        word[key + at.FIRST_ELEMENT + 8 + place] = extent
        place += 8
    found = found_in(table, key)
    release(key)
    return found


def laid_over(meta: int, owner: int, address: int, nbytes: int, shown: int) -> Any:
    """A tensor over so many bytes from an address on; 0 where there is no memory."""
    storage = storage_of(owner, address, 0, nbytes)
    if storage == 0:
        api.PyErr_Clear()
        return 0
    if shown:
        release(word[storage + at.STORAGE_EXPOSED])
        word[storage + at.STORAGE_EXPOSED] = new_reference(given.TRUE)
        release(word[storage + at.STORAGE_FOREIGN])
        word[storage + at.STORAGE_FOREIGN] = new_reference(owner)
    made = new_alias(storage, meta, given.ZERO, 0)
    release(storage)  # the tensor's
    return made


def fill(storage: int, nbytes: int, value: int) -> Any:
    """Writes words to the memory of a storage, up to the one that has its last byte."""
    place = api.PyLong_AsLongLong(word[word[storage + at.STORAGE_BUFFER] + at.BUFFER_ADDRESS])
    end = place + nbytes
    while place < end:
        word[place] = value
        place += 8
    return 0


# ---- what they are given -------------------------------------------------------------------------


def data_places() -> dict[str, int]:
    """Where arrays have the address of their elements and, those of NumPy, what they are. Unknown
    where that is not found.
    """
    found = {}
    shown = np.arange(3, dtype=np.int64)
    packed = array.array("q", [1, 2, 3])
    known = {
        "NDARRAY_DATA": (shown, address_of(shown)),
        "ARRAY_DATA": (packed, packed.buffer_info()[0]),
    }
    for name, (thing, address) in known.items():
        size = type(thing).__basicsize__
        places = [n for n in range(16, size, 8) if words.word(id(thing) + n) == address]
        if len(places) != 1:
            raise words.Unknown
        found[name] = places[0]
    return found | _array_places()


def _array_places() -> dict[str, int]:
    """The same of the other parts of NumPy's arrays."""
    whole = np.arange(6, dtype=np.int64)
    still = np.zeros((3, 4, 5), np.int16)[::2, 1:]
    still.flags.writeable = False
    probes = (whole, whole[1:], whole.reshape(2, 3), still)
    wanted: dict[str, Callable[[Any, int], bool]] = {
        "BASE": lambda a, n: words.word(id(a) + n) == (0 if a.base is None else id(a.base)),
        "FLAGS": lambda a, n: words.word(id(a) + n) & 0xFFFFFFFF == a.flags.num,
        "AXES": lambda a, n: words.word(id(a) + n) & 0xFFFFFFFF == a.ndim,
        "KIND": lambda a, n: words.word(id(a) + n) == id(a.dtype),
        # (Strides lie behind the extents.)
        "EXTENTS": lambda a, n: words.word(id(a) + n) + 8 * a.ndim == words.word(id(a) + n + 8),
    }
    found = {}
    for name, right in wanted.items():
        places = range(16, np.ndarray.__basicsize__ - 8, 8)
        fitting = [n for n in places if all(right(a, n) for a in probes)]
        if len(fitting) != 1:
            raise words.Unknown
        found["NDARRAY_" + name] = fitting[0]
    for probe in probes:
        first = words.word(id(probe) + found["NDARRAY_EXTENTS"])
        if [words.word(first + 8 * axis) for axis in range(probe.ndim)] != list(probe.shape):
            raise words.Unknown
    return found


MOST_BYTES = 1 << 15  # of new memory that is made natively
ROW_MAJOR = 0x401  # flags of arrays: that, and that they can be written
ENTRIES = known_fresh, known_over, known_adopted
INLINED = new_storage, storage_of, without_memory, fill, kind_of, laid_over
