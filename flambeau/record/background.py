"""Compiling beside the program (FLAMBEAU_BACKGROUND=1): a thread compiles what is worth it, while
the reference executor goes on.

The last bits of results then hang on the clock, which is why it has to be asked for.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from flambeau.core.outcome import Outcome


class Background:
    """One piece of work after the other, on a thread that ends when nothing is left.

    When the program ends, the piece under way is finished and the others are dropped.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Outcome[Any], Callable[[], Any]]] = deque()
        self._working = False

    def ask(self, work: Callable[[], Any]) -> Outcome[Any]:
        """Has work() done by the thread: its result, or its exception."""
        outcome: Outcome[Any] = Outcome()
        with self._lock:
            self._waiting.append((outcome, work))
            if self._working:
                return outcome
            self._working = True
        try:
            threading.Thread(target=self._work, name="flambeau-background").start()
        except RuntimeError:  # where the interpreter ends, some Pythons start no more threads
            self._work()
        return outcome

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or not threading.main_thread().is_alive():
                    self._working = False
                    return
                outcome, work = self._waiting.popleft()
            try:
                outcome.set_result(work())
            except BaseException as error:
                outcome.set_exception(error)


class _Holder:
    """The process's thread for it: another one after a fork, where the old one does not exist."""

    background = Background()


def _after_fork() -> None:
    _Holder.background = Background()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Pending:
    """What is being made in the background."""

    __slots__ = ("_by", "_outcome")

    def __init__(self, work: Callable[[], Any]) -> None:
        self._by = _Holder.background
        self._outcome = self._by.ask(work)

    def ready(self) -> bool:
        return self._outcome.done()

    def lost(self) -> bool:
        """Whether it was asked for before a fork, in whose child nobody makes it."""
        return self._by is not _Holder.background and not self._outcome.done()

    def result(self) -> Any:
        """What was made; raises what came of it."""
        return self._outcome.result()
