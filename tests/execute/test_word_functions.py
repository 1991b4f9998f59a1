"""Functions on words of memory: what is translated does what Python would."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flambeau.core.cpython import LAYOUT
from flambeau.execute.cpu.entrances import available, builtins
from flambeau.execute.cpu.references import new_reference, put, release, replaced
from flambeau.execute.cpu.word_functions import (
    api,
    at,
    byte,
    call,
    given,
    int32,
    single,
    translated,
    word,
)

pytestmark = pytest.mark.skipif(not available(), reason="the interpreter has no such calls")
SIZE = 8


def collatz(_: int, args: int, count: int) -> Any:
    """Where the word at an address comes to under a rule, and how many steps that takes."""
    place = api.PyLong_AsVoidPtr(word[args])
    steps = 0
    while True_of(place):
        number = word[place]
        if number & 1 == 0:
            word[place] = half(number)
            steps += 1
            continue
        if number < 0 or number == 1:
            break
        word[place] = 3 * number + 1
        steps += 1
        if steps == given.MOST:
            break
    word[place + SIZE] = steps | given.BIT << 20
    word[place + 2 * SIZE] = (steps > 3 and not (steps < 6 and steps > 4)) + -2
    return new_reference(given.NONE)


def half(number: int) -> Any:
    found = 0
    while found + found < number:
        found += 1
    return found


def True_of(place: int) -> Any:
    return place != 0 or place is not place


def reference(number: int, most: int) -> list[int]:
    steps = 0
    while True:
        if number % 2 == 0:
            number, steps = number // 2, steps + 1
            continue
        if number == 1:
            break
        number, steps = 3 * number + 1, steps + 1
        if steps == most:
            break
    return [number, steps | 5 << 20, int(steps > 3 and steps != 5) - 2]


def smaller(_: int, args: int, count: int) -> Any:
    """The float32 at an address; what the numbers of 32 and 8 bits there are goes before it."""
    place = api.PyLong_AsVoidPtr(word[args])
    word[place - 2 * SIZE] = int32[place]
    word[place - SIZE] = byte[place + 3]
    return api.PyFloat_FromDouble(single[place])


@pytest.mark.parametrize("bits", [0, 0x3FC00000, 0x80000001, 0xFF7FFFFF, 0x7F800000, 0x80000000])
def test_what_is_smaller_than_a_word(bits: int) -> None:
    call = builtins([smaller], [], {"SIZE": SIZE}, {})
    assert call is not None
    memory = np.zeros(3, np.int64)
    number = memory[2:].view(np.uint32)
    number[:] = bits, 0xDEADBEEF
    found, expected = call[0](memory[2:].ctypes.data), float(number.view(np.float32)[0])
    assert (found, np.signbit(found)) == (expected, np.signbit(expected))
    assert memory[:2].tolist() == [int(number.view(np.int32)[0]), bits >> 24]


def test_loops_branches_and_memory() -> None:
    most = 30
    words = {"MOST": most, "BIT": 5, "NONE": id(None)}
    numbers = {"SIZE": SIZE, "IMMORTAL": LAYOUT.IMMORTAL if LAYOUT else 0}
    (run,) = builtins((collatz,), (half, True_of, new_reference), numbers, words) or (None,)
    memory = np.zeros(3, np.int64)
    for number in range(1, 40):
        memory[0] = number
        assert run(memory.__array_interface__["data"][0]) is None
        assert memory.tolist() == reference(number, most)


def both(_: int, args: int, count: int) -> Any:
    if count != 2:
        return api.PyErr_BadArgument()
    made = api.PyList_New(0)
    if api.PyList_Append(made, word[args]) < 0 or api.PyList_Append(made, word[args + 8]) < 0:
        return 0
    return made


def test_results_are_held_once() -> None:
    (run,) = builtins((both,), (), {}, {}) or (None,)
    first, second = object(), object()
    counts = sys.getrefcount(first), sys.getrefcount(second)
    made = run(first, second)
    assert made[0] is first
    assert made[1] is second
    alone = object()
    assert sys.getrefcount(made) == sys.getrefcount(alone)
    assert sys.getrefcount(first) == counts[0] + 1
    del made
    assert (sys.getrefcount(first), sys.getrefcount(second)) == counts
    with pytest.raises(TypeError):
        run(first)


def decided(_: int, args: int, count: int) -> Any:
    if at.NEW:
        number = 5
    elif at.ODD:
        number = 7
    else:
        number = api.PyNothing_OfThisName()
    return api.PyLong_FromLongLong(number)


def test_what_is_decided_when_translated_is_left_out() -> None:
    (run,) = builtins((decided,), (), {"NEW": 1, "ODD": 0}, {}) or (None,)
    assert run() == 5
    assert (builtins((decided,), (), {"NEW": 0, "ODD": 1}, {}) or [bool])[0]() == 7
    with pytest.raises(AttributeError, match="PyNothing_OfThisName"):
        builtins((decided,), (), {"NEW": 0, "ODD": 0}, {})


def counted(_: int, args: int, count: int) -> Any:
    release(new_reference(word[args]))
    put(given.PLACE, word[args])
    return new_reference(given.NONE)


def test_counts_of_references() -> None:
    immortal = LAYOUT.IMMORTAL if LAYOUT else 0
    place = np.zeros(1, np.int64)
    words = {"NONE": id(None), "PLACE": place.__array_interface__["data"][0]}
    shared = (new_reference, release, replaced, put)
    (run,) = builtins((counted,), shared, {"IMMORTAL": immortal}, words) or (None,)
    first, second, none = object(), object(), sys.getrefcount(None)
    counts = sys.getrefcount(first), sys.getrefcount(second)
    run(first)
    assert sys.getrefcount(first) == counts[0] + 1
    run(second)
    assert (sys.getrefcount(first), sys.getrefcount(second)) == (counts[0], counts[1] + 1)
    for _ in range(1000):
        run(None)
        run(True)
    assert sys.getrefcount(second) == counts[1]
    assert abs(sys.getrefcount(None) - none) < 100
    run(None)


def float_number() -> Any:
    return 1.5


def comparison(a: int) -> Any:
    return 0 < a < 2


def unknown(a: int) -> Any:
    return len(str(a))


def for_loop(a: int) -> Any:
    for _ in range(a):
        pass


def after_end(a: int) -> Any:
    while a:
        break
        call(a)
    return a


@pytest.mark.parametrize("function", [float_number, comparison, unknown, for_loop, after_end])
def test_anything_else_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(SyntaxError, match=function.__name__):
        translated((function,))
