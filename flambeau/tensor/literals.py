"""Arrays from what users write down: numbers, nested sequences, NumPy arrays, lists of tensors.

The bulk is handled a level at a time by C loops (`chain`, `map`, `array`), so a list of a million
floats costs no Python statement per element; element-wise code runs for unusual types and to word
errors. The standard library's `array` converts by the same C calls as PyTorch, hence with the same
errors for each element.
"""

from __future__ import annotations

from array import array as pack
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType, bfloat16_from_float32
from flambeau.core.promotion import number_dtype, promote_types
from flambeau.ops import elementwise
from flambeau.record.meta import Meta, plain_meta

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_MAX_RANK = 128
_TEXT = (str, bytes)
_PLAIN = {bool, int, float, complex}


def array_from_data(data: Any, dtype: DType | None = None) -> tuple[Array, DType]:
    """A fresh contiguous array, in storage form, of what `torch.tensor(data, dtype=dtype)` holds.

    Without `dtype`: Python ints are int64, floats the default dtype; NumPy arrays, NumPy scalars
    and tensors keep their own; mixtures are promoted. ValueError for ragged sequences, TypeError
    for elements of the wrong kind, RuntimeError for types that have no dtype and for values out of
    range.
    """
    kind = type(data)
    if kind in _PLAIN:
        dtype = number_dtype(kind) if dtype is None else dtype
        return _convert([data], dtype).reshape(()), dtype
    if kind is list and data:
        kinds = set(map(type, data))
        if len(kinds) == 1 and kinds <= _PLAIN:
            dtype = number_dtype(kinds.pop()) if dtype is None else dtype
            return _convert(data, dtype), dtype
    if isinstance(data, np.ndarray):
        return _from_array(data, dtype)
    if isinstance(data, np.generic) and dtype is None:
        return _from_array(np.asarray(data), None)
    stacked = _stack(data)
    if stacked is not None:
        return _from_array(stacked, dtype)
    if is_tensor(data):
        dtype = data.dtype if dtype is None else dtype
        data = data.tolist()
    sizes = _sizes(data)
    try:
        leaves = _leaves(data, sizes)
    except (TypeError, ValueError):
        # PyTorch looks for the dtype first, and then goes through the elements in reading order.
        if dtype is None:
            _infer(data)
        _raise_first_misfit(data, sizes, 0)
        raise
    if dtype is None:
        dtype = _infer_many(leaves) if leaves else _infer(data)
    return _convert(leaves, dtype).reshape(sizes), dtype


_CODES = {dtypes.float32: "f", dtypes.float64: "d", dtypes.int64: "q"}
_FLOATS, _INTEGERS, _NUMBERS = {float}, {int}, {float, int}


def packed(data: Any, dtype: Any = None) -> tuple[Any, Meta] | None:
    """The common case of `array_from_data`: Python floats or ints, alone, in a list, or in lists of
    one length, as an array of the standard library, and the meta of what holds it. None for
    anything else.
    """
    kind = type(data)
    shape: tuple[int, ...] = ()
    leaves: Any
    if kind is float or kind is int:
        leaves, kinds = (data,), {kind}
    elif kind is list and data:
        leaves, kinds, shape = data, set(map(type, data)), (len(data),)
        if len(kinds) == 1 and list in kinds:
            leaves = list(chain.from_iterable(data))
            lengths = set(map(len, data))
            if len(lengths) != 1 or not leaves:
                return None
            kinds, shape = set(map(type, leaves)), (len(data), *lengths)
    else:
        return None
    if kinds == _INTEGERS:
        own = dtypes.int64 if dtype is None else dtype
    elif kinds in (_FLOATS, _NUMBERS):
        own = dtypes.get_default_dtype() if dtype is None else dtype
        if own is dtypes.int64:
            return None
    else:
        return None
    code = _CODES.get(own)
    if code is None:
        return None
    try:
        return pack(code, leaves), plain_meta(own, shape)
    except OverflowError:
        return None


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor of ours, by its dtype: this module cannot import Tensor."""
    return isinstance(getattr(value, "dtype", None), DType)


def _from_array(data: Array, dtype: DType | None) -> tuple[Array, DType]:
    own = dtypes.from_numpy(data.dtype)
    if min(data.strides, default=0) < 0:
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    if dtype is None or dtype is own:
        return np.array(data, order="C"), own
    return _cast(data, dtype), dtype


def _cast(data: Array, dtype: DType) -> Array:
    with np.errstate(all="ignore"):
        if dtype is dtypes.bfloat16 and data.dtype.kind == "c":
            data = data.real
        cast: Array = np.asarray(elementwise.cast.reference(data, dtype=dtype))
        if dtype is dtypes.bfloat16:
            return bfloat16_from_float32(cast)
    return np.array(cast, dtype.numpy, order="C")


def _stack(data: Any) -> Array | None:
    """A list of NumPy arrays of one shape as one array, in their promoted dtype; else None."""
    if type(data) not in (list, tuple) or not data or set(map(type, data)) != {np.ndarray}:
        return None
    shape = data[0].shape
    if not shape or any(part.shape != shape for part in data):
        return None
    if any(not part.dtype.isnative for part in data):
        return None
    kinds = {dtypes.from_numpy(part.dtype) for part in data}
    return np.stack(data).astype(reduce(promote_types, kinds).numpy, copy=False)


def _is_sequence(value: Any) -> bool:
    kind = type(value)
    if kind is list or kind is tuple:
        return True
    if kind is float or kind is int:
        return False
    if isinstance(value, (*_TEXT, dict, np.generic)) or is_tensor(value):
        return False
    return hasattr(kind, "__getitem__")


def _sizes(data: Any) -> list[int]:
    """The shape, as the first elements show it."""
    sizes: list[int] = []
    while _is_sequence(data):
        sizes.append(len(data))
        if len(sizes) > _MAX_RANK:
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        if not sizes[-1]:
            break
        data = data[0]
    if sizes and isinstance(data, str):
        raise ValueError("too many dimensions 'str'")
    return sizes


def _leaves(data: Any, sizes: Sequence[int]) -> list[Any]:
    """The elements in reading order; TypeError or ValueError where `sizes` does not fit."""
    if 0 in sizes:
        # Where the first sequence is empty, PyTorch looks at no further one.
        sizes = sizes[: sizes.index(0)]
        _flatten(data, sizes)
        return []
    return _flatten(data, sizes)


def _flatten(data: Any, sizes: Sequence[int]) -> list[Any]:
    items = [data]
    for size in sizes:
        if not set(map(type, items)) <= {list, tuple} and not all(map(_is_sequence, items)):
            raise TypeError("not a sequence")
        if set(map(len, items)) != {size}:
            raise ValueError("ragged")
        items = list(chain.from_iterable(items))
    return items


def _raise_first_misfit(data: Any, sizes: Sequence[int], dim: int) -> None:
    if dim == len(sizes):
        return
    if not _is_sequence(data):
        raise TypeError("not a sequence")
    if len(data) != sizes[dim]:
        raise ValueError(f"expected sequence of length {sizes[dim]} at dim {dim} (got {len(data)})")
    for item in data:
        _raise_first_misfit(item, sizes, dim + 1)


def _infer(value: Any) -> DType:
    """The dtype of a number, the promoted one of a sequence; RuntimeError where there is none."""
    if is_tensor(value):
        own: DType = value.dtype
        return own
    if isinstance(value, (np.ndarray, np.generic)):
        return dtypes.from_numpy(value.dtype)
    if isinstance(value, (bool, int, float, complex)):
        return number_dtype(type(value))
    if isinstance(value, _TEXT):
        raise TypeError(f"new(): invalid data type '{type(value).__name__}'")
    if _is_sequence(value):
        return _infer_many(value) if len(value) else dtypes.get_default_dtype()
    raise RuntimeError(f"Could not infer dtype of {type(value).__name__}")


def _infer_many(values: Iterable[Any]) -> DType:
    if isinstance(values, list):
        kinds = set(map(type, values))
        if kinds <= _PLAIN:
            return reduce(promote_types, map(number_dtype, kinds))
    return reduce(promote_types, map(_infer, values))


def _convert(leaves: list[Any], dtype: DType) -> Array:
    """A flat array in storage form; Python's conversions, where NumPy would read text or wrap."""
    if dtype.kind == "f":
        values = np.array(pack("d", leaves), np.float64)
        with np.errstate(over="ignore"):
            if dtype is dtypes.float64:
                return values
            # float16 and bfloat16 are rounded from float32, as PyTorch does.
            single = values.astype(np.float32)
            if dtype is dtypes.bfloat16:
                return bfloat16_from_float32(single)
            return single.astype(dtype.numpy, copy=False)
    if dtype.kind == "i":
        return _integers(leaves, dtype)
    if dtype.kind == "b":
        plain = set(map(type, leaves)) <= _PLAIN
        return np.array(list(map(bool if plain else _truth, leaves)), np.bool_)
    with np.errstate(over="ignore"):
        return np.array(list(map(_complex, leaves)), np.complex128).astype(dtype.numpy)


def _integers(leaves: list[Any], dtype: DType) -> Array:
    kinds = set(map(type, leaves))
    if dtype is dtypes.uint64:
        if any(issubclass(kind, float) for kind in kinds):
            raise TypeError("an integer is required")
        return np.array(pack("Q", leaves), np.uint64)
    if kinds == {float}:
        return _truncated(np.array(leaves, np.float64), dtype)
    if any(issubclass(kind, float) for kind in kinds):
        leaves = [
            int(_truncated(np.float64(v), dtype)) if isinstance(v, float) else v for v in leaves
        ]
    try:
        values = np.array(pack("q", leaves), np.int64)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    if dtype is dtypes.int64:
        return values
    limits = dtypes.iinfo(dtype)
    # Unsigned types take the negatives of what they hold, and wrap them.
    low = limits.min if dtype.is_signed else -limits.max
    if values.size and (values.min() < low or values.max() > limits.max):
        raise _overflow(dtype)
    return values.astype(dtype.numpy)


def _truncated(values: Any, dtype: DType) -> Array:
    """Floats as integers, towards zero; RuntimeError beyond the range and for NaN."""
    limits = dtypes.iinfo(dtype)
    # 2**63 is a float64, 2**63 - 1 is not: the bound itself is out of range for int64.
    below = values < float(limits.max) if limits.bits == 64 else values <= float(limits.max)
    if not np.all(below & (values >= float(limits.min))):
        raise _overflow(dtype)
    return np.asarray(values).astype(dtype.numpy)


def _overflow(dtype: DType) -> RuntimeError:
    return RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")


def _truth(value: Any) -> bool:
    if isinstance(value, (bool, int, float, complex, np.generic)) or is_tensor(value):
        return bool(value)
    return bool(pack("q", [value])[0])


def _complex(value: Any) -> complex:
    if isinstance(value, _TEXT):
        raise TypeError(f"must be real number, not {type(value).__name__}")
    return complex(value)
