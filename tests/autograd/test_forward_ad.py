"""Dual tensors: derivatives along tangents, as PyTorch's forward mode gives them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from .both import agree, plain

pytestmark = pytest.mark.parity
reference = pytest.importorskip("torch")


def data(torch: Any, *shape: int) -> Any:
    values = np.random.default_rng(sum(shape)).uniform(0.5, 2.0, shape)
    return torch.from_numpy(values.astype(np.float32))


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "square": lambda torch, x: x * x,
    "chain": lambda torch, x: (x.exp() * x.sin()).sum(0),
    "matrix": lambda torch, x: x @ x.T,
    "softmax": lambda torch, x: torch.softmax(x, 1),
    "linear in it": lambda torch, x: 3 * x - 1,
    "network": lambda torch, x: torch.nn.functional.gelu(x @ data(torch, 3, 5)).mean(),
    "parts": lambda torch, x: x[:, 1] / x[:, 0],
    "itself": lambda torch, x: x,
    "constant": lambda torch, x: torch.ones(2),
    "sorted": lambda torch, x: x.sort(1)[0] * 2,
}


def modes(torch: Any) -> Any:
    return importlib.import_module(f"{torch.__name__}.autograd.forward_ad")


def along(torch: Any, function: Callable[[Any, Any], Any]) -> Any:
    fwd = modes(torch)
    with fwd.dual_level():
        dual = fwd.make_dual(data(torch, 4, 3), data(torch, 4, 3) - 1)
        primal, tangent = fwd.unpack_dual(function(torch, dual))
    return [primal.tolist(), None if tangent is None else tangent.tolist()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tangents(name: str) -> None:
    import flambeau

    agree(along(flambeau, FUNCTIONS[name]), along(reference, FUNCTIONS[name]))


def both_duals(torch: Any) -> Any:
    fwd = modes(torch)
    with fwd.dual_level():
        a = fwd.make_dual(data(torch, 3), data(torch, 3) + 1)
        b = fwd.make_dual(data(torch, 3) * 2, data(torch, 3) - 1)
        return fwd.unpack_dual(a * b + a).tangent


def module(torch: Any) -> Any:
    fwd = modes(torch)
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    parameters = {name: p.detach().clone() for name, p in layer.named_parameters()}
    with fwd.dual_level():
        for name, p in parameters.items():
            delattr(layer, name)
            setattr(layer, name, fwd.make_dual(p, torch.ones_like(p)))
        return fwd.unpack_dual(layer(data(torch, 4, 3))).tangent


def with_gradients(torch: Any) -> Any:
    fwd = modes(torch)
    x = data(torch, 3).requires_grad_()
    with fwd.dual_level():
        primal, tangent = fwd.unpack_dual(fwd.make_dual(x, torch.ones(3)) ** 3)
        primal.sum().backward(retain_graph=True)
        return [primal, tangent, x.grad]


def failures(torch: Any) -> Any:
    fwd = modes(torch)
    one = torch.ones(2)

    def inside(*given: Any) -> Any:
        with fwd.dual_level():
            fwd.make_dual(*given)

    def nested() -> Any:
        with fwd.dual_level(), fwd.dual_level():
            pass

    found = []
    for case in (
        lambda: fwd.make_dual(one, one), lambda: inside(one, torch.ones(3)),
        lambda: inside(one.long(), one.long()), nested, fwd.exit_dual_level,
        lambda: inside(fwd.make_dual(one, one), one),
    ):  # fmt: skip
        try:
            found.append(case())
        except Exception as error:
            found.append([type(error).__name__, str(error)])
    return [*found, fwd.unpack_dual(one).tangent]


@pytest.mark.parametrize("case", [both_duals, module, with_gradients, failures])
def test_as_in_pytorch(case: Callable[[Any], Any]) -> None:
    import flambeau

    agree(plain(case(flambeau)), plain(case(reference)))
