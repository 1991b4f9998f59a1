"""Norms, distances and moments of rows with zeros, ties, infinities and NaN: the values, gradients
and second gradients of PyTorch, NaN where it has NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flambeau.autograd.engine import grad
from tests.programs.modes import mode

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

from against_torch import flat, mine_of

import flambeau

INF, NAN = float("inf"), float("nan")
ROWS = [
    [1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [-0.0, 0.0, 0.0], [INF, 1.0, 0.0], [-INF, 1.0, 2.0],
    [INF, -INF, 1.0], [INF, INF, 2.0], [NAN, 1.0, 2.0], [NAN, 0.0, 0.0], [NAN, INF, 1.0],
    [1.0, 1.0, 1.0], [-1.0, 1.0, -1.0], [5.0, -5.0, 5.0],
]  # fmt: skip
ORDERS = (2.0, 1.0, 0.0, 3.0, 1.5, 0.5, -1.0, -2.0, INF, -INF)
Function = Callable[..., Any]


def cases() -> dict[str, tuple[Function, int]]:
    """Functions of (library, rows ..), and of how many tensors."""
    found: dict[str, tuple[Function, int]] = {}
    for p in ORDERS:
        found[f"norm({p})"] = (lambda t, x, p=p: t.norm(x, p, dim=1)), 1
        found[f"vector_norm({p})"] = (lambda t, x, p=p: t.linalg.vector_norm(x, p, dim=1)), 1
        found[f"one({p})"] = (lambda t, x, p=p: t.linalg.vector_norm(x[:, :1], p, dim=1)), 1
        if p > -1:
            found[f"pairwise_distance({p})"] = (
                (lambda t, x, y, p=p: t.nn.functional.pairwise_distance(x, y, p)),
                2,
            )
        if p >= 0:
            found[f"cdist({p})"] = (lambda t, x, y, p=p: t.cdist(x, y, p)), 2
            found[f"pdist({p})"] = (lambda t, x, p=p: t.nn.functional.pdist(x, p)), 1
        if p > 0:
            found[f"renorm({p})"] = (lambda t, x, p=p: t.renorm(x, p, 0, 1.5)), 1
            found[f"normalize({p})"] = (lambda t, x, p=p: t.nn.functional.normalize(x, p, 1)), 1
    for name in ("var", "std"):
        for correction in (0, 1, 3):
            found[f"{name}({correction})"] = (
                (lambda t, x, n=name, c=correction: getattr(t, n)(x, dim=1, correction=c)),
                1,
            )
        found[f"{name} of one"] = (lambda t, x, n=name: getattr(t, n)(x[:, :1], dim=1)), 1
        found[f"{name}(all)"] = (lambda t, x, n=name: getattr(t, n)(x[10:])), 1
        found[f"{name}(none free)"] = (lambda t, x, n=name: getattr(t, n)(x[10, 0])), 1
        found[f"{name}_mean"] = (lambda t, x, n=name: getattr(t, f"{n}_mean")(x, dim=1)), 1
    found["trapezoid"] = (lambda t, x: t.trapezoid(x, dim=1)), 1
    return found


CASES = cases()


def numbers(tensor: Any) -> Any:
    if isinstance(tensor, torch.Tensor):
        return tensor.numpy(force=True)
    return np.asarray(tensor.detach()._values())


def run(library: Any, function: Function, given: list[Any]) -> dict[str, Any]:
    derive = torch.autograd.grad if library is torch else grad
    take = torch.clone if library is torch else mine_of
    random = torch.Generator().manual_seed(3)

    def cotangent(of: Any) -> Any:
        return take(torch.rand(tuple(of.shape), generator=random, dtype=given[0].dtype) + 0.5)

    leaves = [take(x).requires_grad_() for x in given]
    results = flat(function(library, *leaves))
    cts = [cotangent(y).requires_grad_() for y in results]
    found = {f"value {i}": numbers(y) for i, y in enumerate(results)}
    slopes = derive(results, leaves, cts, create_graph=True, allow_unused=True)
    for i, slope in enumerate(slopes):
        if slope is None:  # PyTorch says of the number of what is not 0 that it has no gradient
            continue
        found[f"gradient {i}"] = numbers(slope)
        again = cotangent(slope)
        if not slope.requires_grad:
            continue
        try:
            seconds = derive(
                [slope], [*leaves, *cts], [again], retain_graph=True, allow_unused=True
            )
        except (RuntimeError, NotImplementedError):  # PyTorch has none of cdist and pdist
            continue
        for j, second in enumerate(seconds):
            shape = (*leaves, *cts)[j].shape
            found[f"second {i} {j}"] = np.zeros(shape) if second is None else numbers(second)
    return found


@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_edges(name: str, dtype: str, executor: str) -> None:
    function, count = CASES[name]
    rows = torch.tensor(ROWS, dtype=getattr(torch, dtype))
    given = [rows, rows.flip(0) + 0.0][:count]
    wanted = run(torch, function, given)
    with mode(executor):
        have = run(flambeau, function, given)
    tolerance = 2e-4 if dtype == "float32" else 1e-8
    for key, theirs in wanted.items():
        np.testing.assert_allclose(have[key], theirs, tolerance, tolerance / 10, err_msg=key)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, INF])
def test_slopes_of_half_types(p: float, dtype: str) -> None:
    """The gradient of a norm is rounded at each step, as in PyTorch."""
    x = torch.randn(8, 64, generator=torch.Generator().manual_seed(2)).to(getattr(torch, dtype))
    theirs = x.clone().requires_grad_()
    ours = mine_of(x).requires_grad_()
    wanted = torch.linalg.vector_norm(theirs, p, dim=1)
    have = flambeau.linalg.vector_norm(ours, p, dim=1)
    assert have.double().tolist() == wanted.double().tolist()
    (first,) = torch.autograd.grad(wanted.sum(), theirs)
    (mine,) = grad([have.sum()], [ours])
    assert mine.double().tolist() == first.double().tolist()
