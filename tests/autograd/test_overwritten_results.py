"""Results that are overwritten before the backward pass: refused where a derivative reads them,
right where none does (PyTorch's relu keeps its result, and is refused).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch

F = torch.nn.functional

UNREAD: list[Callable[[Any], Any]] = [
    lambda x: F.relu(x),
    lambda x: F.relu(x * 1.0, inplace=True),
    lambda x: F.leaky_relu(x * 1.0, 0.1, inplace=True),
    lambda x: F.elu(x * 1.0, inplace=True),
]


@pytest.mark.parametrize("function", UNREAD)
@pytest.mark.parametrize("runs", [False, True])
def test_gradients_of_what_is_not_read(function: Callable[[Any], Any], runs: bool) -> None:
    x = torch.tensor([-1.5, -0.5, 0.5, 2.0], requires_grad=True)
    (wanted,) = torch.autograd.grad(2 * function(x).sum(), x)
    y = function(x)
    if runs:
        assert y.sum().item() != 0  # its program has run
    y.mul_(2)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx(wanted.tolist())


def test_dropout_in_place_behind_relu() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.ReLU(inplace=True), torch.nn.Dropout(0.5, inplace=True))
    x = torch.randn(200, requires_grad=True)
    y = net(x * 1.0)
    y.sum().backward()
    assert torch.allclose(x.grad, torch.where(y > 0, 2.0, 0.0))


def test_what_is_read_is_refused() -> None:
    x = torch.tensor([0.5, 1.0], requires_grad=True)
    y = torch.sigmoid(x)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
