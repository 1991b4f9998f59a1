"""Loops that look at their data while gradients are recorded: what native calls leave as history,
and passes that are known, beside PyTorch. The paths are the same over and over, with something
else about them every time.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.autograd import known_passes
from flambeau.execute.cpu import bounds
from flambeau.record import recording, replay
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import RUNS, TALLY
from tests.programs.modes import mode

Case = Callable[[Any], Any]
CASES: dict[str, Case] = {}
TIMES = 12
pytestmark = pytest.mark.skipif(
    replay.native() is None or bounds.switched_on() or OPTIONS.sync, reason="no native flushes"
)


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def leaf(t: Any, seed: int, *shape: int) -> Any:
    return t.tensor(numbers(seed, *shape), requires_grad=True)


def walk(w: Any, h: Any, steps: int, kept: list[Any] | None = None) -> Any:
    """Steps of one of two kinds, as the state says."""
    for _ in range(steps):
        h = (h @ w).tanh() if h.sum().item() > 0 else (h @ w).relu() - 0.3
        if kept is not None:
            kept.append(h)
    return h


def attempt(action: Callable[[], Any]) -> str:
    try:
        action()
    except RuntimeError as error:
        return str(error)[:60]
    return "done"


# ---- what is true of each round ------------------------------------------------------------------


@case
def chains_of_all_lengths(t: Any) -> Any:
    w, x, found = leaf(t, 0, 3, 3), t.tensor(numbers(1, 2, 3)), []
    for k in range(TIMES):
        loss = walk(w, x + 0.1 * k, 3 + k % 4).pow(2).sum()
        loss.backward()
        found.append((loss.item(), w.grad.tolist()))
        if k % 3 == 0:
            w.grad = None
    return found


@case
def states_that_are_all_kept(t: Any) -> Any:
    w, x, found = leaf(t, 2, 3, 3), t.tensor(numbers(3, 2, 3)), []
    for k in range(TIMES):
        kept: list[Any] = []
        walk(w, x * (k + 1), 6, kept)
        before = [h.tolist() for h in kept]
        walk(w, -x, 6)
        found.append([h.tolist() for h in kept] == before)
        t.stack(kept[k % 3 :]).sin().sum().backward()
        found.append((w.grad.tolist(), [h.tolist() for h in kept] == before))
        w.grad = None
    return found


@case
def a_state_is_written_before_the_pass(t: Any) -> Any:
    w, x, found = leaf(t, 4, 3, 3), t.tensor(numbers(5, 2, 3)), []
    for k in range(TIMES):
        kept: list[Any] = []
        loss = walk(w, x + k, 5, kept).sum()
        if k % 3 == 1:
            with t.no_grad():
                kept[k % 4].mul_(0.5)
        found.append(attempt(loss.backward))
        found.append(None if w.grad is None else w.grad.tolist())
        w.grad = None
    return found


@case
def the_weight_is_written_before_the_pass(t: Any) -> Any:
    w, x, found = leaf(t, 6, 3, 3), t.tensor(numbers(7, 2, 3)), []
    for k in range(TIMES):
        loss = walk(w, x - k, 4).sum()
        with t.no_grad():
            if k % 4 == 2:
                w.mul_(0.9)
            elif k % 4 == 3:
                w.data = w.data * 0.9
        found.append(attempt(loss.backward))
        w.grad = None
    return found


@case
def a_graph_is_used_again(t: Any) -> Any:
    w, x, found = leaf(t, 8, 3, 3), t.tensor(numbers(9, 2, 3)), []
    for k in range(TIMES):
        loss = walk(w, x + k, 4).sum()
        keep = k % 2 == 0
        found.append(attempt(lambda loss=loss, keep=keep: loss.backward(retain_graph=keep)))
        found.append(attempt(loss.backward))
        found.append(w.grad.tolist())
        w.grad = None
    return found


@case
def hooks_come_after_the_look(t: Any) -> Any:
    w, x, found = leaf(t, 10, 3, 3), t.tensor(numbers(11, 2, 3)), []
    for k in range(TIMES):
        kept: list[Any] = []
        loss = walk(w, x + k, 6, kept).pow(2).sum()
        calls: list[Any] = []
        for place in range(k % 3):
            chosen = kept[(k + 2 * place) % 6]
            chosen.register_hook(lambda g, c=calls: (c.append(g.sum().item()), g * 2)[1])
        if k % 4 == 3:
            kept[k % 5].retain_grad()
        loss.backward()
        found.append((calls, w.grad.tolist()))
        found.append(kept[k % 5].grad.tolist() if k % 4 == 3 else None)
        w.grad = None
    return found


@case
def hooks_come_between_looks(t: Any) -> Any:
    w, x, found = leaf(t, 12, 3, 3), t.tensor(numbers(13, 2, 3)), []
    for k in range(TIMES):
        h, calls = x + k, []
        for at in range(6):
            h = (h @ w).tanh()
            if at == k % 7:
                h.register_hook(lambda g, c=calls: c.append(g.tolist()))
            h.sum().item()
            if at == (k + 3) % 9:
                h.register_hook(lambda g: g * 0.5)
        h.sum().backward()
        found.append((calls, w.grad.tolist()))
        w.grad = None
    return found


@case
def gradients_of_states(t: Any) -> Any:
    w, x, found = leaf(t, 14, 3, 3), t.tensor(numbers(15, 2, 3)), []
    for k in range(TIMES):
        kept: list[Any] = []
        last = walk(w, x + k, 5, kept)
        asked = [kept[k % 4], w]
        if k % 3 == 2:
            first = t.autograd.grad(last.sin().sum(), asked, create_graph=True)
            second = t.autograd.grad(sum(g.pow(2).sum() for g in first), w)
            found.append([g.tolist() for g in (*first, *second)])
        else:
            found.append([g.tolist() for g in t.autograd.grad(last.sin().sum(), asked)])
    return found


@case
def two_losses_of_one_state(t: Any) -> Any:
    w, v, x = leaf(t, 16, 3, 3), leaf(t, 17, 3, 3), t.tensor(numbers(18, 2, 3))
    found = []
    for k in range(TIMES):
        h = walk(w, x + k, 3)
        one, two = walk(v, h, 3).sum(), walk(w, h * 2, 2).sum()
        if k % 2:
            (one + two).backward()
        else:
            one.backward(retain_graph=True)
            two.backward()
        found.append((w.grad.tolist(), v.grad.tolist()))
        w.grad = None
    return found


@case
def views_and_parts_are_looked_at(t: Any) -> Any:
    w, x, found = leaf(t, 19, 4, 4), t.tensor(numbers(20, 2, 4)), []
    for k in range(TIMES):
        h, parts = x + k, []
        for at in range(5):
            h = (h @ w).tanh()
            part = (h[:, :2], h.t(), h.reshape(4, 2), h[0], h)[(at + k) % 5]
            parts.append(part)
            if part.sum().item() > 0:
                h = h * 0.5
        sum(part.pow(2).sum() for part in parts).backward()
        found.append((w.grad.tolist(), [part.tolist() for part in parts]))
        w.grad = None
    return found


@case
def writes_between_looks(t: Any) -> Any:
    w, x, found = leaf(t, 21, 3, 3), t.tensor(numbers(22, 2, 3)), []
    for k in range(TIMES):
        h = (x + k) @ w
        for at in range(5):
            h = h.sin() if at % 2 else h.cos()
            h.sum().item()
            if at == k % 6:
                h.add_(1.0)
        found.append(attempt(h.sum().backward))
        found.append(None if w.grad is None else w.grad.tolist())
        w.grad = None
    return found


@case
def a_step_after_a_look(t: Any) -> Any:
    model = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.Tanh(), t.nn.Linear(4, 1))
    with t.no_grad():
        for place, parameter in enumerate(model.parameters()):
            parameter.copy_(t.tensor(numbers(place, *parameter.shape)))
    update, x, found = t.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), numbers(23, 5, 3), []
    for k in range(TIMES):
        loss = model(t.tensor(x) + 0.1 * k).pow(2).mean()
        found.append(loss.item())
        update.zero_grad(set_to_none=k % 4 != 3)
        loss.backward()
        update.step()
    return found, [p.tolist() for p in model.parameters()]


@case
def functions_of_the_users(t: Any) -> Any:
    class Doubled(t.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * g

    w, x, found = leaf(t, 24, 3, 3), t.tensor(numbers(25, 2, 3)), []
    for k in range(TIMES):
        h = x + 0.1 * k
        for at in range(5):
            h = (h @ w).tanh()
            if at == k % 7:
                h = Doubled.apply(h)
            h.sum().item()
        h.sum().backward()
        found.append(w.grad.tolist())
        w.grad = None
    return found


@case
def what_was_made_by_which_function(t: Any) -> Any:
    w, x, found = leaf(t, 26, 3, 3), t.tensor(numbers(27, 2, 3)), []
    for k in range(TIMES):
        kept: list[Any] = []
        walk(w, x + k, 4, kept)
        function = kept[-1].grad_fn
        names = []
        while function is not None and len(names) < 12:
            names.append(function.name())
            further = [one for one, _ in function.next_functions if one is not None]
            function = further[0] if further else None
        found.append((names, [h.requires_grad for h in kept], kept[0]._version))
    return found


@case
def modes_change_on_the_way(t: Any) -> Any:
    w, x, found = leaf(t, 28, 3, 3), t.tensor(numbers(29, 2, 3)), []
    for k in range(TIMES):
        h = walk(w, x + k, 3)
        if k % 3 == 1:
            with t.no_grad():
                h = walk(w, h, 2)
        elif k % 3 == 2:
            h = walk(w, h.detach(), 2)
        else:
            h = walk(w, h, 2)
        found.append((h.requires_grad, attempt(h.sum().backward)))
        found.append(None if w.grad is None else w.grad.tolist())
        w.grad = None
    return found


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, (list, tuple)) and isinstance(found, (list, tuple)):
        return len(wanted) == len(found) and all(map(_same, wanted, found))
    if isinstance(wanted, float):
        return bool(np.isclose(wanted, found, rtol=2e-4, atol=2e-5))
    return bool(wanted == found)


@pytest.mark.parity
@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    wanted = CASES[name](torch)
    for way in ("replayed", "replayed", "recognised", "sync"):
        with mode(way):
            found = CASES[name](flambeau)
            assert _same(wanted, found), way


# ---- that they are native, and what they hold ----------------------------------------------------


def looks(w: Any, x: Any) -> None:
    walk(w, x, 8).sum().backward()
    w.grad = None


def test_they_are_native() -> None:
    with mode("replayed"):
        w, x = leaf(flambeau, 0, 3, 3), flambeau.tensor(numbers(1, 2, 3))
        for _ in range(12):
            looks(w, x)
        before = int(TALLY[RUNS])
        looks(w, x)
        assert int(TALLY[RUNS]) - before >= 14  # of 8 looks, and 8 programs on the way back


def test_a_step_that_writes_what_was_saved_is_native() -> None:
    with mode("replayed"):
        w, v = leaf(flambeau, 0, 3, 3), leaf(flambeau, 1, 3, 1)
        x, update = flambeau.tensor(numbers(2, 4, 3)), flambeau.optim.SGD([w, v], lr=0.01)

        def step() -> float:
            loss = ((x @ w).tanh() @ v).pow(2).mean()
            found = float(loss.item())
            update.zero_grad()
            loss.backward()
            update.step()
            return found

        losses = [step() for _ in range(12)]
        before = int(TALLY[RUNS])
        losses += [step() for _ in range(4)]
        assert int(TALLY[RUNS]) - before == 8
        with mode("sync"):
            again = leaf(flambeau, 0, 3, 3), leaf(flambeau, 1, 3, 1)
            update = flambeau.optim.SGD(again, lr=0.01)
            w, v = again
            assert _same([step() for _ in range(16)], losses)


def test_so_it_is_beside_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording.THREADS, "several", True)
    test_a_step_that_writes_what_was_saved_is_native()


def test_passes_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[bool] = []
    plain = known_passes.Entering.known

    def watched(self: Any, frame: Any) -> Any:
        found = plain(self, frame)
        known.append(found is not None)
        return found

    monkeypatch.setattr(known_passes.Entering, "known", watched)
    monkeypatch.setattr(recording.THREADS, "several", False)
    with mode("replayed"):
        w, x = leaf(flambeau, 0, 3, 3), flambeau.tensor(numbers(1, 2, 3))
        for _ in range(4):
            looks(w, x)
        known.clear()
        looks(w, x)
    assert len(known) >= 6
    assert all(known)


def test_history_goes_with_the_tensors() -> None:
    with mode("replayed"):
        w, x = leaf(flambeau, 0, 3, 3), flambeau.tensor(numbers(1, 2, 3))
        for _ in range(12):
            looks(w, x)
        kept: list[Any] = []
        last = walk(w, x, 6, kept)
        last.sum().item()
        frames = [weakref.ref(h._family.frame) for h in kept]
        del kept
        assert all(frame() is not None for frame in frames)
        del last
        assert [frame() for frame in frames] == [None] * 6


def test_what_they_hold() -> None:
    with mode("replayed"):
        w, x = leaf(flambeau, 0, 3, 3), flambeau.tensor(numbers(1, 2, 3))
        for _ in range(20):
            looks(w, x)
        gc.collect()
        things = [None, True, False, (), 0, -1, w, x, type(w), w._meta, x._storage]
        objects = len(gc.get_objects())
        counts = [sys.getrefcount(thing) for thing in things]
        for _ in range(300):
            looks(w, x)
        gc.collect()
        after = [sys.getrefcount(thing) for thing in things]
        assert max(abs(b - a) for a, b in zip(counts, after, strict=True)) < 100
        assert len(gc.get_objects()) - objects < 200


@pytest.fixture
def eager_collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*before)


def test_the_collector_may_come_at_any_time(eager_collector: None) -> None:
    with mode("replayed"):
        found = CASES["chains_of_all_lengths"](flambeau)
    gc.set_threshold(700, 10, 10)
    with mode("sync"):
        assert _same(CASES["chains_of_all_lengths"](flambeau), found)


def test_data_that_is_refused_leaves_nothing() -> None:
    with mode("replayed"):
        w = leaf(flambeau, 0, 4, 3)
        for k in range(24):
            h = w.exp()
            h.sum().item()
            wrong = k % 6 == 5
            rows = flambeau.tensor([0, 9 if wrong else 2])
            made = h.index_select(0, rows).tanh()
            if wrong:
                with pytest.raises(IndexError):
                    made.sum().item()
                continue
            made.sum().item()
            made.sum().backward()
            slope = 1 - np.tanh(np.exp(w.detach().numpy()[[0, 2]])) ** 2
            wanted = np.zeros((4, 3), np.float32)
            wanted[[0, 2]] = slope * np.exp(w.detach().numpy()[[0, 2]])
            np.testing.assert_allclose(w.grad.numpy(), wanted, rtol=1e-4, atol=1e-6)
            w.grad = None


def test_threads_look_side_by_side() -> None:
    with mode("sync"):
        wanted = CASES["chains_of_all_lengths"](flambeau)
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        found[number] = CASES["chains_of_all_lengths"](flambeau)

    with mode("replayed"):
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(_same(wanted, found[n]) for n in range(3))
