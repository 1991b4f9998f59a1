"""Products on the matrix unit: as exact as float32 arithmetic, in all forms and for all values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from against_reference import Builder, run

from flambeau.core import dtypes
from flambeau.core.dtypes import DType, float32_from_bfloat16
from flambeau.execute.cpu import pool
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.contraction import Axis, Contraction
from flambeau.execute.cpu.matrix_plan import as_matrices
from flambeau.execute.cpu.target import has_matrix_unit
from flambeau.ops import view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.elementwise import tanh
from flambeau.ops.value import Value

needs_unit = pytest.mark.skipif(not has_matrix_unit(), reason="this CPU has no matrix unit")
module = sys.modules["flambeau.execute.cpu.matrix_plan"]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever the unit can compute, it does."""
    module.matrix_plan.cache_clear()
    monkeypatch.setattr(module, "ADVANTAGE", 1e9)
    yield
    module.matrix_plan.cache_clear()


def product(
    b: Builder, left: Any, right: Any, turned: tuple[bool, bool], dtype: DType = dtypes.float32
) -> Value:
    """left @ right of arrays; a turned operand lies transposed in memory."""
    operands = []
    for array, turn in zip((left, right), turned, strict=True):
        stored = b.data(np.swapaxes(array, -1, -2) if turn else array, dtype)
        operands.append(swap_last(stored) if turn else stored)
    return dot(*operands)


def compiled_product(
    left: Any,
    right: Any,
    turned: tuple[bool, bool] = (False, False),
    dtype: DType = dtypes.float32,
) -> tuple[Any, CompiledProgram]:
    b = Builder()
    program = b.program([product(b, left, right, turned, dtype)])
    compiled = compile_program(program)
    results, _, code = run(compiled, program, [a for _, a in b.bases], [])
    assert code == 0
    return results[0], compiled


def on_unit(compiled: CompiledProgram) -> bool:
    return any("tdpbf16ps" in k.text for k in compiled.kernels)


# Rows, inner, columns: of whole blocks, of parts of blocks, long and deep.
SIZES = [
    (64, 64, 64),
    (33, 70, 45),
    (48, 31, 97),
    (17, 300, 16),
    (320, 64, 48),
    (300, 130, 40),
    (96, 700, 72),
    (130, 517, 33),
    (70, 190, 1000),
    (20, 260, 720),
]
TURNS = [(False, False), (False, True), (True, False), (True, True)]


@needs_unit
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("turned", TURNS)
@pytest.mark.parametrize("size", SIZES)
def test_as_exact_as_float32(size: tuple[int, int, int], turned: tuple[bool, bool]) -> None:
    """The error is no larger than that of adding the rounded products one after another."""
    rows, inner, columns = size
    rng = np.random.default_rng(sum(size))
    left = rng.standard_normal((rows, inner)).astype(np.float32)
    right = rng.standard_normal((inner, columns)).astype(np.float32)
    result, compiled = compiled_product(left, right, turned)
    assert on_unit(compiled)
    exact = left.astype(np.float64) @ right.astype(np.float64)
    plain = np.zeros_like(result)
    for k in range(inner):
        plain += left[:, k, None] * right[None, k]

    def error(x: Any) -> Any:
        return np.sqrt(np.mean((x - exact) ** 2))

    assert error(result) <= 1.05 * error(plain)
    np.testing.assert_allclose(result, exact, rtol=1e-6, atol=1e-5 * np.sqrt(inner))


def as_bfloat16(x: Any) -> Any:
    """float32 numbers that bfloat16 has."""
    return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@needs_unit
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("turned", TURNS)
@pytest.mark.parametrize("size", SIZES)
def test_bfloat16_is_added_in_float32(
    size: tuple[int, int, int], turned: tuple[bool, bool]
) -> None:
    """The result is the exact one, rounded once (in float32 before, which may be half way)."""
    rows, inner, columns = size
    rng = np.random.default_rng(sum(size))
    left = as_bfloat16(rng.standard_normal((rows, inner)))
    right = as_bfloat16(rng.standard_normal((inner, columns)))
    left[1, 2], right[3, 1] = np.inf, np.nan
    result, compiled = compiled_product(left, right, turned, dtypes.bfloat16)
    assert on_unit(compiled)
    with np.errstate(all="ignore"):
        exact = left.astype(np.float64) @ right.astype(np.float64)
    result = float32_from_bfloat16(result.reshape(rows, columns))
    np.testing.assert_allclose(result, exact, rtol=2**-8 + 1e-5, atol=1e-5 * np.sqrt(inner))


SPECIAL = [np.inf, -np.inf, np.nan, 3e38, 1e-38, 1e-42, -1e-30, 2e25, 0.0, -0.0]


@needs_unit
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("turned", TURNS)
@pytest.mark.parametrize("size", [(64, 40, 64), (40, 600, 40), (64, 190, 1000), (300, 70, 90)])
@pytest.mark.parametrize("special", SPECIAL)
def test_special_values(
    special: float, size: tuple[int, int, int], turned: tuple[bool, bool]
) -> None:
    rows, inner, columns = size
    rng = np.random.default_rng(7)
    left = rng.standard_normal((rows, inner)).astype(np.float32)
    right = rng.standard_normal((inner, columns)).astype(np.float32)
    left[3, 5] = left[35, inner - 1] = special
    right[7, 2] = right[8] = np.float32(special)
    result, compiled = compiled_product(left, right, turned)
    assert on_unit(compiled)
    with np.errstate(all="ignore"):
        exact = (left.astype(np.float64) @ right.astype(np.float64)).astype(np.float32)
        scale = np.abs(left).astype(np.float64) @ np.abs(right).astype(np.float64)
    known = np.isfinite(exact) & np.isfinite(result)
    large = scale > 1e38  # a partial sum may overflow on the way
    np.testing.assert_array_equal(result[~large & ~known], exact[~large & ~known])
    assert np.all(np.abs(result[known] - exact[known]) <= 1e-6 * scale[known])


@needs_unit
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("factors", [(1e-20, 1e-20), (1e-25, 1e10), (1e-38, 1.0), (1e18, 1e18)])
def test_small_and_large_numbers_keep_their_precision(factors: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    left = (rng.uniform(1, 2, (64, 64)) * factors[0]).astype(np.float32)
    right = (rng.uniform(1, 2, (64, 64)) * factors[1]).astype(np.float32)
    result, compiled = compiled_product(left, right)
    assert on_unit(compiled)
    exact = left.astype(np.float64) @ right.astype(np.float64)
    np.testing.assert_allclose(result, exact, rtol=2e-6, atol=64 * 1.5e-45)


@needs_unit
@pytest.mark.usefixtures("always")
def test_batches_and_strides() -> None:
    rng = np.random.default_rng(5)
    b = Builder()
    heads = b.data(rng.standard_normal((3, 40, 4, 48)), dtypes.float32)
    q, k = (view.permute(x, order=(0, 2, 1, 3)) for x in (heads, heads))
    scores = dot(q, swap_last(k))
    mixed = view.permute(dot(scores, q), order=(0, 2, 1, 3))
    compiled = b.check([scores, view.reshape(mixed, shape=(120, 192))], tolerance=40)
    assert on_unit(compiled)


@needs_unit
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("size", [(32, 128, 512), (640, 256, 256), (256, 1300, 256)])
def test_threads_do_not_change_results(size: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(1)
    left = rng.standard_normal(size[:2]).astype(np.float32)
    right = rng.standard_normal(size[1:]).astype(np.float32)
    found = []
    before = pool.get_num_threads()
    try:
        for threads in (1, 2, 3):
            pool.set_num_threads(threads)
            result, compiled = compiled_product(left, right)
            found.append(result.tobytes())
    finally:
        pool.set_num_threads(before)
    assert compiled.parallel
    assert len(set(found)) == 1


@needs_unit
@pytest.mark.usefixtures("always")
def test_a_weight_is_packed_once() -> None:
    b = Builder()
    state = b.random((32, 96))
    weight = b.data(b.rng.standard_normal((96, 96)) / 10, dtypes.float32)
    for _ in range(5):
        state = tanh(dot(state, weight))
    compiled = b.check([state], tolerance=200)
    packed = [k.label for k in compiled.kernels if k.label.startswith("pack [96]")]
    assert len(packed) == 1


def test_what_is_a_matrix_product() -> None:
    """Joined loops are one; the vectors of a result run along its rows in memory."""
    m, n, k = Axis("m", 6, 64, 0, 1), Axis("n", 32, 0, 1, 6), Axis("k", 64, 1, 32, 0)
    plan = as_matrices(Contraction((m, n, k)))
    assert plan is not None
    assert (plan.left.number, plan.right.number) == (1, 0)
    batch = Axis("m", 5, 6 * 64, 0, 6)
    plan = as_matrices(Contraction((batch, m, n, k)))
    assert plan is not None
    assert plan.outer == (0,)  # 6 rows are no whole number of vectors
    scattered = Axis("k", 64, 3, 5, 0)
    assert as_matrices(Contraction((m, n, scattered))) is None
