"""Evenly spaced values have the precision of their dtype."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

CASES: dict[str, Any] = {
    "linspace": lambda torch, dtype: torch.linspace(0, 1, 50, dtype=dtype),
    "down": lambda torch, dtype: torch.linspace(4.3, -3, 50, dtype=dtype),
    "logspace": lambda torch, dtype: torch.logspace(0, 2, 7, dtype=dtype),
    "arange": lambda torch, dtype: torch.arange(0, 1, 0.1, dtype=dtype),
    "one": lambda torch, dtype: torch.linspace(0.1, 5, 1, dtype=dtype),
    "histogram": lambda torch, dtype: torch.histogram(torch.ones(3, dtype=dtype), 7)[1],
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str, dtype: str) -> None:
    if (name, dtype) in {("histogram", "int64"), ("arange", "int64")}:
        pytest.skip("PyTorch refuses this")
    ours, theirs = (CASES[name](t, getattr(t, dtype)).tolist() for t in (flambeau, reference))
    exact = 1e-14 if dtype == "float64" else 1e-6
    assert ours == pytest.approx(theirs, rel=exact, abs=exact)
