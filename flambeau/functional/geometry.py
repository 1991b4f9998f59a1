"""Traces of matrices, vector products, distances between points."""

from __future__ import annotations

import math
from functools import partial
from typing import cast

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import broadcast_shapes, wrap_axis
from flambeau.functional.folding import checked, safe_root, wide
from flambeau.functional.moments import vector_norm_of
from flambeau.functional.options import axis_name, not_implemented
from flambeau.functional.pointwise import write_same
from flambeau.functional.powers import to_the
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as red
from flambeau.ops import view
from flambeau.ops.contraction import dot as batched_dot
from flambeau.ops.contraction import swap_last
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import binary, unary
from flambeau.tensor.tensor import Tensor

# ---- parts of matrices ---------------------------------------------------------------------------


def _trace(x: Value) -> Value:
    if x.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    if x.dtype.kind == "b":
        raise not_implemented("trace", x.dtype)
    rows, columns = x.shape
    flat = view.reshape(x, shape=(x.size,))
    diagonal = view.slice_(flat, starts=(0,), sizes=(min(rows, columns),), steps=(columns + 1,))
    dtype: DType = x.dtype if x.dtype.kind in "fc" else dtypes.int64
    return red.sum_(ar.cast(diagonal, dtype), axes=(0,))


TRACE = PureOp("trace", _trace)


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal; integers give int64."""
    return cast(Tensor, unary(TRACE, checked("trace", input)))


# ---- geometry ------------------------------------------------------------------------------------


def _cross(a: Value, b: Value, dim: int | None) -> Value:
    if a.ndim != b.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if dim is None:
        shape = broadcast_shapes(a.shape, b.shape)
        if 3 not in shape:
            raise RuntimeError("no dimension of size 3 in input")
        axis = shape.index(3)
    else:
        axis = wrap_axis(dim, a.ndim)
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {-1 if dim is None else dim} must have length 3. Got "
            f"{a.shape[axis]} and {b.shape[axis]}"
        )
    if a.dtype.kind == "b":
        raise not_implemented("cross", a.dtype)
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected scalar type {a.dtype.scalar_name} but found {b.dtype.scalar_name}"
        )
    a, b = ar.broadcast(a, b)
    return ar.sub(
        ar.mul(_rotated(a, axis, 1), _rotated(b, axis, 2)),
        ar.mul(_rotated(a, axis, 2), _rotated(b, axis, 1)),
    )


def _rotated(x: Value, axis: int, by: int) -> Value:
    """Elements `by`, `by` + 1, .. around an axis of extent 3."""
    parts = []
    for start, count in ((by, 3 - by), (0, by)):
        starts = tuple(start if a == axis else 0 for a in range(x.ndim))
        sizes = tuple(count if a == axis else n for a, n in enumerate(x.shape))
        parts.append(view.slice_(x, starts=starts, sizes=sizes, steps=(1,) * x.ndim))
    return view.concat(*parts, axis=axis)


def _check_points(a: Value, b: Value) -> None:
    for place, x in enumerate((a, b), 1):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, X{place} got: {x.ndim}D")
        if x.dtype.kind != "f":
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, X{place} got: {x.dtype.scalar_name}"
            )
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )


def distance_of(apart: Value, p: float, skips_nan: bool = False) -> Value:
    """The p-norm of differences along the last axis, as PyTorch's kernels of distances have it:
    NaN counts, but in the largest difference of `cdist` (`skips_nan`), and each of the largest
    takes the whole cotangent.
    """
    axes, nan = (apart.ndim - 1,), el.ne(apart, apart)
    if p == 0:
        ones = ar.cast(ar.ne(apart, 0), apart.dtype)
        distance = red.sum_(el.where(nan, apart, ones), axes=axes)
    elif math.isinf(p) and skips_nan:
        distance = red.max_(el.where(nan, ar.zeros_like(apart), el.abs_(apart)), axes=axes)
    else:
        distance = vector_norm_of(apart, p, axes, False)
    return with_derivative(distance, apart, partial(_distance_slope, p, skips_nan))


def _distance_slope(p: float, skips_nan: bool, ct: Value, apart: Value) -> Value:
    if p == 0:
        return ar.zeros_like(apart)
    kept = (*ct.shape, 1)
    distance = view.reshape(distance_of(apart, p, skips_nan), shape=kept)
    ct, size = view.reshape(ct, shape=kept), el.abs_(apart)
    sign = el.where(el.ne(apart, apart), apart, el.sign(apart))
    if p == 1:
        return ar.mul(ct, sign)
    if math.isinf(p):
        off = el.ceil(el.abs_(ar.sub(distance, size)))
        return ar.mul(ar.mul(ct, sign), ar.sub(1.0, el.minimum(off, ar.full_like(off, 1))))
    none = ar.eq(distance, 0)
    if p == 2:
        slope = ar.div(ar.mul(ct, apart), distance)
    else:
        powers = ar.mul(sign, to_the(size, p - 1)) if p < 2 else ar.mul(apart, to_the(size, p - 2))
        slope = ar.div(ar.mul(powers, ct), to_the(distance, p - 1))
        none = ar.logical_or(none, ar.eq(apart, 0)) if p < 1 else none
    return ar.where(none, ar.zeros_like(slope), slope)


def _cdist(a: Value, b: Value, p: float, by_product: bool | None) -> Value:
    """Distances of all pairs of rows; Euclidean ones of many rows through a matrix product."""
    _check_points(a, b)
    dtype = ar.promoted_dtype(a, b)
    a, b = wide(ar.cast(a, dtype)), wide(ar.cast(b, dtype))
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = ar.expand(a, (*batch, *a.shape[-2:])), ar.expand(b, (*batch, *b.shape[-2:]))
    rows, columns, depth = a.shape[-2], b.shape[-2], a.shape[-1]
    if not depth:
        return ar.full((*batch, rows, columns), 0, dtype)
    if by_product is None:
        by_product = rows > 25 or columns > 25
    if p == 2 and by_product:
        last = (a.ndim - 1,)
        left = view.reshape(red.sum_(ar.mul(a, a), axes=last), shape=(*batch, rows, 1))
        right = view.reshape(red.sum_(ar.mul(b, b), axes=last), shape=(*batch, 1, columns))
        square = ar.sub(ar.add(left, right), ar.mul(batched_dot(a, swap_last(b)), 2.0))
        zero = ar.zeros_like(square)
        return ar.cast(safe_root(el.where(el.lt(square, zero), zero, square)), dtype)
    apart = ar.sub(
        view.reshape(a, shape=(*batch, rows, 1, depth)),
        view.reshape(b, shape=(*batch, 1, columns, depth)),
    )
    return ar.cast(distance_of(apart, p, skips_nan=True), dtype)


CROSS = PureOp("cross", _cross, "LinalgCrossBackward0")
CDIST = PureOp("cdist", _cdist)
_CDIST_MODES = {
    "use_mm_for_euclid_dist_if_necessary": None,
    "use_mm_for_euclid_dist": True,
    "donot_use_mm_for_euclid_dist": False,
}


@axis_name
def cross(
    input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The vector product along `dim` (the first axis of extent 3 unless told)."""
    checked("cross", other, "other", 2)
    result = binary(CROSS, checked("cross", input), other, (dim,))
    return write_same(result, out, beside=(input, other))


@axis_name
def linalg_cross(
    input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None
) -> Tensor:
    """The vector product along `dim` (`linalg.cross`)."""
    return cross(input, other, dim, out=out)


def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """The p-norm distances between the rows of [.., n, d] and of [.., m, d]: [.., n, m]."""
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if compute_mode not in _CDIST_MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    checked("cdist", x2, "x2", 2)
    attributes = (float(p), _CDIST_MODES[compute_mode])
    return cast(Tensor, binary(CDIST, checked("cdist", x1, "x1"), x2, attributes))
