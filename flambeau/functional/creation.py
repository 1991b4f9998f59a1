"""Making tensors: filled, and like others; and as methods."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.errors import not_a_tensor
from flambeau.core.layout import (
    format_strides,
    preserve_format,
)
from flambeau.core.shapes import Shape, dense_strides_like
from flambeau.functional.constants import (
    SMALL,
    constant,
)
from flambeau.functional.conversion import METHODS as CONVERSIONS
from flambeau.functional.from_data import (
    tensor,
)
from flambeau.functional.options import (
    checked_dtype,
    checked_options,
    finish,
    given_size,
    refuse_overflow,
    shape_of,
)
from flambeau.record.meta import Meta, meta_of, plain_meta
from flambeau.record.options import OPTIONS
from flambeau.record.recording import LOCAL
from flambeau.record.storage import Storage as MemoryStorage
from flambeau.record.storage import (
    allocate,
)
from flambeau.tensor.literals import array_from_data
from flambeau.tensor.making import fresh
from flambeau.tensor.tensor import Tensor, from_storage


def _of_sizes(dtype: DType, sizes: tuple[Any, ...]) -> Meta | None:
    """The meta for extents that are given one by one, as whole numbers; None for other sizes."""
    if not sizes or sizes[0].__class__ is not int:
        return None
    try:
        return _of_extents(dtype, *sizes)
    except TypeError:  # what is no number can hardly be looked up
        return None


@lru_cache(maxsize=1 << 12, typed=True)
def _of_extents(dtype: DType, *extents: Any) -> Meta | None:
    if any(type(extent) is not int or extent < 0 for extent in extents):
        return None
    return plain_meta(dtype, extents)


def zeros(
    *sizes: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of zeros of the given shape."""
    if device is not None or layout is not None:
        checked_options(device, layout, pin_memory)
    meta = None if size is not None else _of_sizes(checked_dtype(dtype), sizes)
    if meta is None:
        shape = shape_of(given_size(sizes, size), "zeros")
        meta = plain_meta(checked_dtype(dtype), shape)
    made = constant(meta, 0)
    return finish(made, requires_grad, out) if requires_grad or out is not None else made


def ones(
    *sizes: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of ones of the given shape."""
    if device is not None or layout is not None:
        checked_options(device, layout, pin_memory)
    meta = None if size is not None else _of_sizes(checked_dtype(dtype), sizes)
    if meta is None:
        shape = shape_of(given_size(sizes, size), "ones")
        meta = plain_meta(checked_dtype(dtype), shape)
    made = constant(meta, 1)
    return finish(made, requires_grad, out) if requires_grad or out is not None else made


_OF_NUMBERS = {bool: dtypes.bool_, int: dtypes.int64, complex: dtypes.complex64}


def full(
    size: Any,
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of one value; its dtype is the value's unless given."""
    if device is not None or layout is not None:
        checked_options(device, layout, pin_memory)
    if isinstance(fill_value, Tensor):
        dtype = fill_value.dtype if dtype is None else dtype
    elif dtype is None:
        dtype = _OF_NUMBERS.get(type(fill_value))
    shape = shape_of((size,) if isinstance(size, (tuple, list)) else (tuple(size),), "full")
    kind = checked_dtype(dtype)
    refuse_overflow(fill_value, kind)
    made = constant(plain_meta(kind, shape), fill_value)
    return finish(made, requires_grad, out) if requires_grad or out is not None else made


def empty(
    *sizes: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor whose values are not set."""
    if device is not None or layout is not None:
        checked_options(device, layout, pin_memory)
    kind = dtypes.get_default_dtype() if dtype is None else checked_dtype(dtype)
    if LOCAL.levels:
        return _recorded(shape_of(given_size(sizes, size), "empty"), kind, requires_grad, out)
    if not (requires_grad or size is not None or memory_format is not None or out is not None):
        meta = _of_sizes(kind, sizes)
        if meta is not None and meta.numel <= SMALL:
            return fresh(meta)
    shape = shape_of(given_size(sizes, size), "empty")
    strides = format_strides(shape, memory_format)
    tensor = uninitialised(shape, kind, strides)
    return finish(tensor, requires_grad, out) if requires_grad or out is not None else tensor


def _recorded(shape: Shape, dtype: DType, requires_grad: bool, out: Tensor | None) -> Tensor:
    """New memory under vmap: an event, which says that it was not there before."""
    return finish(constant(plain_meta(dtype, shape), 0), requires_grad, out)


def uninitialised(shape: Shape, dtype: DType, strides: Any = None) -> Tensor:
    """A tensor over fresh memory."""
    meta = plain_meta(dtype, shape) if strides is None else meta_of(dtype, shape, strides)
    if meta.numel * dtype.itemsize >= 1 << 63:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)}")
    return fresh(meta)


def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """An uninitialised tensor of the given shape and strides."""
    from flambeau.core.shapes import storage_extent

    checked_options(device, layout, pin_memory)
    kind = checked_dtype(dtype)
    meta = meta_of(kind, tuple(size), tuple(stride))
    memory = allocate(storage_extent(tuple(size), tuple(stride)) * kind.itemsize)
    return finish(from_storage(MemoryStorage(memory), meta), requires_grad)


def _described(input: Tensor, dtype: Any, layout: Any, device: Any, memory_format: Any) -> Meta:
    """The meta of a tensor like `input`."""
    if device is not None or layout is not None:
        checked_options(device, layout, None)
    try:
        meta = input._meta
    except AttributeError:
        raise not_a_tensor(sys._getframe(1).f_code.co_name, "input", 1, input) from None
    kind = meta.dtype if dtype is None else checked_dtype(dtype)
    if memory_format is None or memory_format is preserve_format:
        return _like(meta, kind)
    shape = meta.extents
    return meta_of(kind, shape, format_strides(shape, memory_format))


@lru_cache(maxsize=1 << 12)
def _like(meta: Meta, dtype: DType) -> Meta:
    return meta_of(dtype, meta.extents, dense_strides_like(meta.extents, meta.strides))


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros of the shape and dtype of `input`."""
    made = constant(_described(input, dtype, layout, device, memory_format), 0)
    return finish(made, requires_grad) if requires_grad else made


def full_at_rest(input: Tensor, value: float | complex) -> Tensor:
    """full_like(input, value) in memory of its own at once, where that can be: no event of a
    program.

    What an optimizer begins with would else make its first step another program than the others.
    """
    meta = input._meta
    if LOCAL.capture is not None or OPTIONS.sync:
        return full_like(input, value)
    strides = dense_strides_like(tuple(meta.shape), meta.strides)
    storage = MemoryStorage(allocate(meta.numel * meta.dtype.itemsize))
    storage.array(meta.dtype)[:] = array_from_data(value, meta.dtype)[0]
    return from_storage(storage, meta_of(meta.dtype, tuple(meta.shape), strides))


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones of the shape and dtype of `input`."""
    made = constant(_described(input, dtype, layout, device, memory_format), 1)
    return finish(made, requires_grad) if requires_grad else made


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """One value in the shape and dtype of `input`."""
    like = _described(input, dtype, layout, device, memory_format)
    refuse_overflow(fill_value, like.dtype)
    made = constant(like, fill_value)
    return finish(made, requires_grad)


def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uninitialised memory in the shape and dtype of `input`."""
    meta = _described(input, dtype, layout, device, memory_format)
    made = constant(meta, 0) if LOCAL.levels else fresh(meta)
    return finish(made, requires_grad) if requires_grad else made


def _new(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(
        self: Tensor, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any
    ) -> Tensor:
        return make(*args, dtype=self.dtype if dtype is None else dtype, device=device, **kwargs)

    method.__doc__ = (
        f"What torch.{make.__name__} gives, in this tensor's dtype unless one is named."
    )
    return method


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with a copy of `data` in this tensor's dtype."""
    return tensor(
        data,
        dtype=self.dtype if dtype is None else dtype,
        device=device,
        requires_grad=requires_grad,
    )


METHODS: dict[str, Callable[..., Any]] = {
    **CONVERSIONS,
    "new_tensor": new_tensor,
    "new_zeros": _new(zeros),
    "new_ones": _new(ones),
    "new_full": _new(full),
    "new_empty": _new(empty),
}

# Names of the torch namespace.
__all__ = [
    "empty", "empty_like", "empty_strided", "full", "full_like", "ones", "ones_like", "zeros",
    "zeros_like",
]  # fmt: skip
