"""Writes that replace a tensor's elements, and changes of a tensor's own layout or storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core.calls import refuse_misgiven
from flambeau.core.layout import (
    contiguous_format,
    format_strides,
    preserve_format,
)
from flambeau.core.shapes import broadcast_shapes, contiguous_strides, storage_extent
from flambeau.functional import axis_order, parts, views
from flambeau.functional.options import other_names, refuse_overflow
from flambeau.functional.views import integers
from flambeau.ops import arithmetic as ar
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.record.changes import CHANGES
from flambeau.record.events import CopyOp
from flambeau.record.meta import Meta, meta_of
from flambeau.record.recorder import LOCAL, in_place
from flambeau.record.storage import allocate
from flambeau.tensor.tensor import Tensor

# ---- elements ------------------------------------------------------------------------------------


def _copied(meta: Meta, value: Value) -> Value:
    if value.shape != meta.shape:
        shape = broadcast_shapes(tuple(meta.shape), value.shape)
        if shape != tuple(meta.shape):
            raise RuntimeError(
                f"output with shape {list(meta.shape)} doesn't match the broadcast shape "
                f"{list(shape)}"
            )
    return value


def _filled(meta: Meta, value: Value) -> Value:
    if value.shape:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.ndim} dimensions."
        )
    return value


COPY = CopyOp("copy_", _copied, "CopyBackwards", reads=False)
FILL = CopyOp("fill_", _filled, "FillBackward0", reads=False)
FILL_TENSOR = CopyOp("fill_", _filled, "FillBackward1", reads=False, apart=None)
ZERO = CopyOp(
    "zero_", lambda meta: ar.full(tuple(meta.shape), 0, meta.dtype), "ZeroBackward0", reads=False
)


def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """Overwrites this tensor with other (a tensor or a number), broadcast and converted."""
    if isinstance(other, (bool, int, float, complex, np.number, np.bool_)):
        from flambeau.functional.from_data import tensor

        other = tensor(other)
    elif not isinstance(other, Tensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
        )
    in_place(COPY, self, (other,))
    return self


def fill_(input: Tensor, value: Any) -> Tensor:
    """Overwrites this tensor with a number or a 0-d tensor."""
    if isinstance(value, Tensor):
        in_place(FILL_TENSOR, input, (value,))
        return input
    if not isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
        raise TypeError(
            f"fill_() received an invalid combination of arguments - got "
            f"({type(value).__name__}), but "
            "expected one of:\n * (Tensor value)\n * (Number value)\n"
        )
    refuse_overflow(value, input.dtype)
    in_place(FILL, _once(input), (value,))
    return input


def _once(target: Tensor) -> Tensor:
    """An expanded tensor's elements, each once: filled with one number, all of them are."""
    shape, strides = target._meta.shape, target._meta.strides
    if 0 in strides:
        for axis, (extent, stride) in enumerate(zip(shape, strides, strict=True)):
            if stride == 0 and extent > 1:
                target = views.narrow(target, axis, 0, 1)
    return target


def fill(input: Tensor, value: Any) -> Tensor:
    """A copy of the tensor filled with a number or a 0-d tensor."""
    from flambeau.functional.conversion import clone

    return fill_(clone(input), value)


def zero_(input: Tensor) -> Tensor:
    """Overwrites this tensor with zeros."""
    try:
        in_place(ZERO, _once(input))
        return input
    except Exception:
        refuse_misgiven()
        raise


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Overwrites the main diagonal with a number; `wrap` starts again below in tall matrices."""
    shape = tuple(self._meta.shape)
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) != 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step = sum(self._meta.strides)
    size = min(shape)
    start = self.storage_offset()
    fill_(parts.as_strided(self, (size,), (step,), start), fill_value)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:
        rows, columns = self._meta.strides
        for row in range(shape[1] + 1, shape[0], shape[1] + 1):
            count = min(shape[1], shape[0] - row)
            fill_(
                parts.as_strided(self, (count,), (rows + columns,), start + row * rows), fill_value
            )
    return self


# ---- the tensor itself ---------------------------------------------------------------------------


def become(self: Tensor, other: Tensor) -> Tensor:
    """Gives this tensor object the place of `other`, which nobody else holds."""
    rec = LOCAL.rec
    if rec.taken:  # by another thread
        recorder.flush()
        rec = LOCAL.rec
    if other._storage is None or other._rec is rec:
        old, number = self._num, other._num
        if self._rec is rec:
            rec.handles[old] = other
        rec.handles[number] = self
        self._num, self._rec = number, other._rec
        if other._storage is None and self._storage is not None:
            self._storage = None
        other._num, other._rec = old, rec
    else:
        self._rec, self._num = None, -1
    self._meta, self._storage, self._offset = other._meta, other._storage, other._offset
    self._family, self._origin = other._family, other._origin
    return self


def _reshaped_in_place(self: Tensor, function: Callable[..., Tensor], *args: Any) -> Tensor:
    if self._meta.requires_grad and self._meta.is_leaf and LOCAL.grad_mode:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    return become(self, function(self, *args))


def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """unsqueeze of the tensor itself."""
    return _reshaped_in_place(self, views.unsqueeze, dim)


def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """squeeze of the tensor itself."""
    return _reshaped_in_place(self, views.squeeze, dim)


def t_(self: Tensor) -> Tensor:
    """t of the tensor itself."""
    return _reshaped_in_place(self, axis_order.t)


def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """transpose of the tensor itself."""
    return _reshaped_in_place(self, axis_order.transpose, dim0, dim1)


def as_strided_(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """as_strided of the tensor itself."""
    return _reshaped_in_place(input, parts.as_strided, size, stride, storage_offset)


def set_data(tensor: Tensor, value: Any) -> None:
    """tensor.data = value: the same object over the value's storage; grad and hooks stay."""
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if tensor._meta.requires_grad and not (value.dtype.is_floating_point or value.dtype.is_complex):
        raise RuntimeError(
            "data set to a tensor that requires gradients must be floating point or complex dtype"
        )
    if _is_own_data(tensor, value):
        return  # `x.data += 1` ends with x.data = x.data
    meta = tensor._meta
    if _follow(tensor, value):
        return
    # Pending programs still know the tensor by its old place: they run before it gets the new one.
    tensor._settled()
    value._settled()
    if tensor._rec is LOCAL.rec or value._rec is LOCAL.rec:
        recorder.flush()
    new, offset = value._meta, value._offset
    tensor._storage, tensor._offset = value._storage, offset
    tensor._rec, tensor._num = None, -1
    tensor._meta = meta_of(
        new.dtype,
        tuple(new.shape),
        tuple(new.strides),
        0,
        meta.requires_grad,
        meta.is_leaf,
        meta.grad_name,
    )


def _is_own_data(tensor: Tensor, value: Tensor) -> bool:
    """Whether `value` is what `tensor.data` has given, and the tensor is still where it was."""
    known = value._data_of
    if known is None or known[0]() is not tensor or known[3] is not tensor._storage:
        return False
    if tensor._storage is None and (known[1] is not tensor._rec or known[2] != tensor._num):
        return False
    old, new = tensor._meta, value._meta
    return (old.dtype, old.shape, old.strides) == (new.dtype, new.shape, new.strides)


def _follow(tensor: Tensor, value: Tensor) -> bool:
    """Makes a leaf the tensor of a pending value, without running it; whether it could.

    The leaf takes the place of an alias of the value, in the recording that makes that. What was
    recorded of it before goes on to refer to its old memory.
    """
    rec = LOCAL.rec
    meta = tensor._meta
    plain = meta.is_leaf and meta.born is None and tensor._family is None
    if not plain or value._rec is not rec or value._storage is not None:
        return False
    if tensor._storage is None or tensor._rec is rec or LOCAL.capture is not None:
        return False
    if tensor._storage.exposed or (tensor._storage.recording or rec) is not rec:
        return False
    made = recorder.detach(value).requires_grad_(meta.requires_grad)
    if made._rec is not rec or made._storage is not None or LOCAL.rec is not rec or rec.taken:
        return False
    rec.handles[made._num] = tensor
    tensor._meta, tensor._rec, tensor._num = made._meta, rec, made._num
    tensor._storage, tensor._offset = None, 0
    tensor._origin = None
    return True


def set_(
    self: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Any = None,
    stride: Any = None,
) -> Tensor:
    """Makes this tensor share a tensor's storage and layout, or show a storage by a layout; with
    no source it becomes empty.
    """
    from flambeau.functional.memory import over_storage

    if not isinstance(source, Tensor):
        source = over_storage(self.dtype, source, storage_offset, size, stride)
    elif size is not None:
        source = parts.as_strided(source, size, stride or contiguous_strides(size), storage_offset)
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "Could not set tensor of type "
            f"{source.dtype.scalar_name.lower()} to a tensor of type "
            f"{self.dtype.scalar_name.lower()}"
        )
    set_data(self, source)
    return self


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchanges what two tensor objects are; each keeps its identity."""
    t1._settled()
    t2._settled()
    recorder.flush()
    for name in ("_meta", "_rec", "_num"):
        first, second = getattr(t1, name), getattr(t2, name)
        setattr(t1, name, second)
        setattr(t2, name, first)
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__


def resize_(self: Tensor, *sizes: Any, memory_format: Any = contiguous_format) -> Tensor:
    """Another shape over the same storage, which grows where it must (new elements not set)."""
    shape = integers(sizes, "resize_")
    if any(n < 0 for n in shape):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {next(n for n in shape if n < 0)}: "
            f"{list(shape)}"
        )
    if self._meta.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if shape == tuple(self._meta.shape) and memory_format in (contiguous_format, preserve_format):
        return self
    storage = self._settled()
    recorder.flush()
    strides = format_strides(shape, memory_format)
    meta = meta_of(self.dtype, shape, strides)
    needed = (self._offset + storage_extent(shape, meta.strides)) * self.dtype.itemsize
    if needed > storage.nbytes:
        if storage.exposed and storage.still_exposed():
            raise RuntimeError("Trying to resize storage that is not resizable")
        grown = allocate(needed)
        np.asarray(grown)[: storage.nbytes] = np.asarray(storage.buffer)[: storage.nbytes]
        storage.buffer = grown
        CHANGES.count += 1  # addresses that are known are not right any more
    self._meta, self._rec, self._num = meta, None, -1
    return self


def resize_as_(
    input: Tensor, the_template: Tensor, *, memory_format: Any = contiguous_format
) -> Tensor:
    """resize_ to another tensor's shape."""
    try:
        return resize_(input, tuple(the_template._meta.shape), memory_format=memory_format)
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {
    "copy_": copy_,
    "fill_": fill_,
    "zero_": zero_,
    "fill_diagonal_": fill_diagonal_,
    "unsqueeze_": unsqueeze_,
    "squeeze_": squeeze_,
    "t_": t_,
    "transpose_": transpose_,
    "swapaxes_": other_names(axis0="dim0", axis1="dim1")(transpose_),
    "swapdims_": transpose_,
    "as_strided_": as_strided_,
    "set_": set_,
    "resize_": resize_,
    "resize_as_": resize_as_,
}
__all__ = ["fill", "fill_", "resize_as_", "zero_"]
