"""Moments and norms: variance, deviation, p-norms, distances, log-sum-exp.

Half precision is folded in float32; variances of float32 are in double precision.
"""

from __future__ import annotations

import builtins
import math
import warnings
from functools import partial
from typing import Any, cast

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import wrap_axes
from flambeau.functional.folding import (
    Dims,
    checked,
    dims_of,
    dtype_of,
    extent,
    folded,
    safe_root,
    wide,
)
from flambeau.functional.options import numpy_names
from flambeau.functional.pointwise import SUB, write_out, write_same
from flambeau.functional.powers import to_the
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as red
from flambeau.ops import source, view
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import record, record_many, unary
from flambeau.tensor.tensor import Tensor

# ---- moments -------------------------------------------------------------------------------------


MOMENT_NAMES = {
    "var": "std and var", "std": "std and var", "var_mean": "var_mean",
    "std_mean": "std_mean",
}  # fmt: skip


def _moments(
    x: Value, name: str, dims: Dims, keepdim: bool, correction: float
) -> tuple[Value, Value]:
    """(variance or deviation, mean) in the operand's dtype (a real variance of complex numbers)."""
    if x.dtype.kind not in "fc":
        raise RuntimeError(f"{MOMENT_NAMES[name]} only support floating point and complex dtypes")
    axes = wrap_axes(dims, x.ndim)
    count = extent(x, axes)
    if count - correction <= 0:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction "
            "factor (input numel divided by output numel).",
            stacklevel=2,
        )
    # In double precision, as in PyTorch: squares of large numbers are no float32.
    data = ar.cast(x, dtypes.float64) if x.dtype is dtypes.float32 else wide(x)
    center = ar.div(folded(red.sum_, data, axes, True), float(count))
    distance = ar.sub(data, _refined(center, data, axes, x.dtype))
    square = ar.mul(distance, ar.conj(distance))
    square = el.real(square) if x.dtype.is_complex else square
    total = folded(red.sum_, square, axes, keepdim)
    spread = ar.div(total, builtins.max(count - correction, 0.0))
    deviates = name.startswith("std")
    if deviates:
        spread = safe_root(spread) if x.dtype.is_complex else el.sqrt(spread)
    spread = ar.cast(spread, x.dtype.to_real())
    if name.endswith("mean") and count > 1 and not x.dtype.is_complex:
        # PyTorch takes the mean along: what is not finite makes NaN of it.
        known = ar.eq(ar.sub(center, center), 0)
        found = ar.where(known, source.detach(center), ar.full_like(center, math.nan))
        center = source.relink(found, center)
    if not x.dtype.is_complex:
        slope = partial(_spread_slope, deviates, axes, dims is None, correction)
        spread = with_derivative(spread, x, slope)
    return spread, ar.cast(view.reshape(center, shape=spread.shape), x.dtype)


def _refined(mean: Value, data: Value, axes: tuple[int, ...], dtype: DType) -> Value:
    """The mean of doubles without the rounding of their sum: of equal numbers that number itself,
    so that they do not spread. (Floats are summed in double precision, which is enough.)
    """
    count = extent(data, axes)
    if dtype is not dtypes.float64 or count < 2:
        return mean
    off = folded(red.sum_, ar.sub(data, mean), axes, True)
    off = ar.where(
        ar.eq(off, off), off, ar.zeros_like(off)
    )  # (infinities are left to what follows)
    return ar.add(mean, ar.div(off, float(count)))


def _spread_slope(
    deviates: bool, axes: tuple[int, ...], whole: bool, correction: float, ct: Value, x: Value
) -> Value:
    """The cotangent of x for that of its variance or deviation, rounded where PyTorch rounds."""
    kept = red.kept(x, axes)
    ct = view.reshape(ct, shape=kept)
    if deviates:
        root = _moments(x, "std", axes, True, correction)[0]
        ct = el.where(ar.eq(root, 0), ar.zeros_like(ct), ct / (root * 2.0))
    count = extent(x, axes)
    mean = ar.div(folded(red.sum_, wide(x), axes, True), float(count))
    mean = ar.cast(_refined(mean, wide(x), axes, x.dtype), x.dtype)
    free = count - correction
    distance = ar.sub(x, mean)
    if whole and free <= 0:
        same = ar.eq(distance, 0)
        steep = ar.where(same, ar.full_like(x, math.nan), ar.full_like(x, math.inf))
        return ar.mul(ct, steep)
    return ar.mul(ar.mul(ct, 2.0 / free if free else math.inf), distance)


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


def _norm(x: Value, p: float, axes: tuple[int, ...]) -> Value:
    """(sum |x|^p)^(1/p), or its limit, with its axes kept."""
    size = el.abs_(x)
    if math.isinf(p):
        return folded(red.max_ if p > 0 else red.min_, size, axes, True)
    alone = extent(x, axes) == 1 and x.dtype.is_floating_point and p > 0
    if p == 1 or alone:  # of one element every norm is its size, without powers that overflow
        return folded(red.sum_, size, axes, True)
    if p == 2:
        square = ar.mul(x, x) if not x.dtype.is_complex else el.real(ar.mul(x, ar.conj(x)))
        return el.sqrt(folded(red.sum_, square, axes, True))
    total = folded(red.sum_, el.pow_(size, ar.full_like(size, p)), axes, True)
    return el.pow_(total, ar.full_like(total, 1 / p))


def vector_norm_of(
    x: Value, p: float, dims: Dims, keepdim: bool, dtype: DType | None = None
) -> Value:
    """The p-norm over axes of a value."""
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.scalar_name}"
        )
    x = ar.cast(x, dtype or x.dtype)
    axes = wrap_axes(dims, x.ndim)
    if math.isinf(p) and not extent(x, axes):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {p} norm on an empty tensor because the "
            "operation does "
            "not have an identity"
        )
    if p == 0:
        size = el.abs_(wide(x))
        # The sign is 0 where it is used; through it the gradient is zero instead of missing.
        ones = el.where(ar.to_bool(size), ar.full_like(size, 1), el.sign(size))
        return ar.cast(folded(red.sum_, ones, axes, keepdim), x.dtype.to_real())
    norm = ar.cast(_norm(wide(x), p, axes), x.dtype.to_real())
    norm = with_derivative(norm, x, partial(norm_slope, p, axes))
    kept = () if keepdim else axes
    return view.reshape(norm, shape=tuple(n for a, n in enumerate(norm.shape) if a not in kept))


def norm_slope(p: float, axes: tuple[int, ...], ct: Value, x: Value) -> Value:
    """The cotangent of x for that of its norm (axes kept), by PyTorch's formulas: where the norm
    is 0 it is 0, and its own derivative is NaN.
    """
    sign = el.sign(x)
    if p == 1:
        return ar.mul(sign, ct)
    norm = vector_norm_of(x, p, axes, True)
    zero = ar.eq(norm, 0)
    size = el.abs_(x)
    if p == 2:
        direction = ar.div(x, norm)
        never = ar.expand(zero, direction.shape)
        return ar.mul(ct, el.where(never, ar.zeros_like(direction), direction))
    if math.isinf(p):
        same = ar.cast(ar.logical_or(ar.eq(size, norm), el.ne(size, size)), ct.dtype)
        share = ar.div(ct, ar.cast(folded(red.sum_, wide(same), axes, True), ct.dtype))
        return ar.mul(sign, ar.mul(share, same))
    if p < 1:
        powers = el.where(ar.eq(x, 0), ar.zeros_like(size), to_the(size, p - 1))
        return ar.mul(ar.mul(ar.mul(sign, powers), ct), to_the(norm, 1 - p))
    scaled = ar.mul(sign, to_the(size, p - 1)) if p < 2 else ar.mul(x, to_the(size, p - 2))
    scale = ar.div(ct, to_the(norm, p - 1))
    return ar.mul(scaled, el.where(zero, ar.zeros_like(scale), scale))


def _dist(a: Value, b: Value, p: float) -> Value:
    apart = SUB.function(a, b)
    if ar.promoted_dtype(a, b).kind not in "fc":
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{ar.promoted_dtype(a, b).scalar_name.capitalize()} instead."
        )
    return vector_norm_of(apart, p, None, False)


NORM = PureOp("norm", vector_norm_of, "LinalgVectorNormBackward0")
DIST = PureOp("dist", _dist)


@numpy_names
def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False,
    out: Tensor | None = None, dtype: Any = None,
) -> Tensor:  # fmt: skip
    """The p-norm of the elements over `dim` (2 unless told, any number, inf or -inf)."""
    if p == "nuc":
        from flambeau.functional.rarer_functions import nuclear_norm

        made = nuclear_norm(input if dtype is None else input.to(dtype), dim, keepdim)
        return write_same(made, out)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"only valid string values are 'fro' and 'nuc', found {p}")
    order = 2.0 if p is None or p == "fro" else float(p)
    attributes = (order, dims_of("norm", dim), bool(keepdim), dtype_of(dtype))
    return write_same(unary(NORM, checked("norm", input), attributes), out)


@numpy_names
def vector_norm(
    input: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The vector norm of order `ord` over `dim` (`linalg.vector_norm`)."""
    attributes = (float(ord), dims_of("vector_norm", dim), bool(keepdim), dtype_of(dtype))
    return write_same(unary(NORM, checked("linalg_vector_norm", input), attributes), out)


def dist(input: Tensor, other: Tensor, p: Any = 2) -> Tensor:
    """The p-norm of input - other."""
    checked("dist", other, "other", 2)
    return cast(Tensor, record(DIST, (checked("dist", input), other), (float(p),)))


def _logsumexp(x: Value, dims: Dims, keepdim: bool) -> Value:
    x = ar.cast(x, ar.float_dtype(x))
    axes = wrap_axes(dims, x.ndim)
    if not extent(x, axes):
        shape = tuple(n for a, n in enumerate(x.shape) if a not in axes)
        nothing = ar.full(red.kept(x, axes) if keepdim else shape, -math.inf, x.dtype)
        return source.relink(
            nothing, ar.expand(red.sum_(x, axes=tuple(range(x.ndim))), nothing.shape)
        )
    data = wide(x)
    size = el.real(data) if data.dtype.is_complex else data
    high = source.detach(folded(red.max_, size, axes, True))
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
