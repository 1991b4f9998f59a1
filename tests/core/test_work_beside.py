"""Threads for pieces of work: how many, failures, and a pause in which none begins."""

from __future__ import annotations

import threading
import time

import pytest

from flambeau.core.workers import Workers


def test_no_more_threads_than_wanted_and_all_is_done() -> None:
    workers, lock = Workers("piece", 2), threading.Lock()
    running, most, names = 0, 0, set()

    def piece(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            names.add(threading.current_thread().name)
        time.sleep(2e-3)
        with lock:
            running -= 1
        if number == 5:
            raise KeyError(number)
        return number * number

    asked = [workers.ask(lambda n=n: piece(n)) for n in range(20)]  # type: ignore[misc]
    done = [outcome.result() for n, outcome in enumerate(asked) if n != 5]
    assert done == [n * n for n in range(20) if n != 5]
    with pytest.raises(KeyError):
        asked[5].result()
    assert most <= 2 and names == {"piece"}


def test_threads_end_when_nothing_is_left_and_others_begin() -> None:
    workers = Workers("ending")
    for number in range(3):
        assert workers.ask(lambda n=number: n).result() == number
        end = time.monotonic() + 30
        while time.monotonic() < end and any(t.name == "ending" for t in threading.enumerate()):
            time.sleep(1e-3)
        assert not any(t.name == "ending" for t in threading.enumerate())


def test_a_pause_waits_for_what_is_under_way_and_lets_nothing_begin() -> None:
    workers, begun, gate = Workers("paused", 2), threading.Event(), threading.Event()
    done: list[str] = []

    def first() -> None:
        begun.set()
        gate.wait(30)
        time.sleep(5e-3)
        done.append("first")

    asked = [workers.ask(first)]
    begun.wait(30)
    threading.Timer(5e-3, gate.set).start()
    workers.pause()
    assert done == ["first"]
    asked.append(workers.ask(lambda: done.append("second")))
    time.sleep(20e-3)
    assert done == ["first"]
    workers.go_on()
    for outcome in asked:
        outcome.result()
    assert done == ["first", "second"]
