"""Making tensors: from data, filled, counted, and like others."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.errors import not_a_tensor
from flambeau.core.layout import (
    format_strides,
    preserve_format,
)
from flambeau.core.shapes import Shape, contiguous_strides, dense_strides_like
from flambeau.functional.constants import (
    SMALL,
    MakeOp,
    constant,
)
from flambeau.functional.conversion import METHODS as CONVERSIONS
from flambeau.functional.conversion import clone, to_dtype
from flambeau.functional.options import (
    checked_dtype,
    checked_options,
    finish,
    given_size,
    refuse_overflow,
    shape_of,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source, view
from flambeau.ops.value import Value
from flambeau.record.entering import PLAIN
from flambeau.record.meta import Meta, meta_of, plain_meta
from flambeau.record.options import OPTIONS
from flambeau.record.recording import LOCAL
from flambeau.record.storage import Storage as MemoryStorage
from flambeau.record.storage import (
    allocate,
    storage_over_array,
)
from flambeau.tensor.literals import array_from_data, packed
from flambeau.tensor.making import fresh, over
from flambeau.tensor.recording import detach, record
from flambeau.tensor.tensor import Tensor, from_fresh, from_storage


def _arange(start: Value, step: Value, count: int, dtype: DType) -> Value:
    if dtype.is_floating_point:
        wide = dtypes.float64
        value = ar.add(
            ar.as_value(start, wide),
            ar.mul(ar.as_value(step, wide), ar.cast(source.iota(size=count), wide)),
        )
        return ar.cast(value, dtype)
    value = ar.add(
        ar.as_value(start, dtypes.int64),
        ar.mul(ar.as_value(step, dtypes.int64), source.iota(size=count)),
    )
    return ar.cast(value, dtype)


def _linspace(start: Value, end: Value, steps: int, dtype: DType) -> Value:
    """From both ends to the middle, as PyTorch rounds it."""
    work = dtype if dtype.is_floating_point else dtypes.float64
    if dtype.name in ("float16", "bfloat16"):
        work = dtypes.float32
    # (As tensors: between numbers alone the default dtype would round.)
    low, high = (ar.expand(ar.as_value(v, work), (1,)) for v in (start, end))
    index = source.iota(size=steps)
    if steps == 1:
        return ar.cast(low, dtype)
    step = ar.div(ar.sub(high, low), float(steps - 1))
    # Of float32, product and sum are rounded once (PyTorch has an instruction for that).
    wide = dtypes.float64 if dtype is dtypes.float32 else work
    low, high, step = (ar.cast(v, wide) for v in (low, high, step))
    forward = ar.add(low, ar.mul(step, ar.cast(index, wide)))
    backward = ar.sub(high, ar.mul(step, ar.cast(ar.sub(steps - 1, index), wide)))
    made = ar.cast(el.where(ar.lt(index, steps // 2), forward, backward), work)
    return ar.cast(made, dtype)


def _eye(rows: int, columns: int, dtype: DType) -> Value:
    row = view.reshape(source.iota(size=rows), shape=(rows, 1))
    return ar.cast(ar.eq(row, source.iota(size=columns)), dtype)


ARANGE = MakeOp("arange", _arange)
LINSPACE = MakeOp("linspace", _linspace)
LOGSPACE = MakeOp(
    "logspace",
    lambda start, end, steps, base, dtype: ar.cast(
        ar.apply(el.pow_, (base, _linspace(start, end, steps, dtypes.float64)), dtypes.float64),
        dtype,
    ),
)
EYE = MakeOp("eye", _eye)


# ---- filled --------------------------------------------------------------------------------------


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


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """start, start + step, ... below end."""
    if device is not None or layout is not None:
        checked_options(device, layout, pin_memory)
    if end is None:
        start, end = 0, start
    whole = type(start) is type(end) is type(step) is int
    if not whole:
        start, end, step = (v.item() if hasattr(v, "item") else v for v in (start, end, step))
        for bound in (start, end):
            if bound - bound != 0:
                raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        floats = not whole and any(isinstance(v, float) for v in (start, end, step))
        kind = dtypes.get_default_dtype() if floats else dtypes.int64
    else:
        kind = checked_dtype(dtype)
    if not whole and (kind if out is None else out.dtype) is dtypes.int64:
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
    count = max(0, math.ceil((end - start) / step))
    if not whole and not kind.is_floating_point:
        start, step = int(start), int(step)
    made = record(ARANGE, (start, step), (count, kind, None))
    return finish(made, requires_grad, out) if requires_grad or out is not None else made


def range_(
    start: Any,
    end: Any,
    step: Any = 1,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """arange that includes its end (deprecated in PyTorch)."""
    import warnings

    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior "
        "is inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
        stacklevel=2,
    )
    checked_options(device, layout, pin_memory)
    kind = checked_dtype(dtype)
    count = math.floor((end - start) / step) + 1
    return finish(record(ARANGE, (start, step), (count, kind, None)), requires_grad, out)


def _steps(name: str, start: Any, end: Any, steps: Any) -> int:
    """The number of steps, with the errors of linspace and logspace."""
    if isinstance(steps, float) or not hasattr(steps, "__index__"):
        kinds = ", ".join(type(v).__name__ for v in (start, end, steps))
        raise TypeError(f"{name}() received an invalid combination of arguments - got ({kinds})")
    ranks = [
        f"{which} with {bound.ndim} dimension(s)"
        for which, bound in (("start", start), ("end", end))
        if isinstance(bound, Tensor) and bound.ndim
    ]
    if ranks:
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got "
            f"{' and '.join(ranks)}."
        )
    if int(steps) < 0:
        raise RuntimeError("number of steps must be non-negative")
    return int(steps)


def _ends(start: Any, end: Any, kind: DType) -> tuple[float, float]:
    """The first and last value; those of integers are truncated before anything is computed."""
    if kind.kind == "i":
        start, end = int(start), int(end)
    return float(start), float(end)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`steps` evenly spaced values from start to end."""
    try:
        checked_options(device, layout, None)
        steps = _steps("linspace", start, end, steps)
        kind = checked_dtype(dtype)
        return finish(
            record(LINSPACE, _ends(start, end, kind), (steps, kind, None)), requires_grad, out
        )
    except Exception:
        refuse_misgiven()
        raise


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`steps` values base ** x for x evenly spaced from start to end."""
    try:
        checked_options(device, layout, None)
        steps = _steps("logspace", start, end, steps)
        kind = checked_dtype(dtype)
        attributes = (steps, float(base), kind, None)
        return finish(record(LOGSPACE, _ends(start, end, kind), attributes), requires_grad, out)
    except Exception:
        refuse_misgiven()
        raise


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    checked_options(device, layout, None)
    for name, extent in (("n", n), ("m", n if m is None else m)):
        if extent < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {extent}")
    return finish(
        record(EYE, (), (int(n), int(n if m is None else m), checked_dtype(dtype), None)),
        requires_grad,
        out,
    )


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Indices of the lower triangle, 2 x n."""
    checked_options(device, layout, pin_memory)
    return tensor(np.stack(np.tril_indices(row, offset, col)), dtype=dtype or dtypes.int64)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Indices of the upper triangle, 2 x n."""
    checked_options(device, layout, pin_memory)
    return tensor(np.stack(np.triu_indices(row, offset, col)), dtype=dtype or dtypes.int64)


# ---- from data -----------------------------------------------------------------------------------


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
    "arange", "as_tensor", "empty", "empty_like", "empty_strided", "eye", "from_dlpack",
    "from_numpy", "frombuffer", "full", "full_like", "linspace", "logspace", "ones", "ones_like",
    "tensor", "tril_indices", "triu_indices", "zeros", "zeros_like",
]  # fmt: skip
