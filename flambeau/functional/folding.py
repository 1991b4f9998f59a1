"""What reductions, scans and sorts share: their arguments, named results, picking along an axis."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, cast

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.errors import not_a_tensor
from flambeau.core.shapes import contiguous_strides, wrap_axes
from flambeau.functional.options import checked_dtype
from flambeau.functional.pointwise import write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import indexed, source, view
from flambeau.ops import reduction as red
from flambeau.ops.value import Value
from flambeau.tensor.tensor import Tensor

Dims = tuple[int, ...] | None
HALVES = (dtypes.float16, dtypes.bfloat16)


# ---- arguments and results -----------------------------------------------------------------------


class NamedResult(tuple[Any, ...]):
    """Several results with names, printed as `torch.return_types.<kind>(...)`."""

    __slots__ = ()
    kind = ""
    fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        parts = ",\n".join(f"{n}={v!r}" for n, v in zip(self.fields, self, strict=True))
        return f"torch.return_types.{self.kind}(\n{parts})"

    def __reduce__(self) -> Any:
        return _rebuilt, (self.kind, tuple(self))


RETURN_TYPES: dict[str, type[NamedResult]] = {}


def _rebuilt(kind: str, values: tuple[Any, ...]) -> NamedResult:
    return RETURN_TYPES[kind](values)


def result_type(kind: str, *fields: str) -> type[NamedResult]:
    """The result class of an op, with a property per field."""
    members: dict[str, Any] = {"__slots__": (), "kind": kind, "fields": fields}
    for place, field in enumerate(fields):
        members[field] = property(functools.partial(_item, place))
    made = cast(type[NamedResult], type(kind, (NamedResult,), members))
    RETURN_TYPES[kind] = made
    return made


def _item(place: int, result: tuple[Any, ...]) -> Any:
    return result[place]


def checked(name: str, input: Any, argument: str = "input", position: int = 1) -> Tensor:
    """The argument if it is a tensor; TypeError in PyTorch's words if not."""
    if isinstance(input, Tensor):
        return input
    raise not_a_tensor(name, argument, position, input)


def dims_of(name: str, dim: Any) -> Dims:
    """`dim` as a static attribute: None or a tuple of ints."""
    if dim is None:
        return None
    try:
        return (
            (dim.__index__(),) if hasattr(dim, "__index__") else tuple(d.__index__() for d in dim)
        )
    except (TypeError, AttributeError):
        raise TypeError(
            f"{name}(): argument 'dim' must be tuple of ints, not {type(dim).__name__}"
        ) from None


def dim_of(name: str, dim: Any) -> int:
    """A single axis as a static attribute."""
    if dim.__class__ is int:
        return dim
    try:
        return int(dim.__index__())
    except AttributeError:
        raise TypeError(f"{name}(): argument 'dim' must be int, not {type(dim).__name__}") from None


def dtype_of(dtype: Any, out: Any = None) -> DType | None:
    """The dtype asked for, or that of `out`, in which PyTorch then folds; else None."""
    if dtype is None:
        return None if out is None else out.dtype
    return checked_dtype(dtype)


def write_outs(
    results: Sequence[Tensor], out: Any, apart: Tensor | None = None, beside: tuple[Any, ...] = ()
) -> list[Tensor]:
    """Delivers several results to `out=` (as many tensors, none in the memory of `apart`, or partly
    in that of those `beside`).
    """
    if out is None:
        return list(results)
    if apart is not None:
        from flambeau.functional.gathering import refuse_shared

        for target in out:
            refuse_shared(target, apart)
    if len(out) != len(results):
        raise TypeError(f"argument 'out' must be tuple of {len(results)} Tensors, not {len(out)}")
    return [write_out(r, o, beside=beside) for r, o in zip(results, out, strict=True)]


# ---- on values -----------------------------------------------------------------------------------


def folded(primitive: Any, x: Value, axes: tuple[int, ...], keepdim: bool) -> Value:
    """A reduction over `axes`, its axes kept as 1 if asked."""
    if not axes:
        return x
    result = cast(Value, primitive(x, axes=axes))
    return view.reshape(result, shape=red.kept(x, axes)) if keepdim else result


def extent(x: Value, axes: tuple[int, ...]) -> int:
    """How many elements are folded into one."""
    return math.prod(x.shape[a] for a in axes)


def wide(x: Value) -> Value:
    """Half precision as float32, in which it is accumulated."""
    return ar.cast(x, dtypes.float32) if x.dtype in HALVES else x


def take_along(x: Value, index: Value, axis: int, what: str = "index") -> Value:
    """x at `index` (of equal extents but for `axis`) along `axis`; `what` as for `indexed.take`."""
    if not x.shape:
        return ar.expand(x, index.shape)
    strides = contiguous_strides(x.shape)
    places = ar.mul(index, strides[axis]) if strides[axis] != 1 else index
    for a, n in enumerate(x.shape):
        if a != axis and n > 1:
            shape = tuple(n if b == a else 1 for b in range(x.ndim))
            counter = view.reshape(source.iota(size=n), shape=shape)
            places = ar.add(places, ar.mul(counter, strides[a]) if strides[a] != 1 else counter)
    flat = view.reshape(x, shape=(x.size,))
    return indexed.take(flat, ar.expand(places, index.shape), what=what)


def picked(x: Value, index: Value, axis: int, keepdim: bool) -> tuple[Value, Value]:
    """The elements at one index per row along `axis`, and the indices."""
    kept = red.kept(x, (axis,))
    values = take_along(x, view.reshape(index, shape=kept), axis) if x.shape else x
    if keepdim:
        return values, view.reshape(index, shape=kept)
    return view.reshape(values, shape=index.shape), index


def shared_by_equals(value: Value, x: Value) -> Value:
    """A value chosen among all elements of x, whose gradient goes to those equal to it (those that
    are NaN, where it is) in equal shares, and to no other, not even a NaN.
    """
    flat = view.reshape(x, shape=(x.size,))
    row = view.reshape(value, shape=(1,))
    same = ar.logical_or(ar.eq(flat, row), ar.logical_and(el.ne(flat, flat), ar.ne(row, row)))
    shares = ar.div(flat, red.sum_(ar.cast(same, x.dtype), axes=(0,)))
    total = red.sum_(ar.where(same, shares, ar.zeros_like(shares)), axes=(0,))
    return source.relink(value, view.reshape(total, shape=value.shape))


def is_nan(x: Value) -> Value | None:
    """Where x is NaN; None for dtypes that have none."""
    return el.ne(x, x) if x.dtype.kind in "fc" else None


def safe_root(x: Value) -> Value:
    """sqrt whose gradient at 0 is 0."""
    if not x.tracked:
        return el.sqrt(x)
    zero = el.eq(x, ar.zeros_like(x))
    return el.where(zero, ar.zeros_like(x), el.sqrt(el.where(zero, ar.full_like(x, 1), x)))


def part(x: Value, axis: int, start: int, stop: int) -> Value:
    starts = tuple(start if a == axis else 0 for a in range(x.ndim))
    sizes = tuple(stop - start if a == axis else n for a, n in enumerate(x.shape))
    return view.slice_(x, starts=starts, sizes=sizes, steps=(1,) * x.ndim)


def without(x: Value, axis: int) -> Value:
    """x without an axis of extent 1."""
    return view.reshape(x, shape=x.shape[:axis] + x.shape[axis + 1 :])


def refuse_empty(name: str, x: Value, dims: Dims) -> None:
    """PyTorch's errors where there is no element to choose."""
    if x.dtype.is_complex:
        raise NotImplementedError(f"\"{name}\" not implemented for '{x.dtype.scalar_name}'")
    if x.size:
        return
    if dims is None:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify "
            "the reduction "
            "dim with the 'dim' argument."
        )
    for axis in wrap_axes(dims, x.ndim):
        if not x.shape[axis]:
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
