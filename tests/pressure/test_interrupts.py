"""Signals at any moment: what was interrupted can be done again, and nothing is half done."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.execute.cpu import bounds
from flambeau.record.recording import ROOTS
from tests.programs.modes import mode

from . import TIMES

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")


class Late(Exception):
    """What a handler of SIGALRM raises, as programs with time limits do."""


@contextmanager
def interrupting(kind: type[BaseException]) -> Iterator[None]:
    def interrupt(number: int, frame: Any) -> None:
        raise kind

    hook = sys.unraisablehook
    before = signal.signal(signal.SIGALRM, interrupt)
    sys.unraisablehook = lambda _: None  # one in a finalizer is lost, as everywhere in Python
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.unraisablehook = hook


def cut_short(kind: type[BaseException], seconds: float, work: Callable[[], Any]) -> bool:
    """Runs `work`, interrupted after some time; whether it was."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            work()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except kind:
        return True
    return False


class Training:
    """A model with statistics, an optimiser with state; `history` is the weights after each step
    that a run without interrupts goes through.
    """

    def __init__(self) -> None:
        fb.manual_seed(1)
        self.x = fb.randn(6, 3)
        self.y = fb.randn(6, 1)
        self.start()

    def start(self) -> None:
        fb.manual_seed(2)
        nn = fb.nn
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
        self.update = fb.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)

    def step(self) -> Any:
        self.update.zero_grad()
        loss = ((self.model(self.x) - self.y) ** 2).mean()
        loss.backward()
        self.update.step()
        return loss

    def weights(self) -> list[float]:
        return [v for p in self.model.parameters() for v in p.detach().flatten().tolist()]

    def history(self, steps: int) -> Any:
        self.start()
        found = [self.weights()]
        for _ in range(steps):
            self.step().item()
            found.append(self.weights())
        return np.array(found)


def fresh() -> None:
    """Forgets what was recognised, so that programs are made, and compiled, anew."""
    for root in list(ROOTS.values()):
        root.next.clear()


def one_by_one(executor: str) -> None:
    """In the checking mode Python goes from kernel to kernel, and an interrupt may come between."""
    if bounds.switched_on() and executor != "reference":
        pytest.skip("kernels run one by one")


@pytest.mark.parametrize(
    ("executor", "kind"),
    [("recognised", KeyboardInterrupt), ("compiled", Late), ("reference", KeyboardInterrupt)],
)
def test_an_interrupted_step_is_done_or_not_begun(executor: str, kind: type[BaseException]) -> None:
    """After an interrupt the weights are those before or after the step, and training goes on from
    there: interrupted steps, a first one too, leave no tensor without its data.
    """
    one_by_one(executor)
    rng = random.Random(executor + kind.__name__)
    with mode(executor), interrupting(kind):
        fresh()
        training = Training()
        history = training.history(12)
        caught = 0
        half_done: list[Any] = []
        for _ in range(10 * TIMES):
            if rng.random() < 0.3:
                fresh()
            training.start()
            losses: list[Any] = []
            longest = rng.choice([5e-4, 5e-3, 5e-2])

            def some(losses: list[Any] = losses) -> None:
                for _ in range(6):
                    losses.append(training.step())
                    losses[-1].item()

            caught += cut_short(kind, rng.uniform(1e-5, longest), some)
            for loss in losses:
                assert np.isfinite(loss.item())
            now = np.array(training.weights())
            place = int(np.abs(history - now).sum(1).argmin())
            if not np.allclose(now, history[place], rtol=1e-3, atol=1e-5):
                half_done.append(now - history[place])
                continue
            assert place - len(losses) in (0, 1)
            for _ in range(3):
                assert np.isfinite(training.step().item())
    assert caught >= TIMES
    assert not half_done


def test_an_interrupted_model_is_still_made() -> None:
    """What was recorded before the interrupt is computed when it is needed."""
    rng = random.Random(7)
    with mode("recognised"), interrupting(KeyboardInterrupt):
        for _ in range(15 * TIMES):
            fb.manual_seed(3)
            first = fb.randn(40, 30)
            second = (first @ first.t()).tanh()
            wanted = (
                np.tanh(first.clone().numpy().astype(np.float64) @ first.clone().numpy().T)
                if rng.random() < 0.5
                else None
            )
            third = second + 1
            if rng.random() < 0.5:
                fresh()
            cut_short(KeyboardInterrupt, rng.uniform(1e-5, 2e-3), lambda t=third: t.sum().item())
            again = np.tanh(first.numpy().astype(np.float64) @ first.numpy().T)
            np.testing.assert_allclose(third.numpy() - 1, again, atol=1e-4)
            if wanted is not None:
                np.testing.assert_allclose(second.numpy(), wanted, atol=1e-4)
