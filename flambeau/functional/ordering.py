"""Scans and sorts along an axis, what is chosen by rank, and sets and counts of values.

`unique`, `unique_consecutive`, `bincount` and `histc` have results whose shape or range depends on
the data: they are computed on the host at once and are not differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import wrap_axis
from flambeau.functional import plain_answers
from flambeau.functional.axis_order import movedim
from flambeau.functional.folding import (
    checked,
    dim_of,
    dtype_of,
    part,
    picked,
    result_type,
    take_along,
    without,
    write_outs,
)
from flambeau.functional.options import axis_name, not_implemented, numpy_names
from flambeau.functional.pointwise import write_out, write_same
from flambeau.functional.ranking import (
    bucketize,
    median,
    mode,
    nanmedian,
    nanquantile,
    quantile,
    searchsorted,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import ordered, view
from flambeau.ops import reduction as red
from flambeau.ops.indexed import WITHIN
from flambeau.ops.value import Operand, Value
from flambeau.record import mapping
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import LOCAL, in_place, record, record_many, unary
from flambeau.tensor.tensor import Tensor, from_array, from_fresh

# ---- scans ---------------------------------------------------------------------------------------


def _scan(x: Value, name: str, dim: int, dtype: DType | None) -> Value:
    axis = wrap_axis(dim, x.ndim)
    if dtype is None:
        dtype = x.dtype if x.dtype.kind in "fc" else dtypes.int64
    x = ar.cast(x, dtype)
    if not x.shape:
        return x
    if dtype is dtypes.bool_:
        raise NotImplementedError(f"\"{name}_out_cpu\" not implemented for 'Bool'")
    primitive = ordered.cumsum if name == "cumsum" else ordered.cumprod
    return ar.cast(primitive(_accumulator(x), axis=axis), dtype)


_ACCUMULATORS = {
    dtypes.float16: dtypes.float32, dtypes.bfloat16: dtypes.float32,
    dtypes.float32: dtypes.float64, dtypes.complex64: dtypes.complex128,
}  # fmt: skip


def _accumulator(x: Value) -> Value:
    """In the dtype that PyTorch's running sums and products are kept in: the next finer one."""
    return ar.cast(x, _ACCUMULATORS.get(x.dtype, x.dtype))


def _in_dtype(x: Value, name: str, dim: int, dtype: DType | None) -> Value:
    """A scan written in place: the result has the target's dtype."""
    return ar.cast(_scan(x, name, dim, dtype), x.dtype)


def _cumulative_extremum(x: Value, name: str, dim: int) -> tuple[Value, Value]:
    if x.dtype.is_complex:
        raise not_implemented(f"{name}_cpu", x.dtype)
    axis = wrap_axis(dim, x.ndim)
    if not x.shape:
        return x, ar.full((), 0, dtypes.int64)
    if not x.size:
        return x, ar.full(x.shape, 0, dtypes.int64)
    index = (ordered.cum_argmax if name == "cummax" else ordered.cum_argmin)(x, axis=axis)
    return take_along(x, index, axis, WITHIN), index


def _logcumsumexp(x: Value, dim: int) -> Value:
    if x.dtype.kind != "f":
        raise NotImplementedError(
            f"\"logcumsumexp_out_cpu\" not implemented for '{x.dtype.scalar_name}'"
        )
    axis = wrap_axis(dim, x.ndim)
    return ar.cast(ordered.logcumsumexp(_accumulator(x), axis=axis), x.dtype) if x.shape else x


CUMSUM, CUMPROD = PureOp("cumsum", _scan), PureOp("cumprod", _scan)
CUMSUM_ = InplaceOp("cumsum_", _in_dtype, "CumsumBackward0")
CUMPROD_ = InplaceOp("cumprod_", _in_dtype, "CumprodBackward0")
CUMMAX, CUMMIN = PureOp("cummax", _cumulative_extremum), PureOp("cummin", _cumulative_extremum)
LOGCUMSUMEXP = PureOp("logcumsumexp", _logcumsumexp)
CummaxResult = result_type("cummax", "values", "indices")
CumminResult = result_type("cummin", "values", "indices")


@numpy_names
def cumsum(input: Tensor, dim: int, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
    """Running sums along `dim`; integers and bool give int64."""
    attributes = ("cumsum", dim_of("cumsum", dim), dtype_of(dtype, out))
    result = unary(CUMSUM, checked("cumsum", input), attributes)
    return write_out(result, out, beside=(input,))


@numpy_names
def cumprod(input: Tensor, dim: int, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
    """Running products along `dim`; integers and bool give int64."""
    attributes = ("cumprod", dim_of("cumprod", dim), dtype_of(dtype, out))
    result = unary(CUMPROD, checked("cumprod", input), attributes)
    return write_out(result, out, beside=(input,))


@numpy_names
def cumsum_(self: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """cumsum in place."""
    return cast(
        Tensor, in_place(CUMSUM_, self, (), ("cumsum", dim_of("cumsum", dim), dtype_of(dtype)))
    )


@numpy_names
def cumprod_(self: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """cumprod in place."""
    attributes = ("cumprod", dim_of("cumprod", dim), dtype_of(dtype))
    return cast(Tensor, in_place(CUMPROD_, self, (), attributes))


@numpy_names
def cummax(input: Tensor, dim: int, *, out: Any = None) -> Any:
    """(running maxima along `dim`, their indices); of equal elements the last counts."""
    results = record_many(CUMMAX, (checked("cummax", input),), ("cummax", dim_of("cummax", dim)))
    return CummaxResult(write_outs(results, out))


@numpy_names
def cummin(input: Tensor, dim: int, *, out: Any = None) -> Any:
    """(running minima along `dim`, their indices); of equal elements the last counts."""
    results = record_many(CUMMIN, (checked("cummin", input),), ("cummin", dim_of("cummin", dim)))
    return CumminResult(write_outs(results, out))


@numpy_names
def logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Tensor:
    """log of the running sums of exponentials along `dim`."""
    attributes = (dim_of("logcumsumexp", dim),)
    result = unary(LOGCUMSUMEXP, checked("logcumsumexp", input), attributes)
    return write_out(result, out, beside=(input,))


# ---- differences and integrals -------------------------------------------------------------------


def _diff(x: Value, before: Value | None, after: Value | None, n: int, dim: int) -> Value:
    if not x.shape:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    axis = wrap_axis(dim, x.ndim)
    if n == 0:
        return x  # PyTorch's, whatever is to be prepended or appended
    parts = [v for v in (before, x, after) if v is not None]
    if len(parts) > 1:
        for v in parts:
            if v.ndim != x.ndim:
                raise RuntimeError(
                    "diff expects prepend or append to be the same dimension as input"
                )
        dtype = ar.promoted_dtype(*parts)
        x = view.concat(*[ar.cast(v, dtype) for v in parts], axis=axis)
    n = min(n, x.shape[axis])
    for _ in range(n):
        late, early = part(x, axis, 1, x.shape[axis]), part(x, axis, 0, x.shape[axis] - 1)
        x = el.ne(late, early) if x.dtype.kind == "b" else ar.sub(late, early)
    return x


def _trapezoid(y: Value, x: Value | None, dx: Operand | None, dim: int, cumulative: bool) -> Value:
    if "b" in (y.dtype.kind, x.dtype.kind if x is not None else ""):
        name = "cumulative_trapezoid" if cumulative else "trapezoid"
        raise RuntimeError(
            f"{name}: received a bool input for `x` or `y`, but bool is not supported"
        )
    axis = wrap_axis(dim, y.ndim)
    count = y.shape[axis]
    if x is not None:
        if x.ndim == 1 and x.shape[0] == count:
            x = view.reshape(x, shape=tuple(count if a == axis else 1 for a in range(y.ndim)))
        while x.ndim < y.ndim:
            x = view.reshape(x, shape=(1, *x.shape))
        step: Operand = ar.sub(part(x, axis, 1, x.shape[axis]), part(x, axis, 0, x.shape[axis] - 1))
    else:
        assert dx is not None
        step = dx
    if count < 2:
        rest = y.shape[:axis] + ((0,) if cumulative else ()) + y.shape[axis + 1 :]
        return ar.full(rest, 0, ar.float_dtype(y))
    if x is None and not cumulative:  # PyTorch takes half of both ends off the sum
        ends = ar.add(part(y, axis, 0, 1), part(y, axis, count - 1, count))
        total = red.sum_(ar.cast(y, ar.float_dtype(y)), axes=(axis,))
        return ar.mul(ar.sub(total, ar.mul(without(ends, axis), 0.5)), step)
    pairs = ar.add(part(y, axis, 0, count - 1), part(y, axis, 1, count))
    areas = ar.div(ar.mul(pairs, step), 2.0)
    if cumulative:
        return ar.cast(ordered.cumsum(_accumulator(areas), axis=axis), areas.dtype)
    return red.sum_(areas, axes=(axis,))


DIFF = PureOp("diff", _diff, "SubBackward0")
TRAPEZOID = PureOp("trapezoid", _trapezoid, "MulBackward1")
CUMULATIVE_TRAPEZOID = PureOp("cumulative_trapezoid", _trapezoid, "CumsumBackward0")


@numpy_names
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None,
    append: Tensor | None = None, *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The n-th differences of neighbours along `dim` (of bool: where they differ)."""
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    for name, place, given in (("prepend", 4, prepend), ("append", 5, append)):
        if given is not None:
            checked("diff", given, name, place)
    operands = (checked("diff", input), prepend, append)
    result = record(DIFF, operands, (int(n), dim_of("diff", dim)))
    return write_out(result, out, beside=operands)


def _area(op: PureOp, y: Tensor, x: Any, dx: Any, dim: int) -> Tensor:
    if x is not None and dx is not None:
        raise TypeError(f"{op.name}() takes x or dx, not both")
    operands = (checked(op.name, y, "y"), x, (1.0 if dx is None else dx) if x is None else None)
    return cast(Tensor, record(op, operands, (dim_of(op.name, dim), op is CUMULATIVE_TRAPEZOID)))


@axis_name
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The trapezoidal integral of y along `dim`, at the points `x` or at steps of `dx`."""
    return _area(TRAPEZOID, y, x, dx, dim)


@axis_name
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1
) -> Tensor:
    """The running trapezoidal integral of y along `dim`."""
    return _area(CUMULATIVE_TRAPEZOID, y, x, dx, dim)


trapz = trapezoid


# ---- sorting -------------------------------------------------------------------------------------


def _refuse_complex(x: Value) -> None:
    if x.dtype.is_complex:
        raise RuntimeError(" Sort does not support complex dtypes on CPU")


def _sort(x: Value, dim: int, descending: bool) -> tuple[Value, Value]:
    _refuse_complex(x)
    axis = wrap_axis(dim, x.ndim)
    index = ordered.argsort(x, axis=axis, descending=descending)
    return take_along(x, index, axis), index


def _topk(x: Value, k: int, dim: int, largest: bool) -> tuple[Value, Value]:
    axis = wrap_axis(dim, x.ndim)
    if x.dtype.kind == "b":
        raise RuntimeError("topk does not support bool dtypes on CPU")
    _refuse_complex(x)
    if not 0 <= k <= (x.shape[axis] if x.shape else 1):
        raise RuntimeError("selected index k out of range")
    if not x.shape:
        return x, ar.full((), 0, dtypes.int64)
    index = part(ordered.argsort(x, axis=axis, descending=largest, first=k), axis, 0, k)
    return take_along(x, index, axis), index


def _kthvalue(x: Value, k: int, dim: int, keepdim: bool) -> tuple[Value, Value]:
    axis = wrap_axis(dim, x.ndim)
    _refuse_complex(x)
    if x.dtype.kind == "b":
        raise not_implemented("kthvalue_cpu", x.dtype)
    if x.shape and not x.shape[axis]:
        raise IndexError(f"kthvalue(): Expected reduction dim {axis} to have non-zero size.")
    if not 1 <= k <= (x.shape[axis] if x.shape else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}")
    if not x.shape:
        return x, ar.full((), 0, dtypes.int64)
    index = part(ordered.argsort(x, axis=axis, descending=False, first=k), axis, k - 1, k)
    return picked(x, without(index, axis), axis, keepdim)


SORT, STABLE_SORT = (
    PureOp("sort", _sort, preserves=True, copies=True),
    PureOp("sort", _sort, "SortBackward1", preserves=True, copies=True),
)
ARGSORT = PureOp("argsort", lambda x, *rest: _sort(x, *rest)[1], preserves=True, copies=True)
TOPK, KTHVALUE = PureOp("topk", _topk), PureOp("kthvalue", _kthvalue)
SortResult = result_type("sort", "values", "indices")
TopkResult = result_type("topk", "values", "indices")
KthvalueResult = result_type("kthvalue", "values", "indices")


@numpy_names
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False, *, out: Any = None
) -> Any:
    """(sorted values, indices) along `dim`, always stable; NaN is the largest."""
    op = STABLE_SORT if stable else SORT
    results = record_many(op, (checked("sort", input),), (dim_of("sort", dim), bool(descending)))
    return SortResult(write_outs(results, out, beside=(input,)))


@numpy_names
def argsort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    stable: bool = False,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The indices that sort along `dim` (always stable)."""
    attributes = (dim_of("argsort", dim), bool(descending))
    return write_out(unary(ARGSORT, checked("argsort", input), attributes), out)


def msort(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sorted along the first axis."""
    return write_same(sort(input, 0)[0], out, beside=(input,))


@numpy_names
def topk(
    input: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
    *,
    out: Any = None,
) -> Any:
    """(values, indices) of the k largest or smallest along `dim`, always in order."""
    attributes = (int(k), dim_of("topk", dim), bool(largest))
    results = record_many(TOPK, (checked("topk", input),), attributes)
    return TopkResult(write_outs(results, out, apart=input))


@numpy_names
def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None
) -> Any:
    """(value, index) of the k-th smallest along `dim`, k counted from 1."""
    attributes = (int(k), dim_of("kthvalue", dim), bool(keepdim))
    results = record_many(KTHVALUE, (checked("kthvalue", input),), attributes)
    return KthvalueResult(write_outs(results, out, apart=input))


# ---- sets and counts, on the host ----------------------------------------------------------------


def _values_of(name: str, input: Tensor) -> Any:
    """The elements on the host; complex numbers are refused, as they have no order."""
    if checked(name, input).is_complex():
        raise not_implemented("unique", input.dtype)
    return input._values()


def _host(array: Any, like: Tensor) -> Tensor:
    """A new tensor of the dtype of `like` from values computed on the host."""
    if like.dtype is dtypes.bfloat16:
        array = dtypes.bfloat16_from_float32(np.asarray(array, np.float32))
    return from_fresh(array, like.dtype)


def _set_results(values: Tensor, inverse: Any, counts: Any) -> Any:
    results = [values]
    for extra in (inverse, counts):
        if extra is not None:
            results.append(from_fresh(extra, dtypes.int64))
    return results[0] if len(results) == 1 else tuple(results)


def _slices_first(values: Any, input: Tensor, axis: int | None) -> Tensor:
    """The values as a tensor whose slices along `axis` lie one after another, as PyTorch's do."""
    if not axis:
        return _host(values, input)
    return movedim(_host(np.moveaxis(values, axis, 0), input), 0, axis)


def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The distinct elements (or slices along `dim`) in order; each input's place; the counts."""
    if LOCAL.levels:
        mapping.refuse(input, mapping.SHAPE.format("_unique2"))
    array = _values_of("unique", input)
    if dim is None:
        return _distinct(input, array, return_inverse, return_counts)
    axis = wrap_axis(dim, input.ndim)
    if not array.ndim:
        array = array.reshape(1)
    values, inverse, counts = np.unique(
        array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    return _set_results(
        _slices_first(values, input, axis),
        inverse.reshape(array.shape[axis]) if return_inverse else None,
        counts if return_counts else None,
    )


def _distinct(input: Tensor, array: Any, inverse: bool, counted: bool) -> Any:
    """The distinct elements of an array, as `unique` has them without a dimension."""
    flat = array.reshape(-1)
    if flat.size >= MANY_INTEGERS and flat.dtype.kind in "iu":
        low, high = int(flat.min()), int(flat.max())
        if high - low < flat.size:
            return _counted(input, np.subtract(flat, low, dtype=np.int64), low, inverse, counted)
    order = flat.argsort() if inverse else None
    ordered = flat.copy() if order is None else flat[order]
    if order is None:
        ordered.sort()
    first = np.empty(flat.size, bool)  # whether an element is the first of its value
    first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    places = counts = None
    if order is not None:
        places = np.empty(flat.size, np.int64)
        places[order] = first.cumsum() - 1
        places = places.reshape(array.shape)
    if counted:
        counts = np.diff(np.append(first.nonzero()[0], flat.size))
    return _set_results(_host(ordered[first], input), places, counts)


MANY_INTEGERS = 512  # so many in a range no longer than they are marked in a table, not sorted


def _counted(input: Tensor, above: Any, low: int, inverse: bool, counted: bool) -> Any:
    """The same of integers, given by how far they are above the least."""
    times = np.bincount(above) if counted else None
    if times is None:
        there = np.zeros(above.size, bool)
        there[above] = True
    else:
        there = times > 0
    found = there.nonzero()[0]
    places = (there.cumsum() - 1)[above].reshape(input.shape) if inverse else None
    values = _host((found + low).astype(input.dtype.numpy), input)
    return _set_results(values, places, None if times is None else times[found])


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along `dim`) that differ from the one before; as `unique`."""
    array = _values_of("unique_consecutive", input)
    axis = None if dim is None else wrap_axis(dim, input.ndim)
    shape = array.shape if axis is None else (array.shape[axis],)
    rows = array.reshape(-1) if axis is None else np.moveaxis(array, axis, 0)
    n = rows.shape[0]
    starts = np.ones(n, bool)
    if n > 1:
        starts[1:] = (rows[1:] != rows[:-1]).reshape(n - 1, -1).any(axis=1)
    values = rows[starts]
    if axis is not None and array.ndim:
        values = np.moveaxis(values, 0, axis)
    places = np.flatnonzero(starts)
    return _set_results(
        _slices_first(values, input, axis),
        (np.cumsum(starts) - 1).reshape(shape) if return_inverse else None,
        np.diff(np.append(places, n)) if return_counts else None,
    )


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, .. occurs in a 1-d tensor (or the sum of its weights)."""
    if checked("bincount", input).dtype.kind != "i":
        raise NotImplementedError(
            f"\"bincount_cpu\" not implemented for '{input.dtype.scalar_name}'"
        )
    if weights is None and minlength >= 0:
        known = plain_answers.occurrences(input, minlength)
        if known is not None:
            return known
    array = input._values()
    counts = _occurrences(array, minlength)
    if counts is None:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is None:
        return from_fresh(counts, dtypes.int64)
    if weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    dtype = dtypes.float32 if weights.dtype is dtypes.float32 else dtypes.float64
    return from_array(np.bincount(array, weights._values(), minlength), dtype)


def _occurrences(array: Any, least: int) -> Any:
    """How often each number occurs; None where the array is not 1-d, or has negative numbers."""
    if array.ndim != 1:
        return None
    try:
        return np.bincount(array, minlength=max(least, 0))
    except ValueError:
        return None


def _binned(array: Any, bins: int, low: float, high: float) -> Any:
    """How many elements lie in each interval, by PyTorch's arithmetic, which is the dtype's, where
    that tells the ends apart.
    """
    first, last = array.dtype.type(low), array.dtype.type(high)
    if not first < last:
        array, first, last = array.astype(np.float64), np.float64(low), np.float64(high)
    inside = (array >= first) & (array <= last)
    if np.count_nonzero(inside) < array.size:
        array = array[inside]
    places = ((array - first) * array.dtype.type(bins) / (last - first)).astype(np.int64)
    return np.bincount(np.minimum(places, bins - 1), minlength=bins)


def histc(
    input: Tensor, bins: int = 100, min: Any = 0, max: Any = 0, *, out: Tensor | None = None
) -> Tensor:
    """Counts in `bins` equal intervals of [min, max] (of the data's range if both are 0)."""
    if checked("histc", input).dtype.kind != "f":
        raise NotImplementedError(
            f"\"histogram_cpu\" not implemented for '{input.dtype.scalar_name}'"
        )
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    low, high = float(min), float(max)
    if low == high and input._meta.numel:
        array = input._values()
        low, high = float(array.min()), float(array.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    found = plain_answers.histogram(input, bins, low, high)
    if found is None:
        found = _host(_binned(input._values().ravel(), bins, low, high), input)
    return write_out(found, out)


METHODS: dict[str, Callable[..., Any]] = {
    "cumsum": cumsum, "cumsum_": cumsum_, "cumprod": cumprod, "cumprod_": cumprod_,
    "cummax": cummax, "cummin": cummin,
    "logcumsumexp": logcumsumexp, "diff": diff, "sort": sort, "argsort": argsort,
    "msort": msort, "topk": topk, "kthvalue": kthvalue, "median": median, "nanmedian": nanmedian,
    "mode": mode, "quantile": quantile, "nanquantile": nanquantile, "unique": unique,
    "unique_consecutive": unique_consecutive, "bincount": bincount, "histc": histc,
}  # fmt: skip
__all__ = [
    *(name for name in METHODS if not name.endswith("_")),
    "bucketize", "cumulative_trapezoid", "searchsorted", "trapezoid", "trapz",
]  # fmt: skip
