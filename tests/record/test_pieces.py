"""Layers, optimizers' tensors and gradients that are known, as native calls: the same numbers as in
PyTorch whatever happens between the steps, and nothing held that is not given back.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.record import recorder
from flambeau.record.entering import NATIVE
from flambeau.record.native_calls import native_calls
from flambeau.record.options import OPTIONS

pytestmark = pytest.mark.skipif(
    native_calls() is None or OPTIONS.sync, reason="no native recording"
)


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = native_calls()
    assert calls is not None
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    monkeypatch.setattr(OPTIONS, "settled", 0)
    monkeypatch.setattr(recorder, "_known_op", calls.known_op)
    for name in calls._fields:
        monkeypatch.setattr(NATIVE, name, getattr(calls, name))


class Training:
    """Batch norm and Adam, on data that does not change."""

    def __init__(self, module: Any) -> None:
        self.module = module
        rng = np.random.default_rng(5)
        nn = module.nn
        self.model = nn.Sequential(
            nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ELU(), nn.Linear(8, 3), nn.Tanh()
        )
        with module.no_grad():
            for p in self.model.parameters():
                p.copy_(module.tensor(rng.standard_normal(tuple(p.shape)).astype("f").tolist()))
        self.optimizer = module.optim.Adam(self.model.parameters(), lr=0.01)
        self.x, self.y = (
            module.tensor(rng.standard_normal((16, n)).astype("f").tolist()) for n in (5, 3)
        )

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = ((self.model(self.x) - self.y) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        return float(loss.item())


def pause(t: Training) -> None:
    pass


def look(t: Training) -> None:
    for p in t.model.parameters():
        p.detach().numpy().sum()


def other_data(t: Training) -> None:
    t.model[0].weight.data = t.model[0].weight.data * 0.5


def frozen(t: Training) -> None:
    t.model[3].bias.requires_grad_(not t.model[3].bias.requires_grad)


def hooked(t: Training) -> None:
    t.model[3].weight.register_hook(lambda g: g * 0.5)


def kept_gradient(t: Training) -> None:
    ((t.model(t.x) - t.y) ** 2).sum().backward()


def other_rate(t: Training) -> None:
    t.optimizer.param_groups[0]["lr"] *= 0.5


def evaluated(t: Training) -> None:
    t.model.eval()
    t.model(t.x).sum().item()
    t.model.train()


def pending(t: Training) -> None:
    with t.module.no_grad():
        t.model[1].running_mean.mul_(0.5)  # before the step, in its recording


def other_input(t: Training) -> None:
    t.x = (t.module.cat([t.x, t.x]) * 0.5)[8:24]


CHANGES: list[Callable[[Training], None]] = [
    pause, look, other_data, frozen, hooked, kept_gradient, other_rate, evaluated, pending,
    other_input,
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_same_as_pytorch(change: Callable[[Training], None]) -> None:
    theirs = Training(pytest.importorskip("torch"))
    ours = Training(torch)
    for number in range(18):
        if number in (8, 9, 14):
            change(theirs)
            change(ours)
        assert ours.step() == pytest.approx(theirs.step(), rel=2e-3, abs=1e-5), number
    for p, q in zip(ours.model.state_dict().values(), theirs.model.state_dict().values()):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=2e-2, atol=2e-4)


def test_what_they_hold() -> None:
    training = Training(torch)
    for _ in range(20):
        training.step()
    calls: list[Any] = []
    repeat = NATIVE.repeat

    def watched(*args: Any) -> Any:
        calls.append(repeat(*args))
        return calls[-1]

    NATIVE.repeat = watched
    training.step()
    assert calls  # layers and the optimizer's tensors
    assert None not in calls
    NATIVE.repeat = repeat
    calls.clear()
    parameters = list(training.model.parameters())
    things: list[Any] = [*parameters, *[p._storage for p in parameters], None, True, False, ()]
    things += [*[p._meta for p in parameters], training.x, training.x._storage, 0, 1, 5, 20]
    for _ in range(5):
        training.step()
    gc.collect()
    counts = [sys.getrefcount(thing) for thing in things]
    objects = len(gc.get_objects())
    for _ in range(2000):
        training.step()
    gc.collect()
    after = [sys.getrefcount(thing) for thing in things]
    assert max(abs(b - a) for a, b in zip(counts, after)) < 100
    assert len(gc.get_objects()) - objects < 1000
    assert gc.isenabled()


def test_a_network_that_threads_share() -> None:
    training = Training(torch)
    training.model.eval()
    wanted = training.model(training.x).tolist()
    failures = []

    def work() -> None:
        for _ in range(60):
            with torch.no_grad():
                if training.model(training.x).tolist() != wanted:
                    failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
