"""The cases of all files here, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Case = Callable[[Any], Any]
CASES: dict[str, Case] = {}
STEPS = 8


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network(t: Any, seed: int = 0, width: int = 4) -> Any:
    nn = t.nn
    model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1))
    with t.no_grad():
        for place, parameter in enumerate(model.parameters()):
            parameter.copy_(t.tensor(numbers(seed + place, *parameter.shape)))
    return model


def batch(t: Any, seed: int, rows: int = 5) -> tuple[Any, Any]:
    return t.tensor(numbers(seed, rows, 3)), t.tensor(numbers(seed + 1000, rows, 1))


def weights(model: Any) -> list[float]:
    return [v for p in model.parameters() for v in p.detach().flatten().tolist()]


def step(t: Any, model: Any, update: Any, seed: int, rows: int = 5) -> float:
    x, y = batch(t, seed, rows)
    update.zero_grad()
    loss = ((model(x) - y) ** 2).mean()
    loss.backward()
    update.step()
    return float(loss.item())
