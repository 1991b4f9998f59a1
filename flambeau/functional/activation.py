"""Activation functions, with torch.nn.functional's signatures.

Half types are computed in float32 and rounded once. A branch that `where` does not take is kept
free of infinities, since its derivative is multiplied by zero, not skipped. Where that is not
enough, `with_derivative` says PyTorch's formula: it decides at kinks, at NaN and at infinity. An
inner `where` in it tells what the second derivative leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.shapes import Strides, elementwise_strides
from flambeau.functional import pointwise
from flambeau.functional.neural import (
    axis,
    binary,
    column,
    constant,
    float_operand,
    in_place,
    not_a_tensor,
    number,
    unary,
    widened,
)
from flambeau.functional.options import not_implemented, other_names, refuse_numbers
from flambeau.functional.pointwise import SUB, write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source, view
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Shape, Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


class Activation:
    """An elementwise op and its in-place form, from one function in working precision."""

    __slots__ = ("name", "op", "write")

    def __init__(
        self,
        name: str,
        kernel: str | None,
        function: Callable[..., Value],
        grad_name: str,
        write_grad_name: str | None = None,
        preserves: bool = True,
        copies: bool = False,
    ) -> None:
        def apply(x: Value, *attributes: Any) -> Value:
            if kernel is None:  # any real dtype
                return ar.cast(function(widened(x), *attributes), x.dtype)
            return ar.cast(function(float_operand(x, kernel), *attributes), x.dtype)

        self.name = name
        self.op = PureOp(name, apply, grad_name, preserves=preserves, copies=copies)
        self.write = InplaceOp(name + "_", apply, write_grad_name or grad_name)

    def __call__(self, input: Tensor, inplace: bool, attributes: Any = None) -> Tensor:
        if not isinstance(input, Tensor):
            raise not_a_tensor(self.name, input)
        if inplace:
            return in_place(self.write, input, (), attributes)
        return unary(self.op, input, attributes)


# ---- their meaning ------------------------------------------------------------------------------


def _relu(x: Value) -> Value:
    if x.dtype.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    if x.dtype is dtypes.bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    zero = ar.zeros_like(x)
    return el.where(el.le(x, zero), zero, x, linked=2)


def _hardtanh(x: Value, low: Any, high: Any) -> Value:
    if x.dtype is dtypes.bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if x.dtype.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    below, above = (
        constant(number("hardtanh", "min_val", low), x),
        constant(number("hardtanh", "max_val", high), x),
    )
    if x.dtype is dtypes.uint8 and int(low) < 0:
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    inner = el.where(el.ge(x, above), above, x, linked=2)
    return el.where(el.le(x, below), below, inner)


def _leaky_relu(x: Value, slope: Any) -> Value:
    slope = number("leaky_relu", "negative_slope", slope)
    return el.where(ar.gt(x, 0), x, x * slope, linked=1)


def _exponential_unit(x: Value, alpha: float, scale: float, rate: float) -> Value:
    """scale * (x > 0 ? x : alpha * (exp(rate * x) - 1))"""
    positive = ar.gt(x, 0)
    inner = el.where(positive, ar.zeros_like(x), x)
    inner = inner if rate == 1.0 else inner * rate
    negative = el.expm1(inner)
    negative = negative if alpha * scale == 1.0 else negative * (alpha * scale)

    def backward(ct: Value, x: Value) -> Value:
        below = el.where(ar.lt(x, 0), x, ar.zeros_like(x))
        slope = el.exp(below * rate) * (alpha * scale * rate)
        return ct * el.where(ar.le(x, 0), slope, ar.full_like(x, scale))

    value = el.where(positive, x if scale == 1.0 else x * scale, negative)
    return with_derivative(value, x, backward)


def _elu(x: Value, alpha: Any) -> Value:
    return _exponential_unit(x, number("elu", "alpha", alpha), 1.0, 1.0)


def _selu(x: Value) -> Value:
    return _exponential_unit(x, SELU_ALPHA, SELU_SCALE, 1.0)


def _celu(x: Value, alpha: Any) -> Value:
    alpha = number("celu", "alpha", alpha)
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _exponential_unit(x, alpha, 1.0, 1.0 / alpha)


def _gelu(x: Value, approximate: str) -> Value:
    if approximate == "none":
        return (el.erf(x * math.sqrt(0.5)) + 1.0) * (x * 0.5)
    if approximate != "tanh":
        raise RuntimeError("approximate argument must be either none or tanh.")
    inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
    return (el.tanh(inner) + 1.0) * (x * 0.5)


def _silu(x: Value) -> Value:
    def backward(ct: Value, x: Value) -> Value:
        s = el.sigmoid(x)
        return ct * (s * (x * (1.0 - s) + 1.0))

    return with_derivative(x * el.sigmoid(x), x, backward)


def softplus_value(x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """log(1 + exp(beta x)) / beta; x itself where beta x is above the threshold."""
    scaled = x if beta == 1.0 else x * beta
    large = ar.gt(scaled, threshold)
    small = el.log1p(el.exp(el.where(large, ar.zeros_like(x), scaled)))

    def backward(ct: Value, x: Value) -> Value:
        scaled = x if beta == 1.0 else x * beta
        curved = el.where(ar.ge(scaled, threshold), source.detach(scaled), scaled)
        slope = el.sigmoid(curved)
        return ct * el.where(ar.gt(scaled, threshold), ar.full_like(x, 1), slope)

    value = el.where(large, x, small if beta == 1.0 else small / beta)
    return with_derivative(value, x, backward)


def log_sigmoid_value(x: Value) -> Value:
    """log(sigmoid(x)), exact in both tails."""
    value = el.minimum(x, ar.zeros_like(x)) - el.log1p(el.exp(el.neg(el.abs_(x))))
    return with_derivative(value, x, _log_sigmoid_cotangent)


def _log_sigmoid_cotangent(ct: Value, x: Value) -> Value:
    def backward(g: Value, ct: Value, x: Value) -> tuple[Value, Value]:
        slope = el.sigmoid(el.neg(x))
        return g * slope, el.neg(g * ct) * (el.sigmoid(x) * slope)

    return with_derivative(ct * el.sigmoid(el.neg(x)), (ct, x), backward)


def _softplus(x: Value, beta: Any, threshold: Any) -> Value:
    return softplus_value(
        x, number("softplus", "beta", beta), number("softplus", "threshold", threshold)
    )


def _mish(x: Value) -> Value:
    def backward(ct: Value, x: Value) -> Value:
        t = el.tanh(softplus_value(x))
        return ct * (t + x * el.sigmoid(x) * (1.0 - t * t))

    return with_derivative(x * el.tanh(softplus_value(x)), x, backward)


def _ramp(x: Value) -> Value:
    """x + 3, limited to [0, 6]."""
    return _hardtanh(x + 3.0, 0.0, 6.0)


def _hardsigmoid(x: Value) -> Value:
    def backward(ct: Value, x: Value) -> Value:
        inside = ar.logical_and(ar.gt(x, -3.0), ar.lt(x, 3.0))
        return el.where(inside, ct / 6.0, ar.zeros_like(ct))

    return with_derivative(_ramp(x) / 6.0, x, backward)


def _hardswish(x: Value) -> Value:
    def backward(ct: Value, x: Value) -> Value:
        rising = el.where(ar.lt(x, 3.0), x / 3.0 + 0.5, ar.full_like(x, 1))
        return ct * el.where(ar.le(x, -3.0), ar.zeros_like(x), rising)

    return with_derivative(x * _ramp(x) / 6.0, x, backward)


def _hardshrink(x: Value, lambd: Any) -> Value:
    limit = number("hardshrink", "lambd", lambd)
    inside = ar.logical_and(ar.ge(x, -limit), ar.le(x, limit))
    return el.where(inside, ar.zeros_like(x), x)


def _softshrink(x: Value, lambd: Any) -> Value:
    limit = number("softshrink", "lambd", lambd)
    highest = dtypes.finfo(x.dtype).max
    if not 0 <= limit <= highest:
        raise RuntimeError(
            f"lambda must be in range [0, {highest:g}] for input dtype {x.dtype.scalar_name}, "
            f"but found {limit:g}"
        )
    inside = ar.logical_and(ar.ge(x, -limit), ar.le(x, limit))
    return el.where(inside, x * 0.0, el.where(ar.gt(x, 0), x - limit, x + limit))


def _tanhshrink(x: Value) -> Value:
    slope = el.tanh(ar.cast(x, ar.float_dtype(x)))
    difference: Value = SUB.function(x, slope)
    return difference


def _softsign(x: Value) -> Value:
    if x.dtype.kind == "b":
        raise not_implemented("abs_cpu", x.dtype)
    x = ar.cast(x, ar.float_dtype(x))
    return x / (el.abs_(x) + 1.0)


def _threshold(x: Value, threshold: Any, value: Any) -> Value:
    if x.dtype.is_complex:
        raise not_implemented("threshold_cpu", x.dtype)
    limit = constant(number("threshold", "threshold", threshold), x)
    return el.where(el.le(x, limit), constant(number("threshold", "value", value), x), x)


RELU = Activation("relu", None, _relu, "ReluBackward0")
HARDTANH = Activation("hardtanh", None, _hardtanh, "HardtanhBackward0", copies=True)
LEAKY_RELU = Activation(
    "leaky_relu", "leaky_relu_cpu", _leaky_relu, "LeakyReluBackward0", "LeakyReluBackward1"
)
ELU = Activation("elu", "elu_cpu", _elu, "EluBackward0", "EluBackward1")
SELU = Activation("selu", "elu_cpu", _selu, "EluBackward0", "EluBackward1")
CELU = Activation("celu", "elu_cpu", _celu, "CeluBackward0", "CeluBackward1")
GELU = Activation("gelu", "GeluKernelImpl", _gelu, "GeluBackward0")
SILU = Activation("silu", "silu_cpu", _silu, "SiluBackward0")
MISH = Activation("mish", "mish_cpu", _mish, "MishBackward0")
HARDSIGMOID = Activation("hardsigmoid", "hardsigmoid_cpu", _hardsigmoid, "HardsigmoidBackward0")
HARDSWISH = Activation("hardswish", "hardswish_cpu", _hardswish, "HardswishBackward0")
HARDSHRINK = Activation("hardshrink", "hardshrink_cpu", _hardshrink, "HardshrinkBackward0")
SOFTSHRINK = Activation("softshrink", "softshrink_check", _softshrink, "SoftshrinkBackward0")
SOFTPLUS = Activation("softplus", "softplus_cpu", _softplus, "SoftplusBackward0")
LOGSIGMOID = Activation(
    "logsigmoid", "log_sigmoid_cpu", log_sigmoid_value, "LogSigmoidBackward0", preserves=False
)
THRESHOLD = Activation("threshold", None, _threshold, "ThresholdBackward0", "ThresholdBackward1")
TANHSHRINK = PureOp("tanhshrink", _tanhshrink, "SubBackward0", preserves=True)
SOFTSIGN = PureOp("softsign", _softsign, "DivBackward0", preserves=True)
RELU_OP, ELU_OP = RELU.op, ELU.op


# ---- the functions ------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x), elementwise."""
    if inplace or not isinstance(input, Tensor):
        return RELU(input, inplace)
    return unary(RELU_OP, input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(0, x), 6), elementwise."""
    return HARDTANH(input, inplace, (0.0, 6.0))


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, negative_slope * x elsewhere."""
    return LEAKY_RELU(input, inplace, (negative_slope,))


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    if inplace or not isinstance(input, Tensor):
        return ELU(input, inplace, (alpha,))
    return unary(ELU_OP, input, (alpha,))


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising exponential unit (Klambauer et al. 2017)."""
    return SELU(input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""
    return CELU(input, inplace, (alpha,))


def gelu(input: Tensor, *, approximate: str = "none", out: Tensor | None = None) -> Tensor:
    """x times the standard normal distribution function of x (or its tanh approximation)."""
    result = GELU(input, False, (approximate,))
    return result if out is None else write_out(result, out, beside=(input,))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    return SILU(input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x))."""
    return MISH(input, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x limited to [min_val, max_val]; no gradient at the limits."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return HARDTANH(input, inplace, (min_val, max_val))


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(0, x + 3), 6) / 6."""
    return HARDSIGMOID(input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * hardsigmoid(x)."""
    return HARDSWISH(input, inplace)


def hardshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """x, or 0 where |x| <= lambd."""
    result = HARDSHRINK(input, False, (lambd,))
    return result if out is None else write_out(result, out, beside=(input,))


def softshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """x moved towards 0 by lambd; 0 where |x| <= lambd."""
    result = SOFTSHRINK(input, False, (lambd,))
    return result if out is None else write_out(result, out, beside=(input,))


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    try:
        return unary(TANHSHRINK, input)
    except Exception:
        refuse_misgiven()
        raise


def softplus(
    input: Tensor, beta: float = 1.0, threshold: float = 20.0, *, out: Tensor | None = None
) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    result = SOFTPLUS(input, False, (beta, threshold))
    return result if out is None else write_out(result, out, beside=(input,))


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    try:
        return unary(SOFTSIGN, input)
    except Exception:
        refuse_misgiven()
        raise


def logsigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """log(sigmoid(x))."""
    result = LOGSIGMOID(input, False)
    return result if out is None else write_out(result, out)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where above the threshold, `value` elsewhere."""
    if isinstance(input, Tensor):
        if input.dtype is dtypes.bool_:
            raise not_implemented("threshold_cpu", input.dtype)
        refuse_numbers((input,), threshold, finer=True)
        refuse_numbers((input,), value)
    return THRESHOLD(input, inplace, (threshold, value))


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """leaky_relu with the mean of the slopes lower and upper; in training each is drawn between."""
    try:
        if lower > upper:
            raise RuntimeError("Lower bound should be less than or equal to the upper bound")
        if training:
            from flambeau.functional.drawing import randomly_sloped

            return randomly_sloped(input, float(lower), float(upper), inplace)
        return RRELU(input, inplace, ((lower + upper) / 2,))
    except Exception:
        refuse_misgiven()
        raise


RRELU = Activation(
    "rrelu",
    "leaky_relu_cpu",
    _leaky_relu,
    "RreluWithNoiseBackward0",
    "RreluWithNoiseBackward1",
    preserves=False,
)


def _prelu(x: Value, weight: Value) -> Value:
    if x.dtype is not weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {x.dtype.scalar_name} and "
            f"{weight.dtype.scalar_name}"
        )
    if weight.size != 1:
        if not x.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = x.shape[1] if x.ndim > 1 else 1
        if channels != weight.size:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.size} and channel size = {channels}."
            )
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    wide, slope = float_operand(x, "prelu_cpu"), widened(weight)
    ones = (1,) * max(x.ndim - 2, 0)
    shape = (weight.size, *ones) if weight.size != 1 else (1,) * x.ndim
    slope = ar.expand(column(slope, shape), x.shape)
    value = el.where(ar.gt(wide, 0), wide, wide * slope)
    return ar.cast(with_derivative(value, (wide, slope), _prelu_cotangents), x.dtype)


def _prelu_cotangents(ct: Value, x: Value, slope: Value) -> tuple[Value, Value]:
    """At 0 `slope` counts; in the derivatives of these, as in PyTorch, it does not."""
    zero, one = ar.zeros_like(x), ar.full_like(x, 1)

    def branches(positive: Value) -> tuple[Value, Value]:
        return ct * el.where(positive, one, slope), ct * el.where(positive, zero, x)

    pairs = zip(branches(ar.gt(x, 0)), branches(ar.ge(x, 0)), strict=True)
    first, second = (source.relink(v, h) if h.tracked else v for v, h in pairs)
    return first, second


PRELU = PureOp("prelu", _prelu, "PreluKernelBackward0", preserves=True)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where positive, weight * x elsewhere; one weight, or one per channel (dimension 1)."""
    try:
        if not isinstance(weight, Tensor):
            raise not_a_tensor("prelu", weight, "weight", 2)
        return binary(PRELU, input, weight)
    except Exception:
        refuse_misgiven()
        raise


def _glu(x: Value, dim: int) -> Value:
    if not x.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    a = axis(dim, x.ndim)
    extent = x.shape[a]
    if extent % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {a} is size {extent}")
    wide = float_operand(x, "glu_cpu")
    size = tuple(extent // 2 if i == a else n for i, n in enumerate(x.shape))
    steps, starts = (1,) * x.ndim, (0,) * x.ndim
    half = tuple(extent // 2 if i == a else 0 for i in range(x.ndim))
    first = view.slice_(wide, starts=starts, sizes=size, steps=steps)
    gate = view.slice_(wide, starts=half, sizes=size, steps=steps)
    return ar.cast(first * el.sigmoid(gate), x.dtype)


class HalvingOp(PureOp):
    """An op on the halves of its operand; the result keeps their memory order."""

    __slots__ = ()

    def strides(self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: DType) -> Strides:
        """How the result lies in memory."""
        return elementwise_strides(shape, [(shape, trace.tensors[key[1]].meta.strides)] * 2)


GLU = HalvingOp("glu", _glu, "GluBackward0")


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along dim times the sigmoid of the second."""
    try:
        return unary(GLU, input, (dim,))
    except Exception:
        refuse_misgiven()
        raise


# ---- in place -----------------------------------------------------------------------------------


def relu_(input: Tensor) -> Tensor:
    """relu in place."""
    return relu(input, True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """leaky_relu in place."""
    return leaky_relu(input, negative_slope, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """elu in place."""
    return elu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """selu in place."""
    return selu(input, True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """celu in place."""
    return celu(input, alpha, True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """hardtanh in place."""
    return hardtanh(input, min_val, max_val, True)


@other_names(threshold="threshold_")
def threshold_(input: Tensor, threshold_: float, value: float) -> Tensor:
    """threshold in place."""
    return threshold(input, threshold_, value, True)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """rrelu in place."""
    return rrelu(input, lower, upper, training, True)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    result: Tensor = pointwise.sigmoid(input)
    return result


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    result: Tensor = pointwise.tanh(input)
    return result


METHODS: dict[str, Callable[..., Any]] = {
    "relu": relu,
    "relu_": relu_,
    "prelu": prelu,
    "hardshrink": hardshrink,
}

# Names of the torch namespace; torch.nn.functional has them all.
__all__ = [
    "celu",
    "celu_",
    "hardshrink",
    "prelu",
    "relu",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "threshold",
    "threshold_",
]
