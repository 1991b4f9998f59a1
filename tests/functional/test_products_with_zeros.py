"""Gradients of products some of whose factors are zero, against PyTorch."""

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


@pytest.mark.parametrize("zeros", range(6))
@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_higher_gradients(dtype: str, dim: int | None, zeros: int) -> None:
    """The third and the fourth, also of what the cotangents are."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(zeros)
    factors = rng.standard_normal((5, 3))
    if dtype == "complex128":
        factors = factors + 1j * rng.standard_normal((5, 3))
    factors.reshape(-1)[rng.choice(15, zeros, replace=False)] = 0
    weights = [rng.standard_normal((5, 3)).tolist() for _ in range(3)]

    def higher(t: Any) -> list[Any]:
        x = t.tensor(factors.tolist(), dtype=getattr(t, dtype), requires_grad=True)
        product = x.prod() if dim is None else x.prod(dim)
        cotangent = t.ones_like(product).detach().requires_grad_()
        found = t.autograd.grad(product, x, cotangent, create_graph=True)
        everything = []
        for one in weights:
            found = [v for v in found if v.requires_grad][:1]
            given = t.tensor(one, dtype=x.dtype)
            found = t.autograd.grad(found[0], [x, cotangent], given, create_graph=True)
            everything += [v.detach().resolve_conj().numpy() for v in found]
        return everything

    for mine, other in zip(higher(flambeau), higher(torch), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("name", ["index_reduce", "scatter_reduce"])
def test_gradients_by_place(name: str, include_self: bool) -> None:
    """Beside PyTorch's products of the same factors: its own refuse a second gradient here."""
    torch = pytest.importorskip("torch")
    given = [[0.0, 2, 3], [1, 0, 0], [2, -1, 4], [3, 0, 2]]
    weights = np.random.default_rng(0).standard_normal((2, 4, 3))
    places = [0, 2, 0, 2]

    def by_hand(t: Any, x: Any, rows: Any) -> Any:
        lines = []
        for place in range(4):
            own = [x[place]] if include_self or place not in places else []
            factors = own + [rows[n] for n, target in enumerate(places) if target == place]
            lines.append(t.stack(factors).prod(0))
        return t.stack(lines)

    def reduced(t: Any, x: Any, rows: Any) -> Any:
        index = t.tensor(places)
        if name == "scatter_reduce":
            index = index[:, None].expand(4, 3)
        return getattr(x, name)(0, index, rows, "prod", include_self=include_self)

    def gradients(t: Any, product_of: Any) -> list[Any]:
        x = t.tensor(given, dtype=t.float64, requires_grad=True)
        product = product_of(t, x, x.flip(0) * x)
        one, two = [t.tensor(w.tolist(), dtype=t.float64) for w in weights]
        (first,) = t.autograd.grad(product, x, one, create_graph=True)
        second = t.autograd.grad(first, x, two)
        return [v.detach().numpy() for v in (product, first, *second)]

    for mine, other in zip(gradients(flambeau, reduced), gradients(torch, by_hand), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)


INFINITE = [
    [0.0, np.inf, 2.0],
    [0.0, 0.0, np.inf],
    [np.inf, 0.0, np.inf],
    [2.0, 0.0, np.nan],
    [0.0, np.nan, 2.0],
    [np.nan, 0.0, 0.0],
    [1.0, -np.inf, 3.0],
    [1.0, -np.inf, 0.0],
]


@pytest.mark.parametrize("dim", [None, -1])
@pytest.mark.parametrize("factors", INFINITE)
def test_a_zero_times_what_is_not_finite_is_nan(factors: list[float], dim: int | None) -> None:
    torch = pytest.importorskip("torch")
    if dim is None and factors.count(0.0) > 1:
        dim = -1  # (without a dimension PyTorch's is 0 where two are, and NaN with create_graph)
    found = []
    for t in (torch, flambeau, flambeau, flambeau):
        x = t.tensor(factors, dtype=t.float64, requires_grad=True)
        product = x.prod() if dim is None else x.prod(dim)
        found.append(t.autograd.grad(product, x)[0].numpy())
    for mine in found[1:]:
        np.testing.assert_array_equal(mine, found[0])
