"""Optimizers around optimizers, as programs write them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import flambeau
from flambeau.optim import SGD, Optimizer


class Slow(Optimizer):
    """Keeps weights that follow the fast ones; never calls Optimizer.__init__."""

    def __init__(self, fast: Optimizer) -> None:
        self.fast = fast
        self.param_groups = fast.param_groups
        self.state: Any = defaultdict(dict)

    def step(self, closure: Any = None) -> Any:
        loss = self.fast.step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                slow = self.state[p].setdefault("slow", flambeau.zeros_like(p))
                slow += 0.5 * (p.detach() - slow)
                p.data.copy_(slow)
        return loss


def test_a_wrapper_with_a_state_of_its_own() -> None:
    p = flambeau.nn.Parameter(flambeau.full((2,), 4.0))
    optimizer = Slow(SGD([p], lr=1.0))
    for _ in range(3):
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()
    assert p.tolist() == [0.5, 0.5]  # slow: 1.5, 1.0, 0.5
    assert optimizer.state[p]["slow"].tolist() == p.tolist()
