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
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from flambeau.execute.cpu.engine import engine

METH_FASTCALL = 0x80
# What the module calls, in the order in which `@api` has their addresses; `run` is the runner's.
API = ("PyLong_AsVoidPtr", "PyLong_FromVoidPtr", "PyErr_Occurred", "PyErr_BadArgument")
RUN = len(API)
SYMBOLS = ("run_program", "first_moved", "held_as", "api")
# In a list: its length, and where the addresses of its elements are (CPython's layout).
LENGTH, ITEMS = 16, 24

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
    """(list, address): 1 where it is as long as the word there says, and each element begins with
    the next word (its reference count, see `flambeau.record.words`), else 0."""


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
    with_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    if (
        platform.python_implementation() != "CPython"
        or not with_lock
        or ctypes.sizeof(ctypes.c_void_p) != 8
    ):
        return None
    from flambeau.execute.cpu.pool import native

    run, moved, held, api = engine().load([_module()], SYMBOLS)[0]
    words = (ctypes.c_int64 * (RUN + 1)).from_address(api)
    for place, name in enumerate(API):
        words[place] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    words[RUN] = native().run
    return Entrances(
        _builtin("run_program", run), _builtin("first_moved", moved), _builtin("held_as", held)
    )


def _builtin(name: str, address: int) -> Any:
    definition = _MethodDef(name.encode(), address, METH_FASTCALL, None)
    _definitions.append(definition)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
        ("PyCFunction_NewEx", ctypes.pythonapi)
    )
    return make(ctypes.addressof(definition), None, None)


def _api(name: str | int) -> str:
    """The address of a word of `@api`, as a constant expression."""
    return (
        f"getelementptr (ptr, ptr @api, i64 {name if isinstance(name, int) else API.index(name)})"
    )


def _function(name: str, arguments: int, body: str, first: int = 0) -> str:
    """A builtin function of so many integers, %x0 and on, all of them pointers (those before the
    `first` stay objects, %o0 and on); `body` begins at `start:` and branches to `give`, which makes
    an integer of %result.
    """
    read = "".join(
        f"  %p{n} = getelementptr ptr, ptr %args, i64 {n}\n  %o{n} = load ptr, ptr %p{n}, align 8\n"
        for n in range(arguments)
    )
    read += "".join(
        f"  %x{n} = call ptr %convert(ptr %o{n})\n"
        if n >= first
        else f"  %x{n} = getelementptr i8, ptr %o{n}, i64 0\n"
        for n in range(arguments)
    )
    none = "".join(f"  %n{n} = icmp eq ptr %x{n}, null\n" for n in range(arguments))
    some = "  %s0 = or i1 %n0, %n0\n"
    some += "".join(f"  %s{n} = or i1 %s{n - 1}, %n{n}\n" for n in range(1, arguments))
    return f"""
define ptr @{name}(ptr %self, ptr %args, i64 %count) {{
entry:
  %right = icmp eq i64 %count, {arguments}
  br i1 %right, label %convert_all, label %wrong
convert_all:
  %convert = load ptr, ptr {_api("PyLong_AsVoidPtr")}, align 8
{read}{none}{some}
  br i1 %s{arguments - 1}, label %suspect, label %start
suspect:
  %occurred = load ptr, ptr {_api("PyErr_Occurred")}, align 8
  %error = call ptr %occurred()
  %fine = icmp eq ptr %error, null
  br i1 %fine, label %start, label %raise
wrong:
  %bad = load ptr, ptr {_api("PyErr_BadArgument")}, align 8
  %zero = call i32 %bad()
  br label %raise
raise:
  ret ptr null
{body}
give:
  %make = load ptr, ptr {_api("PyLong_FromVoidPtr")}, align 8
  %given = call ptr %make(ptr %result)
  ret ptr %given
}}
"""


def _module() -> str:
    run = f"""
start:
  %run = load ptr, ptr {_api(RUN)}, align 8
  %threads = ptrtoint ptr %x2 to i64
  %word = call i64 %run(ptr %x0, ptr %x1, i64 %threads)
  %result = inttoptr i64 %word to ptr
  br label %give
"""
    moved = """
start:
  br label %next
next:
  %result = phi ptr [ %x0, %start ], [ %following, %look ]
  %over = icmp eq ptr %result, %x1
  br i1 %over, label %give, label %look
look:
  %at = load ptr, ptr %result, align 8
  %place = getelementptr i64, ptr %result, i64 1
  %wanted = load i64, ptr %place, align 8
  %following = getelementptr i64, ptr %result, i64 2
  %found = load i64, ptr %at, align 8
  %same = icmp eq i64 %found, %wanted
  br i1 %same, label %next, label %give
"""
    held = f"""
start:
  %at_length = getelementptr i8, ptr %x0, i64 {LENGTH}
  %length = load i64, ptr %at_length, align 8
  %wanted_length = load i64, ptr %x1, align 8
  %as_long = icmp eq i64 %length, %wanted_length
  %at_items = getelementptr i8, ptr %x0, i64 {ITEMS}
  %items = load ptr, ptr %at_items, align 8
  br i1 %as_long, label %next, label %other
next:
  %number = phi i64 [ 0, %start ], [ %following, %look ]
  %over = icmp eq i64 %number, %length
  br i1 %over, label %other, label %look
look:
  %at = getelementptr ptr, ptr %items, i64 %number
  %object = load ptr, ptr %at, align 8
  %following = add i64 %number, 1
  %place = getelementptr i64, ptr %x1, i64 %following
  %wanted = load i64, ptr %place, align 8
  %found = load i64, ptr %object, align 8
  %same = icmp eq i64 %found, %wanted
  br i1 %same, label %next, label %other
other:
  %answer = phi i64 [ 0, %start ], [ 1, %next ], [ 0, %look ]
  %result = inttoptr i64 %answer to ptr
  br label %give
"""
    return "\n".join(
        [
            f"@api = global [{RUN + 1} x ptr] zeroinitializer, align 64",
            _function("run_program", 3, run),
            _function("first_moved", 2, moved),
            _function("held_as", 2, held, first=1),
        ]
    )
