"""Words of memory: where they still hold, what they say is true, however objects were changed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import random
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from flambeau.core import cpython
from flambeau.execute.cpu import entrances
from flambeau.execute.cpu.word_functions import api, word
from flambeau.record import native_calls, replay, words
from flambeau.record.replay import times_held

NAMES = [f"name{n}" for n in range(6)]


class Plain:
    name0: Any = None
    name1: Any = None


class Slotted:
    __slots__ = ("__dict__", "__weakref__", "name5")
    name0: Any = None
    name1: Any = None


class Derived(Slotted):
    pass


class Wide:
    """With more attributes than instances share names."""

    def __init__(self) -> None:
        for n in range(40):
            setattr(self, f"other{n}", n)


class Listed(list):  # type: ignore[type-arg]
    """Of another size than its class says."""

    name0: Any = None


def usual() -> bool:
    """Whether this is an interpreter that the table of layouts is for."""
    return (
        sys.implementation.name == "cpython"
        and (3, 10) <= sys.version_info[:2] <= (3, 14)
        and sys.maxsize > 2**32
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and not sysconfig.get_config_var("Py_DEBUG")
    )


@pytest.mark.skipif(not usual(), reason="another interpreter")
def test_usual_interpreters_have_native_calls() -> None:
    assert words.known()
    assert native_calls.native_calls() is not None
    assert native_calls.plain_calls() is not None
    assert replay.native() is not None


def test_a_layout_that_is_not_so_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    if not words.known():
        pytest.skip("another interpreter")
    right = words.layout()
    for name, value in {
        "IMMORTAL": right.IMMORTAL ^ 1 << 31,
        "DICT": -16,
        "SIZES": 0,
        "ENTRIES": 16,
        "FIRST_VALUE": right.FIRST_VALUE ^ 8,
        "FIRST_ELEMENT": 40,
    }.items():
        wrong = right._replace(**{name: value})
        monkeypatch.setattr(words, "LAYOUT", wrong)
        words.place_of_value.cache_clear()
        try:
            tried = words._tried()
        except words.Unknown:
            tried = False
        assert not tried, name
    monkeypatch.undo()
    words.place_of_value.cache_clear()
    assert words._tried()


def test_other_builds_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "gettotalrefcount", lambda: 0, raising=False)
    assert cpython._layout() is None
    monkeypatch.undo()
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert cpython._layout() is None
    monkeypatch.undo()
    monkeypatch.setattr(ctypes, "sizeof", lambda kind: 4)
    assert cpython._layout() is None


def test_counts_of_immortal_objects() -> None:
    if not words.known():
        pytest.skip("another interpreter")
    immortal = words.layout().IMMORTAL
    for thing in (None, True, 0, 1, (), ""):
        assert bool(words.word(id(thing)) & 1 << 31) == bool(immortal)
    assert not words.word(id(object())) & immortal


def times(_: int, args: int, count: int) -> Any:
    return api.PyLong_FromLongLong(times_held(word[args]))


def test_how_often_a_lock_is_held() -> None:
    if not words.known():
        pytest.skip("another interpreter")
    places = words.lock_places(threading.RLock())
    (held,) = entrances.builtins((times,), (times_held,), places, {}) or (None,)
    lock = threading.RLock()

    def wait() -> None:
        with lock:
            pass

    waits = [threading.Thread(target=wait) for _ in range(2)]
    assert held(lock) == 0
    with lock:
        assert held(lock) == 1
        with lock:
            assert held(lock) == 2
            for thread in waits:
                thread.start()
            time.sleep(0.05)
            assert held(lock) == 2
        assert held(lock) == 1
    for thread in waits:
        thread.join()
    assert held(lock) == 0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(lock.acquire).result()
        assert held(lock) == 1  # by another thread
        pool.submit(lock.release).result()
    assert held(lock) == 0


def set_one(thing: Any, draw: random.Random) -> None:
    setattr(thing, draw.choice(NAMES), draw.choice([None, *VALUES]))


def delete_one(thing: Any, draw: random.Random) -> None:
    found = [name for name in NAMES if name in vars(thing)]
    if found:
        with contextlib.suppress(AttributeError):  # a slot is of the same name
            delattr(thing, draw.choice(found))


def write_one(thing: Any, draw: random.Random) -> None:
    thing.__dict__[draw.choice(NAMES)] = draw.choice(VALUES)


def take_one(thing: Any, draw: random.Random) -> None:
    thing.__dict__.pop(draw.choice(NAMES), None)


def other_dictionary(thing: Any, draw: random.Random) -> None:
    thing.__dict__ = {name: draw.choice(VALUES) for name in draw.sample(NAMES, 2)}


def no_dictionary(thing: Any, draw: random.Random) -> None:
    del thing.__dict__


def number_key(thing: Any, draw: random.Random) -> None:
    thing.__dict__[draw.randrange(3)] = 1


def cleared(thing: Any, draw: random.Random) -> None:
    thing.__dict__.clear()


VALUES = [object() for _ in range(4)]
CHANGES: list[Callable[[Any, random.Random], None]] = [
    *[set_one] * 6,
    *[delete_one] * 3,
    *[write_one] * 2,
    *(take_one, other_dictionary, no_dictionary, number_key, cleared),
]
MISSING = object()


@pytest.mark.parametrize("make", [Plain, Slotted, Derived, Wide, Listed])
def test_what_holds_is_true(make: Callable[[], Any]) -> None:
    if not words.known():
        pytest.skip("another interpreter")
    made = still = 0
    for seed in range(60):
        draw = random.Random(seed)
        thing = make()
        noted: list[tuple[words.Pairs, str, Any]] = []
        for _ in range(40):
            draw.choice(CHANGES)(thing, draw)
            for pairs, name, value in noted:
                if words._hold(pairs):
                    still += 1
                    assert getattr(thing, name, MISSING) is value
            name = draw.choice(NAMES)
            value = getattr(thing, name, MISSING)
            try:
                pairs = words.attribute(thing, name, value)
            except words.Unknown:
                continue
            assert value is not MISSING
            assert words._hold(pairs)
            noted.append((pairs, name, value))
            made += 1
    if make is not Listed:
        assert made > 500
        assert still > 200


def test_what_holds_of_dictionaries_and_lists_is_true() -> None:
    if not words.known():
        pytest.skip("another interpreter")
    keys: list[Any] = [*NAMES, *range(3), None, 2.5]
    still = 0
    for seed in range(200):
        draw = random.Random(seed)
        mapping: dict[Any, Any] = {name: draw.choice(VALUES) for name in NAMES[: seed % 4]}
        sequence = [draw.choice(VALUES) for _ in range(4)]
        noted: list[tuple[words.Pairs, Callable[[], Any], Any]] = []
        for _ in range(40):
            kind = draw.randrange(8)
            if kind < 4:
                mapping[draw.choice(keys[: 6 + seed % 6])] = draw.choice(VALUES)
            elif kind < 6:
                mapping.pop(draw.choice(keys), None)
                sequence[draw.randrange(len(sequence))] = draw.choice(VALUES)
            elif kind == 6:
                sequence.append(draw.choice(VALUES))
            else:
                mapping.update(dict.fromkeys(range(draw.randrange(300)), VALUES[0]))
                mapping = mapping if draw.randrange(2) else dict(list(mapping.items())[:3])
                noted.clear()  # of another one
            for pairs, found, value in noted:
                if words._hold(pairs):
                    still += 1
                    assert found() == value
            now: list[tuple[words.Pairs, Callable[[], Any], Any]] = []
            for key in draw.sample(list(mapping), min(len(mapping), 3)):
                one = partial(mapping.get, key)
                now.append((words.item(mapping, key, one()), one, one()))
            if len(mapping) < 8:
                whole = partial(list, mapping.items())
                pairs = words.items(mapping, list(mapping), list(mapping.values()))
                now.append((pairs, whole, whole()))
            now.append((words.elements(sequence, sequence), sequence.copy, sequence.copy()))
            assert all(words._hold(pairs) for pairs, _, _ in now)
            noted += now
    assert still > 1000
