"""Flushes that are one native call: what they hand out, count and hold, and when they are not."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.execute.cpu import bounds
from flambeau.record import flushing, replay
from flambeau.record.options import OPTIONS
from flambeau.record.recording import CLOSED, DEAD
from flambeau.record.result_memory import LARGE, TURNS, Results
from flambeau.record.statistics import RUNS, STATISTICS, TALLY, TICKS

pytestmark = pytest.mark.skipif(
    replay.native() is None or bounds.switched_on() or OPTIONS.sync, reason="no native flushes"
)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    monkeypatch.setattr(OPTIONS, "settled", 0)


def replays(step: Callable[[], Any], warm: int = 8, count: int = 4) -> int:
    """How many of `count` runs of a step are native flushes, once it is known."""
    for _ in range(warm):
        step()
    before = int(TALLY[RUNS])
    for _ in range(count):
        step()
    return int(TALLY[RUNS]) - before


class Net:
    """A small network whose loss is looked at: writes, gradients, spent history."""

    def __init__(self, module: Any) -> None:
        self.weight = module.tensor([[0.5, -0.25], [0.125, 1.0]], requires_grad=True)
        self.optimizer = module.optim.SGD([self.weight], lr=0.1, momentum=0.9)
        self.x = module.tensor([[1.0, 2.0], [3.0, -1.0]])

    def step(self) -> Any:
        self.optimizer.zero_grad()
        out = (self.x @ self.weight).tanh()
        loss = (out * out).mean()
        loss.backward()
        self.optimizer.step()
        return out, loss, loss.item()


def test_a_training_step_is_pytorchs() -> None:
    theirs = Net(pytest.importorskip("torch"))
    ours = Net(torch)
    before = int(TALLY[RUNS])
    for _ in range(20):
        ours_out, ours_loss, value = ours.step()
        out, loss, wanted = theirs.step()
        assert value == pytest.approx(wanted, rel=1e-5)
        assert ours.weight._version == theirs.weight._version
        assert ours_loss.requires_grad
        assert ours_loss.grad_fn.name() == loss.grad_fn.name()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            ours_loss.backward()
        np.testing.assert_allclose(ours_out.detach(), out.detach(), rtol=1e-4, atol=1e-5)
    del ours_out, ours_loss, out, loss
    np.testing.assert_allclose(ours.weight.detach(), theirs.weight.detach(), rtol=1e-4)
    assert replays(ours.step) == 4
    assert int(TALLY[RUNS]) > before


def test_run_time_numbers() -> None:
    x = torch.arange(6.0)
    for number in range(30):
        assert (x[1:] * (0.5 + number)).tolist() == [(0.5 + number) * i for i in range(1, 6)]
        assert (x.to(torch.int64) + number).tolist() == [i + number for i in range(6)]
    n = torch.arange(4)
    for number in (3, True, 2**62, -(2**63)):
        assert (n + number).tolist()[0] == int(number)
    assert (n + 5).tolist() == [5, 6, 7, 8]


def test_results_that_are_held_stay_as_they_are() -> None:
    x = torch.arange(4.0)
    kept = []
    for number in range(20):
        x += 1
        y = x * 2
        kept.append((number, y.numpy() if number % 3 else y, y.sum().item()))
    for number, y, total in kept:
        assert np.asarray(y).tolist() == [2.0 * (number + 1 + i) for i in range(4)]
        assert total == 8 * (number + 1) + 12


def test_results_take_turns_where_the_last_ones_are_held() -> None:
    x, scale = torch.arange(4.0), 0.0
    last: list[Any] = [None, None]

    def keep_two() -> None:
        nonlocal scale
        scale += 1
        last[:] = last[1], (x * scale).numpy()
        for back, array in enumerate(reversed(last)):
            assert array is None or array.tolist() == [(scale - back) * i for i in range(4)]

    assert replays(keep_two, warm=32, count=20) == 20
    # Another program has its own (and the run by which compiling has paid is Python's).
    assert replays(lambda: (x * 2).tolist()) >= 3
    assert replays(keep_two, count=20) == 20
    held, scale = [last[1]], scale
    for _ in range(20):  # more than take turns
        keep_two()
        held.append(last[1])
    first = scale - 20
    assert [a.tolist()[1] for a in held] == [first + n for n in range(21)]
    held.clear()
    assert replays(keep_two, warm=600, count=20) == 20  # tried again, ever more rarely


def test_results_that_are_all_kept() -> None:
    """They get memory of their own, in the native call; it goes when they go."""
    x, scale = torch.arange(4.0), 0
    kept: list[Any] = []

    def keep() -> None:
        nonlocal scale
        scale += 1
        y = x * float(scale)
        kept.append((y, torch.max(y + 1, 0)))
        y.numpy()

    assert replays(keep, warm=100, count=50) == 50
    assert len({y.data_ptr() for y, _ in kept}) == len(kept) == 150
    for number, (y, (value, place)) in enumerate(kept, 1):
        assert y.tolist() == [i * number for i in range(4)]
        assert (value.item(), place.item()) == (3 * number + 1, 3)
        assert y._version == 0
    kept[0][0][1] = 7.0
    kept[1][0].add_(1)
    assert kept[2][0].tolist() == [0, 3, 6, 9]
    buffers = [weakref.ref(y._storage.buffer) for y, _ in kept]
    kept.clear()
    del y, value, place
    torch.ones(1).tolist()
    gc.collect()
    assert sum(buffer() is not None for buffer in buffers) <= TURNS
    things: list[Any] = [None, 0, -1, False, (), x, x._storage]
    counts = [sys.getrefcount(thing) for thing in things]
    assert replays(keep, warm=100, count=500) == 500
    kept.clear()
    gc.collect()
    after = [sys.getrefcount(thing) for thing in things]
    assert max(abs(b - a) for a, b in zip(counts, after, strict=True)) < 200  # of 600 runs


def test_large_results_of_brief_programs() -> None:
    """They are handed out natively, and count as used for what plans may keep of memory."""
    count = LARGE // 4 + 8
    x = torch.arange(count).float()
    kept: list[Any] = []

    def step() -> None:
        kept[:] = [-x]
        assert kept[0].numpy()[-1] == 1 - count

    assert replays(step, warm=16) == 4
    before = int(TALLY[TICKS])
    assert replays(step) == 4
    assert int(TALLY[TICKS]) == before + 12  # of each run
    first = -x
    array = first.numpy()
    step()
    assert array[-1] == 1 - count
    assert kept[0].data_ptr() != first.data_ptr()


def test_results_that_the_next_run_reads() -> None:
    value = torch.full((3,), 1024.0)
    wanted = 1024.0

    def halve() -> None:
        nonlocal value, wanted
        value, wanted = value * 0.5, wanted * 0.5
        assert value.sum().item() == 3 * wanted

    assert replays(halve, warm=32, count=20) == 20
    ones = torch.ones(3)

    def write() -> None:  # what was written since it was made counts as never written again
        nonlocal value
        value = ones + 1
        assert value.tolist() == [2.0] * 3
        assert value._version == 0
        value += 2
        assert value.tolist() == [4.0] * 3

    for _ in range(40):
        write()
    assert value._version == 1


def test_lots_of_memory() -> None:
    results, held = Results([64, 128]), []
    for run in range(100):
        storages = results.take(run, compiled=True)
        assert not {id(storage) for storage in storages} & set(map(id, held))
        held.append(storages[run % 2])
        storages[run % 2].version = 3
        del storages
        assert len(results.lots) <= TURNS
    held.clear()
    first = results.take(100, compiled=True)
    assert [storage.version for storage in first] == [0, 0]
    assert results.take(101, compiled=True) is first  # (the list is nobody's)
    assert results.lot.as_sealed()
    last = first[0]
    assert not results.lot.as_sealed()
    assert last not in results.take(102, compiled=True)
    large = Results([LARGE + 1])
    held = [large.take(run, compiled=True)[0] for run in range(5)]
    assert len({id(storage) for storage in held}) == 5
    assert len(large.lots) == 1


def test_what_it_holds() -> None:
    net = Net(torch)

    def step() -> None:
        net.step()

    assert replays(step) == 4
    state = net.weight._rec
    things = [None, True, False, (), CLOSED, DEAD, 0, 1, net.weight, net.weight._storage]
    assert replays(step) == 4  # (with `things`)
    gc.collect()
    counts = [sys.getrefcount(thing) for thing in things]
    objects = len(gc.get_objects())
    runs = int(TALLY[RUNS])
    for _ in range(3000):
        step()
    assert int(TALLY[RUNS]) - runs > 2990  # (the run by which compiling has paid is Python's)
    gc.collect()
    after = [sys.getrefcount(thing) for thing in things]
    assert max(abs(b - a) for a, b in zip(counts, after)) < 100
    assert len(gc.get_objects()) - objects < 1000
    assert state.done
    assert gc.isenabled()


def test_counts_are_told() -> None:
    x = torch.ones(3)
    assert replays(lambda: (x + 1).tolist()) == 4
    runs, events = STATISTICS.compiled_runs, STATISTICS.compiled_events
    for _ in range(64):
        (x + 1).tolist()
    assert STATISTICS.compiled_runs - runs == 64
    assert STATISTICS.compiled_events - events >= 64


def test_data_that_is_refused() -> None:
    x = torch.arange(5.0)
    places = torch.tensor([1, 4])

    def step() -> Any:
        return x.index_select(0, places).tolist()

    assert replays(step) == 4
    places[1] = 7
    before = gc.isenabled()
    for _ in range(3):
        with pytest.raises((IndexError, RuntimeError), match="index"):
            step()
    assert gc.isenabled() == before
    places[1] = 2
    assert step() == [1.0, 2.0]
    assert replays(step) == 4


def test_finalizers_may_record_and_flush() -> None:
    x = torch.ones(3)
    seen = []

    def dying(_: Any) -> None:
        seen.append((x * 3).tolist())

    def step() -> Any:
        part = x + 1
        watch = weakref.ref(part, dying)
        y = part * 2
        held = [part]
        del part
        held.clear()
        del watch
        return y.tolist()

    for _ in range(30):
        assert step() == [4.0, 4.0, 4.0]
    watched = []

    def late() -> Any:
        part = x + 1
        watched.append(weakref.ref(part, dying))
        y = part * 2
        del part  # the recording alone holds it now
        return y.tolist()

    for _ in range(30):
        assert late() == [4.0, 4.0, 4.0]
    assert len(seen) == 30
    assert seen[-1] == [3.0, 3.0, 3.0]


@pytest.fixture
def eager_collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1, 50, 50)
    yield
    gc.set_threshold(*before)


def test_the_collector_may_come_at_any_time(eager_collector: None) -> None:
    net, x = Net(torch), torch.ones(3)

    class Loop:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            (x * 3).tolist()

    for _ in range(40):
        Loop()
        out, loss, value = net.step()
        assert np.isfinite(value)
        assert (out * out).mean().item() == pytest.approx(value)
        assert loss.item() == value


def test_another_thread_in_a_flush() -> None:
    x = torch.ones(3)

    def step() -> Any:
        return (x + 1).tolist()

    assert replays(step) == 4
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with flushing.settling():
            entered.set()
            leave.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(5)
    before = int(TALLY[RUNS])
    threading.Timer(0.05, leave.set).start()
    assert step() == [2.0, 2.0, 2.0]
    assert int(TALLY[RUNS]) == before
    thread.join()


def test_threads_take_turns() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    wanted = [[1.0, 5.0], [9.0, 13.0]]
    failures = []

    def work() -> None:
        for _ in range(300):
            y = (x[:, :2] * 4) - torch.ones(2, 2) * -1
            z = y - torch.tensor([[0.0, 0.0], [4.0, 4.0]])
            if z.tolist() != wanted:
                failures.append(z.tolist())

    for _ in range(3):  # new threads, which may have the identity of old ones
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
