"""torch.autograd.functional: values, history and errors as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(11)
X, Y, V = (RNG.standard_normal(s).astype(np.float32) for s in (3, (2, 2), 3))
W, ONE = RNG.standard_normal((2, 2)).astype(np.float32), np.array(1.5, np.float32)

Case = Callable[[Any, Any, Any, Any, Any], Any]
# Each with (autograd.functional, ones of shape 3, x, y, v).
CASES: dict[str, Case] = {
    "two in, two out": lambda f, c, x, y, v: f.jacobian(
        lambda a, b: (a.sum() * b.exp(), a * 2), (x, y)
    ),
    "outer product": lambda f, c, x, y, v: f.jacobian(lambda a: a[:, None] * a.sin(), x),
    "vectorized": lambda f, c, x, y, v: f.jacobian(lambda a: a.exp(), x, vectorize=True),
    "forward mode": lambda f, c, x, y, v: f.jacobian(
        lambda a: a.exp(), x, vectorize=True, strategy="forward-mode"
    ),
    "with graph": lambda f, c, x, y, v: f.jacobian(
        lambda a: a**3, x.requires_grad_(), create_graph=True
    ),
    "constant": lambda f, c, x, y, v: f.jacobian(lambda a: c, x),
    "float out": lambda f, c, x, y, v: f.jacobian(lambda a: 3.0, x),
    "list out": lambda f, c, x, y, v: f.jacobian(lambda a: [a, a], x),
    "tuple of a float out": lambda f, c, x, y, v: f.jacobian(lambda a: (a, 2.0), x),
    "float in": lambda f, c, x, y, v: f.jacobian(lambda a: a, 3.0),
    "tuple with a float in": lambda f, c, x, y, v: f.jacobian(lambda a, b: a, (x, 3.0)),
    "strict constant": lambda f, c, x, y, v: f.jacobian(lambda a: c, x, strict=True),
    "strict without b": lambda f, c, x, y, v: f.jacobian(
        lambda a, b: a * 2, (x, y), strict=True
    ),
    "strict linear": lambda f, c, x, y, v: f.jacobian(
        lambda a: a * 2, x, strict=True, create_graph=True
    ),
    "strict vectorized": lambda f, c, x, y, v: f.jacobian(
        lambda a: a, x, strict=True, vectorize=True
    ),
    "strategy": lambda f, c, x, y, v: f.jacobian(lambda a: a, x, strategy="both"),
    "forward, not vectorized": lambda f, c, x, y, v: f.jacobian(
        lambda a: a, x, strategy="forward-mode"
    ),
    "hessian": lambda f, c, x, y, v: f.hessian(lambda a: (a**3).sum(), x),
    "hessian of two": lambda f, c, x, y, v: f.hessian(
        lambda a, b: (a**3).sum() * (b**2).sum(), (x, y)
    ),
    "hessian of linear": lambda f, c, x, y, v: f.hessian(lambda a: a.sum(), x),
    "hessian, one element": lambda f, c, x, y, v: f.hessian(
        lambda a: (a**3).sum().reshape(1), x
    ),
    "hessian with graph": lambda f, c, x, y, v: f.hessian(
        lambda a: (a**4).sum(), x.requires_grad_(), create_graph=True
    ),
    "hessian of a vector": lambda f, c, x, y, v: f.hessian(lambda a: a**3, x),
    "hessian of two outputs": lambda f, c, x, y, v: f.hessian(lambda a: (a.sum(), a.sum()), x),
    "hessian strategy": lambda f, c, x, y, v: f.hessian(
        lambda a: a.sum(), x, outer_jacobian_strategy="x"
    ),
    "hessian strict linear": lambda f, c, x, y, v: f.hessian(
        lambda a: a.sum(), x, strict=True
    ),
    "hessian strict constant": lambda f, c, x, y, v: f.hessian(
        lambda a: c.sum(), x, strict=True
    ),
    "hessian strict separate": lambda f, c, x, y, v: f.hessian(
        lambda a, b: (a**2).sum() + (b**2).sum(), (x, y), strict=True
    ),
    "vjp": lambda f, c, x, y, v: f.vjp(lambda a: a.exp(), x, v),
    "vjp of two": lambda f, c, x, y, v: f.vjp(lambda a, b: (a * b.sum(), b), (x, y), (v, y)),
    "vjp of a sum": lambda f, c, x, y, v: f.vjp(lambda a: (a**2).sum(), x),
    "vjp without v": lambda f, c, x, y, v: f.vjp(lambda a: a * 2, x),
    "vjp, wrong shape": lambda f, c, x, y, v: f.vjp(lambda a: a * 2, x, y),
    "vjp, wrong number": lambda f, c, x, y, v: f.vjp(lambda a: (a * 2, a), x, v),
    "vjp, wrong type": lambda f, c, x, y, v: f.vjp(lambda a: a * 2, x, 3.0),
    "vjp strict": lambda f, c, x, y, v: f.vjp(lambda a, b: a * 2, (x, y), v, strict=True),
    "vjp with graph": lambda f, c, x, y, v: f.vjp(
        lambda a: a**2, x.requires_grad_(), v, create_graph=True
    ),
    "jvp": lambda f, c, x, y, v: f.jvp(lambda a: a.exp() * a.sum(), x, v),
    "jvp of two": lambda f, c, x, y, v: f.jvp(
        lambda a, b: (a * b.sum(), b**2), (x, y), (v, y)
    ),
    "jvp, one independent": lambda f, c, x, y, v: f.jvp(lambda a: (c, a * 2), x, v),
    "jvp without v": lambda f, c, x, y, v: f.jvp(lambda a: a**2, x),
    "jvp of one without v": lambda f, c, x, y, v: f.jvp(lambda a: a**2, x[:1]),
    "jvp strict": lambda f, c, x, y, v: f.jvp(lambda a: c, x, v, strict=True),
    "jvp strict linear": lambda f, c, x, y, v: f.jvp(
        lambda a: a * 2, x, v, strict=True, create_graph=True
    ),
    "vhp": lambda f, c, x, y, v: f.vhp(lambda a: (a**3).sum() * a[0], x, v),
    "vhp of a vector": lambda f, c, x, y, v: f.vhp(lambda a: a**3, x, v),
    "vhp of linear": lambda f, c, x, y, v: f.vhp(lambda a: a.sum(), x, v),
    "vhp strict linear": lambda f, c, x, y, v: f.vhp(lambda a: a.sum(), x, v, strict=True),
    "hvp": lambda f, c, x, y, v: f.hvp(lambda a: (a**3).sum() * a[0], x, v),
    "hvp of two": lambda f, c, x, y, v: f.hvp(
        lambda a, b: (a**3).sum() * (b**2).sum(), (x, y), (v, y)
    ),
    "hvp without v": lambda f, c, x, y, v: f.hvp(lambda a: (a**3).sum(), x),
    "hvp of constant": lambda f, c, x, y, v: f.hvp(lambda a: c.sum(), x, v),
    "hvp strict constant": lambda f, c, x, y, v: f.hvp(lambda a: c.sum(), x, v, strict=True),
    "hvp with graph": lambda f, c, x, y, v: f.hvp(
        lambda a: (a**3).sum(), x.requires_grad_(), v, strict=True, create_graph=True
    ),
}  # fmt: skip


def _told(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_told(v) for v in value)
    return bool(value.requires_grad), value.detach().numpy()


def _outcome(module: Any, case: Case) -> Any:
    x, y, v, ones = (module.tensor(a.tolist()) for a in (X, Y, V, np.ones(3, np.float32)))
    try:
        return _told(case(module.autograd.functional, ones, x, y, v))
    except Exception as error:
        return type(error).__name__, str(error)


def _same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple):
        assert isinstance(ours, tuple) and len(ours) == len(theirs), (ours, theirs)
        for a, b in zip(ours, theirs):
            _same(a, b)
    elif isinstance(theirs, np.ndarray):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch(name: str) -> None:
    _same(_outcome(flambeau, CASES[name]), _outcome(torch, CASES[name]))
