"""What is chosen by rank: medians, modes, quantiles; and places in sorted rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.shapes import wrap_axis
from flambeau.functional.axis_order import movedim
from flambeau.functional.folding import (
    checked,
    dim_of,
    is_nan,
    part,
    picked,
    refuse_empty,
    result_type,
    shared_by_equals,
    take_along,
    without,
    write_outs,
)
from flambeau.functional.options import not_implemented, numpy_names
from flambeau.functional.pointwise import write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import ordered, source, view
from flambeau.ops import reduction as red
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import record, record_many, unary
from flambeau.tensor.tensor import Tensor, from_array

# ---- medians, modes, quantiles -------------------------------------------------------------------


def _count(flags: Value, axis: int) -> Value:
    return red.sum_(ar.cast(flags, dtypes.int64), axes=(axis,))


def _median_index(x: Value, axis: int, ignore_nan: bool) -> Value:
    """The index along `axis` of the lower median (of a NaN if there is any that counts)."""
    n = x.shape[axis]
    order = ordered.argsort(x, axis=axis, descending=False)
    nan = is_nan(x)
    if nan is None:
        return without(part(order, axis, (n - 1) // 2, (n - 1) // 2 + 1), axis)
    known = ar.sub(n, _count(nan, axis))  # NaN sort last: the first of them stands here
    if ignore_nan:
        place = ar.maximum(ar.binary(el.floor_divide, ar.sub(known, 1), 2), 0)
    else:
        place = ar.where(ar.lt(known, n), known, ar.full_like(known, (n - 1) // 2))
    place = view.reshape(place, shape=red.kept(x, (axis,)))
    return without(take_along(order, place, axis), axis)


def _median_along(x: Value, name: str, dim: int, keepdim: bool) -> tuple[Value, Value]:
    if x.dtype.kind in "bc":
        raise not_implemented("median_cpu", x.dtype)
    axis = wrap_axis(dim, x.ndim)
    if not x.shape:
        return x, ar.full((), 0, dtypes.int64)
    refuse_empty("median", x, (axis,))
    return picked(x, _median_index(x, axis, name == "nanmedian"), axis, keepdim)


def _median(x: Value, name: str) -> Value:
    """The median of all elements; those equal to it share its gradient."""
    if x.dtype.kind in "bc":
        raise not_implemented("median_cpu", x.dtype)
    if not x.size:
        return ar.full(
            (), float("nan") if x.dtype.kind == "f" else dtypes.iinfo(x.dtype).min, x.dtype
        )
    flat = view.reshape(x, shape=(x.size,))
    value = picked(source.detach(flat), _median_index(flat, 0, name == "nanmedian"), 0, False)[0]
    return shared_by_equals(value, x) if x.tracked else value


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
    starts = view.concat(first, el.ne(part(row, axis, 1, n), part(row, axis, 0, n - 1)), axis=axis)
    start = ordered.cum_argmax(ar.where(starts, place, ar.full_like(place, -1)), axis=axis)
    longest = red.argmax(ar.sub(place, start), axes=(axis,))
    index = take_along(order, view.reshape(longest, shape=red.kept(x, (axis,))), axis)
    return picked(x, without(index, axis), axis, keepdim)


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
    return view.reshape(result, shape=(*shape, count))


def _between(row: Value, spot: Value, axis: int, interpolation: str) -> Value:
    """Elements of sorted rows at fractional places."""
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
    results = record_many(MODE, (checked("mode", input),), attributes)
    return ModeResult(write_outs(results, out, apart=input))


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
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            "but got "
            f"{interpolation}"
        )
    q = _checked_q(name, checked(name, input), q)
    dims = None if dim is None else dim_of(name, dim)
    attributes = (dims, bool(keepdim), interpolation, name == "nanquantile")
    found: Tensor = record(QUANTILE, (input, q), attributes)
    several = isinstance(q, Tensor) and q.ndim > 0  # then their axis is the first
    return write_out(movedim(found, -1, 0) if several else found, out)


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
    """How many elements of each sorted row are below (right: at most) x, by halving."""
    shape = x.shape
    if rows.ndim > 1 and rows.shape[:-1] != x.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of "
            "boundaries tensor and input value tensor must match, but we got boundaries tensor "
            f"{list(rows.shape)} and input value tensor {list(x.shape)}"
        )
    common = ar.promoted_dtype(rows, x)
    if common.kind in "bc":
        raise not_implemented("searchsorted_out_cpu", common)
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
    """Where `input` belongs in sorted rows: before equal elements, or (right) after them."""
    try:
        if side not in (None, "left", "right"):
            raise RuntimeError(
                f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
            )
        if side == "left" and right:
            raise RuntimeError(
                "torch.searchsorted(): side and right can't be set to opposites, got side of left "
                "while right "
                "was True"
            )
        right = bool(right) or side == "right"
        checked("searchsorted", sorted_sequence, "sorted_sequence")
        if not isinstance(input, Tensor):
            input = from_array(
                np.asarray(input), dtypes.float64 if isinstance(input, float) else dtypes.int64
            )
        dtype = dtypes.int32 if out_int32 else dtypes.int64
        return write_out(
            record(SEARCHSORTED, (sorted_sequence, input, sorter), (right, dtype)), out
        )
    except Exception:
        refuse_misgiven()
        raise


def bucketize(
    input: Any,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The bucket of each element between sorted 1-d boundaries."""
    try:
        if checked("bucketize", boundaries, "boundaries", 2).ndim != 1:
            raise RuntimeError(
                f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})"
            )
        return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)
    except Exception:
        refuse_misgiven()
        raise
