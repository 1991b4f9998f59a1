"""Threads that do pieces of work beside the program."""

from __future__ import annotations

import _thread
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from flambeau.core.outcome import Outcome

T = TypeVar("T")


def start_thread(thread: threading.Thread) -> None:
    """Starts a thread; an interrupt leaves it begun, or about to begin, or not begun.

    `Thread.start` waits until the thread says so, with an Event: an interrupt in the middle of that
    leaves the Event's lock locked, and the thread waits for it before its first line, for ever.
    Interrupts reach the main thread alone, so another one calls it.
    """
    if threading.get_ident() != threading.main_thread().ident:
        thread.start()
        return
    outcome: Outcome[None] = Outcome()

    def start() -> None:
        try:
            thread.start()
        except BaseException as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    _thread.start_new_thread(start, ())
    outcome.result()


class Workers:
    """At most `most` threads, which begin with the first piece of work and end when none is left.

    `drops`: what has not begun when the program ends is dropped (nobody waits for it then).

    Note: interrupts
        They come between any two steps of the main thread. `with` a lock of the interpreter's own
        is one step; a Condition's is not, and would stay locked. A thread counts while it lives.
    """

    def __init__(self, name: str, most: int = 1, drops: bool = False) -> None:
        self.name = name
        self.most = most
        self.drops = drops
        self._lock = threading.RLock()
        self._state = threading.Condition(self._lock)
        self._waiting: deque[tuple[Outcome[Any], Callable[[], Any]]] = deque()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._paused = False

    def ask(self, work: Callable[[], T]) -> Outcome[T]:
        """Has work() done by a thread: its result, or its exception."""
        outcome: Outcome[T] = Outcome()
        thread = threading.Thread(target=self._work, name=self.name)
        with self._lock:
            self._waiting.append((outcome, work))
            self._threads = [t for t in self._threads if t.ident is None or t.is_alive()]
            if len(self._threads) >= self.most:
                return outcome
            self._threads.append(thread)
        try:
            start_thread(thread)
        except RuntimeError:  # where the interpreter ends, some Pythons start no more threads
            self._forget(thread)
            self._work()
        except BaseException:
            if thread.ident is None:
                self._forget(thread)
            raise
        return outcome

    def _forget(self, thread: threading.Thread) -> None:
        with self._lock:
            self._threads = [other for other in self._threads if other is not thread]

    def pause(self) -> None:
        """Waits for the pieces under way, and lets none begin: before a fork."""
        with self._lock:
            self._paused = True
            while self._busy:
                self._state.wait()

    def go_on(self) -> None:
        with self._lock:
            self._paused = False
            self._state.notify_all()

    def _work(self) -> None:
        while True:
            with self._lock:
                while self._paused:
                    self._state.wait()
                ended = self.drops and not threading.main_thread().is_alive()
                if not self._waiting or ended:
                    self._forget(threading.current_thread())
                    return
                outcome, work = self._waiting.popleft()
                self._busy += 1
            try:
                outcome.set_result(work())
            except BaseException as error:
                outcome.set_exception(error)
            finally:
                del outcome, work
                with self._lock:
                    self._busy -= 1
                    self._state.notify_all()
