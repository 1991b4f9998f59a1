"""Results that are written where they stay: by the reference executor as soon as they are computed,
by kernels with the batch innermost where a result shows that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import Builder, flat

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.reference.executor import execute
from flambeau.execute.reference.schedule import Schedule
from flambeau.ops import contraction, elementwise, view
from flambeau.ops.value import Value


def placed(b: Builder, results: list[Value], updates: list[tuple[int, Value]]) -> list[Any]:
    """The results' memory, filled by the reference executor; compared with new arrays."""
    program = b.program(list(map(flat, results)), updates)
    before = [array.copy() for _, array in b.bases]
    expected_bases = [array.copy() for array in before]
    expected = execute(program, expected_bases, [])
    into = [np.full(v.size, 7, v.dtype.numpy) for v in results]
    bases = [array.copy() for array in before]
    found, written = Schedule(program).compute(bases, [], None, into)
    for array, base in zip(bases, before, strict=True):
        np.testing.assert_array_equal(array, base)  # no base is written yet
    for base, array in written:
        bases[base][: array.size] = array
    for target, shown, wanted in zip(into, found, expected, strict=True):
        assert np.shares_memory(target, shown) or not target.size
        np.testing.assert_array_equal(target, wanted.ravel())
    for array, wanted in zip(bases, expected_bases, strict=True):
        np.testing.assert_array_equal(array, wanted)
    return into


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.bfloat16, dtypes.int64, dtypes.bool_])
def test_values_and_their_views(dtype: DType) -> None:
    """A value twice, views of one that is a result, results that others are made of."""
    b = Builder(dtype.name)
    x = b.random((6, 5), dtype)
    y = x + b.random((6, 5), dtype)
    turned = view.permute(y, order=(1, 0))
    placed(b, [y, turned, y, x, view.reshape(turned + turned, shape=(30,))], [])


def test_results_and_updates() -> None:
    """A base that is a result as it was, and one that takes what a result is."""
    b = Builder(3)
    x, y = b.random((40, 30)), b.random((40, 30))
    total = x + y
    old, new, both = placed(b, [x, total, total * y], [(0, flat(total)), (1, flat(total * y))])
    assert not np.array_equal(old, new) and not np.array_equal(new, both)


@pytest.mark.parametrize(
    "shapes", [((300, 700),) * 3, ((300, 700), (), (700,)), ((), (3, 1), (9**6,))]
)
def test_fma_of_large_operands(shapes: tuple[tuple[int, ...], ...]) -> None:
    """Some rows at a time: with one rounding, as all at once."""
    rng = np.random.default_rng(2)
    a, b, c = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    found = elementwise.fma.reference(a, b, c)
    wanted = (a.astype(np.float64) * b + c).astype(np.float32)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)


def images(b: Builder, batch: int) -> Value:
    """What a convolution of few channels gives, squared."""
    x, weights = b.random((batch, 1, 1, 10, 10)), b.random((1, 8, 1, 3, 3))
    found = contraction.conv(x, weights, strides=(1, 1), dilations=(1, 1))
    return view.reshape(found * found, shape=(batch, 8, 8, 8))


def turned(value: Value) -> Value:
    batch = value.shape[0]
    return view.permute(view.reshape(value, shape=(batch, value.size // batch)), order=(1, 0))


def labels(b: Builder, results: list[Value], updates: list[tuple[int, Value]]) -> list[str]:
    kernels = b.check(list(map(flat, results)), updates, tolerance=64.0).kernels
    return [kernel.label for kernel in kernels if "permute" in kernel.label]


def test_results_with_the_batch_innermost() -> None:
    """What lies so in memory is written to the result itself, and read there."""
    b = Builder(1)
    value = images(b, 32)
    product = contraction.dot(turned(value), b.random((32, 6)))
    assert not labels(b, [product, turned(value)], [])


@pytest.mark.parametrize("case", ["both", "twice", "few", "base", "other order"])
def test_results_that_are_turned_by_a_copy(case: str) -> None:
    b = Builder(case)
    value = images(b, 8 if case == "few" else 32)
    results, updates = [turned(value)], []
    if case == "both":
        results.append(value)
    elif case == "twice":
        results.append(turned(value))
    elif case == "base":
        b.random((value.size,))
        updates.append((2, flat(turned(value))))
    elif case == "other order":
        results = [view.permute(value, order=(2, 3, 0, 1))]
    labels(b, results, updates)
