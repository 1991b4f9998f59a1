"""vmap beside PyTorch: axes, nests, levels, draws, chunks, writes, what is refused and in which
words.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau
from tests.beside_torch import same

pytestmark = pytest.mark.parity

X = np.random.default_rng(5).standard_normal((2, 3, 4))
M = np.random.default_rng(6).standard_normal((3, 3))


def _module(t: Any, *sizes: int) -> Any:
    layers: list[Any] = []
    for before, after in itertools.pairwise(sizes):
        layers += [t.nn.Linear(before, after), t.nn.Tanh()]
    model = t.nn.Sequential(*layers).double()
    with t.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(t.linspace(-1, 1 + k, p.numel(), dtype=t.float64).reshape(p.shape).sin())
    return model


def _per_sample(t: Any) -> Any:
    model = _module(t, 4, 5, 3)
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: Any, sample: Any, target: Any) -> Any:
        prediction = t.func.functional_call(model, (parameters,), (sample.unsqueeze(0),))
        return t.nn.functional.cross_entropy(prediction, target.unsqueeze(0))

    gradients = t.func.vmap(t.func.grad_and_value(loss), in_dims=(None, 0, 0))
    return gradients(parameters, t.tensor(X).reshape(6, 4), t.tensor([0, 2, 1, 1, 0, 2]))


def _ensemble(t: Any) -> Any:
    models = [_module(t, 4, 3) for _ in range(3)]
    with t.no_grad():
        for k, model in enumerate(models):
            model[0].weight.mul_(k + 1)
    parameters, buffers = t.func.stack_module_state(models)

    def call(parameters: Any, buffers: Any, x: Any) -> Any:
        return t.func.functional_call(models[0], (parameters, buffers), (x,))

    x = t.tensor(X[0])
    together = t.vmap(call, in_dims=(0, 0, None))(parameters, buffers, x)
    together.square().sum().backward()
    each = t.vmap(call)(parameters, buffers, x.expand(3, 3, 4))
    return together, each, [p.grad for p in parameters.values()]


def _images(t: Any) -> Any:
    x = t.linspace(-1, 1, 2 * 3 * 6 * 6, dtype=t.float64).reshape(2, 3, 6, 6).sin()
    w = t.linspace(-1, 1, 2 * 4 * 3 * 9, dtype=t.float64).reshape(2, 4, 3, 3, 3).cos()
    f = t.nn.functional

    def loss(x: Any, w: Any) -> Any:
        return f.max_pool2d(f.conv2d(x, w, padding=1).relu(), 2).square().sum()

    gradients = t.func.grad(loss, (0, 1))
    axes = ((0, 0), (0, None), (None, 0))
    return [
        t.vmap(gradients, in_dims=a)(x if a[0] == 0 else x[0], w if a[1] == 0 else w[0])
        for a in axes
    ]


def _written(t: Any) -> Any:
    x = t.tensor(X)

    def write(row: Any) -> Any:
        row[0].mul_(2)
        view = row.t()
        view += 1
        return row.sum()

    return t.vmap(write, in_dims=1)(x), x


def _new_memory(t: Any) -> Any:
    def fill(row: Any) -> Any:
        made = t.empty_like(row), row.new_zeros(2), t.zeros_like(row)
        made[0][:] = row
        made[1][1] = row.sum()
        made[2].copy_(row)
        return made

    return t.vmap(fill)(t.tensor(M))


def _hvp(t: Any) -> Any:
    f = t.func

    def energy(x: Any) -> Any:
        return (x.sin() * x.cos().roll(1)).sum()

    def product(x: Any, v: Any) -> Any:
        return f.jvp(f.grad(energy), (x,), (v,))[1]

    return f.vmap(product, in_dims=(None, 0))(t.tensor(M[0]), t.tensor(M))


def _batched_gradients(t: Any) -> Any:
    x = t.tensor(M, requires_grad=True)
    y = (x @ x).tanh()
    rows = t.eye(9, dtype=t.float64).reshape(9, 3, 3)
    (first,) = t.autograd.grad(y, x, rows, is_grads_batched=True, create_graph=True)
    first.square().sum().backward()
    return first, x.grad


def _functional(t: Any, vectorize: bool) -> Any:
    a = t.autograd.functional
    x, y = t.tensor(M), t.tensor(M[0])

    def both(x: Any, y: Any) -> Any:
        return x @ y, (x * y).exp()

    def scalar(x: Any, y: Any) -> Any:
        return (x @ y).square().sum()

    return (
        a.jacobian(both, (x, y), vectorize=vectorize),
        a.hessian(scalar, (x, y), vectorize=vectorize),
        a.jacobian(both, (x, y), vectorize=True, strategy="forward-mode"),
    )


def _random(t: Any, randomness: str) -> Any:
    t.manual_seed(3)
    x = t.arange(6.0).reshape(2, 3)
    f = t.nn.functional

    def draw(row: Any) -> Any:
        noise = t.rand(3) + t.randn(3) * t.rand_like(row)
        chosen = t.randint(0, 10, (2,)), t.bernoulli(t.full((4,), 0.5))
        return row + noise, f.dropout(row, 0.4), *chosen, t.randn(20), t.randperm(4)

    nested = t.vmap(t.vmap(lambda a: a + t.rand(2), randomness="same"), randomness=randomness)
    other = t.vmap(t.vmap(lambda a: a + t.rand(2), randomness=randomness), randomness="same")
    return t.vmap(draw, randomness=randomness)(x), nested(x), other(x), t.rand(3)


CASES = {
    "axes": lambda t: [
        t.vmap(lambda x: x * 2 + x.sum(), in_dims=i, out_dims=o)(t.tensor(X))
        for i in (0, 1, -1)
        for o in (0, 1, -1)
    ],
    "nests": lambda t: t.vmap(
        lambda p, q: {"a": p["x"] * q[0], "b": (q[1].sum(), p["x"])},
        in_dims=({"x": 0}, [None, 1]),
        out_dims={"a": 1, "b": (0, -1)},
    )({"x": t.tensor(M)}, [t.tensor(M), t.tensor(X[0])[:, :3]]),
    "the same for all": lambda t: t.vmap(lambda x: (t.ones(2), x), out_dims=(0, 1))(t.tensor(M)),
    "none": lambda t: t.vmap(lambda x: (t.arange(3), x), out_dims=(None, 0))(t.tensor(M)),
    "levels": lambda t: t.vmap(lambda x: t.vmap(lambda y: y @ x, in_dims=1)(x @ x))(
        t.tensor(X[:, :3, :3])
    ),
    "outer product": lambda t: t.vmap(t.vmap(t.mul, (None, 0)), (0, None))(
        t.tensor(M[0]), t.tensor(M[1])
    ),
    "keywords": lambda t: t.vmap(lambda x, *, y: x * y)(t.tensor(M), y=t.tensor(M[0])),
    "chunks": lambda t: [
        t.vmap(lambda x: (x.cumsum(0), x.max()), chunk_size=k, out_dims=(1, 0))(t.tensor(M))
        for k in (1, 2, 3, 7)
    ],
    "nothing": lambda t: t.vmap(lambda x: (x * 2, x.sum()))(t.zeros(0, 3)),
    "per-sample gradients": _per_sample,
    "ensemble": _ensemble,
    "images": _images,
    "written": _written,
    "new memory": _new_memory,
    "hessian-vector products": _hvp,
    "batched gradients": _batched_gradients,
    "jacobian": lambda t: _functional(t, False),
    "vectorized jacobian": lambda t: _functional(t, True),
    "jacrev in chunks": lambda t: t.func.jacrev(lambda x: x @ x, chunk_size=4)(t.tensor(M)),
    "mixed orders": lambda t: [
        outer(inner(lambda x: (x.sin() @ x).sum(0)[0] * x[0, 1]))(t.tensor(M))
        for outer in (t.func.jacfwd, t.func.jacrev)
        for inner in (t.func.jacfwd, t.func.jacrev)
    ],
    "batches of hessians": lambda t: t.vmap(t.func.hessian(lambda x: (x * x).prod().sin()))(
        t.tensor(M)
    ),
    "gradient of a map": lambda t: t.func.grad(
        lambda x: t.vmap(lambda row: row.softmax(0).log()[0])(x).sum()
    )(t.tensor(M)),
    "three levels": lambda t: t.vmap(
        t.func.jacrev(t.func.grad(lambda x: t.vmap(lambda a: a.sin() * a)(x).sum()))
    )(t.tensor(M)),
    "place": lambda t: t.vmap(lambda i, x: x[i], (0, None))(t.tensor([2, 0]), t.tensor(M)),
    "masked": lambda t: t.vmap(lambda x: x.masked_fill(x > 0, 1.0) + t.where(x > 0, x, -x))(
        t.tensor(M)
    ),
    "statistics": lambda t: t.vmap(t.nn.BatchNorm1d(3, track_running_stats=False).double())(
        t.tensor(X).mT
    ),
    "draws": lambda t: _random(t, "different"),
    "same draws": lambda t: _random(t, "same"),
    "inverse": lambda t: t.vmap(t.linalg.inv)(t.tensor(X[:, :, :3])),
}


@pytest.mark.parametrize("name", CASES)
def test_like_torch(name: str) -> None:
    wanted = CASES[name](torch)
    for _ in range(3):  # recorded, recognised, compiled
        same(CASES[name](flambeau), wanted)


def _outside(t: Any, write: Any) -> Any:
    memory = t.zeros(3)
    return t.vmap(lambda row: write(memory, row))(t.ones(2, 3))


def _assign(memory: Any, row: Any) -> Any:
    memory[0] = row.sum()
    return row


def _with_statistics(t: Any) -> Any:
    layer = t.nn.BatchNorm1d(3)
    return t.vmap(lambda x: layer(x))(t.ones(2, 4, 3))


def _backward(t: Any) -> Any:
    w = t.ones(3, requires_grad=True)
    return t.vmap(lambda x: (w * x).sum().backward())(t.ones(2, 3))


REFUSED = {
    "item": lambda t: t.vmap(lambda x: x.sum().item())(t.ones(2, 3)),
    "decision": lambda t: t.vmap(lambda x: x if x.sum() > 0 else -x)(t.ones(2, 3)),
    "number": lambda t: t.vmap(lambda x: x * float(x.sum()))(t.ones(2, 3)),
    "array": lambda t: t.vmap(lambda x: x.numpy())(t.ones(2, 3)),
    "nonzero": lambda t: t.vmap(lambda x: x.nonzero())(t.ones(2, 3)),
    "unique": lambda t: t.vmap(lambda x: x.unique())(t.ones(2, 3)),
    "mask": lambda t: t.vmap(lambda x: x[x > 0])(t.ones(2, 3)),
    "masked_select": lambda t: t.vmap(lambda x: x.masked_select(x > 0))(t.ones(2, 3)),
    "add to memory from outside": lambda t: _outside(t, lambda m, x: m.add_(x)),
    "multiply memory from outside": lambda t: _outside(t, lambda m, x: m.mul_(x)),
    "copy to memory from outside": lambda t: _outside(t, lambda m, x: m.copy_(x)),
    "assign to memory from outside": lambda t: _outside(t, _assign),
    "running statistics": _with_statistics,
    "draw": lambda t: t.vmap(lambda x: x + t.rand(3))(t.ones(2, 3)),
    "dropout": lambda t: t.vmap(t.nn.functional.dropout)(t.ones(2, 3)),
    "draw for another": lambda t: t.vmap(lambda x: t.rand(2), randomness="error")(t.ones(2)),
    "drawn jacobian": lambda t: t.func.jacfwd(t.nn.functional.dropout)(t.ones(3)),
    "another for each": lambda t: t.vmap(lambda x: x, out_dims=None)(t.ones(2, 3)),
    "no tensor": lambda t: t.vmap(lambda x: 3)(t.ones(2, 3)),
    "axis": lambda t: t.vmap(lambda x: x, in_dims=2)(t.ones(2, 3)),
    "axis of the result": lambda t: t.vmap(lambda x: x, out_dims=2)(t.ones(2, 3)),
    "no axes": lambda t: t.vmap(lambda x, y: x, in_dims=(None, None))(t.ones(2), t.ones(2)),
    "lengths": lambda t: t.vmap(lambda x, y: x)(t.ones(2, 3), t.ones(3, 3)),
    "number of axes": lambda t: t.vmap(lambda x: x)(t.tensor(1.0)),
    "arguments": lambda t: t.vmap(lambda: 1)(),
    "a number": lambda t: t.vmap(lambda x, y: x * y)(t.ones(2), 2),
    "kind of axes": lambda t: t.vmap(lambda x: x, in_dims=[0])(t.ones(2)),
    "randomness": lambda t: t.vmap(lambda x: x, randomness="some")(t.ones(2)),
    "chunk": lambda t: t.vmap(lambda x: x, chunk_size=0)(t.ones(2)),
    "backward": _backward,
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_like_torch(name: str) -> None:
    with pytest.raises(Exception) as theirs:
        REFUSED[name](torch)
    for _ in range(2):
        with pytest.raises(type(theirs.value)) as mine:
            REFUSED[name](flambeau)
        assert str(mine.value).splitlines()[0] == str(theirs.value).splitlines()[0]


def test_refused_where_reading_is_native() -> None:
    plain = flambeau.ones(1)
    for _ in range(1500):  # such calls are native once there are many
        plain.item(), plain.tolist(), plain.numpy()
    for name in ("item", "decision", "number", "array"):
        with pytest.raises(RuntimeError) as theirs:
            REFUSED[name](torch)
        with pytest.raises(RuntimeError) as mine:
            REFUSED[name](flambeau)
        assert str(mine.value).splitlines()[0] == str(theirs.value).splitlines()[0]


def test_singular_matrices_are_refused_at_the_end() -> None:
    with pytest.raises(flambeau.linalg.LinAlgError, match="singular"):
        flambeau.vmap(flambeau.linalg.inv)(flambeau.zeros(2, 2, 2))


def test_results_have_a_history_where_theirs_have() -> None:
    for t in (flambeau, torch):
        x, w = t.ones(2, 3), t.ones(3, requires_grad=True)
        assert t.vmap(lambda row: (row * w).sum())(x).requires_grad
        assert not t.vmap(lambda row: (row * w.detach()).sum())(x).requires_grad
        assert t.vmap(t.func.grad(lambda row: (row * row * w).sum()))(x).requires_grad
        with t.no_grad():
            assert not t.vmap(lambda row: (row * w).sum())(x).requires_grad
        inner = t.func.grad(lambda a, b: (a * a * b).sum(), (0, 1))
        assert not t.func.grad(lambda a, b: inner(a, b)[0].sum())(x, x).requires_grad
