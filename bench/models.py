"""The five training steps that are measured: one builder each, called with either framework.

A builder takes the module (`torch` or `flambeau`) and gives a model with its data: `step()` is
an unmodified eager training step that ends with `loss.item()` and returns it; `whole(x, y)` is
the same step as one function of its data that returns the loss tensor, for `compile`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

Tensor = Any


@dataclass(frozen=True)
class Built:
    """One model, ready to train on its fixed batch."""

    model: Any
    loss: Any
    optimizer: Any
    x: Tensor
    y: Tensor

    def step(self) -> float:
        self.optimizer.zero_grad()
        predicted = self.model(self.x)
        loss = self.loss(predicted, self.y)
        loss.backward()
        self.optimizer.step()
        value: float = loss.item()
        return value

    def whole(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        predicted = self.model(x)
        loss = self.loss(predicted, y)
        loss.backward()
        self.optimizer.step()
        return loss


@dataclass(frozen=True)
class Inference:
    """A model in evaluation mode and one input; stands where `Built` does. `answer` gives the
    scores in what the model gives.
    """

    torch: Any
    model: Any
    x: Tensor
    answer: Callable[[Any], Tensor] = lambda out: out

    def step(self) -> float:
        with self.torch.no_grad():
            return float(self.answer(self.model(self.x)).argmax().item())

    def compiled(self) -> Callable[[], float]:
        return replace(self, model=self.torch.compile(self.model)).step


def linear(torch: Any) -> Built:
    """Linear regression on three points."""
    x = torch.tensor([[1.0], [2.0], [3.0]])
    y = torch.tensor([[2.0], [4.0], [6.0]])
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return Built(model, torch.nn.MSELoss(), optimizer, x, y)


def small_mlp(torch: Any) -> Built:
    """8-6-4-1 with ReLU and sigmoid, BCE, batch 32, SGD."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid()
    )
    x = torch.randn(32, 8)
    y = (torch.rand(32, 1) > 0.5).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return Built(model, nn.BCELoss(), optimizer, x, y)


def batchnorm_mlp(torch: Any) -> Built:
    """9-16-8-1 with BatchNorm and ELU, BCE, batch 32, Adam."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(9, 16),
        nn.BatchNorm1d(16),
        nn.ELU(),
        nn.Linear(16, 8),
        nn.BatchNorm1d(8),
        nn.ELU(),
        nn.Linear(8, 1),
        nn.Sigmoid(),
    )
    x = torch.randn(32, 9)
    y = (torch.rand(32, 1) > 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    return Built(model, nn.BCELoss(), optimizer, x, y)


def digits_mlp(torch: Any) -> Built:
    """784-512-256-128-64-10, cross entropy, batch 64, SGD with momentum."""
    nn = torch.nn
    widths = [784, 512, 256, 128, 64, 10]
    layers = []
    for i in range(5):
        layers.append(nn.Linear(widths[i], widths[i + 1]))
        if i < 4:
            layers.append(nn.ReLU())
    model = nn.Sequential(*layers)
    x = torch.randn(64, 784)
    y = torch.randint(0, 10, (64,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    return Built(model, nn.CrossEntropyLoss(), optimizer, x, y)


def digits_cnn(torch: Any) -> Built:
    """Conv(1,10,5)-pool-ReLU-Conv(10,20,5)-pool-ReLU-Linear(320,10), batch 64, 28x28."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 10),
    )
    x = torch.randn(64, 1, 28, 28)
    y = torch.randint(0, 10, (64,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    return Built(model, nn.CrossEntropyLoss(), optimizer, x, y)


@dataclass(frozen=True)
class Case:
    """A row of the table: its name, its builder, and the ratios that are asked for."""

    title: str
    build: Callable[[Any], Built]
    wanted: float
    wanted_compiled: float | None = None


CASES: dict[str, Case] = {
    "linear": Case("linear regression 3x1, SGD", linear, 4, 15),
    "small_mlp": Case("MLP 8-6-4-1, BCE, batch 32, SGD", small_mlp, 5, 20),
    "batchnorm_mlp": Case("MLP 9-16-8-1 BatchNorm/ELU, Adam, b. 32", batchnorm_mlp, 8, 30),
    "digits_mlp": Case("MLP 784-512-256-128-64-10, batch 64", digits_mlp, 1.2),
    "digits_cnn": Case("CNN 1-10-20 (5x5, pool 2), batch 64", digits_cnn, 3),
}
