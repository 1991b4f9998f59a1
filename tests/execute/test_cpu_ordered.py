"""Scans, sorts and scatters as kernels, against the reference executor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import FLOATS, INTEGERS, Builder, run

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.sorts import MOST_SELECTED, insertions
from flambeau.functional.rearranging import part
from flambeau.ops import arithmetic as ar
from flambeau.ops import (
    contraction,
    elementwise,
    indexed,
    ordered,
    reduction,
    source,
    view,
)

# ---- scans and sorts -----------------------------------------------------------------------------

SHAPES_AND_AXES = [((1,), 0), ((0, 3), 0), ((3, 0), 0), ((7,), 0), ((300,), 0)]
SHAPES_AND_AXES += [((5, 33), 0), ((5, 33), 1), ((4, 1, 9), 1), ((3, 70, 18), 1), ((2, 3, 5), 2)]


@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES, ids=str)
@pytest.mark.parametrize("dtype", (*FLOATS, *INTEGERS, dtypes.bool_), ids=lambda d: d.name)
def test_scans(dtype: DType, shape: tuple[int, ...], axis: int) -> None:
    b = Builder(f"scan{dtype.name}{shape}{axis}")
    x = b.random(shape, dtype)
    if dtype.itemsize == 2 and dtype.kind == "f":
        # Sums that a half type holds exactly: the reference rounds at every step.
        x = ar.cast(ar.cast(x * 2.0, dtypes.int8), dtype)
    results = [ordered.cumsum(x, axis=axis), ordered.cum_argmax(x, axis=axis)]
    results.append(ordered.cum_argmin(x, axis=axis))
    if dtype.kind == "i" or dtype.itemsize >= 4:
        results.append(ordered.cumprod(x, axis=axis))
    if dtype.kind == "f" and dtype.itemsize >= 4:
        results.append(ordered.logcumsumexp(elementwise.neg(x), axis=axis))
    compiled = b.check(results, tolerance=16.0)
    assert compiled.native


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_scans_of_special_numbers(dtype: DType) -> None:
    b = Builder(dtype.name)
    numbers = [[1.0, np.inf, 2.0, -np.inf, 3.0], [1.0, np.nan, 2.0, np.nan, np.inf]]
    numbers += [[-0.0, -0.0, 0.0, 1.0, 1.0], [-np.inf, -np.inf, 1.0, 1.0, -np.inf]]
    x = b.data(numbers, dtype)
    names = ("cumsum", "cumprod", "cum_argmax", "cum_argmin", "logcumsumexp")
    results = [getattr(ordered, name)(x, axis=axis) for name in names for axis in (0, 1)]
    sign = elementwise.copysign(ar.full_like(x, 1.0), results[0])
    b.check([*results, ar.where(elementwise.eq(results[0], results[0]), sign, x * 0.0)])


@pytest.mark.parametrize("dtype", (*FLOATS, *INTEGERS, dtypes.bool_), ids=lambda d: d.name)
@pytest.mark.parametrize("length", [64, 67, 150, 1003])
def test_running_extrema_of_long_rows(dtype: DType, length: int) -> None:
    """Vectors along the axis: where the places of the extrema lie, ties, NaN, infinities, zeros."""
    b = Builder(f"{dtype.name}{length}")
    draws = np.random.default_rng(length)
    rows: list[Any] = [draws.standard_normal(length) * scale for scale in (0.3, 3.0, 100.0)]
    rows = [np.round(row) for row in rows]
    rows += [np.arange(length) * 1.0, -np.arange(length) * 1.0, np.zeros(length)]
    if dtype.kind == "f":
        rows += [np.where(draws.random(length) < 0.5, 0.0, -0.0), np.full(length, -np.inf)]
        rows += [np.full(length, np.inf), draws.standard_normal(length) * 1e-40]
        for place in (0, 1, 15, 16, 40, length - 1):
            row = draws.standard_normal(length)
            row[place] = np.nan
            row[-place // 2] = -np.nan
            rows.append(row)
    else:
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype.numpy).min, None)
        high = np.iinfo(dtype.numpy).max if high is None else high
        rows = [np.clip(row, low, high) for row in rows]
        rows += [np.full(length, low), draws.choice([low, high], length)]
    kind = np.float32 if dtype.kind == "f" and dtype.itemsize == 2 else dtype.numpy
    table = np.stack([row.astype(kind) for row in rows])
    x = b.data(table.tolist(), dtype)
    found = [ordered.cum_argmax(x, axis=1), ordered.cum_argmin(x, axis=1)]
    turned = view.permute(x, order=(1, 0))
    found += [ordered.cum_argmax(turned, axis=0), ordered.cum_argmin(x * x, axis=1)]
    compiled = b.check(found)
    assert compiled.native


def test_running_extrema_as_one_by_one() -> None:
    draws = np.random.default_rng(3)
    x = np.round(draws.standard_normal((6, 40)) * 2)
    x[1, 7] = x[2, 0] = x[3, 39] = x[4, 5] = x[4, 20] = np.nan
    for primitive, better in (
        (ordered.cum_argmax, np.greater_equal),
        (ordered.cum_argmin, np.less_equal),
    ):
        found = primitive.reference(x, axis=1)
        for row, places in zip(x, found):
            best = 0
            for at, number in enumerate(row):
                if np.isnan(number) or (not np.isnan(row[best]) and better(number, row[best])):
                    best = at
                assert places[at] == best


@pytest.mark.parametrize(
    ("shape", "axis"), [*SHAPES_AND_AXES, ((), 0), ((2, 5000), 1), ((64,), 0)], ids=str
)
@pytest.mark.parametrize("dtype", (*FLOATS, *INTEGERS, dtypes.bool_), ids=lambda d: d.name)
def test_sorts(dtype: DType, shape: tuple[int, ...], axis: int) -> None:
    b = Builder(f"sort{dtype.name}{shape}{axis}")
    x = b.random(shape, dtype)
    if dtype.kind == "f":
        x = ar.where(x > 1.2, ar.full_like(x, np.nan), elementwise.round_(x * 4.0))
        x = ar.where(ar.eq(x, 1.0), ar.full_like(x, -np.inf), x)
    up = ordered.argsort(x, axis=axis, descending=False)
    down = ordered.argsort(x, axis=axis, descending=True)
    compiled = b.check([up, down, down + 1])
    assert compiled.native


FRONTS = [(65, 1), (1000, 10), (1003, 16), (5000, 64), (200, 150)]
KEYS = [dtypes.BY_NAME[n] for n in "float32 float64 bfloat16 int16 int64 bool".split()]


@pytest.mark.parametrize(("extent", "first"), FRONTS, ids=str)
@pytest.mark.parametrize("dtype", KEYS, ids=lambda d: d.name)
def test_fronts_of_sorts(dtype: DType, extent: int, first: int) -> None:
    b = Builder(f"front{dtype.name}{extent}{first}")
    x = b.random((3, extent), dtype)
    if dtype.kind == "f":
        x = ar.where(x > 1.2, ar.full_like(x, np.nan), elementwise.round_(x * 4.0))
    row = view.reshape(source.iota(size=extent), shape=(1, extent))
    climbing = ar.cast(view.expand(row, shape=(2, extent)), dtype)
    rows = [x, climbing, view.flip(climbing, axes=(1,)), ar.full_like(climbing, 1)]
    fronts = [
        part(ordered.argsort(r, axis=1, descending=down, first=first), 1, 0, first)
        for r in rows
        for down in (False, True)
    ]
    compiled = b.check([*fronts, fronts[0] + 1])
    assert compiled.native


def test_rows_that_climb_are_sorted_after_all() -> None:
    assert insertions(10, 1000) > 0
    assert insertions(1, 65) > 0
    assert insertions(100, 1000) == 0, "random rows would have too many"
    assert insertions(MOST_SELECTED + 1, 1 << 30) == 0
    assert insertions(0, 1000) == 0


@pytest.mark.parametrize("strides", [(3, 1), (1, 1), (0, 2), (0, 0), (1, 4), (5, 0)], ids=str)
def test_sums_at_the_places_of_a_layout(strides: tuple[int, int]) -> None:
    b = Builder(str(strides))
    x, n = b.random((4, 19)), b.random((4, 19), dtypes.int32)
    sums = [view.strided_sum(v * 2, size=120, strides=strides, offset=3) for v in (x, n)]
    compiled = b.check([*sums, sums[0] + 1.0])
    assert compiled.native


def test_indices_into_equal_rows_are_checked() -> None:
    b = Builder()
    index = b.data([0, 3, 2], dtypes.int64)
    ones = ar.full((4, 5), 1.0, dtypes.float32)
    same = view.expand(b.random((1, 5)), shape=(4, 5))
    rows = [indexed.take(x, index, what="index") for x in (ones, same)]
    b.check(rows)
    for row in rows:
        program = b.program([row])
        bases = [np.array([0, 9, 2]), b.bases[1][1]]
        _, _, code = run(compile_program(program), program, bases, [])
        assert code != 0


def test_products_of_empty_operands() -> None:
    b = Builder()
    for left, right in [((2, 0, 3), (2, 3, 4)), ((2, 3, 0), (2, 0, 4)), ((2, 3, 4), (2, 4, 0))]:
        b.check([contraction.dot(b.random(left), b.random(right))])
    x = view.reshape(b.random((2, 0, 3)), shape=(0, 6))
    b.check([view.reshape(contraction.dot(x, b.random((6, 4))), shape=(2, 0, 4))])
    b.check([view.reshape(x + 1.0, shape=(3, 0, 5)), reduction.sum_(x, axes=(0,))])
