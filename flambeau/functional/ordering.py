"""Scans and sorts along an axis, what is chosen by rank, and sets and counts of values.

`unique`, `unique_consecutive`, `bincount` and `histc` have results whose shape or range depends on the data: they are
computed on the host at once and are not differentiable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import wrap_axis
from flambeau.functional.pointwise import write_out
from flambeau.functional.reduction import (
    checked,
    dim_of,
    dtype_of,
    is_nan,
    numpy_names,
    picked,
    refuse_empty,
    result_type,
    take_along,
    wide,
    write_outs,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import indexed, ordered, source, view
from flambeau.ops import reduction as red
from flambeau.ops.value import Operand, Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import in_place, record, record_many, unary
from flambeau.tensor.tensor import Tensor, from_array

# ---- scans ---------------------------------------------------------------------------------------


def _scan(x: Value, name: str, dim: int, dtype: DType | None) -> Value:
    axis = wrap_axis(dim, x.ndim)
    if dtype is None:
        dtype = x.dtype if x.dtype.kind in "fc" else dtypes.int64
    x = ar.cast(x, dtype)
    if not x.shape:
        return x
    primitive = ordered.cumsum if name == "cumsum" else ordered.cumprod
    return ar.cast(primitive(wide(x), axis=axis), dtype)


def _in_dtype(x: Value, name: str, dim: int, dtype: DType | None) -> Value:
    """A scan written in place: the result has the target's dtype."""
    return ar.cast(_scan(x, name, dim, dtype), x.dtype)


def _cumulative_extremum(x: Value, name: str, dim: int) -> tuple[Value, Value]:
    axis = wrap_axis(dim, x.ndim)
    if not x.shape:
        return x, ar.full((), 0, dtypes.int64)
    if not x.size:
        return x, ar.full(x.shape, 0, dtypes.int64)
    index = (ordered.cum_argmax if name == "cummax" else ordered.cum_argmin)(x, axis=axis)
    return take_along(x, index, axis), index


def _logcumsumexp(x: Value, dim: int) -> Value:
    if x.dtype.kind != "f":
        raise NotImplementedError(
            f"\"logcumsumexp_out_cpu\" not implemented for '{x.dtype.scalar_name}'"
        )
    axis = wrap_axis(dim, x.ndim)
    return ar.cast(ordered.logcumsumexp(wide(x), axis=axis), x.dtype) if x.shape else x


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
    attributes = ("cumsum", dim_of("cumsum", dim), dtype_of(dtype))
    return write_out(unary(CUMSUM, checked("cumsum", input), attributes), out)


@numpy_names
def cumprod(input: Tensor, dim: int, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
    """Running products along `dim`; integers and bool give int64."""
    attributes = ("cumprod", dim_of("cumprod", dim), dtype_of(dtype))
    return write_out(unary(CUMPROD, checked("cumprod", input), attributes), out)


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
    return write_out(unary(LOGCUMSUMEXP, checked("logcumsumexp", input), attributes), out)


# ---- differences and integrals -------------------------------------------------------------------


def _part(x: Value, axis: int, start: int, stop: int) -> Value:
    starts = tuple(start if a == axis else 0 for a in range(x.ndim))
    sizes = tuple(stop - start if a == axis else n for a, n in enumerate(x.shape))
    return view.slice_(x, starts=starts, sizes=sizes, steps=(1,) * x.ndim)


def _diff(x: Value, before: Value | None, after: Value | None, n: int, dim: int) -> Value:
    if not x.shape:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    axis = wrap_axis(dim, x.ndim)
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
        late, early = _part(x, axis, 1, x.shape[axis]), _part(x, axis, 0, x.shape[axis] - 1)
        x = el.ne(late, early) if x.dtype.kind == "b" else ar.sub(late, early)
    return x


def _trapezoid(y: Value, x: Value | None, dx: Operand | None, dim: int, cumulative: bool) -> Value:
    axis = wrap_axis(dim, y.ndim)
    count = y.shape[axis]
    if x is not None:
        if x.ndim == 1 and x.shape[0] == count:
            x = view.reshape(x, shape=tuple(count if a == axis else 1 for a in range(y.ndim)))
        while x.ndim < y.ndim:
            x = view.reshape(x, shape=(1, *x.shape))
        step: Operand = ar.sub(
            _part(x, axis, 1, x.shape[axis]), _part(x, axis, 0, x.shape[axis] - 1)
        )
    else:
        assert dx is not None
        step = dx
    if count < 2:
        rest = y.shape[:axis] + ((0,) if cumulative else ()) + y.shape[axis + 1 :]
        return ar.full(rest, 0, ar.float_dtype(y))
    pairs = ar.add(_part(y, axis, 0, count - 1), _part(y, axis, 1, count))
    areas = ar.div(ar.mul(pairs, step), 2.0)
    return ordered.cumsum(areas, axis=axis) if cumulative else red.sum_(areas, axes=(axis,))


DIFF = PureOp("diff", _diff, "SubBackward0")
TRAPEZOID = PureOp("trapezoid", _trapezoid, "MulBackward1")
CUMULATIVE_TRAPEZOID = PureOp("cumulative_trapezoid", _trapezoid, "CumsumBackward0")


@numpy_names
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None,
    *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The n-th differences of neighbours along `dim` (of bool: where they differ)."""
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    operands = (checked("diff", input), prepend, append)
    return write_out(record(DIFF, operands, (int(n), dim_of("diff", dim))), out)


def _area(op: PureOp, y: Tensor, x: Any, dx: Any, dim: int) -> Tensor:
    if x is not None and dx is not None:
        raise TypeError(f"{op.name}() takes x or dx, not both")
    operands = (checked(op.name, y, "y"), x, (1.0 if dx is None else dx) if x is None else None)
    return cast(Tensor, record(op, operands, (dim_of(op.name, dim), op is CUMULATIVE_TRAPEZOID)))


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The trapezoidal integral of y along `dim`, at the points `x` or at steps of `dx` (1 unless told)."""
    return _area(TRAPEZOID, y, x, dx, dim)


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
    index = _part(ordered.argsort(x, axis=axis, descending=largest), axis, 0, k)
    return take_along(x, index, axis), index


def _kthvalue(x: Value, k: int, dim: int, keepdim: bool) -> tuple[Value, Value]:
    axis = wrap_axis(dim, x.ndim)
    _refuse_complex(x)
    if not 1 <= k <= (x.shape[axis] if x.shape else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}")
    if not x.shape:
        return x, ar.full((), 0, dtypes.int64)
    index = _part(ordered.argsort(x, axis=axis, descending=False), axis, k - 1, k)
    return picked(x, _without(index, axis), axis, keepdim)


def _without(x: Value, axis: int) -> Value:
    """x without an axis of extent 1."""
    return view.reshape(x, shape=x.shape[:axis] + x.shape[axis + 1 :])


SORT, STABLE_SORT = (
    PureOp("sort", _sort, preserves=True),
    PureOp("sort", _sort, "SortBackward1", preserves=True),
)
ARGSORT = PureOp("argsort", lambda x, *rest: _sort(x, *rest)[1], preserves=True)
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
    return SortResult(write_outs(results, out))


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
    return write_out(sort(input, 0)[0], out)


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
    """(values, indices) of the k largest or smallest along `dim`; in order, also where that is not asked for."""
    attributes = (int(k), dim_of("topk", dim), bool(largest))
    return TopkResult(write_outs(record_many(TOPK, (checked("topk", input),), attributes), out))


@numpy_names
def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None
) -> Any:
    """(value, index) of the k-th smallest along `dim`, k counted from 1."""
    attributes = (int(k), dim_of("kthvalue", dim), bool(keepdim))
    return KthvalueResult(
        write_outs(record_many(KTHVALUE, (checked("kthvalue", input),), attributes), out)
    )


# ---- medians, modes, quantiles -------------------------------------------------------------------


def _count(flags: Value, axis: int) -> Value:
    return red.sum_(ar.cast(flags, dtypes.int64), axes=(axis,))


def _median_index(x: Value, axis: int, ignore_nan: bool) -> Value:
    """The index along `axis` of the lower median: of all elements, NaN if any is; or of those that are not NaN."""
    n = x.shape[axis]
    order = ordered.argsort(x, axis=axis, descending=False)
    nan = is_nan(x)
    if nan is None:
        return _without(_part(order, axis, (n - 1) // 2, (n - 1) // 2 + 1), axis)
    known = ar.sub(n, _count(nan, axis))  # NaN sort last: the first of them stands here
    if ignore_nan:
        place = ar.maximum(ar.binary(el.floor_divide, ar.sub(known, 1), 2), 0)
    else:
        place = ar.where(ar.lt(known, n), known, ar.full_like(known, (n - 1) // 2))
    place = view.reshape(place, shape=red.kept(x, (axis,)))
    return _without(take_along(order, place, axis), axis)


def _median_along(x: Value, name: str, dim: int, keepdim: bool) -> tuple[Value, Value]:
    if x.dtype.kind == "b":
        raise NotImplementedError("\"median_cpu\" not implemented for 'Bool'")
    axis = wrap_axis(dim, x.ndim)
    if not x.shape:
        return x, ar.full((), 0, dtypes.int64)
    refuse_empty("median", x, (axis,))
    return picked(x, _median_index(x, axis, name == "nanmedian"), axis, keepdim)


def _median(x: Value, name: str) -> Value:
    """The median of all elements; those equal to it share its gradient."""
    if x.dtype.kind == "b":
        raise NotImplementedError("\"median_cpu\" not implemented for 'Bool'")
    if not x.size:
        return ar.full(
            (), float("nan") if x.dtype.kind == "f" else dtypes.iinfo(x.dtype).min, x.dtype
        )
    flat = view.reshape(x, shape=(x.size,))
    value = picked(source.detach(flat), _median_index(flat, 0, name == "nanmedian"), 0, False)[0]
    if not x.tracked:
        return value
    same = ar.logical_or(ar.eq(flat, value), ar.logical_and(el.ne(flat, flat), ar.ne(value, value)))
    share = ar.div(ar.cast(same, x.dtype), red.sum_(ar.cast(same, x.dtype), axes=(0,)))
    return source.relink(value, red.sum_(ar.mul(flat, share), axes=(0,)))


def _mode(x: Value, dim: int, keepdim: bool) -> tuple[Value, Value]:
    """The longest run of the sorted row: its value (the least of several), the last index of it."""
    axis = wrap_axis(dim, x.ndim)
    if not x.shape:
        return x, ar.full((), 0, dtypes.int64)
    refuse_empty("mode", x, (axis,))
    n = x.shape[axis]
    order = ordered.argsort(x, axis=axis, descending=False)
    row = take_along(source.detach(x), order, axis)
    shape = tuple(n if a == axis else 1 for a in range(x.ndim))
    place = ar.expand(view.reshape(source.iota(size=n), shape=shape), x.shape)
    first = ar.full(red.kept(x, (axis,)), True, dtypes.bool_)
    starts = view.concat(
        first, el.ne(_part(row, axis, 1, n), _part(row, axis, 0, n - 1)), axis=axis
    )
    start = ordered.cum_argmax(ar.where(starts, place, ar.full_like(place, -1)), axis=axis)
    longest = red.argmax(ar.sub(place, start), axes=(axis,))
    index = take_along(order, view.reshape(longest, shape=red.kept(x, (axis,))), axis)
    return picked(x, _without(index, axis), axis, keepdim)


INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(
    x: Value, q: Value, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool
) -> Value:
    name = "nanquantile" if ignore_nan else "quantile"
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if not x.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    rank = x.ndim
    axis = 0 if dim is None else wrap_axis(dim, rank)
    rest = () if dim is None else x.shape[:axis] + x.shape[axis + 1 :]
    if dim is None or not rank:
        rows = view.reshape(x, shape=(x.size,))
    else:
        rows = view.permute(x, order=(*(a for a in range(rank) if a != axis), axis))
    n, last = rows.shape[-1], rows.ndim - 1
    count = q.shape[0] if q.shape else 1
    row = take_along(rows, ordered.argsort(rows, axis=last, descending=False), last)
    nan = ar.cast(el.ne(rows, rows), dtypes.int64)
    bad = view.reshape(red.sum_(nan, axes=(last,)), shape=(*rows.shape[:-1], 1))
    weights = ar.cast(view.reshape(q, shape=(count,)), x.dtype)
    if ignore_nan:
        spot = ar.mul(weights, ar.maximum(ar.cast(ar.sub(n - 1, bad), x.dtype), 0.0))
    else:
        spot = ar.where(
            ar.gt(bad, 0), ar.full((), float(n - 1), x.dtype), ar.mul(weights, float(n - 1))
        )
    result = _between(row, spot, last, interpolation)
    shape: tuple[int, ...] = rest
    if keepdim:
        shape = (1,) * rank if dim is None else red.kept(x, (axis,)) if rank else ()
    if not q.shape:
        return view.reshape(result, shape=shape)
    order = (last, *range(last))
    return view.reshape(view.permute(result, order=order), shape=(count, *shape))


def _between(row: Value, spot: Value, axis: int, interpolation: str) -> Value:
    """Elements of sorted rows at fractional places."""
    spot = source.detach(spot)
    if interpolation in ("lower", "higher", "nearest"):
        rounded = {"lower": el.floor, "higher": el.ceil, "nearest": el.round_}[interpolation](spot)
        return take_along(row, ar.cast(rounded, dtypes.int64), axis)
    low = el.floor(spot)
    weight = ar.full_like(spot, 0.5) if interpolation == "midpoint" else ar.sub(spot, low)
    below = take_along(row, ar.cast(low, dtypes.int64), axis)
    above = take_along(row, ar.cast(el.ceil(spot), dtypes.int64), axis)
    near = ar.lt(weight, 0.5)
    span = ar.sub(above, below)
    return el.where(near, below + weight * span, above - span * (1.0 - weight))


MEDIAN, MEDIAN_DIM = PureOp("median", _median), PureOp("median", _median_along, "MedianBackward1")
NANMEDIAN = PureOp("nanmedian", _median)
NANMEDIAN_DIM = PureOp("nanmedian", _median_along, "NanmedianBackward1")
MODE = PureOp("mode", _mode)
QUANTILE = PureOp("quantile", _quantile, "SqueezeBackward4")
MedianResult = result_type("median", "values", "indices")
NanmedianResult = result_type("nanmedian", "values", "indices")
ModeResult = result_type("mode", "values", "indices")


@numpy_names
def median(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The lower median of all elements, or (values, indices) along `dim`; NaN if any element is."""
    if dim is None:
        return write_out(unary(MEDIAN, checked("median", input), ("median",)), out)
    attributes = ("median", dim_of("median", dim), bool(keepdim))
    return MedianResult(
        write_outs(record_many(MEDIAN_DIM, (checked("median", input),), attributes), out)
    )


@numpy_names
def nanmedian(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The lower median of the elements that are not NaN, or (values, indices) along `dim`."""
    if dim is None:
        return write_out(unary(NANMEDIAN, checked("nanmedian", input), ("nanmedian",)), out)
    attributes = ("nanmedian", dim_of("nanmedian", dim), bool(keepdim))
    results = record_many(NANMEDIAN_DIM, (checked("nanmedian", input),), attributes)
    return NanmedianResult(write_outs(results, out))


@numpy_names
def mode(input: Tensor, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> Any:
    """(the most frequent value along `dim`, the least of several; its last index)."""
    attributes = (dim_of("mode", dim), bool(keepdim))
    return ModeResult(write_outs(record_many(MODE, (checked("mode", input),), attributes), out))


def _checked_q(name: str, input: Tensor, q: Any) -> Any:
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {float(q):g}")
        return float(q)
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    values = q._values()
    if not ((values >= 0) & (values <= 1)).all():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return q


def _quantiles(
    name: str,
    input: Tensor,
    q: Any,
    dim: Any,
    keepdim: bool,
    interpolation: str,
    out: Tensor | None,
) -> Tensor:
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    q = _checked_q(name, checked(name, input), q)
    dims = None if dim is None else dim_of(name, dim)
    attributes = (dims, bool(keepdim), interpolation, name == "nanquantile")
    return write_out(record(QUANTILE, (input, q), attributes), out)


@numpy_names
def quantile(
    input: Tensor, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The q-quantiles (q in [0, 1], a number or a 1-d tensor: then the first axis) along `dim`."""
    return _quantiles("quantile", input, q, dim, keepdim, interpolation, out)


@numpy_names
def nanquantile(
    input: Tensor, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`quantile` of the elements that are not NaN."""
    return _quantiles("nanquantile", input, q, dim, keepdim, interpolation, out)


# ---- searching -----------------------------------------------------------------------------------


def _search(rows: Value, x: Value, order: Value | None, right: bool, dtype: DType) -> Value:
    """How many elements of each sorted row are below (or, right, at most) x: a binary search by halves."""
    shape = x.shape
    if rows.ndim > 1 and rows.shape[:-1] != x.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
            "boundaries tensor and input value tensor must match, but we got boundaries tensor "
            f"{list(rows.shape)} and input value tensor {list(x.shape)}"
        )
    common = ar.promoted_dtype(rows, x)
    if order is not None:
        rows = take_along(rows, order, rows.ndim - 1)
    rows, x = ar.cast(rows, common), ar.cast(x, common)
    n = rows.shape[-1]
    low = ar.full(shape, 0, dtypes.int64)
    if not n or not x.size:
        return ar.cast(low, dtype)
    if rows.ndim == 1:
        x = view.reshape(x, shape=(x.size,))
        low = ar.full(x.shape, 0, dtypes.int64)
    high = ar.full_like(low, n)
    for _ in range(n.bit_length()):
        middle = ar.binary(el.floor_divide, ar.add(low, high), 2)
        element = take_along(rows, ar.minimum(middle, n - 1), rows.ndim - 1)
        # Negated comparisons: a NaN is beyond every element.
        beyond = ar.logical_not(el.gt(element, x) if right else el.ge(element, x))
        active = el.lt(low, high)
        low, high = (
            ar.where(ar.logical_and(active, beyond), ar.add(middle, 1), low),
            ar.where(ar.logical_and(active, ar.logical_not(beyond)), middle, high),
        )
    return ar.cast(view.reshape(low, shape=shape), dtype)


SEARCHSORTED = PureOp("searchsorted", _search)


def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, out: Tensor | None = None, sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where `input` would be inserted into sorted rows: before equal elements, or (right) after them."""
    if side not in (None, "left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right "
            "was True"
        )
    right = bool(right) or side == "right"
    checked("searchsorted", sorted_sequence, "sorted_sequence")
    if not isinstance(input, Tensor):
        input = from_array(
            np.asarray(input), dtypes.float64 if isinstance(input, float) else dtypes.int64
        )
    dtype = dtypes.int32 if out_int32 else dtypes.int64
    return write_out(record(SEARCHSORTED, (sorted_sequence, input, sorter), (right, dtype)), out)


def bucketize(
    input: Any,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The bucket of each element between sorted 1-d boundaries."""
    if checked("bucketize", boundaries, "boundaries", 2).ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


# ---- sets and counts, on the host ----------------------------------------------------------------


def _host(array: Any, like: Tensor) -> Tensor:
    """A new tensor of the dtype of `like` from values computed on the host."""
    if like.dtype is dtypes.bfloat16:
        array = dtypes.bfloat16_from_float32(np.asarray(array, np.float32))
    return from_array(array, like.dtype)


def _set_results(values: Tensor, inverse: Any, counts: Any) -> Any:
    results = [values]
    for extra in (inverse, counts):
        if extra is not None:
            results.append(from_array(extra, dtypes.int64))
    return results[0] if len(results) == 1 else tuple(results)


def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The distinct elements (or slices along `dim`), in order; their places in the input, their counts."""
    array = checked("unique", input)._values()
    axis = None if dim is None else wrap_axis(dim, input.ndim)
    if axis is not None and not array.ndim:
        array = array.reshape(1)
    values, inverse, counts = np.unique(
        array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    shape = array.shape if axis is None else (array.shape[axis],)
    return _set_results(
        _host(values, input),
        inverse.reshape(shape) if return_inverse else None,
        counts if return_counts else None,
    )


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along `dim`) that differ from the one before; places and counts as `unique`."""
    array = checked("unique_consecutive", input)._values()
    axis = None if dim is None else wrap_axis(dim, input.ndim)
    shape = array.shape if axis is None else (array.shape[axis],)
    rows = array.reshape(-1) if axis is None else np.moveaxis(array, axis, 0)
    n = rows.shape[0]
    starts = np.ones(n, bool)
    if n:
        starts[1:] = (rows[1:] != rows[:-1]).reshape(n - 1, -1).any(axis=1)
    values = rows[starts] if axis is None else np.moveaxis(rows[starts], 0, axis)
    places = np.flatnonzero(starts)
    return _set_results(
        _host(values, input),
        (np.cumsum(starts) - 1).reshape(shape) if return_inverse else None,
        np.diff(np.append(places, n)) if return_counts else None,
    )


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, .. occurs in a 1-d tensor (or the sum of its weights)."""
    if checked("bincount", input).dtype.kind != "i":
        raise NotImplementedError(
            f"\"bincount_cpu\" not implemented for '{input.dtype.scalar_name}'"
        )
    array = input._values()
    if array.ndim != 1 or (array.size and array.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is None:
        return from_array(np.bincount(array, minlength=minlength), dtypes.int64)
    if weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    dtype = dtypes.float32 if weights.dtype is dtypes.float32 else dtypes.float64
    return from_array(np.bincount(array, weights._values(), minlength), dtype)


def histc(
    input: Tensor, bins: int = 100, min: Any = 0, max: Any = 0, *, out: Tensor | None = None
) -> Tensor:
    """Counts of elements in `bins` equal intervals of [min, max] (of the data's range if both are 0)."""
    if checked("histc", input).dtype.kind != "f":
        raise NotImplementedError(
            f"\"histogram_cpu\" not implemented for '{input.dtype.scalar_name}'"
        )
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    array = input._values().ravel()
    low, high = float(min), float(max)
    if low == high and array.size:
        low, high = float(array.min()), float(array.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    counts = np.histogram(array[(array >= low) & (array <= high)], bins, (low, high))[0]
    return write_out(_host(counts, input), out)


METHODS: dict[str, Callable[..., Any]] = {
    "cumsum": cumsum, "cumsum_": cumsum_, "cumprod": cumprod, "cumprod_": cumprod_, "cummax": cummax,
    "cummin": cummin, "logcumsumexp": logcumsumexp, "diff": diff, "sort": sort, "argsort": argsort,
    "msort": msort, "topk": topk, "kthvalue": kthvalue, "median": median, "nanmedian": nanmedian,
    "mode": mode, "quantile": quantile, "nanquantile": nanquantile, "unique": unique,
    "unique_consecutive": unique_consecutive, "bincount": bincount, "histc": histc,
}  # fmt: skip
__all__ = [
    *(name for name in METHODS if not name.endswith("_")),
    "bucketize", "cumulative_trapezoid", "searchsorted", "trapezoid", "trapz",
]  # fmt: skip
