"""Scans, sorts and scatters as kernels, against the reference executor."""

from __future__ import annotations

import numpy as np
import pytest
from against_reference import FLOATS, INTEGERS, Builder, run

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu.compiler import compile_program
from flambeau.ops import arithmetic as ar
from flambeau.ops import (
    contraction,
    elementwise,
    indexed,
    ordered,
    reduction,
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
