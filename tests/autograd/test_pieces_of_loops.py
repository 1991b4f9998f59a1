"""Passes through loops that are cut into pieces: alike whatever the length of the loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.record.statistics import STATISTICS
from flambeau.record.worth import EARLY


def recurrent(t: Any) -> Any:
    """(length) -> the loss, gradients and what is left of the loop, of a network of cells."""
    t.manual_seed(1)
    cell, head = t.nn.GRUCell(5, 8), t.nn.Linear(8, 1)
    weights = [*cell.parameters(), *head.parameters()]

    def step(length: int) -> list[Any]:
        rng = np.random.default_rng(length)
        x = t.from_numpy(rng.standard_normal((length, 3, 5)).astype(np.float32))
        h = t.zeros(3, 8)
        for k in range(length):
            h = cell(x[k], h)
        for w in weights:
            w.grad = None
        loss = (head(h) ** 2).mean()
        loss.backward()
        return [loss.item(), *[w.grad.clone().numpy() for w in weights]]

    return step


@pytest.fixture
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says that lengths are ever new."""
    monkeypatch.setattr(EARLY, "waiting", 0.0)
    EARLY.many = False


def test_short_loops_go_through_the_pieces_of_long_ones(few_programs: None) -> None:
    step = recurrent(flambeau)
    step(70)
    for length in range(60, 90):
        step(length)
    states, few = STATISTICS.states, []
    for length in range(35, 60):
        step(length)
        few.append(STATISTICS.states - states)
        states = STATISTICS.states
    assert sorted(few)[len(few) // 2] == 0 and sum(few) < 300, few


@pytest.mark.parity
def test_gradients_are_pytorchs(few_programs: None) -> None:
    torch = pytest.importorskip("torch")
    steps = [recurrent(t) for t in (torch, flambeau)]
    for length in (5, 17, 30, 31, 45, 17, 45, 80, 31):
        theirs, ours = (step(length) for step in steps)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, 2e-4, 2e-6)
