"""Draws at the edges of their arguments and of their dtypes: PyTorch's numbers, or its refusal."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from outcomes import check

pytestmark = pytest.mark.parity

WHOLE = ("uint8", "int8", "int16", "int32", "int64", "bool")
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
INFINITY, NAN = float("inf"), float("nan")


def seeded(case: Callable[[Any, Any, Any], Any], dtype: str) -> None:
    """The same outcome for ones of a dtype, from the same seed."""

    def run(t: Any, F: Any) -> Any:
        t.manual_seed(3)
        drawn = case(t, F, t.ones(6, dtype=getattr(t, dtype)))
        return drawn, t.rand(2)  # and what is drawn next

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(run)


OF_DTYPES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "poisson": lambda t, F, x: t.poisson(x),
    "bernoulli": lambda t, F, x: t.bernoulli(x),
    "bernoulli(p)": lambda t, F, x: t.bernoulli(x, 0.5),
    "bernoulli_": lambda t, F, x: x.bernoulli_(0.3),
    "bernoulli_ of floats": lambda t, F, x: x.bernoulli_(t.full((6,), 0.5)),
    "bernoulli_ of integers": lambda t, F, x: x.bernoulli_(t.ones(6, dtype=t.int64)),
    "binomial": lambda t, F, x: t.binomial(x, x),
    "binomial, other probabilities": lambda t, F, x: t.binomial(x, t.full((6,), 0.5)),
    "binomial, other counts": lambda t, F, x: t.binomial(t.full((6,), 5.0), x),
    "dropout": lambda t, F, x: F.dropout(x, 0.5),
    "dropout of none": lambda t, F, x: F.dropout(x, 0.0),
    "dropout of all": lambda t, F, x: F.dropout(x, 1.0),
    "no dropout": lambda t, F, x: F.dropout(x, 0.5, training=False),
    "dropout in place": lambda t, F, x: F.dropout(x, 0.5, inplace=True),
    "torch.dropout": lambda t, F, x: t.dropout(x, 0.5, True),
    "alpha_dropout": lambda t, F, x: F.alpha_dropout(x, 0.5, training=True) * 0,
    "dropout2d": lambda t, F, x: F.dropout2d(x.reshape(1, 2, 3, 1), 0.5),
    "uniform_": lambda t, F, x: x.uniform_(),
    "normal_": lambda t, F, x: x.normal_(),
    "normal_(1, 2)": lambda t, F, x: x.normal_(1, 2),
    "exponential_": lambda t, F, x: x.exponential_(),
    "geometric_": lambda t, F, x: x.geometric_(0.5),
    "log_normal_": lambda t, F, x: x.log_normal_(),
    "cauchy_": lambda t, F, x: x.cauchy_(),
    "random_": lambda t, F, x: x.random_(),
    "random_(5)": lambda t, F, x: x.random_(5),
    "random_(to=5)": lambda t, F, x: x.random_(to=5),
    "random_(5, None)": lambda t, F, x: x.random_(5, None),
    "random_(3000, None)": lambda t, F, x: x.random_(3000, None),
    "random_(-9, 300)": lambda t, F, x: x.random_(-9, 300),
    "random_(2 ** 40)": lambda t, F, x: x.random_(2**40),
    "rand": lambda t, F, x: t.rand(3, dtype=x.dtype),
    "rand_like": lambda t, F, x: t.rand_like(x),
    "randint": lambda t, F, x: t.randint(0, 300, (3,), dtype=x.dtype),
    "randint, negative": lambda t, F, x: t.randint(-300, 3, (3,), dtype=x.dtype),
    "randperm": lambda t, F, x: t.randperm(300, dtype=x.dtype),
    "randperm, long": lambda t, F, x: t.randperm(3000, dtype=x.dtype),
    "normal": lambda t, F, x: t.normal(0.0, 1.0, (3,), dtype=x.dtype),
}


@pytest.mark.parametrize("name", list(OF_DTYPES))
@pytest.mark.parametrize("dtype", (*WHOLE, *FLOATS, *COMPLEX))
def test_dtypes(name: str, dtype: str) -> None:
    if dtype in COMPLEX and name == "random_(5, None)":
        pytest.skip("refused in other words")
    if dtype in COMPLEX and name == "random_(3000, None)":
        pytest.skip("refused in other words")
    seeded(OF_DTYPES[name], dtype)


BOUNDS = [
    *((0, 1e39), (-1e39, 0), (0, 70000), (-70000, 1), (1, 0), (0, 0), (-40000, 40000), (-6e4, 6e4)),
    *((INFINITY, INFINITY), (0, INFINITY), (-INFINITY, 0), (NAN, 1), (0, NAN), (1e-50, 1)),
    *((-1e308, 1e308), (-3e38, 3e38), (2, 2.0), (0, None), (0, "a"), (0, 1j), (-65504, 0)),
]


@pytest.mark.parametrize("dtype", ("int32", *FLOATS, *COMPLEX))
@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_bounds_of_uniform_numbers(dtype: str, bounds: tuple[Any, Any]) -> None:
    seeded(lambda t, F, x: x.uniform_(*bounds), dtype)


PAIRS = [(0, 0), (0, -1), (NAN, 1), (0, NAN), (0, INFINITY), (INFINITY, 1), (1e39, 1), (0, 1e39)]


@pytest.mark.parametrize("dtype", ("int8", "bool", *FLOATS, *COMPLEX))
@pytest.mark.parametrize("name", ["normal_", "log_normal_", "cauchy_"])
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_two_parameters(dtype: str, name: str, pair: tuple[float, float]) -> None:
    seeded(lambda t, F, x: getattr(x, name)(*pair), dtype)


NUMBERS = (0, 1, -1, NAN, INFINITY, 2, 1e-20, 0.9999999999999999, 1j)


@pytest.mark.parametrize("dtype", ("bool", "float16", "float32", "float64", "complex64"))
@pytest.mark.parametrize("name", ["exponential_", "geometric_", "bernoulli_", "dropout"])
@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_one_parameter(dtype: str, name: str, number: Any) -> None:
    if number == 1j and name in ("bernoulli_", "dropout"):
        pytest.skip("the other overloads are listed")
    if name == "dropout":
        seeded(lambda t, F, x: t.dropout(x, number, True), dtype)
        seeded(lambda t, F, x: F.dropout(x, number), dtype)
    else:
        seeded(lambda t, F, x: getattr(x, name)(number), dtype)


@pytest.mark.parametrize("dtype", ("int64", *FLOATS, "complex128"))
@pytest.mark.parametrize("number", [-1.0, 0.0, -0.0, 0.5, 2.0])
def test_probabilities_and_rates(dtype: str, number: float) -> None:
    def filled(t: Any) -> Any:
        return t.full((3,), number, dtype=getattr(t, dtype))

    seeded(lambda t, F, x: t.poisson(filled(t)), dtype)
    seeded(lambda t, F, x: t.bernoulli(filled(t)), dtype)
    seeded(lambda t, F, x: t.empty(3).bernoulli_(filled(t)), dtype)
    seeded(lambda t, F, x: t.binomial(t.full_like(filled(t), 5), filled(t)), dtype)
    seeded(lambda t, F, x: t.normal(t.zeros_like(filled(t)), filled(t)), dtype)


def test_a_standard_deviation_that_is_nan() -> None:
    seeded(lambda t, F, x: t.normal(x, t.full((6,), NAN)), "float32")
