"""What comes of work on another thread.

As in concurrent.futures, which imports logging and what that needs, in every process.
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(Generic[T]):
    """The result or the exception of work, once it is done."""

    __slots__ = ("_done", "_error", "_result")

    _result: T

    def __init__(self) -> None:
        self._done = threading.Event()
        self._error: BaseException | None = None

    def done(self) -> bool:
        """Whether it is there."""
        return self._done.is_set()

    def result(self) -> T:
        """Waits for the result and gives it, or raises the exception."""
        self._done.wait()
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the exception's traceback would hold what holds the exception
        return self._result

    def set_result(self, result: T) -> None:
        self._result = result
        self._done.set()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._done.set()
