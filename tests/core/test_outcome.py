"""Results of work on other threads, and interrupts while somebody waits for them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from flambeau.core.outcome import Outcome


def interrupted(work: Callable[[], Any], number: int) -> bool:
    """Does work() with KeyboardInterrupt at the so-manieth step of Python code; whether it came."""
    left = number

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def answered(outcome: Outcome[int]) -> list[int]:
    """What another thread gets, if it gets anything."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(outcome.result()), daemon=True)
    thread.start()
    thread.join(10)
    return found


def test_results_and_exceptions() -> None:
    outcome: Outcome[int] = Outcome()
    assert not outcome.done()
    threading.Timer(0.02, outcome.set_result, (3,)).start()
    assert outcome.result() == 3 and outcome.done() and answered(outcome) == [3]
    failed: Outcome[int] = Outcome()
    threading.Timer(0.02, failed.set_exception, (ValueError("no"),)).start()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            failed.result()


def test_many_wait() -> None:
    outcome: Outcome[int] = Outcome()
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(outcome.result())) for _ in range(8)]
    for thread in threads:
        thread.start()
    outcome.set_result(5)
    for thread in threads:
        thread.join(10)
    assert found == [5] * 8


@pytest.mark.parametrize("done", [True, False])
def test_an_interrupt_anywhere_leaves_nothing_locked(done: bool) -> None:
    for number in range(1, 100):
        outcome: Outcome[int] = Outcome()
        if done:
            outcome.set_result(7)
        else:
            threading.Timer(0.005, outcome.set_result, (7,)).start()
        came = interrupted(outcome.result, number)
        assert answered(outcome) == [7]
        assert outcome.result() == 7
        if not came:
            break
    assert number > 1
