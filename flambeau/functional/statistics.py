"""Covariance, correlation, and rows cut to a norm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_axis
from flambeau.functional.folding import checked, folded
from flambeau.functional.moments import norm_slope, vector_norm_of
from flambeau.functional.options import axis_name
from flambeau.functional.pointwise import write_same
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import matrix_algebra as ma
from flambeau.ops import reduction as red
from flambeau.ops import view
from flambeau.ops.randomness import require
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.tensor.recording import in_place, record, unary
from flambeau.tensor.tensor import Tensor

# ---- covariance ----------------------------------------------------------------------------------


def _check_observations(name: str, x: Value) -> None:
    if x.ndim > 2:
        raise RuntimeError(
            f"{name}(): expected input to have two or fewer dimensions but got an input with "
            f"{x.ndim} dimensions"
        )
    if x.dtype.kind == "b":
        raise RuntimeError(f"{name}(): bool dtype is not supported for input")


def _check_weights(name: str, weights: Value, count: int, integral: bool) -> None:
    if weights.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
            f"{weights.ndim} dimensions"
        )
    if (weights.dtype.kind == "i") != integral or weights.dtype.kind not in "if":
        kind = "integral" if integral else "floating point"
        raise RuntimeError(
            f"cov(): expected {name} to have {kind} dtype but got {name} with "
            f"{weights.dtype.scalar_name} dtype"
        )
    if weights.size != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the "
            f"input but got {weights.size} != {count}"
        )


def _cov(x: Value, fweights: Value | None, aweights: Value | None, correction: int) -> Value:
    _check_observations("cov", x)
    rows = view.reshape(x, shape=(1, x.size)) if x.ndim < 2 else x
    count = rows.shape[1]
    weights: Value | None = None
    if fweights is not None:
        _check_weights("fweights", fweights, count, True)
        weights = _not_negative("fweights", view.reshape(fweights, shape=(count,)))
    if aweights is not None:
        _check_weights("aweights", aweights, count, False)
        each = _not_negative("aweights", view.reshape(aweights, shape=(count,)))
        weights = each if weights is None else ar.mul(each, weights)
    rows = ar.cast(rows, ar.float_dtype(rows) if weights is None else ar.float_dtype(rows, weights))
    real = rows.dtype.to_real()
    if weights is None:
        total = ar.full((), count, dtypes.int64)  # (not a half type: it may hold too little)
        mean = ar.div(red.sum_(rows, axes=(1,)), total)
        scale = total
    else:
        weights = ar.cast(weights, real)
        scale = total = red.sum_(weights, axes=(0,))
        mean = ar.div(red.sum_(ar.mul(rows, weights), axes=(1,)), total)
    if weights is not None and aweights is not None and correction != 0:
        along = ar.cast(view.reshape(aweights, shape=(count,)), real)
        square = red.sum_(ar.mul(weights, along), axes=(0,))
        norm = ar.sub(scale, ar.mul(ar.div(square, scale), float(correction)))
    else:
        norm = ar.sub(scale, correction)
    norm = ar.where(ar.le(norm, 0.0), ar.zeros_like(norm), norm)
    centred = ar.sub(rows, view.reshape(mean, shape=(rows.shape[0], 1)))
    weighted = centred if weights is None else ar.mul(centred, weights)
    result = ar.div(ma.dot(centred, ma.adjoint(weighted)), norm)
    return view.reshape(result, shape=()) if rows.shape[0] == 1 else result


def _not_negative(name: str, weights: Value) -> Value:
    """The weights; RuntimeError when run if one is negative."""
    error = ("RuntimeError", f"cov(): {name} cannot be negative")
    return require(weights, ar.ge(weights, 0), error=error)


def _corrcoef(x: Value) -> Value:
    _check_observations("corrcoef", x)
    covariance = _cov(x, None, None, 1)
    if not covariance.ndim:
        return ar.div(covariance, covariance)
    deviation = ma.diagonal_of(covariance)
    deviation = el.sqrt(el.real(deviation) if deviation.dtype.is_complex else deviation)
    n = covariance.shape[0]
    by_rows = ar.div(covariance, view.reshape(deviation, shape=(n, 1)))
    scaled = ar.div(by_rows, view.reshape(deviation, shape=(1, n)))
    if scaled.dtype.is_complex:
        return el.complex_(_cut(el.real(scaled)), _cut(el.imag(scaled)))
    return _cut(scaled)


def _cut(x: Value) -> Value:
    return ar.maximum(ar.minimum(x, 1.0), -1.0)


COV = PureOp("cov", _cov, "SqueezeBackward0")
CORRCOEF = PureOp("corrcoef", _corrcoef, "ClampBackward1")


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The covariance matrix of the variables in the rows of `input`, observations in columns."""
    return record(COV, (checked("cov", input), fweights, aweights), (int(correction),))


def corrcoef(input: Tensor) -> Tensor:
    """The correlation coefficients of the variables in the rows of `input`, within [-1, 1]."""
    return unary(CORRCOEF, checked("corrcoef", input))


# ---- renorm --------------------------------------------------------------------------------------


def _renorm(x: Value, p: float, dim: int, maxnorm: float) -> Value:
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    if x.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {x.ndim} dimensions")
    axis = wrap_axis(dim, x.ndim)
    others = tuple(a for a in range(x.ndim) if a != axis)
    norms = vector_norm_of(x, p, others, True)
    factor = ar.div(maxnorm, ar.add(norms, 1e-7))
    factor = ar.where(ar.gt(norms, maxnorm), factor, ar.full_like(norms, 1))
    result = ar.mul(x, ar.cast(factor, x.dtype.to_real()))
    return with_derivative(result, x, partial(_renorm_slope, p, others, maxnorm))


def _renorm_slope(p: float, axes: tuple[int, ...], maxnorm: float, ct: Value, x: Value) -> Value:
    """PyTorch's, in double precision; slices that are not scaled pass it on as it is."""
    dtype = dtypes.complex128 if x.dtype.is_complex else dtypes.float64
    data, given = ar.cast(x, dtype), ar.cast(ct, dtype)
    norms = vector_norm_of(data, p, axes, True)
    along = ar.mul(ar.conj(data), given)
    along = folded(red.sum_, el.real(along) if dtype.is_complex else along, axes, True)
    inverse = el.reciprocal(ar.add(norms, 1e-7))
    across = ar.sub(given, ar.mul(inverse, norm_slope(p, axes, along, data)))
    scaled = ar.cast(ar.mul(ar.mul(inverse, maxnorm), across), ct.dtype)
    return ar.where(ar.gt(norms, maxnorm), scaled, ct)


RENORM = PureOp("renorm", _renorm)
RENORM_ = InplaceOp("renorm_", _renorm, "RenormBackward0")


@axis_name
def renorm(
    input: Tensor, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None
) -> Tensor:
    """Each slice along `dim` scaled down to a p-norm of at most `maxnorm`."""
    attributes = (float(p), int(dim), float(maxnorm))
    result = unary(RENORM, checked("renorm", input), attributes)
    return write_same(result, out, beside=(input,))


@axis_name
def renorm_(self: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """renorm in place."""
    return in_place(RENORM_, self, (), (float(p), int(dim), float(maxnorm)))


METHODS: dict[str, Callable[..., Any]] = {
    "cov": cov, "corrcoef": corrcoef, "renorm": renorm, "renorm_": renorm_,
}  # fmt: skip
__all__ = ["corrcoef", "cov", "renorm"]
