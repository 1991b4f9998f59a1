"""Deep copies and pickles keep layouts, classes, gradients, and what shares memory."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}


def _shared(torch: Any, again: Any) -> Any:
    a = torch.arange(6.0)
    first, second = again([a.view(2, 3), a[1:4]])
    first.add_(1)
    return second.tolist()


def _gradient(torch: Any, again: Any) -> Any:
    x = torch.arange(3.0, requires_grad=True)
    (x * x).sum().backward()
    made = again(x)
    return made.requires_grad, None if made.grad is None else made.grad.tolist()


def _tied(torch: Any, again: Any) -> Any:
    layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    layers[1].weight = layers[0].weight
    made = again(layers)
    return made[0].weight is made[1].weight, [n for n, _ in made.named_parameters()]


def _trained(torch: Any, again: Any) -> Any:
    torch.manual_seed(0)
    layer = torch.nn.Linear(2, 1)
    step = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    layer, step = again((layer, step))
    layer(torch.ones(1, 2)).sum().backward()
    step.step()
    return [p.tolist() for p in layer.parameters()]


def _generator(torch: Any, again: Any) -> Any:
    generator = torch.Generator().manual_seed(3)
    torch.rand(2, generator=generator)
    return torch.rand(2, generator=again(generator)).tolist()


def _noted(torch: Any, again: Any) -> Any:
    x = torch.zeros(2)
    x.note = "kept"
    return again(x).note


CASES: dict[str, Callable[[Any, Any], Any]] = {
    "view": lambda torch, again: again(torch.arange(12.0).view(3, 4)[1:, ::2]).stride(),
    "transposed": lambda torch, again: again(torch.arange(6).view(2, 3).t()).tolist(),
    "expanded": lambda torch, again: again(torch.arange(2).expand(3, 2)).stride(),
    "empty": lambda torch, again: list(again(torch.zeros(0, 3)).shape),
    "bfloat16": lambda torch, again: again(torch.tensor([1.5]).bfloat16()).tolist(),
    "shared": _shared,
    "gradient": _gradient,
    "tied": _tied,
    "trained": _trained,
    "generator": _generator,
    "noted": _noted,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str, way: str) -> None:
    if (name, way) in {("shared", "pickle"), ("generator", "pickle")}:
        pytest.skip("PyTorch's own pickle shares nothing here")
    ours, theirs = (CASES[name](torch, WAYS[way]) for torch in (flambeau, reference))
    assert ours == pytest.approx(theirs) if name == "generator" else ours == theirs
