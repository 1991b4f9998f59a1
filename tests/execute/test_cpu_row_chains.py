"""Kernels that go through the same rows in turns: the same bits as one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from against_reference import Builder, flat, run

from flambeau.core import dtypes
from flambeau.execute.cpu import pool, row_chains
from flambeau.execute.cpu.compiler import compile_program
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction, view
from flambeau.ops.value import Value

Made = tuple[list[Value], list[tuple[int, Value]]]


def mean(x: Value, *axes: int) -> Value:
    shape = tuple([1 if a in axes else n for a, n in enumerate(x.shape)])
    return view.reshape(reduction.sum_(x, axes=axes), shape=shape) / (x.size // _size(shape))


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def softmax(b: Builder) -> Made:
    x = b.random((300, 517))
    e = el.exp(x - ar.expand(view.reshape(reduction.max_(x, axes=(1,)), shape=(300, 1)), x.shape))
    return [e / ar.expand(view.reshape(reduction.sum_(e, axes=(1,)), shape=(300, 1)), e.shape)], []


def layer_norm(b: Builder) -> Made:
    """Of three axes, with weights; what goes into it is kept, too."""
    x, y, w = b.random((6, 50, 384)), b.random((6, 50, 384)), b.random((384,))
    x = x + y
    centred = x - ar.expand(mean(x, 2), x.shape)
    scale = el.rsqrt(mean(centred * centred, 2) + 1e-5)
    return [centred * ar.expand(scale, x.shape) * ar.expand(w, x.shape), x], []


def group_norm(b: Builder) -> Made:
    x = b.random((16, 4, 8, 11, 13))
    centred = x - ar.expand(mean(x, 2, 3, 4), x.shape)
    return [centred / ar.expand(el.sqrt(mean(centred * centred, 2, 3, 4)), x.shape)], []


def in_place(b: Builder) -> Made:
    """The rows are written over while others are still to be read."""
    x = b.random((400, 257))
    total = mean(x, 1)
    return [total], [(0, flat(x - ar.expand(total, x.shape)))]


def columns_after(b: Builder) -> Made:
    """The sums of columns need all rows: they stay behind the chain."""
    x = b.random((512, 320))
    centred = x - ar.expand(mean(x, 1), x.shape)
    return [centred, reduction.sum_(centred, axes=(0,)), mean(centred * x, 1)], []


def rows_of_others(b: Builder) -> Made:
    """Each row needs the one below it: no chain may run ahead."""
    x = b.random((512, 320))
    y = el.tanh(x - ar.expand(mean(x, 1), x.shape))
    return [y, y + view.flip(y, axes=(0,)), mean(view.flip(y, axes=(0,)), 1)], []


def mixed(b: Builder) -> Made:
    """Half precision, and results of another dtype."""
    x = ar.cast(b.random((700, 400), dtypes.bfloat16), dtypes.float32)
    largest = view.reshape(reduction.max_(x, axes=(1,)), shape=(700, 1))
    y = ar.cast(x - ar.expand(largest, x.shape), dtypes.bfloat16)
    return [y, reduction.argmax(x, axes=(1,))], []


# How many kernels have their successor in the chain.
CASES: list[tuple[Callable[[Builder], Made], int]] = [
    (softmax, 2), (layer_norm, 2), (group_norm, 2), (in_place, 1), (columns_after, 1),
    (rows_of_others, 1), (mixed, 1),
]  # fmt: skip


@pytest.fixture
def threads() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize(("make", "links"), CASES)
def test_the_same_bits(
    make: Callable[[Builder], Made], links: int, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = Builder(make.__name__)
    results, updates = make(b)
    program = b.program(results, updates)
    compiled = b.check(results, updates, tolerance=600)
    assert sum(k.chained for k in compiled.kernels) >= links
    monkeypatch.setattr(row_chains, "LEAST_BYTES", 1 << 40)
    plain = compile_program(program)
    assert not any(k.chained for k in plain.kernels)
    bases = [array for _, array in b.bases]
    outcomes = []
    for form, count in ((plain, 1), (compiled, 1), (compiled, 2), (compiled, 3)):
        pool.set_num_threads(count)
        found, after, code = run(form, program, bases, [])
        assert code == 0
        outcomes.append([array.tobytes() for array in (*found, *after)])
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_small_programs_have_no_chains() -> None:
    b = Builder()
    x = b.random((32, 64))
    compiled = b.check([x - ar.expand(mean(x, 1), x.shape)], tolerance=50)
    assert not any(k.chained for k in compiled.kernels)
