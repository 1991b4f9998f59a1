"""`__torch_function__`: subclasses of Tensor, and other classes, that take over ops.

Nothing of this costs anything until a program makes a subclass of Tensor or enters a
TorchFunctionMode. Then `activate` puts a wrapper in the place of every member of Tensor and of
every function in the namespaces that have registered: it looks for arguments whose type overrides.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, ClassVar

from flambeau.core.calls import add_space
from flambeau.record.handle import Handle


class _Local(threading.local):
    """Per thread: the modes entered, and whether subclasses (or modes too) are switched off."""

    def __init__(self) -> None:
        self.modes: list[Any] = []
        self.off = False
        self.modes_off = False


LOCAL = _Local()


class State:
    """Whether ops are wrapped, and where public functions stand."""

    active = False
    tensor: Any = None  # the class Tensor
    namespaces: ClassVar[list[tuple[dict[str, Any], Iterable[str]]]] = []


def disabled(*args: Any, **kwargs: Any) -> Any:
    """As a class's `__torch_function__`: its instances are plain tensors to every op."""
    return call_plainly(args[1] if isinstance(args[0], type) else args[0], *args[2:], **kwargs)


def call_plainly(function: Any, types: Any = (), args: Any = (), kwargs: Any = None) -> Any:
    """function(*args, **kwargs) where subclasses count as tensors."""
    before, LOCAL.off = LOCAL.off, True
    try:
        return function(*args, **(kwargs or {}))
    finally:
        LOCAL.off = before


# ---- who overrides -------------------------------------------------------------------------------

_PLAIN: dict[type, bool] = dict.fromkeys((int, float, bool, str, complex, type(None), slice), False)
_SIMPLE = set(_PLAIN)  # types that do not override and hold nothing that may


class NobodyKnows(TypeError):
    """No argument of a call that overrides knew what to do; PyTorch raises TypeError."""


NobodyKnows.__name__ = "TypeError"


def overrides(kind: type) -> bool:
    """Whether instances of a type take over the ops that they are given to."""
    known = _PLAIN.get(kind)
    if known is None:
        hook = getattr(kind, "__torch_function__", None)
        hook = getattr(hook, "__func__", hook)
        known = hook is not None and hook is not disabled and kind is not State.tensor
        if known and kind.__module__.startswith("flambeau.") and issubclass(kind, Handle):
            known = kind.__dict__.get("__torch_function__") is not None
        _PLAIN[kind] = known
        if not known and kind is not list and kind is not tuple:
            _SIMPLE.add(kind)
    return known


def overriding(args: Iterable[Any]) -> list[Any]:
    """The arguments (and elements of lists among them) that override, one of each type; those of
    subclasses stand before those of their bases.
    """
    found: list[Any] = []
    for given in args:
        kind = type(given)
        if kind is list or kind is tuple:
            for part in given:
                if overrides(type(part)):
                    _insert(found, part)
        elif overrides(kind):
            _insert(found, given)
    return found


def _insert(found: list[Any], given: Any) -> None:
    kind = type(given)
    if any(type(other) is kind for other in found):
        return
    place = next((i for i, other in enumerate(found) if issubclass(kind, type(other))), len(found))
    found.insert(place, given)


def ask(public: Any, found: Sequence[Any], args: Any, kwargs: Any) -> Any:
    """What the innermost mode, or the first argument that knows how, makes of a call."""
    types = tuple(type(one) for one in found)
    if LOCAL.modes and not LOCAL.modes_off:
        mode = LOCAL.modes.pop()
        try:
            result = mode.__torch_function__(public, types, args, kwargs)
        finally:
            LOCAL.modes.append(mode)
        if result is not NotImplemented:
            return result
    for one in found:
        result = one.__torch_function__(public, types, args, kwargs)
        if result is not NotImplemented:
            return result
    name = getattr(public, "__qualname__", public)
    tried = "".join(f"\n\n  - tensor subclass {kind}" for kind in types)
    raise NobodyKnows(
        f"Multiple dispatch failed for 'torch.{name}'; all __torch_function__ handlers returned "
        f"NotImplemented:{tried}\n\nFor more information, try re-running with "
        "TORCH_LOGS=not_implemented"
    )


# ---- what Tensor does by default -----------------------------------------------------------------


def by_default(cls: type, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Tensor.__torch_function__: the op, with its results as instances of the class."""
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    result = call_plainly(function, types, args, kwargs)
    return result if cls is State.tensor else converted(result, cls, args)


def converted(result: Any, cls: type, args: Any = ()) -> Any:
    """A result, or each tensor in it, as an instance of a subclass of Tensor."""
    if isinstance(result, Handle):
        if isinstance(result, cls):
            return result
        if type(result) is State.tensor and not any(result is given for given in args):
            result.__class__ = cls  # nobody else has it yet
            return result
        return call_plainly(State.tensor.as_subclass, (), (result, cls))
    if isinstance(result, (tuple, list)) and any(isinstance(part, Handle) for part in result):
        parts = [converted(part, cls, args) for part in result]
        kind = type(result)
        return kind(parts) if kind in (tuple, list) else tuple.__new__(kind, parts)  # type: ignore[type-var]
    return result


def check_class(cls: type) -> None:
    """NotImplementedError for a class whose `__torch_dispatch__` would never be asked."""
    hook = getattr(cls, "__torch_dispatch__", None)
    if hook is not None and hook is not disabled:
        raise NotImplementedError(
            f"{cls.__name__}.__torch_dispatch__ is not supported: ops are recorded and compiled, "
            "not dispatched one by one; override __torch_function__"
        )


# ---- wrapping ------------------------------------------------------------------------------------


def wrapped(function: Callable[..., Any], public: Any = None) -> Callable[..., Any]:
    """A function that asks its arguments first; `public` is what they are told was called."""

    simple = _SIMPLE

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        local = LOCAL
        if not local.modes and not kwargs:
            for given in args:
                if type(given) not in simple:
                    break
            else:  # nothing but types that are known not to override
                return function(*args)
        if local.off and not local.modes:
            return function(*args, **kwargs)
        found = [] if local.off else overriding((*args, *kwargs.values()) if kwargs else args)
        if found or (local.modes and not local.modes_off):
            return ask(call if public is None else public(), found, args, kwargs)
        return function(*args, **kwargs)

    call.__dict__["_plain"] = function
    return call


def plain(function: Any) -> Any:
    """The function itself, where this is the one that asks its arguments first."""
    return getattr(function, "_plain", function)


def register(namespace: dict[str, Any], names: Iterable[str]) -> None:
    """Makes public functions of a namespace overridable, now or when that is needed first."""
    State.namespaces.append((namespace, names))
    add_space(namespace)
    if State.active:
        _wrap_names(namespace, names)


def public(value: Any, namespace: dict[str, Any], name: str) -> Any:
    """What a namespace should show for a function that it has found."""
    if not State.active or not isinstance(value, (FunctionType, BuiltinFunctionType, MethodType)):
        return value
    if "_plain" in getattr(value, "__dict__", ()):
        return value
    call = wrapped(value)
    call.__module__, call.__qualname__ = namespace["__name__"], name  # pickle finds it there
    return call


def _wrap_names(namespace: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if name in namespace:
            namespace[name] = public(namespace[name], namespace, name)


# Members of Tensor that say what kind of object it is, or that ops go through.
_LEFT = frozenset(
    """__new__ __init__ __init_subclass__ __subclasshook__ __class__ __getattribute__ __setattr__
    __delattr__ __dir__ __sizeof__ __hash__ __reduce__ __reduce_ex__ __getstate__ __deepcopy__
    __array__ __array_wrap__ __dlpack__ __dlpack_device__ __torch_function__ __format__ __str__
    __repr__ __doc__ __dict__ __slots__ __module__ __weakref__ __annotations__ __orig_bases__
    __parameters__ as_subclass __index__ __iter__ __len__ __bool__ __float__ __int__ __complex__
    __contains__ __array_priority__ __class_getitem__""".split()
)
# What PyTorch calls the function behind an operator.
_PLAIN_NAMES = {
    **{f"__{name}__": name for name in "add sub mul eq ne lt le gt ge neg abs matmul".split()},
    **{f"__i{name}__": f"{name}_" for name in "add sub mul".split()},
    "__radd__": "add", "__rmul__": "mul", "__truediv__": "div", "__itruediv__": "div_",
    "__invert__": "bitwise_not", "__and__": "bitwise_and", "__or__": "bitwise_or",
    "__xor__": "bitwise_xor", "__pow__": "pow",
}  # fmt: skip
_TENSOR_PROPERTIES = ("T", "mT", "H", "mH", "real", "imag", "data")


def _members() -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(State.tensor).items()):
        if name in _LEFT or (name.startswith("_") and not name.startswith("__")):
            continue
        yield name, value


def activate() -> None:
    """Wraps the members of Tensor and all public functions. Costs every later op a little."""
    if State.active or State.tensor is None:
        return
    State.active = True
    tensor = State.tensor
    for name, value in _members():
        if isinstance(value, FunctionType):
            setattr(tensor, name, _member(name, value))
        elif hasattr(value, "load") and not hasattr(value, "__set__"):
            setattr(tensor, name, _member(name, _loading(name, value.load)))
        elif name in _TENSOR_PROPERTIES:
            setattr(tensor, name, _Property(value))
    for namespace, names in State.namespaces:
        _wrap_names(namespace, names)


def _member(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    plain = _PLAIN_NAMES.get(name)
    told = None if plain is None else lambda: getattr(State.tensor, plain)
    call = _operator(wrapped(function, told)) if plain else wrapped(function, told)
    call.__name__, call.__qualname__ = name, f"Tensor.{name}"
    return call


def _operator(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method behind an operator: where nobody knows, Python asks the other operand."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except NobodyKnows:
            return NotImplemented

    return call


def _loading(name: str, load: Callable[[], Any]) -> Callable[..., Any]:
    """A member whose module is imported when it is first called."""
    found: list[Any] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        if not found:
            found.append(load())
        return found[0](*args, **kwargs)

    return call


class _Property:
    """A property of Tensor whose value is a tensor, as an op that can be overridden."""

    def __init__(self, member: Any) -> None:
        self.member = member
        self.get = wrapped(self._value)
        self.get.__name__ = "__get__"

    def _value(self, tensor: Any) -> Any:
        return self._loaded().__get__(tensor, type(tensor))

    def _loaded(self) -> Any:
        # What is bound by name would put itself in the place of this.
        if hasattr(self.member, "load"):
            self.member = self.member.load()
        return self.member

    def __get__(self, tensor: Any, owner: Any = None) -> Any:
        return self.get(tensor) if tensor is not None else self

    def __set__(self, tensor: Any, value: Any) -> None:
        self._loaded().__set__(tensor, value)
