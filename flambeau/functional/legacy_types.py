"""torch.FloatTensor and its like: constructors and types of before there were dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.size import Size
from flambeau.functional.conversion import to_dtype
from flambeau.functional.creation import uninitialised
from flambeau.functional.from_data import tensor
from flambeau.functional.options import (
    checked_device,
    checked_dtype,
    checked_options,
    shape_of,
)
from flambeau.tensor.recording import detach
from flambeau.tensor.tensor import Tensor

_TYPE_NAMES = {
    dtypes.float32: "FloatTensor",
    dtypes.float64: "DoubleTensor",
    dtypes.float16: "HalfTensor",
    dtypes.bfloat16: "BFloat16Tensor",
    dtypes.uint8: "ByteTensor",
    dtypes.int8: "CharTensor",
    dtypes.int16: "ShortTensor",
    dtypes.int32: "IntTensor",
    dtypes.int64: "LongTensor",
    dtypes.bool_: "BoolTensor",
    dtypes.complex64: "ComplexFloatTensor",
    dtypes.complex128: "ComplexDoubleTensor",
}


class LegacyType(type):
    """The type of torch.FloatTensor and its like: isinstance looks at the dtype."""

    dtype: DType

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


def _legacy_class(kind: DType, name: str) -> Any:
    def make(cls: Any, *data: Any, device: Any = None) -> Tensor:
        return legacy_tensor(cls.dtype, data, device)

    said = (
        f"Makes {kind} tensors of sizes or data; the type that isinstance knows {kind} tensors by."
    )
    members = {"dtype": kind, "__new__": make, "__module__": "torch", "__doc__": said}
    return LegacyType(name, (), members)


LEGACY_TYPES = {name: _legacy_class(kind, name) for kind, name in _TYPE_NAMES.items()}
_BY_LEGACY_NAME = {name: kind for kind, name in _TYPE_NAMES.items()}


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The type's name, or the tensor converted to a dtype, type or type name."""
    if dtype is None:
        return f"torch.{_TYPE_NAMES[self.dtype]}"
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.")
        if name.startswith("cuda."):
            checked_device("cuda")
        if name not in _BY_LEGACY_NAME:
            raise ValueError(f"invalid type: '{dtype}'")
        return to_dtype(self, _BY_LEGACY_NAME[name])
    if isinstance(dtype, LegacyType):
        return to_dtype(self, dtype.dtype)
    if dtype is Tensor:
        return to_dtype(self, dtypes.get_default_dtype())
    return to_dtype(self, checked_dtype(dtype))


def legacy_tensor(dtype: DType, data: tuple[Any, ...], device: Any) -> Tensor:
    """torch.FloatTensor and its like: sizes, or data."""
    checked_options(device, None, None)
    if len(data) == 1 and isinstance(data[0], Tensor):
        return detach(data[0]) if data[0].dtype is dtype else to_dtype(detach(data[0]), dtype)
    if len(data) == 1 and isinstance(data[0], Size):
        return uninitialised(tuple(data[0]), dtype)
    if len(data) == 1 and not isinstance(data[0], int):
        if isinstance(data[0], np.ndarray):
            return tensor(data[0], dtype=dtype)
        if isinstance(data[0], (list, tuple)) or hasattr(data[0], "__len__"):
            return tensor(list(data[0]), dtype=dtype)
        raise TypeError(f"new(): data must be a sequence (got {type(data[0]).__name__})")
    return uninitialised(shape_of(data, "Tensor"), dtype)


def new(self: Tensor, *data: Any, device: Any = None) -> Tensor:
    """The legacy constructor for this tensor's dtype."""
    return legacy_tensor(self.dtype, data, device)


METHODS: dict[str, Callable[..., Any]] = {"type": type_, "new": new}

# Names of the torch namespace: LEGACY_TYPES, which functional/binding.py looks up.
__all__: list[str] = []
