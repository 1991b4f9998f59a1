"""Which dtypes a function takes, and how it refuses the others: PyTorch's results, or its error and
first line, for complex numbers, half types, integers and truths.
"""

from __future__ import annotations

from typing import Any

import pytest
from outcomes import check

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

DTYPES = ("complex64", "float16", "bfloat16", "bool", "int32", "float64")
UNARY = (
    "abs neg exp log sqrt rsqrt reciprocal sin tan asin acosh tanh sigmoid erf erfc erfinv lgamma "
    "digamma floor ceil trunc frac round sign sgn square relu bitwise_not logical_not isnan isinf "
    "isfinite signbit isposinf isneginf isreal sinc deg2rad logit nan_to_num i0 positive "
    "cummax_ cummin_ median nanmedian argmax argmin unique unique_consecutive nansum"
).split()
SPECIAL = (
    "i0e i1 i1e bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0 modified_bessel_i1 "
    "modified_bessel_k0 modified_bessel_k1 airy_ai spherical_bessel_j0 erfcx ndtri entr log_ndtr "
    "ndtr scaled_modified_bessel_k0 scaled_modified_bessel_k1"
).split()
BINARY = (
    "add sub mul div floor_divide remainder fmod pow maximum minimum fmax fmin atan2 copysign "
    "nextafter eq lt ge bitwise_and bitwise_or bitwise_left_shift bitwise_right_shift logical_and "
    "heaviside gcd lcm ldexp hypot xlogy logaddexp logaddexp2 igamma igammac float_power dist "
    "clamp_min clamp_max searchsorted"
).split()
SPECIAL_BINARY = (
    "zeta xlog1py chebyshev_polynomial_t chebyshev_polynomial_u hermite_polynomial_h "
    "hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p "
    "shifted_chebyshev_polynomial_w"
).split()


def function(t: Any, name: str) -> Any:
    return getattr(t, name, None) or getattr(t.special, name)


def numbers(t: Any, dtype: str, *values: float) -> Any:
    return t.tensor(values or (2.0, 1.0, 3.0)).to(getattr(t, dtype))


def cumulated(name: str) -> Any:
    return lambda t, x: getattr(t, name)(x, 0)


CALLED_WITH_AN_AXIS = {"cummax_": cumulated("cummax"), "cummin_": cumulated("cummin")}


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_operand(dtype: str) -> None:
    for name in (*UNARY, *SPECIAL):
        call = CALLED_WITH_AN_AXIS.get(name) or (lambda t, x, n=name: function(t, n)(x))
        check(lambda t, F, c=call: c(t, numbers(t, dtype)), name, rtol=1e-2)  # type: ignore[misc]


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_operands(dtype: str) -> None:
    for name in (*BINARY, *SPECIAL_BINARY):

        def case(t: Any, F: Any, n: str = name) -> Any:
            return function(t, n)(numbers(t, dtype), numbers(t, dtype, 1.0, 2.0, 1.0))

        check(case, name, rtol=1e-2)


def test_two_operands_of_which_one_is_complex() -> None:
    alike = ("div", "pow", "float_power", "logaddexp")  # of which only errors are looked at here
    for name in (*BINARY, *SPECIAL_BINARY):
        if name not in alike:
            check(
                lambda t, F, n=name: function(t, n)(  # type: ignore[misc]
                    numbers(t, "float32"), numbers(t, "complex64", 1.0, 2.0, 1.0)
                ),
                name,
                rtol=1e-5,
            )


@pytest.mark.parametrize("dtypes", [("float32", "complex64"), ("int32", "float32")])
def test_in_place_the_result_is_looked_at_before_the_kernel(dtypes: tuple[str, str]) -> None:
    names = "add sub mul div floor_divide remainder fmod pow lt ge bitwise_and igamma xlogy hypot"
    for name in names.split():
        check(
            lambda t, F, n=name: getattr(numbers(t, dtypes[0]), n + "_")(numbers(t, dtypes[1])),  # type: ignore[misc]
            name,
            rtol=1e-5,
        )


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_what_is_not_finite_in_either_part(dtype: str) -> None:
    parts = (0.0, -1.0, 1e30, float("inf"), float("-inf"), float("nan"))

    def values(t: Any) -> Any:
        return t.tensor([complex(a, b) for a in parts for b in parts], dtype=getattr(t, dtype))

    for _ in range(3):  # in the reference executor, compiled, recognised
        for name in ("isfinite", "isinf", "isnan", "nan_to_num"):
            check(lambda t, F, n=name: getattr(t, n)(values(t)), name)  # type: ignore[misc]
        check(lambda t, F: t.nan_to_num(values(t), nan=2.0, posinf=3.0))


def test_complex_logarithms_of_sums() -> None:
    parts = (0.0, -1.0, 0.5, 1e-3, 30.0, -80.0, 1e-9)

    def values(t: Any) -> Any:
        return t.tensor([complex(a, b) for a in parts for b in parts], dtype=t.complex128)

    def near_minus_two(t: Any) -> Any:
        return t.tensor([-2 + 1e-3j, -1e-9 + 1e-12j, -0.5 + 0.5j], dtype=t.complex128)

    for _ in range(3):
        check(lambda t, F: t.view_as_real(t.log1p(values(t))), "log1p", rtol=1e-14)
        check(lambda t, F: t.view_as_real(t.log1p(near_minus_two(t))), "log1p", rtol=1e-14)
        check(
            lambda t, F: t.view_as_real(t.logaddexp(values(t)[:, None], values(t))),
            "logaddexp",
            rtol=1e-12,
        )
        check(lambda t, F: t.view_as_real(values(t).reshape(7, 7).logsumexp(1)), rtol=1e-12)
