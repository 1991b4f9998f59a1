"""Losses of classes: cross entropy and negative log-likelihood, each one event.

Note: the loss of a class index
    loss[n] = -w[t[n]] * logp[n, t[n]]. The element is picked by comparing a counter with the target
    and summing, not by a gather: fused with the softmax it costs nothing extra, and its derivative
    is a `where` instead of a scatter. The weights are gathered with `take(what="target")`, which is
    where a target out of range raises IndexError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional.neural import (
    NamedOp,
    binary,
    chosen_reduction,
    column,
    divided,
    float_operand,
    not_a_tensor,
    number,
    record,
    reduced,
    whole,
    widened,
)
from flambeau.functional.options import not_implemented
from flambeau.functional.softmax import log_softmax_value
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.indexed import take
from flambeau.ops.value import Value
from flambeau.tensor.tensor import Tensor

Flag = bool | None


def _check_classes(x: Value, target: Value, weight: Value | None) -> None:
    """Shapes of log-probabilities [N, C, *] (or [C]) and class indices [N, *] (or [])."""
    if not x.ndim:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if x.ndim > 1 and (target.ndim == 0 or x.shape[0] != target.shape[0]):
        raise ValueError(
            f"Expected input batch_size ({x.shape[0]}) to match target batch_size "
            f"({target.shape[0] if target.ndim else 0})."
        )
    if x.ndim <= 2 and target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if x.ndim == 1 and target.ndim == 1 and target.shape[0] != 1:
        raise ValueError(
            f"For 1D input, 1D target must have size 1, but got target size: {target.shape[0]}"
        )
    wanted = (x.shape[0], *x.shape[2:])
    if x.ndim > 2 and target.shape != wanted:
        raise RuntimeError(f"Expected target size {list(wanted)}, got {list(target.shape)}")
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {target.dtype.scalar_name}"
        )
    classes = x.shape[0] if x.ndim == 1 else x.shape[1]
    if weight is None:
        return
    if weight.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            "got weight "
            f"tensor of shape: {list(weight.shape)}"
        )
    if weight.dtype is not x.dtype:
        raise RuntimeError(
            f"expected scalar type {x.dtype.scalar_name} but found {weight.dtype.scalar_name}"
        )


def _class_axis(x: Value) -> int:
    return 0 if x.ndim == 1 else 1


def _along_classes(x: Value, per_class: Value) -> Value:
    """[C] broadcast to the shape of x."""
    a = _class_axis(x)
    shape = tuple(n if i == a else 1 for i, n in enumerate(x.shape))
    return ar.expand(column(per_class, shape), x.shape)


def _nll_parts(
    logp: Value, target: Value, weight: Value | None, ignore_index: int
) -> tuple[Value, Value, Value]:
    """Per position: the weighted loss, its weight (0 where ignored), and whether it is ignored."""
    a = _class_axis(logp)
    classes = logp.shape[a]
    places = logp.shape[:a] + logp.shape[a + 1 :]
    t = view.reshape(ar.cast(target, dtypes.int64), shape=places)
    ignored = ar.eq(t, ignore_index)
    t = el.where(ignored, ar.zeros_like(t), t)
    weights = ar.full((classes,), 1.0, logp.dtype) if weight is None else widened(weight)
    if not classes:
        w = ar.full(places, 0.0, logp.dtype)
    else:
        w = take(weights, t, what="target")
        w = el.where(ignored, ar.zeros_like(w), w)
    shape = places[:a] + (1,) + places[a:]
    counter = _along_classes(logp, source.iota(size=classes))
    hit = el.eq(counter, ar.expand(column(t, shape), logp.shape))
    picked = rd.sum_(el.where(hit, logp, ar.zeros_like(logp)), axes=(a,))
    # An ignored position must stay 0 even where its log-probability is infinite.
    loss = el.where(ignored, ar.zeros_like(w), el.neg(picked) * w)
    return loss, w, ignored


def _weighted(loss: Value, w: Value, reduction: str) -> Value:
    if reduction == "mean":
        return reduced(loss, "sum") / reduced(w, "sum")
    return reduced(loss, reduction)


def _nll(x: Value, target: Value, weight: Value | None, reduction: str, ignore_index: int) -> Value:
    ignore_index = whole("nll_loss_nd", "ignore_index", ignore_index)
    _check_classes(x, target, weight)
    logp = float_operand(x, "nll_loss_out_frame" if x.ndim <= 2 else "nll_loss2d_forward_out_frame")
    loss, w, _ = _nll_parts(logp, target, weight, ignore_index)
    if reduction == "none":
        loss = view.reshape(loss, shape=target.shape if x.ndim > 1 else ())
    return ar.cast(_weighted(loss, w, reduction), x.dtype)


def _nll_name(x: Value, target: Value, weight: Value | None, reduction: str, *rest: Any) -> str:
    if x.ndim <= 2:
        return "NllLossBackward0"
    return "ViewBackward0" if reduction == "none" and x.ndim != 4 else "NllLoss2DBackward0"


def _smoothed(
    logp: Value,
    target: Value,
    weight: Value | None,
    reduction: str,
    ignore_index: int,
    smoothing: float,
) -> Value:
    """The loss against (1 - s) one-hot + s / C."""
    a = _class_axis(logp)
    loss, w, ignored = _nll_parts(logp, target, weight, ignore_index)
    scaled = logp if weight is None else logp * _along_classes(logp, widened(weight))
    spread = el.neg(rd.sum_(scaled, axes=(a,)))
    spread = el.where(ignored, ar.zeros_like(spread), spread)
    share = smoothing / max(logp.shape[a], 1)
    return (
        _weighted(loss, w, reduction) * (1.0 - smoothing) + _weighted(spread, w, reduction) * share
    )


def _probabilities(
    logp: Value, target: Value, weight: Value | None, reduction: str, smoothing: float
) -> Value:
    """The loss against a distribution over the classes."""
    a = _class_axis(logp)
    classes = logp.shape[a]
    target = ar.cast(target, logp.dtype)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / classes
    terms = logp * target
    if weight is not None:
        terms = terms * _along_classes(logp, ar.cast(weight, logp.dtype))
    if reduction == "none":
        return el.neg(rd.sum_(terms, axes=(a,)))
    total = el.neg(reduced(terms, "sum"))
    if reduction == "sum":
        return total
    if reduction != "mean":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return divided(total, logp.size / max(classes, 1))


def _by_probability(x: Value, target: Value) -> bool:
    return x.shape == target.shape


def _cross_entropy(
    x: Value, target: Value, weight: Value | None, reduction: str, ignore_index: int, smoothing: Any
) -> Value:
    smoothing = number("cross_entropy", "label_smoothing", smoothing)
    ignore_index = whole("cross_entropy_loss", "ignore_index", ignore_index)
    smoothing = max(smoothing, 0.0)  # as PyTorch does, without a word
    if not smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {smoothing:g}")
    if _by_probability(x, target):
        if not target.dtype.is_floating_point:
            raise RuntimeError(
                "Expected floating point type for target with class probabilities, got "
                f"{target.dtype.scalar_name}"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
    if not x.ndim:
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")
    if not x.dtype.is_floating_point:
        last = "_lastdim" if x.ndim <= 2 else ""
        raise not_implemented(f"log_softmax{last}_kernel_impl", x.dtype)
    if _by_probability(x, target):
        classes = x.shape[_class_axis(x)]
        if weight is not None and weight.shape != (classes,):
            raise RuntimeError(
                "cross_entropy: weight tensor should be defined either for all "
                f"{classes} classes or no classes but got weight tensor of shape: "
                f"{list(weight.shape)}"
            )
        logp = log_softmax_value(widened(x), _class_axis(x))
        return ar.cast(_probabilities(logp, target, weight, reduction, smoothing), x.dtype)
    _check_classes(x, target, weight)
    logp = log_softmax_value(widened(x), _class_axis(x))
    if smoothing:
        result = _smoothed(logp, target, weight, reduction, ignore_index, smoothing)
    else:
        loss, w, _ = _nll_parts(logp, target, weight, ignore_index)
        result = _weighted(loss, w, reduction)
    if reduction == "none":
        result = view.reshape(result, shape=target.shape if x.ndim > 1 else ())
    return ar.cast(result, x.dtype)


def _cross_entropy_name(
    x: Value,
    target: Value,
    weight: Value | None,
    reduction: str,
    ignore_index: int,
    smoothing: float,
) -> str:
    if _by_probability(x, target):
        return "DivBackward1" if reduction == "mean" else "NegBackward0"
    return "AddBackward0" if smoothing else _nll_name(x, target, weight, reduction)


CROSS_ENTROPY = NamedOp(
    "cross_entropy",
    lambda x, target, *attributes: _cross_entropy(x, target, None, *attributes),
    lambda x, target, *attributes: _cross_entropy_name(x, target, None, *attributes),
)
CROSS_ENTROPY_WEIGHTED = NamedOp("cross_entropy", _cross_entropy, _cross_entropy_name)
NLL = NamedOp("nll_loss", _nll, _nll_name)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    ignore_index: int = -100,
    reduce: Flag = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]: logits [N, C, *] or [C], class indices or probabilities."""
    try:
        if not isinstance(input, Tensor):
            raise not_a_tensor("cross_entropy", input)
        reduction = chosen_reduction(size_average, reduce, reduction)
        attributes = (reduction, ignore_index, label_smoothing)
        if weight is None:
            return binary(CROSS_ENTROPY, input, target, attributes)
        return record(CROSS_ENTROPY_WEIGHTED, (input, target, weight), attributes)
    except Exception:
        refuse_misgiven()
        raise


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    ignore_index: int = -100,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """-input[target]: log-probabilities [N, C, *] or [C] at class indices."""
    try:
        reduction = chosen_reduction(size_average, reduce, reduction)
        return record(NLL, (input, target, weight), (reduction, ignore_index))
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.nn.functional has them.
__all__: list[str] = []
