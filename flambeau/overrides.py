"""torch.overrides: classes and modes that take over ops with `__torch_function__`."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

from flambeau.tensor import overriding
from flambeau.tensor.tensor import Tensor

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]

overriding.activate()  # so that classes count that are no tensors


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether an argument overrides, or a mode is entered."""
    if overriding.LOCAL.off:
        return False
    return bool(overriding.LOCAL.modes or overriding.overriding(tuple(relevant_args)))


def has_torch_function_unary(tensor: Any) -> bool:
    """has_torch_function of one argument."""
    return has_torch_function((tensor,))


def has_torch_function_variadic(*args: Any) -> bool:
    """has_torch_function of several arguments."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """What the arguments that override make of public_api(*args, **kwargs). TypeError if none
    knows.
    """
    return overriding.ask(public_api, overriding.overriding(tuple(relevant_args)), args, kwargs)


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable[..., Any]:
    """Makes a function overridable: dispatcher(*args, **kwargs) gives the arguments that count."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            relevant = tuple(dispatcher(*args, **kwargs))
            if has_torch_function(relevant):
                return handle_torch_function(call, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return call

    return decorate


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a tensor, or says that it stands for one."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def is_tensor_method_or_property(func: Any) -> bool:
    """Whether it is a member of Tensor."""
    return getattr(func, "__name__", None) == "__get__" or func in _methods()


def _methods() -> list[Any]:
    return [value for value in vars(Tensor).values() if callable(value)]


def get_default_nowrap_functions() -> set[Any]:
    """Functions whose results a subclass of Tensor leaves as they are."""
    return set()


def _namespaces() -> dict[str, dict[str, Any]]:
    """The namespaces whose functions can be overridden, by PyTorch's names for them."""
    found = {}
    for namespace, _ in overriding.State.namespaces:
        _, _, rest = str(namespace["__name__"]).partition(".")
        found[f"torch.{rest}" if rest else "torch"] = namespace
    return found


def get_ignored_functions() -> set[Any]:
    """Functions that cannot be overridden."""
    roof = _namespaces()["torch"]
    names = ("typename", "is_tensor", "set_default_dtype", "get_default_dtype")
    return {roof[name] for name in names}


def _overridable(functions: Iterable[Any]) -> list[Any]:
    return [f for f in functions if "_plain" in getattr(f, "__dict__", ())]


def get_overridable_functions() -> dict[Any, list[Any]]:
    """The functions that can be overridden, by the module or class they stand in."""
    found: dict[Any, list[Any]] = {}
    for namespace, names in overriding.State.namespaces:
        module = sys.modules[namespace["__name__"]]
        found[module] = _overridable(getattr(module, name, None) for name in names)
    found[Tensor] = _overridable(_methods())
    return found


def get_testing_overrides() -> dict[Any, Callable[..., Any]]:
    """For each overridable function one of the same signature that returns -1."""
    return {
        function: _stand_in(function)
        for functions in get_overridable_functions().values()
        for function in functions
    }


def _stand_in(function: Callable[..., Any]) -> Callable[..., Any]:
    def nothing(*args: Any, **kwargs: Any) -> int:
        return -1

    nothing.__dict__["__signature__"] = inspect.signature(function)
    return nothing


def resolve_name(f: Callable[..., Any]) -> str | None:
    """The name a function is reached by ("torch.add"), or None."""
    known = getattr(f, "__name__", "")
    for name, namespace in _namespaces().items():
        if namespace.get(known) is f:
            return f"{name}.{known}"
    for known, value in vars(Tensor).items():
        if value is f:
            return f"torch.Tensor.{known}"
    return None


class TorchFunctionMode:
    """Within, every op is given to `__torch_function__(func, types, args, kwargs)` first."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError

    def __enter__(self) -> TorchFunctionMode:
        overriding.activate()
        overriding.LOCAL.modes.append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        overriding.LOCAL.modes.pop()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> TorchFunctionMode:
        """An instance (deprecated in PyTorch)."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))
