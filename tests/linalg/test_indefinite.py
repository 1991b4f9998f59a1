"""L D L^T of symmetric and Hermitian matrices beside PyTorch: factors, pivots, systems, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from tests.programs.modes import mode

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

DTYPES = ("float32", "float64", "complex64", "complex128")
TOLERANCE = {"float32": 2e-3, "complex64": 2e-3, "float64": 1e-8, "complex128": 1e-8}


def symmetric(n: int, dtype: str, hermitian: bool, indefinite: bool) -> Any:
    random = torch.Generator().manual_seed(n)
    x = torch.randn(2, n, n, generator=random, dtype=getattr(torch, dtype))
    if indefinite:  # a zero diagonal asks for blocks of two rows
        x = x * (1 - torch.eye(n))
    x = x + (x.mH if hermitian else x.mT)
    return x.to(getattr(torch, dtype))


def mine(x: Any) -> Any:
    return flambeau.from_numpy(x.numpy(force=True).copy())


@pytest.mark.parametrize("executor", ["sync", "recognised", "compiled"])
@pytest.mark.parametrize("indefinite", [False, True])
@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 40])
def test_factors_and_solutions(
    n: int, dtype: str, hermitian: bool, indefinite: bool, executor: str
) -> None:
    a = symmetric(n, dtype, hermitian, indefinite)
    b = torch.randn(2, n, 3, generator=torch.Generator().manual_seed(1), dtype=a.dtype)
    theirs = torch.linalg.ldl_factor_ex(a, hermitian=hermitian)
    wanted = torch.linalg.ldl_solve(theirs.LD, theirs.pivots, b, hermitian=hermitian)
    tolerance = TOLERANCE[dtype]
    with mode(executor):
        ours = flambeau.linalg.ldl_factor_ex(mine(a), hermitian=hermitian)
        found = flambeau.linalg.ldl_solve(ours.LD, ours.pivots, mine(b), hermitian=hermitian)
        again = flambeau.linalg.ldl_factor_ex(mine(a), hermitian=hermitian)
        assert again.LD.tolist() == ours.LD.tolist()
    assert ours.pivots.tolist() == theirs.pivots.tolist()
    assert ours.pivots.dtype is ours.info.dtype is flambeau.int32
    assert ours.info.tolist() == theirs.info.tolist()
    assert n == 0 or ours.LD.stride() == theirs.LD.stride()
    assert n == 0 or found.stride() == wanted.stride()
    np.testing.assert_allclose(ours.LD.numpy(), theirs.LD.numpy(), tolerance, tolerance)
    if not (indefinite and n == 1):  # which is zero
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), 10 * tolerance, 10 * tolerance)
        product = mine(a) @ found
        np.testing.assert_allclose(product.numpy(), b.numpy(), 10 * tolerance, 10 * tolerance)


def test_broadcast() -> None:
    """Beside solve: ldl_solve of these ends PyTorch 2.13 with a segmentation fault."""
    a, b = symmetric(3, "float64", False, False), torch.randn(4, 1, 3, 2, dtype=torch.float64)
    ours = flambeau.linalg.ldl_factor(mine(a))
    found = flambeau.linalg.ldl_solve(ours.LD, ours.pivots.long(), mine(b))
    np.testing.assert_allclose(found.numpy(), torch.linalg.solve(a, b).numpy(), 1e-9)


def test_a_zero_pivot_is_told() -> None:
    zero = flambeau.zeros(2, 3, 3)
    assert flambeau.linalg.ldl_factor_ex(zero).info.tolist() == [1, 1]
    for call in (
        lambda t, x: t.linalg.ldl_factor(x),
        lambda t, x: t.linalg.ldl_factor_ex(x, check_errors=True),
    ):
        with pytest.raises(RuntimeError):
            call(torch, torch.zeros(2, 3, 3))
        with pytest.raises(RuntimeError, match="diagonal element 1 is zero"):
            call(flambeau, zero)


def slope(library: Any, function: Any) -> Any:
    x = library.eye(3, requires_grad=True)
    return library.autograd.grad(function(x).sum(), x)[0].tolist()


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.linalg.ldl_factor(t.ones(3)),
        lambda t: t.linalg.ldl_factor(t.ones(3, 2)),
        lambda t: t.linalg.ldl_factor(t.ones(3, 3, dtype=t.int64)),
        lambda t: t.linalg.ldl_factor(t.ones(3, 3, dtype=t.float16)),
        lambda t: t.linalg.ldl_factor(t.eye(3), out=(t.empty(0).double(), t.empty(0).int())),
        lambda t: t.linalg.ldl_solve(t.eye(3), t.ones(3), t.ones(3, 1)),
        lambda t: t.linalg.ldl_solve(t.eye(3), t.ones(2).int(), t.ones(3, 1)),
        lambda t: t.linalg.ldl_solve(t.eye(3), t.ones(3).int(), t.ones(3, 1).double()),
        lambda t: t.linalg.ldl_solve(t.eye(3), t.ones(3).int(), t.ones(2, 1)),
        lambda t: slope(t, lambda x: t.linalg.ldl_factor(x).LD),
        lambda t: slope(t, lambda x: t.linalg.ldl_solve(t.eye(3), t.tensor([1, 2, 3]), x)),
    ],
)  # fmt: skip
def test_errors(call: Any) -> None:
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(theirs.type) as ours:
        call(flambeau)
    assert str(ours.value).split("\n")[0] == str(theirs.value).split("\n")[0]
