"""Loops whose rounds take one branch or another by a coin: each round is a program before long."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.record.branching import LINES
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS

F = torch.nn.functional


class Decoder(torch.nn.Module):
    """Words one after the other, each the truth or what was said before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(11, width)
        self.cell = torch.nn.GRUCell(width, width)
        self.head = torch.nn.Linear(width, 11)

    def forward(self, truth: Any, coins: list[bool]) -> Any:
        h = torch.zeros(truth.shape[0], self.cell.hidden_size)
        word, loss = truth[:, 0], 0.0
        for t, forced in enumerate(coins, 1):
            h = self.cell(self.words(word), h)
            logits = self.head(h)
            loss = loss + F.cross_entropy(logits, truth[:, t])
            word = truth[:, t] if forced else logits.argmax(1)
        return loss / len(coins)


def _train(width: int, count: int) -> tuple[list[float], list[Any], list[int]]:
    """Losses, gradients of the last step, and how many states were new in each."""
    torch.manual_seed(width)
    model, coin = Decoder(width), random.Random(width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses, new = [], []
    for _ in range(count):
        before = STATISTICS.states
        truth = torch.randint(0, 11, (4, 9))
        loss = model(truth, [coin.random() < 0.5 for _ in range(8)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        new.append(STATISTICS.states - before)
    return losses, [p.grad for p in model.parameters()], new


def test_rounds_become_known() -> None:
    if OPTIONS.sync:
        pytest.skip("op by op anyway")
    LINES.counted.clear()
    LINES.ends.clear()
    _, _, new = _train(12, 40)
    assert len(LINES.ends) == 1
    assert max(new[:5]) > 20
    assert sum(new[-10:]) <= 20


def test_results_are_those_of_single_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    losses, gradients, _ = _train(13, 25)
    monkeypatch.setattr(OPTIONS, "sync", True)
    expected, others, _ = _train(13, 25)
    assert losses == pytest.approx(expected, rel=2e-4)
    for one, other in zip(gradients, others, strict=True):
        assert torch.allclose(one, other, rtol=1e-2, atol=1e-4)


def test_loops_that_end_early_stay_whole() -> None:
    if OPTIONS.sync:
        pytest.skip("op by op anyway")
    LINES.counted.clear()
    LINES.ends.clear()
    weight = torch.full((6, 6), 0.1, requires_grad=True)
    for rounds in [5, 3, 7, 4, 6, 8, 3, 5]:
        x = torch.ones(2, 6)
        for _ in range(rounds):
            x = torch.tanh(x @ weight + 1) * 0.5 + x.square().mean()
        x.sum().backward()
    assert not LINES.ends


def test_rounds_that_begin_with_a_backward_pass() -> None:
    """Through an earlier program: such a pass is two events, between which no recording may end."""
    coin = random.Random(0)
    for _ in range(25):
        weight = torch.ones(3, requires_grad=True)
        loss = (weight * weight).sum()
        assert loss.item() == 3
        x, expected = torch.arange(3.0), np.arange(3, dtype=np.float32)
        for _ in range(6):
            (slope,) = torch.autograd.grad(loss, [weight], retain_graph=True)
            assert slope.shape == (3,)
            if coin.random() < 0.5:
                x = x.mul(2).add(1).sin().cos().mul(3).add(2).sin().cos().tanh().abs()
                expected = np.cos(np.sin(np.cos(np.sin(expected * 2 + 1)) * 3 + 2))
                expected = np.abs(np.tanh(expected))
            else:
                x = x.exp().neg().tanh().abs().mul(2).add(1).sin().cos().tanh().abs()
                expected = np.abs(np.tanh(-np.exp(expected))) * 2 + 1
                expected = np.abs(np.tanh(np.cos(np.sin(expected))))
        assert x.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
        assert slope.tolist() == [2, 2, 2]


def test_layers_left_out() -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(6, 6) for _ in range(8)]
    coin, seen = random.Random(0), []
    for _ in range(30):
        x, kept = torch.ones(2, 6), []
        for layer in layers:
            x = x + 0.1
            if coin.random() < 0.5:
                kept.append(layer)
                x = x + torch.tanh(layer(x.square() - 1)) * 0.5
            x = x * 0.9
        x.sum().backward()
        expected = torch.ones(2, 6)
        with torch.no_grad():
            for layer in layers:
                expected = expected + 0.1
                if layer in kept:
                    expected = expected + torch.tanh(layer(expected.square() - 1)) * 0.5
                expected = expected * 0.9
        assert torch.allclose(x, expected, rtol=1e-5)
        for layer in layers:
            assert (layer.weight.grad is not None) == (layer in kept)
            layer.zero_grad()
        seen.append(x.sum().item())
    assert len(set(seen)) > 10
