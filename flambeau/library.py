"""torch.library: operators that a program defines, and their derivatives.

An operator is a Python function over tensors; it is called by its object, or as
`torch.ops.namespace.name`. Operators of libraries in C++ cannot be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from flambeau import ops
from flambeau.autograd.function import Function

__all__ = [
    "CustomOpDef", "Library", "custom_op", "define", "impl", "register_autograd", "register_fake",
    "register_kernel",
]  # fmt: skip

_DEFINED: dict[str, CustomOpDef] = {}


class CustomOpDef:
    """An operator that a program defined; calling it runs its function."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._qualname = name
        self._init_fn = function
        self._backward: Callable[..., Any] | None = None
        self._setup: Callable[..., Any] | None = None
        self.__name__ = name.partition("::")[2]
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._backward is not None:
            return self._taped(args, kwargs)
        return self._init_fn(*args, **kwargs)

    @property
    def default(self) -> CustomOpDef:
        """The only overload."""
        return self

    def _taped(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call whose derivative is the registered one."""
        function, setup, backward = self._init_fn, self._setup, self._backward

        class Taped(Function):
            @staticmethod
            def forward(ctx: Any, *given: Any) -> Any:
                output = function(*given, **kwargs)
                if setup is not None:
                    known = {"keyword_only_inputs": kwargs} if kwargs else {}
                    setup(ctx=ctx, inputs=given, output=output, **known)
                return output

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                assert backward is not None
                return backward(ctx, *grads)

        return Taped.apply(*args)

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """The derivative: backward(ctx, *grads), after setup_context(ctx, inputs, output)."""
        self._backward, self._setup = backward, setup_context

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Accepted: shapes come from the function itself, which is recorded as it runs."""
        return fn

    def register_kernel(self, device_types: Any, fn: Any = None, /) -> Any:
        """Another function for the CPU; NotImplementedError for other devices."""
        if fn is None:
            return lambda function: self.register_kernel(device_types, function)
        if device_types not in (None, "cpu"):
            raise NotImplementedError(f"register_kernel() for {device_types!r}: there is only cpu")
        self._init_fn = fn
        return fn

    def register_vmap(self, func: Any = None, /) -> Any:
        """NotImplementedError: vmap goes through the function itself."""
        raise NotImplementedError("register_vmap() is not supported: vmap maps the function itself")


def _checked(name: str) -> tuple[str, str]:
    namespace, separator, own = name.partition("::")
    if not separator or not namespace or not own or "." in own:
        raise ValueError(f"the name of an operator is 'namespace::name', got {name!r}")
    return namespace, own


def _publish(made: CustomOpDef) -> CustomOpDef:
    namespace, own = _checked(made._qualname)
    _DEFINED[made._qualname] = made
    place = vars(ops).get(namespace)
    if place is None:
        place = SimpleNamespace()
        setattr(ops, namespace, place)
    elif not isinstance(place, SimpleNamespace):
        raise RuntimeError(f"the namespace {namespace!r} is Flambeau's own")
    setattr(place, own, made)
    return made


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: str | Sequence[str],
    device_types: str | Sequence[str] | None = None,
    schema: str | None = None,
    tags: Sequence[Any] | None = None,
) -> Any:
    """Defines the operator "namespace::name"; as a decorator without `fn`.

    What it mutates, its schema and its tags need not be told here, since the function is recorded
    as it runs. ValueError for names of another form.
    """
    _checked(name)
    if fn is None:
        return lambda function: _publish(CustomOpDef(name, function))
    return _publish(CustomOpDef(name, fn))


def _found(op: Any) -> CustomOpDef:
    made = op if isinstance(op, CustomOpDef) else _DEFINED.get(op)
    if made is None:
        raise RuntimeError(f"there is no operator {op!r}: define it with torch.library.custom_op")
    return made


def register_fake(op: Any, func: Any = None, /, *, lib: Any = None, **options: Any) -> Any:
    """Accepted: see CustomOpDef.register_fake. RuntimeError for operators that are not defined."""
    if func is None:
        return lambda function: register_fake(op, function, lib=lib)
    return _found(op).register_fake(func)


def register_autograd(
    op: Any, backward: Any, /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """The derivative of an operator: see CustomOpDef.register_autograd."""
    _found(op).register_autograd(backward, setup_context=setup_context)


def register_kernel(op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """Another function for an operator: see CustomOpDef.register_kernel."""
    return _found(op).register_kernel(device_types, func)


def _refuse(*args: Any, **options: Any) -> Any:
    raise NotImplementedError("operators by schema are not supported: use torch.library.custom_op")


define = impl = _refuse


class Library:
    """NotImplementedError: operators are defined with `custom_op`."""

    __init__ = _refuse
