"""Convolutions on the matrix unit: all forms, and as exact as float32 arithmetic."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from against_reference import Builder, run

from flambeau.core import dtypes
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.target import has_matrix_unit
from flambeau.ops import contraction, elementwise, view
from flambeau.ops.value import Value

needs_unit = pytest.mark.skipif(not has_matrix_unit(), reason="this CPU has no matrix unit")
pytestmark = [needs_unit, pytest.mark.usefixtures("always")]
module = sys.modules["flambeau.execute.cpu.image_plan"]
gradients = sys.modules["flambeau.execute.cpu.gradient_plan"]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever the unit can compute, it does."""
    module.cheapest.cache_clear()
    monkeypatch.setattr(module, "ADVANTAGE", 1e9)
    monkeypatch.setattr(module, "MATRIX_FLOPS", 0)
    monkeypatch.setattr(module, "LEAST_CHANNELS", 3)
    monkeypatch.setattr(gradients, "ADVANTAGE", 1e9)
    monkeypatch.setattr(gradients, "LEAST_FLOPS", 0)
    monkeypatch.setattr(gradients, "LEAST_SIDE", 16)
    gradients.cheapest.cache_clear()
    yield
    module.cheapest.cache_clear()
    gradients.cheapest.cache_clear()


def on_unit(compiled: CompiledProgram) -> int:
    return sum("pack.strip" in k.text for k in compiled.kernels)


def padded(x: Value, low: tuple[int, ...], high: tuple[int, ...]) -> Value:
    lead = (0,) * (x.ndim - len(low))
    return view.pad(x, low=lead + low, high=lead + high, interior=(0,) * x.ndim, value=0)


CASES = [
    # channels, groups, outs, space, kernel, low, high, strides, dilations
    (32, 1, 32, (8, 32), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)),
    (40, 1, 50, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)),
    (24, 1, 16, (9, 20), (3, 3), (1, 1), (1, 1), (2, 2), (1, 1)),
    (70, 1, 33, (14, 14), (3, 3), (2, 2), (2, 2), (1, 1), (2, 2)),
    (64, 2, 64, (6, 45), (3, 2), (1, 0), (0, 2), (1, 3), (1, 2)),
    (33, 1, 40, (15, 13), (1, 1), (0, 0), (0, 0), (2, 2), (1, 1)),
    (32, 1, 96, (5, 17), (1, 1), (0, 0), (0, 0), (1, 1), (1, 1)),
    (3, 1, 20, (21, 30), (7, 7), (3, 3), (3, 3), (2, 2), (1, 1)),
    (32, 1, 17, (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), (1, 1)),
    (31, 1, 18, (50,), (5,), (2,), (2,), (1,), (1,)),
]


@pytest.mark.parametrize("batch", [1, 3, 16, 37])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_forms(case: Any, batch: int) -> None:
    channels, groups, outs, space, kernel, low, high, strides, dilations = case
    if batch == 37 and len(space) == 2 and space[0] * space[1] > 200:
        batch = 18
    b = Builder(f"{case}{batch}")
    x = b.random((batch, groups, channels // groups, *space))
    y = elementwise.tanh(x) * 2.0  # computed, not an input
    w = b.random((groups, outs // groups, channels // groups, *kernel))
    attrs = {"strides": strides, "dilations": dilations}
    results = []
    for image in (x, y):
        result = contraction.conv(padded(image, low, high), w, **attrs)
        results.append(elementwise.maximum(result, result * 0.5))
    compiled = b.check(results, tolerance=64.0)
    assert on_unit(compiled) == 2 or (batch > 16 and max(strides) > 1), [
        k.label for k in compiled.kernels
    ]
    whole = padded(y, low, high)
    out = contraction.conv(whole, w, **attrs)
    ct = out * 0.5 + 1.0
    dx = contraction.conv_input_gradient(ct, w, whole.shape[3:], **attrs)
    dx = view.slice_(dx, starts=(0, 0, 0, *low), sizes=x.shape, steps=(1,) * x.ndim)
    b.check([out, dx], tolerance=64.0)


def gradient_kernels(compiled: CompiledProgram) -> int:
    return sum("pack.left" in k.text for k in compiled.kernels)


GRADIENTS = [
    # channels, outs, space, kernel, low, high, strides, dilations
    (32, 32, (8, 32), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)),
    (48, 50, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)),
    (32, 17, (9, 20), (3, 3), (1, 1), (1, 1), (2, 2), (1, 1)),
    (80, 33, (14, 14), (3, 3), (2, 2), (2, 2), (1, 1), (2, 2)),
    (64, 100, (15, 13), (1, 1), (0, 0), (0, 0), (2, 2), (1, 1)),
    (32, 96, (6, 45), (3, 2), (1, 0), (0, 2), (1, 3), (1, 2)),
    (32, 40, (50,), (5,), (2,), (2,), (1,), (1,)),
]


@pytest.mark.parametrize("batch", [1, 3, 16, 32])
@pytest.mark.parametrize("case", GRADIENTS, ids=str)
def test_weight_gradients(case: Any, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MATRIX_FLOPS", 1 << 60)  # not as convolutions
    channels, outs, space, kernel, low, high, strides, dilations = case
    b = Builder(f"{case}{batch}")
    x = elementwise.tanh(b.random((batch, 1, channels, *space)))
    w = b.random((1, outs, channels, *kernel))
    attrs = {"strides": strides, "dilations": dilations}
    whole = padded(x, low, high)
    out = contraction.conv(whole, w, **attrs)
    ct = elementwise.tanh(out * 0.02)
    dw = contraction.conv_weight_gradient(ct, whole, kernel, **attrs)
    compiled = b.check([dw, w - dw * 0.5], tolerance=1024.0)
    labels = [k.label for k in compiled.kernels]
    assert gradient_kernels(compiled) or (batch == 16 and max(strides) > 1), labels


def convolved(x: Any, w: Any) -> tuple[Any, CompiledProgram]:
    b = Builder()
    operands = [b.data(array, dtypes.float32) for array in (x, w)]
    images = padded(operands[0], (1, 1), (1, 1))
    program = b.program([contraction.conv(images, operands[1], strides=(1, 1), dilations=(1, 1))])
    compiled = compile_program(program)
    results, _, code = run(compiled, program, [a for _, a in b.bases], [])
    assert code == 0
    return results[0], compiled


def exactly(x: Any, w: Any) -> Any:
    """The 3 x 3 convolution of padded images, in float64."""
    wide = np.pad(x.astype(np.float64), [(0, 0)] * 3 + [(1, 1)] * 2)
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(3, 4))
    return np.einsum("ngcyxij,gocij->ngoyx", windows, w.astype(np.float64))


def arrays(batch: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(batch)
    x = rng.standard_normal((batch, 1, 48, 9, 11)).astype(np.float32)
    return x, rng.standard_normal((1, 40, 48, 3, 3)).astype(np.float32)


@pytest.mark.parametrize("batch", [2, 32])
def test_as_exact_as_float32(batch: int) -> None:
    x, w = arrays(batch)
    result, compiled = convolved(x, w)
    assert on_unit(compiled)
    exact = exactly(x, w)
    plain = np.zeros_like(result)
    wide = np.pad(x, [(0, 0)] * 3 + [(1, 1)] * 2)
    for i, j, c in np.ndindex(3, 3, 48):
        plain += wide[:, :, c, None, i : i + 9, j : j + 11] * w[:, :, c, i, j, None, None]

    def error(r: Any) -> Any:
        return np.sqrt(np.mean((r - exact) ** 2))

    assert error(result) <= 1.05 * error(plain)


@pytest.mark.parametrize("batch", [2, 16])
@pytest.mark.parametrize("special", [np.inf, np.nan, 3e38, 1e-42, -1e-30, 2e25])
@pytest.mark.parametrize("where", ["image", "weights"])
def test_special_values(special: float, batch: int, where: str) -> None:
    x, w = arrays(batch)
    (x if where == "image" else w)[0, 0, 7, 2, 1] = special
    result, compiled = convolved(x, w)
    assert on_unit(compiled)
    with np.errstate(all="ignore"):
        exact = exactly(x, w).astype(np.float32)
        scale = exactly(np.abs(x), np.abs(w))
    known = np.isfinite(exact) & np.isfinite(result)
    large = scale > 1e38
    np.testing.assert_array_equal(result[~large & ~known], exact[~large & ~known])
    assert np.all(np.abs(result[known] - exact[known]) <= 1e-6 * scale[known])
