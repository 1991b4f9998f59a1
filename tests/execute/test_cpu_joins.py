"""Concatenations that their parts' kernels write: no kernel of their own, the same results."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from against_reference import Builder

from flambeau.ops import view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.elementwise import exp, sin, tanh
from flambeau.ops.value import Value


def of_results(b: Builder) -> list[Value]:
    x = b.random((16, 40))
    return [view.concat(tanh(x), exp(x), axis=1)]


def of_operands(b: Builder) -> list[Value]:
    x, w = b.random((16, 64)), b.random((128, 24))
    return [dot(view.concat(tanh(x), exp(x), axis=1), w)]


def of_concatenations(b: Builder) -> list[Value]:
    steps = [b.random((8, 32)) for _ in range(6)]
    gates = [view.concat(tanh(x), sin(x), exp(x), axis=1) for x in steps]
    w = b.random((96, 20))
    whole = view.concat(*gates, axis=0)
    return [dot(gates[2], w), dot(whole, w), dot(swap_last(whole), whole)]


def of_views_and_inputs(b: Builder) -> list[Value]:
    x, w = b.random((64, 16)), b.random((96, 8))
    turned = view.permute(sin(x), order=(1, 0))
    plain = view.reshape(tanh(x), shape=(32, 32))
    half = view.slice_(plain, starts=(0, 0), sizes=(16, 32), steps=(1, 1))
    return [dot(view.concat(turned, half, axis=1), w)]


def of_one_value_twice(b: Builder) -> list[Value]:
    y, w = tanh(b.random((16, 64))), b.random((128, 8))
    return [dot(view.concat(y, y, axis=1), w), y]


def of_products(b: Builder) -> list[Value]:
    x, w, v = b.random((16, 32)), b.random((32, 64)), b.random((128, 8))
    y = dot(x, w)
    return [dot(view.concat(y, tanh(y), axis=1), v)]


def of_a_large_and_two_small_parts(b: Builder) -> list[Value]:
    x = b.random((5000,))
    parts = [view.slice_(x, starts=(n,), sizes=(m,), steps=(1,)) for n, m in ((4999, 1), (0, 4996))]
    return [view.concat(*parts, sin(b.random((3,))), axis=0)]


CASES = [
    (of_results, 0),
    (of_operands, 0),
    (of_concatenations, 0),
    (of_views_and_inputs, 0),
    (of_one_value_twice, 0),
    (of_products, 0),
    (of_a_large_and_two_small_parts, 0),
]


@pytest.mark.parametrize(("build", "left"), CASES)
def test_joined_in_place(build: Callable[[Builder], list[Value]], left: int) -> None:
    b = Builder(build.__name__)
    compiled = b.check(build(b), tolerance=200)
    assert sum("concat" in k.label for k in compiled.kernels) == left


def test_elementwise_readers_need_no_memory() -> None:
    b = Builder()
    x = b.random((64, 64))
    compiled = b.check([tanh(view.concat(sin(x), exp(x), axis=1))])
    assert len(compiled.kernels) == 1


def test_joins_of_joins_stay_small() -> None:
    b = Builder()
    x = b.random((4, 8))
    for place in range(40):  # inlined whole, it would be 2 ** 40 loads
        joined = view.concat(x, x, axis=place % 2)
        steps = (2, 1) if place % 2 == 0 else (1, 2)
        x = view.slice_(joined, starts=(0, 0), sizes=(4, 8), steps=steps)
    b.check([tanh(x)])


def test_a_join_of_many_parts_is_copied() -> None:
    # A kernel would ask of each element which of the parts it is in, nested as deep as there are.
    b = Builder()
    x = b.random((900, 3))
    rows = [view.slice_(x, starts=(i, 0), sizes=(1, 3), steps=(1, 1)) for i in range(900)]
    b.check([tanh(view.concat(*[sin(row) for row in reversed(rows)], axis=0))])
