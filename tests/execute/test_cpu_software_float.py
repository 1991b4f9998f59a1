"""float16 and bfloat16 conversions, with and without the machine's instructions, against NumPy."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from flambeau.execute.cpu import software_float, target
from flambeau.execute.cpu.engine import Engine

HEAD = "define i64 @kernel(ptr %table, ptr %args, i64 %first, i64 %last)"


def word_function(address: int) -> Callable[[int, int, int, int], int]:
    word = ctypes.c_int64
    return ctypes.CFUNCTYPE(word, word, word, word, word)(address)


def converting_kernel(source: str, result: str) -> str:
    """table[1][i] = result(table[0][i]) for i in range(first, last)."""
    order = ["bfloat", "half", "float", "double"]
    opcode = "fpext" if order.index(source) < order.index(result) else "fptrunc"
    return f"""
{HEAD} {{
entry:
  %from = load ptr, ptr %table, align 8
  %slot = getelementptr ptr, ptr %table, i64 1
  %to = load ptr, ptr %slot, align 8
  br label %loop
loop:
  %i = phi i64 [ %first, %entry ], [ %i1, %loop ]
  %p = getelementptr {source}, ptr %from, i64 %i
  %x = load {source}, ptr %p, align 2
  %y = {opcode} {source} %x to {result}
  %q = getelementptr {result}, ptr %to, i64 %i
  store {result} %y, ptr %q, align 2
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %last
  br i1 %more, label %loop, label %end
end:
  ret i64 0
}}
"""


def to_bfloat_bits(x: np.ndarray) -> np.ndarray:
    """bfloat16 bits of float64 values by comparison with both neighbours."""
    with np.errstate(over="ignore"):
        single = x.astype(np.float32)
    low = single.view(np.uint32) >> 16 << 16
    low -= np.where(np.abs(low.view(np.float32)) > np.abs(x), 1 << 16, 0).astype(np.uint32)
    high = low + np.uint32(1 << 16)
    down = low.view(np.float32).astype(np.float64)
    up = high.view(np.float32).astype(np.float64)
    gap_down, gap_up = np.abs(x - down), np.abs(up - x)
    odd = (low >> 16) & 1 == 1
    return np.where((gap_up < gap_down) | ((gap_up == gap_down) & odd), high, low) >> 16


@pytest.mark.parametrize("name", ["host", "sse2", "avx2", "avx512"])
def test_conversions_of_16_bit_floats(name: str) -> None:
    host = target.Target.host()
    chosen = host if name == "host" else target.TARGETS[name]
    needed = {"avx2": "avx2", "avx512": "avx512bw"}.get(name)
    if not host.triple.startswith("x86_64-") or (needed and not host.has(needed)):
        pytest.skip("this machine cannot run that code")
    loader = Engine(chosen, None)

    def convert(source: str, result: str, x: np.ndarray, kind: type) -> np.ndarray:
        ((address,),) = loader.load([converting_kernel(source, result)], ("kernel",))
        out = np.empty(x.shape, kind)
        table = np.array([x.ctypes.data, out.ctypes.data], np.int64)
        assert word_function(address)(table.ctypes.data, 0, 0, x.size) == 0
        return out

    halves = np.arange(65536).astype(np.uint16).view(np.float16)
    singles = convert("half", "float", halves, np.float32)
    np.testing.assert_array_equal(singles, halves.astype(np.float32))
    draw = np.random.default_rng(5)
    finite = halves[np.isfinite(halves)]
    ties = (np.nextafter(finite, np.float16(9)).astype(np.float64) + finite) / 2
    wide = draw.standard_normal(20000) * 2.0 ** draw.integers(-30, 20, 20000)
    x = np.concatenate([ties, ties * (1 + 2.0**-40), ties * (1 - 2.0**-40), wide])
    with np.errstate(over="ignore", invalid="ignore"):
        y = x.astype(np.float32)
        np.testing.assert_array_equal(convert("double", "half", x, np.float16), x.astype("f2"))
        np.testing.assert_array_equal(convert("float", "half", y, np.float16), y.astype("f2"))
    tops = draw.integers(0x0100, 0x7F00, 5000).astype(np.uint32) << 16
    exact = tops.view(np.float32).astype(np.float64)
    between = (tops | 0x8000).view(np.float32).astype(np.float64)
    z = np.concatenate([exact, between, between * (1 + 2.0**-45), -between * (1 - 2.0**-45)])
    bits = convert("double", "bfloat", z, np.uint16)
    np.testing.assert_array_equal(bits, to_bfloat_bits(z))
    single = z.astype(np.float32)
    bits = convert("float", "bfloat", single, np.uint16)
    np.testing.assert_array_equal(bits, to_bfloat_bits(single.astype(np.float64)))
    nan = convert("float", "bfloat", np.array([np.nan, np.inf, -np.inf, 3.4e38], "f4"), np.uint16)
    assert nan[0] & 0x7FFF > 0x7F80
    assert nan[1:].tolist() == [0x7F80, 0xFF80, 0x7F80]


def test_the_functions_themselves() -> None:
    """Whatever instructions the machine has: the double -> bfloat16 path of the software."""
    text = (
        software_float.TEXT
        + f"""
{HEAD} {{
  %x = load double, ptr %table, align 8
  %y = call bfloat @__truncdfbf2(double %x)
  %z = call half @__truncdfhf2(double %x)
  %w = call float @__extendhfsf2(half %z)
  %q = getelementptr double, ptr %table, i64 1
  store bfloat %y, ptr %q, align 2
  %r = getelementptr double, ptr %table, i64 2
  store float %w, ptr %r, align 4
  ret i64 0
}}
"""
    )
    ((address,),) = Engine(target.Target.host(), None).load([text], ("kernel",))
    function = word_function(address)
    draw = np.random.default_rng(6)
    values = draw.standard_normal(500) * 2.0 ** draw.integers(-28, 18, 500)
    for value in [*values, 1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-8 + 2.0**-50, 0.0, -0.0, np.inf]:
        table = np.array([value, 0.0, 0.0])
        assert function(table.ctypes.data, 0, 0, 1) == 0
        bits = to_bfloat_bits(np.array([value])) if np.isfinite(value) else [0x7F80]
        assert table[1:2].view(np.uint16)[0] == bits[0]
        with np.errstate(over="ignore"):
            expected = np.float32(np.float64(value).astype(np.float16))
        np.testing.assert_array_equal(table[2:3].view(np.float32)[0], expected)
