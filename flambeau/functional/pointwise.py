"""Pointwise ops: arithmetic, comparison, math functions, with PyTorch's signatures.

Each op is an event (`PureOp`) over a function of values; `out=` and in-place forms are made from
the same function.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import partial
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.errors import not_a_tensor
from flambeau.core.promotion import can_cast
from flambeau.functional.options import (
    not_implemented,
    real_only,
    refuse_found_dtype,
    refuse_negated_truth,
    refuse_numbers,
    refuse_other_dtype,
    refuse_partly_shared,
    refusing,
    resize_out,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops.primitive import Primitive
from flambeau.ops.source import no_derivative, with_derivative
from flambeau.ops.value import Operand, Value
from flambeau.record.events import CopyOp, InplaceOp, PureOp, refuse_cast
from flambeau.tensor.recording import binary as record_binary
from flambeau.tensor.recording import in_place, record, unary, with_scalar
from flambeau.tensor.tensor import Tensor

NUMBERS = (bool, int, float, complex)
COPY = CopyOp("copy_", lambda meta, value: value, "CopyBackwards", reads=False)
# Tensors beside the value must not lie partly in the memory that is written.
COPY_BESIDE = CopyOp("copy_", lambda meta, value, *beside: value, "CopyBackwards", reads=False)
CONVERT = PureOp(
    "to", lambda x, dtype: ar.cast(x, dtype), "ToCopyBackward0", preserves=True, copies=True
)


def write_out(
    result: Tensor, out: Tensor | None, warns: bool = True, beside: tuple[Any, ...] = ()
) -> Tensor:
    """Delivers a result to `out=`, resized when its shape differs (with a warning if `warns`).

    RuntimeError where `out` shares memory with one of the operands `beside`, unless it is that.
    """
    if out is None:
        return result
    try:
        tracked = result.requires_grad or out.requires_grad
    except AttributeError:
        refuse_misgiven()
        raise
    if tracked:
        from flambeau.autograd.modes import is_grad_enabled

        if is_grad_enabled():
            raise RuntimeError(
                "functions with out=... arguments don't support automatic differentiation, but "
                "one of the arguments requires grad."
            )
    refuse_cast(result.dtype, out.dtype)
    if out.shape != result.shape:
        refuse_partly_shared(out, beside)
        resize_out(out, result.shape, warns)
    operands = [x for x in beside if x is not out and isinstance(x, Tensor)]
    return in_place(COPY_BESIDE, out, (result, *operands))


def write_same(result: Tensor, out: Tensor | None, beside: tuple[Any, ...] = ()) -> Tensor:
    """write_out for kernels that convert nothing: `out` must be of the result's dtype."""
    if out is None:
        return result
    refuse_other_dtype(out, result.dtype)
    return write_out(result, out, beside=beside)


# ---- unary ---------------------------------------------------------------------------------------


def _float_function(primitive: Primitive) -> Callable[[Value], Value]:
    return lambda x: ar.unary_float(primitive, x)


def _real_function(kernel: str, primitive: Primitive) -> Callable[[Value], Value]:
    """The same of a kernel without complex numbers."""
    return refusing(kernel, _float_function(primitive), "c")


def _integral_same(primitive: Primitive) -> Callable[[Value], Value]:
    """Rounding functions leave integers as they are."""

    def apply(x: Value) -> Value:
        return primitive(x) if x.dtype.is_floating_point else x

    message = f"{primitive.name} is not supported for complex inputs"
    return real_only(message, refusing(f"{primitive.name}_vml_cpu", apply, "b"))


# Those whose `out` must be of the result's dtype.
CONVERTS_NOTHING = frozenset(
    ("abs", "neg", "floor", "ceil", "trunc", "frac", "sign", "sgn", "bitwise_not")
)


def _unary_op(
    name: str, function: Callable[[Value], Value], grad_name: str | None = None
) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The out-of-place and the in-place form of a one-operand op."""
    exact = name in CONVERTS_NOTHING
    op = PureOp(name, function, grad_name, preserves=True)
    write = InplaceOp(name + "_", function, grad_name)

    def apply(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        result = unary(op, input)
        if exact:
            refuse_found_dtype(out, result.dtype)
        return result if out is None else write_out(result, out, beside=(input,))

    def apply_(input: Tensor) -> Tensor:
        return in_place(write, input)

    apply.__name__ = apply.__qualname__ = name
    apply_.__name__ = apply_.__qualname__ = name + "_"
    apply.__doc__ = f"The elementwise {name} of `input` (a new tensor of its shape)."
    apply_.__doc__ = f"{name} in place."
    return apply, apply_


def _abs(x: Value) -> Value:
    if x.dtype.kind == "b":
        raise not_implemented("abs_cpu", x.dtype)
    return el.abs_(x)


def _negated(x: Value) -> Value:
    refuse_negated_truth(x.dtype)
    return el.neg(x)


def _bitwise_not(x: Value) -> Value:
    if x.dtype.kind not in "bi":
        raise not_implemented("bitwise_not_cpu", x.dtype)
    return el.bitwise_not(x)


def _square(x: Value) -> Value:
    if x.dtype.kind == "b":
        x = ar.cast(x, dtypes.int64)
    return ar.mul(x, x)


def _sign(x: Value) -> Value:
    return x if x.dtype.kind == "b" else el.sign(x)


_NO_COMPLEX_SIGN = (
    "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn "
    "instead."
)


def _isnan(x: Value) -> Value:
    return el.ne(x, x)


def _isinf(x: Value) -> Value:
    if x.dtype.is_complex:
        return ar.logical_or(_isinf(el.real(x)), _isinf(el.imag(x)))
    return (
        ar.eq(el.abs_(x), float("inf"))
        if x.dtype.is_floating_point
        else ar.full(x.shape, False, dtypes.bool_)
    )


def _isfinite(x: Value) -> Value:
    if x.dtype.is_complex:
        return ar.logical_and(_isfinite(el.real(x)), _isfinite(el.imag(x)))
    if not x.dtype.is_floating_point:
        return ar.full(x.shape, True, dtypes.bool_)
    return ar.lt(el.abs_(x), float("inf"))


def _frac(x: Value) -> Value:
    return ar.sub(x, el.trunc(x))


def _relu(x: Value) -> Value:
    if x.dtype.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    if x.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    zero = ar.zeros_like(x)
    return el.where(el.le(x, zero), zero, x)


abs, abs_ = _unary_op("abs", _abs)
absolute, absolute_ = abs, abs_
neg, neg_ = _unary_op("neg", _negated)
negative, negative_ = neg, neg_
exp, exp_ = _unary_op("exp", _float_function(el.exp))
exp2, exp2_ = _unary_op("exp2", _float_function(el.exp2))
expm1, expm1_ = _unary_op("expm1", _float_function(el.expm1))
log, log_ = _unary_op("log", _float_function(el.log))
log2, log2_ = _unary_op("log2", _float_function(el.log2))
log10, log10_ = _unary_op("log10", _float_function(el.log10))
log1p, log1p_ = _unary_op("log1p", _float_function(el.log1p))
sqrt, sqrt_ = _unary_op("sqrt", _float_function(el.sqrt))
rsqrt, rsqrt_ = _unary_op("rsqrt", _float_function(el.rsqrt))
reciprocal, reciprocal_ = _unary_op("reciprocal", _float_function(el.reciprocal))
sin, sin_ = _unary_op("sin", _float_function(el.sin))
cos, cos_ = _unary_op("cos", _float_function(el.cos))
tan, tan_ = _unary_op("tan", _float_function(el.tan))
asin, asin_ = _unary_op("asin", _float_function(el.asin))
acos, acos_ = _unary_op("acos", _float_function(el.acos))
atan, atan_ = _unary_op("atan", _float_function(el.atan))
sinh, sinh_ = _unary_op("sinh", _float_function(el.sinh))
cosh, cosh_ = _unary_op("cosh", _float_function(el.cosh))
tanh, tanh_ = _unary_op("tanh", _float_function(el.tanh))
asinh, asinh_ = _unary_op("asinh", _float_function(el.asinh))
acosh, acosh_ = _unary_op("acosh", _float_function(el.acosh))
atanh, atanh_ = _unary_op("atanh", _float_function(el.atanh))
arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh
arcsin_, arccos_, arctan_, arcsinh_, arccosh_, arctanh_ = (
    asin_,
    acos_,
    atan_,
    asinh_,
    acosh_,
    atanh_,
)
sigmoid, sigmoid_ = _unary_op("sigmoid", _float_function(el.sigmoid))
erf, erf_ = _unary_op("erf", _real_function("erf_vml_cpu", el.erf))
erfc, erfc_ = _unary_op("erfc", _real_function("erfc_vml_cpu", el.erfc))
erfinv, erfinv_ = _unary_op("erfinv", _real_function("erfinv_vml_cpu", el.erfinv))
lgamma, lgamma_ = _unary_op("lgamma", _real_function("lgamma_vml_cpu", el.lgamma))
digamma, digamma_ = _unary_op("digamma", _real_function("digamma", el.digamma))
floor, floor_ = _unary_op("floor", _integral_same(el.floor))
ceil, ceil_ = _unary_op("ceil", _integral_same(el.ceil))
trunc, trunc_ = _unary_op("trunc", _integral_same(el.trunc))
fix, fix_ = trunc, trunc_
frac, frac_ = _unary_op("frac", refusing("frac_cpu", _frac, "ibc"))
sign, sign_ = _unary_op("sign", real_only(_NO_COMPLEX_SIGN, _sign))
sgn, sgn_ = _unary_op("sgn", _sign)
square, square_ = _unary_op("square", _square, "PowBackward0")
relu, relu_ = _unary_op("relu", _relu)
bitwise_not, bitwise_not_ = _unary_op("bitwise_not", _bitwise_not)
logical_not, logical_not_ = _unary_op("logical_not", ar.logical_not)
isnan, _ = _unary_op("isnan", _isnan)
isinf, _ = _unary_op("isinf", _isinf)
isfinite, _ = _unary_op("isfinite", _isfinite)


def positive(input: Tensor) -> Tensor:
    """`input` itself."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("positive", "input", 1, input)
    if input.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


# ---- binary --------------------------------------------------------------------------------------


def _binary_op(
    name: str,
    function: Callable[[Operand, Operand], Value],
    grad_name: str | None = None,
    *,
    numbers: str = "both",
    second: str = "other",
) -> tuple[Callable[..., Tensor], Callable[..., Tensor], PureOp]:
    """The out-of-place and the in-place form of a two-operand op, and its event.

    `numbers` says which operands of the function may be Python numbers: "all", "both" (one of
    them), "second" or "none". (The in-place form takes what the function takes as second.) `second`
    is what messages call the second operand.
    """
    op = PureOp(name, function, grad_name, preserves=True, wraps=2)
    write = InplaceOp(name + "_", function, grad_name)

    def apply(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
        if isinstance(input, Tensor):
            kind = type(other)
            if kind is Tensor or isinstance(other, Tensor):
                result = record_binary(op, input, other)
            elif numbers == "none":
                raise not_a_tensor(name, second, 2, other)
            elif kind is float or kind is int or kind is bool:
                result = with_scalar(op, input, other)
            else:
                result = record(op, (input, checked_operand(name, other)))
        elif numbers != "all" and (numbers != "both" or not isinstance(other, Tensor)):
            raise not_a_tensor(name, "input", 1, input)
        else:
            if not isinstance(other, Tensor):
                other = checked_operand(name, other)
            result = record(op, (checked_operand(name, input, first=True), other))
        return result if out is None else write_out(result, out, beside=(input, other))

    def apply_(input: Tensor, other: Any) -> Tensor:
        if not isinstance(other, Tensor):
            if numbers == "none":
                raise not_a_tensor(name + "_", second, 1, other)
            other = checked_operand(name, other)
        return in_place(write, input, (other,))

    apply.__name__ = apply.__qualname__ = name
    apply_.__name__ = apply_.__qualname__ = name + "_"
    apply.__doc__ = f"The elementwise {name} of `input` and `other`, broadcast and promoted."
    apply_.__doc__ = f"{name} in place: `other` must broadcast to this tensor's shape."
    return apply, apply_, op


def checked_operand(name: str, operand: Any, first: bool = False) -> Any:
    """A tensor or a Python number (NumPy scalars become one); TypeError for others."""
    if isinstance(operand, (Tensor, *NUMBERS)):
        return operand
    if (
        hasattr(operand, "dtype")
        and hasattr(operand, "item")
        and getattr(operand, "shape", None) == ()
    ):
        return operand.item()
    raise not_a_tensor(name, *(("input", 1) if first else ("other", 2)), operand)


def _bool_arithmetic(name: str, a: Operand, b: Operand) -> None:
    if ar.promoted_dtype(a, b).kind == "b" and name == "sub":
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    if name == "sub" and "b" in (ar.promoted_dtype(a).kind, ar.promoted_dtype(b).kind):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead."
        )


def _sub(a: Operand, b: Operand) -> Value:
    _bool_arithmetic("sub", a, b)
    return ar.sub(a, b)


_floor_divide = refusing("div_floor_cpu", partial(ar.binary, el.floor_divide), "bc")
_trunc_divide = refusing("div_trunc_cpu", partial(ar.binary, el.trunc_divide), "bc")
_remainder = refusing("remainder_cpu", partial(ar.binary, el.remainder), "bc")
_fmod = refusing("fmod_cpu", partial(ar.binary, el.fmod), "bc")


def _floor_divide_alone(a: Operand, b: Operand) -> Value:
    """floor_divide and `//`: unlike div(rounding_mode="floor") without a derivative."""
    quotient: Value = _floor_divide(a, b)
    operands = tuple(v for v in (a, b) if isinstance(v, Value))
    return with_derivative(quotient, operands, no_derivative("floor_divide"))


def _bitwise(primitive: Primitive, name: str) -> Callable[[Operand, Operand], Value]:
    def apply(a: Operand, b: Operand) -> Value:
        dtype = ar.promoted_dtype(a, b)
        if dtype.kind not in ("i" if name in ("lshift", "rshift") else "bi"):
            raise not_implemented(f"{name}_cpu", dtype)
        return ar.apply(primitive, (a, b), dtype)

    return apply


def _logical(primitive: Primitive) -> Callable[[Operand, Operand], Value]:
    return lambda a, b: ar.apply(primitive, (a, b), dtypes.bool_)


def _fmax(a: Operand, b: Operand) -> Value:
    dtype = ar.promoted_dtype(a, b)
    x, y = ar.broadcast(ar.as_value(a, dtype), ar.as_value(b, dtype))
    return el.where(ar.logical_or(el.ge(x, y), el.ne(y, y)), x, y)


def _fmin(a: Operand, b: Operand) -> Value:
    dtype = ar.promoted_dtype(a, b)
    x, y = ar.broadcast(ar.as_value(a, dtype), ar.as_value(b, dtype))
    return el.where(ar.logical_or(el.le(x, y), el.ne(y, y)), x, y)


def _float_binary(primitive: Primitive) -> Callable[[Operand, Operand], Value]:
    kernel = f"{primitive.name}_cpu"
    return refusing(kernel, lambda a, b: ar.apply(primitive, (a, b), ar.float_dtype(a, b)), "c")


def _ordered(name: str, function: Callable[[Operand, Operand], Value]) -> Callable[..., Value]:
    return real_only(f"{name} not implemented for complex tensors.", function, RuntimeError)


_add_plain, _add_plain_, ADD = _binary_op("add", ar.add, numbers="all")
_sub_plain, _sub_plain_, SUB = _binary_op("sub", _sub, numbers="all")
mul, mul_, MUL = _binary_op("mul", ar.mul, numbers="all")
_div_plain, _div_plain_, DIV = _binary_op("div", ar.div, numbers="all")
multiply, multiply_ = mul, mul_
floor_divide, floor_divide_, FLOOR_DIVIDE = _binary_op(
    "floor_divide", _floor_divide_alone, numbers="all"
)
remainder, remainder_, REMAINDER = _binary_op("remainder", _remainder)
fmod, fmod_, _F = _binary_op("fmod", _fmod, numbers="second")
maximum, _, MAXIMUM = _binary_op("maximum", _ordered("maximum", ar.maximum), numbers="none")
minimum, _, MINIMUM = _binary_op("minimum", _ordered("minimum", ar.minimum), numbers="none")
fmax, _, _F = _binary_op("fmax", _ordered("fmax", _fmax), numbers="none")
fmin, _, _F = _binary_op("fmin", _ordered("fmin", _fmin), numbers="none")
atan2, atan2_, _F = _binary_op("atan2", _float_binary(el.atan2), numbers="none")
arctan2, arctan2_ = atan2, atan2_
copysign, copysign_, _F = _binary_op("copysign", _float_binary(el.copysign), numbers="second")
nextafter, nextafter_, _F = _binary_op(
    "nextafter", refusing("nextafter_cpu", _float_binary(el.nextafter)), numbers="none"
)
eq, eq_, EQ = _binary_op("eq", ar.eq, numbers="second")
ne, ne_, NE = _binary_op("ne", ar.ne, numbers="second")
lt, lt_, LT = _binary_op("lt", refusing("lt_cpu", ar.lt, "c"), numbers="second")
le, le_, LE = _binary_op("le", refusing("le_cpu", ar.le, "c"), numbers="second")
gt, gt_, GT = _binary_op("gt", refusing("gt_cpu", ar.gt, "c"), numbers="second")
ge, ge_, GE = _binary_op("ge", refusing("ge_cpu", ar.ge, "c"), numbers="second")
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
not_equal_, less_, less_equal_, greater_, greater_equal_ = ne_, lt_, le_, gt_, ge_
bitwise_and, bitwise_and_, _F = _binary_op("bitwise_and", _bitwise(el.bitwise_and, "bitwise_and"))
bitwise_or, bitwise_or_, _F = _binary_op("bitwise_or", _bitwise(el.bitwise_or, "bitwise_or"))
bitwise_xor, bitwise_xor_, _F = _binary_op("bitwise_xor", _bitwise(el.bitwise_xor, "bitwise_xor"))
bitwise_left_shift, bitwise_left_shift_, _F = _binary_op(
    "bitwise_left_shift", _bitwise(el.shift_left, "lshift")
)
bitwise_right_shift, bitwise_right_shift_, _F = _binary_op(
    "bitwise_right_shift", _bitwise(el.shift_right, "rshift")
)
logical_and, logical_and_, _F = _binary_op("logical_and", _logical(el.bitwise_and), numbers="none")
logical_or, logical_or_, _F = _binary_op("logical_or", _logical(el.bitwise_or), numbers="none")
logical_xor, logical_xor_, _F = _binary_op("logical_xor", _logical(el.bitwise_xor), numbers="none")


def _scaled(
    function: Callable[[Operand, Operand], Value], writes: bool = False
) -> Callable[[Operand, Operand, Operand], Value]:
    def apply(a: Operand, b: Operand, alpha: Operand) -> Value:
        dtype = ar.promoted_dtype(a, b)
        if writes and isinstance(a, Value) and not can_cast(dtype, a.dtype):
            return function(a, b)  # which is refused before alpha is looked at
        kind = ar.promoted_dtype(alpha).kind
        if function is _sub:
            _bool_arithmetic("sub", a, b)
        if dtype.kind in "ib" and kind in "fc":
            raise RuntimeError(
                "For integral input tensors, argument alpha must not be a floating point number."
            )
        if dtype.kind == "f" and kind == "c":
            raise RuntimeError(
                "For non-complex input tensors, argument alpha must not be a complex number."
            )
        if kind == "b" and dtype.kind != "b":
            raise RuntimeError("Boolean alpha only supported for Boolean results.")
        left, right = ar.broadcast(ar.as_value(a, dtype), ar.as_value(b, dtype))
        if not dtype.is_floating_point:
            return function(left, ar.mul(right, ar.as_value(alpha, dtype)))
        return _scaled_sum(left, right, alpha, minus=function is _sub)

    return apply


def _scaled_sum(a: Value, b: Value, alpha: Operand, minus: bool) -> Value:
    """a + alpha b, or a - alpha b, rounded once; its derivative takes alpha unrounded."""
    scale = ar.widened(ar.as_value(alpha, a.dtype))
    scale = ar.expand(el.neg(scale) if minus else scale, a.shape)
    result = ar.cast(el.fma(ar.widened(b), scale, ar.widened(a)), a.dtype)

    def backward(ct: Value, a: Value, b: Value, alpha: Value) -> tuple[Value | None, ...]:
        return ct, ar.mul(el.neg(ct) if minus else ct, alpha), None

    wide = dtypes.float32 if a.dtype in ar.HALVES else a.dtype
    return with_derivative(result, (a, b, ar.as_value(alpha, wide)), backward)


ADD_SCALED = PureOp("add", _scaled(ar.add), preserves=True, wraps=2)
SUB_SCALED = PureOp("sub", _scaled(_sub), preserves=True, wraps=2)
ADD_SCALED_ = InplaceOp("add_", _scaled(ar.add, True), "AddBackward0")
SUB_SCALED_ = InplaceOp("sub_", _scaled(_sub, True), "SubBackward0")


def _alpha_first(function: Any, tensor: Any, given: tuple[Any, ...], **options: Any) -> Tensor:
    from flambeau.functional.factors_first import factor_first

    return factor_first(function, tensor, given, "alpha", ("other",), **options)


def _refuse_alpha(operands: tuple[Any, Any, Any]) -> None:
    """RuntimeError where alpha does not fit the dtype (a float beside integers: see _scaled)."""
    *others, alpha = operands
    if type(alpha) is complex:
        return
    if type(alpha) is not int and type(alpha) is not float:
        refuse_misgiven()
    if type(alpha) is int or any(
        v.dtype.kind in "fc" if isinstance(v, Tensor) else type(v) is float for v in others
    ):
        refuse_numbers(tuple(others), alpha)


def add(input: Any, other: Any, *old: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """input + alpha * other, broadcast and promoted. (`old`: add(input, alpha, other).)"""
    if old:
        return _alpha_first(add, input, (other, *old), out=out)
    if type(alpha) is int and alpha == 1:
        return _add_plain(input, other, out=out)
    operands = (checked_operand("add", input), checked_operand("add", other), alpha)
    _refuse_alpha(operands)
    return write_out(record(ADD_SCALED, operands), out, beside=operands)


def sub(input: Any, other: Any, *old: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """input - alpha * other, broadcast and promoted. (`old`: sub(input, alpha, other).)"""
    if old:
        return _alpha_first(sub, input, (other, *old), out=out)
    if type(alpha) is int and alpha == 1:
        return _sub_plain(input, other, out=out)
    operands = (checked_operand("sub", input), checked_operand("sub", other), alpha)
    _refuse_alpha(operands)
    return write_out(record(SUB_SCALED, operands), out, beside=operands)


def add_(self: Tensor, other: Any, *old: Any, alpha: Any = 1) -> Tensor:
    """self += alpha * other. (`old`: add_(alpha, other).)"""
    if old:
        return _alpha_first(add_, self, (other, *old))
    if type(alpha) is int and alpha == 1:
        return _add_plain_(self, other)
    other = checked_operand("add_", other)
    _refuse_alpha((self, other, alpha))
    return in_place(ADD_SCALED_, self, (other, alpha))


def sub_(self: Tensor, other: Any, *old: Any, alpha: Any = 1) -> Tensor:
    """self -= alpha * other. (`old`: sub_(alpha, other).)"""
    if old:
        return _alpha_first(sub_, self, (other, *old))
    if type(alpha) is int and alpha == 1:
        return _sub_plain_(self, other)
    other = checked_operand("sub_", other)
    _refuse_alpha((self, other, alpha))
    return in_place(SUB_SCALED_, self, (other, alpha))


subtract, subtract_ = sub, sub_


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("rsub", "input", 1, input)
    return sub(other, input, alpha=alpha)


def _div_mode(a: Operand, b: Operand, mode: str) -> Value:
    quotient: Value = (_floor_divide if mode == "floor" else _trunc_divide)(a, b)
    return quotient


DIV_MODE = PureOp("div", _div_mode, preserves=True, wraps=2)
DIV_MODE_ = InplaceOp("div_", lambda a, b, mode: _div_mode(a, b, mode), "DivBackward1")


def _rounding(mode: Any) -> None:
    if mode not in ("floor", "trunc"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'"
        )


def div(
    input: Any, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None
) -> Tensor:
    """input / other; integers divide to floats unless rounding_mode is 'trunc' or 'floor'."""
    if rounding_mode is None:
        return _div_plain(input, other, out=out)
    _rounding(rounding_mode)
    operands = (checked_operand("div", input), checked_operand("div", other))
    return write_out(record(DIV_MODE, operands, (rounding_mode,)), out, beside=operands)


def div_(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """self /= other."""
    if rounding_mode is None:
        return _div_plain_(self, other)
    _rounding(rounding_mode)
    return in_place(DIV_MODE_, self, (checked_operand("div_", other),), (rounding_mode,))


divide, divide_, true_divide, true_divide_ = div, div_, div, div_


# ---- rounding, replacing -----------------------------------------------------------------------


def _round(x: Value, decimals: int | None) -> Value:
    if not x.dtype.is_floating_point:
        if decimals is not None or x.dtype.kind in "bc":
            raise not_implemented("round_cpu" if decimals else "round_vml_cpu", x.dtype)
        return x
    if not decimals:
        return el.round_(x)
    scale = 10.0 ** builtins.abs(decimals)
    if decimals > 0:
        return ar.div(el.round_(ar.mul(x, scale)), scale)
    return ar.mul(el.round_(ar.div(x, scale)), scale)


ROUND = PureOp("round", _round, preserves=True)
ROUND_ = InplaceOp("round_", _round, "RoundBackward0")


def round(input: Tensor, *, decimals: int | None = None, out: Tensor | None = None) -> Tensor:
    """Rounded half to even, to a number of decimals."""
    result = unary(ROUND, input, (decimals,))
    refuse_found_dtype(out, result.dtype)
    return write_out(result, out, beside=(input,))


def round_(input: Tensor, *, decimals: int | None = None) -> Tensor:
    """round in place."""
    return in_place(ROUND_, input, (), (decimals,))


def _nan_to_num(x: Value, nan: float, posinf: float | None, neginf: float | None) -> Value:
    if x.dtype.is_complex:
        parts = (_nan_to_num(part, nan, posinf, neginf) for part in (el.real(x), el.imag(x)))
        return el.complex_(*parts)
    if not x.dtype.is_floating_point:
        return x
    limits = dtypes.finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    x = ar.where(el.ne(x, x), ar.full_like(x, nan), x)
    x = ar.where(ar.eq(x, float("inf")), ar.full_like(x, high), x)
    return ar.where(ar.eq(x, float("-inf")), ar.full_like(x, low), x)


NAN_TO_NUM = PureOp("nan_to_num", _nan_to_num, preserves=True, copies=True)
NAN_TO_NUM_ = InplaceOp("nan_to_num_", _nan_to_num, "NanToNumBackward0")


def _replacements(
    nan: float | None, posinf: float | None, neginf: float | None
) -> tuple[float, float | None, float | None]:
    high, low = (None if v is None else float(v) for v in (posinf, neginf))
    return float(nan or 0.0), high, low


def nan_to_num(
    input: Tensor,
    nan: float | None = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """NaN and infinities replaced by numbers (the dtype's limits by default)."""
    result = unary(NAN_TO_NUM, input, _replacements(nan, posinf, neginf))
    return write_out(result, out, beside=(input,))


def nan_to_num_(
    input: Tensor, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """nan_to_num in place."""
    return in_place(NAN_TO_NUM_, input, (), _replacements(nan, posinf, neginf))


# ---- conversion ----------------------------------------------------------------------------------


def convert(input: Tensor, dtype: DType) -> Tensor:
    """The tensor in another dtype (itself where it has it)."""
    return input if input.dtype is dtype else unary(CONVERT, input, (dtype,))
