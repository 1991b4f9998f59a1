"""Deep copies and pickles of tensors, memory included. (Checkpoint files: see `serialization`.)"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import storage_extent
from flambeau.record.meta import meta_of
from flambeau.record.storage import storage_from_array
from flambeau.tensor.parameter import Parameter
from flambeau.tensor.tensor import from_storage, retype

MARKS = ("_is_param", "_is_buffer")


def own_attributes(tensor: Any) -> dict[str, Any]:
    """What the user has set on a tensor, and what it was made as."""
    attributes = tensor.__dict__.items()
    return {name: v for name, v in attributes if not name.startswith("_") or name in MARKS}


def deep_copy(tensor: Any, memo: dict[int, Any]) -> Any:
    """A copy over a copy of the storage; tensors that share memory do so afterwards."""
    storage = tensor._settled()
    copied = memo.get(id(storage))
    if copied is None:
        copied = storage_from_array(np.asarray(storage.buffer).copy())
        memo[id(storage)] = copied
        memo.setdefault(id(memo), []).append(storage)
    meta = tensor._meta
    layout = meta_of(meta.dtype, tuple(meta.shape), tuple(meta.strides))
    out = retype(from_storage(copied, layout, tensor._offset), type(tensor))
    out._meta = out._meta.replaced(requires_grad=meta.requires_grad)
    memo[id(tensor)] = out
    if tensor._grad is not None and not issubclass(type(tensor), Parameter):  # (as in PyTorch)
        out._grad = tensor._grad.__deepcopy__(memo)
    for name, value in own_attributes(tensor).items():
        setattr(out, name, value)
    return out


def reduced(tensor: Any) -> tuple[Any, tuple[Any, ...]]:
    """For pickle: the elements between the first and the last one, and the layout over them."""
    storage = tensor._settled()
    meta = tensor._meta
    shape, strides, size = tuple(meta.shape), tuple(meta.strides), meta.dtype.itemsize
    start = tensor._offset * size
    stop = start + storage_extent(shape, strides) * size
    span = np.asarray(storage.buffer)[start:stop].copy()
    kind = type(tensor)
    parts = (span, meta.dtype.name, shape, strides, meta.requires_grad, own_attributes(tensor))
    return rebuilt, (kind, *parts)


def rebuilt(
    cls: type, span: Any, dtype: str, shape: Any, strides: Any, requires_grad: bool, own: Any
) -> Any:
    """The tensor of `reduced`."""
    meta = meta_of(dtypes.BY_NAME[dtype], shape, strides)
    out = retype(from_storage(storage_from_array(span), meta), cls)
    out._meta = out._meta.replaced(requires_grad=requires_grad)
    out.__dict__.update(own)
    return out
