"""Losses of differences, with torch.nn.functional's signatures: each is one event. They round where
PyTorch's kernels do, forwards and backwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.functional.neural import (
    REDUCTION_NAMES,
    NamedOp,
    binary,
    chosen_reduction,
    named,
    not_a_tensor,
    number,
    record,
    reduced,
    reduced_once,
    warn_of_broadcasting,
    widened,
)
from flambeau.functional.options import not_implemented
from flambeau.functional.pointwise import SUB
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Value
from flambeau.record.events import PureOp, refuse_cast
from flambeau.tensor.tensor import Tensor

Flag = bool | None


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
        of_ct = of_ct if reduction == "none" else reduced_once(of_ct, "sum")
        return of_ct, curve, el.neg(curve)

    return with_derivative(result, (ct, x, target), backward)


def _difference_loss(
    name: str, loss: Callable[..., Value], *, averaged_by_weight: bool
) -> Callable[..., Value]:
    """A loss of x - target; the mean of weighted elements is by weight or by count."""

    def computed(x: Value, t: Value, dtype: DType, reduction: str, *attributes: Any) -> Value:
        if loss is not _huber or x.dtype is dtype:
            return loss(x, t, reduction, *attributes)
        # PyTorch writes its elements into a tensor of the input's dtype.
        each = ar.cast(loss(x, t, "none", *attributes), dtype)
        return reduced_once(each, reduction)

    def apply(
        x: Value, target: Value, weight: Value | None, reduction: str, *attributes: Any
    ) -> Value:
        dtype = ar.promoted_dtype(x, target)
        if loss is _absolute and dtypes.bool_ in (x.dtype, target.dtype):
            SUB.function(x, target)  # which refuses them
        if loss is _huber:
            refuse_cast(dtype, x.dtype)
        if not dtype.is_floating_point and loss is not _absolute:
            raise not_implemented(name, dtype)
        left, right = ar.broadcast(ar.cast(x, dtype), ar.cast(target, dtype))
        if weight is None:
            return computed(left, right, x.dtype, reduction, *attributes)
        if weight.shape != x.shape:
            raise ValueError("Weights and input must have the same size.")
        weighted = ar.mul(computed(left, right, x.dtype, "none", *attributes), weight)
        if reduction == "mean" and averaged_by_weight:
            return ar.div(reduced_once(weighted, "sum"), reduced_once(weight, "sum"))
        return reduced_once(weighted, reduction)

    return apply


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
    return reduced_once(el.abs_(SUB.function(x, t)), reduction)


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
    try:
        if not isinstance(input, Tensor):
            raise not_a_tensor("mse_loss", input)
        if input._meta.shape != target._meta.shape:
            warn_of_broadcasting(input, target)
        reduction = chosen_reduction(size_average, reduce, reduction)
        if weight is None:
            return binary(MSE, input, target, (reduction,))
        return record(MSE_WEIGHTED, (input, target, weight), (reduction,))
    except Exception:
        refuse_misgiven()
        raise


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|, reduced; a weighted mean divides by the sum of the weights."""
    try:
        if input._meta.shape != target._meta.shape:
            warn_of_broadcasting(input, target)
        reduction = chosen_reduction(size_average, reduce, reduction)
        if weight is None:
            return binary(L1, input, target, (reduction,))
        return record(L1_WEIGHTED, (input, target, weight), (reduction,))
    except Exception:
        refuse_misgiven()
        raise


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere, of d = input - target."""
    try:
        if input._meta.shape != target._meta.shape:
            warn_of_broadcasting(input, target)
        reduction = chosen_reduction(size_average, reduce, reduction)
        if beta == 0:
            return binary(L1, input, target, (reduction,))
        return binary(SMOOTH_L1, input, target, (reduction, beta))
    except Exception:
        refuse_misgiven()
        raise


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d^2 / 2 where |d| <= delta, delta (|d| - delta / 2) elsewhere, of d = input - target."""
    try:
        if input._meta.shape != target._meta.shape:
            warn_of_broadcasting(input, target)
        if weight is None:
            return binary(HUBER, input, target, (reduction, delta))
        return record(HUBER_WEIGHTED, (input, target, weight), (reduction, delta))
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.nn.functional has them.
__all__: list[str] = []
