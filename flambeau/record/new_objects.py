"""Families and storages that native code makes (see `flambeau.execute.cpu.word_functions`).

Their memory is a `bytearray`: one call of the interpreter, and it is shown to NumPy as an array
would be.
"""

from __future__ import annotations

from typing import Any

from flambeau.execute.cpu.references import new_reference, release
from flambeau.execute.cpu.word_functions import api, at, given, word


def new_family(pattern: int, tensor: int) -> Any:
    """A family of one tensor, with slots as a pattern (their places and contents, up to place 0)
    says; a content of 0 stands for a weak reference to the tensor, -1 for a list of that.
    """
    family = api.PyType_GenericAlloc(given.FAMILY, 0)
    members = api.PyList_New(1)
    reference = api.PyWeakref_NewRef(tensor, 0)
    if family == 0 or members == 0 or reference == 0:
        release(family)
        release(members)
        release(reference)
        return 0
    word[word[members + at.ITEMS]] = reference  # the list's from now on
    while word[pattern] != 0:
        content = word[pattern + 8]
        if content == 0:
            content = reference
        if content == -1:
            content = members
        word[family + word[pattern]] = new_reference(content)
        pattern += 16
    release(members)  # the family's
    return family


def new_storage(nbytes: int) -> Any:
    """A storage with memory of its own, aligned to 64 bytes, of which all words can be written; 0
    where there is no memory.
    """
    owner = api.PyByteArray_FromStringAndSize(0, nbytes + 72)
    if owner == 0:
        return 0
    address = api.PyByteArray_AsString(owner)
    start = (0 - address) & 63
    size = api.PyLong_FromLongLong(nbytes)
    storage = storage_of(owner, address + start, start, size)
    release(size)
    release(owner)
    return storage


def storage_of(owner: int, address: int, start: int, size: int) -> Any:
    """A storage of `size` (a number of Python's) bytes at an address, which begin at byte `start`
    of `owner`; 0 where there is no memory.
    """
    buffer = api.PyType_GenericAlloc(given.BUFFER, 0)
    storage = api.PyType_GenericAlloc(given.STORAGE, 0)
    place = api.PyLong_FromLongLong(address)
    first = api.PyLong_FromLongLong(start)
    if buffer == 0 or storage == 0 or place == 0 or first == 0 or size == 0:
        release(buffer)
        release(storage)
        release(place)
        release(first)
        return 0
    word[buffer + at.BUFFER_OWNER] = new_reference(owner)
    word[buffer + at.BUFFER_ADDRESS] = place
    word[buffer + at.BUFFER_NBYTES] = new_reference(size)
    word[buffer + at.BUFFER_START] = first
    word[storage + at.STORAGE_BUFFER] = buffer
    without_memory(storage)
    return storage


def without_memory(storage: int) -> Any:
    """Fills the words of a new storage, but for its memory."""
    word[storage + at.STORAGE_VERSION] = new_reference(given.ZERO)
    word[storage + at.STORAGE_SILENT] = new_reference(given.ZERO)
    word[storage + at.STORAGE_EXPOSED] = new_reference(given.FALSE)
    word[storage + at.STORAGE_FOREIGN] = new_reference(given.NONE)
    word[storage + at.STORAGE_RECORDING] = new_reference(given.NONE)
    word[storage + at.STORAGE_READERS] = new_reference(given.EMPTY)
    word[storage + at.STORAGE_BASE] = new_reference(given.MINUS_ONE)
    word[storage + at.STORAGE_DTYPE] = new_reference(given.NONE)
    word[storage + at.STORAGE_OFFSET] = new_reference(given.ZERO)
    return 0
