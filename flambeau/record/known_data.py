"""What a kernel says of, or writes to, tensors that hold their data, as native calls.

Note: what they rely on
    The tensors hold data that nothing pending has to do with, and are not as a tensor that Python
    has to look at (see `known_views`). `known_write` does what `functional.plain_data` asks before
    it writes, and counts the write; nothing of Python's runs in between.
"""

from __future__ import annotations

from typing import Any

from flambeau.execute.cpu.references import new_reference, release
from flambeau.execute.cpu.word_functions import api, at, call, given, word
from flambeau.record.known_ops import family_of, offset_of
from flambeau.record.known_views import storage_at_hand, untouched_data

# ---- functions on words --------------------------------------------------------------------------


def known_answer(_: int, args: int, count: int) -> Any:
    """(kernel, recording, words, number, tensor, or two of them): the number that a kernel gives
    for them; None where that is left to Python.
    """
    if count != 5 and count != 6:
        return api.PyErr_BadArgument()
    first = data_of(word[args + 32], word[args + 8])
    second = first
    if count == 6:
        second = data_of(word[args + 40], word[args + 8])
    if first == 0 or second == 0:
        return new_reference(given.NONE)
    return api.PyLong_FromLongLong(asked(args, first, second))


def known_write(_: int, args: int, count: int) -> Any:
    """(kernel, recording, words, number, tensor, distance, or also another tensor): whether a
    kernel has written to the first from so many elements on; None where that is left to Python.
    """
    if count != 6 and count != 7:
        return api.PyErr_BadArgument()
    target = word[args + 32]
    first = data_of(target, word[args + 8])
    second = first
    if count == 7:
        second = data_of(word[args + 48], word[args + 8])
    if first == 0 or second == 0 or not free_to_write(target):
        return new_reference(given.NONE)
    storage = storage_at_hand(target)
    if count == 7 and not apart(storage, word[args + 48]):
        return new_reference(given.NONE)
    version = counted_up(word[storage + at.STORAGE_VERSION])
    if version == 0:
        return new_reference(given.NONE)
    dtype = word[word[target + at.HANDLE__META] + at.META_DTYPE]
    distance = api.PyLong_AsLongLong(word[args + 40])
    first += distance * api.PyLong_AsLongLong(word[dtype + at.DTYPE_ITEMSIZE])
    asked(args, first, second)
    release(word[storage + at.STORAGE_VERSION])
    word[storage + at.STORAGE_VERSION] = version
    return new_reference(given.TRUE)


def apart(storage: int, source: int) -> Any:
    """Whether what is read to be written there has memory of its own, and no gradient."""
    other = storage_at_hand(source)
    foreign = word[storage + at.STORAGE_FOREIGN]
    return (
        other != storage
        and (foreign == given.NONE or word[other + at.STORAGE_FOREIGN] == given.NONE)
        and word[word[source + at.HANDLE__META] + at.META_REQUIRES_GRAD] == given.FALSE
    )


def asked(args: int, first: int, second: int) -> Any:
    kernel = api.PyLong_AsVoidPtr(word[args])
    words = api.PyLong_AsVoidPtr(word[args + 16])
    number = api.PyLong_AsLongLong(word[args + 24])
    word[given.ADDRESSES] = first
    word[given.ADDRESSES + 8] = second
    return call(kernel, given.ADDRESSES, words, number)


def counted_up(version: int) -> Any:
    """A Python number, and 1; 0 where that cannot be computed."""
    before = api.PyLong_AsLongLong(version)
    made = 0
    if before != -1:
        made = api.PyLong_FromLongLong(before + 1)
    if made == 0:
        api.PyErr_Clear()
    return made


def data_of(tensor: int, rec: int) -> Any:
    """The address of the first element of a tensor that holds its data; 0 where that may not be
    known.
    """
    if not untouched_data(tensor, rec):
        return 0
    buffer = word[storage_at_hand(tensor) + at.STORAGE_BUFFER]
    if buffer == 0:
        return 0  # it gets its memory when Python asks for that (`flambeau.record.late`)
    address = api.PyLong_AsVoidPtr(word[buffer + at.BUFFER_ADDRESS])
    offset = offset_of(tensor)
    if offset != 0:
        dtype = word[word[tensor + at.HANDLE__META] + at.META_DTYPE]
        address += offset * api.PyLong_AsLongLong(word[dtype + at.DTYPE_ITEMSIZE])
    return address


def free_to_write(tensor: int) -> Any:
    """Whether autograd does not watch what is written to a tensor that holds its data, and nobody
    reads it as what an earlier program has saved.
    """
    meta = word[tensor + at.HANDLE__META]
    if (
        word[meta + at.META_REQUIRES_GRAD] != given.FALSE
        or word[meta + at.META_SILENT] != given.FALSE
        or word[storage_at_hand(tensor) + at.STORAGE_READERS] != given.EMPTY
    ):
        return 0
    family = family_of(tensor)
    if family == given.NONE:
        return 1
    return (
        word[family + at.FAMILY_FRAME] == given.NONE and word[family + at.FAMILY_LEAF] == given.NONE
    )


ENTRIES = known_answer, known_write
INLINED = apart, asked, counted_up, data_of, free_to_write
