"""Trainings of one layer with a weight, whose gradient is left to whoever looks at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Loop = Callable[[Any, Any, Any, Any], list[Any]]


def loss_of(layer: Any, batch: Any) -> Any:
    return ((layer(batch).tanh() * 1.5).sum(0) ** 2).mean()


def plain(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(layer, batch)
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return seen


def cleared_last(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        loss = loss_of(layer, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(loss.item())
    return [*seen, layer.weight.grad]


def read_each_time(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(layer, batch)
        loss.backward()
        optimizer.step()
        seen += [loss.item(), layer.weight.grad.norm().item(), layer.weight.grad.sum(1)]
    return seen


def held(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Gradients of all steps, read at the end."""
    kept = []
    for batch in batches:
        optimizer.zero_grad()
        loss_of(layer, batch).backward()
        optimizer.step()
        kept.append((layer.weight.grad, layer.weight.detach().sum().item()))
    return [thing for pair in kept for thing in pair]


def accumulated(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for first, second in zip(batches[::2], batches[1::2]):
        optimizer.zero_grad(set_to_none=False)
        loss = loss_of(layer, first)
        loss.backward()
        seen.append(loss.item())
        loss_of(layer, second).backward()
        optimizer.step()
        seen.append(layer.weight.grad.abs().sum().item())
    return seen


def changed_by_hand(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(layer, batch)
        loss.backward()
        seen.append(loss.item())
        layer.weight.grad[5] += 2.0
        layer.weight.grad.mul_(0.5)
        optimizer.step()
    return [*seen, layer.weight.grad]


def clipped(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(layer, batch)
        loss.backward()
        seen.append(torch.nn.utils.clip_grad_norm_(layer.parameters(), 0.01).item())
        optimizer.step()
    return [*seen, layer.weight.grad]


def clipped_at_once(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Nothing is read before the step; once the norm is infinite."""
    seen = []
    for number, batch in enumerate(batches):
        optimizer.zero_grad()
        loss = loss_of(layer, batch) * (1e30 if number == 2 else 1.0)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(layer.parameters(), 0.01)
        if number != 2:
            optimizer.step()
        seen += [loss.item(), norm.item()]
        if number > 1:
            seen.append(layer.weight.grad)
    return seen


def scaled(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(layer, batch)
        loss.backward()
        layer.weight.grad.div_(4.0).add_(0.25)
        optimizer.step()
        seen.append(loss.item())
    return [*seen, layer.weight.grad, layer.weight.grad._version]


def tied(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        scores = torch.nn.functional.linear(layer(batch).tanh(), layer.weight)
        loss = (scores.sum(2) * 0.01).square().mean()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return [*seen, layer.weight.grad]


def through_numpy(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(layer, batch)
        loss.backward()
        seen.append(loss.item())
        layer.weight.grad.numpy()[11] = 3.0
        optimizer.step()
    return [*seen, layer.weight.grad.clone()]


def copied_weights(torch: Any, layer: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Whoever holds the weights of before the step has these."""
    seen = []
    for batch in batches:
        before = layer.weight.detach().clone()
        optimizer.zero_grad()
        loss_of(layer, batch).backward()
        optimizer.step()
        seen += [before, (layer.weight.detach() - before).abs().sum().item()]
    return seen


LOOPS: list[Loop] = [
    plain, cleared_last, read_each_time, held, accumulated, changed_by_hand, clipped,
    clipped_at_once, scaled, tied,
    through_numpy, copied_weights,
]  # fmt: skip
OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "sgd": lambda torch, p: torch.optim.SGD(p, lr=0.5),
    "maximize": lambda torch, p: torch.optim.SGD(p, lr=0.5, maximize=True),
    "momentum": lambda torch, p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda torch, p: torch.optim.Adam(p, lr=1e-2),
    "adamw": lambda torch, p: torch.optim.AdamW(p, lr=1e-2, amsgrad=True),
}


def agree(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        if other is None:
            assert mine is None
        elif isinstance(other, (float, int)):
            np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)
        else:
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-5, atol=2e-6)
