"""Tensors that belong to modules: parameters and buffers."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.record import recorder
from flambeau.tensor.overriding import disabled
from flambeau.tensor.tensor import Tensor, from_array, retype


class Parameter(Tensor):
    """A tensor that is a module's parameter: a leaf that requires a gradient by default."""

    __slots__ = ()
    __torch_function__ = disabled

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = from_array(np.empty(0, np.float32), dtypes.get_default_dtype())
        if requires_grad and not (data.dtype.is_floating_point or data.dtype.is_complex):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        out = recorder.detach(data)
        out._settled()
        out = retype(out, cls)
        out._meta = out._meta.replaced(requires_grad=requires_grad, silent=False)
        return out

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass  # (subclasses have arguments of their own)


class Buffer(Tensor):
    """A tensor that is a module's buffer."""

    __slots__ = ()
    __torch_function__ = disabled

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        if data is None:
            data = from_array(np.empty(0, np.float32), dtypes.get_default_dtype())
        out = recorder.detach(data)
        out._settled()
        out = retype(out, cls)
        out.persistent = persistent
        return out

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        pass
