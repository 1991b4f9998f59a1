"""Reductions: sums, extrema, moments, norms and comparisons of whole tensors.

Everywhere `dim` is None (all axes), an axis or several, negative ones counted from the end;
`keepdim` keeps the folded axes with extent 1. float16 and bfloat16 are folded in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import wrap_axes
from flambeau.functional import plain_answers
from flambeau.functional.folding import (
    Dims,
    checked,
    dim_of,
    dims_of,
    dtype_of,
    extent,
    folded,
    is_nan,
    picked,
    refuse_empty,
    result_type,
    shared_by_equals,
    wide,
    write_outs,
)
from flambeau.functional.moments import (
    dist,
    logsumexp,
    norm,
    std,
    std_mean,
    var,
    var_mean,
    vector_norm,
)
from flambeau.functional.options import numpy_names, refuse_other_dtype
from flambeau.functional.pointwise import maximum, minimum, write_out, write_same
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as red
from flambeau.ops import source, view
from flambeau.ops.value import Operand, Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import record, record_many, unary
from flambeau.tensor.tensor import Tensor

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
        raise RuntimeError("nansum on CPU does not support complex inputs")
    nan = is_nan(x)
    if nan is not None:
        x = el.where(nan, ar.zeros_like(x), x)
    return _sum(x, dims, keepdim, dtype)


def _mean(x: Value, dims: Dims = None, keepdim: bool = False, dtype: DType | None = None) -> Value:
    if dtype is None and x.dtype.kind not in "fc":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point "
            "or complex "
            f"dtype. Got: {x.dtype.scalar_name}"
        )
    if dtype is not None and dtype.kind not in "fc":
        raise RuntimeError(
            "mean(): could not infer output dtype. Optional dtype must be either a floating "
            "point or "
            f"complex dtype. Got: {dtype.scalar_name}"
        )
    dtype = dtype or x.dtype
    axes = wrap_axes(dims, x.ndim)
    total = folded(red.sum_, _mean_operand(x, dtype), axes, keepdim)
    return ar.cast(ar.div(total, float(extent(x, axes))), dtype)


def _mean_operand(x: Value, dtype: DType) -> Value:
    """What is added up: half types, also of finer numbers, in float32."""
    return ar.cast(x, dtypes.float32 if dtype in ar.HALVES else dtype)


def _nanmean(x: Value, dims: Dims, keepdim: bool, dtype: DType | None) -> Value:
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{x.dtype.scalar_name}"
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
    attributes = (dims_of("sum", dim), bool(keepdim), dtype_of(dtype, out))
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
    attributes = (dims_of("mean", dim), bool(keepdim), dtype_of(dtype, out))
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
    attributes = (dims, bool(keepdim), dtype_of(dtype, out))
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
    attributes = (dims_of("nansum", dim), bool(keepdim), dtype_of(dtype, out))
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


def _extremum(x: Value, name: str, dims: Dims, keepdim: bool) -> Value:
    primitive = red.max_ if name.endswith("max") else red.min_
    refuse_empty(name, x, dims or None)
    axes = wrap_axes(dims, x.ndim)
    if name in ("max", "min") and x.tracked:
        return shared_by_equals(folded(primitive, source.detach(x), axes, keepdim), x)
    return folded(primitive, x, axes, keepdim)


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
    if x.dtype.is_complex:
        raise RuntimeError(f"{name}(): does not support complex input")
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
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
            "identity."
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
    return (MaxResult if largest else MinResult)(write_outs(results, out, apart=input))


@numpy_names
def max(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None
) -> Any:
    """The largest element; with a dim (values, indices); with a tensor the larger of each pair."""
    return _max_or_min("max", input, dim, keepdim, other, out)


@numpy_names
def min(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None
) -> Any:
    """The least element; with a dim (values, indices); with a tensor the less of each pair."""
    return _max_or_min("min", input, dim, keepdim, other, out)


@numpy_names
def argmax(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The index of the largest element (of the flattened tensor without a dim), as int64."""
    dims = None if dim is None else (dim_of("argmax", dim),)
    return write_same(unary(ARGMAX, checked("argmax", input), ("argmax", dims, bool(keepdim))), out)


@numpy_names
def argmin(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The index of the smallest element (of the flattened tensor without a dim), as int64."""
    dims = None if dim is None else (dim_of("argmin", dim),)
    return write_same(unary(ARGMIN, checked("argmin", input), ("argmin", dims, bool(keepdim))), out)


@numpy_names
def aminmax(input: Tensor, *, dim: Any = None, keepdim: bool = False, out: Any = None) -> Any:
    """(min, max) over one axis or all."""
    for target in out or ():
        refuse_other_dtype(target, input.dtype)
    dims = None if dim is None else (dim_of("aminmax", dim),)
    results = record_many(AMINMAX, (checked("aminmax", input),), (dims, bool(keepdim)))
    return AminmaxResult(write_outs(results, out, apart=input))


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
    found = plain_answers.same(input, other)
    return bool(record(EQUAL, (input, other)).item()) if found is None else found


METHODS: dict[str, Callable[..., Any]] = {
    "sum": sum, "mean": mean, "prod": prod, "nansum": nansum, "nanmean": nanmean,
    "count_nonzero": count_nonzero, "amax": amax, "amin": amin, "max": max, "min": min,
    "argmax": argmax, "argmin": argmin, "aminmax": aminmax, "all": all, "any": any,
    "var": var, "std": std, "norm": norm, "dist": dist, "logsumexp": logsumexp,
    "isclose": isclose, "allclose": allclose, "equal": equal,
}  # fmt: skip
__all__ = [*METHODS, "std_mean", "var_mean", "vector_norm"]
