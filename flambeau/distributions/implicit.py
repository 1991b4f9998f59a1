"""Gamma and Dirichlet numbers with gradients by implicit reparameterisation.

A number x with distribution function F(x; a) moves with its parameter as dx/da = -(dF/da)/(dF/dx)
(Figurnov, Mohamed and Mnih, 2018). The derivatives of the incomplete gamma and beta functions are
summed from their series of positive terms, which converge for every x below the mean; above it the
complement is summed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.distributions._torch import Function, Tensor, finfo
from flambeau.distributions.draws import gamma_numbers
from flambeau.ops.elementwise import digamma as _digamma
from flambeau.ops.elementwise import lgamma as _lgamma
from flambeau.tensor.tensor import from_array

_LARGE_SHAPE = 5000.0  # from here on the cube of a normal is as good


def _psi(x: Any) -> Any:
    return _digamma.reference(np.asarray(x, np.float64))


def _log_gamma(x: Any) -> Any:
    return _lgamma.reference(np.asarray(x, np.float64))


def gamma_slope(x: Any, a: Any) -> Any:
    """dx/da of gamma numbers x with shape a and unit rate (float64 arrays of one shape)."""
    x = np.maximum(np.asarray(x, np.float64), 5e-324)
    a = np.asarray(a, np.float64)
    result = np.empty_like(x)
    large = a > _LARGE_SHAPE
    if large.any():
        result[large] = _large_slope(x[large], a[large])
    small = ~large
    if small.any():
        result[small] = _series_slope(x[small], a[small])
    return result


def _large_slope(x: Any, a: Any) -> Any:
    """Wilson and Hilferty: x = a w^3, w = 1 - 1/(9a) + z/(3 sqrt a), with z held."""
    w = np.cbrt(x / a)
    z = (w - 1 + 1 / (9 * a)) * 3 * np.sqrt(a)
    return w**3 + 3 * a * w**2 * (1 / (9 * a * a) - z / (6 * a**1.5))


def _series_slope(x: Any, a: Any) -> Any:
    """From P(a, x) = sum over k of x^(a+k) e^-x / Gamma(a+k+1), relative to x^(a-1) e^-x / G(a)."""
    log_x = np.log(x)
    term = x / a  # of the series, in units of the density
    psi = _psi(a + 1)
    total = term * (log_x - psi)
    k = 0.0
    while True:
        k += 1
        term = term * (x / (a + k))
        psi = psi + 1 / (a + k)
        change = term * (log_x - psi)
        total = total + change
        if k > 4 and (term * (1 + np.abs(log_x - psi)) <= 1e-16 * (1 + np.abs(total))).all():
            return -total
        if k > 1_000_000:
            return -total


def beta_slope(x: Any, a: Any, b: Any) -> Any:
    """dx/da of beta numbers x with parameters a and b (float64 arrays of one shape)."""
    x, a, b = (np.asarray(v, np.float64) for v in (x, a, b))
    x = np.clip(x, 5e-324, 1 - 1e-16)
    # In units of the density x^(a-1) (1-x)^(b-1) / B(a, b).
    below = x <= (a + 1) / (a + b + 2)
    result = np.empty_like(x)
    if below.any():
        result[below] = -_beta_series(x[below], a[below], b[below])
    if not below.all():
        rest = ~below
        result[rest] = _beta_complement(x[rest], a[rest], b[rest])
    return result


def _summed(first: Any, ratio: Any, weight: Any, weight_step: Any) -> Any:
    """The sum of first * ratio(0) * .. * ratio(n-1) * weight_n, the weights growing by steps."""
    term, total, n = first, first * weight, 0
    while n < 1_000_000:
        term = term * ratio(n)
        weight = weight + weight_step(n)
        change = term * weight
        total = total + change
        n += 1
        if n > 4 and (term * (1 + np.abs(weight)) <= 1e-16 * (1 + np.abs(total))).all():
            break
    return total


def _beta_series(x: Any, a: Any, b: Any) -> Any:
    """d/da of I_x(a, b) = sum G(a+b+n) / (G(a+n+1) G(b)) x^(a+n) (1-x)^b, over the density."""
    return _summed(
        x * (1 - x) / a,
        lambda n: x * (a + b + n) / (a + n + 1),
        np.log(x) + _psi(a + b) - _psi(a + 1),
        lambda n: 1 / (a + b + n) - 1 / (a + n + 1),
    )


def _beta_complement(x: Any, a: Any, b: Any) -> Any:
    """d/da of I_(1-x)(b, a), over the density."""
    y = 1 - x
    return _summed(
        y * x / b,
        lambda n: y * (a + b + n) / (b + n + 1),
        np.log(x) + _psi(a + b) - _psi(a),
        lambda n: 1 / (a + b + n),
    )


def _like(values: Any, tensor: Tensor) -> Tensor:
    return from_array(np.ascontiguousarray(values), dtypes.float64).to(tensor.dtype)


def _doubles(tensor: Tensor) -> Any:
    return tensor.detach()._values().astype(np.float64)


# The slopes are computed on the host with the numbers, so that a backward pass reads no data.
class _StandardGamma(Function):
    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        drawn = _like(gamma_numbers(_doubles(concentration)), concentration)
        drawn = drawn.clamp(min=finfo(concentration.dtype).tiny)
        slope = None
        if ctx.needs_input_grad[0]:
            slope = _like(gamma_slope(_doubles(drawn), _doubles(concentration)), concentration)
        ctx.save_for_backward(slope)
        return drawn

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return grad * slope  # type: ignore[no-any-return]


class _Dirichlet(Function):
    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        parts = np.maximum(gamma_numbers(_doubles(concentration)), np.finfo(np.float64).tiny)
        limits = finfo(concentration.dtype)
        shares = _like(parts / parts.sum(-1, keepdims=True), concentration)
        shares = shares.clamp(min=limits.tiny, max=1 - limits.eps / 2)
        slope = None
        if ctx.needs_input_grad[0]:
            a, x = _doubles(concentration), _doubles(shares)
            moved = beta_slope(x, a, a.sum(-1, keepdims=True) - a) / np.maximum(1 - x, 1e-300)
            slope = _like(moved, concentration)
        ctx.save_for_backward(shares, slope)
        return shares

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        shares, slope = ctx.saved_tensors
        return slope * (grad - (shares * grad).sum(-1, keepdim=True))  # type: ignore[no-any-return]


def standard_gamma(concentration: Tensor) -> Tensor:
    """Gamma numbers of unit rate, differentiable in their shape parameters."""
    drawn: Tensor = _StandardGamma.apply(concentration.contiguous())
    return drawn


def dirichlet(concentration: Tensor) -> Tensor:
    """Dirichlet numbers along the last axis, differentiable in their concentrations."""
    drawn: Tensor = _Dirichlet.apply(concentration.contiguous())
    return drawn


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """The logarithm of the beta function."""
    return a.lgamma() + b.lgamma() - (a + b).lgamma()
