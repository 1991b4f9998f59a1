"""Draws that fill whole tensors go there at once, in both executors."""

from __future__ import annotations

from typing import Any

import numpy as np
from against_reference import Builder

from flambeau.core import dtypes
from flambeau.core.random_state import seed_state
from flambeau.execute.reference.schedule import Schedule
from flambeau.ops import contraction, indexed, randomness, reduction, view
from flambeau.ops.value import Value

COUNT = 20_000


def draws(b: Builder, number: int) -> tuple[list[Value], Value]:
    """So many tensors of uniform numbers, and the generator's state after them."""
    state = b.data(seed_state(7), dtypes.uint32)
    found = []
    for _ in range(number):
        attrs: dict[str, Any] = {"kind": "uniform32", "count": COUNT, "dtype": dtypes.float32}
        attrs["parameters"] = (("low", -0.5), ("high", 0.5))
        found.append(randomness.random_draw(state, **attrs))
        state = randomness.random_advance(state, **attrs)
    return found, state


def bases(b: Builder, number: int) -> list[int]:
    first = len(b.bases)
    for _ in range(number):
        b.random((COUNT,))
    return list(range(first, first + number))


def test_weights_need_no_other_memory() -> None:
    b = Builder()
    found, state = draws(b, 5)
    places = bases(b, 5)
    updates = [(0, state), *zip(places, found, strict=True)]
    compiled = b.check([], updates, tolerance=0.0)
    assert compiled.arena_bytes < 4 * COUNT
    schedule = Schedule(b.program([], updates))
    assert sorted(schedule.fills.values()) == places


def test_weights_that_are_used_at_once() -> None:
    b = Builder()
    (one, two), state = draws(b, 2)
    places = bases(b, 4)
    old = b.flat[places[2]]
    matrix = view.reshape(one, shape=(100, 200))
    product = contraction.dot(matrix, view.permute(matrix, order=(1, 0)))
    total = reduction.sum_(two + old, axes=(0,))
    # The same draw into two tensors, and one into a tensor that is read.
    updates = [(0, state), (places[0], one), (places[1], one), (places[2], two)]
    compiled = b.check([product, total, one], updates, tolerance=64.0)
    assert compiled.arena_bytes >= 0
    schedule = Schedule(b.program([product, total, one], updates))
    assert list(schedule.fills.values()) == [places[0]]


def test_nothing_is_drawn_before_others_may_refuse() -> None:
    b = Builder()
    (drawn,), state = draws(b, 1)
    (place,) = bases(b, 1)
    index = b.data(np.array([1, 2]), dtypes.int64)
    taken = indexed.take(b.random((4,)), index, what="index")
    schedule = Schedule(b.program([taken], [(0, state), (place, drawn)]))
    assert not schedule.fills
    b.check([taken], [(0, state), (place, drawn)], tolerance=0.0)
