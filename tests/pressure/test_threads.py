"""Many threads at once: right numbers, whoever runs whose recording."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.record import misses, native, recording, tree
from flambeau.record.options import OPTIONS
from flambeau.record.recording import ROOTS
from flambeau.record.storage import allocate

from . import TIMES

THREADS = 64


@contextmanager
def switching(seconds: float = 1e-5) -> Iterator[None]:
    """Threads take turns that often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def at_once(work: list[Callable[[], Any]]) -> list[Any]:
    """What the functions give, each run in a thread of its own; the first exception is raised."""
    results: list[Any] = [None] * len(work)
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            results[number] = work[number]()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
    return results


def training(seed: int, steps: int) -> list[float]:
    """The losses of a small network with weights of its own, trained on data of its own."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> Any:
        return fb.tensor(rng.standard_normal(shape).astype(np.float32))

    width = 3 + seed % 3
    model = fb.nn.Sequential(fb.nn.Linear(4, width), fb.nn.Tanh(), fb.nn.Linear(width, 1))
    with fb.no_grad():
        for parameter in model.parameters():
            parameter.copy_(drawn(*parameter.shape))
    update = fb.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = drawn(8, 4), drawn(8, 1)
    losses = []
    for step in range(steps):
        update.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        update.step()
        if (step + seed) % 3 == 0:
            losses.append(loss.item())
    return [*losses, sum(p.sum().item() for p in model.parameters())]


def test_many_threads_train_at_once() -> None:
    steps = 6 * TIMES
    wanted = [training(seed, steps) for seed in range(THREADS)]
    with switching():
        found = at_once([lambda seed=seed: training(seed, steps) for seed in range(THREADS)])
    for seed in range(THREADS):
        np.testing.assert_allclose(found[seed], wanted[seed], rtol=1e-4, err_msg=str(seed))


def test_many_threads_share_tensors() -> None:
    """All read one pending tensor and one model; each adds to a total of its own."""
    weights = fb.arange(12.0).reshape(3, 4)
    pending = (weights * 2).tanh() + 1
    values = np.tanh(np.arange(12.0).reshape(3, 4) * 2) + 1

    def work(seed: int) -> float:
        draw = random.Random(seed)
        total = fb.zeros(())
        expected = 0.0
        for _ in range(10 * TIMES):
            row, factor = draw.randrange(3), draw.random()
            total = total + (pending[row] * factor).sum()
            expected += float(values[row].sum()) * factor
            if draw.random() < 0.2:
                assert abs(total.item() - expected) < 1e-3 * max(1, abs(expected))
        return float(total.item()) - expected

    with switching():
        left = at_once([lambda seed=seed: work(seed) for seed in range(THREADS)])
    assert max(map(abs, left)) < 1e-2 * TIMES


def test_many_threads_use_one_model_and_views_of_its_weights() -> None:
    """Storages and families that all threads enter, with and without gradients."""
    fb.manual_seed(0)
    model = fb.nn.Sequential(fb.nn.Linear(4, 5), fb.nn.Tanh(), fb.nn.Linear(5, 3), fb.nn.Sigmoid())
    table = fb.rand(3, 4, requires_grad=True)
    x = fb.rand(2, 4)
    plain = model(x).sum().item()
    rows = [table[row] for row in range(3)]
    wanted = [[v.tolist() for v in fb.autograd.grad(model(rows[n]).sum(), table)] for n in range(3)]

    def work(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(3 * TIMES):
            row = draw.randrange(3)
            if draw.random() < 0.5:
                with fb.no_grad():
                    assert abs(model(x).sum().item() - plain) < 1e-4
            else:
                y = model(rows[row] if draw.random() < 0.5 else table[row])
                (found,) = fb.autograd.grad(y.sum(), table)
                np.testing.assert_allclose(found.tolist(), wanted[row][0], rtol=1e-4)

    with switching():
        at_once([lambda seed=seed: work(seed) for seed in range(24)])


def test_a_kept_call_sees_what_another_thread_has_recorded() -> None:
    weight = fb.ones(3)

    @fb.compile
    def step(x: Any) -> Any:
        with fb.no_grad():
            weight.add_(x)
            return weight.sum()

    for count in range(1, 6):
        assert step(fb.ones(3)).item() == 3 * (1 + count)
    seen: list[Any] = []

    def elsewhere() -> None:
        seen.append(weight * 2)
        weight.mul_(10)

    at_once([elsewhere])  # pending there
    assert step(fb.ones(3)).item() == 3 * 61
    assert seen[0].tolist() == [12.0] * 3


def test_gradients_of_shared_leaves_are_not_lost() -> None:
    """Each thread's gradient is added, whoever was first; one graph is passed by many at once."""
    fb.manual_seed(0)
    model = fb.nn.Sequential(fb.nn.Linear(4, 5), fb.nn.Tanh(), fb.nn.Linear(5, 1))
    inputs = [fb.rand(3, 4) for _ in range(6)]
    for x in inputs:
        model(x).sum().backward()
    wanted = [p.grad.tolist() for p in model.parameters()]
    with switching(1e-6):
        for seed in range(30 * TIMES):
            model.zero_grad()
            at_once([lambda x=x: model(x).sum().backward() for x in inputs])
            for parameter, expected in zip(model.parameters(), wanted):
                np.testing.assert_allclose(parameter.grad.tolist(), expected, 1e-4, 1e-5)
            w = fb.ones(3, requires_grad=True)
            h = w * 2
            h.retain_grad()
            total = h.exp().sum()
            assert seed % 2 or total.item()
            at_once([lambda t=total: t.backward(retain_graph=True)] * 5)
            np.testing.assert_allclose(w.grad.tolist(), [10 * np.exp(2)] * 3, 1e-5)
            np.testing.assert_allclose(h.grad.tolist(), [5 * np.exp(2)] * 3, 1e-5)


def test_threads_write_views_of_one_tensor() -> None:
    """Writes that are pending in threads that have ended are there for whoever comes later."""
    with switching(1e-6):
        for _ in range(60 * TIMES):
            table = fb.zeros(4)
            views = [table[place] for place in range(4)]

            def write(place: int, table: Any = table, views: Any = views) -> Any:
                for k in range(4):
                    views[place].add_(place + k)
                return table[place] * 2

            doubled = at_once([lambda n=n, w=write: w(n) for n in range(4)])
            table.mul_(2)
            assert table.tolist() == [12.0, 20.0, 28.0, 36.0]
            assert [one.item() for one in doubled] == [12.0, 20.0, 28.0, 36.0]


def test_a_view_made_while_its_base_is_pending_elsewhere_shares_its_history() -> None:
    factor = fb.ones(2, requires_grad=True)
    base = fb.rand(2, 2)
    scale = (factor * base).sum()  # base is in this thread's recording
    (view,) = at_once([lambda: base.narrow(1, 0, 1)])
    view[fb.tensor([0])] *= scale
    assert base.requires_grad and not base.is_leaf


def handed_over(rounds: int) -> list[float]:
    """One thread makes tensors, another takes them while they are pending."""
    handed: list[Any] = []
    ended: list[bool] = []

    def make() -> None:
        base = fb.tensor([1.0, 2.0, 3.0])
        try:
            for k in range(rounds):
                handed.append((base + k) * 2 if k % 3 else (base * 2 + k + k).abs())
                other = base * k
                assert k % 7 or other.tolist() == [k * 1.0, k * 2.0, k * 3.0]
        finally:
            ended.append(True)

    def take() -> list[float]:
        sums = []
        for k in range(rounds):
            while len(handed) <= k and not ended:
                time.sleep(0)
            sums.append((handed[k] + 1).sum().item() - 6 * k)
        return sums

    with switching():
        found: list[float] = at_once([make, take])[1]
    return found


def test_a_recording_is_taken_in_the_middle_of_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace that a thread is about to extend must not be the one that another one plans by."""
    original = recording.trace_of

    def slowly(rec: Any) -> Any:
        trace = original(rec)
        time.sleep(2e-5)  # another thread comes in here
        return trace

    monkeypatch.setattr(misses, "trace_of", slowly)
    for root in list(ROOTS.values()):
        root.next.clear()
    assert handed_over(300) == [15.0] * 300


def test_tensors_go_from_thread_to_thread() -> None:
    for _ in range(3 * TIMES):
        for root in list(ROOTS.values()):
            root.next.clear()  # what both meet is new to them
        assert handed_over(150) == [15.0] * 150


def test_a_pass_of_another_thread_reads_what_was_saved() -> None:
    """It is pending when this thread writes to what it needs, and reads that it was written."""
    for write in (
        lambda w: w.fill_(0.0),
        lambda w: w[1:].mul_(0.0),
        lambda w: w.zero_().sum().item(),
    ):
        x = fb.tensor([1.0, 2.0, 3.0], requires_grad=True)
        w = fb.tensor([2.0, 3.0, 4.0])
        loss = (x * w).exp().sum()
        loss.item()
        worker = threading.Thread(target=loss.backward)
        worker.start()
        worker.join()
        write(w)
        assert w.tolist()[1:] == [0.0, 0.0]
        wanted = np.float32([2, 3, 4]) * np.exp(np.float32([2, 6, 12]))
        np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-5)


def test_a_pass_of_another_thread_reads_what_a_pending_view_overwrites() -> None:
    """Found by random program 1,085,251: the write is to a view that has no memory of its own yet,
    and runs before the pass does.
    """
    for run in range(4):
        w = fb.ones(3, 3, requires_grad=True)
        x = fb.tensor([1.0, 2.0, 3.0])
        y = x @ w

        def work(y: fb.Tensor = y) -> None:
            y.sum().backward(retain_graph=True)

        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        x[1:] += 5.0 + run
        assert w.grad[:, 0].tolist() == [1.0, 2.0, 3.0]
        assert x.tolist() == [1.0, 7.0 + run, 8.0 + run]


def test_the_tree_is_pruned_while_others_record() -> None:
    stop = threading.Event()

    def prune() -> int:
        rounds = 0
        while not stop.is_set():
            tree.prune(list(ROOTS.values()), 50)
            rounds += 1
            time.sleep(1e-3)
        return rounds

    def work(seed: int) -> bool:
        try:
            for k in range(60 * TIMES):
                x = fb.ones(1 + (k * 7 + seed) % 23)
                for _ in range(1 + k % 4):
                    x = x * 2 + seed
                x.sum().item()
        finally:
            stop.set()
        return True

    with switching():
        rounds, *rest = at_once([prune, *(lambda seed=seed: work(seed) for seed in range(6))])
    assert rounds > 0 and all(rest)


def test_a_compiled_function_in_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has results of its own; and where a program has needed more memory for intermediates in
    between, the function does not write to what was given back.
    """
    monkeypatch.setattr(OPTIONS, "executor", "compiled")

    def model(x: Any) -> Any:
        return fb.softmax(fb.softmax(x @ x, 1) @ x, 1)

    compiled = fb.compile(model)
    inputs = [fb.randn(32, 32) for _ in range(8)]
    with fb.no_grad():
        wanted = [model(x).numpy().copy() for x in inputs]
        for x in inputs:
            float(compiled(x).sum())
    native.ARENA.buffer = allocate(2 * native.ARENA.buffer.nbytes)
    native.ARENA.token = object()

    def work(number: int) -> float:
        worst = 0.0
        with fb.no_grad():
            for k in range(10 * TIMES):
                which = (number + k) % len(inputs)
                found = compiled(inputs[which]).detach()
                worst = max(worst, float(np.abs(np.array(found.tolist()) - wanted[which]).max()))
        return worst

    assert work(0) < 1e-5
    with switching():
        assert max(at_once([lambda n=n: work(n) for n in range(6)])) < 1e-5
