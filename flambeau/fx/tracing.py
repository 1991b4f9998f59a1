"""Symbolic tracing: a module or function, run with proxies for its arguments, becomes a graph."""

from __future__ import annotations

import builtins
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType
from flambeau.core.layout import MemoryFormat
from flambeau.fx.graph import Graph
from flambeau.fx.node import Node, map_aggregate
from flambeau.fx.proxy import Proxy, TraceError
from flambeau.nn import Module, Sequential
from flambeau.tensor.tensor import Tensor

_PLAIN = (str, int, float, bool, complex, type(None), type(...), DType, Device, MemoryFormat)
_wrapped: list[tuple[dict[str, Any], str]] = []


def wrap(fn_or_name: Any) -> Any:
    """Makes a global function a step of its own in graphs, not traced into.

    To be called at module scope with its name, or as its decorator. RuntimeError elsewhere.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError(
            "Unsupported type for global function! Must be either a callable or string name"
        )
    name = fn_or_name.__name__ if callable(fn_or_name) else fn_or_name
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    if frame.f_back.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped.append((frame.f_back.f_globals, name))
    return fn_or_name


class Tracer:
    """Traces modules. Which of them are single steps, `is_leaf_module` says."""

    graph: Graph
    root: Any

    def __init__(
        self, autowrap_modules: Any = (), autowrap_functions: Any = (),
        param_shapes_constant: bool = False,
    ) -> None:  # fmt: skip
        if param_shapes_constant:
            raise NotImplementedError("fx.Tracer(param_shapes_constant=True)")
        self.autowrap_functions = tuple(autowrap_functions)
        self.record_stack_traces = False

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether a module is one step: those of torch.nn are, but for Sequential."""
        library = m.__module__.startswith(f"{__name__.partition('.')[0]}.nn")
        return library and not isinstance(m, Sequential)

    def path_of_module(self, mod: Module) -> str:
        """The qualified name of a submodule. NameError for others."""
        for name, module in self.root.named_modules():
            if module is mod:
                return str(name)
        raise NameError("module is not installed as a submodule")

    def call_module(self, m: Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What calling a submodule does: a step, or its own steps."""
        name = self.path_of_module(m)
        if self.is_leaf_module(m, name):
            return self.create_proxy("call_module", name, args, kwargs)
        return forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """What reading an attribute of a module gives: parameters and buffers become steps."""
        if not isinstance(attr_val, Tensor) or isinstance(attr_val, Proxy):
            return attr_val
        for name, tensor in self._tensors().items():
            if tensor is attr_val:
                if name not in parameter_proxy_cache:
                    parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
                return parameter_proxy_cache[name]
        return attr_val

    def _tensors(self) -> dict[str, Any]:
        return {**dict(self.root.named_parameters()), **dict(self.root.named_buffers())}

    # ---- nodes -----------------------------------------------------------------------------------

    def create_node(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None,
        type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """A node of the graph under way."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """What stands for a node's value."""
        return Proxy(node, self)

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None,
        type_expr: Any = None, proxy_factory_fn: Any = None,
    ) -> Any:  # fmt: skip
        """A new node, and what stands for its value."""
        given = self.create_arg(tuple(args)), self.create_arg(dict(kwargs))
        node = self.create_node(kind, target, *given, name, type_expr)
        return self.proxy(node) if proxy_factory_fn is None else proxy_factory_fn(node)

    def create_arg(self, a: Any) -> Any:
        """An operand as a graph holds it. NotImplementedError for other types."""
        return map_aggregate(a, self._operand)

    def _operand(self, a: Any) -> Any:
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, (Node, *_PLAIN)):
            return a
        if isinstance(a, Tensor):
            for name, tensor in self._tensors().items():
                if tensor is a:
                    return self.create_node("get_attr", name, (), {})
            return self.create_node("get_attr", self._constant(a), (), {})
        if callable(a) or isinstance(a, range):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def _constant(self, tensor: Tensor) -> str:
        """The attribute of the root that holds a tensor made while tracing."""
        number = 0
        while hasattr(self.root, f"_tensor_constant{number}"):
            if getattr(self.root, f"_tensor_constant{number}") is tensor:
                return f"_tensor_constant{number}"
            number += 1
        setattr(self.root, f"_tensor_constant{number}", tensor)
        return f"_tensor_constant{number}"

    # ---- tracing ---------------------------------------------------------------------------------

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> Graph:
        """The graph of a module's forward, or of a function."""
        if isinstance(root, Module):
            self.root, function, method = root, type(root).forward, True
        else:
            self.root, function, method = Module(), root, False
        self.graph = Graph()
        flat, args = self._inputs(function, method, concrete_args or {})
        with self._patched():
            result = flat(*args)
        self.graph.output(self.create_arg(result))
        return self.graph

    def _inputs(
        self, function: Callable[..., Any], method: bool, concrete: dict[str, Any]
    ) -> tuple[Callable[..., Any], list[Any]]:
        """The function with all its parameters by position, and proxies for them."""
        plain = inspect.unwrap(function)
        code = plain.__code__
        parameters = inspect.signature(plain).parameters
        count = code.co_argcount + code.co_kwonlyargcount
        stars = [inspect.CO_VARARGS, inspect.CO_VARKEYWORDS]
        marks = ["*" * (n + 1) for n, flag in enumerate(stars) if code.co_flags & flag]
        names = code.co_varnames[: count + len(marks)]
        args: list[Any] = [self.root] if method else []
        for place, name in enumerate(names[len(args) :], len(args)):
            if name in concrete:
                self.create_proxy("placeholder", f"{name}_1", (), {})  # accepted, not used
                args.append(concrete[name])
            elif place >= count:
                target = f"{marks[place - count]}{name}"
                args.append(self.create_proxy("placeholder", target, (), {}, f"_{name}"))
            else:
                default = parameters[name].default
                given = () if default is inspect.Parameter.empty else (default,)
                args.append(self.create_proxy("placeholder", name, given, {}))
        flat = code.replace(
            co_flags=code.co_flags & ~(stars[0] | stars[1]), co_argcount=len(names),
            co_kwonlyargcount=0, co_posonlyargcount=0,
        )  # fmt: skip
        made = FunctionType(flat, plain.__globals__, plain.__name__, None, plain.__closure__)
        return made, args

    @contextmanager
    def _patched(self) -> Iterator[None]:
        """Within, calls of modules and reads of their tensors come to this tracer."""
        call = Module.__call__
        known: dict[str, Any] = {}
        tracer = self

        def traced_call(module: Module, *args: Any, **kwargs: Any) -> Any:
            def forward(*given: Any, **named: Any) -> Any:
                return call(module, *given, **named)

            return tracer.call_module(module, forward, args, kwargs)

        def traced_read(module: Module, name: str) -> Any:
            value = object.__getattribute__(module, name)
            return tracer.getattr(name, value, known) if isinstance(value, Tensor) else value

        places = [(names, name, names.get(name)) for names, name in _wrapped]
        Module.__call__ = traced_call  # type: ignore[method-assign,assignment]
        Module.__getattribute__ = traced_read  # type: ignore[method-assign,assignment]
        for names, name, function in places:
            names[name] = _step(self, function or getattr(builtins, name))
        try:
            yield
        finally:
            Module.__call__ = call  # type: ignore[method-assign]
            del Module.__getattribute__
            for names, name, function in places:
                if function is None:
                    del names[name]
                else:
                    names[name] = function

    def keys(self, obj: Proxy) -> Any:
        """What `**proxy` asks for. TraceError."""
        raise TraceError("a Proxy cannot be unpacked as **kwargs")


def _step(tracer: Tracer, function: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapped function: a step where it gets proxies."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found: list[Any] = []
        map_aggregate((args, kwargs), lambda a: found.append(a) if isinstance(a, Proxy) else a)
        if found:
            return tracer.create_proxy("call_function", function, args, kwargs)
        return function(*args, **kwargs)

    return call


def symbolic_trace(root: Any, concrete_args: dict[str, Any] | None = None) -> Any:
    """A GraphModule that does what a module or function does.

    TraceError where control flow hangs on values.
    """
    from flambeau.fx.graph_module import GraphModule

    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)
