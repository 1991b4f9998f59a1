"""An error of an op names it, its operands and the user's line, below PyTorch's message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import flambeau as torch
from flambeau import nn

A, B = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.float64)

CASES: list[tuple[Callable[[], object], str, str]] = [
    (lambda: A @ A, "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)", "float32[2, 3], "),
    (lambda: A @ B.T, "expected m1 and m2 to have the same dtype", "float64[3, 2]"),
    (lambda: A + torch.ones(2), "must match the size of tensor b (2)", "add(float32[2, 3], "),
    (lambda: torch.cat([A, A[0]]), "Tensors must have same number of dimensions", "float32[3]]"),
    (lambda: nn.Linear(3, 4)(torch.ones(2, 5)), "mat1 and mat2 shapes", "float32[4, 3]"),
    (lambda: A.clone().add_(torch.ones(4)), "must match the size", "float32[4]"),
    (lambda: (A * 1).requires_grad_().backward(), "only for scalar outputs", "in backward"),
]


@pytest.mark.parametrize(("wrong", "message", "note"), CASES)
def test_an_error_says_where(wrong: Callable[[], object], message: str, note: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        wrong()
    assert message in str(caught.value)
    said = caught.value.__dict__["__notes__"][0]
    assert note in said
    path, _, line = said.rpartition(", at ")[2].partition(", in ")[0].rpartition(":")
    assert Path(path) == Path(__file__)
    assert int(line) == wrong.__code__.co_firstlineno
    assert (A + 1).sum().item() == 12  # the next statement works


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.rest = nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Linear(5, 4))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rest[0](self.first(x))


class Trainer:
    def __init__(self) -> None:
        self.model = Net()

    def step(self) -> torch.Tensor:
        return self.model(torch.ones(2, 1, 6, 6))


def test_the_module_is_named() -> None:
    net = Net()
    with pytest.raises(RuntimeError) as caught:
        net(torch.ones(2, 1, 6, 6))
    assert caught.value.__dict__["__notes__"][0].endswith(", in net.rest.0.1")
    with pytest.raises(RuntimeError) as caught:
        net.first(torch.ones(2, 2, 6, 6))
    assert caught.value.__dict__["__notes__"][0].endswith(", in Conv2d")
    with pytest.raises(RuntimeError) as caught:
        Trainer().step()
    assert caught.value.__dict__["__notes__"][0].endswith(", in self.model.rest.0.1")
