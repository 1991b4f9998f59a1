"""torch.func beside PyTorch: derivatives of functions, nested, of nests of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau
from tests.beside_torch import same

pytestmark = pytest.mark.parity

X = np.random.default_rng(3).standard_normal((3,))
Y = np.random.default_rng(4).standard_normal((2, 3))


def _scalar(t: Any) -> Any:
    return lambda x: (x.sin() * x).sum()


def _vector(t: Any) -> Any:
    return lambda x: (x * x).exp() + x.sum()


def _maml(t: Any, f: Any) -> Any:
    x = t.tensor(X, requires_grad=True)
    w = t.tensor(X + 1, requires_grad=True)
    inner = f.grad(lambda a: (a * a * w).sum())(x)
    (inner * inner).sum().backward()
    return inner, x.grad, w.grad


def _batched(t: Any) -> Any:
    x = t.tensor(X, requires_grad=True)
    return t.autograd.grad(x * x, x, t.tensor(Y), is_grads_batched=True)


CASES = {
    "grad": lambda t, f: f.grad(_scalar(t))(t.tensor(X)),
    "grad of grad": lambda t, f: f.grad(lambda x: f.grad(_scalar(t))(x).sum())(t.tensor(X)),
    "perturbation": lambda t, f: f.grad(lambda x: x * f.grad(lambda y: x + y * y)(x))(
        t.tensor(2.0)
    ),
    "two arguments": lambda t, f: f.grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(
        t.tensor(X), t.tensor(Y)
    ),
    "dict": lambda t, f: f.grad(lambda p: (p["a"] * p["b"]).sum())(
        {"a": t.tensor(X), "b": t.tensor(Y)}
    ),
    "aux": lambda t, f: f.grad_and_value(lambda x: (x.sum(), x * 2), has_aux=True)(t.tensor(X)),
    "unused": lambda t, f: f.grad(lambda x, y: y.sum())(t.tensor(X), t.tensor(Y)),
    "outer graph": _maml,
    "vjp": lambda t, f: f.vjp(_vector(t), t.tensor(X))[1](t.tensor(X)),
    "jvp": lambda t, f: f.jvp(_vector(t), (t.tensor(X),), (t.tensor(X),)),
    "linearize": lambda t, f: f.linearize(_vector(t), t.tensor(X))[1](t.tensor(X)),
    "linearize, two": lambda t, f: [
        f.linearize(lambda a, b: {"p": a * b.sum(), "q": b}, t.tensor(X), t.tensor(Y))[1](
            t.tensor(X + i), t.tensor(Y)
        )
        for i in range(2)
    ],
    "jacrev": lambda t, f: f.jacrev(_vector(t))(t.tensor(X)),
    "jacfwd": lambda t, f: f.jacfwd(_vector(t))(t.tensor(X)),
    "hessian": lambda t, f: f.hessian(_scalar(t))(t.tensor(X)),
    "jacrev of two": lambda t, f: f.jacrev(lambda x, y: (x * y, y.sum(1)), argnums=(0, 1))(
        t.tensor(X), t.tensor(Y)
    ),
    "vmap": lambda t, f: f.vmap(lambda x, y: x * y.sum(), in_dims=(0, None))(
        t.tensor(Y), t.tensor(X)
    ),
    "vmap of grad": lambda t, f: f.vmap(f.grad(_scalar(t)))(t.tensor(Y)),
    "vmap axes": lambda t, f: f.vmap(lambda x: (x, {"a": x * 2}), in_dims=1, out_dims=1)(
        t.tensor(Y)
    ),
    "functional_call": lambda t, f: f.functional_call(
        t.nn.Linear(3, 2).double(), {"weight": t.tensor(Y), "bias": t.tensor(X[:2])}, t.tensor(X)
    ),
    "batched cotangents": lambda t, f: _batched(t),
    "functional state": lambda t, f: f.stack_module_state(
        [t.nn.ReLU().double(), t.nn.ReLU().double()]
    ),
}
WRONG = {
    "draw in vmap": lambda t, f: f.vmap(lambda x: x + t.rand(()))(t.tensor(X)),
    "no models": lambda t, f: f.stack_module_state([]),
    "vmap sizes": lambda t, f: f.vmap(lambda x, y: x)(t.tensor(X), t.tensor(Y)),
    "vmap of nothing": lambda t, f: f.vmap(lambda: 1)(),
    "vmap of a number": lambda t, f: f.vmap(lambda x, y: x)(t.tensor(X), 3),
    "vmap 0-d": lambda t, f: f.vmap(lambda x: x)(t.tensor(1.0)),
    "vmap chunks": lambda t, f: f.vmap(lambda x: x, chunk_size=0)(t.tensor(X)),
    "call of twice": lambda t, f: f.functional_call(
        t.nn.ReLU(), ({"a": t.tensor(X)}, {"a": t.tensor(X)}), t.tensor(X)
    ),
    "no scalar": lambda t, f: f.grad(lambda x: x)(t.tensor(X)),
    "no tensor": lambda t, f: f.grad(lambda x: 2)(t.tensor(X)),
    "argnum": lambda t, f: f.grad(lambda x: x.sum(), argnums=1)(t.tensor(X)),
    "number": lambda t, f: f.grad(lambda x: x)(3),
    "cotangent": lambda t, f: f.vjp(lambda x: x, t.tensor(X))[1](t.tensor(X[:2])),
    "tangent": lambda t, f: f.jvp(lambda x: x, (t.tensor(X),), (t.tensor(X[:2]),)),
}


@pytest.mark.parametrize("name", CASES)
def test_like_torch(name: str) -> None:
    run = CASES[name]
    same(run(flambeau, flambeau.func), run(torch, torch.func))


@pytest.mark.parametrize("name", WRONG)
def test_mistakes(name: str) -> None:
    run = WRONG[name]
    with pytest.raises(Exception) as theirs:
        run(torch, torch.func)
    with pytest.raises(type(theirs.value)) as mine:
        run(flambeau, flambeau.func)
    assert str(mine.value).splitlines()[0] == str(theirs.value).splitlines()[0]


def test_ensemble_and_closure() -> None:
    models = [flambeau.nn.Linear(3, 2).double() for _ in range(2)]
    parameters, buffers = flambeau.func.stack_module_state(models)
    x = flambeau.tensor(X)

    def call(own: Any) -> Any:
        return flambeau.func.functional_call(models[0], own, x)

    assert not buffers
    got = flambeau.vmap(call)(parameters)
    wanted = flambeau.stack([model(x) for model in models])
    np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy())
    w = flambeau.tensor(X, requires_grad=True)
    inner = flambeau.func.grad(lambda a: (a * a * w).sum())(x)
    inner.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * X)


@pytest.mark.parametrize("name", ["hessian", "hessian that looks", "grad beside a leaf"])
def test_results_depend_on_outer_leaves_only(name: str) -> None:
    # The first two are parts of several programs: what is recorded is cut, or looked at.
    def looking(x: Any) -> Any:
        y = (x * x).sum()
        return y * x.sin().sum() if y.item() > 0 else y

    for library in (flambeau, torch):
        x = library.linspace(-1, 1, 24)
        w = library.ones(24, 24).mul(0.1).requires_grad_(name == "grad beside a leaf")
        ways: dict[str, Any] = {
            "hessian": lambda x=x, w=w, t=library: t.func.hessian(lambda y: (w @ y).tanh())(x),
            "hessian that looks": lambda x=x[:3], t=library: t.func.hessian(looking)(x),
            "grad beside a leaf": lambda x=x, w=w, t=library: t.func.grad(lambda y: looking(w @ y))(
                x
            ),
        }
        assert ways[name]().requires_grad == (name == "grad beside a leaf")


def test_gradients_with_respect_to_nothing() -> None:
    """Of a model without parameters, say. (Found by random training 195.)"""
    for library in (flambeau, torch):
        leaf = library.ones(2, requires_grad=True)
        found = library.func.grad(lambda p, x=leaf: (x * 2).sum() + len(p))({})
        assert found == {}
