"""Loss functions with torch.nn.functional's signatures: each is one event."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.errors import add_note
from flambeau.functional.activation import log_sigmoid_value
from flambeau.functional.linear_algebra import TYPE_NAMES
from flambeau.functional.neural import (
    REDUCTION_NAMES,
    REDUCTIONS,
    NamedOp,
    binary,
    chosen_reduction,
    column,
    constant,
    divided,
    flag,
    floating,
    named,
    not_a_tensor,
    record,
    reduced,
    reduced_once,
    widened,
)
from flambeau.functional.options import WHOLE, not_implemented
from flambeau.functional.pairs import xlogy_value
from flambeau.functional.pointwise import SUB
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


def _expanded_weight(weight: Value, target: Value) -> Value:
    """A weight in the shape of the targets."""
    for place in range(1, min(weight.ndim, target.ndim) + 1):
        given, wanted = weight.shape[-place], target.shape[-place]
        if given != wanted and 1 not in (given, wanted):
            raise RuntimeError(
                f"Attempting to broadcast a dimension of length {given} at {-place}! Mismatching "
                f"argument at index 1 had torch.Size({list(weight.shape)}); but expected shape "
                f"should be broadcastable to {list(target.shape)}"
            )
    return _within(weight, target)


def _within(x: Value, target: Value) -> Value:
    """`x` in the shape of the targets, beyond which it must not reach."""
    shape = ar.broadcast(x, target)[0].shape
    if shape != target.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape "
            f"{list(shape)}"
        )
    return ar.expand(x, shape)


def _bce(x: Value, target: Value, weight: Value | None, reduction: str) -> Value:
    """-(t log x + (1 - t) log(1 - x)), logarithms not below -100."""
    if weight is not None:
        weight = _expanded_weight(weight, target)
    for other in (target, weight):
        if other is not None and other.dtype is not x.dtype:
            raise RuntimeError(
                f"Found dtype {other.dtype.scalar_name} but expected {x.dtype.scalar_name}"
            )
    if not x.dtype.is_floating_point:
        raise not_implemented("binary_cross_entropy", x.dtype)
    wide, t = widened(x), widened(target)
    plain, plain_t = (source.detach(v) if v.tracked else v for v in (wide, t))
    least = constant(-100.0, plain)
    up, down = el.maximum(el.log(plain), least), el.maximum(el.log1p(el.neg(plain)), least)
    loss = (plain_t - 1.0) * down - plain_t * up
    loss = with_derivative(loss, (wide, t), _bce_cotangents)
    if weight is not None:
        loss = loss * widened(weight)
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
    if x.dtype.kind in WHOLE:
        raise not_implemented("log_sigmoid_cpu", x.dtype)
    if target.dtype is dtypes.bool_:
        SUB.function(1, target)
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            f"result type {x.dtype.scalar_name} can't be cast to the desired output type "
            f"{target.dtype.scalar_name}"
        )
    left, t, _ = _same_dtype(x, target, "binary_cross_entropy_with_logits")
    if pos_weight is not None:
        ar.broadcast(pos_weight, target)
    given = [ar.cast(v, left.dtype) if v is not None else None for v in (weight, pos_weight)]
    scale, share = given
    if scale is not None:
        scale = _within(scale, left)
        given[0] = scale
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
    return ar.cast(reduced(loss, reduction), target.dtype)  # into which PyTorch writes


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
    try:
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
    except Exception:
        refuse_misgiven()
        raise


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
    try:
        reduction = chosen_reduction(size_average, reduce, reduction)
        if input._meta.shape != target._meta.shape:
            raise _of_other_size(
                f"Target size ({target.shape}) must be the same as input size ({input.shape})",
                input,
                target,
            )
        return record(BCE_LOGITS, (input, target, weight, pos_weight), (reduction,))
    except Exception:
        refuse_misgiven()
        raise


# ---- distributions ------------------------------------------------------------------------------


def _kl_div(x: Value, target: Value, reduction: str, log_target: bool) -> Value:
    if "i" in (x.dtype.kind, target.dtype.kind) or "b" in (x.dtype.kind, target.dtype.kind):
        raise RuntimeError("kl_div: Integral inputs not supported.")
    if x.dtype.is_complex or target.dtype.is_complex:
        raise RuntimeError("kl_div: Complex inputs not supported.")
    dtype = ar.promoted_dtype(x, target)
    left, t = ar.broadcast(ar.cast(x, dtype), ar.cast(target, dtype))  # each step is rounded
    loss = el.exp(t) * (t - left) if log_target else xlogy_value(t, t) - t * left
    if reduction == "batchmean":
        total = reduced(widened(loss), "sum")
        return ar.cast(divided(total, x.shape[0]) if x.ndim else total, dtype)
    return ar.cast(reduced(widened(loss), reduction), dtype)


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
    try:
        if reduction == "mean" and size_average is None and reduce is None:
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support "
                "size.'batchmean' divides only by the batch size, and aligns with the KL div math "
                "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
                "major release.",
                stacklevel=2,
            )
        reduction = chosen_reduction(size_average, reduce, reduction)
        return binary(KL_DIV, input, target, (reduction, flag(log_target)))
    except Exception:
        refuse_misgiven()
        raise


def _poisson(
    x: Value, target: Value, reduction: str, log_input: bool, full: bool, eps: float
) -> Value:
    dtype = ar.promoted_dtype(x, target)
    if dtype is dtypes.bool_:  # the product of both is subtracted
        SUB.function(1.0, target)
    dtype = floating(dtype)
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
    try:
        reduction = chosen_reduction(size_average, reduce, reduction)
        return binary(POISSON, input, target, (reduction, flag(log_input), flag(full), float(eps)))
    except Exception:
        refuse_misgiven()
        raise


def _spread(x: Value, variance: Any) -> Value:
    """A variance that fits the means."""
    if ar.is_scalar(variance):
        return ar.as_value(variance, floating(x.dtype))
    spread: Value = variance
    if spread.dtype.is_complex:
        raise not_implemented("lt_cpu", spread.dtype)
    if spread.shape == x.shape:
        return spread
    if spread.shape == x.shape[:-1]:
        return column(spread, (*spread.shape, 1))
    if (
        spread.ndim != x.ndim
        or sum(b for a, b in zip(x.shape, spread.shape, strict=True) if a != b) != 1
    ):
        raise ValueError("var is of incorrect size")
    return spread


def _gaussian(
    x: Value, target: Value, variance: Any, reduction: str, full: bool, eps: float
) -> Value:
    spread = _spread(x, variance)
    difference = SUB.function(x, target)
    if spread.dtype.kind in WHOLE:
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{TYPE_NAMES[spread.dtype.name]}"
        )
    spread = require(
        spread, ar.ge(spread, 0), error=("ValueError", "var has negative entry/entries")
    )
    clamped = el.maximum(source.detach(spread), constant(eps, spread))
    spread = source.relink(clamped, spread) if spread.tracked else clamped
    spread, difference = ar.broadcast(spread, difference)
    loss = (el.log(spread) + ar.div(difference * difference, spread)) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced_once(loss, reduction)


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
    try:
        if reduction not in REDUCTIONS:
            raise ValueError(reduction + " is not valid")
        if isinstance(var, float) and var < 0:
            raise ValueError("var has negative entry/entries")
        if not isinstance(var, Tensor):
            if isinstance(var, (list, tuple, str, dict, set)) or var is None:
                kind = type(var).__name__
                message = f"'<' not supported between instances of '{kind}' and 'int'"
                raise TypeError(message)
            if not isinstance(input, Tensor):
                raise not_a_tensor("gaussian_nll_loss", input)
        return record(GAUSSIAN, (input, target, var), (reduction, bool(full), float(eps)))
    except Exception:
        if isinstance(reduction, str):
            refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.nn.functional has them.
__all__: list[str] = []
