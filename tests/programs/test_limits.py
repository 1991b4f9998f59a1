"""Threads, forks, interrupts and long runs: the recorder stays usable, and its memory bounded."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.record import recorder
from flambeau.record.statistics import STATISTICS

from .modes import mode


@pytest.fixture(autouse=True)
def recorded() -> Iterator[None]:
    with mode("recognised"):
        yield
    fb.set_grad_enabled(True)


def training(seed: int, steps: int) -> list[float]:
    """A small training run; its losses."""
    rng = np.random.default_rng(seed)
    w = fb.tensor(rng.standard_normal((3, 2)).astype(np.float32), requires_grad=True)
    x = fb.tensor(rng.standard_normal((4, 3)).astype(np.float32))
    y = fb.tensor(rng.standard_normal((4, 2)).astype(np.float32))
    losses = []
    for step in range(steps):
        loss = ((x @ w - y) ** 2).mean()
        w.grad = None
        loss.backward()
        with fb.no_grad():
            w -= 0.1 * w.grad
        if step % 3 == 0:
            losses.append(loss.item())
    return [*losses, float(w.detach().sum())]


def expected(seed: int, steps: int) -> list[float]:
    with mode("sync"):
        return training(seed, steps)


def in_threads(*work: Callable[[], None]) -> None:
    """Runs functions in threads of their own; the first exception is raised here."""
    failures: list[BaseException] = []

    def guarded(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


# ---- threads
# -----------------------------------------------------------------------------------------


def test_threads_train_at_the_same_time() -> None:
    wanted = [expected(seed, 25) for seed in range(4)]
    found: dict[int, list[float]] = {}

    def work(seed: int) -> None:
        found[seed] = training(seed, 25)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        in_threads(*(lambda seed=seed: work(seed) for seed in range(4)))
    finally:
        sys.setswitchinterval(before)
    for seed in range(4):
        np.testing.assert_allclose(found[seed], wanted[seed], rtol=1e-4)


def test_a_pending_tensor_is_handed_to_another_thread() -> None:
    w = fb.tensor([1.0, 2.0], requires_grad=True)
    y = (w * 3).exp()
    results: list[Any] = []

    def work() -> None:
        results.append((y * 2).tolist())
        (y.sum()).backward()
        results.append(y.detach().numpy().copy())

    in_threads(work)
    np.testing.assert_allclose(results[0], 2 * np.exp([3.0, 6.0]), rtol=1e-5)
    np.testing.assert_allclose(w.grad.tolist(), 3 * np.exp([3.0, 6.0]), rtol=1e-5)
    z = y + 1  # this thread goes on with it
    np.testing.assert_allclose(z.tolist(), results[1] + 1, rtol=1e-5)


def test_tensors_go_from_thread_to_thread_while_both_record() -> None:
    """One thread makes tensors without pause, the other takes them while they are pending."""
    handed: list[Any] = []
    ready = threading.Condition()
    sums: list[float] = []

    def make() -> None:
        base = fb.tensor([1.0, 2.0, 3.0])
        for k in range(300):
            made = (base + k) * 2
            with ready:
                handed.append((k, made))
                ready.notify()
            other = base * k
            assert k % 50 or other.tolist() == [k * 1.0, k * 2.0, k * 3.0]

    def take() -> None:
        for k in range(300):
            with ready:
                while len(handed) <= k:
                    assert ready.wait(30)
                number, made = handed[k]
            sums.append((made + 1).sum().item() - 6 * number)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        in_threads(make, take)
    finally:
        sys.setswitchinterval(before)
    assert sums == [15.0] * 300


# ---- fork
# --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_with_a_pending_recording() -> None:
    w = fb.tensor([0.5, -1.0], requires_grad=True)
    pending = (w * 4).sum()
    queue = multiprocessing.get_context("fork").SimpleQueue()

    def child() -> None:
        pending.backward()
        queue.put((pending.item(), w.grad.tolist(), training(1, 6)))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    value, grad, losses = queue.get()
    assert (value, grad) == (-2.0, [4.0, 4.0])
    np.testing.assert_allclose(losses, expected(1, 6), rtol=1e-4)
    assert pending.item() == -2.0 and w.grad is None


# ---- interrupts
# --------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("seed", range(3))
def test_an_interrupt_anywhere_leaves_a_usable_state(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    wanted = expected(seed, 7)
    kept = fb.tensor([1.0, 2.0, 3.0])
    caught = 0

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    # An interrupt in a finalizer is lost, as everywhere in Python: nothing to report.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(60):
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 4e-3))
                for _ in range(50):
                    total = kept * 2
                    training(seed, 7)
                    total += kept
            except KeyboardInterrupt:
                caught += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            fb.set_grad_enabled(True)
            np.testing.assert_allclose(training(seed, 7), wanted, rtol=1e-4)
            assert (kept + 1).tolist() == [2.0, 3.0, 4.0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught > 30


# ---- long runs
# ---------------------------------------------------------------------------------------


def resident_bytes() -> int:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_many_steps_take_bounded_memory() -> None:
    """10^5 recorded events of a training loop with changing scalars, a sync now and then."""
    w = fb.tensor([0.5, -1.0, 2.0], requires_grad=True)

    def steps(count: int) -> None:
        for k in range(count):
            w.grad = None
            loss = ((w - 0.1 * (k % 5)) ** 2).sum()
            loss.backward()
            with fb.no_grad():
                w.sub_(w.grad, alpha=0.01 / (1 + k))
            if k % 4 == 0:
                loss.item()

    steps(500)
    states, plans, memory = (
        STATISTICS.states,
        STATISTICS.plans,
        resident_bytes(),
    )
    steps(10_000)
    assert STATISTICS.states - states < 200
    assert STATISTICS.plans - plans < 50
    assert resident_bytes() - memory < 30 << 20
    assert len(recorder.LOCAL.rec.handles) <= 2100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_streams_that_never_repeat_take_bounded_memory() -> None:
    """New shapes and new orders all the time: the tree is pruned, or at least grows slowly."""
    rng = random.Random(5)

    def streams(count: int) -> None:
        for _ in range(count):
            x = fb.ones(rng.randint(1, 40), rng.randint(1, 40))
            for _ in range(rng.randint(1, 6)):
                x = rng.choice([x + 1, x * 2, x.t(), x.tanh()])
            x.sum().item()

    streams(200)
    memory = resident_bytes()
    streams(1500)
    assert resident_bytes() - memory < 120 << 20
