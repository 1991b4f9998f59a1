"""Where CPython keeps what Python code can read: words of memory that say that it is as it was.

"`thing.name` is `value`" is a few pairs (address, 8 bytes) here: as long as each address still has
its word, the statement is true. A pair may rest on those before it (the memory of a dictionary's
entries belongs to it only while it says so), so they are looked at in order, up to the first that
differs. All objects in question must be held by whoever keeps the pairs: no other object then has
their addresses.

The layout is that of CPython 3.11 and is tried out before it is used (`known`); where it is another
one, there are no words, and what they would say is asked in Python.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
import sys
import types
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from flambeau.execute.cpu.entrances import Entrances

Pairs = list[tuple[int, int]]

TYPE = 8  # bytes from an object to its class; its reference count comes first
DICT, VALUES = -24, -32  # to its dictionary (0: none was asked for) and the values of attributes
MANAGED = 1 << 4  # flag of classes whose instances have these two
USED, KEYS, SPLIT = 16, 32, 40  # in a dictionary: its length, its keys, values apart from them
SIZES, ENTRIES, FIRST = 8, 24, 32  # in its keys: a word of sizes, how many entries, their index
GENERAL = 0  # the kind of keys that are not all strings
LENGTH, ITEMS = 16, 24  # in a list
FIRST_ELEMENT = 24  # in a tuple: the address of an element, and on
FLOAT_VALUE = 16
NEW = 312  # in a class
CONTENT = 16  # in a cell, and in the proxy of a class's dictionary


class Unknown(Exception):
    """What is not found where it is looked for."""


class Table:
    """Pairs in memory, as `first_moved` takes them: from `first` to `end`."""

    __slots__ = ("array", "end", "first")

    def __init__(self, pairs: Pairs) -> None:
        self.array: Any = np.array(pairs, np.int64)
        self.first: int = self.array.__array_interface__["data"][0]
        self.end = self.first + self.array.nbytes


def native() -> Entrances | None:
    """The native functions that look at words; None where nothing is known of the layout."""
    if not known():
        return None
    from flambeau.execute.cpu.entrances import entrances

    return entrances()


def word(address: int) -> int:
    """The 8 bytes at an address."""
    return ctypes.c_int64.from_address(address).value


def object_at(address: int) -> Any:
    return ctypes.cast(address, ctypes.py_object).value


def held(thing: Any, holders: int) -> Pairs:
    """That so many references to it exist."""
    return [(id(thing), holders)]


def attribute(thing: Any, name: str, value: Any) -> Pairs:
    """That its slot or instance attribute is `value` (or not there, where the class has that).

    Unknown where that is not so, or stands elsewhere.
    """
    cls: Any = type(thing)
    offset = slot_of(cls, name)
    if offset:
        return [_is(id(thing) + offset, value)]
    if not cls.__flags__ & MANAGED:
        raise Unknown
    place = id(thing)
    own = word(place + DICT)
    if own:
        with contextlib.suppress(Unknown):
            place_of_value(cls, name)  # it is among the keys that instances share from now on
        return [(place + DICT, own), *item(object_at(own), name, value, cls)]
    values = word(place + VALUES)
    at = values + 8 * place_of_value(cls, name)
    there = [(place + DICT, 0), (place + VALUES, values)]
    return [*there, _absent(at, cls, name, value) if word(at) == 0 else _is(at, value)]


def empty_slot(thing: Any, name: str) -> Pairs:
    """That its slot has nothing in it. Unknown where that is not so."""
    cls: Any = type(thing)
    offset = slot_of(cls, name)
    if not offset or word(id(thing) + offset):
        raise Unknown
    return [(id(thing) + offset, 0)]


def dictionary_of(thing: Any) -> Pairs:
    """That its instance dictionary is the one it is now."""
    if not type(thing).__flags__ & MANAGED or word(id(thing) + DICT) != id(thing.__dict__):
        raise Unknown
    return [(id(thing) + DICT, id(thing.__dict__))]


def item(mapping: Any, key: Any, value: Any, cls: Any = None) -> Pairs:
    """That a dictionary has `value` for a key (or not the key, where the class has that value)."""
    if type(mapping) is types.MappingProxyType:
        mapping = object_at(word(id(mapping) + CONTENT))
    if type(mapping) is not dict:
        raise Unknown
    entries = _entries(mapping)
    for number, (entry, found) in enumerate(entries):
        if found == id(key) or (found and type(key) is str and object_at(found) == key):
            return _item(mapping, number, entry, value, key, cls)
    if cls is None or getattr(cls, key, Unknown) is not value:
        raise Unknown
    keys, split = word(id(mapping) + KEYS), word(id(mapping) + SPLIT)
    there = [(id(mapping) + KEYS, keys), (id(mapping) + SPLIT, split)]
    there += [(keys + SIZES, word(keys + SIZES)), (keys + ENTRIES, len(entries))]
    return there + entries  # all keys that there are


def _item(mapping: Any, number: int, entry: int, value: Any, key: Any, cls: Any = None) -> Pairs:
    place = id(mapping)
    keys, split = word(place + KEYS), word(place + SPLIT)
    there = [(place + KEYS, keys), (place + SPLIT, split)]
    if not split:
        sizes = (keys + SIZES, word(keys + SIZES))
        return [*there, sizes, (entry, word(entry)), _is(entry + 8, value)]
    at = split + 8 * number
    return [*there, _absent(at, cls, key, value) if word(at) == 0 else _is(at, value)]


def length(mapping: Any) -> Pairs:
    """That a dictionary has as many keys as now."""
    if type(mapping) is not dict or word(id(mapping) + USED) != len(mapping):
        raise Unknown
    return [(id(mapping) + USED, len(mapping))]


def items(mapping: Any, keys: list[Any], values: list[Any]) -> Pairs:
    """That these are a dictionary's keys and values."""
    found = length(mapping)
    entries = {key: (number, entry) for number, (entry, key) in enumerate(_entries(mapping))}
    if len(keys) != len(mapping):
        raise Unknown
    for key, value in zip(keys, values):
        if id(key) not in entries:
            raise Unknown
        pairs = _item(mapping, *entries[id(key)], value, key)
        found += pairs if len(found) == 1 else pairs[-2 if len(pairs) > 3 else -1 :]
    return found


def elements(sequence: Any, values: list[Any]) -> Pairs:
    """That a list has these elements."""
    place = id(sequence)
    if type(sequence) is not list or word(place + LENGTH) != len(values):
        raise Unknown
    start = word(place + ITEMS)
    found = [(place + LENGTH, len(values)), (place + ITEMS, start)]
    return found + [_is(start + 8 * number, value) for number, value in enumerate(values)]


def element(sequence: Any, number: int, value: Any) -> Pairs:
    """That a list as long as now has this element."""
    place = id(sequence)
    if type(sequence) is not list or word(place + LENGTH) != len(sequence):
        raise Unknown
    start = word(place + ITEMS)
    found = [(place + LENGTH, len(sequence)), (place + ITEMS, start)]
    return [*found, _is(start + 8 * number, value)]


def content(cell: types.CellType, value: Any) -> Pairs:
    """That a cell of a closure has this content."""
    return [_is(id(cell) + CONTENT, value)]


def _is(address: int, value: Any) -> tuple[int, int]:
    if word(address) != id(value):
        raise Unknown
    return address, id(value)


def _absent(address: int, cls: Any, name: str, value: Any) -> tuple[int, int]:
    if cls is None or getattr(cls, name, Unknown) is not value:
        raise Unknown
    return address, 0


def _entries(mapping: Any) -> list[tuple[int, int]]:
    """A dictionary's entries in order: where each lies, and its key's address (0: taken out)."""
    keys = word(id(mapping) + KEYS)
    sizes = word(keys + SIZES).to_bytes(8, "little", signed=True)
    index_bytes, kind = sizes[1], sizes[2]
    size, before = (24, 8) if kind == GENERAL else (16, 0)
    start = keys + FIRST + (1 << index_bytes) + before
    entries = [start + number * size for number in range(word(keys + ENTRIES))]
    return [(entry, word(entry)) for entry in entries]


def _probe(cls: Any, name: str) -> tuple[Any, Any]:
    """An instance whose attribute has a value that nothing else has, and that value."""
    mark = object()
    try:
        probe = object.__new__(cls)
        object.__setattr__(probe, name, mark)
    except (TypeError, AttributeError):
        raise Unknown from None
    return probe, mark


@cache
def slot_of(cls: Any, name: str) -> int:
    """Where a slot of the class lies in its instances; 0 where the name is none."""
    for kind in cls.__mro__:
        if name in kind.__dict__:
            if not isinstance(kind.__dict__[name], types.MemberDescriptorType):
                break
            probe, mark = _probe(kind, name)
            for offset in range(16, kind.__basicsize__, 8):
                if word(id(probe) + offset) == id(mark):
                    return offset
            break
    return 0


@cache
def place_of_value(cls: Any, name: str) -> int:
    """The number of an attribute among the values of instances. These share their keys, which are
    only added to.
    """
    probe, mark = _probe(cls, name)
    values = word(id(probe) + VALUES)
    if word(id(probe) + DICT) or not values:
        raise Unknown  # the shared keys are full
    own = probe.__dict__
    if word(id(own) + SPLIT) == values:
        for number, (_, key) in enumerate(_entries(own)):
            if key and object_at(key) == name and word(values + 8 * number) == id(mark):
                return number
    raise Unknown


@cache
def maker() -> int:
    """The address of what `object.__new__` calls: a function of a class, a tuple of arguments and a
    dictionary (or none). Unknown where it is not found.
    """
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_void_p)
    address = word(id(object) + NEW)
    if address == 0 or word(id(_Probe) + NEW) != address or word(id(int) + NEW) == address:
        raise Unknown
    probe = make(address)(_Probe, (), None)
    probe.given = 3
    if type(probe) is not _Probe or probe.given != 3:
        raise Unknown
    return address


@cache
def known() -> bool:
    """Whether this interpreter has the layout that is written down here."""
    if (
        platform.python_implementation() != "CPython"
        or tuple(sys.version_info)[:2] != (3, 11)
        or ctypes.sizeof(ctypes.c_void_p) != 8
        or sys.byteorder != "little"
        or hasattr(sys, "gettotalrefcount")  # objects begin with other words
    ):
        return False
    try:
        return _tried()
    except Unknown:
        return False


class _Probe:
    __slots__ = ("__dict__", "slot")

    slot: Any
    given: Any = None


def _tried() -> bool:
    """Tries every kind of statement: it is made where it is true, and false after a change."""
    probe, second = _Probe(), object()
    first: Any = [object(), object()]
    plain: dict[Any, Any] = {"a": first, 1: first, second: second}
    words: dict[str, Any] = {"a": first, "b": second}
    (cell,) = (lambda: first).__closure__ or ()
    empty = empty_slot(probe, "slot")
    probe.slot, kind = first, vars(_Probe)
    holders = sys.getrefcount(first) - 1
    counted = held(first, holders)
    right = _hold(counted)
    also = [first]
    right = right and not _hold(counted) and also[0] is first and not _hold(empty)
    made = [
        attribute(probe, "slot", first),
        attribute(probe, "given", None),
        items(plain, list(plain), list(plain.values())),
        items(words, list(words), list(words.values())),
        elements(first, list(first)),
        content(cell, first),
        item(kind, "given", None),
    ]
    right = right and all(map(_hold, made))
    probe.slot = probe.given = plain[1] = words["b"] = _Probe.given = 5
    first[1] = 5
    right = right and not any(map(_hold, [*made[:5], made[6]]))
    _Probe.given = None
    values = [attribute(probe, "given", 5)]
    own = probe.__dict__  # from now on the values are a dictionary's
    values += [attribute(probe, "given", 5), dictionary_of(probe), length(own)]
    right = right and not _hold(values[0]) and all(map(_hold, values[1:]))
    own["given"] = own["other"] = first
    right = right and not _hold(values[1]) and _hold(values[2]) and not _hold(values[3])
    probe.__dict__ = {}
    first = []
    return right and not _hold(values[2]) and not _hold(made[5])


def _hold(pairs: Pairs) -> bool:
    return all(word(address) == expected for address, expected in pairs)
