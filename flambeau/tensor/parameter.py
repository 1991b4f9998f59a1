"""Tensors that belong to modules: parameters and buffers."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import overlaps_itself
from flambeau.record import recorder
from flambeau.record.handle import lay_out
from flambeau.tensor.overriding import disabled
from flambeau.tensor.tensor import Tensor, from_array, retype


class _Marked(type):
    """Makes instances of what has the class's mark: parameters that are a program's own class."""

    _mark: str

    def __instancecheck__(cls, instance: Any) -> bool:
        own = cls.__dict__.get("_mark")
        if own is not None and isinstance(instance, Tensor) and own in instance.__dict__:
            return True
        return super().__instancecheck__(instance)


def _of_a_class_of_its_own(data: Any) -> bool:
    kind = type(data)
    return isinstance(data, Tensor) and not kind.__module__.startswith("flambeau.")


def _marked(data: Any, cls: type, requires_grad: bool, mark: str) -> Any:
    """A tensor of a program's own class, of the same class, as a parameter or buffer."""
    out = data.detach()
    kind, found = type(data).__name__, type(out)
    if found is not type(data):
        raise RuntimeError(
            f"Creating a {cls.__name__} from an instance of type {kind} requires that detach() "
            f"returns an instance of the same type, but return type {found.__name__} was found "
            f"instead. To use the type as a {cls.__name__}, please correct the detach() semantics "
            "defined by its __torch_dispatch__() implementation."
        )
    out = out.requires_grad_(requires_grad)
    out.__dict__[mark] = True
    return out


class Parameter(Tensor, metaclass=_Marked):
    """A tensor that is a module's parameter: a leaf that requires a gradient by default.

    A tensor of a class that a program has derived keeps its class, and is a Parameter all the same.
    """

    __slots__ = ()
    _mark = "_is_param"
    __torch_function__ = disabled

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = from_array(np.empty(0, np.float32), dtypes.get_default_dtype())
        if requires_grad and not (data.dtype.is_floating_point or data.dtype.is_complex):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        if _of_a_class_of_its_own(data) and not issubclass(type(data), Parameter):
            return _marked(data, cls, requires_grad, "_is_param")
        out = recorder.detach(data)
        if requires_grad and overlaps_itself(data.shape, data.stride()):
            out = out.clone()  # gradients are taken of memory
        out._settled()
        out = retype(out, cls)
        out._meta = out._meta.replaced(requires_grad=requires_grad, silent=False)
        return out

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass  # (subclasses have arguments of their own)


class Buffer(Tensor, metaclass=_Marked):
    """A tensor that is a module's buffer; one of a program's own class keeps that."""

    __slots__ = ()
    _mark = "_is_buffer"
    __torch_function__ = disabled

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        if data is None:
            data = from_array(np.empty(0, np.float32), dtypes.get_default_dtype())
        if _of_a_class_of_its_own(data) and not issubclass(type(data), Buffer):
            out = _marked(data, cls, data.requires_grad, "_is_buffer")
            out.persistent = persistent
            return out
        out = recorder.detach(data)
        out._settled()
        out = retype(out, cls)
        out.persistent = persistent
        return out

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        pass


lay_out(Parameter)
lay_out(Buffer)
