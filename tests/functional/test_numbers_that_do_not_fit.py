"""Numbers that a dtype cannot hold, as bounds, weights, factors or choices: PyTorch's errors."""

from __future__ import annotations

from typing import Any

import pytest
from outcomes import check

from flambeau.functional.options import refuse_numbers, surely_fit

pytestmark = pytest.mark.parity

DTYPES = (
    *("uint8", "int8", "int16", "int32", "int64", "bool"),
    *("float16", "bfloat16", "float32", "float64", "complex64"),
)
INFINITY = float("inf")
NUMBERS: list[Any] = [
    *(300, -1, -200, 2.5, 1e5, 1e39, -1e39, 1e300, INFINITY, -INFINITY, float("nan"), True),
    *(2**31, 2**63 - 1, 65504, 65520, 70000),
]
IMAGINARY: list[Any] = [1j, 1e39j]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", NUMBERS + IMAGINARY, ids=str)
def test_where(dtype: str, number: Any) -> None:
    if number in IMAGINARY and dtype == "float16":
        pytest.skip("there is no complex type of float16")

    def values(t: Any) -> tuple[Any, Any]:
        return t.tensor([True, False, True]), t.zeros(3, dtype=getattr(t, dtype))

    for _ in range(2):  # recorded, recognised
        check(lambda t, F: t.where(*values(t), number))
        check(lambda t, F: t.where(values(t)[0], number, values(t)[1]))
        check(lambda t, F: t.where(values(t)[0], values(t)[1][0], number))
        check(lambda t, F: t.where(values(t)[0], number, 1))
        check(lambda t, F: t.where(values(t)[0], 1.5, number))
    check(lambda t, F: t.where(*values(t), number, out=t.zeros(3, dtype=getattr(t, dtype))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", NUMBERS + IMAGINARY, ids=str)
def test_index_add(dtype: str, number: Any) -> None:
    def rows(t: Any) -> tuple[Any, Any, Any]:
        kind = getattr(t, dtype)
        return t.zeros(3, 2, dtype=kind), t.tensor([1]), t.ones(1, 2, dtype=kind)

    def added(t: Any, name: str) -> Any:
        x, index, source = rows(t)
        return getattr(x, name)(0, index, source, alpha=number)

    check(lambda t, F: added(t, "index_add"))
    check(lambda t, F: added(t, "index_add_"))


GLANCED_AT: list[Any] = [*NUMBERS, -128, -129, 127, 127.0, 127.5, 128, 2.0, 2**24 + 1]
OF_NUMBERS = [(dtype, n) for dtype in DTYPES[6:10] for n in GLANCED_AT] + [
    (dtype, n) for dtype in DTYPES[:5] for n in GLANCED_AT if type(n) is not float
]


@pytest.mark.parametrize(("dtype", "number"), OF_NUMBERS, ids=str)
def test_bounds_weights_and_factors(dtype: str, number: Any) -> None:
    def three(t: Any) -> tuple[Any, Any, Any]:
        kind = getattr(t, dtype)
        return t.tensor([0, 1, 3]).to(kind), t.tensor([1, 1, 0]).to(kind), t.ones(3, dtype=kind)

    cases = (
        lambda t: three(t)[0].clamp(number, None),
        lambda t: three(t)[0].clamp(max=number),
        lambda t: three(t)[0].clamp_(1, number),
        lambda t: t.lerp(*three(t)[:2], number),
        lambda t: three(t)[0].lerp_(three(t)[1], number),
        lambda t: t.addcmul(*three(t), value=number),
        lambda t: three(t)[0].addcmul_(*three(t)[1:], value=number),
        lambda t: t.addcdiv(*three(t), value=number),
        lambda t: three(t)[0].addcdiv_(*three(t)[1:], value=number),
    )
    for case in cases:
        for _ in range(2):  # recorded, recognised
            check(lambda t, F, case=case: case(t))


def test_what_surely_fits_is_not_refused() -> None:
    import flambeau

    surely = 0
    for dtype in DTYPES:
        x = flambeau.ones(2, dtype=getattr(flambeau, dtype))
        assert not surely_fit(x, x), "a tensor is no number"
        for number in GLANCED_AT + IMAGINARY:
            if surely_fit(x, number, None):
                refuse_numbers((x, x), number)
                surely += 1
    assert surely > 80
    assert not surely_fit([1.0], 2.0), "a list is no tensor"


def test_default_dtypes() -> None:
    def case(t: Any, F: Any) -> Any:
        t.set_default_dtype(t.float64)
        try:
            return t.where(t.tensor([True, False]), 1e39, 2.5)
        finally:
            t.set_default_dtype(t.float32)

    check(case)
