"""What comes of work on another thread.

As in concurrent.futures, which imports logging and what that needs, in every process. Nothing here
is held by several threads, so that an interrupt in the middle leaves nothing locked: whoever waits
has a lock of its own, which is released when the work is done.
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(Generic[T]):
    """The result or the exception of work, once it is done."""

    __slots__ = ("_done", "_error", "_result", "_waiting")

    _result: T

    def __init__(self) -> None:
        self._done = False
        self._error: BaseException | None = None
        self._waiting: list[threading.Lock] = []

    def done(self) -> bool:
        """Whether it is there."""
        return self._done

    def result(self) -> T:
        """Waits for the result and gives it, or raises the exception."""
        if not self._done:
            self._wait()
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the exception's traceback would hold what holds the exception
        return self._result

    def _wait(self) -> None:
        mine = threading.Lock()
        mine.acquire()
        self._waiting.append(mine)
        if not self._done:  # (else nobody may come to release it)
            mine.acquire()

    def set_result(self, result: T) -> None:
        self._result = result
        self._tell()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._tell()

    def _tell(self) -> None:
        self._done = True
        while self._waiting:
            self._waiting.pop().release()
