"""References to Python objects in functions on words (see `word_functions`): what several share."""

from __future__ import annotations

from typing import Any

from flambeau.execute.cpu.word_functions import api, at, given, word


def failed(number: int) -> Any:
    """Whether 0 stands for an exception."""
    return number == 0 and api.PyErr_Occurred() != 0


def answered(made: int, collecting: int) -> Any:
    """What a native call gives, or None for 0; the collector is on again where it was."""
    if collecting:
        api.PyGC_Enable()
    if made == 0:
        made = new_reference(given.NONE)
    return made


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
    not together (see `flambeau.core.cpython`). BEHIND: from an object to the word before those that
    follow it; 0 where none do.
    """
    found = word[thing + at.DICT]
    if found & at.TAG != 0:
        return found + at.TAG
    if found == 0:
        if at.VALUES != 0:
            found = word[thing + at.VALUES]
        elif at.BEHIND and word[thing + at.BEHIND] & at.VALID != 0:
            found = thing + at.BEHIND + at.FIRST_VALUE
        return found
    found = word[found + at.SPLIT]
    if found != 0:
        found += at.FIRST_VALUE
    return found


def attributes_of(thing: int) -> Any:
    """What `attribute` finds an object's attributes in; 0 where that may not be known."""
    if at.LOOKUP:
        found = word[thing + at.DICT]
        if found != 0 and word[word[found + at.KEYS] + at.LOOKUP] == given.GENERAL_LOOKUP:
            found = 0  # its keys may be objects whose comparison calls Python code
        return found
    else:
        return values_of(thing)


def attribute(attributes: int, place: int, name: int) -> Any:
    """An attribute, borrowed: by its place among the values, or its name; 0 where it is none."""
    if at.LOOKUP:
        return found_in(attributes, name)
    else:
        return word[attributes + place]


def found_in(dictionary: int, key: int) -> Any:
    """What a dictionary has for a key; 0 where there is nothing, or where that cannot be asked."""
    found = api.PyDict_GetItemWithError(dictionary, key)
    if found == 0 and api.PyErr_Occurred() != 0:
        api.PyErr_Clear()
    return found


SHARED = (
    failed, answered, item, put, replaced, new_reference, release, values_of, attributes_of,
    attribute, found_in,
)  # fmt: skip
