"""Operands of several dtypes, with and without axes: PyTorch's dtype and numbers, or its error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from outcomes import check

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

DTYPES = ("float16", "bfloat16", "float32", "float64", "int64", "bool", "uint8", "complex64")
NOT_HERE = {frozenset(("float16", "complex64"))}  # the complex type of float16
CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "block_diag": lambda t, x, y: t.block_diag(x, y),
    "lerp": lambda t, x, y: t.lerp(x, y, 0.5),
    "lerp(weight)": lambda t, x, y: t.lerp(x, x, y),
    "vecdot": lambda t, x, y: t.linalg.vecdot(x, y),
    "dist": lambda t, x, y: t.dist(x, y),
    "clamp": lambda t, x, y: t.clamp(x, y, y),
    "clamp_min": lambda t, x, y: t.clamp_min(x, y),
    "add": lambda t, x, y: x + y,
    "where": lambda t, x, y: t.where(t.tensor([True, False, True]), x, y),
}
ROWS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "addr": lambda t, x, y: t.addr(x, y, y),
    "addr of three": lambda t, x, y: t.addr(x, x, y),
    "addr(alpha)": lambda t, x, y: t.addr(x, x, y, alpha=2.5),
    "addr(beta)": lambda t, x, y: t.addr(x, y, y, beta=0, alpha=2),
    "mean(dtype)": lambda t, x, y: x.mean(dtype=y.dtype),
}


def operand(t: Any, dtype: str, shape: tuple[int, ...]) -> Any:
    return t.tensor([3.3, 1.7, 2.2] if shape else 3.3).to(getattr(t, dtype))


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_two_dtypes(first: str, second: str) -> None:
    if {first, second} in NOT_HERE:
        pytest.skip("the complex type of float16")
    for name, call in CALLS.items():
        for shapes in (((), ()), ((), (3,)), ((3,), ()), ((3,), (3,))):

            def case(t: Any, F: Any, call: Any = call, shapes: Any = shapes) -> Any:
                return call(t, operand(t, first, shapes[0]), operand(t, second, shapes[1]))

            check(case, f"{name} {shapes}", rtol=1e-2 if "16" in first + second else 1e-5)
    for name, call in ROWS.items():

        def rows(t: Any, F: Any, call: Any = call) -> Any:
            return call(t, operand(t, first, (3,)), operand(t, second, (3,)))

        check(rows, name, rtol=1e-2 if "16" in first + second else 1e-5)


@pytest.mark.parametrize("first", ["float16", "float32", "complex64"])
@pytest.mark.parametrize("second", ["bfloat16", "float64", "int64", "bool", "complex64"])
def test_normal_numbers_have_the_dtype_of_the_mean(first: str, second: str) -> None:
    def case(t: Any, F: Any) -> Any:
        t.manual_seed(0)
        return t.normal(operand(t, first, (3,)), operand(t, second, (3,)))

    if {first, second} not in NOT_HERE:
        check(case, rtol=1e-2 if "16" in first + second else 1e-5)


PLACES = (-2000, -1100, -1074, -300, -149, -127, -1, 0, 1, 127, 128, 200, 1023, 1024, 2100, 10**9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int64"])
def test_ldexp_where_the_power_is_no_number(dtype: str) -> None:
    def case(t: Any, F: Any) -> Any:
        x = t.tensor([0.0, -0.0, 1.0, 1e-30, 3.3, -7e30]).to(getattr(t, dtype))
        return t.ldexp(x[:, None], t.tensor(PLACES)[None]) * 1

    for _ in range(3):  # in the reference executor, compiled, recognised
        check(case)


@pytest.mark.parametrize("name", ["sum", "mean"])
def test_half_types_of_what_they_cannot_hold(name: str) -> None:
    numbers = {"int16": [32767, 32765, -32768, 32767], "int32": [99999, -99999, 5, 70000]}
    for dtype, values in numbers.items():
        for half in ("float16", "bfloat16"):

            def case(t: Any, F: Any, dtype: str = dtype, half: str = half) -> Any:
                x = t.tensor(numbers[dtype], dtype=getattr(t, dtype))
                return getattr(x, name)(dtype=getattr(t, half))

            check(case, f"{name} of {dtype} {values} as {half}")


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_running_folds_are_kept_finer(name: str, dtype: str) -> None:
    for shape in ((1,), (7,), (1000,), (99, 6)):

        def case(t: Any, F: Any, shape: Any = shape) -> Any:
            numbers = np.random.default_rng(sum(shape)).standard_normal(shape)
            return getattr(t, name)(t.tensor(numbers).to(getattr(t, dtype)), 0)

        for _ in range(2):
            check(case, str(shape), rtol=1e-15 if name != "logcumsumexp" else 3e-7)


def test_half_types_in_covariances_of_many() -> None:
    def case(t: Any, F: Any) -> Any:
        x = t.linspace(-1, 1, 66000).reshape(1, -1).expand(2, -1).half()
        return [t.cov(x, correction=c) for c in (0, 1)]

    check(case, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_are_scattered_in_float32(dtype: str) -> None:
    for name in ("scatter_add", "sum"):

        def case(t: Any, F: Any, name: str = name) -> Any:
            numbers = np.abs(np.random.default_rng(0).standard_normal(20000)) + 0.1
            x = t.tensor(numbers).to(getattr(t, dtype))
            start, places = x.new_zeros(2), t.arange(20000) % 2
            if name == "scatter_add":
                return start.scatter_add(0, places, x)
            return start.scatter_reduce(0, places, x, name)

        for _ in range(3):  # in the reference executor, compiled, recognised
            check(case, name, rtol=1e-3 if dtype == "float16" else 1e-2)
