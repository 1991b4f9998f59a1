"""Uniform and normal complex numbers: PyTorch's draws, part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, same

pytestmark = pytest.mark.parity

DRAWS: list[Callable[[Any, Any], Any]] = [
    lambda t, c: t.rand(3, 7, dtype=c),
    lambda t, c: t.rand_like(t.zeros(5, dtype=c)),
    lambda t, c: t.rand(4, out=t.zeros(4, dtype=c)),
    lambda t, c: t.randn(4, out=t.zeros(4, dtype=c)),
    lambda t, c: t.zeros(3, 4, dtype=c).uniform_(-1, 2),
    lambda t, c: t.zeros(3, 4, dtype=c).t().uniform_(-1, 2),
    lambda t, c: t.zeros(40, dtype=c).normal_(1.5, 2.0),
    lambda t, c: t.normal(0.5, 2.0, (3, 4), dtype=c),
    lambda t, c: t.nn.Linear(3, 2, dtype=c).weight,
    lambda t, c: t.nn.init.kaiming_normal_(t.zeros(2, 3, dtype=c)),
    lambda t, c: t.nn.Parameter(0.1 * t.rand(2, 3, dtype=c)),
]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("draw", DRAWS)
def test_numbers_are_pytorchs(draw: Callable[[Any, Any], Any], dtype: str) -> None:
    made = []
    for library in LIBRARIES:
        library.manual_seed(3)
        drawn = draw(library, getattr(library, dtype))
        made.append((drawn.detach(), library.rand(3)))
    same(made[0], made[1], rtol=1e-6)


@pytest.mark.parametrize("name", ["rand", "randn"])
def test_draws_have_the_dtype_of_out(name: str) -> None:
    made = []
    for library in LIBRARIES:
        library.manual_seed(3)
        out = library.zeros(20, dtype=library.float64)
        made.append((getattr(library, name)(20, out=out), out))
    same(made[0], made[1], rtol=1e-12)
    with pytest.raises(NotImplementedError, match="not implemented for 'Long'"):
        getattr(LIBRARIES[0], name)(2, out=LIBRARIES[0].zeros(2, dtype=LIBRARIES[0].int64))


def test_bounds_and_deviations_are_looked_at() -> None:
    for library in LIBRARIES:
        numbers = library.zeros(2, dtype=library.complex64)
        with pytest.raises(RuntimeError, match="expects to return a"):
            numbers.uniform_(2, 1)
        with pytest.raises(RuntimeError, match="std >= 0"):
            numbers.normal_(0, -1)
