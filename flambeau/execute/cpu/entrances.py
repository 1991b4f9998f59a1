"""Native functions that the interpreter calls as its own.

A call through ctypes takes longer than the programs of small steps. Where the interpreter is
CPython with its lock, machine code that follows the protocol of builtin functions (METH_FASTCALL,
part of the stable interface) is called in a fifth of that time. It keeps the lock. Elsewhere there
are none, and callers go through ctypes or stay in Python.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from flambeau.core.cpython import ITEMS, LENGTH
from flambeau.execute.cpu.kept_functions import Functions, loaded
from flambeau.execute.cpu.references import failed
from flambeau.execute.cpu.target import NoRoomForCode
from flambeau.execute.cpu.word_functions import api, call, given, word

METH_FASTCALL = 0x80

RunProgram = Callable[[int, int, int], int]
FirstMoved = Callable[[int, int], int]
HeldAs = Callable[[Any, int], int]


class Entrances(NamedTuple):
    """The builtin functions."""

    run: RunProgram
    """(table address, program address, threads) -> result word, as `run_functions` has them."""
    first_moved: FirstMoved
    """(address, end): the first of the pairs (address of a word, what it was) whose word is no
    longer that; `end` where all still are. Stops there, so a pair may rest on those before it."""
    held_as: HeldAs
    """(list, address): 1 where it is as long as the word there says, and of each element the next
    word says rightly whether the list alone holds it (1) or not (0), else 0."""


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_definitions: list[_MethodDef] = []  # builtin functions keep pointers to theirs


@cache
def entrances() -> Entrances | None:
    """The builtin functions; None where the interpreter has no such calls."""
    from flambeau.execute.cpu.pool import native

    if not available():
        return None
    found = builtins(*entrance_functions(), {"RUN": native().run})
    return None if found is None else Entrances(*found)


def available() -> bool:
    """Whether the interpreter calls native functions as its own."""
    with_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    cpython = platform.python_implementation() == "CPython"
    return bool(cpython and with_lock and ctypes.sizeof(ctypes.c_void_p) == 8)


def builtins(
    entries: Functions,
    inlined: Functions,
    numbers: Mapping[str, int],
    words: Mapping[str, int],
    owner: type | None = None,
) -> list[Any] | None:
    """Functions on words (see `word_functions`) as builtin functions of the interpreter.

    An entry has three arguments: nothing (the instance, where they are to be methods of `owner`),
    the address of the arguments' addresses, and how many they are. It gives a new reference to its
    result, or 0 when it has set an exception. `numbers` are part of the code, `words` what `given`
    has there. None where there is no source to compile, or no room for more code.
    """
    try:
        code = loaded(entries, inlined, numbers)
    except (OSError, NoRoomForCode):
        return None
    table = (ctypes.c_int64 * max(len(code.given), 1)).from_address(code.place)
    for number, name in enumerate(code.given):
        known = words.get(name)
        if known is None:
            known = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
        table[number] = known
    return [_builtin(f.__name__, address, owner) for f, address in zip(entries, code.addresses)]


def _builtin(name: str, address: int, owner: type | None) -> Any:
    definition = _MethodDef(name.encode(), address, METH_FASTCALL, None)
    _definitions.append(definition)
    if owner is not None:
        kinds = ctypes.py_object, ctypes.py_object, ctypes.c_void_p
        method = ctypes.PYFUNCTYPE(*kinds)(("PyDescr_NewMethod", ctypes.pythonapi))
        return method(owner, ctypes.addressof(definition))
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
        ("PyCFunction_NewEx", ctypes.pythonapi)
    )
    return make(ctypes.addressof(definition), None, None)


# ---- functions on words --------------------------------------------------------------------------


def entrance_functions() -> tuple[Functions, Functions, dict[str, int]]:
    """What `entrances` are made of, as `builtins` takes it."""
    return (run_program, first_moved, held_as), (failed,), {"LENGTH": LENGTH, "ITEMS": ITEMS}


def run_program(_: int, args: int, count: int) -> Any:
    if count != 3:
        return api.PyErr_BadArgument()
    table = api.PyLong_AsVoidPtr(word[args])
    if failed(table):
        return 0
    program = api.PyLong_AsVoidPtr(word[args + 8])
    if failed(program):
        return 0
    threads = api.PyLong_AsVoidPtr(word[args + 16])
    if failed(threads):
        return 0
    return api.PyLong_FromVoidPtr(call(given.RUN, table, program, threads))


def first_moved(_: int, args: int, count: int) -> Any:
    if count != 2:
        return api.PyErr_BadArgument()
    place = api.PyLong_AsVoidPtr(word[args])
    if failed(place):
        return 0
    end = api.PyLong_AsVoidPtr(word[args + 8])
    if failed(end):
        return 0
    while place != end:
        if word[word[place]] != word[place + 8]:
            break
        place += 16
    return api.PyLong_FromVoidPtr(place)


def held_as(_: int, args: int, count: int) -> Any:
    if count != 2:
        return api.PyErr_BadArgument()
    held = word[args]
    counts = api.PyLong_AsVoidPtr(word[args + 8])
    if failed(counts):
        return 0
    length = word[held + LENGTH]
    if length != word[counts]:
        return api.PyLong_FromVoidPtr(0)
    item = word[held + ITEMS]
    end = item + 8 * length
    while item != end:
        counts += 8
        alone = 0
        if word[word[item]] == 1:
            alone = 1
        if alone != word[counts]:
            return api.PyLong_FromVoidPtr(0)
        item += 8
    return api.PyLong_FromVoidPtr(1)
