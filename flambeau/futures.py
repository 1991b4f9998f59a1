"""torch.futures: results that may come later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A result that somebody sets; others wait for it or leave functions to be called."""

    def __init__(self, *, devices: Any = None) -> None:
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[Future[T]], Any]] = []
        self._value: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        """Whether the result is there."""
        return self._ready.is_set()

    def wait(self) -> T:
        """The result, once it is there; raises what was set as an exception."""
        self._ready.wait()
        return self.value()

    def value(self) -> T:
        """The result. RuntimeError where it is not there yet."""
        if not self.done():
            raise RuntimeError("Future not completed.")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def _finish(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self.done():
                raise RuntimeError("Future can only be marked completed once")
            self._value, self._error = value, error
            self._ready.set()
            waiting, self._callbacks = self._callbacks, []
        for callback in waiting:
            callback(self)

    def set_result(self, result: T) -> None:
        """Sets the result. RuntimeError the second time."""
        self._finish(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Sets an exception that waiting raises. AssertionError for other things."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._finish(None, result)

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Calls a function with this future once it is done."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """A future of what a function makes of this one."""
        made: Future[Any] = Future()

        def run(done: Future[T]) -> None:
            try:
                made.set_result(callback(done))
            except Exception as error:
                made.set_exception(error)

        self.add_done_callback(run)
        return made


def collect_all(futures: Sequence[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of all of them, once all are done."""
    whole: Future[list[Future[Any]]] = Future()
    left = [len(futures)]
    lock = threading.Lock()

    def one_done(_: Future[Any]) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            whole.set_result(list(futures))

    if not futures:
        whole.set_result([])
    for future in futures:
        future.add_done_callback(one_done)
    return whole


def wait_all(futures: Sequence[Future[Any]]) -> list[Any]:
    """The results of all, once all are done."""
    return [future.wait() for future in collect_all(futures).wait()]
