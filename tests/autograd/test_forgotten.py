"""The hint that gradients are never zeroed: where they are not, and nowhere else."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch


def keep(model: Any, optimizer: Any, step: int) -> None:
    """Zeroes nothing."""


def zero(model: Any, optimizer: Any, step: int) -> None:
    optimizer.zero_grad()


def zero_in_place(model: Any, optimizer: Any, step: int) -> None:
    optimizer.zero_grad(set_to_none=False)


def zero_by_hand(model: Any, optimizer: Any, step: int) -> None:
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()


def zero_model(model: Any, optimizer: Any, step: int) -> None:
    model.zero_grad()


def every_fourth(model: Any, optimizer: Any, step: int) -> None:
    if step % 4 == 0:
        optimizer.zero_grad()


def decay(model: Any, optimizer: Any, step: int) -> None:
    """A sum that forgets, on purpose."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(0.9)


def told(prepare: Callable[[Any, Any, int], None], *, updates: bool = True) -> list[Any]:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for step in range(50):
            prepare(model, optimizer, step)
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            if updates:
                optimizer.step()
            loss.item()
    return found


def test_gradients_that_are_never_zeroed() -> None:
    (warning,) = told(keep)
    assert "never zeroed: call optimizer.zero_grad()" in str(warning.message)
    assert warning.category is UserWarning
    assert warning.filename == __file__


@pytest.mark.parametrize(
    "prepare", [zero, zero_in_place, zero_by_hand, zero_model, every_fourth, decay]
)
def test_no_hint(prepare: Callable[[Any, Any, int], None]) -> None:
    assert told(prepare) == []


def test_no_hint_while_nothing_is_updated() -> None:
    assert told(keep, updates=False) == []
