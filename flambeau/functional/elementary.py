"""Rarer pointwise functions: signs and digits of numbers, angles, steps, logits, divisors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.functional.folding import checked, result_type, write_outs
from flambeau.functional.options import not_implemented, refusing
from flambeau.functional.pairs import float_pair, hypot_value, log_of_sum, xlogy_value
from flambeau.functional.pointwise import (
    _binary_op,
    _unary_op,
    write_out,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import integer
from flambeau.ops.source import no_derivative, with_derivative
from flambeau.ops.value import Operand, Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import record_many
from flambeau.tensor.recording import in_place, record, unary
from flambeau.tensor.tensor import Tensor

# ---- one operand ---------------------------------------------------------------------------------


def _truth(x: Value, answer: bool) -> Value:
    return ar.full(x.shape, answer, dtypes.bool_)


def _signbit(x: Value) -> Value:
    if x.dtype.is_complex:
        raise NotImplementedError("signbit is not implemented for complex tensors.")
    if x.dtype.is_floating_point:
        return ar.lt(el.copysign(ar.full_like(x, 1), x), 0)
    return _truth(x, False) if x.dtype.kind == "b" else ar.lt(x, 0)


def _is_infinite(name: str, sign: float) -> Callable[[Value], Value]:
    def apply(x: Value) -> Value:
        if x.dtype.is_complex:
            raise RuntimeError(f"{name} does not support complex inputs.")
        return ar.eq(x, sign * math.inf) if x.dtype.is_floating_point else _truth(x, False)

    return apply


def _isreal(x: Value) -> Value:
    return ar.eq(el.imag(x), 0) if x.dtype.is_complex else _truth(x, True)


def _sinc(x: Value) -> Value:
    dtype = ar.float_dtype(x)
    x = ar.widened(ar.cast(x, dtype))
    zero, one = ar.eq(x, 0), ar.full_like(x, 1)
    angle = ar.mul(ar.where(zero, one, x), math.pi)

    def backward(ct: Value, x: Value) -> Value:
        angle, square = x * math.pi, x * x * math.pi
        slope = ct * ((angle * el.cos(angle) - el.sin(angle)) / square)
        return ar.where(ar.eq(square, 0), 0.0, slope)

    value = ar.where(zero, one, ar.div(el.sin(angle), angle))
    return ar.cast(with_derivative(value, x, backward), dtype)


def _scaled(name: str, factor: float) -> Callable[[Value], Value]:
    def apply(x: Value) -> Value:
        if x.dtype.is_complex:
            raise RuntimeError(f"{name} is not supported for complex tensors.")
        return ar.mul(ar.cast(x, ar.float_dtype(x)), factor)

    return apply


signbit, _ = _unary_op("signbit", _signbit)
isposinf, _ = _unary_op("isposinf", _is_infinite("isposinf", 1.0))
isneginf, _ = _unary_op("isneginf", _is_infinite("isneginf", -1.0))
isreal, _ = _unary_op("isreal", _isreal)
sinc, sinc_ = _unary_op("sinc", _sinc)
deg2rad, deg2rad_ = _unary_op("deg2rad", _scaled("deg2rad", math.pi / 180))
rad2deg, rad2deg_ = _unary_op("rad2deg", _scaled("rad2deg", 180 / math.pi))


def _logit(x: Value, eps: Operand | None) -> Value:
    """log(x / (1 - x)), x limited to [eps, 1 - eps]."""
    if x.dtype.is_complex:
        raise not_implemented("logit_cpu", x.dtype)
    x = ar.cast(x, ar.float_dtype(x))
    low = ar.expand(ar.as_value(0.0 if eps is None else eps, x.dtype), x.shape)
    high = ar.sub(1.0, low)
    limited = x
    if eps is not None:
        limited = ar.where(ar.lt(x, low), low, ar.where(ar.gt(x, high), high, x))

    def backward(ct: Value, x: Value, low: Value, high: Value) -> tuple[Value, None, None]:
        inside = ar.logical_and(ar.ge(x, low), ar.le(x, high))
        outside = math.nan if eps is None else 0.0
        return ar.where(inside, ct / (x * (1.0 - x)), outside), None, None

    value = el.log(ar.div(limited, ar.sub(1.0, limited)))
    return with_derivative(value, (x, low, high), backward)


LOGIT = PureOp("logit", _logit, preserves=True)
LOGIT_ = InplaceOp("logit_", _logit, "LogitBackward0")


def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:
    """log(x / (1 - x)) with x limited to [eps, 1 - eps] where eps is given."""
    return write_out(record(LOGIT, (checked("logit", input), eps)), out, beside=(input,))


def logit_(input: Tensor, eps: float | None = None) -> Tensor:
    """logit in place."""
    return in_place(LOGIT_, input, (eps,))


def _mvlgamma(x: Value, p: int) -> Value:
    if x.dtype.kind == "b":
        raise RuntimeError("The input tensor may not be a boolean tensor.")
    if x.dtype.is_complex:
        raise not_implemented("arange_cpu", x.dtype)
    x = ar.cast(x, ar.float_dtype(x))
    total = ar.full_like(x, p * (p - 1) / 4 * math.log(math.pi))
    for j in range(p):
        total = ar.add(total, el.lgamma(ar.sub(x, j / 2)))
    return total


MVLGAMMA = PureOp("mvlgamma", _mvlgamma, preserves=True)
MVLGAMMA_ = InplaceOp("mvlgamma_", _mvlgamma, "MvlgammaBackward0")


def _order(p: int) -> tuple[int]:
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    return (int(p),)


def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p."""
    return write_out(unary(MVLGAMMA, checked("mvlgamma", input), _order(p)), out)


def mvlgamma_(self: Tensor, p: int) -> Tensor:
    """mvlgamma in place."""
    return in_place(MVLGAMMA_, self, (), _order(p))


def _frexp(x: Value) -> tuple[Value, Value]:
    if not x.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return integer.mantissa(x), integer.exponent(x)


FREXP = PureOp("frexp", _frexp, preserves=True)
_FREXP_RESULT = result_type("frexp", "mantissa", "exponent")


def frexp(input: Tensor, *, out: Any = None) -> Any:
    """(mantissa, exponent): x = mantissa 2^exponent with 0.5 <= |mantissa| < 1."""
    results = record_many(FREXP, (checked("frexp", input),))
    return _FREXP_RESULT(write_outs(results, out, beside=(input,)))


# ---- two operands --------------------------------------------------------------------------------


def _heaviside(a: Operand, b: Operand) -> Value:
    dtype = ar.promoted_dtype(a, b)
    if dtype.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if ar.promoted_dtype(a) is not ar.promoted_dtype(b):
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    x, values = ar.broadcast(ar.as_value(a, dtype), ar.as_value(b, dtype))
    zero = ar.full_like(x, 0)
    step = ar.cast(el.gt(x, zero), dtype)
    result = el.where(el.eq(x, zero), values, step)
    return with_derivative(result, (x, values), no_derivative("heaviside"))


def _integers(name: str, a: Operand, b: Operand) -> list[Value]:
    dtype = ar.promoted_dtype(a, b)
    if dtype.kind not in "iu":
        raise not_implemented(name, dtype)
    return ar.broadcast(ar.as_value(a, dtype), ar.as_value(b, dtype))


def _gcd(a: Operand, b: Operand) -> Value:
    return integer.gcd(*_integers("gcd_cpu", a, b))


def _lcm(a: Operand, b: Operand) -> Value:
    x, y = _integers("lcm_cpu", a, b)
    divisor = integer.gcd(x, y)
    safe = ar.where(ar.eq(divisor, 0), ar.full_like(divisor, 1), divisor)
    product = ar.mul(ar.binary(el.trunc_divide, x, safe), y)
    return el.abs_(product) if x.dtype.is_signed else product


def _ldexp(a: Operand, b: Operand) -> Value:
    whole = isinstance(a, Value) and a.dtype.kind == "f" and ar.promoted_dtype(b).kind in "ib"
    if whole and ar.promoted_dtype(b).kind == "b":
        raise not_implemented("ldexp_cpu_exp", dtypes.bool_)
    power = ar.apply(el.pow_, (2.0, b), ar.float_dtype(a if whole else b))
    dtype = ar.promoted_dtype(a, power)
    if dtype.is_complex or not isinstance(b, Value):
        return ar.mul(a, power)
    x, places, power = ar.broadcast(*[ar.as_value(v, dtype) for v in (a, b, power)])
    made = _scaled_by(x, ar.expand(b, x.shape)) if whole else ar.mul(x, power)
    return _ldexp_value(x, places, made)


def _ldexp_value(x: Value, places: Value, made: Value) -> Value:
    def backward(ct: Value, x: Value, places: Value) -> tuple[Value, Value]:
        power = ar.apply(el.pow_, (2.0, places), x.dtype)
        again = _ldexp_value(x, places, ar.mul(x, power))
        return ct * power, ct * again * math.log(2)

    return with_derivative(made, (x, places), backward)


def _scaled_by(x: Value, places: Value) -> Value:
    """x 2^places for whole numbers, in steps: the power alone may be no number of the dtype."""
    result, left = ar.cast(x, dtypes.float64), ar.cast(places, dtypes.float64)
    for _ in range(3):
        step = ar.maximum(ar.minimum(left, 1000.0), -1000.0)
        result = result * ar.apply(el.pow_, (2.0, step), dtypes.float64)
        left = left - step
    return ar.cast(result, x.dtype)


def _hypot(a: Operand, b: Operand) -> Value:
    return hypot_value(*float_pair(a, b))


def _logaddexp(a: Operand, b: Operand) -> Value:
    x, y = float_pair(a, b)
    if x.dtype.is_complex:
        more = el.ge(el.real(x), el.real(y))
        high, low = el.where(more, x, y), el.where(more, y, x)
        return high + el.log1p(el.exp(low - high))
    return log_of_sum(x, y, el.log1p(el.exp(el.neg(el.abs_(x - y)))), 1.0)


def _logaddexp2(a: Operand, b: Operand) -> Value:
    x, y = float_pair(a, b)
    tail = ar.mul(el.log1p(el.exp2(el.neg(el.abs_(x - y)))), 1 / math.log(2))
    return log_of_sum(x, y, tail, math.log(2))


heaviside, heaviside_, _F = _binary_op("heaviside", _heaviside, numbers="none", second="values")
gcd, gcd_, _F = _binary_op("gcd", _gcd, numbers="none")
lcm, lcm_, _F = _binary_op("lcm", _lcm, numbers="none")
ldexp, ldexp_, _F = _binary_op("ldexp", _ldexp, numbers="none")
hypot, hypot_, _F = _binary_op("hypot", refusing("hypot_cpu", _hypot, "ibc"), numbers="none")
xlogy, xlogy_, _F = _binary_op(
    "xlogy", refusing("xlogy_cpu", lambda a, b: xlogy_value(*float_pair(a, b)), "c")
)
logaddexp, _, _F = _binary_op("logaddexp", refusing("logaddexp_cpu", _logaddexp), numbers="none")
logaddexp2, _, _F = _binary_op(
    "logaddexp2", refusing("logaddexp2_cpu", _logaddexp2, "ibc"), numbers="none"
)


METHODS: dict[str, Callable[..., Any]] = {
    "signbit": signbit, "isposinf": isposinf, "isneginf": isneginf, "isreal": isreal,
    "sinc": sinc, "sinc_": sinc_, "deg2rad": deg2rad, "deg2rad_": deg2rad_, "rad2deg": rad2deg,
    "rad2deg_": rad2deg_, "logit": logit, "logit_": logit_, "mvlgamma": mvlgamma,
    "mvlgamma_": mvlgamma_, "frexp": frexp, "heaviside": heaviside, "heaviside_": heaviside_,
    "gcd": gcd, "gcd_": gcd_, "lcm": lcm, "lcm_": lcm_, "ldexp": ldexp, "ldexp_": ldexp_,
    "logaddexp2": logaddexp2, "logaddexp": logaddexp, "hypot": hypot, "hypot_": hypot_,
    "xlogy": xlogy, "xlogy_": xlogy_,
}  # fmt: skip
__all__ = [
    *(name for name in METHODS if not name.endswith("_")),
    "xlogy_", "deg2rad_", "gcd_", "lcm_", "ldexp_", "logit_", "rad2deg_", "sinc_",
]  # fmt: skip
