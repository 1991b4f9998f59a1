"""Loss functions with torch.nn.functional's signatures: each is one event."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from flambeau.core import dtypes
from flambeau.core.errors import add_note
from flambeau.functional.activation import log_sigmoid_value
from flambeau.functional.neural import (
    REDUCTION_NAMES,
    REDUCTIONS,
    NamedOp,
    binary,
    chosen_reduction,
    column,
    constant,
    divided,
    floating,
    named,
    not_a_tensor,
    not_implemented,
    number,
    record,
    reduced,
    warn_of_broadcasting,
    widened,
)
from flambeau.functional.pairs import xlogy_value
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source
from flambeau.ops.randomness import require
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.tensor.tensor import Tensor

Flag = bool | None


def _same_dtype(x: Value, target: Value, name: str) -> tuple[Value, Value, Any]:
    """Both operands promoted, widened and broadcast, and the dtype of the result."""
    dtype = ar.promoted_dtype(x, target)
    if not dtype.is_floating_point:
        raise not_implemented(name, dtype)
    left, right = ar.broadcast(widened(ar.cast(x, dtype)), widened(ar.cast(target, dtype)))
    return left, right, dtype


# ---- regression ---------------------------------------------------------------------------------


class Regression(NamedTuple):
    """A loss of differences, and the derivatives that its kernels have in PyTorch: each function is
    given inputs, targets and the loss's number.
    """

    value: Callable[[Value, Value, float], Value]
    slope: Callable[[Value, Value, float], Value]  # of the inputs, but for `factor`
    curve: Callable[[Value, Value, Value, float], Value]  # its own, times a first argument
    factor: float = 1.0


def _regressed(loss: Regression, x: Value, target: Value, reduction: str, number: float) -> Value:
    """The loss of operands of one dtype and shape, in which its elements are rounded."""

    def backward(ct: Value, x: Value, t: Value) -> tuple[Value, Value]:
        slope = _regression_slope(loss, ct, x, t, reduction, number)
        return slope, el.neg(slope)

    value = reduced(widened(loss.value(x, target, number)), reduction)
    return with_derivative(ar.cast(value, x.dtype), (x, target), backward)


def _regression_slope(
    loss: Regression, ct: Value, x: Value, target: Value, reduction: str, number: float
) -> Value:
    count = float(x.size) if reduction == "mean" else 1.0
    slope = loss.slope(x, target, number)
    factor = loss.factor / count if count else math.nan
    wide = ar.expand(ar.cast(ct, slope.dtype), slope.shape)
    result = ar.cast(ar.full_like(slope, factor) * slope * wide, x.dtype)

    def backward(again: Value, ct: Value, x: Value, t: Value) -> tuple[Value, ...]:
        curve = ar.div(loss.curve(again * ar.expand(ct, x.shape), x, t, number), count)
        of_ct = _regression_slope(loss, again, x, t, reduction, number)
        of_ct = of_ct if reduction == "none" else _reduced_once(of_ct, "sum")
        return of_ct, curve, el.neg(curve)

    return with_derivative(result, (ct, x, target), backward)


def _difference_loss(
    name: str, loss: Callable[..., Value], *, averaged_by_weight: bool
) -> Callable[..., Value]:
    """A loss of x - target; the mean of weighted elements is by weight or by count."""

    def apply(
        x: Value, target: Value, weight: Value | None, reduction: str, *attributes: Any
    ) -> Value:
        dtype = ar.promoted_dtype(x, target)
        if not dtype.is_floating_point:
            raise not_implemented(name, dtype)
        left, right = ar.broadcast(ar.cast(x, dtype), ar.cast(target, dtype))
        if weight is None:
            return loss(left, right, reduction, *attributes)
        if weight.shape != x.shape:
            raise ValueError("Weights and input must have the same size.")
        weighted = ar.mul(loss(left, right, "none", *attributes), weight)
        if reduction == "mean" and averaged_by_weight:
            return ar.div(_reduced_once(weighted, "sum"), _reduced_once(weight, "sum"))
        return _reduced_once(weighted, reduction)

    return apply


def _reduced_once(x: Value, reduction: str) -> Value:
    """Elements reduced without a rounding to a half type in between."""
    return ar.cast(reduced(widened(x), reduction), x.dtype)


def _square(x: Value, t: Value, _: float) -> Value:
    d = x - t
    return d * d


SQUARE = Regression(_square, lambda x, t, _: x - t, lambda ct, x, t, _: ct * 2.0, factor=2.0)


def _sign_where_far(d: Value, limit: Value, far: Value, near: Value) -> Value:
    """`near` where |d| < limit, else `far` with the sign of d."""
    signed = el.where(el.gt(d, ar.zeros_like(d)), far, el.neg(far))
    return el.where(el.ge(el.abs_(d), limit), signed, near)


def _smooth_l1_value(x: Value, t: Value, beta: float) -> Value:
    if x.dtype is dtypes.bfloat16:  # PyTorch's kernel of float16 rounds in between
        return ar.cast(_smooth_l1_value(widened(x), widened(t), beta), x.dtype)
    size = el.abs_(x - t)
    limit, half = ar.full_like(size, beta), ar.full_like(size, 0.5)
    return el.where(el.ge(size, limit), size - half * limit, half * size * size / limit)


def _smooth_l1_slope(x: Value, t: Value, beta: float) -> Value:
    d = widened(x) - widened(t)
    limit = ar.full_like(d, beta)
    return _sign_where_far(d, limit, ar.full_like(d, 1), d / limit)


def _smooth_l1_curve(ct: Value, x: Value, t: Value, beta: float) -> Value:
    near = ar.cast(ar.lt(el.abs_(x - t), beta), x.dtype)
    return ar.div(ct * near, beta)


SMOOTH = Regression(_smooth_l1_value, _smooth_l1_slope, _smooth_l1_curve)


def _smooth_l1(x: Value, t: Value, reduction: str, beta: Any) -> Value:
    beta = number("smooth_l1_loss", "beta", beta)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return _absolute(x, t, reduction)
    return _regressed(SMOOTH, x, t, reduction, beta)


def _huber_value(x: Value, t: Value, delta: float) -> Value:
    if x.dtype is dtypes.float16:  # here it is bfloat16's that rounds
        return ar.cast(_huber_value(widened(x), widened(t), delta), x.dtype)
    size = el.abs_(x - t)
    limit, half = ar.full_like(size, delta), ar.full_like(size, 0.5)
    far = limit * (size - half * limit)
    return el.where(el.ge(size, limit), far, half * size * size)


def _huber_slope(x: Value, t: Value, delta: float) -> Value:
    d = x - t
    limit = ar.full_like(d, delta)
    return _sign_where_far(d, limit, limit, d)


def _huber_curve(ct: Value, x: Value, t: Value, delta: float) -> Value:
    return ct * ar.cast(ar.lt(el.abs_(x - t), delta), x.dtype)


HUBER_KERNELS = Regression(_huber_value, _huber_slope, _huber_curve)


def _huber(x: Value, t: Value, reduction: str, delta: Any) -> Value:
    delta = number("huber_loss", "delta", delta)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return _regressed(HUBER_KERNELS, x, t, reduction, delta)


def _absolute(x: Value, t: Value, reduction: str) -> Value:
    return _reduced_once(el.abs_(x - t), reduction)


def _squared(x: Value, t: Value, reduction: str) -> Value:
    return _regressed(SQUARE, x, t, reduction, 0.0)


def _mse_name(x: Value, t: Value, weight: Value | None, reduction: str, *rest: Any) -> str:
    if weight is None:
        return "MseLossBackward0"
    return {"none": "MulBackward0", "mean": "DivBackward0", "sum": "SumBackward0"}[reduction]


def _plain(function: Callable[..., Value]) -> Callable[..., Value]:
    """Without the weight operand: what the hot path records."""
    return lambda x, target, *attributes: function(x, target, None, *attributes)


_mse = _difference_loss("mse_cpu", _squared, averaged_by_weight=True)
_l1 = _difference_loss("abs_cpu", _absolute, averaged_by_weight=True)
_smooth = _difference_loss("smooth_l1_cpu", _smooth_l1, averaged_by_weight=False)
_hub = _difference_loss("huber_cpu", _huber, averaged_by_weight=False)
MSE = PureOp("mse_loss", _plain(_mse), "MseLossBackward0")
MSE_WEIGHTED = NamedOp("mse_loss", _mse, _mse_name)
L1 = NamedOp("l1_loss", _plain(_l1), named("AbsBackward0", *REDUCTION_NAMES))
L1_WEIGHTED = NamedOp("l1_loss", _l1, named("MulBackward0", "DivBackward0", "SumBackward0"))
SMOOTH_L1 = PureOp("smooth_l1_loss", _plain(_smooth), "SmoothL1LossBackward0")
HUBER = PureOp("huber_loss", _plain(_hub), "HuberLossBackward0")
HUBER_WEIGHTED = NamedOp("huber_loss", _hub, named("MulBackward0", *REDUCTION_NAMES))


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2, reduced; a weighted mean divides by the sum of the weights."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("mse_loss", input)
    if input._meta.shape != target._meta.shape:
        warn_of_broadcasting(input, target)
    reduction = chosen_reduction(size_average, reduce, reduction)
    if weight is None:
        return binary(MSE, input, target, (reduction,))
    return record(MSE_WEIGHTED, (input, target, weight), (reduction,))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|, reduced; a weighted mean divides by the sum of the weights."""
    if input._meta.shape != target._meta.shape:
        warn_of_broadcasting(input, target)
    reduction = chosen_reduction(size_average, reduce, reduction)
    if weight is None:
        return binary(L1, input, target, (reduction,))
    return record(L1_WEIGHTED, (input, target, weight), (reduction,))


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere, of d = input - target."""
    if input._meta.shape != target._meta.shape:
        warn_of_broadcasting(input, target)
    reduction = chosen_reduction(size_average, reduce, reduction)
    if beta == 0:
        return binary(L1, input, target, (reduction,))
    return binary(SMOOTH_L1, input, target, (reduction, beta))


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d^2 / 2 where |d| <= delta, delta (|d| - delta / 2) elsewhere, of d = input - target."""
    if input._meta.shape != target._meta.shape:
        warn_of_broadcasting(input, target)
    if weight is None:
        return binary(HUBER, input, target, (reduction, delta))
    return record(HUBER_WEIGHTED, (input, target, weight), (reduction, delta))


# ---- two classes --------------------------------------------------------------------------------

SATURATED = 1e-12


def _bce_cotangents(ct: Value, x: Value, t: Value) -> tuple[Value, Value]:
    """Of x: (x - t) / max(x (1 - x), 1e-12), finite at x = 0 and 1."""
    square = el.maximum((1.0 - x) * x, constant(SATURATED, x))
    of_x = with_derivative(ct * (x - t) / square, (ct, x, t), _bce_second_cotangents)
    return of_x, ct * (el.log(1.0 - x) - el.log(x))


def _bce_second_cotangents(g: Value, ct: Value, x: Value, t: Value) -> tuple[Value, ...]:
    """Of the gradient of x, with 1e-12 where PyTorch has it."""
    square = el.maximum((1.0 - x) * x, constant(SATURATED, x))
    low, high = x + SATURATED, 1.0 - x + SATURATED
    curve = (x * x - x * t * 2.0 + t) / (low * low * high * high)
    return g * (x - t) / square, g * ct * curve, el.neg(g * ct) / square


def _bce(x: Value, target: Value, weight: Value | None, reduction: str) -> Value:
    """-(t log x + (1 - t) log(1 - x)), logarithms not below -100."""
    if not x.dtype.is_floating_point:
        raise not_implemented("binary_cross_entropy", x.dtype)
    for other in (target, weight):
        if other is not None and other.dtype is not x.dtype:
            raise RuntimeError(
                f"Found dtype {other.dtype.scalar_name} but expected {x.dtype.scalar_name}"
            )
    wide, t = widened(x), widened(target)
    plain, plain_t = (source.detach(v) if v.tracked else v for v in (wide, t))
    least = constant(-100.0, plain)
    up, down = el.maximum(el.log(plain), least), el.maximum(el.log1p(el.neg(plain)), least)
    loss = (plain_t - 1.0) * down - plain_t * up
    loss = with_derivative(loss, (wide, t), _bce_cotangents)
    if weight is not None:
        loss = loss * ar.expand(widened(weight), loss.shape)
    result = ar.cast(reduced(loss, reduction), x.dtype)
    message = "all elements of {} should be between 0 and 1"
    for name, given in (("input", plain), ("target", plain_t)):
        outside = ar.logical_not(ar.logical_and(ar.ge(given, 0), ar.le(given, 1)))
        count = rd.sum_(ar.cast(outside, dtypes.int64), axes=tuple(range(given.ndim)))
        error = ("RuntimeError", message.format(name))
        result = require(result, ar.eq(count, 0), error=error)
    return result


def _bce_logits(
    x: Value, target: Value, weight: Value | None, pos_weight: Value | None, reduction: str
) -> Value:
    """(1 - t) x - (1 + (p - 1) t) log sigmoid(x)."""
    if not x.dtype.is_floating_point or not target.dtype.is_floating_point:
        raise RuntimeError(
            f"result type {x.dtype.scalar_name} can't be cast to the desired output type "
            f"{target.dtype.scalar_name}"
        )
    left, t, dtype = _same_dtype(x, target, "binary_cross_entropy_with_logits")
    given = [ar.cast(v, left.dtype) if v is not None else None for v in (weight, pos_weight)]
    scale, share = given
    log_sigmoid = log_sigmoid_value(left)
    if share is not None:
        log_sigmoid = log_sigmoid * ((share - 1.0) * t + 1.0)
    loss = (1.0 - t) * left - log_sigmoid
    if scale is not None:
        loss = loss * scale
    if not any(v is not None and v.tracked for v in given):
        there = tuple(ar.expand(v, loss.shape) for v in given if v is not None)
        operands = tuple(ar.expand(v, loss.shape) for v in (left, t))
        cotangents = partial(_bce_logits_cotangents, scale is not None, share is not None)
        loss = with_derivative(loss, (*operands, *there), cotangents)
    return ar.cast(reduced(loss, reduction), dtype)


def _bce_logits_cotangents(
    weighted: bool, shared: bool, ct: Value, x: Value, t: Value, *given: Value
) -> tuple[Value | None, ...]:
    """Of logits and targets; `given` are the weight and the share of positives that there are."""
    if shared:
        share = given[-1]
        positives = share * t
        slope = (positives + 1.0 - t) * el.sigmoid(x) - positives
        of_t = log_sigmoid_value(el.neg(x)) - log_sigmoid_value(x) * share
    else:
        slope, of_t = el.sigmoid(x) - t, el.neg(x)
    cotangents = [slope * ct, of_t * ct]
    if weighted:
        cotangents = [c * given[0] for c in cotangents]
    return (*cotangents, *[None for _ in given])


BCE = PureOp(
    "binary_cross_entropy",
    lambda x, target, reduction: _bce(x, target, None, reduction),
    "BinaryCrossEntropyBackward0",
)
BCE_WEIGHTED = PureOp("binary_cross_entropy", _bce, "BinaryCrossEntropyBackward0")
BCE_LOGITS = PureOp(
    "binary_cross_entropy_with_logits", _bce_logits, "BinaryCrossEntropyWithLogitsBackward0"
)


def _of_other_size(message: str, input: Tensor, target: Tensor) -> ValueError:
    """The error for a target that has not the size of what was predicted."""
    error = ValueError(message)
    column = (len(target), 1) if target.ndim == 1 else None
    if input.shape == column:
        hint = "make the target a column, target.unsqueeze(1)"
    elif target.ndim == 2 and target.shape == (*input.shape, 1):
        hint = "what was predicted is one a row: target.squeeze(1)"
    else:
        return error
    add_note(error, f"  hint: {hint}\n  more: flambeau help targets")
    return error


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)); RuntimeError when run if an x is outside [0, 1]."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("binary_cross_entropy", input)
    reduction = chosen_reduction(size_average, reduce, reduction)
    if input._meta.shape != target._meta.shape:
        raise _of_other_size(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is "
            "deprecated. Please ensure they have the same size.",
            input,
            target,
        )
    if weight is None:
        return binary(BCE, input, target, (reduction,))
    return record(BCE_WEIGHTED, (input, target, weight), (reduction,))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy of sigmoid(input), exact for large logits; pos_weight scales t = 1."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    if input._meta.shape != target._meta.shape:
        raise _of_other_size(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})",
            input,
            target,
        )
    return record(BCE_LOGITS, (input, target, weight, pos_weight), (reduction,))


# ---- distributions ------------------------------------------------------------------------------


def _kl_div(x: Value, target: Value, reduction: str, log_target: bool) -> Value:
    left, t, dtype = _same_dtype(x, target, "kl_div")
    loss = el.exp(t) * (t - left) if log_target else xlogy_value(t, t) - t * left
    if reduction == "batchmean":
        total = reduced(loss, "sum")
        return ar.cast(divided(total, x.shape[0]) if x.ndim else total, dtype)
    return ar.cast(reduced(loss, reduction), dtype)


def _kl_name(x: Value, t: Value, reduction: str, log_target: bool) -> str:
    names = {"mean": "MeanBackward0", "sum": "SumBackward0", "batchmean": "DivBackward0"}
    return names.get(reduction, "MulBackward0" if log_target else "SubBackward0")


KL_DIV = NamedOp("kl_div", _kl_div, _kl_name)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target (log target - input), with input (and target if log_target) as log-probabilities."""
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    reduction = chosen_reduction(size_average, reduce, reduction)
    return binary(KL_DIV, input, target, (reduction, bool(log_target)))


def _poisson(
    x: Value, target: Value, reduction: str, log_input: bool, full: bool, eps: float
) -> Value:
    dtype = floating(ar.promoted_dtype(x, target))
    left, t = ar.broadcast(widened(ar.cast(x, dtype)), widened(ar.cast(target, dtype)))
    loss = el.exp(left) - t * left if log_input else left - t * el.log(left + eps)
    if full:
        stirling = t * el.log(t) - t + el.log(t * (2 * math.pi)) * 0.5
        loss = loss + el.where(ar.le(t, 1), ar.zeros_like(t), stirling)
    return ar.cast(reduced(loss, reduction), dtype)


def _poisson_name(
    x: Value, t: Value, reduction: str, log_input: bool, full: bool, eps: float
) -> str:
    return named("AddBackward0" if full else "SubBackward0", *REDUCTION_NAMES)(reduction)


POISSON = NamedOp("poisson_nll_loss", _poisson, _poisson_name)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Flag = None,
    eps: float = 1e-8,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts with (log) rate input; full adds Stirling's term."""
    reduction = chosen_reduction(size_average, reduce, reduction)
    return binary(POISSON, input, target, (reduction, bool(log_input), bool(full), float(eps)))


def _gaussian(
    x: Value, target: Value, variance: Any, reduction: str, full: bool, eps: float
) -> Value:
    left, t, dtype = _same_dtype(x, target, "gaussian_nll_loss")
    spread = ar.as_value(variance, left.dtype)
    if spread.shape != left.shape and spread.shape:
        if spread.shape == left.shape[:-1]:
            spread = column(spread, (*spread.shape, 1))
        elif (
            spread.ndim != left.ndim
            or sum(b for a, b in zip(left.shape, spread.shape, strict=True) if a != b) != 1
        ):
            raise ValueError("var is of incorrect size")
    spread = require(
        spread, ar.ge(spread, 0), error=("ValueError", "var has negative entry/entries")
    )
    clamped = el.maximum(source.detach(spread), constant(eps, spread))
    spread = source.relink(clamped, spread) if spread.tracked else clamped
    spread = ar.expand(spread, left.shape)
    difference = left - t
    loss = (el.log(spread) + difference * difference / spread) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return ar.cast(reduced(loss, reduction), dtype)


def _gaussian_name(x: Value, t: Value, v: Value, reduction: str, full: bool, eps: float) -> str:
    return named("AddBackward0" if full else "MulBackward0", *REDUCTION_NAMES)(reduction)


GAUSSIAN = NamedOp("gaussian_nll_loss", _gaussian, _gaussian_name)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of target under normals (input, var); var is not below eps."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not valid")
    if isinstance(var, float) and var < 0:
        raise ValueError("var has negative entry/entries")
    return record(GAUSSIAN, (input, target, var), (reduction, bool(full), float(eps)))


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.nn.functional has them.
__all__: list[str] = []
