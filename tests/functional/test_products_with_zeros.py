"""First and second gradients of products some of whose factors are zero, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau

pytestmark = pytest.mark.parity


def gradients(t: Any, dtype: str, dim: int | None, numbers: list[Any]) -> list[Any]:
    """The product, its gradient, and that gradient's with respect to factors and cotangent."""
    factors, cotangent, weights = [t.tensor(n.tolist(), dtype=getattr(t, dtype)) for n in numbers]
    factors.requires_grad_()
    product = factors.prod() if dim is None else factors.prod(dim)
    cotangent = cotangent[: product.numel()].reshape(product.shape).requires_grad_()
    (first,) = t.autograd.grad(product, factors, cotangent, create_graph=True)
    second = t.autograd.grad(first, [factors, cotangent], weights)
    return [v.detach().resolve_conj().numpy() for v in (product, first, *second)]


@pytest.mark.parametrize("zeros", range(5))
@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
def test_gradients(dtype: str, dim: int | None, zeros: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(zeros)
    numbers = [rng.standard_normal(shape) for shape in ((3, 4), (12,), (3, 4))]
    if dtype == "complex128":
        numbers = [n + 1j * rng.standard_normal(n.shape) for n in numbers]
    numbers[0].reshape(-1)[rng.choice(12, zeros, replace=False)] = 0
    rtol, atol = (1e-4, 1e-6) if dtype == "float32" else (1e-10, 1e-12)
    theirs = gradients(torch, dtype, dim, numbers)
    for mine, other in zip(gradients(flambeau, dtype, dim, numbers), theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol)
