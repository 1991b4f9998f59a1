"""Integers at the ends of their dtypes: division by -1, shifts by more than there are bits, powers,
sums that wrap around, in place and out of place. PyTorch's numbers, or its errors.

(PyTorch's own process ends at MIN / -1 rounded towards zero, and in `lcm`: those are left out.)
"""

from __future__ import annotations

from typing import Any

import pytest
from outcomes import check

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

EDGES = {
    "int64": (-(2**63), -(2**63) + 1, -7, -2, -1, 0, 1, 2, 3, 7, 63, 64, 65, 2**62, 2**63 - 1),
    "int32": (-(2**31), -7, -2, -1, 0, 1, 2, 3, 31, 32, 33, 2**31 - 1),
    "int16": (-(2**15), -7, -1, 0, 1, 2, 3, 15, 16, 17, 2**15 - 1),
    "int8": (-128, -7, -1, 0, 1, 2, 3, 7, 8, 9, 127),
    "uint8": (0, 1, 2, 3, 7, 8, 9, 127, 128, 255),
    "bool": (0, 1),
}
OPS = (
    "add sub mul div pow maximum bitwise_and bitwise_xor bitwise_left_shift bitwise_right_shift eq "
    "lt logical_and"
).split()
DIVISIONS = ("floor_divide", "remainder", "fmod", "div")
NUMBERS = (0, 1, -1, 2, -2, 3, 7, 31, 63, 64, 300, True, 0.5, -0.5)
IN_PLACE = (
    "add_ sub_ mul_ pow_ floor_divide_ remainder_ bitwise_and_ __ilshift__ __irshift__"
).split()
FOLDS = (
    "sum prod cumsum cumprod amax amin all any var std median logsumexp count_nonzero mode"
).split()


def edges(t: Any, dtype: str, without: tuple[int, ...] = ()) -> Any:
    numbers = [n for n in EDGES[dtype] if n not in without]
    return t.tensor(numbers, dtype=getattr(t, dtype))


@pytest.mark.parametrize("dtype", EDGES)
def test_two_tensors(dtype: str) -> None:
    for name in OPS:
        for _ in range(2):
            check(
                lambda t, F, n=name: getattr(t, n)(edges(t, dtype)[:, None], edges(t, dtype)[None]),  # type: ignore[misc]
                name,
                rtol=1e-6,
            )
    for name in DIVISIONS:
        check(
            lambda t, F, n=name: getattr(t, n)(edges(t, dtype)[:, None], edges(t, dtype, (0,))),  # type: ignore[misc]
            name,
            rtol=1e-6,
        )


@pytest.mark.parametrize("dtype", EDGES)
def test_divided_towards_zero(dtype: str) -> None:
    for _ in range(3):  # in the reference executor, compiled, recognised
        check(
            lambda t, F: t.div(
                edges(t, dtype, EDGES[dtype][:1])[:, None],
                edges(t, dtype, (0,)),
                rounding_mode="trunc",
            )
        )
        for number in (1, 2, 3, -7):
            check(lambda t, F, n=number: t.div(edges(t, dtype), n, rounding_mode="trunc"))  # type: ignore[misc]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_the_least_integer_divided_by_minus_one_is_itself(dtype: str) -> None:
    least = EDGES[dtype][0]
    for _ in range(3):
        x = flambeau.tensor([least], dtype=getattr(flambeau, dtype))
        for divisor in (-1, flambeau.full_like(x, -1)):
            for mode in ("trunc", "floor"):
                assert flambeau.div(x, divisor, rounding_mode=mode).tolist() == [least]


@pytest.mark.parametrize("dtype", EDGES)
def test_with_numbers(dtype: str) -> None:
    for number in NUMBERS:
        for name in (*OPS, "floor_divide", "remainder", "fmod"):
            check(
                lambda t, F, n=name, k=number: getattr(t, n)(edges(t, dtype), k),  # type: ignore[misc]
                f"{name} {number}",
                rtol=1e-6,
            )
        for name in IN_PLACE:
            check(
                lambda t, F, n=name, k=number: getattr(edges(t, dtype), n)(k),  # type: ignore[misc]
                f"{name} {number}",
                rtol=1e-6,
            )


@pytest.mark.parametrize("dtype", EDGES)
def test_folds(dtype: str) -> None:
    for name in FOLDS:

        def case(t: Any, F: Any, name: str = name) -> Any:
            x = edges(t, dtype).repeat(3)
            axes = (0,) if name in ("cumsum", "cumprod", "logsumexp", "mode") else ()
            made = getattr(t, name)(x, *axes)
            return made if isinstance(made, t.Tensor) else made[0]

        check(case, name, rtol=1e-6)
    for name in ("sum", "prod", "cumsum"):
        for wanted in ("int64", "int32", "uint8", "bool", "float64"):

            def cast(t: Any, F: Any, name: str = name, wanted: str = wanted) -> Any:
                axes = (0,) if name == "cumsum" else ()
                return getattr(t, name)(edges(t, dtype), *axes, dtype=getattr(t, wanted))

            check(cast, f"{name} as {wanted}", rtol=1e-6)


def test_a_shift_in_place_is_seen_through_views() -> None:
    def case(t: Any, F: Any) -> Any:
        x = t.arange(1, 7)
        view = x[2:]
        view <<= 3
        x[::2] >>= 1
        return [x, view]

    check(case)
