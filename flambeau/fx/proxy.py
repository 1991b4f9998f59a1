"""What stands for values while a function is traced: whatever is done to it becomes a node."""

from __future__ import annotations

import dis
import inspect
import operator
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from flambeau.tensor import overriding
from flambeau.tensor.tensor import Tensor

if TYPE_CHECKING:
    from flambeau.fx.node import Node

overriding.activate()


class TraceError(ValueError):
    """Raised where a function does with a traced value what a graph cannot hold."""


class Proxy:
    """A value that is not known while tracing; `node` is the step that makes it."""

    def __init__(self, node: Node, tracer: Any = None) -> None:
        self.node = node
        self.tracer = tracer

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, k: str) -> Attribute:
        if k.startswith("__") and k.endswith("__"):
            raise AttributeError(k)
        return Attribute(self, k)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Any]:
        count = _unpacked(inspect.currentframe())
        if count is not None:
            step = self.tracer.create_proxy
            return iter(
                [step("call_function", operator.getitem, (self, i), {}) for i in range(count)]
            )
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a "
            "loop or as a *args or **kwargs function argument. See the torch.fx docs on "
            "pytorch.org for a more detailed explanation of what types of control flow can be "
            "traced, and check out the Proxy docstring for help troubleshooting Proxy iteration "
            "errors"
        )

    def __bool__(self) -> bool:
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be "
            "recorded, please call torch.fx.wrap('len') at module scope"
        )

    def __contains__(self, _: Any) -> bool:
        raise TraceError("'in' is not supported in symbolic tracing")

    def keys(self) -> Any:
        """Called for `**proxy`, which is not traced. RuntimeError."""
        return self.tracer.keys(self)

    @classmethod
    def __torch_function__(
        cls, orig_method: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        tracer = _tracer_of((*args, *(kwargs or {}).values()))
        name = getattr(orig_method, "__name__", "")
        if getattr(Tensor, name, None) is orig_method:
            return tracer.create_proxy("call_method", name, args, kwargs or {})
        return tracer.create_proxy("call_function", orig_method, args, kwargs or {})


def _unpacked(frame: FrameType | None) -> int | None:
    """How many names the line `a, b = proxy` gives values to, of the frame that called."""
    if frame is None or frame.f_back is None:
        return None
    frame = frame.f_back
    here = next((i for i in dis.get_instructions(frame.f_code) if i.offset == frame.f_lasti), None)
    return here.arg if here is not None and here.opname == "UNPACK_SEQUENCE" else None


def _tracer_of(values: Any) -> Any:
    for value in values:
        if isinstance(value, Proxy):
            return value.tracer
        if isinstance(value, (list, tuple)):
            found = _tracer_of(value)
            if found is not None:
                return found
    return None


class Attribute(Proxy):
    """An attribute of a traced value: a method if it is called, else a value of its own."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        if self._node is None:
            made = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {})
            self._node = made.node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _forward(name: str) -> Callable[..., Any]:
    target = getattr(operator, name)

    def apply(self: Proxy, *args: Any) -> Any:
        return self.tracer.create_proxy("call_function", target, (self, *args), {})

    return apply


def _reflected(name: str) -> Callable[..., Any]:
    target = getattr(operator, name)

    def apply(self: Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", target, (other, self), {})

    return apply


_BOTH = ("add", "sub", "mul", "floordiv", "truediv", "mod", "pow", "lshift", "rshift", "and_",
         "or_", "xor", "matmul")  # fmt: skip
for _name in (*_BOTH, "eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "invert", "getitem"):
    setattr(Proxy, f"__{_name.rstrip('_')}__", _forward(_name))
for _name in _BOTH:
    setattr(Proxy, f"__r{_name.rstrip('_')}__", _reflected(_name))
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]
