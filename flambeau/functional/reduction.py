"""Reductions: sums, extrema, moments, norms and comparisons of whole tensors.

Everywhere `dim` is None (all axes), an axis or several, negative ones counted from the end; `keepdim` keeps the
folded axes with extent 1. float16 and bfloat16 are folded in float32.
"""

from __future__ import annotations

import builtins
import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import contiguous_strides, wrap_axes
from flambeau.functional.creation import checked_dtype
from flambeau.functional.pointwise import maximum, minimum, write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import indexed, source, view
from flambeau.ops import reduction as red
from flambeau.ops.value import Operand, Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import record, record_many, unary
from flambeau.tensor.tensor import Tensor

Dims = tuple[int, ...] | None
F = TypeVar("F", bound=Callable[..., Any])
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


_NUMPY_NAMES = {
    "axis": "dim",
    "keepdims": "keepdim",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
}


def numpy_names(function: F) -> F:
    """Accepts NumPy's keyword names (`axis`, `keepdims`, `x`, ..) for PyTorch's, as PyTorch does."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for name in [n for n in kwargs if n in _NUMPY_NAMES]:
                kwargs.setdefault(_NUMPY_NAMES[name], kwargs.pop(name))
        return function(*args, **kwargs)

    return cast(F, call)


def checked(name: str, input: Any, argument: str = "input", position: int = 1) -> Tensor:
    """The argument if it is a tensor; TypeError in PyTorch's words if not."""
    if isinstance(input, Tensor):
        return input
    raise TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(input).__name__}"
    )


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
    try:
        return int(dim.__index__())
    except AttributeError:
        raise TypeError(f"{name}(): argument 'dim' must be int, not {type(dim).__name__}") from None


def dtype_of(dtype: Any) -> DType | None:
    return None if dtype is None else checked_dtype(dtype)


def write_outs(results: Sequence[Tensor], out: Any) -> list[Tensor]:
    """Delivers several results to `out=` (a tuple of as many tensors)."""
    if out is None:
        return list(results)
    if len(out) != len(results):
        raise TypeError(f"argument 'out' must be tuple of {len(results)} Tensors, not {len(out)}")
    return [write_out(r, o) for r, o in zip(results, out, strict=True)]


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


def take_along(x: Value, index: Value, axis: int) -> Value:
    """x at `index` along `axis` (equal extents on the other axes); indices are known to be in range."""
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
    return indexed.take(flat, ar.expand(places, index.shape), what="index")


def picked(x: Value, index: Value, axis: int, keepdim: bool) -> tuple[Value, Value]:
    """The elements at one index per row along `axis`, and the indices."""
    kept = red.kept(x, (axis,))
    values = take_along(x, view.reshape(index, shape=kept), axis) if x.shape else x
    if keepdim:
        return values, view.reshape(index, shape=kept)
    return view.reshape(values, shape=index.shape), index


def is_nan(x: Value) -> Value | None:
    """Where x is NaN; None for dtypes that have none."""
    return el.ne(x, x) if x.dtype.kind in "fc" else None


def safe_root(x: Value) -> Value:
    """sqrt whose gradient at 0 is 0."""
    if not x.tracked:
        return el.sqrt(x)
    zero = el.eq(x, ar.zeros_like(x))
    return el.where(zero, ar.zeros_like(x), el.sqrt(el.where(zero, ar.full_like(x, 1), x)))


# ---- sums and products ---------------------------------------------------------------------------


def _accumulator(x: Value, dtype: DType | None) -> Value:
    """x in the dtype that a sum has: integers and bool become int64."""
    if dtype is None:
        dtype = x.dtype if x.dtype.kind in "fc" else dtypes.int64
    return ar.cast(x, dtype)


def _sum(x: Value, dims: Dims = None, keepdim: bool = False, dtype: DType | None = None) -> Value:
    return folded(red.sum_, _accumulator(x, dtype), wrap_axes(dims, x.ndim), keepdim)


def _prod(x: Value, dims: Dims = None, keepdim: bool = False, dtype: DType | None = None) -> Value:
    return folded(red.prod, _accumulator(x, dtype), wrap_axes(dims, x.ndim), keepdim)


def _nansum(x: Value, dims: Dims, keepdim: bool, dtype: DType | None) -> Value:
    if x.dtype.is_complex:
        raise RuntimeError("nansum does not support complex inputs")
    nan = is_nan(x)
    if nan is not None:
        x = el.where(nan, ar.zeros_like(x), x)
    return _sum(x, dims, keepdim, dtype)


def _mean(x: Value, dims: Dims = None, keepdim: bool = False, dtype: DType | None = None) -> Value:
    if dtype is None and x.dtype.kind not in "fc":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex "
            f"dtype. Got: {x.dtype.scalar_name}"
        )
    if dtype is not None and dtype.kind not in "fc":
        raise RuntimeError(
            "mean(): could not infer output dtype. Optional dtype must be either a floating point or "
            f"complex dtype. Got: {dtype.scalar_name}"
        )
    dtype = dtype or x.dtype
    axes = wrap_axes(dims, x.ndim)
    total = folded(red.sum_, wide(ar.cast(x, dtype)), axes, keepdim)
    return ar.cast(ar.div(total, float(extent(x, axes))), dtype)


def _nanmean(x: Value, dims: Dims, keepdim: bool, dtype: DType | None) -> Value:
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {x.dtype.scalar_name}"
        )
    axes = wrap_axes(dims, x.ndim)
    known = folded(red.sum_, ar.cast(el.eq(x, x), dtypes.int64), axes, keepdim)
    total = _nansum(x, dims, keepdim, dtype)
    return ar.cast(ar.div(total, ar.cast(known, wide(total).dtype)), total.dtype)


def _count_nonzero(x: Value, dims: Dims) -> Value:
    nonzero = ar.cast(ar.to_bool(x), dtypes.int64)
    return folded(red.sum_, nonzero, wrap_axes(dims, x.ndim), False)


SUM, SUM_DIM = PureOp("sum", _sum, "SumBackward0"), PureOp("sum", _sum, "SumBackward1")
PROD, PROD_DIM = PureOp("prod", _prod, "ProdBackward0"), PureOp("prod", _prod, "ProdBackward1")
MEAN, MEAN_DIM = PureOp("mean", _mean, "MeanBackward0"), PureOp("mean", _mean, "MeanBackward1")
NANSUM = PureOp("nansum", _nansum)
NANMEAN = PureOp("nanmean", _nanmean, "DivBackward0")
COUNT_NONZERO = PureOp("count_nonzero", _count_nonzero)


@numpy_names
def sum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The sum over `dim`; integers and bool give int64."""
    if dim is None and not keepdim and dtype is None:
        return write_out(unary(SUM, checked("sum", input)), out)
    attributes = (dims_of("sum", dim), bool(keepdim), dtype_of(dtype))
    return write_out(unary(SUM if dim is None else SUM_DIM, checked("sum", input), attributes), out)


@numpy_names
def mean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The mean over `dim`; RuntimeError for integers without a dtype."""
    if dim is None and not keepdim and dtype is None:
        return write_out(unary(MEAN, checked("mean", input)), out)
    attributes = (dims_of("mean", dim), bool(keepdim), dtype_of(dtype))
    return write_out(
        unary(MEAN if dim is None else MEAN_DIM, checked("mean", input), attributes), out
    )


@numpy_names
def prod(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The product over one axis or all; integers and bool give int64."""
    dims = None if dim is None else (dim_of("prod", dim),)
    attributes = (dims, bool(keepdim), dtype_of(dtype))
    return write_out(
        unary(PROD if dim is None else PROD_DIM, checked("prod", input), attributes), out
    )


@numpy_names
def nansum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The sum over `dim` with NaN taken as 0."""
    attributes = (dims_of("nansum", dim), bool(keepdim), dtype_of(dtype))
    return write_out(unary(NANSUM, checked("nansum", input), attributes), out)


@numpy_names
def nanmean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The mean over `dim` of the elements that are not NaN."""
    attributes = (dims_of("nanmean", dim), bool(keepdim), dtype_of(dtype))
    return write_out(unary(NANMEAN, checked("nanmean", input), attributes), out)


@numpy_names
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements along `dim` are not zero, as int64."""
    return cast(
        Tensor,
        unary(COUNT_NONZERO, checked("count_nonzero", input), (dims_of("count_nonzero", dim),)),
    )


# ---- extrema -------------------------------------------------------------------------------------


def refuse_empty(name: str, x: Value, dims: Dims) -> None:
    """PyTorch's errors where there is no element to choose."""
    if x.dtype.is_complex:
        raise NotImplementedError(f"\"{name}\" not implemented for '{x.dtype.scalar_name}'")
    if x.size:
        return
    if dims is None:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
            "dim with the 'dim' argument."
        )
    for axis in wrap_axes(dims, x.ndim):
        if not x.shape[axis]:
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")


def _extremum(x: Value, name: str, dims: Dims, keepdim: bool) -> Value:
    primitive = red.max_ if name.endswith("max") else red.min_
    refuse_empty(name, x, dims or None)
    return folded(primitive, x, wrap_axes(dims, x.ndim), keepdim)


def _extremum_along(x: Value, name: str, dims: Dims, keepdim: bool) -> tuple[Value, Value]:
    """Values and indices; the gradient goes to the index alone."""
    axes = wrap_axes(dims, x.ndim)
    refuse_empty(name, x, dims)
    if not axes:
        return x, ar.full((), 0, dtypes.int64)
    index = (red.argmax if name == "max" else red.argmin)(x, axes=axes)
    if x.tracked:
        return picked(x, index, axes[0], keepdim)
    values = folded(red.max_ if name == "max" else red.min_, x, axes, keepdim)
    return values, view.reshape(index, shape=values.shape)


def _arg_extremum(x: Value, name: str, dims: Dims, keepdim: bool) -> Value:
    if x.dtype.kind == "b":
        raise RuntimeError(f"{name}(): does not support bool input")
    shape = x.shape
    if dims is None:
        if not x.size:
            raise IndexError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
            )
        x = view.reshape(x, shape=(x.size,))
    elif x.shape:
        refuse_empty(name, x, dims)
    axes = wrap_axes(dims or (0,), x.ndim)
    if not axes:
        return ar.full((), 0, dtypes.int64)
    index = (red.argmax if name == "argmax" else red.argmin)(x, axes=axes)
    if not keepdim:
        return index
    return view.reshape(index, shape=(1,) * len(shape) if dims is None else red.kept(x, axes))


def _aminmax(x: Value, dims: Dims, keepdim: bool) -> tuple[Value, Value]:
    if not x.size and dims is None:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    refuse_empty("aminmax", x, dims)
    axes = wrap_axes(dims, x.ndim)
    return folded(red.min_, x, axes, keepdim), folded(red.max_, x, axes, keepdim)


def _truth(x: Value, name: str, dims: Dims, keepdim: bool) -> Value:
    axes = wrap_axes(dims, x.ndim)
    dtype = x.dtype if x.dtype is dtypes.uint8 else dtypes.bool_
    flags = ar.to_bool(x)
    if not extent(x, axes):
        shape = tuple(n for a, n in enumerate(x.shape) if a not in axes)
        return ar.full(red.kept(x, axes) if keepdim else shape, name == "all", dtype)
    return ar.cast(folded(red.min_ if name == "all" else red.max_, flags, axes, keepdim), dtype)


AMAX, AMIN = PureOp("amax", _extremum), PureOp("amin", _extremum)
MAX, MIN = PureOp("max", _extremum, "MaxBackward1"), PureOp("min", _extremum, "MinBackward1")
MAX_DIM, MIN_DIM = PureOp("max", _extremum_along), PureOp("min", _extremum_along)
ARGMAX, ARGMIN = PureOp("argmax", _arg_extremum), PureOp("argmin", _arg_extremum)
AMINMAX = PureOp("aminmax", _aminmax)
ALL, ANY = PureOp("all", _truth), PureOp("any", _truth)
MaxResult = result_type("max", "values", "indices")
MinResult = result_type("min", "values", "indices")
AminmaxResult = result_type("aminmax", "min", "max")


@numpy_names
def amax(
    input: Tensor, dim: Any = (), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The largest element over `dim`; ties share the gradient."""
    attributes = ("amax", dims_of("amax", dim), bool(keepdim))
    return write_out(unary(AMAX, checked("amax", input), attributes), out)


@numpy_names
def amin(
    input: Tensor, dim: Any = (), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The smallest element over `dim`; ties share the gradient."""
    attributes = ("amin", dims_of("amin", dim), bool(keepdim))
    return write_out(unary(AMIN, checked("amin", input), attributes), out)


def _max_or_min(name: str, input: Any, dim: Any, keepdim: bool, other: Any, out: Any) -> Any:
    largest = name == "max"
    if isinstance(dim, Tensor) or other is not None:
        pair = maximum if largest else minimum
        return pair(input, dim if other is None else other, out=out)
    checked(name, input)
    if dim is None:
        return write_out(unary(MAX if largest else MIN, input, (name, None, False)), out)
    attributes = (name, (dim_of(name, dim),), bool(keepdim))
    results = record_many(MAX_DIM if largest else MIN_DIM, (input,), attributes)
    return (MaxResult if largest else MinResult)(write_outs(results, out))


@numpy_names
def max(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None
) -> Any:
    """The largest element; with a dim (values, indices); with a second tensor the larger of each pair."""
    return _max_or_min("max", input, dim, keepdim, other, out)


@numpy_names
def min(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None
) -> Any:
    """The smallest element; with a dim (values, indices); with a second tensor the smaller of each pair."""
    return _max_or_min("min", input, dim, keepdim, other, out)


@numpy_names
def argmax(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The index of the largest element (of the flattened tensor without a dim), as int64."""
    dims = None if dim is None else (dim_of("argmax", dim),)
    return write_out(unary(ARGMAX, checked("argmax", input), ("argmax", dims, bool(keepdim))), out)


@numpy_names
def argmin(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The index of the smallest element (of the flattened tensor without a dim), as int64."""
    dims = None if dim is None else (dim_of("argmin", dim),)
    return write_out(unary(ARGMIN, checked("argmin", input), ("argmin", dims, bool(keepdim))), out)


@numpy_names
def aminmax(input: Tensor, *, dim: Any = None, keepdim: bool = False, out: Any = None) -> Any:
    """(min, max) over one axis or all."""
    dims = None if dim is None else (dim_of("aminmax", dim),)
    results = record_many(AMINMAX, (checked("aminmax", input),), (dims, bool(keepdim)))
    return AminmaxResult(write_outs(results, out))


@numpy_names
def all(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Whether every element over `dim` is true (uint8 stays uint8)."""
    attributes = ("all", dims_of("all", dim), bool(keepdim))
    return write_out(unary(ALL, checked("all", input), attributes), out)


@numpy_names
def any(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Whether some element over `dim` is true (uint8 stays uint8)."""
    attributes = ("any", dims_of("any", dim), bool(keepdim))
    return write_out(unary(ANY, checked("any", input), attributes), out)


# ---- moments -------------------------------------------------------------------------------------


MOMENT_NAMES = {
    "var": "std and var", "std": "std and var", "var_mean": "var_mean",
    "std_mean": "std_mean",
}  # fmt: skip


def _moments(
    x: Value, name: str, dims: Dims, keepdim: bool, correction: float
) -> tuple[Value, Value]:
    """(variance or deviation, mean) in the operand's dtype."""
    if x.dtype.kind not in "fc":
        raise RuntimeError(f"{MOMENT_NAMES[name]} only support floating point and complex dtypes")
    if x.dtype.is_complex:
        raise NotImplementedError(f"{name} of complex tensors is not supported yet")
    axes = wrap_axes(dims, x.ndim)
    count = extent(x, axes)
    if count - correction <= 0:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
            "factor (input numel divided by output numel).",
            stacklevel=2,
        )
    data = wide(x)
    center = ar.div(folded(red.sum_, data, axes, True), float(count))
    distance = ar.sub(data, center)
    total = folded(red.sum_, ar.mul(distance, distance), axes, keepdim)
    spread = ar.div(total, builtins.max(count - correction, 0.0))
    if name.startswith("std"):
        spread = safe_root(spread)
    return ar.cast(spread, x.dtype), ar.cast(view.reshape(center, shape=spread.shape), x.dtype)


VAR = PureOp("var", lambda x, *rest: _moments(x, "var", *rest)[0])
STD = PureOp("std", lambda x, *rest: _moments(x, "std", *rest)[0])
VAR_MEAN = PureOp("var_mean", lambda x, *rest: _moments(x, "var_mean", *rest))
STD_MEAN = PureOp("std_mean", lambda x, *rest: _moments(x, "std_mean", *rest))


def _moment_attributes(
    name: str, dim: Any, unbiased: bool | None, keepdim: bool, correction: Any
) -> tuple[Dims, bool, float]:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}() received both unbiased and correction; give one")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    return dims_of(name, dim), bool(keepdim), float(correction)


@numpy_names
def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: Any = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The variance over `dim`, divided by n - correction (1 unless told)."""
    attributes = _moment_attributes("var", dim, unbiased, keepdim, correction)
    return write_out(unary(VAR, checked("var", input), attributes), out)


@numpy_names
def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: Any = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The standard deviation over `dim`: the root of `var`; its gradient at 0 is 0."""
    attributes = _moment_attributes("std", dim, unbiased, keepdim, correction)
    return write_out(unary(STD, checked("std", input), attributes), out)


@numpy_names
def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(variance, mean) over `dim`."""
    attributes = _moment_attributes("var_mean", dim, unbiased, keepdim, correction)
    first, second = record_many(VAR_MEAN, (checked("var_mean", input),), attributes)
    return first, second


@numpy_names
def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(standard deviation, mean) over `dim`."""
    attributes = _moment_attributes("std_mean", dim, unbiased, keepdim, correction)
    first, second = record_many(STD_MEAN, (checked("std_mean", input),), attributes)
    return first, second


# ---- norms ---------------------------------------------------------------------------------------


def _power_norm(size: Value, p: float, axes: tuple[int, ...], keepdim: bool) -> Value:
    """(sum size^p)^(1/p) of non-negative values; no gradient flows where the base is 0."""
    zero = el.eq(size, ar.zeros_like(size))
    one = ar.full_like(size, 1)
    nothing = ar.full_like(size, 0.0 if p > 0 else math.inf)
    powers = el.where(zero, nothing, el.pow_(el.where(zero, one, size), ar.full_like(size, p)))
    total = folded(red.sum_, powers, axes, keepdim)
    empty = ar.eq(total, 0.0)
    root = el.pow_(el.where(empty, ar.full_like(total, 1), total), ar.full_like(total, 1 / p))
    return el.where(empty, ar.full_like(total, 0.0 if p > 0 else math.inf), root)


def vector_norm_of(
    x: Value, p: float, dims: Dims, keepdim: bool, dtype: DType | None = None
) -> Value:
    """The p-norm over axes of a value."""
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.scalar_name}"
        )
    result_dtype = (dtype or x.dtype).to_real()
    x = wide(ar.cast(x, dtype or x.dtype))
    axes = wrap_axes(dims, x.ndim)
    if p == 2:
        square = ar.mul(x, x) if not x.dtype.is_complex else el.real(ar.mul(x, ar.conj(x)))
        return ar.cast(safe_root(folded(red.sum_, square, axes, keepdim)), result_dtype)
    size = el.abs_(x)
    if p == 0:
        norm = folded(red.sum_, ar.cast(ar.to_bool(size), size.dtype), axes, keepdim)
    elif p == 1:
        norm = folded(red.sum_, size, axes, keepdim)
    elif math.isinf(p):
        if not extent(x, axes):
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {p} norm on an empty tensor because the operation does "
                "not have an identity"
            )
        norm = folded(red.max_ if p > 0 else red.min_, size, axes, keepdim)
    else:
        norm = _power_norm(size, p, axes, keepdim)
    return ar.cast(norm, result_dtype)


def _dist(a: Value, b: Value, p: float) -> Value:
    if ar.promoted_dtype(a, b).kind not in "fc":
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{ar.promoted_dtype(a, b).scalar_name.capitalize()} instead."
        )
    return vector_norm_of(ar.sub(a, b), p, None, False)


NORM = PureOp("norm", vector_norm_of, "LinalgVectorNormBackward0")
DIST = PureOp("dist", _dist)


@numpy_names
def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:  # fmt: skip
    """The p-norm of the elements over `dim` (2 unless told, any number, inf or -inf)."""
    if p == "nuc":
        raise NotImplementedError("norm with p='nuc' (the nuclear norm) is not supported yet")
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"only valid string values are 'fro' and 'nuc', found {p}")
    order = 2.0 if p is None or p == "fro" else float(p)
    attributes = (order, dims_of("norm", dim), bool(keepdim), dtype_of(dtype))
    return write_out(unary(NORM, checked("norm", input), attributes), out)


@numpy_names
def vector_norm(
    input: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The vector norm of order `ord` over `dim` (`linalg.vector_norm`)."""
    attributes = (float(ord), dims_of("vector_norm", dim), bool(keepdim), dtype_of(dtype))
    return write_out(unary(NORM, checked("linalg_vector_norm", input), attributes), out)


def dist(input: Tensor, other: Tensor, p: Any = 2) -> Tensor:
    """The p-norm of input - other."""
    checked("dist", other, "other", 2)
    return cast(Tensor, record(DIST, (checked("dist", input), other), (float(p),)))


def _logsumexp(x: Value, dims: Dims, keepdim: bool) -> Value:
    x = ar.cast(x, ar.float_dtype(x))
    axes = wrap_axes(dims, x.ndim)
    if not extent(x, axes):
        shape = tuple(n for a, n in enumerate(x.shape) if a not in axes)
        return ar.full(red.kept(x, axes) if keepdim else shape, -math.inf, x.dtype)
    data = wide(x)
    high = source.detach(folded(red.max_, data, axes, True))
    high = ar.where(ar.eq(el.abs_(high), math.inf), ar.zeros_like(high), high)
    total = folded(red.sum_, el.exp(ar.sub(data, high)), axes, True)
    result = ar.add(el.log(total), high)
    if not keepdim:
        result = view.reshape(
            result, shape=tuple(n for a, n in enumerate(x.shape) if a not in axes)
        )
    return ar.cast(result, x.dtype)


LOGSUMEXP = PureOp("logsumexp", _logsumexp)


@numpy_names
def logsumexp(
    input: Tensor, dim: Any, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """log(sum(exp(x))) over `dim`, without overflow."""
    attributes = (dims_of("logsumexp", dim), bool(keepdim))
    return write_out(unary(LOGSUMEXP, checked("logsumexp", input), attributes), out)


# ---- comparisons of whole tensors ----------------------------------------------------------------


def _isclose(a: Value, b: Value, rtol: Operand, atol: Operand, equal_nan: bool) -> Value:
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{a.dtype.scalar_name} did not match {b.dtype.scalar_name}")
    a, b = ar.broadcast(a, b)
    close = el.eq(a, b)
    if equal_nan and a.dtype.kind in "fc":
        close = ar.logical_or(close, ar.logical_and(el.ne(a, a), el.ne(b, b)))
    if a.dtype.kind not in "fc":
        a, b = ar.cast(a, dtypes.float64), ar.cast(b, dtypes.float64)
    a, b = wide(a), wide(b)
    difference = el.abs_(ar.sub(a, b))
    allowed = ar.add(ar.mul(el.abs_(b), rtol), atol)
    finite = ar.lt(difference, math.inf)
    return ar.logical_or(close, ar.logical_and(finite, ar.le(difference, allowed)))


ISCLOSE = PureOp("isclose", _isclose, preserves=True)
EQUAL = PureOp("equal", lambda a, b: _truth(ar.eq(a, b), "all", None, False))


def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Where |input - other| <= atol + rtol |other|."""
    if rtol < 0 or atol < 0:
        name, value = ("rtol", rtol) if rtol < 0 else ("atol", atol)
        raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value}")
    operands = (
        checked("isclose", input),
        checked("isclose", other, "other", 2),
        float(rtol),
        float(atol),
    )
    return cast(Tensor, record(ISCLOSE, operands, (bool(equal_nan),)))


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close (see `isclose`)."""
    return bool(all(isclose(input, other, rtol, atol, equal_nan)).item())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements."""
    checked("equal", other, "other", 2)
    if checked("equal", input).shape != other.shape:
        return False
    return bool(record(EQUAL, (input, other)).item())


METHODS: dict[str, Callable[..., Any]] = {
    "sum": sum, "mean": mean, "prod": prod, "nansum": nansum, "nanmean": nanmean,
    "count_nonzero": count_nonzero, "amax": amax, "amin": amin, "max": max, "min": min,
    "argmax": argmax, "argmin": argmin, "aminmax": aminmax, "all": all, "any": any,
    "var": var, "std": std, "norm": norm, "dist": dist, "logsumexp": logsumexp,
    "isclose": isclose, "allclose": allclose, "equal": equal,
}  # fmt: skip
__all__ = [*METHODS, "std_mean", "var_mean", "vector_norm"]
