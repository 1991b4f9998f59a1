"""A custom function whose outputs are computed before the backward pass keeps what it needs."""

from __future__ import annotations

from typing import Any

import flambeau


class _Double(flambeau.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * 2


def test_backward_after_a_flush() -> None:
    x = flambeau.tensor([0.1, -0.3, 0.7], requires_grad=True)
    total = _Double.apply(x).tanh().sum()
    assert total.item() != 0  # computes what has been recorded
    total.backward()
    expected = 2 * (1 - (2 * x.detach()).tanh() ** 2)
    assert flambeau.allclose(x.grad, expected)
