"""Where CPython keeps the parts of its objects, version by version.

Native code that reads or makes Python objects (`flambeau.record.words` and what rests on it) has
these numbers from here; `words.known` tries them out before they are used. Interpreters that are
not in the table (other versions, other kinds of CPython) are served by Python code.

Note: what differs
    Reference counts. From 3.12 on objects like None and small numbers are immortal: their count is
    never changed, and bit 31 says so. In 3.14 a count has 32 bits, and flags stand above it, which
    objects that are not immortal do not have.

    What frames hold. From 3.14 on a frame's stack, and so the arguments of a call, may borrow what
    a variable holds: that is not counted again, neither there nor in the variable of the function
    that is called. Whoever holds an object for others still counts, so it is free or dead when it
    was. But how many references a line of Python adds differs, so counts are compared with those
    that C code finds, or with what the same line has found.

    Attributes of instances. In 3.10 they are in a dictionary, which shares the keys of the class
    only while all instances get theirs in the same order; so they are looked up there. In 3.11 a
    class's instances have two words before them: a dictionary, where somebody has asked for it, and
    the values of attributes, in the order of keys that all instances share. In 3.12 one word stands
    for both; that of values has bit 0 set. From 3.13 on values follow the instance itself, but
    in 3.13 a class with slots has a dictionary as soon as there are attributes. A dictionary that
    shares the keys of the class points to values, too; from 3.13 on these begin with a word
    that says how many they are, and whether they are still the instance's: when its dictionary is
    replaced they stay behind.
"""

from __future__ import annotations

import ctypes
import sys
from typing import NamedTuple

# The same in all versions: bytes from an object to its parts.
TYPE = 8  # its class; its reference count comes first
LENGTH, ITEMS = 16, 24  # in a list: its length, and the address of the addresses of elements
FLOAT_VALUE = 16
CONTENT = 16  # in a cell, and in the proxy of a class's dictionary
NEW = 312  # in a class: the function that makes instances
USED, KEYS, SPLIT = 16, 32, 40  # in a dictionary: its length, its keys, values apart from them


class Layout(NamedTuple):
    """What differs from version to version."""

    IMMORTAL: int
    """The bit of a reference count that says that it stays as it is; 0: there is none."""
    DICT: int
    """From an instance to its dictionary (0 there: none is made yet); 0: as the class says."""
    VALUES: int
    """From an instance to the address of its values where it has no dictionary; 0: see above."""
    TAG: int
    """Bit of the word of the dictionary that says that it is that of values, less by the bit."""
    INLINE: int
    """Flag of classes whose instances are followed by values."""
    FIRST_VALUE: int
    """From what a dictionary calls its values, or the end of an instance, to the first value."""
    VALID: int
    """Bit of the word before the values that follow an instance: they are its attributes."""
    SIZES: int = 8
    """In a dictionary's keys: a word of sizes (of the index alone, where there is LOOKUP),"""
    ENTRIES: int = 24
    """how many entries they have,"""
    FIRST: int = 32
    """and the index of entries, which is followed by these."""
    FIRST_ELEMENT: int = 24
    """In a tuple: the address of an element, and on; its length is at LENGTH."""
    LOOKUP: int = 0
    """The function that finds a key, which depends on their kind; 0: SIZES has the kind."""

    def numbers(self) -> dict[str, int]:
        """What functions on words need (see `flambeau.execute.cpu.word_functions`)."""
        found = {"TYPE": TYPE, "LENGTH": LENGTH, "ITEMS": ITEMS, "KEYS": KEYS}
        found |= {"FLOAT_VALUE": FLOAT_VALUE, "SPLIT": SPLIT, "IMMORTAL": self.IMMORTAL}
        found |= {"DICT": self.DICT, "VALUES": self.VALUES, "TAG": self.TAG}
        found |= {"FIRST_VALUE": self.FIRST_VALUE, "VALID": self.VALID, "LOOKUP": self.LOOKUP}
        return found | {"FIRST_ELEMENT": self.FIRST_ELEMENT}


MANAGED = 1 << 4  # flag of classes whose instances have the word DICT (from 3.11 on)

_LAYOUTS = {
    (3, 10): Layout(
        IMMORTAL=0,
        DICT=0,
        VALUES=0,
        TAG=0,
        INLINE=0,
        FIRST_VALUE=0,
        VALID=0,
        ENTRIES=32,
        FIRST=40,
        LOOKUP=16,
    ),
    (3, 11): Layout(IMMORTAL=0, DICT=-24, VALUES=-32, TAG=0, INLINE=0, FIRST_VALUE=0, VALID=0),
    (3, 12): Layout(IMMORTAL=1 << 31, DICT=-24, VALUES=0, TAG=1, INLINE=0, FIRST_VALUE=0, VALID=0),
    (3, 13): Layout(
        IMMORTAL=1 << 31, DICT=-24, VALUES=0, TAG=0, INLINE=1 << 2, FIRST_VALUE=8, VALID=1 << 24
    ),
}
_LAYOUTS[3, 14] = _LAYOUTS[3, 13]._replace(FIRST_ELEMENT=32)


def _layout() -> Layout | None:
    if (
        sys.implementation.name != "cpython"
        or ctypes.sizeof(ctypes.c_void_p) != 8
        or sys.byteorder != "little"
        or object.__basicsize__ != TYPE + 8  # free-threaded builds, and those that trace objects
        or hasattr(sys, "gettotalrefcount")
    ):
        return None
    return _LAYOUTS.get(sys.version_info[:2])


LAYOUT = _layout()
"""That of this interpreter; None where it is not known."""
