"""Grad modes: no_grad, enable_grad, set_grad_enabled, inference_mode; managers and decorators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from flambeau.record import recorder

F = TypeVar("F", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """Whether ops of this thread are recorded for backward."""
    return recorder.LOCAL.grad_mode


class _Mode:
    """Sets grad mode while open; also decorates functions and generator functions."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self.previous: list[bool] = []

    def __enter__(self) -> Any:
        self.previous.append(recorder.LOCAL.grad_mode)
        recorder.set_grad_mode(self.mode)
        return None

    def __exit__(self, *exc: Any) -> None:
        recorder.set_grad_mode(self.previous.pop())

    def clone(self) -> Any:
        return type(self)()  # type: ignore[call-arg]

    def __call__(self, function: F) -> F:
        if inspect.isclass(function):
            made: Any = function
            made.__init__ = self(made.__init__)
            return function
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generate(*args: Any, **kwargs: Any) -> Any:
                generator = function(*args, **kwargs)
                with self.clone():
                    try:
                        item = next(generator)
                    except StopIteration as stop:
                        return stop.value
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        generator.close()
                        raise
                    except BaseException as error:
                        with self.clone():
                            try:
                                item = generator.throw(error)
                            except StopIteration as stop:
                                return stop.value
                    else:
                        with self.clone():
                            try:
                                item = generator.send(sent)
                            except StopIteration as stop:
                                return stop.value

            return generate  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class _Decorator(_Mode):
    """A mode that decorates a function with and without being called first."""

    def __new__(cls, function: Any = None) -> Any:
        self = object.__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)


class no_grad(_Decorator):
    """Inside, ops are not recorded for backward."""

    def __init__(self, function: Any = None) -> None:
        super().__init__(False)


class enable_grad(_Decorator):
    """Inside, ops are recorded for backward even within no_grad."""

    def __init__(self, function: Any = None) -> None:
        super().__init__(True)


class set_grad_enabled(_Mode):
    """Sets grad mode at once; as a context manager, for its block."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                "set_grad_enabled(): argument 'enabled' (position 1) must be bool, not "
                f"{type(mode).__name__}"
            )
        super().__init__(mode)
        self.before = recorder.LOCAL.grad_mode
        recorder.set_grad_mode(self.mode)

    def __enter__(self) -> Any:
        self.previous.append(self.before)
        recorder.set_grad_mode(self.mode)
        return None

    def clone(self) -> Any:
        return type(self)(self.mode)

    def __call__(self, function: F) -> F:
        recorder.set_grad_mode(self.before)
        return super().__call__(function)


class inference_mode(_Mode):
    """no_grad; tensors made inside are no inference tensors (autograd may use them later)."""

    def __new__(cls, mode: Any = True) -> Any:
        self = object.__new__(cls)
        if isinstance(mode, bool):
            return self
        self.__init__(True)  # type: ignore[misc]
        return self(mode)

    def __init__(self, mode: Any = True) -> None:
        super().__init__(not mode if isinstance(mode, bool) else False)
        self.inference = bool(mode)
        self.outer: list[bool] = []

    def __enter__(self) -> Any:
        if not self.inference:
            self.mode = recorder.LOCAL.grad_mode
        self.outer.append(recorder.LOCAL.inference)
        recorder.LOCAL.inference = self.inference
        return super().__enter__()

    def __exit__(self, *exc: Any) -> None:
        recorder.LOCAL.inference = self.outer.pop()
        super().__exit__(*exc)

    def clone(self) -> Any:
        return type(self)(self.inference)


def is_inference_mode_enabled() -> bool:
    """Whether an inference_mode block is open in this thread."""
    return recorder.LOCAL.inference
