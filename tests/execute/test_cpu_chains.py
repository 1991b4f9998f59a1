"""Chains of elementwise functions and reductions as kernels for any lengths, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from against_reference import Builder

from flambeau.core import dtypes
from flambeau.execute.cpu import chains, sequences
from flambeau.execute.reference.schedule import Schedule
from flambeau.graph.reverse import Reverse
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction, source, view
from flambeau.ops.value import Value


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are compiled for the first program that wants them."""
    monkeypatch.setattr(chains, "OFTEN", 1)


def check(b: Builder, results: list[Value], tolerance: float = 2e-6) -> Schedule:
    """Runs a program from its schedule, as it is and with chains joined; the joined one."""
    program = b.program(results)
    bases = [array for _, array in b.bases]
    scalars = [number for _, number in b.scalars]
    expected = Schedule(program).run([a.copy() for a in bases], scalars)
    schedule = Schedule(program)
    before = len(schedule.steps)
    assert chains.join(schedule)
    assert len(schedule.steps) <= before
    for _ in range(2):  # chains that are called again compute the same
        found = schedule.run([a.copy() for a in bases], scalars)
        for want, have in zip(expected, found, strict=True):
            assert want.dtype == have.dtype
            assert want.shape == have.shape
            if want.dtype.kind != "f":
                assert (want == have).all()
                continue
            assert (np.isnan(want) == np.isnan(have)).all()
            finite = np.isfinite(want)
            assert (want[~finite & ~np.isnan(want)] == have[~finite & ~np.isnan(want)]).all()
            scale = np.abs(want[finite]).max(initial=0.0)
            assert np.abs(want[finite] - have[finite]).max(initial=0.0) <= tolerance * scale
    return schedule


def calls(schedule: Schedule) -> int:
    """How many chains are kernels: calls of their own, and those in sequences."""
    found = 0
    for step in schedule.steps:
        if isinstance(step[1], chains.Call):
            found += 1
        elif isinstance(step[1], sequences.Call):
            found += step[1].sequence.chains
    return found


def last(x: Value) -> tuple[int, ...]:
    return (x.ndim - 1,)


def mean(x: Value) -> Value:
    return reduction.sum_(x, axes=last(x)) / x.shape[-1]


def spread(rows: Value, x: Value) -> Value:
    return reduction.spread(rows, x, last(x))


def softmax(x: Value, w: Value) -> Value:
    shifted = x - spread(reduction.max_(x, axes=last(x)), x)
    powers = el.exp(shifted)
    return powers / spread(reduction.sum_(powers, axes=last(x)), x)


def layer_norm(x: Value, w: Value) -> Value:
    centred = x - spread(mean(x), x)
    return centred * spread(el.rsqrt(mean(centred * centred) + 1e-5), x) * w + w


def gelu(x: Value, w: Value) -> Value:
    return x * 0.5 * (el.erf(x * 0.7071) + 1.0) + w


def masked(x: Value, w: Value) -> Value:
    positive = ar.gt(x, 0.0)
    some = ar.cast(ar.logical_and(positive, ar.lt(x, w)), dtypes.int64)
    return ar.where(positive, x, ar.cast(some, x.dtype) * w)


def columns(x: Value, w: Value) -> Value:
    total = reduction.sum_(el.tanh(x) * w, axes=tuple(range(x.ndim - 1)))
    return ar.add(total, el.sigmoid(total))


CHAINS: list[Callable[[Value, Value], Value]] = [softmax, layer_norm, gelu, masked, columns]
SHAPES = [(3, 2), (1, 5), (7, 16), (5, 17), (2, 3, 31), (4, 100), (64, 1), (1, 1, 9), (300, 257)]


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
@pytest.mark.parametrize("chain", CHAINS, ids=lambda f: f.__name__)
def test_chains_and_their_gradients_of_all_lengths(chain: Any, dtype: Any) -> None:
    texts = len(chains.KERNELS.addresses)
    for shape in SHAPES:
        b = Builder(f"{shape}")
        x = source.leaf(b.random(shape, dtype), 0)
        w = source.leaf(b.random(shape[-1:], dtype), 1)
        y = chain(x, w)
        back = Reverse()
        back.seed(y, b.random(y.shape, dtype))
        back.run()
        gradients = list(back.leaves.values())
        schedule = check(b, [y, *gradients], tolerance=2e-5)
        assert calls(schedule) or x.size < 2
    # One row or column is another case, no length is.
    assert len(chains.KERNELS.addresses) - texts <= 24


def test_a_softmax_is_one_call() -> None:
    b = Builder()
    schedule = check(b, [softmax(b.random((6, 5, 40)), b.random((40,)))])
    assert [type(step[1]) for step in schedule.steps][-1] is chains.Call
    assert calls(schedule) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 15, 16, 18])
def test_extreme_numbers_in_rows(value: float, place: int) -> None:
    b = Builder()
    data = b.rng.standard_normal((4, 19)).astype(np.float32)
    data[2, place] = value
    x = b.data(data, dtypes.float32)
    check(
        b,
        [
            reduction.max_(x * 2.0, axes=(1,)),
            reduction.min_(x * 2.0, axes=(1,)),
            softmax(x, x),
            ar.maximum(x, 0.0) + 1.0,
            ar.cast(ar.ne(x, x), dtypes.float32) + 1.0,
        ],
    )


@pytest.mark.parametrize("columns", [2, 4, 17, 40])
def test_products_of_rows(columns: int) -> None:
    b = Builder()
    x, y = b.random((30, columns)), b.random((30, columns))
    areas = reduction.prod(ar.maximum(x - y, 0.25) * 2.0, axes=(1,))
    schedule = check(b, [areas / (reduction.prod(y + 1.0, axes=(1,)) + areas)], tolerance=1e-5)
    assert calls(schedule) == 1


def test_operands_that_are_broadcast_in_the_middle() -> None:
    b = Builder()
    x, mask = b.random((3, 4, 5, 6)), b.random((5, 6))
    rows, middle = b.random((3, 4, 5, 1)), b.random((3, 1, 5, 6))
    y = el.tanh(x + mask) * rows + middle
    z = reduction.sum_(y, axes=(3,)) * view.reshape(b.random((12, 5)), shape=(3, 4, 5))
    check(b, [y, z, reduction.sum_(view.reshape(y, shape=(60, 6)), axes=(0,))])


def test_single_numbers_that_numpy_gives_as_scalars() -> None:
    b = Builder()
    x = b.random((6, 10))
    rate = ar.cast(b.scalar(0.25, dtypes.float64), dtypes.float32)
    number = el.fma(rate, rate, rate)
    check(b, [x * ar.expand(number, x.shape) + ar.expand(rate * number, x.shape)])


def test_a_chain_that_reads_another_ones_result_by_way_of_a_product() -> None:
    b = Builder()
    x, w = b.random((8, 12)), b.random((12, 12))
    from flambeau.ops.contraction import dot

    hidden = el.tanh(x * 2.0 + 1.0)
    y = dot(hidden, w) + hidden
    z = el.exp(y - hidden) * hidden
    schedule = check(b, [z], tolerance=1e-4)
    assert calls(schedule) == 2


def test_long_rows_are_cut_into_tasks_each_with_its_scratch() -> None:
    b = Builder()
    x = b.random((700, 300))
    y = softmax(el.sigmoid(x) * 3.0, x)
    check(b, [y * y, reduction.sum_(y, axes=(1,))])
    flat = b.random((200_001,))
    check(b, [el.exp(flat) * flat + 1.0])


def _random_program(b: Builder) -> list[Value]:
    """Functions of a few tensors of shapes that are broadcasts of each other."""
    choose: Any = b.rng.choice
    rows, cols = int(b.rng.integers(1, 9)), int(b.rng.integers(1, 40))
    shapes = [(2, rows, cols), (2 * rows, cols), (cols,), (2, rows, 1), (2, rows), (1, cols)]
    values = [b.random(shapes[k]) for k in (0, 1, 2, 3, 4)] + [b.random(choose_shape(b, shapes))]
    for _ in range(int(b.rng.integers(4, 24))):
        x, y = values[int(b.rng.integers(len(values)))], values[int(b.rng.integers(len(values)))]
        kind = choose(["binary", "unary", "where", "sum", "max", "columns", "reshape", "long"])
        try:
            if kind == "binary":
                values.append(ar.binary(choose([el.add, el.sub, el.mul, el.maximum]), x, y))
            elif kind == "unary":
                values.append(choose([el.tanh, el.sigmoid, el.neg, el.abs_])(x))
            elif kind == "where":
                values.append(ar.where(ar.gt(x, 0.3), y, x * 0.5))
            elif kind == "long":
                values.append(ar.cast(ar.cast(x * 4.0, dtypes.float64), dtypes.float32))
            elif kind == "reshape":
                size = [s for s in shapes if np.prod(s) == x.size]
                if size:
                    values.append(view.reshape(x, shape=size[int(b.rng.integers(len(size)))]))
            elif kind == "columns" and x.ndim > 1:
                values.append(reduction.sum_(x, axes=tuple(range(x.ndim - 1))) * 0.1)
            elif kind == "max" and x.ndim:
                values.append(reduction.max_(x, axes=last(x)))
            elif x.ndim:
                values.append(mean(x))
        except RuntimeError:
            continue  # shapes that do not go together
    kept = [v for v in values[6:] if b.rng.random() < 0.4]
    return [*kept, values[-1] * 1.0]


def choose_shape(b: Builder, shapes: list[Any]) -> Any:
    return shapes[int(b.rng.integers(len(shapes)))]


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    b = Builder(seed)
    check(b, _random_program(b), tolerance=1e-4)
