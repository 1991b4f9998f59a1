"""Where CPython keeps what Python code can read: words of memory that say that it is as it was.

"`thing.name` is `value`" is a few pairs (address, 8 bytes) here: as long as each address still has
its word, the statement is true. A pair may rest on those before it (the memory of a dictionary's
entries belongs to it only while it says so), so they are looked at in order, up to the first that
differs. All objects in question must be held by whoever keeps the pairs: no other object then has
their addresses.

The layout is that of `flambeau.core.cpython` and is tried out before it is used (`known`); where it
is another one, there are no words, and what they would say is asked in Python.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import types
import weakref
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.cpython import (
    CONTENT,
    ITEMS,
    KEYS,
    LAYOUT,
    LENGTH,
    MANAGED,
    NEW,
    SPLIT,
    USED,
    Layout,
)

if TYPE_CHECKING:
    from flambeau.execute.cpu.entrances import Entrances

Pairs = list[tuple[int, int]]

GENERAL = 0  # the kind of keys that are not all strings


class Unknown(Exception):
    """What is not found where it is looked for."""


class Table:
    """Pairs in memory, as `first_moved` takes them: from `first` to `end`."""

    __slots__ = ("array", "end", "first")

    def __init__(self, pairs: Pairs) -> None:
        self.array: Any = np.array(pairs, np.int64)
        self.first = address_of(self.array)
        self.end = self.first + self.array.nbytes


def layout() -> Layout:
    """Where this interpreter keeps the parts of objects. Unknown where that is not known."""
    if LAYOUT is None:
        raise Unknown
    return LAYOUT


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


def no_weak_references(thing: Any) -> Pairs:
    """That there are none to it, as is so now."""
    at = id(thing) + type(thing).__weakrefoffset__
    if word(at) != 0:
        raise Unknown
    return [(at, 0)]


def attribute(thing: Any, name: str, value: Any) -> Pairs:
    """That its slot or instance attribute is `value` (or not there, where the class has that).

    Unknown where that is not so, or stands elsewhere.
    """
    cls: Any = type(thing)
    offset = slot_of(cls, name)
    if offset:
        return [_is(id(thing) + offset, value)]
    there, own, values = _attributes(thing)
    if own is not None:
        with contextlib.suppress(Unknown):
            place_of_value(cls, name)  # it is among the keys that instances share from now on
        return [*there, *item(own, name, value, cls)]
    if not values:
        if getattr(cls, name, Unknown) is not value:
            raise Unknown
        return there
    at = values + 8 * place_of_value(cls, name)
    return [*there, _absent(at, cls, name, value) if word(at) == 0 else _is(at, value)]


def _attributes(thing: Any) -> tuple[Pairs, Any, int]:
    """Where an instance has its attributes, and words that say so: its dictionary, or None and
    the address of their values (0: it has none).
    """
    cls = type(thing)
    where = layout()
    place = id(thing) + place_of_dictionary(cls)
    own = word(place)
    there = [(place, own)]
    if own & where.TAG:
        return there, None, own + where.TAG
    if own:
        return there, object_at(own), 0
    if where.VALUES:
        values = word(id(thing) + where.VALUES)
        return [*there, (id(thing) + where.VALUES, values)], None, values
    head = id(thing) + place_of_values(cls)
    if head != id(thing) and word(head) & where.VALID:
        return [*there, (head, word(head))], None, head + where.FIRST_VALUE
    return there, None, 0


def empty_slot(thing: Any, name: str) -> Pairs:
    """That its slot has nothing in it. Unknown where that is not so."""
    cls: Any = type(thing)
    offset = slot_of(cls, name)
    if not offset or word(id(thing) + offset):
        raise Unknown
    return [(id(thing) + offset, 0)]


def place_of_dictionary(cls: Any) -> int:
    """From instances to the word of their dictionary. Unknown where they have none."""
    place: int = layout().DICT
    if place == 0:
        place = cls.__dictoffset__
        if place > 0:
            return place
    elif cls.__flags__ & MANAGED:
        return place
    raise Unknown


def place_of_values(cls: Any) -> int:
    """From instances to the word before the values behind them; 0 where none are there."""
    place: int = cls.__basicsize__
    return place if layout().INLINE & cls.__flags__ else 0


def dictionary_of(thing: Any) -> Pairs:
    """That its instance dictionary is the one it is now."""
    place_of_dictionary(type(thing))
    own = thing.__dict__
    there, found, _ = _attributes(thing)
    if found is not own:
        raise Unknown
    return there


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
    where = layout()
    there += [(keys + place, word(keys + place)) for place in (where.SIZES, where.ENTRIES)]
    return there + entries  # all keys that there are


def _item(mapping: Any, number: int, entry: int, value: Any, key: Any, cls: Any = None) -> Pairs:
    place = id(mapping)
    keys, split = word(place + KEYS), word(place + SPLIT)
    there = [(place + KEYS, keys), (place + SPLIT, split)]
    if not split:
        sizes = keys + layout().SIZES
        return [*there, (sizes, word(sizes)), (entry, word(entry)), _is(entry + 8, value)]
    at = split + layout().FIRST_VALUE + 8 * number
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
    where = layout()
    size, before = 24, 8
    if where.LOOKUP:
        indices = word(keys + where.SIZES)
        index_bytes = indices * (1 if indices <= 0xFF else 2 if indices <= 0xFFFF else 4)
    else:
        sizes = word(keys + where.SIZES).to_bytes(8, "little", signed=True)
        index_bytes = 1 << sizes[1]
        if sizes[2] != GENERAL:
            size, before = 16, 0
    start = keys + where.FIRST + index_bytes + before
    entries = [start + number * size for number in range(word(keys + where.ENTRIES))]
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
    only added to. Unknown where they may not.
    """
    if layout().LOOKUP:
        raise Unknown
    probe, mark = _probe(cls, name)
    _, there, apart = _attributes(probe)
    own = probe.__dict__
    split = word(id(own) + SPLIT)
    values = split + layout().FIRST_VALUE
    if split and (there is own or values == apart):  # else the shared keys are full
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
    if address == 0 or word(id(_Slotted) + NEW) != address or word(id(int) + NEW) == address:
        raise Unknown
    probe = make(address)(_Slotted, (), None)
    probe.given = 3
    if type(probe) is not _Slotted or probe.given != 3:
        raise Unknown
    return address


# What native functions compare with; each module adds its own.
OBJECTS: dict[str, Any] = {
    "NONE": None,
    "TRUE": True,
    "FALSE": False,
    "EMPTY": (),
    "ZERO": 0,
    "LIST": list,
    "TUPLE": tuple,
    "INT": int,
    "BOOL": bool,
    "FLOAT": float,
}


def addresses(**objects: Any) -> dict[str, int]:
    """Where `OBJECTS` and these are, which the caller holds."""
    return {name: id(thing) for name, thing in (OBJECTS | objects).items()}


def numbers(*slots: tuple[Any, str, Iterable[str]]) -> dict[str, int]:
    """The numbers of all objects' layout, and of these slots: (class, title, names).

    Unknown where a class has no such slot.
    """
    found = {
        f"{title}_{name.upper()}": slot_of(cls, name)
        for cls, title, names in slots
        for name in names
    }
    if not all(found.values()):
        raise Unknown
    return found | layout().numbers()


def public(cls: Any) -> list[str]:
    """The slots of a class that do not begin with `_`."""
    return [name for name in cls.__slots__ if name[0] != "_"]


def lock_places(lock: Any) -> dict[str, int]:
    """Where a lock says how often its thread holds it. From 3.14 on it says which thread that is,
    and how often it holds it again. Unknown where it says something else.
    """
    moves = lock.acquire, lock.acquire, lock.release, lock.release
    places = range(16, type(lock).__basicsize__, 8)
    seen = [[word(id(lock) + place) for place in places]]
    for move in moves:
        move()
        seen.append([word(id(lock) + place) for place in places])
    found = dict(zip(zip(*seen), places))
    if (0, 1, 2, 1, 0) in found:
        return {"LOCKED": found[0, 1, 2, 1, 0], "LOCK_OWNER": 0}
    me = threading.get_ident()
    if (0, me, me, me, 0) in found and (0, 0, 1, 0, 0) in found:
        return {"LOCKED": found[0, 0, 1, 0, 0], "LOCK_OWNER": found[0, me, me, me, 0]}
    raise Unknown


def general_lookup() -> int:
    """What the word LOOKUP of a dictionary's keys is where not all of them are strings; 0 where the
    layout has none.
    """
    where = layout()
    mapping = {None: 0}
    return where.LOOKUP and word(word(id(mapping) + KEYS) + where.LOOKUP)


@cache
def known() -> bool:
    """Whether this interpreter has the layout that is written down here."""
    if LAYOUT is None:
        return False
    try:
        return _tried()
    except Unknown:
        return False


class _Slotted:
    """A probe with a slot, as tensors have them."""

    __slots__ = ("__dict__", "slot")

    slot: Any
    given: Any = None


class _Plain:
    """A probe without."""

    given: Any = None


def _tried() -> bool:
    """Tries every kind of statement: it is made where it is true, and false after a change. What is
    asked before is whether addresses are those that Python tells, which are not followed before.
    """
    probes = _Slotted, _Plain
    return (
        _counts_tried()
        and _dictionaries_tried()
        and all(map(_place_tried, probes))
        and all(map(_attributes_tried, probes))
        and _weak_references_tried()
        and _others_tried()
    )


def _dictionaries_tried() -> bool:
    where = layout()
    named: dict[Any, Any] = {"a": None, "b": 1}
    for mapping in (named, {None: 2, 5: 3, "a": 4}):
        keys = word(id(mapping) + KEYS)
        sizes = word(keys + where.SIZES) & 0xFFFF
        eight = 8 if where.LOOKUP else 0x0303  # places, in so many bytes
        if (
            dict.__basicsize__ != SPLIT + 8
            or word(id(mapping) + USED) != len(mapping)
            or word(keys + where.ENTRIES) != len(mapping)
            or sizes != eight
            or [key for _, key in _entries(mapping)] != list(map(id, mapping))
        ):
            return False
    return True


def _place_tried(cls: Any) -> bool:
    """Whether the word of the dictionary is where it is expected."""
    probe = cls()
    probe.given = 5
    own = probe.__dict__
    return word(id(probe) + place_of_dictionary(cls)) == id(own)


def _counts_tried() -> bool:
    first, second = object(), object()
    counted = held(first, 1)
    right = _hold(counted)
    also = [first]
    right = right and not _hold(counted) and also[0] is first
    immortal = layout().IMMORTAL
    # Holders come and go, and the count of an immortal object stays.
    count = word(id(None))
    many = [None] * 1000
    stays = word(id(None)) == count and len(many) == 1000
    return right and stays == bool(immortal) == bool(count & 1 << 31) and not word(id(second)) >> 31


def _attributes_tried(cls: Any) -> bool:
    probe = cls()
    first: Any = [object()]
    made = [attribute(probe, "given", None), item(vars(cls), "given", None)]
    right = True
    if cls is _Slotted:
        empty = empty_slot(probe, "slot")
        right = _hold(empty)
        probe.slot = first
        right = right and not _hold(empty)
        made.append(attribute(probe, "slot", first))
    right = right and all(map(_hold, made))
    probe.given = cls.given = probe.slot = 5
    right = right and not any(map(_hold, made))
    cls.given = None
    before = attribute(probe, "given", 5)
    right = right and _hold(before)
    own = probe.__dict__  # from now on the values are a dictionary's
    after = [attribute(probe, "given", 5), dictionary_of(probe), length(own)]
    right = right and all(map(_hold, after))
    own["given"] = own["other"] = first
    right = right and not _hold(before) and not _hold(after[0])
    right = right and _hold(after[1]) and not _hold(after[2])
    probe.__dict__ = {}
    return right and not _hold(after[1])


class _Weak:
    """A probe with a slot for weak references, as storages have it."""

    __slots__ = ("__weakref__",)


def _weak_references_tried() -> bool:
    probe = _Weak()
    none = no_weak_references(probe)
    right = _hold(none)
    reference = weakref.ref(probe)
    right = right and not _hold(none)
    del reference
    return right and _hold(none)


def _others_tried() -> bool:
    first: Any = [object(), object()]
    pair = tuple(first)
    start = id(pair) + layout().FIRST_ELEMENT
    if [word(id(pair) + LENGTH), word(start), word(start + 8)] != [2, *map(id, pair)]:
        return False
    del pair
    second = object()
    plain: dict[Any, Any] = {"a": first, 1: first, second: second}
    names: dict[str, Any] = {"a": first, "b": second}
    (cell,) = (lambda: first).__closure__ or ()
    made = [
        items(plain, list(plain), list(plain.values())),
        items(names, list(names), list(names.values())),
        elements(first, list(first)),
        content(cell, first),
    ]
    right = all(map(_hold, made))
    plain[1] = names["b"] = first[1] = 5
    right = right and not any(map(_hold, made[:3])) and _hold(made[3])
    first = []
    return right and not _hold(made[3])


def _hold(pairs: Pairs) -> bool:
    return all(word(address) == expected for address, expected in pairs)
