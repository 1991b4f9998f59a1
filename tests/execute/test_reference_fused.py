"""The reference executor's a * b + c of float64 rounds once: what fractions give, bit for bit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from flambeau.ops.fused import fused


def exact(a: float, b: float, c: float) -> float:
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def triples(kind: str, count: int = 3000) -> list[Any]:
    random = np.random.default_rng(5)
    a, b, c = random.normal(size=(3, count))
    scales = 2.0 ** random.integers(-120, 120, count)
    whole = random.integers(-(2**30), 2**30, (2, count)).astype(np.float64)
    return {
        "alike": [a, b, c],
        "of any size": [a, b, c * scales],
        "cancelling": [a, b, -a * b],
        "nearly cancelling": [a, b, -a * b + c * 2.0**-54],
        "ties": [*whole, random.integers(-(2**53), 2**53, count) * 2.0],
        "halves": [*whole, random.integers(-8, 8, count) / 2],
        "subnormal": [a * 1e-160, b * 1e-160, c * 1e-320],
        "large": [a * 1e150, b * 1e150, c * 1e300],
    }[kind]


KINDS = ["alike", "of any size", "cancelling", "nearly cancelling", "ties", "halves"]


@pytest.mark.parametrize("kind", [*KINDS, "subnormal", "large"])
def test_one_rounding(kind: str) -> None:
    a, b, c = triples(kind)
    wanted = np.array([exact(*x) for x in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)])
    np.testing.assert_array_equal(fused(a, b, c), wanted)


@pytest.mark.parametrize(
    ("a", "b", "c", "wanted"),
    [
        (np.inf, 1.0, 2.0, np.inf),
        (np.inf, 0.0, 2.0, np.nan),
        (1e200, 1e200, -np.inf, -np.inf),
        (1e200, 1e200, 1.0, np.inf),
        (-1e200, 1e200, 1e308, -np.inf),
        (1e200, 1e200, np.nan, np.nan),
        (-0.0, 1.0, -0.0, -0.0),
        (-0.0, 1.0, 0.0, 0.0),
        (2.0, 3.0, -6.0, 0.0),
        (1e-300, 1e-300, -0.0, 0.0),
        (1e-300, -1e-300, 1.0, 1.0),
    ],
)
def test_edges(a: float, b: float, c: float, wanted: float) -> None:
    have = fused(np.array(a), np.array(b), np.array(c))
    np.testing.assert_array_equal(have, wanted)
    assert np.signbit(have) == np.signbit(wanted) or np.isnan(wanted)
