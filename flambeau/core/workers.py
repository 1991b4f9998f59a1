"""Threads that do pieces of work beside the program."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from flambeau.core.outcome import Outcome

T = TypeVar("T")


class Workers:
    """At most `most` threads, which begin with the first piece of work and end when none is left.

    `drops`: what has not begun when the program ends is dropped (nobody waits for it then).
    """

    def __init__(self, name: str, most: int = 1, drops: bool = False) -> None:
        self.name = name
        self.most = most
        self.drops = drops
        self._state = threading.Condition()
        self._waiting: deque[tuple[Outcome[Any], Callable[[], Any]]] = deque()
        self._threads = 0
        self._busy = 0
        self._paused = False

    def ask(self, work: Callable[[], T]) -> Outcome[T]:
        """Has work() done by a thread: its result, or its exception."""
        outcome: Outcome[T] = Outcome()
        with self._state:
            self._waiting.append((outcome, work))
            if self._threads >= self.most:
                return outcome
            self._threads += 1
        try:
            threading.Thread(target=self._work, name=self.name).start()
        except RuntimeError:  # where the interpreter ends, some Pythons start no more threads
            self._work()
        return outcome

    def pause(self) -> None:
        """Waits for the pieces under way, and lets none begin: before a fork."""
        with self._state:
            self._paused = True
            while self._busy:
                self._state.wait()

    def go_on(self) -> None:
        with self._state:
            self._paused = False
            self._state.notify_all()

    def _work(self) -> None:
        while True:
            with self._state:
                while self._paused:
                    self._state.wait()
                ended = self.drops and not threading.main_thread().is_alive()
                if not self._waiting or ended:
                    self._threads -= 1
                    return
                outcome, work = self._waiting.popleft()
                self._busy += 1
            try:
                outcome.set_result(work())
            except BaseException as error:
                outcome.set_exception(error)
            finally:
                del outcome, work
                with self._state:
                    self._busy -= 1
                    self._state.notify_all()
