"""Tensors over memory of their own as native calls: nothing is recorded."""

from __future__ import annotations

import array
from typing import Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu.references import answered, new_reference, release
from flambeau.execute.cpu.word_functions import api, at, given, word
from flambeau.record import words
from flambeau.record.known_views import new_alias
from flambeau.record.new_objects import new_storage, storage_of, without_memory

# ---- functions on words --------------------------------------------------------------------------


def known_fresh(_: int, args: int, count: int) -> Any:
    """(meta, bytes, 8 bytes or None): a tensor over new memory, filled with these; None where that
    is left to Python.
    """
    if count != 3:
        return api.PyErr_BadArgument()
    nbytes = api.PyLong_AsLongLong(word[args + 8])
    collecting = api.PyGC_Disable()
    made = 0
    storage = new_storage(nbytes)
    if storage != 0:
        if word[args + 16] != given.NONE:
            fill(storage, nbytes, api.PyLong_AsLongLong(word[args + 16]))
        made = new_alias(storage, word[args], given.ZERO, 0)
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
    made = 0
    storage = storage_of(owner, address, 0, word[args + 16])
    if storage != 0:
        if word[args + 24] != given.FALSE:
            release(word[storage + at.STORAGE_EXPOSED])
            word[storage + at.STORAGE_EXPOSED] = new_reference(given.TRUE)
            release(word[storage + at.STORAGE_FOREIGN])
            word[storage + at.STORAGE_FOREIGN] = new_reference(owner)
        made = new_alias(storage, word[args], given.ZERO, 0)
        release(storage)  # the tensor's
    if made == 0:
        api.PyErr_Clear()
    return answered(made, collecting)


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
    """Where arrays have the address of their elements. Unknown where it is not found."""
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
    return found


ENTRIES = known_fresh, known_over
INLINED = new_storage, storage_of, without_memory, fill
