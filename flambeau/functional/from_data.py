"""Tensors of data: numbers, nested sequences, arrays, buffers, other libraries' tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import contiguous_strides
from flambeau.functional.conversion import clone, to_dtype
from flambeau.functional.options import (
    checked_dtype,
    checked_options,
    finish,
)
from flambeau.record.entering import PLAIN
from flambeau.record.meta import meta_of, plain_meta
from flambeau.record.storage import (
    storage_over_array,
)
from flambeau.tensor.literals import array_from_data, packed
from flambeau.tensor.making import over
from flambeau.tensor.recording import detach
from flambeau.tensor.tensor import Tensor, from_fresh, from_storage


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested sequences, arrays, tensors."""
    if device is None:
        found = packed(data, dtype)
        if found is not None:
            numbers, own = found
            made = over(own, numbers, len(numbers) * own.dtype.itemsize, exposed=False)
            return finish(made, True) if requires_grad else made
    checked_options(device, None, pin_memory)
    kind = None if dtype is None else checked_dtype(dtype)
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), "
            "rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        copied = clone(detach(data))
        return finish(copied if kind is None else to_dtype(copied, kind), requires_grad)
    return finish(_from_literal(data, kind), requires_grad)


def _from_literal(data: Any, kind: DType | None) -> Tensor:
    return from_fresh(*array_from_data(data, kind))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where it can."""
    checked_options(device, None, None)
    kind = None if dtype is None else checked_dtype(dtype)
    if isinstance(data, np.ndarray):
        data = from_numpy(data)
    if isinstance(data, Tensor):
        return data if kind is None else to_dtype(data, kind)
    return _from_literal(data, kind)


# (meta, bytes) of arrays that have become tensors, by type and extents.
_ADOPTED: dict[Any, Any] = {}


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor over the array's own memory."""
    if PLAIN.adopted is not None:
        made: Tensor | None = PLAIN.adopted(ndarray, _ADOPTED)
        if made is not None:
            return made
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    kind = dtypes.from_numpy(ndarray.dtype)
    flags = ndarray.flags
    plain = flags.c_contiguous and (ndarray.base is None or 1 not in ndarray.shape)
    if plain and flags.writeable:
        meta, nbytes = plain_meta(kind, ndarray.shape), ndarray.nbytes
        if nbytes:
            if len(_ADOPTED) == 1 << 12:
                _ADOPTED.clear()
            key = (ndarray.dtype, *ndarray.shape)
            _ADOPTED[key] = meta, nbytes
        return over(meta, ndarray, nbytes, exposed=True)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    itemsize = ndarray.dtype.itemsize
    if any(s % itemsize for s in ndarray.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy "
            "array to reallocate the memory."
        )
    if not flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable "
            "tensors. This means writing to this tensor will result in undefined behavior. You may "
            "want to copy the array to protect its data or make it writable before converting it "
            "to a tensor.",
            UserWarning,
            stacklevel=2,
        )
    storage, offset = storage_over_array(ndarray)
    strides = tuple(s // itemsize for s in ndarray.strides)
    if ndarray.size == 0:
        strides = contiguous_strides(ndarray.shape)
    return from_storage(storage, meta_of(kind, ndarray.shape, strides), offset // itemsize)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor over a buffer's memory."""
    kind = checked_dtype(dtype)
    array = np.frombuffer(buffer, kind.numpy, count, offset)
    storage, start = storage_over_array(array)
    return finish(
        from_storage(storage, meta_of(kind, array.shape), start // kind.itemsize), requires_grad
    )


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over another library's memory."""
    from flambeau.tensor import dlpack

    if isinstance(ext_tensor, Tensor):
        return detach(ext_tensor)
    array, _ = dlpack.from_dlpack(ext_tensor)
    return from_numpy(array)


# Names of the torch namespace.
__all__ = ["as_tensor", "from_dlpack", "from_numpy", "frombuffer", "tensor"]
