"""Products with a large operand or result, strip by strip, against the reference executor."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from against_reference import Builder, run

from flambeau.core import dtypes
from flambeau.execute.cpu import products
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.contraction import Axis, Contraction
from flambeau.execute.cpu.contraction_wide import wide_plan
from flambeau.execute.cpu.emit import vector_registers
from flambeau.execute.cpu.target import Target
from flambeau.execute.cpu.templates import TEMPLATES
from flambeau.ops import contraction, elementwise, reduction, view, window
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.value import Value

module = sys.modules["flambeau.execute.cpu.contraction_wide"]
WIDTHS = [bits for bits in (512, 256) if bits <= Target.host().vector_bits]
TURNS = [(False, False), (False, True), (True, False), (True, True)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small operands count as large."""
    for least in ("LARGE_BYTES", "LARGE_WITHOUT_UNIT"):
        monkeypatch.setattr(module, least, 0)
    for least in ("MANY_ROWS", "FROM_MEMORY"):
        monkeypatch.setattr(module, least, 0)
    wide_plan.cache_clear()
    TEMPLATES.known.clear()
    yield
    wide_plan.cache_clear()
    TEMPLATES.known.clear()


def operand(b: Builder, array: Any, turned: bool) -> Value:
    if not turned:
        return b.data(array, dtypes.float32)
    return swap_last(b.data(np.ascontiguousarray(array.T), dtypes.float32))


def in_strips(compiled: CompiledProgram) -> bool:
    return any("@strips(" in k.text for k in compiled.kernels)


# Rows, inner, columns: few rows, few columns, short sums; whole tiles and strips, and parts.
SIZES = [
    (32, 128, 1024),
    (40, 31, 700),
    (2, 70, 1027),
    (128, 32, 1027),
    (128, 32, 1088),
    (1003, 128, 32),
    (1009, 40, 48),
    (777, 17, 33),
    (897, 3, 64),
]
CASES = [(size, WIDTHS[0]) for size in SIZES] + [
    (size, bits) for size in SIZES[1::3] for bits in WIDTHS[1:]
]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("size", "bits"), CASES, ids=str)
def test_all_orders_in_memory(size: tuple[int, int, int], bits: int) -> None:
    rows, inner, columns = size
    rng = np.random.default_rng(sum(size))
    left = rng.standard_normal((rows, inner)).astype(np.float32)
    right = rng.standard_normal((inner, columns)).astype(np.float32)
    more = rng.standard_normal((rows, columns)).astype(np.float32)
    left[rows // 2, inner // 2], right[inner - 1, columns - 1] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        wanted = left.astype(np.float64) @ right.astype(np.float64) + more
    found = 0
    for turns in TURNS:
        for turned in {False, turns[0] == turns[1]}:
            b = Builder()
            result = dot(operand(b, left, turns[0]), operand(b, right, turns[1]))
            result = result + operand(b, more, False)
            program = b.program([swap_last(result) if turned else result])
            compiled = compile_program(program, vector_bits=bits)
            found += in_strips(compiled)
            (got,), _, code = run(compiled, program, [a for _, a in b.bases], [])
            assert code == 0
            expected = wanted.T if turned else wanted
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6 * inner)
    assert found >= 3


@pytest.mark.parametrize("columns", [2112, 2113])
def test_updates_in_place(columns: int) -> None:
    """A weight's gradient and its update, both larger than what counts as large; tiles that hand
    their results on themselves, and rows.
    """
    rows, inner = 130, 20
    b = Builder(f"updates {columns}")
    ct, x, weight = b.random((inner, rows)), b.random((inner, columns)), b.random((rows, columns))
    gradient = dot(swap_last(ct), x)
    compiled = b.check([gradient, weight - gradient * 0.1], tolerance=64.0)
    assert in_strips(compiled)


def test_nothing_to_add_and_nothing_to_compute() -> None:
    for sizes in ((0, 32, 9000), (32, 0, 9000), (32, 128, 0)):
        rows, inner, columns = sizes
        b = Builder()
        b.check([dot(b.random((rows, inner)), b.random((inner, columns)))])


@pytest.mark.parametrize("unit", [False, True])
def test_when(unit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large operands of few rows, not small ones, and not what the matrix unit does better."""
    monkeypatch.setattr(module, "has_matrix_unit", lambda: unit)
    wide_plan.cache_clear()
    bits = WIDTHS[0]

    def plan(rows: int, inner: int, columns: int) -> Any:
        axes = Axis("m", rows, inner, 0, columns), Axis("n", columns, 0, 1, 1)
        return wide_plan(Contraction((*axes, Axis("k", inner, 1, columns, 0))), bits)

    found = plan(32, 128, 16384)
    assert found is not None
    assert found.strip % found.tile_columns == 0
    assert (found.tile_rows + 1) * found.vectors < vector_registers(bits)
    assert plan(32, 128, 128) is None
    assert plan(512, 512, 512) is None
    assert plan(60000, 784, 16) is None and plan(8000, 64, 48) is None
    assert plan(8, 128, 16384) is None and plan(32, 200, 4000) is None
    assert (plan(512, 64, 784) is None) == (plan(512, 64, 256) is None) == unit
    wide_plan.cache_clear()


@pytest.mark.parametrize("parts", [1, 3])
def test_rows_far_apart(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of many inputs with the batch innermost: its sum is cut where no line begins."""
    plans = sys.modules["flambeau.execute.cpu.contraction_plan"]
    monkeypatch.setattr(plans, "_parts", lambda roles, choice: parts)
    TEMPLATES.known.clear()
    products._scratch_bytes.cache_clear()
    rng = np.random.default_rng(parts)
    x = rng.standard_normal((2055, 32)).astype(np.float32)
    weights = rng.standard_normal((40, 2055)).astype(np.float32)
    b = Builder()
    program = b.program([dot(operand(b, x.T, True), operand(b, weights.T, True))])
    compiled = compile_program(program)
    (got,), _, code = run(compiled, program, [a for _, a in b.bases], [])
    TEMPLATES.known.clear()
    assert code == 0
    np.testing.assert_allclose(got, x.T @ weights.T, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_gradients_of_few_channels_with_the_batch_innermost(channels: int) -> None:
    """A convolution, its pooling, and the gradients of weights and bias."""
    b = Builder(f"{channels}")
    x = b.random((20, 1, channels, 10, 9))
    padding = {"low": (0, 0, 0, 1, 1), "high": (0, 0, 0, 1, 1), "interior": (0,) * 5}
    padded = view.pad(x, value=0, **padding)
    image = contraction.conv(
        padded, b.random((1, 6, channels, 3, 3)), strides=(1, 1), dilations=(1, 1)
    )
    image = view.reshape(image, shape=(20, 6, 10, 9))
    windows: dict[str, Any] = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    pooled = window.max_pool(image, **windows)
    ct = elementwise.tanh(pooled)
    gradient = window.max_pool_gradient(image, ct, **windows)
    gradient = view.reshape(gradient, shape=(20, 1, 6, 10, 9))
    bias = reduction.sum_(gradient, axes=(0, 3, 4))
    weights = contraction.conv_weight_gradient(gradient, padded, (3, 3), (1, 1), (1, 1))
    assert b.check([pooled, bias, weights], tolerance=64.0).native


@pytest.mark.parametrize("steps", [(2, 2), (1, 2), (3, 1)])
def test_sums_of_scattered_cotangents(steps: tuple[int, int]) -> None:
    """Windows that overlap, leave places out, and have NaN; sums over all their axes or some."""
    b = Builder(f"{steps}")
    x = b.data(np.where(np.arange(300) % 17 == 0, np.nan, np.sin(np.arange(300.0))), dtypes.float32)
    image = view.reshape(x, shape=(3, 4, 5, 5))
    windows: dict[str, Any] = {"sizes": (2, 2), "steps": steps, "dilations": (1, 1)}
    ct = b.random(window.max_pool(image, **windows).shape)
    gradient = window.max_pool_gradient(image, ct, **windows)
    sums = [(0, 2, 3), (2, 3), (0, 1, 2, 3), (1, 3), (2,)]
    compiled = b.check([reduction.sum_(gradient, axes=axes) for axes in sums], tolerance=64.0)
    read = [v.inputs[0] for v in compiled.program.nodes() if v.primitive.name == "sum"]
    below = [x.inputs[0] if x.primitive.name == "reshape" else x for x in read]
    assert len(read) == len(sums)
    assert sum(x.primitive.name == "pool_scatter" for x in below) == 2  # those over some axes only
