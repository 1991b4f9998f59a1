"""Results that are overwritten before the backward pass: refused where a derivative reads them,
right where none does (PyTorch's relu keeps its result, and is refused).
"""

from __future__ import annotations

import importlib
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


PROMOTED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "mul": lambda t, x, y: x * y,
    "div": lambda t, x, y: x / y,
    "pow": lambda t, x, y: x**y,
    "atan2": lambda t, x, y: t.atan2(x, y),
    "maximum": lambda t, x, y: t.maximum(x, y),
    "mse_loss": lambda t, x, y: t.nn.functional.mse_loss(x, y),
    "of a row": lambda t, x, y: x[None].expand(2, 3) * y,
    "add": lambda t, x, y: x + y,
    "where": lambda t, x, y: t.where(y > 2, x, y),
    "cast before": lambda t, x, y: x * y.double(),
}


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "int64"])
@pytest.mark.parametrize("name", list(PROMOTED))
def test_operands_of_other_dtypes(name: str, dtype: str, runs: bool) -> None:
    """The operand is kept, not what it was cast to."""
    found = []
    for module in ("flambeau", "torch"):
        torch = importlib.import_module(module) if module == "flambeau" else None
        torch = torch or pytest.importorskip(module)
        x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
        y = torch.tensor([2.0, 3.0, 4.0]).to(getattr(torch, dtype))
        result = PROMOTED[name](torch, x, y)
        if runs:
            result.sum().item()
        y.add_(1)
        try:
            result.sum().backward()
            found.append(x.grad.tolist())
        except RuntimeError as error:
            found.append(str(error).split(" is at version")[0])
        refused = name not in ("add", "where") and (name, dtype) != ("cast before", "float32")
        if module == "flambeau" and dtype != "int64" and name != "cast before":
            assert refused == isinstance(found[0], str)
    assert found[0] == found[1]


def test_what_is_read_is_refused() -> None:
    x = torch.tensor([0.5, 1.0], requires_grad=True)
    y = torch.sigmoid(x)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
