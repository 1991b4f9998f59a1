"""Compiling beside the program: the numbers, failures, forks and the end of a process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.execute.cpu import keeping
from flambeau.record import background
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(OPTIONS, "background", True)
    monkeypatch.setattr(OPTIONS, "executor", "auto")
    monkeypatch.setattr(OPTIONS, "always_compile", False)
    yield


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(1e-3)
    return condition()


def trainer(width: int) -> Callable[[], float]:
    """Steps of a network whose width no other test has, and what NumPy says of their losses."""
    rng = np.random.default_rng(width)
    weight = rng.standard_normal((width, 1)).astype(np.float32)
    x = rng.standard_normal((8, width)).astype(np.float32)
    tensor = fb.tensor(weight, requires_grad=True)
    update = fb.optim.SGD([tensor], lr=1e-4)
    data = fb.tensor(x)
    known = weight.astype(np.float64)

    def step() -> float:
        nonlocal known
        wanted = float(((x @ known) ** 2).mean())
        known = known - 1e-4 * 2 * x.T @ (x @ known) / 8
        update.zero_grad()
        loss = (data @ tensor).square().mean()
        loss.backward()
        update.step()
        assert loss.item() == pytest.approx(wanted, rel=1e-4)
        return wanted

    return step


def test_runs_in_numpy_until_the_code_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    step = trainer(37)
    gate = threading.Event()
    made: list[str] = []
    compiled_program = keeping.compiled_program

    def slowly(program: Any, *rest: Any) -> Any:
        gate.wait(60)
        made.append(threading.current_thread().name)
        return compiled_program(program, *rest)

    monkeypatch.setattr(keeping, "compiled_program", slowly)
    before = STATISTICS.compiled_runs
    for _ in range(6):
        step()
    assert STATISTICS.compiled_runs == before
    gate.set()

    def is_compiled() -> bool:
        step()
        return STATISTICS.compiled_runs > before

    assert until(is_compiled)
    assert set(made) == {"flambeau-background"}


def test_a_failure_of_the_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    step = trainer(38)

    def fails(program: Any, *rest: Any) -> Any:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(keeping, "compiled_program", fails)

    def raised() -> bool:
        try:
            step()
        except RuntimeError as error:
            return "no such luck" in str(error)
        return False

    assert until(raised)


def test_work_asked_for_is_done_in_order_and_gives_exceptions() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        if number == 2:
            raise KeyError(number)
        return number

    pending = [background.Pending(lambda n=n: work(n)) for n in range(4)]  # type: ignore[misc]
    assert [p.result() for n, p in enumerate(pending) if n != 2] == [0, 1, 3]
    with pytest.raises(KeyError):
        pending[2].result()
    assert done == [0, 1, 2, 3] and not any(p.lost() for p in pending)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_compiles_for_itself() -> None:
    gate = threading.Event()
    pending = background.Pending(lambda: gate.wait(60))
    child = os.fork()
    if child == 0:
        try:
            fresh = background.Pending(lambda: 5)
            os._exit(0 if pending.lost() and fresh.result() == 5 and not fresh.lost() else 1)
        except BaseException:
            os._exit(2)
    gate.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pending.result() and not pending.lost()


def test_the_process_ends_without_what_was_not_begun() -> None:
    """The piece under way, which lasts as long as the main thread, is finished."""
    script = textwrap.dedent("""
        import threading, time
        from flambeau.record.background import Pending
        def first():
            begun.set()
            while threading.main_thread().is_alive():
                time.sleep(1e-3)
            print("finished", flush=True)
        begun = threading.Event()
        kept = [Pending(first), *[Pending(lambda: time.sleep(300)) for _ in range(3)]]
        begun.wait()
        print("end", flush=True)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=True
    )
    assert done.stdout == "end\nfinished\n" and done.stderr == ""
