"""References to Python objects in functions on words (see `word_functions`): what several share."""

from __future__ import annotations

from typing import Any

from flambeau.execute.cpu.word_functions import api, at, word


def failed(number: int) -> Any:
    """Whether 0 stands for an exception."""
    return number == 0 and api.PyErr_Occurred() != 0


def item(sequence: int, number: int) -> Any:
    return word[word[sequence + at.ITEMS] + 8 * number]


def put(place: int, thing: int) -> Any:
    release(replaced(place, thing))
    return 0


def replaced(place: int, thing: int) -> Any:
    """Writes an object to a place; what was there, whose reference is the caller's now."""
    before = word[place]
    word[place] = new_reference(thing)
    return before


def new_reference(thing: int) -> Any:
    if word[thing] & at.IMMORTAL == 0:
        word[thing] += 1
    return thing


def release(thing: int) -> Any:
    if thing != 0 and word[thing] & at.IMMORTAL == 0:
        word[thing] -= 1
        if word[thing] == 0:
            api._Py_Dealloc(thing)
    return 0


def values_of(thing: int) -> Any:
    """Where the values of an object's attributes are, in the order of its class; 0 where they are
    not together. The class has no values behind its instances (see `flambeau.core.cpython`).
    """
    found = word[thing + at.DICT]
    if found & at.TAG != 0:
        return found + at.TAG
    if found == 0:
        if at.VALUES != 0:
            found = word[thing + at.VALUES]
        return found
    found = word[found + at.SPLIT]
    if found != 0:
        found += at.FIRST_VALUE
    return found


SHARED = (failed, item, put, replaced, new_reference, release, values_of)
