"""Second derivatives where somebody looks at numbers between the passes: what is differentiated
lies in earlier programs then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau import nn

X = np.random.default_rng(0).standard_normal((3, 5, 6)).astype(np.float32)


def recurrent(kind: Any) -> Callable[..., Any]:
    def made() -> Any:
        layer = kind(6, 4, batch_first=True, bidirectional=True)
        return lambda x: layer(x)[0], [*layer.parameters()]

    return made


def attention() -> Any:
    layer = nn.MultiheadAttention(6, 2, batch_first=True)
    return lambda x: layer(x, x, x)[0], [*layer.parameters()]


def plain_attention() -> Any:
    return lambda x: nn.functional.scaled_dot_product_attention(x, x, x), []


def wide_attention() -> Any:
    def attended(x: Any) -> Any:
        wide = x.repeat(1, 3, 4)[..., :16]
        return nn.functional.scaled_dot_product_attention(wide, wide * 2, wide, is_causal=True)

    return attended, []


def layers() -> Any:
    net = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 4), nn.GELU())
    return net, [*net.parameters()]


def images() -> Any:
    net = nn.Sequential(nn.Conv1d(5, 4, 3), nn.BatchNorm1d(4), nn.SiLU(), nn.MaxPool1d(2))
    return net, [*net.parameters()]


def factors() -> Any:
    return lambda x: (x.prod(-1), x.cumprod(1).sum(), x.norm(dim=1))[0], []


def matrices() -> Any:
    return lambda x: flambeau.linalg.det(x[..., :5]), []


KINDS = [
    *(pytest.param(recurrent(kind), id=kind.__name__) for kind in (nn.RNN, nn.GRU, nn.LSTM)),
    *(attention, plain_attention, wide_attention, layers, images, factors, matrices),
]


def derivatives(made: Callable[[], Any], looks: int) -> list[Any]:
    flambeau.manual_seed(0)
    function, parameters = made()
    x = flambeau.tensor(X, requires_grad=True)
    y = function(x)
    if looks & 1:
        y.sum().item()
    (slope,) = flambeau.autograd.grad(y.square().sum(), x, create_graph=True)
    if looks & 2:
        slope.sum().item()
    penalty = (slope.square().sum((1, 2)).sqrt() - 1).square().mean()
    if looks & 4:
        penalty.item()
    penalty.backward()
    return [None if p.grad is None else p.grad.numpy() for p in (x, *parameters)]


@pytest.mark.parametrize("looks", range(1, 8))
@pytest.mark.parametrize("made", KINDS)
def test_looks_change_nothing(made: Callable[[], Any], looks: int) -> None:
    for found, wanted in zip(derivatives(made, looks), derivatives(made, 0), strict=True):
        assert (found is None) == (wanted is None)
        if wanted is not None:
            np.testing.assert_allclose(found, wanted, 2e-4, 2e-5 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("looked", [False, True])
def test_a_derivative_that_nobody_has_written(looked: bool) -> None:
    a, x = (flambeau.tensor([1.5, 2.0], requires_grad=True) for _ in range(2))
    y = flambeau.igamma(a, x)
    if looked:
        y.sum().item()
    with pytest.raises(NotImplementedError, match="derivative for 'igamma: input'"):
        y.sum().backward()
    fixed = flambeau.tensor([1.5, 2.0])
    y = flambeau.igamma(fixed, x)
    if looked:
        y.sum().item()
    y.sum().backward()
    assert x.grad is not None


@pytest.mark.parity
@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "dropout1d", "dropout2d"])
def test_a_dropout_that_is_refused_has_drawn(name: str) -> None:
    torch = pytest.importorskip("torch")
    seen = []
    for t in (torch, flambeau):
        t.manual_seed(0)
        with pytest.raises(RuntimeError, match="result type Float can't be cast"):
            getattr(t.nn.functional, name)(t.arange(24).reshape(2, 3, 4), 0.5, True)
        seen.append(t.rand(3).tolist())
    assert seen[0] == seen[1]
