"""Bad data fail late, when values are read; what came before the bad op is there all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def target(torch: Any) -> Any:
    net = torch.nn.Linear(3, 3)
    x = torch.randn(4, 3)
    with pytest.raises(IndexError, match="Target 3 is out of bounds"):
        torch.nn.functional.cross_entropy(net(x), torch.tensor([0, 1, 2, 3])).item()
    return net.weight, net.bias, x, torch.randn(2)


def index_after_writes(torch: Any) -> Any:
    weight = torch.randn(3, 2, requires_grad=True)
    with torch.no_grad():
        weight.mul_(2)
    kept, view = weight * 3, weight[1]
    drawn = torch.rand(3)
    with pytest.raises(IndexError, match="index out of range in self"):
        torch.nn.functional.embedding(torch.tensor([7]), weight).sum().item()
    kept.sum().backward()
    return weight, kept, view, drawn, weight.grad, torch.rand(1)


def two_bad_ops(torch: Any) -> Any:
    """The first one raises, though the second is what is read."""
    x = torch.randn(3)
    with pytest.raises((IndexError, RuntimeError), match=r"out of (range in self|bounds)"):
        first = torch.nn.functional.embedding(torch.tensor([9]), x[:, None])
        (first.sum() + torch.gather(x, 0, torch.tensor([5])).sum()).item()
    return (x,)


def step_of_training(torch: Any, optimizer: str = "SGD", bad: int = 3) -> Any:
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 4), torch.nn.Dropout(0.3))
    rule = getattr(torch.optim, optimizer)(net.parameters(), lr=0.1)
    losses = []
    for step in range(5):
        labels = torch.tensor([0, 1, 2, 9 if step == bad else 3])
        try:
            loss = torch.nn.functional.cross_entropy(net(torch.randn(4, 3)), labels)
            rule.zero_grad()
            loss.backward()
            rule.step()
            losses.append(loss.item())
        except IndexError:
            losses.append(-1.0)
    return torch.tensor(losses), *net.state_dict().values()


CASES: list[Callable[[Any], Any]] = [
    target,
    index_after_writes,
    two_bad_ops,
    step_of_training,
    lambda torch: step_of_training(torch, "Adam"),
    lambda torch: step_of_training(torch, "Adam", bad=0),
    lambda torch: step_of_training(torch, "RMSprop", bad=0),
]


@pytest.mark.parametrize("case", CASES)
def test_what_came_before_is_there(case: Callable[[Any], Any]) -> None:
    found = []
    for module in (flambeau, reference):
        module.manual_seed(3)
        found.append([t.detach().numpy().copy() for t in case(module)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
