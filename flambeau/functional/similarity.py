"""Vector norms, normalize, cosine similarity and distances: those of torch.nn.functional."""

from __future__ import annotations

from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional import pointwise
from flambeau.functional.geometry import distance_of
from flambeau.functional.moments import vector_norm_of
from flambeau.functional.neural import (
    HALVES,
    axis,
    binary,
    column,
    constant,
    flag,
    floating,
    record,
    unary,
    widened,
    zeros_from,
)
from flambeau.functional.options import WHOLE, not_implemented
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source
from flambeau.ops.indexed import take
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.tensor.tensor import Tensor


def _normalize(x: Value, p: float, dim: Any, eps: float) -> Value:
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.scalar_name}"
        )
    dims = dim if isinstance(dim, tuple) else (dim,)
    axes = tuple(sorted(axis(d, x.ndim) for d in dims))
    data = column(x, x.shape or (1,))
    length = vector_norm_of(data, p, axes, True)
    least = constant(eps, length)
    length = el.where(el.lt(length, least), least, length)
    return column(ar.div(data, length), x.shape)


NORMALIZE = PureOp("normalize", _normalize, "DivBackward0", preserves=True)


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """x / max(p-norm of x along dim, eps)."""
    try:
        result = unary(
            NORMALIZE, input, (float(p), tuple(dim) if isinstance(dim, list) else dim, float(eps))
        )
        return result if out is None else pointwise.write_out(result, out)
    except Exception:
        refuse_misgiven()
        raise


def cosine_value(x1: Value, x2: Value, a: int, eps: float) -> Value:
    """x1 x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis; clamping passes the gradient."""
    parts = []
    for x in (x1, x2):
        length = vector_norm_of(x, 2.0, (a,), False)
        clamped = el.maximum(source.detach(length), constant(eps, length))
        length = source.relink(clamped, length) if length.tracked else clamped
        parts.append(el.div(x, rd.spread(length, x, (a,))))
    return rd.sum_(parts[0] * parts[1], axes=(a,))


def _cosine_similarity(x1: Value, x2: Value, dim: int, eps: float) -> Value:
    dtype = ar.promoted_dtype(x1, x2)
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {dtype.scalar_name}"
        )
    left, right = ar.broadcast(widened(ar.cast(x1, dtype)), widened(ar.cast(x2, dtype)))
    a = axis(dim, left.ndim)
    left, right = (column(x, x.shape or (1,)) for x in (left, right))
    return ar.cast(cosine_value(left, right, a, eps), dtype)


COSINE = PureOp("cosine_similarity", _cosine_similarity, "SumBackward1")


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between x1 and x2 along dim (broadcast)."""
    try:
        return binary(COSINE, x1, x2, (dim, float(eps)))
    except Exception:
        refuse_misgiven()
        raise


def distance_value(x1: Value, x2: Value, p: float, eps: float, keepdim: bool = False) -> Value:
    """The p-norm of x1 - x2 + eps along the last axis."""
    common = ar.promoted_dtype(x1, x2)
    dtype = floating(common)
    if dtypes.bool_ in (x1.dtype, x2.dtype):
        pointwise.SUB.function(x1, x2)  # which refuses them
    if common.kind in WHOLE:  # whose difference is taken first: unsigned numbers wrap around
        difference = ar.cast(pointwise.SUB.function(x1, x2), dtype)
    else:
        difference = ar.sub(*[widened(ar.cast(x, dtype)) for x in (x1, x2)])
    last = difference.ndim - 1
    result = vector_norm_of(difference + eps, p, (last,), False)
    if keepdim:
        result = column(result, (*result.shape, 1))
    return result if dtype.is_complex else ar.cast(result, dtype)


PAIRWISE = PureOp("pairwise_distance", distance_value, "NormBackward1")


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 along the last dimension."""
    try:
        operands: tuple[Any, ...] = (x1, x2)
        if not all(isinstance(x, Tensor) for x in operands):
            refuse_misgiven()
        return record(PAIRWISE, operands, (float(p), float(eps), flag(keepdim)))
    except Exception:
        refuse_misgiven()
        raise


def _pairs(n: int) -> tuple[Value, Value]:
    """The rows i < j of each of the n (n - 1) / 2 pairs, ordered by i, then j."""
    number = source.iota(size=n * (n - 1) // 2)

    def start(i: Value) -> Value:  # the number of the first pair of row i
        return ar.sub(ar.mul(i, n), ar.binary(el.floor_divide, ar.mul(i, ar.add(i, 1)), 2))

    place = ar.cast(number, dtypes.float64)
    root = el.sqrt(ar.add(ar.mul(place, -8.0), float((2 * n - 1) ** 2)))
    i = ar.cast(el.floor(ar.mul(ar.sub(2.0 * n - 1.0, root), 0.5)), dtypes.int64)
    i = ar.where(ar.gt(start(i), number), ar.sub(i, 1), i)  # the root is rounded
    i = ar.where(ar.le(start(ar.add(i, 1)), number), ar.add(i, 1), i)
    return i, ar.add(ar.add(ar.sub(number, start(i)), i), 1)


def _pdist(x: Value, p: float) -> Value:
    if x.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {x.ndim}D")
    if not x.dtype.is_floating_point:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if x.dtype in HALVES:
        raise not_implemented("pdist", x.dtype)
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    n, width = x.shape
    if n < 2 or not width:
        return zeros_from(x, (n * (n - 1) // 2,))
    i, j = _pairs(n)
    return distance_of(take(x, i, what="index") - take(x, j, what="index"), p)


PDIST = PureOp("pdist", _pdist, "PdistBackward0")


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distance of every pair of rows of [N, M], as [N (N - 1) / 2], upper triangle."""
    return unary(PDIST, input, (float(p),))


# Names of the torch namespace.
__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]
