"""Elementwise primitives: one result element from the operand elements at the same place.

Operands of a primitive have equal shapes; equal dtypes too except where a rule says otherwise.
Broadcasting, promotion and casts are explicit values that `flambeau.ops.arithmetic` inserts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import gamma_functions, inner_loops
from flambeau.ops.fused import fused
from flambeau.ops.inner_loops import Loops
from flambeau.ops.primitive import ELEMENTWISE, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value

BLOCK = 1 << 16  # elements that the reference computes at once in a wider form


class Elementwise(Primitive):
    family = ELEMENTWISE
    leads = True
    result: ClassVar[DType | None] = None  # dtype of the result where it is not the operands'

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        first = inputs[-1]
        for other in inputs[:-1]:
            assert other.shape == first.shape, (self.name, other, first)
        return first.shape, self.result or first.dtype


class Unary(Elementwise):
    """A float function given by its NumPy ufunc and its derivative f'(x, f(x))."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        derivative: Callable[[Value, Value], Any] | None,
    ) -> None:
        self.name = name  # type: ignore[misc]
        self._function = function
        self._derivative = derivative
        self.differentiable = derivative is not None  # type: ignore[misc]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        assert self._derivative is not None
        if out.dtype.is_complex:
            return (ar.mul(ct, ar.conj(self._derivative(inputs[0], out))),)
        return (ar.mul(ct, self._derivative(inputs[0], out)),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(self._function(arrays[0]))

    def inner_loops(self, v: Value) -> Loops | None:
        return inner_loops.elements(self._function, v)


class Divided(Unary):
    """A function whose derivative is 1 / d(x, f(x)). A cotangent is divided by d, as PyTorch does:
    reciprocals of the smallest numbers overflow, and they round once more.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], divisor: Callable[[Value, Value], Value]
    ) -> None:
        super().__init__(name, function, lambda x, y: reciprocal(divisor(x, y)))
        self._divisor = divisor

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (ar.div(ct, ar.conj(self._divisor(inputs[0], out))),)


class InverseRoot(Unary):
    """1 / sqrt(x). A cotangent is multiplied by the result three times, not by its cube, which is
    lost where it goes below the smallest number: a normalisation of numbers of 1e14 needs it.
    """

    def __init__(self) -> None:
        super().__init__(
            "rsqrt", lambda x: (1 / np.sqrt(x)).astype(x.dtype), lambda x, y: y * y * y * -0.5
        )

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        root = ar.conj(out)
        return (ar.mul(ar.mul(ar.mul(ct, root), root), root) * -0.5,)


class ZeroDerivative(Unary):
    """A piecewise constant function: its gradient exists and is zero."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__(name, function, lambda x, y: 0.0)

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (ar.zeros_like(ct),)


class Sign(ZeroDerivative):
    """-1, 0 or 1, of NaN 0; of a complex operand x / |x|, and 0 of 0."""

    def __init__(self) -> None:
        super().__init__("sign", np.sign)

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        if not out.dtype.is_complex:
            return super().vjp(ct, out, *inputs, **attrs)
        size = abs_(inputs[0])
        zero = eq(size, ar.zeros_like(size))
        along = ar.mul(real(ar.mul(ct, _conj(out))), out)
        slope = ar.div(ct - along, where(zero, ar.full_like(size, 1), size))
        return (where(zero, ar.zeros_like(ct), slope),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        if x.dtype.kind != "c":
            found = np.asarray(np.sign(x))
            return found if x.dtype.kind != "f" else np.where(np.isnan(x), x.dtype.type(0), found)
        size = np.abs(x)
        return np.asarray(np.divide(x, size, out=np.zeros_like(x), where=size != 0))


class Binary(Elementwise):
    """A two-operand function: NumPy meaning and the two cotangents (given ct, a, b, out)."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        cotangents: Callable[[Value, Value, Value, Value], Cotangents] | None,
    ) -> None:
        self.name = name  # type: ignore[misc]
        self._function = function
        self._cotangents = cotangents
        self.differentiable = cotangents is not None  # type: ignore[misc]

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        a, b = inputs
        assert a.dtype is b.dtype and a.shape == b.shape, (self.name, inputs)
        return a.shape, self.result or a.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        assert self._cotangents is not None
        return self._cotangents(ct, inputs[0], inputs[1], out)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(self._function(*arrays))

    def inner_loops(self, v: Value) -> Loops | None:
        return inner_loops.elements(self._function, v)


class Linear(Binary):
    """A sum or a difference."""

    looks_at_result = looks_at_operands = False


class Product(Binary):
    """A product: its derivative looks at the factors."""

    looks_at_result = False


class Compare(Binary):
    """A comparison: the result is bool."""

    result = dtypes.bool_

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__(name, function, None)


class Cast(Elementwise):
    """Conversion to another dtype (float to integer truncates; to bool tests for non-zero)."""

    name = "cast"
    looks_at_result = looks_at_operands = False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, attrs["dtype"]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        if ct.dtype.is_complex and not inputs[0].dtype.is_complex:
            ct = real(ct)
        return (ar.cast(ct, inputs[0].dtype),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        dtype: DType = attrs["dtype"]
        array = arrays[0]
        if dtype.name == "bfloat16":
            return array.astype(np.float32) if array.dtype != np.float32 else array
        if array.dtype.kind == "c" and dtype.kind != "c":
            array = array != 0 if dtype.kind == "b" else array.real
        if array.dtype.kind == "f" and dtype.kind in "iu":
            with np.errstate(invalid="ignore"):
                if dtype.itemsize < 8:
                    return array.astype(np.int64).astype(dtype.numpy)
                return array.astype(dtype.numpy)
        return array.astype(dtype.numpy)

    def inner_loops(self, v: Value) -> Loops | None:
        x, widens = v.inputs[0].dtype, v.dtype.is_complex
        if widens == x.is_complex:
            return None
        return inner_loops.parts(v, (0, "" if widens else "real", "real" if widens else ""))


class Later(Elementwise):
    """The first operand, which is not computed before the second one: a copy that is not equal to
    it for whoever looks for equal values.
    """

    name = "later"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        assert inputs[0].shape == inputs[1].shape, inputs
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return ct, None

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.array(arrays[0])


class Where(Elementwise):
    """condition ? a : b.

    `linked`: the operand that the condition was computed from. The derivative then depends on it
    as PyTorch's does, with a derivative of zero.
    """

    name = "where"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        assert inputs[1].dtype is inputs[2].dtype, inputs
        return super().rule(*inputs, **attrs)

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        condition, zero = inputs[0], ar.zeros_like(ct)
        if "linked" in attrs and inputs[attrs["linked"]].tracked:
            from flambeau.ops.source import relink

            never = ar.full(ct.shape, False, dtypes.bool_)
            zero = relink(zero, where(never, inputs[attrs["linked"]], zero))
        return None, where(condition, ct, zero), where(condition, zero, ct)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.where(arrays[0], arrays[1], arrays[2])


class Fma(Elementwise):
    """a * b + c with one rounding."""

    name = "fma"

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return ar.mul(ct, inputs[1]), ar.mul(ct, inputs[0]), ct

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        a, b, c = np.broadcast_arrays(*arrays)
        return {"f4": _rounded_once, "f8": fused}.get(a.dtype.str[1:], _unfused)(a, b, c)


def _unfused(a: Array, b: Array, c: Array) -> Array:
    return np.asarray(a * b + c)


def _rounded_once(a: Array, b: Array, c: Array) -> Array:
    """a * b + c of float32 in float64, some rows at a time: that is twice as large."""
    if a.size <= BLOCK:
        return (a.astype(np.float64) * b + c).astype(np.float32)
    result = np.empty(a.shape, np.float32)
    rows = max(1, BLOCK * len(a) // a.size)
    for first in range(0, len(a), rows):
        some = slice(first, first + rows)
        result[some] = a[some].astype(np.float64) * b[some] + c[some]
    return result


def _sigmoid(x: Array) -> Array:
    if x.dtype.kind == "c":
        return np.asarray(1 / (1 + np.exp(-x)), x.dtype)
    with np.errstate(over="ignore"):
        e = np.exp(-np.abs(x))
        return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


def _log1p(x: Array) -> Array:
    if x.dtype.kind != "c":
        return np.asarray(np.log1p(x))
    # (NumPy's loses the digits of small numbers.)
    re, im = x.real, x.imag
    with np.errstate(all="ignore"):
        excess = re * (2 + re) + im * im  # |1 + x|^2 - 1
        far = np.log(np.hypot(re + 1, im))
        size = np.where(np.abs(excess) < 0.5, np.log1p(excess) / 2, far)
    result = np.empty_like(x)
    result.real, result.imag = size, np.arctan2(im, re + 1)
    return result


def _vectorised(function: Callable[[float], float]) -> Callable[[Array], Array]:
    def apply(x: Array) -> Array:
        flat = [function(v) for v in np.asarray(x, np.float64).ravel().tolist()]
        values: Array = np.array(flat, np.float64).reshape(x.shape).astype(x.dtype)
        return values

    return apply


def _erfinv(x: float) -> float:
    if math.isnan(x) or abs(x) > 1:
        return math.nan
    if abs(x) == 1:
        return math.copysign(math.inf, x)
    from statistics import NormalDist

    if abs(x) < 1e-9:
        return x * math.sqrt(math.pi) / 2
    tail = (1 - abs(x)) / 2
    y = (
        -NormalDist().inv_cdf(tail) / math.sqrt(2)
        if tail < 0.4
        else (NormalDist().inv_cdf(0.5 + abs(x) / 2) / math.sqrt(2))
    )
    for _ in range(2):
        error = (math.erf(y) - abs(x)) if y < 1 else (1 - abs(x)) - math.erfc(y)
        y -= error / (2 / math.sqrt(math.pi) * math.exp(-y * y))
    return math.copysign(y, x)


def _polygamma1(x: float) -> float:
    if x == -math.inf:
        return math.nan
    if abs(x) < 1e-150 or (x <= 0 and x == math.floor(x)):
        return math.inf
    if x < 0:
        return -_polygamma1(1 - x) + (math.pi / math.sin(math.pi * x)) ** 2
    total = 0.0
    while x < 12:
        total += 1 / (x * x)
        x += 1
    z = 1 / (x * x)
    return total + 1 / x + z / 2 + z / x * (1 / 6 - z * (1 / 30 - z * (1 / 42 - z / 30)))


def _tetragamma(x: Value) -> Value:
    from flambeau.ops import special  # which is made of this module's classes

    return special.zeta(ar.full_like(x, 3), x) * -2.0


def _unary(
    name: str, function: Callable[..., Any], derivative: Callable[[Value, Value], Any] | None
) -> Unary:
    return Unary(name, function, derivative)


SQRT_PI = math.sqrt(math.pi)
LN2, LN10 = math.log(2), math.log(10)

neg = _unary("neg", np.negative, lambda x, y: -1.0)
exp = _unary("exp", np.exp, lambda x, y: y)
exp2 = _unary("exp2", np.exp2, lambda x, y: y * LN2)
expm1 = _unary("expm1", np.expm1, lambda x, y: y + 1.0)
log = Divided("log", np.log, lambda x, y: x)
log2 = Divided("log2", np.log2, lambda x, y: x * LN2)
log10 = Divided("log10", np.log10, lambda x, y: x * LN10)
log1p = Divided("log1p", _log1p, lambda x, y: x + 1.0)
sqrt = Divided("sqrt", np.sqrt, lambda x, y: y * 2.0)
rsqrt = InverseRoot()
reciprocal: Unary = _unary(
    "reciprocal", lambda x: np.ones((), x.dtype) / x, lambda x, y: neg(y * y)
)
sin = _unary("sin", np.sin, lambda x, y: cos(x))
cos: Unary = _unary("cos", np.cos, lambda x, y: neg(sin(x)))
tan = _unary("tan", np.tan, lambda x, y: y * y + 1.0)
asin = _unary("asin", np.arcsin, lambda x, y: rsqrt(1.0 - x * x))
acos = _unary("acos", np.arccos, lambda x, y: neg(rsqrt(1.0 - x * x)))
atan = _unary("atan", np.arctan, lambda x, y: reciprocal(x * x + 1.0))
sinh = _unary("sinh", np.sinh, lambda x, y: cosh(x))
cosh: Unary = _unary("cosh", np.cosh, lambda x, y: sinh(x))
tanh = _unary("tanh", np.tanh, lambda x, y: 1.0 - y * y)
asinh = _unary("asinh", np.arcsinh, lambda x, y: rsqrt(x * x + 1.0))
acosh = _unary("acosh", np.arccosh, lambda x, y: rsqrt(x * x - 1.0))
atanh = _unary("atanh", np.arctanh, lambda x, y: reciprocal(1.0 - x * x))
sigmoid = _unary("sigmoid", _sigmoid, lambda x, y: (1.0 - y) * y)
erf = _unary("erf", _vectorised(math.erf), lambda x, y: exp(neg(x * x)) * (2 / SQRT_PI))
erfc = _unary("erfc", _vectorised(math.erfc), lambda x, y: exp(neg(x * x)) * (-2 / SQRT_PI))
erfinv = _unary("erfinv", _vectorised(_erfinv), lambda x, y: exp(y * y) * (SQRT_PI / 2))
lgamma = _unary("lgamma", gamma_functions.log_gamma, lambda x, y: digamma(x))
digamma: Unary = _unary("digamma", gamma_functions.digamma, lambda x, y: trigamma(x))
trigamma: Unary = _unary("trigamma", _vectorised(_polygamma1), lambda x, y: _tetragamma(x))

floor = ZeroDerivative("floor", np.floor)
ceil = ZeroDerivative("ceil", np.ceil)
trunc = ZeroDerivative("trunc", np.trunc)
round_ = ZeroDerivative("round", np.rint)
sign = Sign()


class Abs(Unary):
    """|x|; for complex operands the modulus (a real result)."""

    def __init__(self) -> None:
        super().__init__("abs", np.abs, lambda x, y: sign(x))

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype.to_real()


abs_ = Abs()


class Complex(Elementwise):
    """The complex number re + i im of two real operands."""

    name = "complex"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype.to_complex()

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return real(ct), imag(ct)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        parts = np.stack(np.broadcast_arrays(*arrays), axis=-1)  # 1j * infinity is NaN + infinity j
        return np.asarray(parts.view(np.result_type(parts.dtype, np.complex64))[..., 0])

    def inner_loops(self, v: Value) -> Loops | None:
        return inner_loops.parts(v, (0, "", "real"), (1, "", "imag"))


class Part(Elementwise):
    """The real or the imaginary part of a complex operand."""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype.to_real()

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        zero = ar.zeros_like(ct)
        return (complex_(ct, zero) if self.name == "real" else complex_(zero, ct),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(arrays[0].real if self.name == "real" else arrays[0].imag)

    def inner_loops(self, v: Value) -> Loops | None:
        return inner_loops.parts(v, (0, self.name, ""))


complex_ = Complex()
real = Part("real")
imag = Part("imag")

cast = Cast()
later = Later()
where = Where()
fma = Fma()


def _conj(x: Value) -> Value:
    return ar.conj(x)


def _select(condition: Value, ct: Value) -> Value:
    return where(condition, ct, ar.zeros_like(ct))


def _extremum_cotangents(loses: Callable[[Value, Value], Value]) -> Callable[..., Cotangents]:
    """Who does not lose takes the cotangent; where the operands are equal each takes half."""

    def cotangents(ct: Value, a: Value, b: Value, out: Value) -> Cotangents:
        half, tie = ar.mul(ct, 0.5), eq(a, b)
        return (
            where(tie, half, _select(ar.logical_not(loses(a, b)), ct)),
            where(tie, half, _select(ar.logical_not(loses(b, a)), ct)),
        )

    return cotangents


def _pow_cotangents(ct: Value, a: Value, b: Value, out: Value) -> Cotangents:
    """d/da = b a^(b-1), zero for b = 0; d/db = a^b log a, zero where a = 0 and b >= 0."""
    zero = ar.zeros_like(a)
    da = where(eq(b, zero), ar.zeros_like(ct), ar.mul(ct, _conj(b * pow_(a, b - 1.0))))
    if a.dtype.is_complex:
        return da, ar.mul(ct, _conj(out * log(a)))
    safe = ar.logical_and(eq(a, zero), ge(b, zero))
    return da, ar.mul(ct, where(safe, zero, out * log(a)))


def _atan2_cotangents(ct: Value, a: Value, b: Value) -> Cotangents:
    """0 at the origin, where there is no derivative, as PyTorch has it."""
    square = a * a + b * b
    scale = where(eq(square, ar.zeros_like(square)), square, reciprocal(square))
    return ar.mul(ar.mul(ct, b), scale), ar.mul(ar.mul(ct, neg(a)), scale)


def _no_slope(ct: Value, a: Value, b: Value, out: Value) -> Cotangents:
    """Of a piecewise constant function: the gradient exists and is zero."""
    return ar.zeros_like(ct), ar.zeros_like(ct)


def _floor_divide(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        _refuse_zero(b)
        return np.floor_divide(a, b)
    with np.errstate(all="ignore"):
        return np.floor_divide(a, b)


def _trunc_divide(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        _refuse_zero(b)
        quotient = np.floor_divide(a, b)  # (MIN / -1 is MIN)
        inexact = (a != quotient * b) & ((a < 0) != (b < 0))
        return np.asarray(np.where(inexact, quotient + 1, quotient).astype(a.dtype))
    return np.trunc(a / b)


def _remainder(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        _refuse_zero(b)
        return np.remainder(a, b)
    rest = np.remainder(a, b)
    return np.asarray(np.where(rest == 0, np.copysign(rest, a), rest))  # (as fmod's zero)


def _fmod(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        _refuse_zero(b)
    return np.fmod(a, b)


def _refuse_zero(b: Array) -> None:
    if (b == 0).any():
        raise RuntimeError("ZeroDivisionError")


def _int_pow(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        with np.errstate(all="ignore"):
            positive: Array = np.power(a, np.maximum(b, 0).astype(a.dtype))
        if a.dtype.kind == "u" or not (b < 0).any():
            return positive
        sign_ = np.where(b % 2 == 0, 1, -1)
        negative = np.where(a == 1, 1, np.where(a == -1, sign_, 0))
        return np.where(b < 0, negative, positive).astype(a.dtype)
    with np.errstate(all="ignore"):
        return np.power(a, b)


def _bool_safe(function: Callable[..., Any], logical: Callable[..., Any]) -> Callable[..., Any]:
    def apply(a: Array, b: Array) -> Any:
        return logical(a, b) if a.dtype.kind == "b" else function(a, b)

    apply.__dict__["ufunc"] = function  # of all but truths
    return apply


def _shift(left: bool) -> Callable[[Array, Array], Array]:
    def apply(a: Array, b: Array) -> Array:
        bits = 8 * a.dtype.itemsize
        outside = (b < 0) | (b >= bits)
        amount = np.where(outside, 0, b).astype(a.dtype)
        if left:
            return np.where(outside, 0, np.left_shift(a, amount)).astype(a.dtype)
        filled = np.where(a < 0, -1, 0).astype(a.dtype) if a.dtype.kind == "i" else np.zeros_like(a)
        return np.where(outside, filled, np.right_shift(a, amount)).astype(a.dtype)

    return apply


add = Linear("add", _bool_safe(np.add, np.logical_or), lambda ct, a, b, out: (ct, ct))
sub = Linear("sub", np.subtract, lambda ct, a, b, out: (ct, neg(ct)))
mul = Product(
    "mul",
    _bool_safe(np.multiply, np.logical_and),
    lambda ct, a, b, out: (ar.mul(ct, _conj(b)), ar.mul(ct, _conj(a))),
)
div = Binary(
    "div",
    np.true_divide,
    lambda ct, a, b, out: (ar.div(ct, _conj(b)), ar.mul(neg(ct), _conj(ar.div(ar.div(a, b), b)))),
)
floor_divide = Binary("floor_divide", _floor_divide, _no_slope)
trunc_divide = Binary("trunc_divide", _trunc_divide, _no_slope)
remainder = Binary(
    "remainder", _remainder, lambda ct, a, b, out: (ct, ar.mul(neg(ct), floor_divide(a, b)))
)
fmod = Binary("fmod", _fmod, lambda ct, a, b, out: (ct, ar.mul(neg(ct), trunc_divide(a, b))))
pow_ = Binary("pow", _int_pow, _pow_cotangents)
maximum = Binary("maximum", np.maximum, _extremum_cotangents(lambda x, y: lt(x, y)))
minimum = Binary("minimum", np.minimum, _extremum_cotangents(lambda x, y: gt(x, y)))
atan2 = Binary(
    "atan2",
    np.arctan2,
    lambda ct, a, b, out: _atan2_cotangents(ct, a, b),
)
copysign = Binary(
    "copysign",
    np.copysign,
    lambda ct, a, b, out: (ar.mul(ct, _copysign_derivative(a, out)), ar.zeros_like(ct)),
)
nextafter = Binary(
    "nextafter",
    np.nextafter,
    lambda ct, a, b, out: (_select(ar.ne(a, b), ct), ar.zeros_like(ct)),
)


def _copysign_derivative(a: Value, out: Value) -> Value:
    return where(eq(a, ar.zeros_like(a)), ar.zeros_like(a), ar.div(out, a))


eq = Compare("eq", np.equal)
ne = Compare("ne", np.not_equal)
lt: Compare = Compare("lt", np.less)
le = Compare("le", np.less_equal)
gt: Compare = Compare("gt", np.greater)
ge = Compare("ge", np.greater_equal)

bitwise_and = Binary("bitwise_and", np.bitwise_and, None)
bitwise_or = Binary("bitwise_or", np.bitwise_or, None)
bitwise_xor = Binary("bitwise_xor", np.bitwise_xor, None)
shift_left = Binary("shift_left", _shift(True), None)
shift_right = Binary("shift_right", _shift(False), None)
bitwise_not = Unary("bitwise_not", np.invert, None)
