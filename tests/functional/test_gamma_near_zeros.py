"""lgamma and digamma where they are small: by the reference executor and by kernels, beside values
of 50 digits and PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.ops import elementwise as el

mpmath = pytest.importorskip("mpmath")

ZEROS = {"lgamma": (1.0, 2.0), "digamma": (1.4616321449683622,)}
EXACT = {"lgamma": lambda v: mpmath.loggamma(v), "digamma": lambda v: mpmath.digamma(v)}
CASES = [(name, zero) for name, zeros in ZEROS.items() for zero in zeros]


def off_by(name: str, x: Any, found: Any) -> float:
    """The largest distance from the exact values, in units in their last place."""
    worst = 0.0
    with mpmath.workdps(50):
        for at, value in zip(x, found, strict=True):
            exact = EXACT[name](mpmath.mpf(float(at)))
            unit = float(np.spacing(np.abs(x.dtype.type(float(exact)))))
            worst = max(worst, float(abs(mpmath.mpf(float(value)) - exact) / unit))
    return worst


def around(zero: float, dtype: Any) -> Any:
    """Numbers ever nearer to a zero, and the nearest ones."""
    rng = np.random.default_rng(7)
    away = 10.0 ** -rng.uniform(0.3, 15 if dtype is np.float64 else 7, 200)
    x = (zero + away * rng.choice([-1, 1], 200)).astype(dtype)
    nearest = [np.nextafter(dtype(zero), dtype(end)) for end in (0, 9)]
    return np.concatenate([x, np.array([*nearest, zero], dtype)])


@pytest.mark.parametrize(("name", "zero"), CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_near_a_zero(name: str, zero: float, dtype: Any) -> None:
    x = around(zero, dtype)
    limit = 3.0 if dtype is np.float64 else 0.6
    assert off_by(name, x, getattr(el, name).reference(x)) < limit
    for _ in range(3):  # compiled from the second time on
        found = getattr(flambeau, name)(flambeau.from_numpy(x)).numpy()
        assert off_by(name, x, found) < limit
    torch = pytest.importorskip("torch")
    theirs = off_by(name, x, getattr(torch, name)(torch.from_numpy(x)).numpy())
    assert name == "lgamma" or off_by(name, x, found) < theirs


@pytest.mark.parametrize("name", list(ZEROS))
def test_elsewhere(name: str) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(0.001, 1, 100), rng.uniform(1, 30, 100)])
    x = np.concatenate([x, 10 ** rng.uniform(-30, 30, 100)])
    assert off_by(name, x, getattr(el, name).reference(x)) < 3
    ends = np.array([0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan, 1e308, 5e-324])
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(
        getattr(el, name).reference(ends),
        getattr(torch, name)(torch.from_numpy(ends)).numpy(),
        rtol=1e-15,
    )


@pytest.mark.parametrize("name", list(ZEROS))
def test_negative_numbers(name: str) -> None:
    """By reflection: right absolutely, where the function is about 1 in size."""
    rng = np.random.default_rng(2)
    x = -rng.uniform(0.01, 12, 300)
    with mpmath.workdps(50):
        if name == "lgamma":
            wanted = [float(mpmath.log(abs(mpmath.gamma(mpmath.mpf(v))))) for v in x]
        else:
            wanted = [float(mpmath.digamma(mpmath.mpf(v))) for v in x]
    np.testing.assert_allclose(getattr(el, name).reference(x), wanted, rtol=2e-14, atol=2e-14)
