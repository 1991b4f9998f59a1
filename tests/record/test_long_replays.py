"""Native flushes of programs that take long: they let other threads have the interpreter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.execute.cpu import bounds
from flambeau.record import cards, replay
from flambeau.record.late import LateStorage
from flambeau.record.options import OPTIONS
from flambeau.record.recording import ERA
from flambeau.record.statistics import RUNS, TALLY

pytestmark = pytest.mark.skipif(
    replay.native() is None or bounds.switched_on() or OPTIONS.sync, reason="no native flushes"
)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    monkeypatch.setattr(OPTIONS, "settled", 0)


def native_runs(work: Callable[[], Any], count: int = 1) -> int:
    """How many flushes of so many runs are native."""
    before = int(TALLY[RUNS])
    for _ in range(count):
        work()
    return int(TALLY[RUNS]) - before


def known(work: Callable[[], Any]) -> None:
    """Runs a step until its flushes are native (the run by which compiling has paid is not)."""
    for _ in range(100):
        if native_runs(work, 4) == 4:
            return
    pytest.fail("flushes do not become native")


class Training:
    """Two layers whose first gradient is large and, if nobody looks at it, late."""

    def __init__(self, features: int = 512) -> None:
        torch.manual_seed(0)
        self.x, self.y = torch.randn(64, features), torch.randint(0, 10, (64,))
        self.model = torch.nn.Sequential(
            torch.nn.Linear(features, features), torch.nn.ReLU(), torch.nn.Linear(features, 10)
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)

    @property
    def grad(self) -> Any:
        return self.model[0].weight.grad

    def step(self) -> str:
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return float(loss.item()).hex()

    def numbers(self, steps: int, look: int) -> list[Any]:
        """What steps give; every so many of them, the first gradient is looked at."""
        found: list[Any] = []
        for number in range(steps):
            found.append(self.step())
            if look and number % look == look - 1:
                found.append(self.grad.double().sum().item().hex())
        return [*found, *(p.double().sum().item().hex() for p in self.model.parameters())]


@pytest.mark.parametrize("look", [0, 5, 1])
def test_the_bits_of_flushes_in_python(look: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features = 528 + 16 * look  # another program for each
    native = Training(features)
    native.numbers(6, 0)
    found: list[Any] = []
    # (All tests share the places where flushes are known.)
    assert native_runs(lambda: found.extend(native.numbers(24, look))) >= 4
    monkeypatch.setattr(cards, "replayable", lambda plan: False)
    ERA[0] += 1  # cards that are there are no longer true
    python = Training(features)
    python.numbers(6, 0)
    wanted: list[Any] = []
    assert native_runs(lambda: wanted.extend(python.numbers(24, look))) == 0
    assert found == wanted


def test_late_gradients_stay_late_and_are_written_once_they_are_wanted() -> None:
    training = Training()
    known(training.step)
    late = training.grad
    assert type(late._storage) is LateStorage and not late._storage.made
    assert late.untyped_storage().nbytes() == late.numel() * 4
    assert torch.isfinite(late).all() and late._storage.made
    training.numbers(200, 1)
    assert type(training.grad._storage) is not LateStorage
    known(training.step)


def test_gradients_that_are_kept_stay_as_they_are() -> None:
    training = Training()
    training.numbers(8, 0)
    kept: list[Any] = []
    for _ in range(6):
        training.step()
        kept.append(training.grad)
    other = Training()
    other.numbers(8, 0)
    for grad in kept:
        other.step()
        assert torch.equal(grad, other.grad.clone())


def product(size: int = 1024) -> Callable[[], float]:
    """A program of many milliseconds that writes to memory."""
    a, b, c = torch.randn(size, size), torch.randn(size, size), torch.zeros(size, size)

    def step() -> float:
        total = c.mul_(0.5).add_(a @ b).sum()
        return float(total.item())

    step.memory = c  # type: ignore[attr-defined]
    known(step)
    return step


def test_others_have_the_interpreter() -> None:
    step = product()
    stamps: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1e-4):
            stamps.append(time.perf_counter())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    inside = 0
    for _ in range(20):
        start = time.perf_counter()
        native = native_runs(step)
        end = time.perf_counter()
        middle = start + (end - start) / 4, end - (end - start) / 4
        inside += native * any(middle[0] < stamp < middle[1] for stamp in stamps)
    over.set()
    thread.join()
    assert inside > 0


def test_writes_that_others_count_in_the_meantime() -> None:
    step = product()
    storage = step.memory._storage  # type: ignore[attr-defined]
    before = storage.version
    assert native_runs(step) == 1
    each = storage.version - before
    assert each > 0
    seen = []

    def bump() -> None:
        seen.append(storage.version)
        storage.version += 100

    timer = threading.Timer(2e-3, bump)
    timer.start()
    time.sleep(1e-3)
    steps = 0
    while not seen:
        steps += native_runs(step)
    timer.join()
    assert storage.version == before + (steps + 1) * each + 100


def test_another_thread_that_needs_what_is_under_way() -> None:
    """Results are handed out before it goes on; the program does not run twice."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    wanted = (a @ b).sum(0).tolist()
    waiting: list[Any] = []
    found: list[Any] = []
    go, done = threading.Event(), threading.Event()

    def read() -> None:
        while go.wait() and waiting[-1] is not None:
            found.append(waiting[-1].tolist())
            go.clear()
            done.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    for _ in range(12):
        out = (a @ b).sum(0)
        waiting.append(out)
        done.clear()
        go.set()
        assert out.tolist() == wanted
        assert done.wait(10)
    waiting.append(None)
    go.set()
    thread.join()
    assert found == [wanted] * 12


def test_data_that_is_refused() -> None:
    table = torch.randn(4096, 256)
    words = torch.randint(0, 4096, (4096,))
    wrong = words.clone()
    wrong[7] = 5000

    def step(words: Any) -> Any:
        return torch.nn.functional.embedding(words, table).tanh().sum(0).tolist()

    wanted = step(words)
    known(lambda: step(words))
    for _ in range(3):
        with pytest.raises(IndexError, match="index out of range in self"):
            step(wrong)
        assert step(words) == wanted
