"""An extent of a shape as a native call: `x.shape[0]`.

`Size` is a tuple whose slices are such tuples again, so its `__getitem__` is a method of its own,
in which calling that of tuples takes most of the time. What is no place in the tuple goes there.
"""

from __future__ import annotations

from typing import Any

from flambeau.core.size import Size
from flambeau.execute.cpu.entrances import builtins
from flambeau.execute.cpu.references import new_reference, release
from flambeau.execute.cpu.word_functions import api, at, given, word
from flambeau.record import words

# ---- functions on words --------------------------------------------------------------------------


def __getitem__(size: int, args: int, count: int) -> Any:
    if count != 1:
        return api.PyErr_BadArgument()
    key = word[args]
    if word[key + at.TYPE] == given.INT:
        place = api.PyLong_AsLongLong(key)
        length = word[size + at.LENGTH]
        if place == -1 and api.PyErr_Occurred() != 0:
            api.PyErr_Clear()
            place = length  # it is larger than that
        elif place < 0:
            place += length
        if place >= 0 and place < length:
            return new_reference(word[size + at.FIRST_ELEMENT + 8 * place])
    operands = api.PyTuple_New(2)
    if operands == 0:
        return 0
    word[operands + at.FIRST_ELEMENT] = new_reference(size)
    word[operands + at.FIRST_ELEMENT + 8] = new_reference(key)
    found = api.PyObject_Call(given.BY_PYTHON, operands, 0)
    release(operands)
    return found


# ---- what they are given -------------------------------------------------------------------------

BY_PYTHON: Any = Size.__getitem__


def begin() -> None:
    """From now on shapes are asked so, where the interpreter has such calls."""
    if not words.known():
        return
    try:
        numbers = words.numbers()
    except words.Unknown:
        return
    given = words.addresses(BY_PYTHON=BY_PYTHON)
    found = builtins((__getitem__,), (new_reference, release), numbers, given, owner=Size)
    if found is not None:
        Size.__getitem__ = found[0]  # type: ignore[method-assign]
